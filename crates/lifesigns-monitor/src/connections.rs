//! The connections that there are. When there is no room for another one, whoever has been silent longest has to go: who
//! opens connections and says nothing, or asks and never reads, keeps nobody else out.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};

/// For the other side to take a byte of what is written.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// The connections of a listener.
#[derive(Debug)]
pub(crate) struct Connections {
    most: usize,
    /// Counts whatever moves on any of them. Who moved last has the highest number.
    moves: AtomicU64,
    present: Mutex<HashMap<u64, Arc<Seen>>>,
}

/// What is seen of a connection.
#[derive(Debug)]
struct Seen {
    /// When it moved last, by the count of all.
    moved: AtomicU64,
    /// Requests whose answers have not ended.
    under_way: AtomicU32,
    /// Whether the other side does not take what is written.
    is_stalled: AtomicBool,
    /// Told when it has to go.
    has_to_go: Notify,
}

impl Connections {
    /// Room for so many at a time.
    pub(crate) fn new(most: usize) -> Arc<Connections> {
        Arc::new(Connections { most, moves: AtomicU64::new(0), present: Mutex::default() })
    }

    /// Takes in a newcomer, who never waits. If there is no room, somebody goes for whom nothing is under way, or who does
    /// not read the answer; only if there is nobody of that kind, somebody else. Of these it is the longest silent.
    pub(crate) fn admit(self: &Arc<Self>) -> Place {
        let number = self.moves.fetch_add(1, Relaxed);
        let seen = Arc::new(Seen {
            moved: AtomicU64::new(number),
            under_way: AtomicU32::new(0),
            is_stalled: AtomicBool::new(false),
            has_to_go: Notify::new(),
        });
        let mut present = self.present();
        if present.len() >= self.most {
            let longest = present.iter().min_by_key(|(_, seen)| (seen.is_served(), seen.moved.load(Relaxed)));
            if let Some(seen) = longest.map(|(number, _)| *number).and_then(|number| present.remove(&number))
            {
                seen.has_to_go.notify_one();
            }
        }
        present.insert(number, Arc::clone(&seen));
        drop(present);
        Place { connections: Arc::clone(self), number, seen }
    }

    fn present(&self) -> MutexGuard<'_, HashMap<u64, Arc<Seen>>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Whether something is made for it, or it reads what was made.
    fn is_served(&self) -> bool {
        self.under_way.load(Relaxed) > 0 && !self.is_stalled.load(Relaxed)
    }
}

/// The place of a connection, until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    connections: Arc<Connections>,
    number: u64,
    seen: Arc<Seen>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.present().remove(&self.number);
    }
}

impl Place {
    /// Resolves when a newcomer needs the place.
    pub(crate) async fn is_needed(&self) {
        self.seen.has_to_go.notified().await;
    }

    /// The connection itself, so that it is seen when something moves on it.
    pub(crate) fn watch<S>(&self, stream: S) -> Watched<S> {
        Watched {
            stream,
            connections: Arc::clone(&self.connections),
            seen: Arc::clone(&self.seen),
            patience: None,
        }
    }

    /// A request has come whose answer has not ended before this is dropped.
    pub(crate) fn begin(&self) -> UnderWay {
        self.seen.under_way.fetch_add(1, Relaxed);
        UnderWay(Arc::clone(&self.seen))
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Seen>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

impl UnderWay {
    /// The body of the answer, under way as long as it is there.
    pub(crate) fn with<B>(self, body: B) -> Answering<B> {
        Answering { body, _under_way: self }
    }
}

/// The body of an answer that is under way.
#[derive(Debug)]
pub(crate) struct Answering<B> {
    body: B,
    _under_way: UnderWay,
}

impl<B: Body + Unpin> Body for Answering<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection that is seen to move. A write ends it of which the other side takes nothing for too long.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    stream: S,
    connections: Arc<Connections>,
    seen: Arc<Seen>,
    /// Runs while the other side takes nothing.
    patience: Option<Pin<Box<Sleep>>>,
}

impl<S> Watched<S> {
    fn moved(&self) {
        self.seen.moved.store(self.connections.moves.fetch_add(1, Relaxed), Relaxed);
    }

    fn note<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.seen.is_stalled.store(written.is_pending(), Relaxed);
        if written.is_ready() {
            self.moved();
            self.patience = None;
            return written;
        }
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(WRITE_PATIENCE)));
        patience.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.moved();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{Instant, timeout};

    use super::*;

    async fn has_to_go(place: &Place) -> bool {
        timeout(Duration::ZERO, place.is_needed()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_been_silent_longest_goes_and_nobody_who_is_served() {
        let connections = Connections::new(4);
        let [served, stalled, silent, spoke] = std::array::from_fn(|_| connections.admit());
        let (_served, _stalled) = (served.begin(), stalled.begin());
        let (here, mut there) = duplex(1);
        let mut here = stalled.watch(here);
        assert!(timeout(Duration::ZERO, here.write_all(b"too much")).await.is_err());
        let (near, mut far) = duplex(8);
        let mut near = spoke.watch(near);
        far.write_all(b"a").await.unwrap();
        near.read_u8().await.unwrap();

        let _one = connections.admit();
        assert!(has_to_go(&silent).await && !has_to_go(&stalled).await);
        let _two = connections.admit();
        assert!(has_to_go(&stalled).await && !has_to_go(&spoke).await && !has_to_go(&served).await);
        drop(spoke);
        let _three = connections.admit();
        assert!(!has_to_go(&served).await, "somebody has left");
        assert_eq!(there.read_u8().await.unwrap(), b't');
    }

    #[tokio::test(start_paused = true)]
    async fn where_everybody_is_served_a_newcomer_does_not_wait_either() {
        let connections = Connections::new(2);
        let (one, other) = (connections.admit(), connections.admit());
        let answers = (one.begin(), other.begin());
        let _newcomer = connections.admit();
        assert!(has_to_go(&one).await && !has_to_go(&other).await);
        drop(answers);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_makes_no_progress_ends_and_one_that_does_goes_on() {
        let place = Connections::new(1).admit();
        let (here, mut there) = duplex(1);
        let mut here = place.watch(here);
        let began = Instant::now();
        let slowly = async {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(20)).await;
                there.read_u8().await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(here.write_all(&[0; 10]), slowly);
        written.unwrap();
        assert!(began.elapsed() > Duration::from_mins(3));
        let began = Instant::now();
        let error = here.write_all(b"nobody reads this").await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, WRITE_PATIENCE));
    }
}
