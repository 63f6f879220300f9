//! What waits for a thread that writes, and whoever waits until it is safe.
//!
//! Batches are numbered in the order in which they come. A flush is the wish that the newest batch of that moment
//! be written, so however many ask, none of them takes room. How much may wait is up to whoever puts batches in.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Batches that are not collected any longer, however soon that is.
const COLLECTED_AT_MOST: usize = 1000;

#[derive(Debug)]
pub(crate) struct Queue<B> {
    state: Mutex<State<B>>,
    /// There may be something to do for the thread.
    work: Condvar,
    /// There may be an answer for those who wait.
    answers: Condvar,
}

#[derive(Debug)]
struct State<B> {
    batches: VecDeque<B>,
    /// Number of the newest batch.
    appended: u64,
    /// Number of the newest batch that the thread has taken.
    taken: u64,
    /// All batches up to this number are in the file, or were given up as too old or too many.
    written: u64,
    /// How many flushes have been asked for, and up to which the thread knows of them.
    asked: u64,
    noticed: u64,
    failure: Option<Failure>,
    /// What somebody who reads has found damaged: which file, counted from the first, and what.
    damage: Option<(u64, String)>,
    closed: bool,
    /// The thread has ended.
    over: bool,
}

/// The last attempt that failed: what it would have written, and for which flushes.
#[derive(Debug)]
struct Failure {
    taken: u64,
    noticed: u64,
    text: String,
}

/// What the thread takes at once.
#[derive(Debug)]
pub(crate) struct Taken<B> {
    pub(crate) batches: Vec<B>,
    /// Whether somebody waits for an attempt to write.
    pub(crate) asked: bool,
    /// What somebody who reads has found damaged, if anything: which file, and what.
    pub(crate) damage: Option<(u64, String)>,
    /// Whether more can come.
    pub(crate) open: bool,
}

/// Why a flush was not granted.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Unflushed {
    /// Writing failed, with this text.
    Failed(String),
    /// Patience was over first.
    TooSlow,
    /// Nobody writes any more.
    Over,
}

impl<B> Default for Queue<B> {
    fn default() -> Queue<B> {
        let state = State {
            batches: VecDeque::new(),
            appended: 0,
            taken: 0,
            written: 0,
            asked: 0,
            noticed: 0,
            failure: None,
            damage: None,
            closed: false,
            over: false,
        };
        Queue { state: Mutex::new(state), work: Condvar::new(), answers: Condvar::new() }
    }
}

impl<B> Queue<B> {
    /// Whether batches are still taken from it.
    pub(crate) fn is_open(&self) -> bool {
        let state = self.state();
        !state.over && !state.closed
    }

    /// Adds a batch to an open queue. Where that is closed meanwhile it is still taken, unless the thread has ended.
    pub(crate) fn put(&self, batch: B) {
        let mut state = self.state();
        state.appended += 1;
        state.batches.push_back(batch);
        // It waits for the first one, and for so many.
        if matches!(state.batches.len(), 1 | COLLECTED_AT_MOST) {
            self.work.notify_one();
        }
    }

    /// Waits until everything appended so far is written, or an attempt to do so has failed.
    pub(crate) fn flush(&self, patience: Duration) -> Result<(), Unflushed> {
        let began = Instant::now();
        let mut state = self.state();
        let wanted = state.appended;
        state.asked += 1;
        let number = state.asked;
        self.work.notify_one();
        loop {
            if state.over {
                return Err(Unflushed::Over);
            }
            if state.written >= wanted {
                return Ok(());
            }
            if let Some(failure) = &state.failure
                && failure.taken >= wanted
                && failure.noticed >= number
            {
                return Err(Unflushed::Failed(failure.text.clone()));
            }
            let left = patience.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Err(Unflushed::TooSlow);
            }
            let waited = self.answers.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Tells the thread that a file was found damaged by somebody who reads it.
    pub(crate) fn found_damage(&self, file: u64, what: String) {
        self.state().damage = Some((file, what));
        self.work.notify_one();
    }

    /// Lets nothing more in. The thread ends when it has taken the rest.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.work.notify_one();
    }

    /// For the thread: waits for something to do, at most as long as `patience` says, and takes batches until there
    /// are enough. Without such a limit it waits for others besides the first one, as long as `collect` says, unless
    /// somebody flushes.
    pub(crate) fn take(
        &self,
        patience: Option<Duration>,
        collect: Duration,
        mut is_enough: impl FnMut(&B) -> bool,
    ) -> Taken<B> {
        let is_quiet =
            |state: &State<B>| state.asked == state.noticed && state.damage.is_none() && !state.closed;
        let idle = |state: &mut State<B>| state.batches.is_empty() && is_quiet(state);
        let collecting = |state: &mut State<B>| state.batches.len() < COLLECTED_AT_MOST && is_quiet(state);
        let state = self.state();
        let mut state = match patience {
            None => {
                let state = self.work.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
                let waited = self.work.wait_timeout_while(state, collect, collecting);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            Some(patience) => {
                let waited = self.work.wait_timeout_while(state, patience, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        let mut batches = Vec::new();
        while let Some(batch) = state.batches.pop_front() {
            state.taken += 1;
            let is_enough = is_enough(&batch);
            batches.push(batch);
            if is_enough {
                break;
            }
        }
        let asked = state.asked != state.noticed;
        // Those who asked for batches that are still here are noticed again with the last of them.
        if state.batches.is_empty() {
            state.noticed = state.asked;
        }
        let damage = state.damage.take();
        Taken { batches, asked, damage, open: !state.closed || !state.batches.is_empty() }
    }

    /// For the thread: everything it has taken is in the file.
    pub(crate) fn written(&self) {
        let mut state = self.state();
        state.written = state.taken;
        state.failure = None;
        self.answers.notify_all();
    }

    /// For the thread: what it has taken could not be written.
    pub(crate) fn failed(&self, text: String) {
        let mut state = self.state();
        state.failure = Some(Failure { taken: state.taken, noticed: state.noticed, text });
        self.answers.notify_all();
    }

    /// For the thread: it ends.
    pub(crate) fn end(&self) {
        self.state().over = true;
        self.answers.notify_all();
    }

    /// Every change is whole before the lock is let go of, also when a panic does it.
    fn state(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
