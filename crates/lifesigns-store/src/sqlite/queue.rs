//! What waits for the writing thread: rows, notes, and whoever waits until they are safe.
//!
//! Batches are numbered in the order in which they come. A flush is the wish that the newest batch of that moment
//! be written, so however many ask, none of them takes room. Rows wait packed.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lifesigns_model::bucket::Minute;
use lifesigns_model::series::Series;
use lifesigns_model::store::{MAX_QUEUED_NOTES, Note, Rejected, RollupRow};

use crate::packed::Packed;

#[derive(Debug)]
pub(super) struct Queue {
    max_rows: usize,
    state: Mutex<State>,
    /// There may be something to do for the thread.
    work: Condvar,
    /// There may be an answer for those who wait.
    answers: Condvar,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Batch>,
    /// Notes in `batches`.
    notes: usize,
    /// Rows in `batches`, those that are being packed for it, and those that the thread has taken and not yet merged.
    rows: usize,
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

/// What comes at once.
#[derive(Debug)]
pub(super) enum Batch {
    Rows(Vec<PackedRow>),
    Note(Note),
}

/// What a series counted in a minute, as it will be written.
pub(super) type PackedRow = ((Minute, Arc<Series>), Packed);

/// The last attempt that failed: what it would have written, and for which flushes.
#[derive(Debug)]
struct Failure {
    taken: u64,
    noticed: u64,
    text: String,
}

/// What the thread takes at once.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) batches: Vec<Batch>,
    /// Whether somebody waits for an attempt to write.
    pub(super) asked: bool,
    /// What somebody who reads has found damaged, if anything: which file, and what.
    pub(super) damage: Option<(u64, String)>,
    /// Whether more can come.
    pub(super) open: bool,
}

/// Why a note was not taken.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Unqueued {
    /// Too many wait.
    Full,
    /// Nobody writes any more.
    Over,
}

/// Why a flush was not granted.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Unflushed {
    /// Writing failed, with this text.
    Failed(String),
    /// Patience was over first.
    TooSlow,
    /// Nobody writes any more.
    Over,
}

impl Queue {
    pub(super) fn new(max_rows: usize) -> Queue {
        Queue { max_rows, state: Mutex::default(), work: Condvar::new(), answers: Condvar::new() }
    }

    /// Adds rows unless there are too many already, or nobody takes them any more.
    pub(super) fn append(&self, rows: Vec<RollupRow>) -> Result<(), Rejected> {
        let mut state = self.state();
        let full = state.rows > 0 && state.rows + rows.len() > self.max_rows;
        if full || state.over || state.closed {
            return Err(Rejected(rows));
        }
        state.rows += rows.len();
        drop(state);
        // Without the lock, which others wait for. Each row is let go of once it is packed.
        let packed = |row: RollupRow| ((row.minute, row.series), Packed::of(&row.rollup));
        let rows = rows.into_iter().map(packed).collect();
        let mut state = self.state();
        state.appended += 1;
        state.batches.push_back(Batch::Rows(rows));
        self.work.notify_one();
        Ok(())
    }

    /// Adds a note unless there are too many already, or nobody takes them any more: says then whether it can be tried
    /// again.
    pub(super) fn remember(&self, note: Note) -> Result<(), Unqueued> {
        let mut state = self.state();
        if state.over || state.closed {
            return Err(Unqueued::Over);
        }
        if state.notes >= MAX_QUEUED_NOTES {
            return Err(Unqueued::Full);
        }
        state.notes += 1;
        state.appended += 1;
        state.batches.push_back(Batch::Note(note));
        self.work.notify_one();
        Ok(())
    }

    /// Waits until everything appended so far is written, or an attempt to do so has failed.
    pub(super) fn flush(&self, patience: Duration) -> Result<(), Unflushed> {
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
    pub(super) fn found_damage(&self, file: u64, what: String) {
        self.state().damage = Some((file, what));
        self.work.notify_one();
    }

    /// Rows that were taken in and are not yet merged by the thread.
    pub(super) fn rows(&self) -> usize {
        self.state().rows
    }

    /// Lets nothing more in. The thread ends when it has taken the rest.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.work.notify_one();
    }

    /// For the thread: waits for something to do, at most as long as `patience` says, and takes batches until there
    /// are `enough` rows.
    pub(super) fn take(&self, patience: Option<Duration>, enough: usize) -> Taken {
        let idle = |state: &mut State| {
            state.batches.is_empty()
                && state.asked == state.noticed
                && state.damage.is_none()
                && !state.closed
        };
        let state = self.state();
        let mut state = match patience {
            None => self.work.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                let waited = self.work.wait_timeout_while(state, patience, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        let mut batches = Vec::new();
        let mut rows = 0;
        while rows < enough
            && let Some(batch) = state.batches.pop_front()
        {
            match &batch {
                Batch::Rows(batch) => rows += batch.len(),
                Batch::Note(_) => state.notes -= 1,
            }
            state.taken += 1;
            batches.push(batch);
        }
        let asked = state.asked != state.noticed;
        // Those who asked for batches that are still here are noticed again with the last of them.
        if state.batches.is_empty() {
            state.noticed = state.asked;
        }
        let damage = state.damage.take();
        Taken { batches, asked, damage, open: !state.closed || !state.batches.is_empty() }
    }

    /// For the thread: so many rows that it took are merged and make room for others.
    pub(super) fn merged(&self, rows: usize) {
        self.state().rows -= rows;
    }

    /// For the thread: everything it has taken is in the file.
    pub(super) fn written(&self) {
        let mut state = self.state();
        state.written = state.taken;
        state.failure = None;
        self.answers.notify_all();
    }

    /// For the thread: what it has taken could not be written.
    pub(super) fn failed(&self, text: String) {
        let mut state = self.state();
        state.failure = Some(Failure { taken: state.taken, noticed: state.noticed, text });
        self.answers.notify_all();
    }

    /// For the thread: it ends.
    pub(super) fn end(&self) {
        self.state().over = true;
        self.answers.notify_all();
    }

    /// Every change is whole before the lock is let go of, also when a panic does it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::row;

    const LONG: Duration = Duration::from_secs(30);

    fn batch(rows: usize) -> Vec<RollupRow> {
        vec![row(1, "orders", 200, 5); rows]
    }

    #[test]
    fn rows_count_until_they_are_merged() {
        let queue = Queue::new(10);
        queue.append(batch(15)).unwrap();
        assert_eq!(queue.append(batch(1)).unwrap_err().0.len(), 1);
        let taken = queue.take(None, 100);
        assert_eq!((taken.batches.len(), taken.asked, taken.open), (1, false, true));
        queue.append(batch(1)).unwrap_err();
        queue.merged(15);
        queue.append(batch(10)).unwrap();
        assert_eq!(queue.rows(), 10);
    }

    #[test]
    fn a_flush_is_over_when_what_came_before_it_is_written() {
        let queue = Queue::new(100);
        assert_eq!(queue.flush(LONG), Ok(()), "nothing is waited for");
        queue.append(batch(1)).unwrap();
        queue.append(batch(1)).unwrap();
        assert_eq!(queue.flush(Duration::ZERO), Err(Unflushed::TooSlow));
        std::thread::scope(|scope| {
            let flush = scope.spawn(|| queue.flush(LONG));
            assert_eq!(queue.take(None, 1).batches.len(), 1);
            queue.written();
            assert_eq!(queue.take(None, 1).batches.len(), 1);
            queue.written();
            assert_eq!(flush.join().unwrap(), Ok(()));
        });
    }

    #[test]
    fn a_failure_answers_those_who_asked_before_it_only() {
        let queue = Queue::new(100);
        queue.append(batch(1)).unwrap();
        assert_eq!(queue.flush(Duration::ZERO), Err(Unflushed::TooSlow));
        queue.take(None, 100);
        queue.failed("no disk".to_owned());
        assert_eq!(queue.flush(Duration::ZERO), Err(Unflushed::TooSlow), "another attempt is asked for");
        std::thread::scope(|scope| {
            let flush = scope.spawn(|| queue.flush(LONG));
            while !flush.is_finished() {
                queue.take(Some(Duration::ZERO), 100);
                queue.failed("no disk".to_owned());
            }
            assert_eq!(flush.join().unwrap(), Err(Unflushed::Failed("no disk".to_owned())));
        });
    }

    #[test]
    fn a_thread_that_has_ended_takes_and_answers_nothing() {
        let queue = Queue::new(100);
        queue.append(batch(1)).unwrap();
        std::thread::scope(|scope| {
            let flush = scope.spawn(|| queue.flush(LONG));
            queue.end();
            assert_eq!(flush.join().unwrap(), Err(Unflushed::Over));
        });
        queue.append(batch(1)).unwrap_err();
    }

    #[test]
    fn notes_take_their_turn_and_have_a_bound() {
        let queue = Queue::new(1);
        let note = || Note { topic: "t".into(), key: "k".into(), text: None };
        queue.append(batch(1)).unwrap();
        for _ in 0..MAX_QUEUED_NOTES {
            assert_eq!(queue.remember(note()), Ok(()));
        }
        assert_eq!(queue.remember(note()), Err(Unqueued::Full));
        assert_eq!(queue.flush(Duration::ZERO), Err(Unflushed::TooSlow), "notes are flushed as rows are");
        assert_eq!(queue.take(None, 100).batches.len(), 1 + MAX_QUEUED_NOTES);
        queue.merged(1);
        queue.written();
        assert_eq!(queue.remember(note()), Ok(()));
        queue.close();
        assert_eq!(queue.remember(note()), Err(Unqueued::Over));
    }

    #[test]
    fn what_is_left_is_taken_after_closing() {
        let queue = Queue::new(100);
        queue.append(batch(2)).unwrap();
        queue.append(batch(2)).unwrap();
        queue.close();
        queue.append(batch(1)).unwrap_err();
        assert!(queue.take(None, 2).open);
        assert!(!queue.take(None, 2).open);
    }
}
