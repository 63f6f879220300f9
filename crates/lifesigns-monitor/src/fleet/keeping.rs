//! Whether the history takes what happens. Where it does not, the monitor watches, decides and tells on; what happens
//! waits, and would be forgotten at a restart.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lifesigns::{Check, CheckPolicy, FailureKind, Report};
use lifesigns_model::store::StoreError;

use super::{Fleet, Inner};
use crate::watch::PROVE_EVERY;

/// What the check of it is called.
const CHECK: &str = "fleet-history";

/// What is known of that.
#[derive(Debug)]
pub(crate) struct Keeping(Mutex<Known>);

#[derive(Debug)]
struct Known {
    /// When everything was last known to be safe, in milliseconds since 1970.
    kept_at: i64,
    /// Entries that the history has taken so far, and how many of them are known to be safe.
    given: u64,
    safe: u64,
    /// Whether it did not even take what it was given last.
    is_full: bool,
    /// Why the last attempt to make everything safe came to nothing.
    failure: Option<String>,
}

/// How the history is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct State {
    /// When everything was last known to be safe, in milliseconds since 1970.
    pub(crate) kept_at: i64,
    /// Entries that are not known to be safe.
    pub(crate) waiting: u64,
    /// Readings and events that were given up.
    pub(crate) dropped: (u64, u64),
    /// Why nothing is kept at the moment, for operators; `None` while it is.
    pub(crate) trouble: Option<String>,
}

impl Keeping {
    pub(crate) fn new(now: i64) -> Keeping {
        Keeping(Mutex::new(Known { kept_at: now, given: 0, safe: 0, is_full: false, failure: None }))
    }

    /// The history was given so much, or took nothing.
    pub(crate) fn given(&self, given: Result<usize, ()>) {
        let mut known = self.lock();
        match given {
            // Nothing to take is no sign that it takes something.
            Ok(0) => {}
            Ok(count) => {
                known.given += count as u64;
                known.is_full = false;
            }
            Err(()) if known.is_full => {}
            Err(()) => {
                known.is_full = true;
                tracing::error!("the history takes nothing more; what happens waits in memory");
            }
        }
    }

    /// How much it has taken so far; to be told when that is safe.
    pub(crate) fn begin(&self) -> u64 {
        self.lock().given
    }

    /// All that there was at the beginning is safe, or may not be. True if that is otherwise than before.
    pub(crate) fn ended(&self, now: i64, begun: u64, result: Result<(), StoreError>) -> bool {
        let mut known = self.lock();
        let is_news = known.failure.is_some() == result.is_ok();
        match result {
            Ok(()) => {
                known.safe = known.safe.max(begun);
                known.kept_at = now;
                if known.failure.take().is_some() {
                    tracing::info!("the history keeps what happens again");
                }
            }
            Err(error) => {
                let text = error.to_string();
                if known.failure.is_none() {
                    tracing::error!(
                        why = text,
                        "the history keeps nothing at the moment; what happens waits in memory"
                    );
                }
                known.failure = Some(text);
            }
        }
        is_news
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// How the history is.
    pub(crate) fn history(&self) -> State {
        let (waiting, dropped) = {
            let desk = self.desk();
            (desk.waiting(), desk.dropped())
        };
        let known = self.keeping.lock();
        let full = || known.is_full.then(|| "it takes nothing more: too much waits in it".to_owned());
        State {
            kept_at: known.kept_at,
            waiting: waiting as u64 + known.given - known.safe,
            dropped,
            trouble: known.failure.clone().or_else(full),
        }
    }
}

impl Fleet {
    /// Takes to the history what was said to the fleet after [`Self::watch`] had ended, such as that somebody takes an
    /// incident up. For whoever goes on to serve its pages until then.
    pub fn keep_rest(&self) {
        self.inner.keep();
    }

    /// Whether the history of the fleet keeps what happens, as a check for the health of the monitor itself. It turns
    /// the light amber and fails neither readiness nor liveness: the monitor goes on to watch, to decide and to tell.
    pub fn history_check(&self) -> Check {
        let fleet = self.clone();
        let policy = CheckPolicy {
            interval: PROVE_EVERY,
            failure_threshold: 1,
            recovery_threshold: 1,
            shared: false,
            fails_readiness: false,
            ..CheckPolicy::default()
        };
        let probe = move || {
            let state = fleet.inner.history();
            let report = match state.trouble {
                Some(why) => Report::fail(FailureKind::Failed, why),
                None => Report::pass(),
            };
            std::future::ready(report.observed("waiting", state.waiting as f64, "entries"))
        };
        Check::new(CHECK, probe).with_policy(policy)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::time::Duration;

    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use lifesigns_model::check::Outcome;
    use lifesigns_model::history::{Entry, Event, EventSelection, HistoryStore, Reading, Span};
    use lifesigns_model::store::KeptNote;
    use lifesigns_store::history::{HistoryRetention, MemoryHistory};
    use tokio::sync::oneshot;
    use tower::ServiceExt;

    use super::*;
    use crate::fleet::NO_MORE;
    use crate::pages;
    use crate::poll::Manner;
    use crate::service::{Observation, Sight};
    use crate::target::Target;
    use crate::watch::flush;
    use crate::{Options, resources};

    /// A history on a disk that takes nothing, as long as that is so.
    #[derive(Default)]
    struct Full(AtomicBool);

    impl HistoryStore for Full {
        fn append(&self, _: Vec<Entry>) -> Result<(), Vec<Entry>> {
            Ok(())
        }

        fn flush(&self, _: Duration) -> Result<(), StoreError> {
            if self.0.load(Relaxed) { Err(StoreError::new("no room for <history.db>")) } else { Ok(()) }
        }

        fn readings(&self, _: &str, _: Span) -> Result<Vec<Reading>, StoreError> {
            Ok(Vec::new())
        }

        fn events(&self, _: &EventSelection) -> Result<Vec<Event>, StoreError> {
            Ok(Vec::new())
        }

        fn recall(&self, _: &str) -> Result<Vec<KeptNote>, StoreError> {
            Ok(Vec::new())
        }
    }

    async fn page(fleet: &Fleet, path: &str) -> String {
        let router =
            resources::figures(fleet).merge(pages::router(fleet.clone(), pages::Settings::default()));
        let answer = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        String::from_utf8(to_bytes(answer.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn whoever_took_an_incident_up_while_the_monitor_was_stopped_was_told_so_and_forgotten() {
        let store: Arc<dyn HistoryStore> = Arc::new(MemoryHistory::new(HistoryRetention::default()));
        let open = || {
            let target = Target::new("shop", "http://192.0.2.1/".parse().unwrap());
            Fleet::open(Options { targets: vec![target], ..Options::default() }, Arc::clone(&store)).unwrap()
        };
        let fleet = open();
        for _ in 0..fleet.inner.watched[0].target.patience.failures {
            let sight = Sight::Failed { why: "no answer".to_owned() };
            let seen = Observation { at: fleet.now(), sight, introduction: None, traffic: None };
            fleet.inner.observe(0, &seen, Manner::default());
        }
        let (stop, stopped) = oneshot::channel();
        drop(stop);
        fleet.watch(stopped).await;
        let id = fleet.incidents()[0].id.clone();
        assert!(fleet.acknowledge(&id, "kim"));
        assert_eq!(*fleet.changes().borrow(), NO_MORE);
        fleet.keep_rest();
        let found = open().incidents()[0].acknowledged.clone();
        assert_eq!(found.unwrap().by, "kim");
    }

    #[tokio::test]
    async fn a_history_that_takes_nothing_showed_in_the_log_alone() {
        let store = Arc::new(Full::default());
        let fleet = Fleet::open(Options::default(), Arc::clone(&store) as Arc<dyn HistoryStore>).unwrap();
        let figure = |text: &str, name: &str| {
            let name = format!("lifesigns_monitor_history_{name} ");
            let figure = text.lines().find_map(|line| line.strip_prefix(&*name));
            figure.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
        };
        let figures = |text: &str| (figure(text, "keeps"), figure(text, "waiting"));
        let told = |keeps: &str, waiting: &str| (keeps.to_owned(), waiting.to_owned());
        let paths = ["/", "/incidents"];
        assert!(fleet.inner.keep() && flush(&fleet.inner).await);
        let text = page(&fleet, "/metrics").await;
        assert_eq!(figures(&text), told("1", "0"));
        assert_eq!(fleet.history_check().run_once().await.outcome, Outcome::Pass);
        for path in paths {
            assert!(!page(&fleet, path).await.contains("is not kept"));
        }

        store.0.store(true, Relaxed);
        fleet.inner.desk().alive(1);
        assert!(fleet.inner.keep(), "it takes entries, and does not keep them");
        assert!(!flush(&fleet.inner).await);
        let text = page(&fleet, "/metrics").await;
        assert_eq!(figures(&text), told("0", "1"));
        assert!(figure(&text, "kept_age_seconds").parse::<f64>().is_ok());
        let check = fleet.history_check();
        let report = check.run_once().await;
        assert_eq!(report.outcome, Outcome::Fail);
        assert!(report.output.unwrap().contains("no room"));
        let policy = check.policy();
        assert!(!policy.critical && !policy.fails_readiness && !policy.fails_liveness);
        for path in paths {
            let page = page(&fleet, path).await;
            assert!(
                page.contains("no room for &lt;history.db&gt;") && page.contains("is not kept"),
                "{page}"
            );
        }

        store.0.store(false, Relaxed);
        assert!(flush(&fleet.inner).await);
        assert_eq!(fleet.history_check().run_once().await.outcome, Outcome::Pass);
        assert_eq!(figures(&page(&fleet, "/metrics").await), told("1", "0"));
    }
}
