//! What listens on a port and is no server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

/// How long an impostor waits to be asked.
const SHY: Duration = Duration::from_millis(100);

/// What it does with a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// Takes it and never says anything.
    Hangs,
    /// Closes it at once.
    Closes,
    /// Closes it once it has been asked, or has waited for that in vain: with some protocols the server speaks first.
    ClosesWhenAsked,
    /// Says this, and nothing more.
    SaysAndHangs(&'static [u8]),
    /// Says this, and closes it.
    Says(&'static [u8]),
    /// As that, but waits to be asked before.
    Answers(&'static [u8]),
    /// As that, but goes on with zeros for as long as anybody takes them.
    Floods(&'static [u8]),
}

/// Listens until it is dropped.
pub(crate) struct Impostor {
    pub(crate) address: SocketAddr,
    /// So many zeros were taken.
    pub(crate) taken: Arc<AtomicU64>,
    task: AbortHandle,
}

impl Impostor {
    pub(crate) async fn start(manner: Manner) -> Impostor {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&taken);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(receive(stream, manner, Arc::clone(&counted)));
            }
        });
        Impostor { address, taken, task: task.abort_handle() }
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn receive(mut stream: TcpStream, manner: Manner, taken: Arc<AtomicU64>) {
    let mut heard = [0; 4096];
    // Whoever is at the other end may have gone; that is what these are for.
    match manner {
        Manner::Hangs => while stream.read(&mut heard).await.is_ok_and(|read| read > 0) {},
        Manner::Closes => {}
        Manner::ClosesWhenAsked => drop(timeout(SHY, stream.read(&mut heard)).await),
        Manner::SaysAndHangs(bytes) => {
            let _ = stream.write_all(bytes).await;
            while stream.read(&mut heard).await.is_ok_and(|read| read > 0) {}
        }
        Manner::Floods(bytes) => {
            let _ = timeout(SHY, stream.read(&mut heard)).await;
            let _ = stream.write_all(bytes).await;
            // Whoever takes so much would take all; it is not for a test to find out how much memory there is.
            while taken.load(Ordering::SeqCst) < 256 << 20 {
                let Ok(written) = stream.write(&[0; 16 << 10]).await else { return };
                taken.fetch_add(written as u64, Ordering::SeqCst);
            }
        }
        Manner::Says(bytes) | Manner::Answers(bytes) => {
            if matches!(manner, Manner::Answers(_)) {
                let _ = timeout(SHY, stream.read(&mut heard)).await;
            }
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
            // Unread bytes would turn the end into a reset, which could overtake what was said.
            let rest = async { while stream.read(&mut heard).await.is_ok_and(|read| read > 0) {} };
            let _ = timeout(Duration::from_secs(1), rest).await;
        }
    }
}
