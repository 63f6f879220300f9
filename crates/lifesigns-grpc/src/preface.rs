//! The socket of a client that has to speak first.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Bytes that every client sends before anything else (RFC 9113 §3.4).
const PREFACE_LENGTH: usize = 24;

/// A socket that ends in an error if the client's preface is not there in time. Pings cannot find out that nobody is
/// there: they are sent only once it has come.
pub(crate) struct Prompt<T> {
    stream: T,
    /// How many bytes of the preface are still to come, and until when.
    missing: Option<(usize, Pin<Box<Sleep>>)>,
}

impl<T> Prompt<T> {
    pub(crate) fn new(stream: T, patience: Duration) -> Prompt<T> {
        Prompt { stream, missing: Some((PREFACE_LENGTH, Box::pin(sleep(patience)))) }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Prompt<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some((_, deadline)) = &mut this.missing
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        if let Some((bytes, _)) = &mut this.missing {
            *bytes = bytes.saturating_sub(buffer.filled().len() - before);
            if *bytes == 0 {
                this.missing = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Prompt<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_preface_in_drops_has_no_longer_than_one_that_does_not_come() {
        let (mut client, server) = duplex(64);
        let mut server = Prompt::new(server, PATIENCE);
        let came = Instant::now();
        let dripping = tokio::spawn(async move {
            while client.write_all(b"P").await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        let error = server.read_exact(&mut [0; PREFACE_LENGTH]).await.unwrap_err();
        assert_eq!((error.kind(), came.elapsed().as_secs()), (io::ErrorKind::TimedOut, 10));
        drop(server);
        dripping.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_sent_it_may_be_silent() {
        let (mut client, server) = duplex(64);
        let mut server = Prompt::new(server, PATIENCE);
        client.write_all(&[b'P'; PREFACE_LENGTH]).await.unwrap();
        server.read_exact(&mut [0; PREFACE_LENGTH]).await.unwrap();
        let later = tokio::spawn(async move {
            sleep(100 * PATIENCE).await;
            client.write_all(b"x").await.unwrap();
        });
        assert_eq!(server.read_u8().await.unwrap(), b'x');
        later.await.unwrap();
    }
}
