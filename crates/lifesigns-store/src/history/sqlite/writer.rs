//! The thread that owns the connection for writing.
//!
//! Whoever appends puts entries into its queue and goes on. The thread collects what comes for half a second, or until
//! somebody flushes, and writes it in one transaction. When that fails, it keeps the entries and tries again: each second,
//! and whenever somebody flushes. Between the writes it puts readings into blocks and removes what has expired. It ends
//! when the queue is closed, after a last attempt to write.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lifesigns_model::history::Entry;
use lifesigns_model::store::StoreError;

use super::queue::Queue;
use super::read::SqliteHistoryReader;
use super::recent::Recent;
use super::write::Database;
use super::{HistoryOptions, open_database, to_remember};
use crate::file::error::{Fault, chain};
use crate::file::{aside, notes};

/// Time between attempts while writing fails.
const RETRY: Duration = Duration::from_secs(1);
/// Time between attempts at what nobody waits for.
const RETRY_WORK: Duration = Duration::from_mins(1);
/// Shortest time between two files that are set aside.
const REPLACED_AT_MOST_EVERY: Duration = Duration::from_mins(1);
/// Entries after which a transaction is written although more are waiting.
const ENTRIES_A_TRANSACTION: usize = 20_000;

/// What the thread lets others know.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    pub(super) dropped_entries: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Gauges {
    pub(super) fn last_error(&self) -> MutexGuard<'_, Option<String>> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's state.
pub(super) struct Writer {
    path: PathBuf,
    options: HistoryOptions,
    /// `None` while a damaged file has been set aside and no new one could be begun yet.
    database: Option<Database>,
    gauges: Arc<Gauges>,
    reader: Arc<SqliteHistoryReader>,
    recent: Arc<Recent>,
    /// What is to be written, in its order.
    pending: Vec<Entry>,
    /// How much of it has a place in the queue.
    queued: usize,
    /// When the last attempt failed; `None` while writing works.
    failed_at: Option<Instant>,
    /// When what nobody waits for failed last.
    work_failed_at: Option<Instant>,
    /// When a damaged file was set aside last.
    replaced_at: Option<Instant>,
}

impl Writer {
    pub(super) fn new(
        path: PathBuf,
        options: HistoryOptions,
        database: Database,
        gauges: Arc<Gauges>,
        reader: Arc<SqliteHistoryReader>,
    ) -> Writer {
        Writer {
            path,
            options,
            recent: database.recent().clone(),
            database: Some(database),
            gauges,
            reader,
            pending: Vec::new(),
            queued: 0,
            failed_at: None,
            work_failed_at: None,
            replaced_at: None,
        }
    }

    pub(super) fn run(mut self, queue: &Queue) {
        loop {
            let patience = match self.failed_at {
                Some(at) => Some(RETRY.saturating_sub(at.elapsed())),
                None => (self.has_work() || !self.pending.is_empty()).then_some(Duration::ZERO),
            };
            let taken = queue.take(patience, ENTRIES_A_TRANSACTION);
            for batch in taken.batches {
                self.queued += batch.len();
                self.pending.extend(batch);
            }
            if let Some((file, what)) = taken.damage
                && file == self.reader.pool().file()
            {
                self.replace_or_tell(&what);
            }
            let due = self.failed_at.is_none_or(|at| at.elapsed() >= RETRY);
            // After a failure there may be a file to be begun, also where nothing waits for it.
            let has_more = !self.pending.is_empty() || self.failed_at.is_some();
            if has_more && (due || taken.asked || !taken.open) {
                self.write(queue);
            }
            match &*self.gauges.last_error() {
                Some(text) if !self.pending.is_empty() => queue.waiting().failed(text.clone()),
                _ => queue.waiting().written(),
            }
            if !taken.open {
                self.give_up_the_rest();
                return;
            }
            if self.failed_at.is_none() && self.has_work() {
                self.work();
            }
        }
    }

    fn has_work(&self) -> bool {
        let is_due = self.work_failed_at.is_none_or(|at| at.elapsed() >= RETRY_WORK);
        is_due && self.database.as_ref().is_some_and(Database::has_work)
    }

    fn write(&mut self, queue: &Queue) {
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
                    self.gauges.dropped_entries.fetch_add(too_old, Relaxed);
                    tracing::warn!(
                        entries = too_old,
                        "entries came that are older than anything the history keeps"
                    );
                }
                self.pending.clear();
                queue.settled(std::mem::take(&mut self.queued));
                if self.failed_at.take().is_some() {
                    *self.gauges.last_error() = None;
                    tracing::info!(path = %self.path.display(), "the history can be written again");
                }
            }
            Err(fault) => self.failed(&fault.error),
        }
    }

    /// Writes everything that is pending, and says how much of it was too old.
    fn attempt(&mut self) -> Result<u64, Fault> {
        if self.has_gone() {
            tracing::warn!(
                path = %self.path.display(),
                "the file of the history has been removed. A new one is begun; what was in it is no longer part of any answer"
            );
            // First, since whoever closes a file last removes its log by its name.
            self.database = None;
            self.recent.take();
        }
        if self.database.is_none() {
            self.begin_file()?;
        }
        let Some(database) = &mut self.database else { return Ok(0) };
        if self.pending.is_empty() {
            return Ok(0);
        }
        let written = database.write(&self.pending);
        written.map_err(|error| Fault::of(&self.path, "entries could not be written", error))
    }

    /// Whether somebody has removed the file, so that whatever is written would never be found again.
    fn has_gone(&self) -> bool {
        let found = fs::metadata(&self.path);
        self.database.is_some() && found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    fn begin_file(&mut self) -> Result<(), Fault> {
        self.database = Some(open_database(&self.path, &self.options, true, &self.recent)?);
        self.reader.pool().turn_to_new_file();
        Ok(())
    }

    /// On a disk that damages whatever is written to it, not every attempt leaves another file behind.
    fn may_replace(&self) -> bool {
        self.replaced_at.is_none_or(|at| at.elapsed() >= REPLACED_AT_MOST_EVERY)
    }

    /// Sets a damaged file aside and begins a new one, with what is still known: the notes, where they can be read, and
    /// the readings that are in no block.
    fn replace(&mut self, why: &str) -> Result<(), Fault> {
        if let Some(database) = self.database.take() {
            let mut known = to_remember(notes::of_damaged(database.connection()));
            database.leave_as_it_is();
            known.extend(self.recent.take());
            known.append(&mut self.pending);
            self.pending = known;
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

    fn work(&mut self) {
        let Some(database) = &mut self.database else { return };
        match database.work() {
            Ok(()) => self.work_failed_at = None,
            Err(error) => {
                self.work_failed_at = Some(Instant::now());
                let fault = Fault::of(&self.path, "the history could not be tidied", error);
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
            tracing::error!(held_entries = self.pending.len(), "{text}");
        }
        self.failed_at = Some(Instant::now());
        *self.gauges.last_error() = Some(text);
    }

    fn give_up_the_rest(&mut self) {
        let lost = self.pending.len() as u64;
        if lost > 0 {
            self.gauges.dropped_entries.fetch_add(lost, Relaxed);
            tracing::error!(entries = lost, "the history was closed before these could be written");
        }
    }
}
