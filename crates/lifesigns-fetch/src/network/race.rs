//! Connections to the several addresses of one name (RFC 8305).

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use lifesigns::FailureKind;
use tokio::time::sleep;

use crate::failure::{Failure, is_own};

/// The next address is tried when the one before has not answered for so long (RFC 8305 §5 recommends it).
const NEXT_AFTER: Duration = Duration::from_millis(250);

/// So many refusals are told.
const TOLD: usize = 3;

/// What `open` gives for the first address that it succeeds with.
///
/// The addresses are tried in their order, each as soon as the one before has failed or has taken [`NEXT_AFTER`]; what
/// has begun goes on. All of it ends with this future.
pub(super) async fn race<F, T>(
    addresses: Vec<SocketAddr>,
    open: impl Fn(SocketAddr) -> F,
) -> Result<T, Failure>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = addresses.into_iter();
    let mut running = Vec::new();
    let mut refusals = Refusals::default();
    loop {
        match waiting.next() {
            Some(address) => running.push(Box::pin(attempt(address, open(address)))),
            None if running.is_empty() => return Err(refusals.into()),
            None => {}
        }
        tokio::select! {
            (address, opened) = first(&mut running) => match opened {
                Ok(opened) => return Ok(opened),
                Err(error) => refusals.add(address, &error),
            },
            () = sleep(NEXT_AFTER), if waiting.len() > 0 => {}
        }
    }
}

async fn attempt<T>(
    address: SocketAddr,
    opening: impl Future<Output = io::Result<T>>,
) -> (SocketAddr, io::Result<T>) {
    (address, opening.await)
}

/// What the first of them to end gives. That one is taken out.
async fn first<F: Future>(running: &mut Vec<Pin<Box<F>>>) -> F::Output {
    poll_fn(|context| {
        for index in 0..running.len() {
            if let Poll::Ready(output) = running[index].as_mut().poll(context) {
                drop(running.swap_remove(index));
                return Poll::Ready(output);
            }
        }
        Poll::Pending
    })
    .await
}

/// Why no address would do.
#[derive(Default)]
struct Refusals {
    told: Vec<String>,
    not_told: usize,
    is_denied: bool,
    /// Whether one of them at least says something of the server.
    is_about_server: bool,
}

impl Refusals {
    fn add(&mut self, address: SocketAddr, error: &io::Error) {
        self.is_denied |= error.kind() == io::ErrorKind::PermissionDenied;
        self.is_about_server |= !is_own(error);
        if self.told.len() < TOLD {
            self.told.push(format!("{address}: {error}"));
        } else {
            self.not_told += 1;
        }
    }
}

impl From<Refusals> for Failure {
    fn from(refusals: Refusals) -> Failure {
        let more = match refusals.not_told {
            0 => String::new(),
            count => format!("; and {count} addresses more"),
        };
        let message = refusals.told.join("; ") + &more;
        let kind = if refusals.is_denied { FailureKind::Denied } else { FailureKind::Unreachable };
        Failure { kind, message, is_own: !refusals.is_about_server }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;

    use rustix::io::Errno;
    use tokio::sync::Notify;
    use tokio::time::timeout;

    use super::*;

    /// So many addresses; their ports are 1, 2, 3, …
    fn addresses(count: u16) -> Vec<SocketAddr> {
        (1..=count).map(|port| SocketAddr::from(([192, 0, 2, 1], port))).collect()
    }

    #[tokio::test]
    async fn a_dead_first_address_does_not_use_up_the_time() {
        let open = async |address: SocketAddr| match address.port() {
            1 => pending().await,
            port => Ok(port),
        };
        let opened = timeout(Duration::from_secs(20), race(addresses(2), open)).await;
        assert_eq!(opened.unwrap().unwrap(), 2);
    }

    #[tokio::test]
    async fn a_slow_first_address_stays_in_the_race() {
        let second_has_begun = Notify::new();
        let open = async |address: SocketAddr| {
            if address.port() == 1 {
                second_has_begun.notified().await;
                return Ok(1);
            }
            second_has_begun.notify_one();
            pending().await
        };
        let opened = timeout(Duration::from_secs(20), race(addresses(2), open)).await;
        assert_eq!(opened.unwrap().unwrap(), 1);
    }

    #[tokio::test]
    async fn dropping_the_race_drops_all_attempts() {
        let (open_ones, has_begun) = (Arc::new(()), Notify::new());
        let open = |address: SocketAddr| {
            let (one, has_begun) = (Arc::clone(&open_ones), &has_begun);
            async move {
                if address.port() == 3 {
                    has_begun.notify_one();
                }
                let never: io::Result<()> = pending().await;
                drop(one);
                never
            }
        };
        tokio::select! {
            _ = race(addresses(3), open) => panic!("nobody answers"),
            () = has_begun.notified() => {}
        }
        assert_eq!(Arc::strong_count(&open_ones), 1);
    }

    #[tokio::test]
    async fn it_is_this_machines_fault_where_all_refusals_are() {
        let refused = |first: Errno, second: Errno| {
            race::<_, ()>(addresses(2), move |address| async move {
                Err(if address.port() == 1 { first } else { second }.into())
            })
        };
        assert!(refused(Errno::NETUNREACH, Errno::MFILE).await.unwrap_err().is_own);
        assert!(!refused(Errno::NETUNREACH, Errno::CONNREFUSED).await.unwrap_err().is_own);
    }

    #[tokio::test]
    async fn refusals_are_told_up_to_a_bound() {
        let refused =
            |kind: io::ErrorKind| race::<_, ()>(addresses(1000), move |_| async move { Err(kind.into()) });
        let failure = refused(io::ErrorKind::ConnectionRefused).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unreachable);
        assert_eq!(
            failure.message,
            "192.0.2.1:1: connection refused; 192.0.2.1:2: connection refused; 192.0.2.1:3: connection refused; \
             and 997 addresses more"
        );
        assert_eq!(refused(io::ErrorKind::PermissionDenied).await.unwrap_err().kind, FailureKind::Denied);
    }
}
