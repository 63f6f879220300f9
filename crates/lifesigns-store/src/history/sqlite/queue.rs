//! Entries that wait for the writing thread.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use lifesigns_model::history::Entry;

use crate::file::queue::{self, Taken};

/// How long the thread collects what comes, unless somebody flushes: one transaction then writes all of it.
const COLLECT: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Queue {
    max_entries: usize,
    waiting: queue::Queue<Vec<Entry>>,
    /// Entries that wait, and those that the thread has taken and not yet written.
    entries: AtomicUsize,
}

impl Queue {
    pub(super) fn new(max_entries: usize) -> Queue {
        Queue { max_entries, waiting: queue::Queue::default(), entries: 0.into() }
    }

    /// Adds entries unless there are too many already, or nobody takes them any more.
    pub(super) fn append(&self, entries: Vec<Entry>) -> Result<(), Vec<Entry>> {
        let more = |waiting: usize| {
            let sum = waiting + entries.len();
            (waiting == 0 || sum <= self.max_entries).then_some(sum)
        };
        if !self.waiting.is_open() || self.entries.fetch_update(Relaxed, Relaxed, more).is_err() {
            return Err(entries);
        }
        self.waiting.put(entries);
        Ok(())
    }

    /// Entries that are not safe yet.
    pub(super) fn entries(&self) -> usize {
        self.entries.load(Relaxed)
    }

    /// For the thread: waits for something to do, at most as long as `patience` says, and takes batches until there are
    /// `enough` entries.
    pub(super) fn take(&self, patience: Option<Duration>, enough: usize) -> Taken<Vec<Entry>> {
        let mut entries = 0;
        self.waiting.take(patience, COLLECT, |batch| {
            entries += batch.len();
            entries >= enough
        })
    }

    /// For the thread: so many entries are in the file, or were given up.
    pub(super) fn settled(&self, entries: usize) {
        self.entries.fetch_sub(entries, Relaxed);
    }

    /// What does not depend on what waits.
    pub(super) const fn waiting(&self) -> &queue::Queue<Vec<Entry>> {
        &self.waiting
    }
}
