//! Setting a damaged file aside, so that a new one can be begun in its place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use lifesigns_model::store::StoreError;
use rusqlite::{Connection, OpenFlags};

use super::beside;
use super::write::Notes;

/// Renames a file with its log and the log's index. Where it is now.
///
/// The log goes first: were it left beside a new file of the name, SQLite would take its pages into that. Whoever
/// still reads the file goes on with what it has open.
pub(super) fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    // The log lies beside the file itself and not beside a link to it.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let aside = free_name(path, Timestamp::now());
    for suffix in ["-wal", "-shm", ""] {
        match fs::rename(beside(path, suffix), beside(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let text = format!(
                    "{}{suffix} is damaged and could not be set aside. Its folder must be writable for this user; \
                     rename it by hand",
                    path.display()
                );
                return Err(StoreError::because(text, error));
            }
            _ => {}
        }
    }
    Ok(aside)
}

/// What a person reads about it, once.
pub(super) fn tell(path: &Path, aside: &Path, why: &str) {
    tracing::warn!(
        path = %path.display(),
        aside = %aside.display(),
        "the file of the store was damaged. It was set aside as {aside} and a new one begun; what is in it is no longer \
         part of any answer. What can be saved of it: sqlite3 {aside} .recover | sqlite3 NEW_FILE. What was found: {why}",
        aside = aside.display()
    );
}

/// As [`notes`], of a file that nobody has open.
pub(super) fn notes_at(path: &Path) -> Notes {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    match Connection::open_with_flags(path, flags) {
        Ok(connection) => notes(&connection),
        Err(error) => told(&error),
    }
}

/// The notes of a damaged file, as far as they can still be read: a maintenance that is on is to stay on.
pub(super) fn notes(connection: &Connection) -> Notes {
    let read = || -> rusqlite::Result<Notes> {
        let mut statement = connection.prepare("SELECT topic, key, text FROM note")?;
        let notes = statement.query_map((), |row| Ok(((row.get(0)?, row.get(1)?), Some(row.get(2)?))))?;
        notes.collect()
    };
    read().unwrap_or_else(|error| told(&error))
}

fn told(error: &rusqlite::Error) -> Notes {
    tracing::warn!(%error, "the notes in the damaged file, such as a maintenance, could not be read");
    Notes::new()
}

/// A name beside the file that nobody has.
fn free_name(path: &Path, now: Timestamp) -> PathBuf {
    let named = beside(path, &format!(".damaged-{now:.0}"));
    let mut number = 1;
    let mut free = named.clone();
    while ["", "-wal", "-shm"].iter().any(|suffix| beside(&free, suffix).exists()) {
        number += 1;
        free = beside(&named, &format!(".{number}"));
    }
    free
}
