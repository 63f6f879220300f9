//! The thread that owns the connection for writing.
//!
//! Whoever appends puts rows or notes into its queue and goes on. The thread takes all that has come, merges it and writes
//! it in one transaction. When that fails, it keeps the rows and tries again: each second, and whenever somebody
//! flushes. It ends when the queue is closed, after a last attempt to write.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lifesigns_model::bucket::Level;
use lifesigns_model::rollup::Rollup;
use lifesigns_model::store::{MAX_QUEUED_NOTES, Note, RollupRow};

use super::error::{chain, explain};
use super::queue::{Batch, Queue};
use super::upkeep;
use super::write::{Database, Notes, Pending};

/// Time between attempts while writing fails.
const RETRY: Duration = Duration::from_secs(1);
/// Merged rows after which a transaction is written although more are waiting.
const ROWS_A_TRANSACTION: usize = 20_000;

/// What the thread lets others know.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    /// Merged rows that the thread has taken and not yet written.
    pub(super) held_rows: AtomicU64,
    pub(super) dropped_exchanges: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Gauges {
    pub(super) fn last_error(&self) -> MutexGuard<'_, Option<String>> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's state.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    database: Database,
    gauges: Arc<Gauges>,
    max_held_rows: usize,
    pending: Pending,
    notes: Notes,
    /// When the last attempt failed; `None` while writing works.
    failed_at: Option<Instant>,
    upkeep_due: bool,
}

impl Writer {
    pub(super) fn new(
        path: PathBuf,
        database: Database,
        gauges: Arc<Gauges>,
        max_held_rows: usize,
    ) -> Writer {
        Writer {
            path,
            database,
            gauges,
            max_held_rows,
            pending: Pending::new(),
            notes: Notes::new(),
            failed_at: None,
            // Something may have been left over when the last process ended.
            upkeep_due: true,
        }
    }

    pub(super) fn run(mut self, queue: &Queue) {
        loop {
            let patience = match self.failed_at {
                Some(at) => Some(RETRY.saturating_sub(at.elapsed())),
                None => self.upkeep_due.then_some(Duration::ZERO),
            };
            let taken = queue.take(patience, ROWS_A_TRANSACTION);
            for batch in taken.batches {
                match batch {
                    Batch::Rows(rows) => {
                        let count = rows.len();
                        self.merge(rows);
                        queue.merged(count);
                    }
                    Batch::Note(note) => self.keep(note),
                }
            }
            let due = self.failed_at.is_none_or(|at| at.elapsed() >= RETRY);
            if self.has_more() && (due || taken.asked || !taken.open) {
                self.write();
            }
            match &*self.gauges.last_error() {
                Some(text) if self.has_more() => queue.failed(text.clone()),
                _ => queue.written(),
            }
            if !taken.open {
                self.give_up_the_rest();
                return;
            }
            if self.upkeep_due && self.failed_at.is_none() {
                self.keep_up();
            }
        }
    }

    /// Whether there is something to write.
    fn has_more(&self) -> bool {
        !self.pending.is_empty() || !self.notes.is_empty()
    }

    /// The newest note counts. While writing fails, no more are held than could be queued.
    fn keep(&mut self, note: Note) {
        let key = (note.topic, note.key);
        if self.notes.len() >= MAX_QUEUED_NOTES && !self.notes.contains_key(&key) {
            tracing::error!(topic = &*key.0, key = &*key.1, "a note is lost: too many wait for the store");
            return;
        }
        self.notes.insert(key, note.text);
    }

    fn merge(&mut self, rows: Vec<RollupRow>) {
        for row in rows {
            let key = (row.minute, row.series);
            if let Some(sum) = self.pending.get_mut(&key) {
                sum.merge(&row.rollup);
            } else if self.failed_at.is_some() && self.pending.len() >= self.max_held_rows {
                self.gauges.dropped_exchanges.fetch_add(row.rollup.count(), Relaxed);
            } else {
                self.pending.insert(key, row.rollup);
            }
        }
        self.gauges.held_rows.store(self.pending.len() as u64, Relaxed);
    }

    fn write(&mut self) {
        let kept_from = |database: &Database| Level::ALL.map(|level| database.timeline().kept_from(level));
        let before = kept_from(&self.database);
        match self.database.write(&self.pending, &self.notes) {
            Ok(too_old) => {
                self.upkeep_due |= kept_from(&self.database) != before;
                if too_old > 0 {
                    self.gauges.dropped_exchanges.fetch_add(too_old, Relaxed);
                    tracing::warn!(
                        exchanges = too_old,
                        "rows came that are older than anything the store keeps"
                    );
                }
                self.pending.clear();
                self.notes.clear();
                self.gauges.held_rows.store(0, Relaxed);
                if self.failed_at.take().is_some() {
                    *self.gauges.last_error() = None;
                    tracing::info!(path = %self.path.display(), "the store can be written again");
                }
            }
            Err(error) => self.failed("rows could not be written", error),
        }
    }

    fn keep_up(&mut self) {
        match upkeep::step(&mut self.database) {
            Ok(more) => self.upkeep_due = more,
            Err(error) => {
                // Due again when more expires, so a lasting fault is not tried without end.
                self.upkeep_due = false;
                let error = explain(&self.path, "expired rows could not be removed", error);
                tracing::warn!("{}", chain(&error));
            }
        }
    }

    fn failed(&mut self, what: &str, error: rusqlite::Error) {
        let text = chain(&explain(&self.path, what, error));
        if self.failed_at.is_none() {
            tracing::error!(held_rows = self.pending.len(), "{text}");
        }
        self.failed_at = Some(Instant::now());
        *self.gauges.last_error() = Some(text);
    }

    fn give_up_the_rest(&mut self) {
        let lost: u64 = self.pending.values().map(Rollup::count).sum();
        if lost > 0 {
            self.gauges.dropped_exchanges.fetch_add(lost, Relaxed);
            tracing::error!(exchanges = lost, "the store was closed before these could be written");
        }
        if !self.notes.is_empty() {
            let notes = self.notes.len();
            tracing::error!(notes, "the store was closed before these could be written");
        }
    }
}
