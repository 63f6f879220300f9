//! Making what takes longer than a look at a service: on threads of its own, a few at a time, so that the thread that
//! answers load balancers goes on answering them; and once for all that ask for the same within a moment.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response};
use lifesigns_model::store::StoreError;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::Instant;

use crate::fleet::Fleet;

/// So many at a time that read the history. The history of a year takes some tens of megabytes.
const READERS: usize = 2;
/// So many at a time that do not, and need not wait for those that do.
const WRITERS: usize = 2;
/// What was made counts for so long, unless something has changed.
const FRESH: Duration = Duration::from_secs(1);
/// So much of what was made is kept; more is made for each that asks.
const MOST_KEPT: usize = 32;
/// In bytes. What has a longer name is made for each that asks.
const LONGEST_NAME: usize = 200;

/// From what something is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Source {
    /// What is known now.
    Now,
    /// The history, which may be on a disk.
    History,
}

/// What was made: the content of an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Made {
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

impl Made {
    pub(crate) fn new(content_type: &'static str, body: impl Into<Bytes>) -> Made {
        Made { content_type, body: body.into() }
    }

    /// 200 with this.
    pub(crate) fn answer(self) -> Response<Body> {
        let mut answer = Response::new(Body::from(self.body));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        answer
    }
}

/// Why something was not made.
#[derive(Debug)]
pub(crate) enum Unmade {
    /// The history cannot be read.
    Unreadable(StoreError),
    /// It came to no end.
    Broken(JoinError),
}

impl Display for Unmade {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Unmade::Unreadable(error) => error.fmt(f),
            Unmade::Broken(error) => error.fmt(f),
        }
    }
}

/// Where things are made.
#[derive(Debug)]
pub(crate) struct Making {
    readers: Arc<Semaphore>,
    writers: Arc<Semaphore>,
    kept: Mutex<HashMap<String, Slot>>,
}

/// Whoever makes it holds it; the others wait, and find it made.
type Slot = Arc<tokio::sync::Mutex<Option<Kept>>>;

/// What was made a moment ago.
#[derive(Debug)]
struct Kept {
    begun: Instant,
    /// Changes of the fleet until then.
    changes: u64,
    made: Made,
}

impl Default for Making {
    fn default() -> Making {
        Making {
            readers: Arc::new(Semaphore::new(READERS)),
            writers: Arc::new(Semaphore::new(WRITERS)),
            kept: Mutex::default(),
        }
    }
}

impl Making {
    /// Where something of that name is kept, if there is room for it.
    fn slot(&self, name: String) -> Option<Slot> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, slot| {
            let is_fresh = || slot.try_lock().is_ok_and(|kept| kept.as_ref().is_some_and(Kept::is_fresh));
            Arc::strong_count(slot) > 1 || is_fresh()
        });
        let has_room = kept.contains_key(&name) || kept.len() < MOST_KEPT && name.len() <= LONGEST_NAME;
        has_room.then(|| Arc::clone(kept.entry(name).or_default()))
    }
}

impl Kept {
    fn is_fresh(&self) -> bool {
        self.begun.elapsed() < FRESH
    }
}

impl Fleet {
    /// Makes something on a thread that may take its time.
    pub(crate) async fn make<T: Send + 'static>(
        &self,
        source: Source,
        make: impl FnOnce(&Fleet) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Unmade> {
        let making = &self.inner.making;
        let places = match source {
            Source::Now => &making.writers,
            Source::History => &making.readers,
        };
        // It is never closed.
        let place = Arc::clone(places).acquire_owned().await;
        let fleet = self.clone();
        let made = spawn_blocking(move || {
            let made = make(&fleet);
            drop(place);
            made
        });
        made.await.map_err(Unmade::Broken)?.map_err(Unmade::Unreadable)
    }

    /// The same, once for all that ask for it by that name while it is made, and for a second afterwards if nothing
    /// changes. The name has to tell everything that decides what is made.
    pub(crate) async fn make_once(
        &self,
        source: Source,
        name: String,
        make: impl FnOnce(&Fleet) -> Result<Made, StoreError> + Send + 'static,
    ) -> Result<Made, Unmade> {
        let asked = Instant::now();
        let Some(slot) = self.inner.making.slot(name) else { return self.make(source, make).await };
        let mut kept = slot.lock().await;
        let is_same = |kept: &&Kept| kept.is_fresh() && kept.changes == self.count_of_changes();
        if let Some(kept) = kept.as_ref().filter(|kept| kept.begun > asked || is_same(kept)) {
            return Ok(kept.made.clone());
        }
        let made = self.make(source, |fleet| {
            let (begun, changes) = (Instant::now(), fleet.count_of_changes());
            Ok(Kept { begun, changes, made: make(fleet)? })
        });
        Ok(kept.insert(made.await?).made.clone())
    }

    fn count_of_changes(&self) -> u64 {
        *self.inner.changes.borrow()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use lifesigns_store::history::{HistoryRetention, MemoryHistory};
    use tokio::time::{advance, timeout};

    use super::*;
    use crate::Options;

    fn fleet() -> Fleet {
        let store = Arc::new(MemoryHistory::new(HistoryRetention::default()));
        Fleet::open(Options::default(), store).unwrap()
    }

    async fn ask(fleet: &Fleet, name: &str, count: &Arc<AtomicUsize>) -> Made {
        let count = Arc::clone(count);
        let made = fleet.make_once(Source::Now, name.to_owned(), move |_| {
            Ok(Made::new("text/plain", count.fetch_add(1, Ordering::Relaxed).to_string()))
        });
        made.await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_many_ask_for_is_made_once_until_a_second_has_passed_or_something_has_changed() {
        let (fleet, count) = (fleet(), Arc::default());
        let many: Vec<_> = (0..200)
            .map(|_| {
                let (fleet, count) = (fleet.clone(), Arc::clone(&count));
                tokio::spawn(async move { ask(&fleet, "page", &count).await.body })
            })
            .collect();
        for one in many {
            assert_eq!(one.await.unwrap(), "0");
        }
        assert_eq!(ask(&fleet, "other page", &count).await.body, "1");
        fleet.inner.tell_news();
        assert_eq!(ask(&fleet, "page", &count).await.body, "2");
        advance(FRESH).await;
        assert_eq!(ask(&fleet, "page", &count).await.body, "3");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_has_a_bound_and_what_is_not_is_made_all_the_same() {
        let (fleet, count) = (fleet(), Arc::default());
        for page in 0..2 * MOST_KEPT {
            ask(&fleet, &format!("page {page}"), &count).await;
        }
        let kept = || fleet.inner.making.kept.lock().unwrap().len();
        assert_eq!((kept(), count.load(Ordering::Relaxed)), (MOST_KEPT, 2 * MOST_KEPT));
        ask(&fleet, &"x".repeat(LONGEST_NAME + 1), &count).await;
        advance(FRESH).await;
        ask(&fleet, "page", &count).await;
        assert_eq!(kept(), 1, "what is old is let go of");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_slow_history_keeps_neither_this_thread_nor_other_makers_waiting() {
        let fleet = fleet();
        let (go_on, gate) = std::sync::mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let slow: Vec<_> = (0..=READERS)
            .map(|_| {
                let (fleet, gate) = (fleet.clone(), Arc::clone(&gate));
                tokio::spawn(async move {
                    let wait = move |_: &Fleet| {
                        gate.lock().unwrap().recv().unwrap();
                        Ok(())
                    };
                    fleet.make(Source::History, wait).await.unwrap();
                })
            })
            .collect();
        let quick = fleet.make(Source::Now, |_| Ok("made"));
        assert_eq!(timeout(Duration::from_secs(20), quick).await.unwrap().unwrap(), "made");
        // Any of them may take any of these.
        slow.iter().for_each(|_| go_on.send(()).unwrap());
        for one in slow {
            one.await.unwrap();
        }
    }
}
