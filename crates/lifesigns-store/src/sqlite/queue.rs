//! Rows and notes that wait for the writing thread. Rows wait packed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use lifesigns_model::bucket::Minute;
use lifesigns_model::series::Series;
use lifesigns_model::store::{MAX_QUEUED_NOTES, Note, Rejected, RollupRow};

use crate::file::queue;
pub(super) use crate::file::queue::Unflushed;
use crate::packed::Packed;

#[derive(Debug)]
pub(super) struct Queue {
    max_rows: usize,
    waiting: queue::Queue<Batch>,
    /// Notes that wait.
    notes: AtomicUsize,
    /// Rows that wait, those that are being packed for it, and those that the thread has taken and not yet merged.
    rows: AtomicUsize,
}

/// What comes at once.
#[derive(Debug)]
pub(super) enum Batch {
    Rows(Vec<PackedRow>),
    Note(Note),
}

/// What a series counted in a minute, as it will be written.
pub(super) type PackedRow = ((Minute, Arc<Series>), Packed);

/// What the thread takes at once.
pub(super) type Taken = queue::Taken<Batch>;

/// Why a note was not taken.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Unqueued {
    /// Too many wait.
    Full,
    /// Nobody writes any more.
    Over,
}

impl Queue {
    pub(super) fn new(max_rows: usize) -> Queue {
        Queue { max_rows, waiting: queue::Queue::default(), notes: 0.into(), rows: 0.into() }
    }

    /// Adds rows unless there are too many already, or nobody takes them any more.
    pub(super) fn append(&self, rows: Vec<RollupRow>) -> Result<(), Rejected> {
        let more = |waiting: usize| {
            let sum = waiting + rows.len();
            (waiting == 0 || sum <= self.max_rows).then_some(sum)
        };
        if !self.waiting.is_open() || self.rows.fetch_update(Relaxed, Relaxed, more).is_err() {
            return Err(Rejected(rows));
        }
        // Each row is let go of once it is packed.
        let packed = |row: RollupRow| ((row.minute, row.series), Packed::of(&row.rollup));
        self.waiting.put(Batch::Rows(rows.into_iter().map(packed).collect()));
        Ok(())
    }

    /// Adds a note unless there are too many already, or nobody takes them any more: says then whether it can be tried
    /// again.
    pub(super) fn remember(&self, note: Note) -> Result<(), Unqueued> {
        if !self.waiting.is_open() {
            return Err(Unqueued::Over);
        }
        let more = |waiting: usize| (waiting < MAX_QUEUED_NOTES).then_some(waiting + 1);
        self.notes.fetch_update(Relaxed, Relaxed, more).map_err(|_| Unqueued::Full)?;
        self.waiting.put(Batch::Note(note));
        Ok(())
    }

    /// Waits until everything appended so far is written, or an attempt to do so has failed.
    pub(super) fn flush(&self, patience: Duration) -> Result<(), Unflushed> {
        self.waiting.flush(patience)
    }

    /// Tells the thread that a file was found damaged by somebody who reads it.
    pub(super) fn found_damage(&self, file: u64, what: String) {
        self.waiting.found_damage(file, what);
    }

    /// Rows that were taken in and are not yet merged by the thread.
    pub(super) fn rows(&self) -> usize {
        self.rows.load(Relaxed)
    }

    /// Lets nothing more in. The thread ends when it has taken the rest.
    pub(super) fn close(&self) {
        self.waiting.close();
    }

    /// For the thread: waits for something to do, at most as long as `patience` says, and takes batches until there
    /// are `enough` rows.
    pub(super) fn take(&self, patience: Option<Duration>, enough: usize) -> Taken {
        let mut rows = 0;
        self.waiting.take(patience, Duration::ZERO, |batch| {
            match batch {
                Batch::Rows(batch) => rows += batch.len(),
                Batch::Note(_) => {
                    self.notes.fetch_sub(1, Relaxed);
                }
            }
            rows >= enough
        })
    }

    /// For the thread: so many rows that it took are merged and make room for others.
    pub(super) fn merged(&self, rows: usize) {
        self.rows.fetch_sub(rows, Relaxed);
    }

    /// For the thread: everything it has taken is in the file.
    pub(super) fn written(&self) {
        self.waiting.written();
    }

    /// For the thread: what it has taken could not be written.
    pub(super) fn failed(&self, text: String) {
        self.waiting.failed(text);
    }

    /// For the thread: it ends.
    pub(super) fn end(&self) {
        self.waiting.end();
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
