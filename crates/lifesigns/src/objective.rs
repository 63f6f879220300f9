//! Keeps the counts of an API's objective: fed by the collector at each tick, and at the start with what the store
//! remembers, so that a restart forgets nothing.
//!
//! The ledger's time is that of the wall when the process began, and what has passed since by the clock that nobody
//! can set. Whoever sets the wall's clock changes no budget.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

use lifesigns_model::bucket::Minute;
use lifesigns_model::moment::Moment;
use lifesigns_model::objective::{Counts, HistoryPart, Ledger, Objective, ObjectiveReport};
use lifesigns_model::store::StoreError;
use serde_json::{Value, json};

use crate::process::Process;
use crate::recorder::lock;

/// How long the start waits for what the store remembers of the present minute. Nothing is counted before that, so
/// nothing can be counted twice.
const START_PATIENCE: Duration = Duration::from_secs(1);

/// When a store that could not be read is asked again; twice as long each time, up to the longest.
const FIRST_RETRY_AFTER: Duration = Duration::from_secs(1);
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(1);

/// An API's objective and how it stands.
#[derive(Debug)]
pub(crate) struct ObjectiveState {
    pub(crate) objective: Objective,
    /// Wall time at which the process began, in microseconds since the epoch.
    began_micros: i64,
    kept: Mutex<Kept>,
    history: AtomicU8,
}

#[derive(Debug)]
struct Kept {
    ledger: Ledger,
    since_start: Counts,
}

/// How much of what was counted before the process began is in the ledger.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum History {
    /// Nothing: there is no store to ask.
    None,
    /// A part: it is being read.
    Loading,
    /// A part: the store cannot be read, and is asked again and again.
    Failing,
    /// All that the store has of the period.
    Complete,
}

impl History {
    pub(crate) const ALL: [History; 4] =
        [History::None, History::Loading, History::Failing, History::Complete];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            History::None => "none",
            History::Loading => "loading",
            History::Failing => "failing",
            History::Complete => "complete",
        }
    }
}

impl ObjectiveState {
    /// Nothing counted so far.
    pub(crate) fn new(objective: Objective, now: Moment) -> ObjectiveState {
        let kept = Kept { ledger: Ledger::new(objective), since_start: Counts::default() };
        ObjectiveState {
            objective,
            began_micros: now.wall.as_microsecond().saturating_sub(now.elapsed.as_micros() as i64),
            kept: Mutex::new(kept),
            history: AtomicU8::new(History::None as u8),
        }
    }

    /// Counts what a tick brought.
    pub(crate) fn add(&self, counts: Counts, elapsed: Duration) {
        let mut kept = lock(&self.kept);
        kept.ledger.add(self.minute(elapsed), counts);
        kept.since_start.merge(counts);
    }

    /// How the objective stands.
    pub(crate) fn report(&self, elapsed: Duration) -> ObjectiveReport {
        lock(&self.kept).ledger.report(self.minute(elapsed))
    }

    /// What was counted since the process began.
    pub(crate) fn since_start(&self) -> Counts {
        lock(&self.kept).since_start
    }

    /// How much of what was before is known.
    pub(crate) fn history(&self) -> History {
        History::ALL[usize::from(self.history.load(Ordering::Relaxed))]
    }

    /// The report as `/health/details` shows it.
    pub(crate) fn to_json(&self, elapsed: Duration) -> Value {
        let mut report = self.report(elapsed).to_json();
        report["history"] = json!(self.history().name());
        report
    }

    fn set_history(&self, history: History) {
        self.history.store(history as u8, Ordering::Relaxed);
    }

    fn minute(&self, elapsed: Duration) -> Minute {
        Minute::new(self.began_micros.saturating_add(elapsed.as_micros() as i64).div_euclid(60_000_000))
    }

    /// The questions whose answers are the history, newest first.
    fn parts(&self) -> Vec<HistoryPart> {
        HistoryPart::of(&self.objective, self.minute(Duration::ZERO))
    }
}

/// Begins to read what the store remembers, and waits for the newest of it, but not for long: a store that hangs
/// keeps nobody from starting. Called before anything is counted.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn read_history(process: &Arc<Process>) -> io::Result<()> {
    if process.store.is_none() || process.apis.iter().all(|api| api.objective.is_none()) {
        return Ok(());
    }
    for state in process.apis.iter().filter_map(|api| api.objective.as_ref()) {
        state.set_history(History::Loading);
    }
    let counting = Arc::<AtomicBool>::default();
    let (present_is_read, wait) = mpsc::channel();
    let reader = HistoryReader {
        process: Arc::downgrade(process),
        counting: Arc::clone(&counting),
        present_is_read: Some(present_is_read),
    };
    thread::Builder::new().name("lifesigns-objective".to_owned()).spawn(move || reader.run())?;
    if wait.recv_timeout(START_PATIENCE) == Err(RecvTimeoutError::Timeout) {
        tracing::warn!(
            "the store does not answer; starting without what it remembers, and adding that to the objectives when it does"
        );
    }
    counting.store(true, Ordering::SeqCst);
    Ok(())
}

/// Reads the history of all objectives, one small question after the other, on a thread of its own.
struct HistoryReader {
    process: Weak<Process>,
    /// Whether the process counts already. Rows of the minute in which it began may then hold its own exchanges, and
    /// are left out: better a minute forgotten than counted twice.
    counting: Arc<AtomicBool>,
    /// Dropped once nobody need wait any longer.
    present_is_read: Option<Sender<()>>,
}

/// Why reading ends before its end.
enum Interrupted {
    /// There is nobody left to read for.
    Stopped,
    /// The store could not be read.
    Failed(StoreError),
}

impl HistoryReader {
    fn run(mut self) {
        let Some(process) = self.process.upgrade() else { return };
        let mut parts: Vec<(usize, std::vec::IntoIter<HistoryPart>)> = process
            .apis
            .iter()
            .enumerate()
            .filter_map(|(index, api)| Some((index, api.objective.as_ref()?.parts().into_iter())))
            .collect();
        drop(process);
        // The newest part of each first: it holds the present minute.
        while !parts.is_empty() {
            let mut unfinished = Vec::with_capacity(parts.len());
            for (api, mut rest) in parts {
                let Some(part) = rest.next() else { continue };
                let is_last = rest.len() == 0;
                if self.read_until_it_works(api, part, is_last).is_err() {
                    return;
                }
                unfinished.push((api, rest));
            }
            parts = unfinished;
            self.present_is_read = None;
        }
    }

    /// # Errors
    /// When there is nobody left to read for.
    fn read_until_it_works(&mut self, api: usize, part: HistoryPart, is_last: bool) -> Result<(), ()> {
        let mut retry_after = FIRST_RETRY_AFTER;
        loop {
            match self.read(api, part, is_last) {
                Ok(()) => return Ok(()),
                Err(Interrupted::Stopped) => return Err(()),
                Err(Interrupted::Failed(error)) => {
                    self.present_is_read = None;
                    if retry_after == FIRST_RETRY_AFTER {
                        let cause = std::error::Error::source(&error).map(ToString::to_string);
                        tracing::warn!(%error, cause, "an objective lacks what the store remembers; asking again");
                    }
                    thread::park_timeout(retry_after);
                    retry_after = (retry_after * 2).min(LONGEST_RETRY_AFTER);
                }
            }
        }
    }

    fn read(&self, api: usize, part: HistoryPart, is_last: bool) -> Result<(), Interrupted> {
        // While the store is read the process is not held: a store that hangs must not keep it alive.
        let (store, objective, selection) = {
            let process = self.process.upgrade().ok_or(Interrupted::Stopped)?;
            let state = &process.apis[api];
            let (Some(store), Some(kept)) = (&process.store, &state.objective) else { return Ok(()) };
            if process.stop.is_asked() {
                return Err(Interrupted::Stopped);
            }
            (store.clone(), kept.objective, part.selection(&kept.objective, &state.name))
        };
        let selected = store.select(&selection);
        drop(store);
        let process = self.process.upgrade().ok_or(Interrupted::Stopped)?;
        let Some(state) = &process.apis[api].objective else { return Ok(()) };
        let selected = selected.map_err(|error| {
            state.set_history(History::Failing);
            Interrupted::Failed(error)
        })?;
        let began = state.minute(Duration::ZERO);
        let mut kept = lock(&state.kept);
        let is_late = self.counting.load(Ordering::SeqCst);
        for (minute, counts) in part.counts(&objective, &selected) {
            if minute < began || !is_late {
                kept.ledger.restore(minute, counts);
            }
        }
        drop(kept);
        state.set_history(if is_last { History::Complete } else { History::Loading });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_what_has_passed_and_not_what_the_wall_says() {
        let wall = "2026-03-16T18:00:30Z".parse().unwrap();
        let objective = Objective::new(0.9).unwrap();
        let began = Duration::from_secs(90);
        let state = ObjectiveState::new(objective, Moment { wall, elapsed: began });
        state.add(Counts { good: 0, total: 10 }, began);
        let in_five_minutes = |elapsed| state.report(elapsed).burn_rates[0].counts.total;
        assert_eq!(in_five_minutes(began), 10);
        // Minutes change when the wall's did: at 18:01, half a minute later.
        assert_eq!(in_five_minutes(began + Duration::from_millis(329_999)), 10);
        assert_eq!(in_five_minutes(began + Duration::from_secs(330)), 0);
        assert_eq!(state.report(began + Duration::from_hours(24 * 29)).total, 10);
        assert_eq!(state.report(began + Duration::from_hours(24 * 31)).total, 0);
        assert_eq!(state.since_start(), Counts { good: 0, total: 10 });
    }
}
