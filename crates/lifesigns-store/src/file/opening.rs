//! Opening a file: is it ours, is it of a version we know, and how is it brought up to date?

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use lifesigns_model::store::StoreError;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::error::{Fault, chain, damaged, is_damage};

/// Bytes of a page.
pub(crate) const PAGE_SIZE: u64 = 8192;
/// Bytes of the header of an SQLite file: <https://www.sqlite.org/fileformat2.html#the_database_header>.
const HEADER_BYTES: u64 = 100;

/// A kind of file that Lifesigns keeps.
#[derive(Debug)]
pub(crate) struct Format {
    pub(crate) mark: Mark,
    /// Each brings a file from the version of its index to the next: statements, and what statements alone cannot do.
    /// Never changed once released. The first makes the table by which the kind is known.
    pub(crate) migrations: &'static [Migration],
    /// Statements for which all tables and columns of the newest version have to be there.
    pub(crate) statements: &'static [&'static str],
    /// How much of the file a connection that reads keeps in memory, in KiB.
    pub(crate) reader_cache_kib: i64,
}

pub(crate) type Migration = (&'static str, Option<fn(&Transaction<'_>) -> rusqlite::Result<()>>);

impl Format {
    /// Version of the files that this program writes.
    pub(crate) const fn version(&self) -> u32 {
        self.migrations.len() as u32
    }
}

/// What tells a kind of file from others.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) application_id: u32,
    /// What is in it, for people.
    holds: &'static str,
    /// A table that no other kind has, by what follows `CREATE TABLE`.
    table: &'static str,
}

/// `Life` in ASCII.
pub(crate) const FIGURES: Mark =
    Mark { application_id: 0x4c69_6665, holds: "the figures of APIs", table: "series (" };
/// `LifH` in ASCII.
pub(crate) const HISTORY: Mark =
    Mark { application_id: 0x4c69_6648, holds: "the history of a monitor", table: "fresh (" };

static MARKS: [Mark; 2] = [FIGURES, HISTORY];

/// The write-ahead log is cut back to this after a transaction that made it longer.
const LOG_BYTES_KEPT: i64 = 64 << 20;
const WRITER_CACHE_KIB: i64 = 2 << 10;

/// Opens a file for writing: makes it if it is not there, and brings an older one up to date. `is_known` says that it has
/// been ours before: one that cannot even be told for an SQLite file is damaged then, and not somebody else's.
pub(crate) fn open_for_writing(
    format: &Format,
    path: &Path,
    busy_timeout: Duration,
    is_known: bool,
) -> Result<Connection, Fault> {
    let is_ours = refuse_foreign_header(format, path, is_known, |path| was_ours(format, path))?;
    let failed = |error| {
        let fault = Fault::of(path, "the store could not be opened", error);
        Fault { is_damage: fault.is_damage && is_ours, ..fault }
    };
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(busy_timeout).map_err(failed)?;
    let version = version_of(format, &connection).map_err(failed)?;
    let version = version.ok_or_else(|| foreign(path))?;
    refuse_newer(format, path, version)?;
    if version == format.version() {
        // Before anything is written: a damaged file is not to be changed.
        find_tables(format, &connection).map_err(failed)?;
    }
    prepare(&connection, version).map_err(failed)?;
    migrate(format, &mut connection, version).map_err(failed)?;
    // The first transaction on a fresh log waits for the medium. Better here, where nobody counts yet, than when the
    // first rows are to be made safe.
    connection.pragma_update(None, "user_version", format.version()).map_err(failed)?;
    Ok(connection)
}

/// Lets a file grow to so many bytes at most, and at least as large as it is.
pub(crate) fn limit_size(connection: &Connection, bytes: u64) -> rusqlite::Result<()> {
    let pages = (bytes / PAGE_SIZE).clamp(1, u64::from(u32::MAX - 1)) as i64;
    connection.pragma_update_and_check(None, "max_page_count", pages, |row| row.get::<_, i64>(0))?;
    Ok(())
}

/// Opens a file that is there, for reading only.
pub(crate) fn open_for_reading(
    format: &Format,
    path: &Path,
    busy_timeout: Duration,
) -> Result<Connection, Fault> {
    refuse_foreign_header(format, path, false, |_| false)?;
    let failed = |error| {
        let fault = Fault::of(path, "the store could not be opened for reading", error);
        if !fault.is_damage {
            return fault;
        }
        let path = path.display();
        let text = format!(
            "{}. Whoever opens it for writing sets it aside and begins a new one. What can be saved of it: sqlite3 {path} \
             .recover | sqlite3 NEW_FILE",
            chain(&fault.error)
        );
        Fault { error: StoreError::new(text), ..fault }
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(busy_timeout).map_err(failed)?;
    connection.pragma_update(None, "cache_size", -format.reader_cache_kib).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(32);
    let version = version_of(format, &connection).map_err(failed)?.ok_or_else(|| foreign(path))?;
    refuse_newer(format, path, version)?;
    if version < format.version() {
        let text = format!(
            "{} is of the older version {version}. Open it once for writing, which brings it to version {}",
            path.display(),
            format.version()
        );
        return Err(StoreError::new(text).into());
    }
    Ok(connection)
}

/// Looks at the file's header before it is opened in earnest, which could touch a file that is not for us: SQLite
/// replays and removes logs. As `immutable` it is read without its log and without a lock.
///
/// SQLite does the reading because a plain descriptor must not be closed here: the locks that this process already
/// has on the file would go with it (POSIX `fcntl`), and other programs take the file for unused then.
///
/// Whether the file is one of ours for certain. `was_ours` is asked where the header does not tell.
fn refuse_foreign_header(
    format: &Format,
    path: &Path,
    is_known: bool,
    was_ours: impl Fn(&Path) -> bool,
) -> Result<bool, Fault> {
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(error) => {
            return Err(StoreError::because(format!("{} cannot be read", path.display()), error).into());
        }
        Ok(file) if !file.is_file() => {
            let text = format!("{} is a folder or a device. Give the path of a file in it", path.display());
            return Err(StoreError::new(text).into());
        }
        Ok(file) if file.len() == 0 => return Ok(true),
        // SQLite takes some of these for empty ones.
        Ok(file) if file.len() < HEADER_BYTES => {
            let fault = Fault::from(no_store(path));
            return Err(Fault { is_damage: is_known, ..fault });
        }
        Ok(_) => {}
    }
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let header = Connection::open_with_flags(immutable_uri(path), flags).and_then(|connection| {
        let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
        Ok((number("application_id")?, number("user_version")?))
    });
    match header {
        Ok((mark, version)) if mark == format.mark.application_id => {
            Ok(refuse_newer(format, path, version).map(|()| true)?)
        }
        Ok((mark, _)) if let Some(other) = other_mark(mark) => Err(of_other_kind(format, path, other).into()),
        Ok((mark, _)) if was_ours(path) => {
            let text =
                format!("{} is damaged: its tables are ours and its mark is {mark:#x}", path.display());
            Err(Fault { error: StoreError::new(text), is_damage: true })
        }
        // Judged by its tables once it is open: it may be one that was made and never used.
        Ok((0, _)) => Ok(is_known),
        Ok(_) => Err(foreign(path).into()),
        // A log may hold the pages that the file itself is short of, such as after a disk that was full: whoever opens it
        // with its log will see.
        Err(error) if is_damage(&error) && has_log(path) && (is_known || was_ours(path)) => Ok(true),
        Err(error) if is_damage(&error) && (is_known || was_ours(path)) => {
            Err(Fault::of(path, "the store could not be opened", error))
        }
        Err(error) if is_damage(&error) => Err(no_store(path).into()),
        Err(error) => Err(Fault::of(path, "the store could not be opened", error)),
    }
}

/// Whether there is something in the write-ahead log beside the file.
fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    fs::metadata(log).is_ok_and(|log| log.len() > 0)
}

/// Whether the beginning of a file that SQLite does not take for one of ours holds what only ours do: the mark in its
/// place, or among bytes that no text has our table of series.
///
/// This closes a plain descriptor, and with it go the locks that this process may have on the file. It is asked only about
/// a file that is not taken for a sound one of ours, by whoever is about to open it for writing.
fn was_ours(format: &Format, path: &Path) -> bool {
    const FIRST_PAGES: u64 = 64 << 10;
    let (first, _) = format.migrations[0];
    // SQLite keeps the statement as it is written from the name of the table on.
    let Some(table) = first.find(format.mark.table).and_then(|at| first[at..].split(';').next()) else {
        return false;
    };
    let mut beginning = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(FIRST_PAGES).read_to_end(&mut beginning));
    let is_marked = beginning.get(68..72) == Some(&format.mark.application_id.to_be_bytes());
    let has_table =
        beginning.contains(&0) && beginning.windows(table.len()).any(|found| found == table.as_bytes());
    read.is_ok() && (is_marked || has_table)
}

/// The path as an SQLite URI: <https://www.sqlite.org/uri.html>.
fn immutable_uri(path: &Path) -> OsString {
    let mut uri = OsString::from("file:");
    // Two slashes at the beginning would name a host.
    if path.is_absolute() {
        uri.push("//");
    }
    for part in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        uri.push(part.valid().replace('%', "%25").replace('?', "%3f").replace('#', "%23"));
        part.invalid().iter().for_each(|byte| uri.push(format!("%{byte:02x}")));
    }
    uri.push("?immutable=1");
    uri
}

/// The version of a file of ours, 0 for one without any content; `None` for the file of another program.
fn version_of(format: &Format, connection: &Connection) -> rusqlite::Result<Option<u32>> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    Ok(match (number("application_id")?, number("user_version")?) {
        (mark, 0) if mark == format.mark.application_id && tables > 0 => return Err(other_version(0)),
        (mark, version) if mark == format.mark.application_id => Some(version),
        (0, 0) if tables == 0 => Some(0),
        _ => None,
    })
}

/// Fails as for a damaged file if a table or a column is missing.
fn find_tables(format: &Format, connection: &Connection) -> rusqlite::Result<()> {
    for sql in format.statements {
        connection.prepare(sql).map_err(|error| match error.sqlite_error_code() {
            // How SQLite says that there is no such table.
            Some(ErrorCode::Unknown) => damaged(0, error),
            _ => error,
        })?;
    }
    Ok(())
}

/// The error for a file whose tables are not those of the version that it says it has.
fn other_version(version: u32) -> rusqlite::Error {
    damaged(0, std::io::Error::other(format!("its tables are not those of its version, {version}")))
}

fn refuse_newer(format: &Format, path: &Path, version: u32) -> Result<(), StoreError> {
    if version <= format.version() {
        return Ok(());
    }
    Err(StoreError::new(format!(
        "{} was written by a newer Lifesigns (file version {version}, this one knows up to {}). It was left \
         as it is: use the newer Lifesigns, or give another file",
        path.display(),
        format.version()
    )))
}

/// The kind of file of ours that has this mark.
fn other_mark(application_id: u32) -> Option<&'static Mark> {
    MARKS.iter().find(|mark| mark.application_id == application_id)
}

fn of_other_kind(format: &Format, path: &Path, other: &Mark) -> StoreError {
    StoreError::new(format!(
        "{} holds {}, and not {}. It was left as it is: give another file",
        path.display(),
        other.holds,
        format.mark.holds
    ))
}

fn no_store(path: &Path) -> StoreError {
    StoreError::new(format!(
        "{} is no SQLite file, or its beginning is damaged. Give another file, or set this one aside (rename it)",
        path.display()
    ))
}

fn foreign(path: &Path) -> StoreError {
    StoreError::new(format!(
        "{} is an SQLite file of another program. It was left as it is: give another file",
        path.display()
    ))
}

/// Sets what holds for a connection, and for an empty file what has to be set before its first table.
fn prepare(connection: &Connection, version: u32) -> rusqlite::Result<()> {
    if version == 0 {
        connection.pragma_update(None, "page_size", PAGE_SIZE as i64)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        tracing::warn!(mode, "the file system cannot share memory, so readers wait for the writer");
    }
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection
        .pragma_update_and_check(None, "journal_size_limit", LOG_BYTES_KEPT, |row| row.get::<_, i64>(0))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn migrate(format: &Format, connection: &mut Connection, version: u32) -> rusqlite::Result<()> {
    for (from, (sql, further)) in (0..).zip(format.migrations).skip(version as usize) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql).map_err(|error| match error {
            // A table is there already, or one is not.
            rusqlite::Error::SqlInputError { .. } => other_version(from),
            error => error,
        })?;
        if let Some(further) = further {
            further(&transaction)?;
        }
        transaction.pragma_update(None, "application_id", format.mark.application_id)?;
        transaction.pragma_update(None, "user_version", from + 1)?;
        transaction.commit()?;
    }
    Ok(())
}
