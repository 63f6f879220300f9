//! Keeps rollups in one SQLite file.
//!
//! | module | question it answers |
//! |---|---|
//! | `schema` | what is in the file? |
//! | `queue` | what waits to be written, and who waits for it? |
//! | `writer` | when is written, and what happens when that fails? |
//! | `write` | what does one transaction write? |
//! | `upkeep` | how does expired data leave? |
//! | `read` | how is a selection answered? |
//! | `block` | what does an API's minute, hour or day look like as bytes? |
//! | `blocks` | the statements over the three tables of blocks |
//!
//! What survives: rows that [`flush`](RollupStore::flush) has acknowledged are in the file's write-ahead log, so
//! the death of the process loses none of them, however it dies. The log is not forced to the medium with every
//! transaction (`synchronous = NORMAL`): a loss of power may take the last transactions, whole, and leaves the
//! file sound. The format is described in `docs/storage-format.md`.

mod block;
mod blocks;
mod queue;
mod read;
mod schema;
mod upkeep;
mod write;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lifesigns_model::store::{
    Effort, KeptNote, Note, Rejected, Retention, RollupRow, RollupStore, Selected, Selection, StoreError,
    StoreStatus,
};

pub use self::read::SqliteReader;

use self::queue::{Queue, Unflushed, Unqueued};
use self::write::Database;
use self::writer::{Gauges, Writer};
use crate::file::error::{Fault, chain};
use crate::file::lock::WriterLock;
use crate::file::notes::{self, Notes};
use crate::file::opening::limit_size;
use crate::file::{self, THREAD_GONE, aside};

/// Version of the files that this program writes; older ones are brought up to it when they are opened for writing.
pub const FILE_VERSION: u32 = schema::VERSION;

/// How a file is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Options {
    /// How long rows of each level are kept. A longer time than before does not bring back what has gone.
    pub retention: Retention,
    /// Rows that may wait in the queue before an append is refused, at 0.1 to 2 KB of memory each. A batch of more
    /// rows is taken when the queue is empty. Default 50,000.
    pub max_queued_rows: usize,
    /// Merged rows that are held while writing fails, at 0.1 to 2 KB of memory each; more are dropped and counted.
    /// Default 50,000.
    pub max_held_rows: usize,
    /// How long a transaction goes on closing hours and days before it leaves the rest to the next, so that rows are
    /// written meanwhile. One API is closed at once, however long that takes. Default 100 ms.
    pub closing: Duration,
    /// How long to wait for another program that has the file locked, such as a `sqlite3` shell. Default 5 s.
    pub busy_timeout: Duration,
    /// Bytes past which the file may not grow: writing then fails as it does on a full disk. `None`, the default:
    /// as large as the disk allows.
    pub max_bytes: Option<u64>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            retention: Retention::default(),
            max_queued_rows: 50_000,
            max_held_rows: 50_000,
            closing: Duration::from_millis(100),
            busy_timeout: Duration::from_secs(5),
            max_bytes: None,
        }
    }
}

/// Rollups in one SQLite file, written by one thread of this process and read by any number.
///
/// Dropping it writes what is still queued and waits for that.
///
/// ```
/// use lifesigns_store::sqlite::{Options, SqliteStore};
/// let folder = tempfile::tempdir()?;
/// let store = SqliteStore::open(folder.path().join("lifesigns.db"), Options::default())?;
/// store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    gauges: Arc<Gauges>,
    reader: Arc<SqliteReader>,
    queue: Arc<Queue>,
    /// `None` once it has been told to stop.
    thread: Option<JoinHandle<()>>,
    /// Let go of last, when nothing of this process touches the file any more.
    _lock: WriterLock,
}

impl SqliteStore {
    /// Opens a file for writing; it is made if it is not there. The folder must exist.
    ///
    /// A file of ours that is damaged is set aside: it is renamed, with its log, a warning says where it is, and a new
    /// file is begun. The same is done when damage is found later on; rows that wait then go to the new file.
    ///
    /// # Errors
    /// When another process writes the file, when it belongs to another program or to a newer version (it is then
    /// left as it is), or when it cannot be opened. The message says how to mend it.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<SqliteStore, StoreError> {
        SqliteStore::open_with(path.as_ref().to_owned(), options, Writer::run)
    }

    /// `work` is what the thread does.
    fn open_with(
        path: PathBuf,
        options: Options,
        work: impl FnOnce(Writer, &Queue) + Send + 'static,
    ) -> Result<SqliteStore, StoreError> {
        let is_known = WriterLock::was_there(&path);
        let lock = WriterLock::acquire(&path)?;
        let (database, notes) = match open_or_begin(&path, &options, is_known) {
            Ok(opened) => opened,
            Err(error) => {
                if !is_known {
                    lock.remove();
                }
                return Err(error);
            }
        };
        let reader = Arc::new(SqliteReader::open(&path, options.busy_timeout)?);
        let gauges = Arc::new(Gauges::default());
        let queue = Arc::new(Queue::new(options.max_queued_rows));
        let thread = thread::Builder::new()
            .name("store-writer".into())
            .spawn({
                let writer =
                    Writer::new(path.clone(), options, database, notes, gauges.clone(), reader.clone());
                let ending = Ending { gauges: gauges.clone(), queue: queue.clone() };
                move || work(writer, &ending.queue)
            })
            .map_err(|error| StoreError::because("the store's thread could not be started", error))?;
        Ok(SqliteStore { path, gauges, reader, queue, thread: Some(thread), _lock: lock })
    }

    /// Opens a file for reading only, also while another process writes it.
    ///
    /// # Errors
    /// When there is no such file, when it is damaged, or when it is of another version.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<SqliteReader, StoreError> {
        SqliteReader::open(path.as_ref(), Options::default().busy_timeout)
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

    /// The error for whoever reads; the thread is told when it is the file's fault.
    fn reported(&self, (file, fault): (u64, Fault)) -> StoreError {
        if fault.is_damage {
            self.queue.found_damage(file, chain(&fault.error));
        }
        fault.error
    }

    fn stop(&mut self) {
        // The last connection to close takes the log into the file and removes it. One that only reads cannot.
        self.reader.disconnect();
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // When it has panicked, its ending has said so in the log and in the status.
            let _ = thread.join();
        }
    }
}

/// Opens a file for writing. In the place of a damaged one, which is set aside, a new one is begun; the notes are what
/// is to be written into that.
fn open_or_begin(path: &Path, options: &Options, is_known: bool) -> Result<(Database, Notes), StoreError> {
    let fault = match open_database(path, options, is_known) {
        Ok(database) => return Ok((database, Notes::new())),
        Err(fault) if !fault.is_damage => return Err(fault.error),
        Err(fault) => fault,
    };
    let notes = notes::of_damaged_at(path);
    let aside = aside::set_aside(path)?;
    aside::tell(path, &aside, &chain(&fault.error));
    let database = open_database(path, options, true).map_err(|fault| fault.error)?;
    Ok((database, notes))
}

fn open_database(path: &Path, options: &Options, is_known: bool) -> Result<Database, Fault> {
    let failed = |error| Fault::of(path, "the store could not be opened", error);
    let connection = schema::open_for_writing(path, options.busy_timeout, is_known)?;
    if let Some(bytes) = options.max_bytes {
        limit_size(&connection, bytes).map_err(failed)?;
    }
    Database::new(connection, options).map_err(failed)
}

impl RollupStore for SqliteStore {
    fn append(&self, rows: Vec<RollupRow>) -> Result<(), Rejected> {
        if rows.is_empty() {
            return Ok(());
        }
        self.queue.append(rows)
    }

    fn flush(&self, patience: Duration) -> Result<(), StoreError> {
        self.queue.flush(patience).map_err(|unflushed| match unflushed {
            Unflushed::Failed(text) => StoreError::new(text),
            Unflushed::TooSlow => StoreError::new(format!(
                "{} was not written within {} s: its disk is slow, or much is queued",
                self.path.display(),
                patience.as_secs_f64()
            )),
            Unflushed::Over => StoreError::new(THREAD_GONE),
        })
    }

    fn select(&self, selection: &Selection) -> Result<Selected, StoreError> {
        self.select_within(selection, &Effort::unlimited())
    }

    fn select_within(&self, selection: &Selection, effort: &Effort) -> Result<Selected, StoreError> {
        self.reader.try_select(selection, effort).map_err(|fault| self.reported(fault))
    }

    fn remember(&self, note: Note) -> Result<(), StoreError> {
        note.check()?;
        self.queue.remember(note).map_err(|unqueued| match unqueued {
            Unqueued::Full => StoreError::new("too many notes wait to be written; the disk is slow or full"),
            Unqueued::Over => StoreError::new(THREAD_GONE),
        })
    }

    fn recall(&self, topic: &str) -> Result<Vec<KeptNote>, StoreError> {
        self.reader.try_recall(topic).map_err(|fault| self.reported(fault))
    }

    fn status(&self) -> StoreStatus {
        let gauges = &self.gauges;
        StoreStatus {
            pending_rows: self.queue.rows() as u64 + gauges.held_rows.load(Relaxed),
            dropped_exchanges: gauges.dropped_exchanges.load(Relaxed),
            last_error: gauges.last_error().clone(),
            bytes: file::bytes(&self.path),
        }
    }
}

impl Drop for SqliteStore {
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
        self.queue.end();
    }
}

#[cfg(test)]
mod tests;
