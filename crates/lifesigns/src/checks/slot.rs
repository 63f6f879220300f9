//! One check of a process: what its runs have come to, and the run that is under way.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lifesigns_model::check::{CheckState, FailureKind, Outcome, Report, Run, Standing};
use lifesigns_model::policy::Powers;

use super::Check;
use crate::clock::Timekeeper;
use crate::recorder::lock;

/// A check, the APIs that it counts for, and its state.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) check: Arc<Check>,
    /// Indices of the APIs of the process.
    pub(crate) apis: Vec<usize>,
    state: Mutex<SlotState>,
}

#[derive(Debug, Default)]
struct SlotState {
    check: CheckState,
    /// The run whose result is waited for.
    awaited: Option<RunNumber>,
    /// The run that has been given up and has not come back; nothing else may start until it has.
    given_up: Option<RunNumber>,
    started: u64,
    /// Whether it has ever held up the thread that it shared with others.
    is_loner: bool,
    counts: RunCounts,
}

/// How runs have ended, since the process began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RunCounts {
    /// Runs that passed.
    pub passed: u64,
    /// Runs that warned.
    pub warned: u64,
    /// Runs that failed.
    pub failed: u64,
}

/// Tells the runs of one check apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RunNumber(u64);

/// A check as it is now.
#[derive(Clone, Debug)]
pub struct CheckSnapshot {
    /// The check.
    pub check: Arc<Check>,
    /// How it stands.
    pub standing: Standing,
    /// Its last run, if there was one.
    pub last: Option<Arc<Run>>,
    /// How its runs have ended.
    pub counts: RunCounts,
}

impl CheckSnapshot {
    /// What the check may do to the light and to the probes.
    pub fn powers(&self) -> Powers {
        Powers::of_check(self.check.policy())
    }

    /// How it stands and what its last run said: for those who may see details.
    pub fn explanation(&self) -> String {
        let said = self.last.as_ref().map(|run| &run.report);
        let kind = said.and_then(|report| report.failure).map(|kind| format!(": {kind}")).unwrap_or_default();
        let output = said.and_then(|report| report.output.as_ref());
        let output = output.map(|output| format!(" ({output})")).unwrap_or_default();
        format!("{}{kind}{output}", self.standing.finding)
    }
}

impl Slot {
    pub(crate) fn new(check: Arc<Check>, apis: Vec<usize>) -> Slot {
        Slot { check, apis, state: Mutex::default() }
    }

    /// Begins a run, unless an earlier one is still under way.
    pub(crate) fn begin(&self) -> Option<RunNumber> {
        let mut state = lock(&self.state);
        if state.awaited.is_some() || state.given_up.is_some() {
            return None;
        }
        state.started += 1;
        let number = RunNumber(state.started);
        state.awaited = Some(number);
        Some(number)
    }

    /// Begins the same run anew, since the thread that had it is held up by another check.
    pub(crate) fn begin_again(&self, number: RunNumber) -> Option<RunNumber> {
        let mut state = lock(&self.state);
        if state.awaited != Some(number) {
            return None;
        }
        state.awaited = None;
        drop(state);
        self.begin()
    }

    /// A run has ended by itself. What comes after it was given up is late and does not count.
    pub(crate) fn finish(&self, number: RunNumber, run: Run) {
        let mut state = lock(&self.state);
        if state.awaited == Some(number) {
            state.awaited = None;
            state.count(run, &self.check);
        } else if state.given_up == Some(number) {
            state.given_up = None;
        }
    }

    /// Waits no longer for a run: this is its result. True if it was still waited for. It stays in the way of the
    /// next one until it comes back.
    pub(crate) fn give_up(&self, number: RunNumber, run: Run) -> bool {
        let mut state = lock(&self.state);
        if state.awaited != Some(number) {
            return false;
        }
        state.awaited = None;
        state.given_up = Some(number);
        state.count(run, &self.check);
        true
    }

    /// The result of a check that could not even be started.
    pub(crate) fn not_started(&self, run: Run) {
        lock(&self.state).count(run, &self.check);
    }

    /// A run that was given up never can come back.
    pub(crate) fn came_back(&self, number: RunNumber) {
        let mut state = lock(&self.state);
        if state.given_up == Some(number) {
            state.given_up = None;
        }
    }

    pub(crate) fn is_awaited(&self, number: RunNumber) -> bool {
        lock(&self.state).awaited == Some(number)
    }

    pub(crate) fn is_given_up(&self) -> bool {
        lock(&self.state).given_up.is_some()
    }

    /// From now on it runs on threads of its own.
    pub(crate) fn isolate(&self) {
        lock(&self.state).is_loner = true;
    }

    pub(crate) fn is_isolated(&self) -> bool {
        self.check.is_blocking() || lock(&self.state).is_loner
    }

    pub(crate) fn snapshot(&self, elapsed: Duration) -> CheckSnapshot {
        let state = lock(&self.state);
        CheckSnapshot {
            check: Arc::clone(&self.check),
            standing: state.check.standing(&self.check.policy, elapsed),
            last: state.check.last().cloned(),
            counts: state.counts,
        }
    }
}

impl SlotState {
    fn count(&mut self, run: Run, check: &Check) {
        match run.report.outcome {
            Outcome::Pass => self.counts.passed += 1,
            Outcome::Warn => self.counts.warned += 1,
            Outcome::Fail => self.counts.failed += 1,
        }
        self.check.finished(run, &check.policy);
    }
}

/// Sees to it that a run always has an end: whoever is dropped with it, be it by a panic, a shutdown or an abandoned
/// thread, says so.
pub(crate) struct Running {
    pub(crate) slot: Arc<Slot>,
    pub(crate) number: RunNumber,
    pub(crate) time: Timekeeper,
    pub(crate) began: Duration,
    report: Option<Report>,
}

impl Running {
    pub(crate) fn new(slot: Arc<Slot>, number: RunNumber, time: Timekeeper) -> Running {
        let began = time.elapsed();
        Running { slot, number, time, began, report: None }
    }

    pub(crate) fn ends(mut self, report: Report) {
        self.report = Some(report);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = self.time.now();
        let report = self.report.take().unwrap_or_else(panicked);
        let took = ended.elapsed.saturating_sub(self.began);
        self.slot.finish(self.number, Run { ended, took, report });
    }
}

/// What a panic is worth. Its message is left to the log: it may hold anything.
pub(crate) fn panicked() -> Report {
    Report::fail(FailureKind::Panicked, "the check panicked")
}

/// Calls a function that belongs to somebody else.
pub(crate) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, Report> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| panicked())
}
