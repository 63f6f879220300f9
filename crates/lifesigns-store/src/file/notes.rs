//! Notes: what a process has to know again after a restart. Every file of ours has the same table of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use lifesigns_model::store::KeptNote;
use rusqlite::{Connection, OpenFlags, Transaction};

/// Notes that are to be written, by topic and key; `None` is to be removed.
pub(crate) type Notes = BTreeMap<(Arc<str>, Arc<str>), Option<Arc<str>>>;

/// Puts them in the place of those under their topics and keys.
pub(crate) fn write(transaction: &Transaction<'_>, notes: &Notes) -> rusqlite::Result<()> {
    for ((topic, key), text) in notes {
        match text {
            Some(text) => transaction
                .prepare_cached("INSERT OR REPLACE INTO note (topic, key, text) VALUES (?1, ?2, ?3)")?
                .execute((topic, key, text))?,
            None => transaction
                .prepare_cached("DELETE FROM note WHERE topic = ?1 AND key = ?2")?
                .execute((topic, key))?,
        };
    }
    Ok(())
}

/// All notes under a topic, ordered by key.
pub(crate) fn recall(connection: &Connection, topic: &str) -> rusqlite::Result<Vec<KeptNote>> {
    let mut statement =
        connection.prepare_cached("SELECT key, text FROM note WHERE topic = ?1 ORDER BY key")?;
    let notes = statement.query_map([topic], |row| Ok(KeptNote { key: row.get(0)?, text: row.get(1)? }))?;
    notes.collect()
}

/// As [`of_damaged`], of a file that nobody has open.
pub(crate) fn of_damaged_at(path: &Path) -> Notes {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    match Connection::open_with_flags(path, flags) {
        Ok(connection) => of_damaged(&connection),
        Err(error) => told(&error),
    }
}

/// The notes of a damaged file, as far as they can still be read: a maintenance that is on is to stay on.
pub(crate) fn of_damaged(connection: &Connection) -> Notes {
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
