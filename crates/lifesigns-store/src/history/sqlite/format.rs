//! The file of a history: its mark, its migrations and its watermarks.

use std::path::Path;
use std::time::Duration;

use lifesigns_model::history::EventKind;
use rusqlite::{Connection, OptionalExtension, Transaction};

use super::super::horizon::Horizon;
use crate::file::error::Fault;
use crate::file::opening::{self, Format, HISTORY};

pub(super) const VERSION: u32 = FORMAT.version();

const FORMAT: Format = Format {
    mark: HISTORY,
    migrations: &[(include_str!("migrations/0001-history.sql"), None)],
    statements: &[
        "SELECT name, value FROM meta",
        "SELECT topic, key, text FROM note",
        "SELECT id, name FROM service",
        "SELECT id, readings FROM fresh",
        "SELECT service, day, readings FROM block",
        "SELECT kind, key, service, began, ended, detail FROM event",
    ],
    // A block is read once for an answer.
    reader_cache_kib: 1 << 10,
};

/// As [`opening::open_for_writing`] does.
pub(super) fn open_for_writing(
    path: &Path,
    busy_timeout: Duration,
    is_known: bool,
) -> Result<Connection, Fault> {
    opening::open_for_writing(&FORMAT, path, busy_timeout, is_known)
}

/// As [`opening::open_for_reading`] does.
pub(super) fn open_for_reading(path: &Path, busy_timeout: Duration) -> Result<Connection, Fault> {
    opening::open_for_reading(&FORMAT, path, busy_timeout)
}

/// The watermarks.
pub(super) fn load_horizon(connection: &Connection) -> rusqlite::Result<Horizon> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
    Horizon::of(|name| Ok(statement.query_row([name], |row| row.get(0)).optional()?.flatten()))
}

/// Writes the watermarks.
pub(super) fn save_horizon(transaction: &Transaction<'_>, horizon: &Horizon) -> rusqlite::Result<()> {
    let mut statement =
        transaction.prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?;
    for (name, value) in horizon.watermarks() {
        statement.execute((name, value))?;
    }
    Ok(())
}

/// Whom a number stands for.
pub(super) fn service_id(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM service WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

/// The number of a kind in the file. Never changed.
pub(super) const fn kind_number(kind: EventKind) -> i64 {
    match kind {
        EventKind::Outage => 0,
        EventKind::Incident => 1,
        EventKind::Deploy => 2,
        EventKind::Restart => 3,
        EventKind::Gap => 4,
        EventKind::Delivery => 5,
    }
}

pub(super) fn kind_of(number: i64) -> Option<EventKind> {
    EventKind::ALL.into_iter().find(|kind| kind_number(*kind) == number)
}
