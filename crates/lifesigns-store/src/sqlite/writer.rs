//! The thread that owns the connection for writing.
//!
//! Whoever appends puts rows or notes into its queue and goes on. The thread takes all that has come, merges it and writes
//! it in one transaction. When that fails, it keeps the rows and tries again: each second, and whenever somebody
//! flushes. It ends when the queue is closed, after a last attempt to write.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lifesigns_model::bucket::Level;
use lifesigns_model::store::{MAX_QUEUED_NOTES, Note, StoreError};

use super::queue::{Batch, PackedRow, Queue};
use super::read::SqliteReader;
use super::upkeep;
use super::write::{Database, Pending};
use super::{Options, open_database};
use crate::file::aside;
use crate::file::error::{Fault, chain};
use crate::file::notes::{self, Notes};

/// Time between attempts while writing fails.
const RETRY: Duration = Duration::from_secs(1);
/// Shortest time between two files that are set aside.
const REPLACED_AT_MOST_EVERY: Duration = Duration::from_mins(1);
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
    options: Options,
    /// `None` while a damaged file has been set aside and no new one could be begun yet.
    database: Option<Database>,
    gauges: Arc<Gauges>,
    reader: Arc<SqliteReader>,
    pending: Pending,
    notes: Notes,
    /// When the last attempt failed; `None` while writing works.
    failed_at: Option<Instant>,
    /// When a damaged file was set aside last.
    replaced_at: Option<Instant>,
    upkeep_due: bool,
}

impl Writer {
    /// `notes` are to be written before any others.
    pub(super) fn new(
        path: PathBuf,
        options: Options,
        database: Database,
        notes: Notes,
        gauges: Arc<Gauges>,
        reader: Arc<SqliteReader>,
    ) -> Writer {
        Writer {
            path,
            options,
            database: Some(database),
            gauges,
            reader,
            pending: Pending::new(),
            notes,
            failed_at: None,
            replaced_at: None,
            // Something may have been left over when the last process ended.
            upkeep_due: true,
        }
    }

    pub(super) fn run(mut self, queue: &Queue) {
        loop {
            let patience = match self.failed_at {
                Some(at) => Some(RETRY.saturating_sub(at.elapsed())),
                None => (self.upkeep_due || self.is_closing()).then_some(Duration::ZERO),
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
            if let Some((file, what)) = taken.damage
                && file == self.reader.file()
            {
                self.replace_or_tell(&what);
            }
            let due = self.failed_at.is_none_or(|at| at.elapsed() >= RETRY);
            // After a failure there may be a file to be begun, also where nothing waits for it.
            let has_work = self.has_more() || self.is_closing() || self.failed_at.is_some();
            if has_work && (due || taken.asked || !taken.open) {
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

    /// Whether hours or days are being summed up, of which each transaction does a part.
    fn is_closing(&self) -> bool {
        self.database.as_ref().is_some_and(Database::is_closing)
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

    fn merge(&mut self, rows: Vec<PackedRow>) {
        let mut dropped = 0;
        for (key, packed) in rows {
            let count = packed.sums.count;
            if let Some(sum) = self.pending.get_mut(&key) {
                // Both were packed by this process, so this does not fail.
                if sum.merge(&packed).is_err() {
                    dropped += count;
                }
            } else if self.failed_at.is_some() && self.pending.len() >= self.options.max_held_rows {
                dropped += count;
            } else {
                self.pending.insert(key, packed);
            }
        }
        self.gauges.dropped_exchanges.fetch_add(dropped, Relaxed);
        self.gauges.held_rows.store(self.pending.len() as u64, Relaxed);
    }

    fn write(&mut self) {
        let mut written = self.attempt();
        if let Err(fault) = &written
            && fault.is_damage
            && self.may_replace()
        {
            written = self.replace(&chain(&fault.error)).and_then(|()| self.attempt());
        }
        match written {
            Ok(too_old) => {
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
            Err(fault) => self.failed(&fault.error),
        }
    }

    /// Writes everything that is pending, and says how many exchanges were too old.
    fn attempt(&mut self) -> Result<u64, Fault> {
        if self.has_gone() {
            tracing::warn!(
                path = %self.path.display(),
                "the file of the store has been removed. A new one is begun; what was in it is no longer part of any answer"
            );
            // First, since whoever closes a file last removes its log by its name.
            self.database = None;
        }
        if self.database.is_none() {
            self.begin_file()?;
        }
        let Some(database) = &mut self.database else { return Ok(0) };
        let kept_from = |database: &Database| Level::ALL.map(|level| database.timeline().kept_from(level));
        let before = kept_from(database);
        let written = database.write(&self.pending, &self.notes);
        let too_old = written.map_err(|error| Fault::of(&self.path, "rows could not be written", error))?;
        self.upkeep_due |= kept_from(database) != before;
        Ok(too_old)
    }

    /// Whether somebody has removed the file, so that whatever is written would never be found again.
    fn has_gone(&self) -> bool {
        let found = fs::metadata(&self.path);
        self.database.is_some() && found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    fn begin_file(&mut self) -> Result<(), Fault> {
        self.database = Some(open_database(&self.path, &self.options, true)?);
        self.reader.turn_to_new_file();
        Ok(())
    }

    /// On a disk that damages whatever is written to it, not every attempt leaves another file behind.
    fn may_replace(&self) -> bool {
        self.replaced_at.is_none_or(|at| at.elapsed() >= REPLACED_AT_MOST_EVERY)
    }

    /// Sets a damaged file aside and begins a new one, with the notes of the old one where they can be read.
    fn replace(&mut self, why: &str) -> Result<(), Fault> {
        if let Some(database) = self.database.take() {
            for (key, text) in notes::of_damaged(database.connection()) {
                self.notes.entry(key).or_insert(text);
            }
            database.leave_as_it_is();
        }
        let aside = aside::set_aside(&self.path)?;
        self.replaced_at = Some(Instant::now());
        aside::tell(&self.path, &aside, why);
        self.begin_file()
    }

    /// Unless a file was set aside just now, does the same with this one.
    fn replace_or_tell(&mut self, why: &str) {
        if !self.may_replace() {
            tracing::warn!("{why}");
        } else if let Err(fault) = self.replace(why) {
            self.failed(&fault.error);
        }
    }

    fn keep_up(&mut self) {
        let Some(database) = &mut self.database else { return };
        match upkeep::step(database) {
            Ok(more) => self.upkeep_due = more,
            Err(error) => {
                // Due again when more expires, so a lasting fault is not tried without end.
                self.upkeep_due = false;
                let fault = Fault::of(&self.path, "expired rows could not be removed", error);
                let text = chain(&fault.error);
                if fault.is_damage {
                    self.replace_or_tell(&text);
                } else {
                    tracing::warn!("{text}");
                }
            }
        }
    }

    fn failed(&mut self, error: &StoreError) {
        let text = chain(error);
        if self.failed_at.is_none() {
            tracing::error!(held_rows = self.pending.len(), "{text}");
        }
        self.failed_at = Some(Instant::now());
        *self.gauges.last_error() = Some(text);
    }

    fn give_up_the_rest(&mut self) {
        let lost: u64 = self.pending.values().map(|packed| packed.sums.count).sum();
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
