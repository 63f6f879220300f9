//! Looking names up by the system's resolver, which takes a thread for as long as it likes.
//!
//! A resolver that does not answer must not take all threads there are: each name is looked up once at a time for all
//! that ask for it, and few names at a time.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};

use crate::failure::{Failure, is_own_resolver};

/// Names that are looked up at a time, at most; more wait. Tokio has 512 threads for what blocks, unless it is told
/// otherwise, and others need them, too.
const AT_A_TIME: usize = 256;

/// Those that all of this process share.
pub(super) static NAMES: LazyLock<Names> =
    LazyLock::new(|| Names::new(AT_A_TIME, |host| (host, 0).to_socket_addrs().map(Iterator::collect)));

/// Asks for the addresses of a name; blocks.
type LookUp = fn(&str) -> io::Result<Vec<SocketAddr>>;

/// What has come of it; nothing as long as it has not.
type Found = Option<Result<Arc<[SocketAddr]>, Failure>>;

/// Names, and those that are being looked up.
pub(super) struct Names {
    look_up: LookUp,
    turns: Arc<Semaphore>,
    under_way: Mutex<HashMap<Arc<str>, watch::Receiver<Found>>>,
}

impl Names {
    fn new(at_a_time: usize, look_up: LookUp) -> Names {
        Names { look_up, turns: Arc::new(Semaphore::new(at_a_time)), under_way: Mutex::default() }
    }

    /// The addresses of a name, one at least, with port 0.
    pub(super) async fn addresses(&'static self, host: &str) -> Result<Arc<[SocketAddr]>, Failure> {
        let mut found = self.join(host);
        // It ends without an answer where the runtime ends on which it was begun.
        let gone = || Failure { is_own: true, ..unresolved(host, &"this process is about to end") };
        found.wait_for(Option::is_some).await.map_err(|_| gone())?.clone().unwrap_or_else(|| Err(gone()))
    }

    /// The look-up of that name that is under way, or a new one. It goes on if nobody waits for it any more: the thread
    /// cannot be stopped.
    fn join(&'static self, host: &str) -> watch::Receiver<Found> {
        let mut under_way = self.under_way();
        if let Some(found) = under_way.get(host) {
            return found.clone();
        }
        let (teller, found) = watch::channel(None);
        let host: Arc<str> = host.into();
        under_way.insert(Arc::clone(&host), found.clone());
        drop(under_way);
        let place = Place { names: self, host };
        let turns = Arc::clone(&self.turns);
        tokio::spawn(async move {
            // The semaphore is never closed.
            let turn = turns.acquire_owned().await;
            tokio::task::spawn_blocking(move || {
                let host = Arc::clone(&place.host);
                let answer = (place.names.look_up)(&host);
                // Whoever asks from now on asks anew.
                drop(place);
                let answer = answer.map_err(|error| Failure {
                    is_own: is_own_resolver(&error),
                    ..unresolved(&host, &error)
                });
                let answer = answer.and_then(|addresses| match addresses {
                    none if none.is_empty() => Err(unresolved(&host, &"it has no address")),
                    some => Ok(some.into()),
                });
                teller.send_replace(Some(answer));
                drop(turn);
            });
        });
        found
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Arc<str>, watch::Receiver<Found>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unresolved(host: &str, why: &dyn std::fmt::Display) -> Failure {
    Failure::unreachable(format!("the name `{host}` does not resolve: {why}"))
}

/// The place of a name among those that are looked up, until this is dropped.
struct Place {
    names: &'static Names,
    host: Arc<str>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.names.under_way().remove(&self.host);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// Names of which `slow.…` are answered when the test says so.
    struct Slow {
        names: &'static Names,
        asked: &'static AtomicUsize,
        answer: mpsc::Sender<()>,
    }

    static ASKED: AtomicUsize = AtomicUsize::new(0);
    static ANSWERS: Mutex<Option<mpsc::Receiver<()>>> = Mutex::new(None);

    fn slow(at_a_time: usize) -> Slow {
        let (answer, answers) = mpsc::channel();
        *ANSWERS.lock().unwrap() = Some(answers);
        ASKED.store(0, SeqCst);
        let names = Names::new(at_a_time, |host| {
            ASKED.fetch_add(1, SeqCst);
            if host.starts_with("slow.") {
                ANSWERS.lock().unwrap().as_ref().unwrap().recv().unwrap();
            }
            match host {
                "nothing.example" => Ok(Vec::new()),
                "unasked.example" => Err(io::Error::other(
                    "failed to lookup address information: Temporary failure in name resolution",
                )),
                _ => Ok(vec![SocketAddr::from(([192, 0, 2, 1], 0))]),
            }
        });
        Slow { names: Box::leak(Box::new(names)), asked: &ASKED, answer }
    }

    #[tokio::test]
    async fn a_name_that_hangs_takes_one_thread_however_often_it_is_asked_for() {
        let Slow { names, asked, answer } = slow(2);
        for _ in 0..50 {
            let given_up = timeout(Duration::from_millis(1), names.addresses("slow.example")).await;
            assert!(given_up.is_err());
        }
        assert_eq!(names.addresses("quick.example").await.unwrap().len(), 1, "others are not kept waiting");
        let under_way = || names.under_way().keys().cloned().collect::<Vec<_>>();
        assert_eq!(under_way(), ["slow.example".into()]);
        // Before the answer, so that this is the look-up which it ends.
        let mut waiting = names.join("slow.example");
        answer.send(()).unwrap();
        assert_eq!(waiting.wait_for(Option::is_some).await.unwrap().clone().unwrap().unwrap().len(), 1);
        assert_eq!(asked.load(SeqCst), 2);
        let failure = names.addresses("nothing.example").await.unwrap_err();
        assert!(!failure.is_own && failure.message.contains("it has no address"), "{failure}");
        assert!(names.addresses("unasked.example").await.unwrap_err().is_own);
    }
}
