//! Keeps a history in one SQLite file.
//!
//! | module | question it answers |
//! |---|---|
//! | `format` | what is in the file? |
//! | `queue` | what waits to be written? |
//! | `writer` | when is written, and what happens when that fails? |
//! | `write` | what does one transaction write? |
//! | `fresh`, `stretch` | what do readings look like as they come? |
//! | `recent` | where are those of one service? |
//! | `block` | what do the readings of a service on a day look like as bytes? |
//! | `read` | how is a question answered? |
//!
//! What survives is what survives in a file of figures: whatever [`flush`](HistoryStore::flush) has acknowledged survives
//! the death of the process. The format is described in `docs/storage-format.md`.

mod block;
mod format;
mod fresh;
mod queue;
mod read;
mod recent;
mod stretch;
mod write;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lifesigns_model::history::{Entry, Event, EventSelection, HistoryStore, Reading, Span};
use lifesigns_model::store::{KeptNote, Note, StoreError};

pub use self::read::SqliteHistoryReader;

use self::queue::Queue;
use self::recent::Recent;
use self::write::Database;
use self::writer::{Gauges, Writer};
use super::{HistoryRetention, HistoryStatus};
use crate::file::error::{Fault, chain, explain};
use crate::file::lock::WriterLock;
use crate::file::opening::limit_size;
use crate::file::queue::Unflushed;
use crate::file::{self, THREAD_GONE, aside, notes};

/// Version of the files that this program writes; older ones are brought up to it when they are opened for writing.
pub const FILE_VERSION: u32 = format::VERSION;

/// How a file is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HistoryOptions {
    /// How long entries are kept. A longer time than before does not bring back what has gone.
    pub retention: HistoryRetention,
    /// Entries that may wait, those included that cannot be written, before an append is refused: about 100 bytes of
    /// memory each, and their texts. A batch of more is taken when nothing waits. Default 100,000.
    pub max_queued_entries: usize,
    /// How long a transaction goes on putting readings into blocks before it leaves the rest to the next, so that entries
    /// are written meanwhile. One service is done at once, however long that takes. Default 50 ms.
    pub folding: Duration,
    /// How long to wait for another program that has the file locked, such as a `sqlite3` shell. Default 5 s.
    pub busy_timeout: Duration,
    /// Bytes past which the file may not grow: writing then fails as it does on a full disk. `None`, the default:
    /// as large as the disk allows.
    pub max_bytes: Option<u64>,
}

impl Default for HistoryOptions {
    fn default() -> HistoryOptions {
        HistoryOptions {
            retention: HistoryRetention::default(),
            max_queued_entries: 100_000,
            folding: Duration::from_millis(50),
            busy_timeout: Duration::from_secs(5),
            max_bytes: None,
        }
    }
}

/// What a monitor remembers, in one SQLite file, written by one thread of this process and read by any number.
///
/// Dropping it writes what is still queued and waits for that.
///
/// ```
/// use lifesigns_store::history::{HistoryOptions, SqliteHistory};
/// let folder = tempfile::tempdir()?;
/// let history = SqliteHistory::open(folder.path().join("history.db"), HistoryOptions::default())?;
/// history.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SqliteHistory {
    path: PathBuf,
    gauges: Arc<Gauges>,
    reader: Arc<SqliteHistoryReader>,
    recent: Arc<Recent>,
    queue: Arc<Queue>,
    /// `None` once it has been told to stop.
    thread: Option<JoinHandle<()>>,
    /// Let go of last, when nothing of this process touches the file any more.
    _lock: WriterLock,
}

impl SqliteHistory {
    /// Opens a file for writing; it is made if it is not there. The folder must exist.
    ///
    /// A file of ours that is damaged is set aside: it is renamed, with its log, a warning says where it is, and a new
    /// file is begun. The same is done when damage is found later on; entries that wait then go to the new file.
    ///
    /// # Errors
    /// When another process writes the file, when it belongs to another program, to a newer version or holds something
    /// else (it is then left as it is), or when it cannot be opened. The message says how to mend it.
    pub fn open(path: impl AsRef<Path>, options: HistoryOptions) -> Result<SqliteHistory, StoreError> {
        SqliteHistory::open_with(path.as_ref().to_owned(), options, Writer::run)
    }

    /// `work` is what the thread does.
    fn open_with(
        path: PathBuf,
        options: HistoryOptions,
        work: impl FnOnce(Writer, &Queue) + Send + 'static,
    ) -> Result<SqliteHistory, StoreError> {
        let is_known = WriterLock::was_there(&path);
        let lock = WriterLock::acquire(&path)?;
        let recent = Arc::new(Recent::default());
        let database = match open_or_begin(&path, &options, is_known, &recent) {
            Ok(opened) => opened,
            Err(error) => {
                if !is_known {
                    lock.remove();
                }
                return Err(error);
            }
        };
        let reader = Arc::new(SqliteHistoryReader::open_patiently(&path, options.busy_timeout)?);
        let gauges = Arc::new(Gauges::default());
        let queue = Arc::new(Queue::new(options.max_queued_entries));
        let ending = Ending { gauges: gauges.clone(), queue: queue.clone() };
        let writer = Writer::new(path.clone(), options, database, gauges.clone(), reader.clone());
        let thread = thread::Builder::new()
            .name("history-writer".into())
            .spawn(move || work(writer, &ending.queue))
            .map_err(|error| StoreError::because("the history's thread could not be started", error))?;
        Ok(SqliteHistory { path, gauges, reader, recent, queue, thread: Some(thread), _lock: lock })
    }

    /// Writes what is queued and closes the file.
    ///
    /// # Errors
    /// When something could not be written; it is lost then.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.stop();
        let failure = self.gauges.last_error().clone();
        failure.map_or(Ok(()), |text| Err(StoreError::new(text)))
    }

    /// Figures about it. Touches the file's entry in its folder and nothing else of the disk.
    pub fn status(&self) -> HistoryStatus {
        HistoryStatus {
            pending_entries: self.queue.entries() as u64,
            dropped_entries: self.gauges.dropped_entries.load(Relaxed),
            last_error: self.gauges.last_error().clone(),
            bytes: file::bytes(&self.path),
        }
    }

    /// The error for whoever reads; the thread is told when it is the file's fault.
    fn reported(&self, (file, fault): (u64, Fault)) -> StoreError {
        if fault.is_damage {
            self.queue.waiting().found_damage(file, chain(&fault.error));
        }
        fault.error
    }

    fn stop(&mut self) {
        // The last connection to close takes the log into the file and removes it. One that only reads cannot.
        self.reader.pool().disconnect();
        self.queue.waiting().close();
        if let Some(thread) = self.thread.take() {
            // When it has panicked, its ending has said so in the log and in the status.
            let _ = thread.join();
        }
    }
}

/// Opens a file for writing. In the place of a damaged one, which is set aside, a new one is begun with what is still
/// known: whoever opens it asks for its notes at once.
fn open_or_begin(
    path: &Path,
    options: &HistoryOptions,
    is_known: bool,
    recent: &Arc<Recent>,
) -> Result<Database, StoreError> {
    let fault = match open_database(path, options, is_known, recent) {
        Ok(database) => return Ok(database),
        Err(fault) if !fault.is_damage => return Err(fault.error),
        Err(fault) => fault,
    };
    let mut known = to_remember(notes::of_damaged_at(path));
    // What could be read before the damage was met.
    known.extend(recent.take());
    let aside = aside::set_aside(path)?;
    aside::tell(path, &aside, &chain(&fault.error));
    let mut database = open_database(path, options, true, recent).map_err(|fault| fault.error)?;
    database.write(&known).map_err(|error| explain(path, "a new history could not be begun", error))?;
    Ok(database)
}

fn open_database(
    path: &Path,
    options: &HistoryOptions,
    is_known: bool,
    recent: &Arc<Recent>,
) -> Result<Database, Fault> {
    let connection = format::open_for_writing(path, options.busy_timeout, is_known)?;
    if let Some(bytes) = options.max_bytes {
        limit_size(&connection, bytes)
            .map_err(|error| Fault::of(path, "the history could not be opened", error))?;
    }
    Database::new(path, connection, options, recent.clone())
}

fn to_remember(notes: notes::Notes) -> Vec<Entry> {
    notes.into_iter().map(|((topic, key), text)| Entry::Note(Note { topic, key, text })).collect()
}

impl HistoryStore for SqliteHistory {
    fn append(&self, entries: Vec<Entry>) -> Result<(), Vec<Entry>> {
        if entries.is_empty() {
            return Ok(());
        }
        self.queue.append(entries)
    }

    fn flush(&self, patience: Duration) -> Result<(), StoreError> {
        self.queue.waiting().flush(patience).map_err(|unflushed| match unflushed {
            Unflushed::Failed(text) => StoreError::new(text),
            Unflushed::TooSlow => StoreError::new(format!(
                "{} was not written within {} s: its disk is slow, or much is queued",
                self.path.display(),
                patience.as_secs_f64()
            )),
            Unflushed::Over => StoreError::new(THREAD_GONE),
        })
    }

    fn readings(&self, service: &str, span: Span) -> Result<Vec<Reading>, StoreError> {
        let readings = self.reader.try_readings(service, span, Some(&self.recent));
        readings.map_err(|fault| self.reported(fault))
    }

    fn events(&self, selection: &EventSelection) -> Result<Vec<Event>, StoreError> {
        self.reader.try_events(selection).map_err(|fault| self.reported(fault))
    }

    fn recall(&self, topic: &str) -> Result<Vec<KeptNote>, StoreError> {
        self.reader.try_recall(topic).map_err(|fault| self.reported(fault))
    }
}

impl Drop for SqliteHistory {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Says that the thread has ended, however it does.
#[derive(Debug)]
struct Ending {
    gauges: Arc<Gauges>,
    queue: Arc<Queue>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!("{THREAD_GONE}");
            *self.gauges.last_error() = Some(THREAD_GONE.to_owned());
        }
        self.queue.waiting().end();
    }
}

#[cfg(test)]
mod tests;
