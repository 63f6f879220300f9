//! The file of figures: its mark, its migrations and its watermarks.

use std::path::Path;
use std::time::Duration;

use lifesigns_model::bucket::{Level, Minute};
use rusqlite::{Connection, OptionalExtension, Transaction};

use super::blocks;
use super::write::gather_rows;
use crate::file::error::Fault;
use crate::file::opening::{self, FIGURES, Format};
use crate::timeline::Timeline;

/// Version of the files that this program writes.
pub(super) const VERSION: u32 = FORMAT.version();

const FORMAT: Format = Format {
    mark: FIGURES,
    migrations: &[
        (include_str!("migrations/0001-rollups.sql"), None),
        (include_str!("migrations/0002-notes.sql"), None),
        (include_str!("migrations/0003-blocks.sql"), Some(gather_rows)),
    ],
    statements: &[
        "SELECT name, value FROM meta",
        "SELECT topic, key, text FROM note",
        "SELECT id, name FROM api",
        "SELECT id, api, api_version, route, method, status, client_id, policy, failed_by, instance, last_day FROM \
         series",
        blocks::scan(Level::Minute, true),
        blocks::scan(Level::Hour, true),
        blocks::scan(Level::Day, true),
    ],
    reader_cache_kib: 16 << 10,
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

/// The watermarks. Names that this version does not know do not occur: they would be another version.
pub(super) fn load_timeline(connection: &Connection) -> rusqlite::Result<Timeline> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
    let mut value = |name: &str| -> rusqlite::Result<Option<Minute>> {
        let found = statement.query_row([name], |row| row.get::<_, Option<i64>>(0)).optional()?;
        Ok(found.flatten().map(Minute::new))
    };
    let beginning = Timeline::default();
    Ok(Timeline {
        newest: value("newest")?,
        leap: value("leap")?,
        minutes_from: value("minutes_from")?.unwrap_or(beginning.minutes_from),
        hours_from: value("hours_from")?.unwrap_or(beginning.hours_from),
        days_from: value("days_from")?.unwrap_or(beginning.days_from),
        hours_until: value("hours_until")?.unwrap_or(beginning.hours_until),
        days_until: value("days_until")?.unwrap_or(beginning.days_until),
    })
}

/// Writes the watermarks that differ from their beginning.
pub(super) fn save_timeline(transaction: &Transaction<'_>, timeline: &Timeline) -> rusqlite::Result<()> {
    let beginning = Timeline::default();
    let moved = |minute: Minute, from: Minute| (minute != from).then_some(minute);
    let values = [
        ("newest", timeline.newest),
        ("leap", timeline.leap),
        ("minutes_from", moved(timeline.minutes_from, beginning.minutes_from)),
        ("hours_from", moved(timeline.hours_from, beginning.hours_from)),
        ("days_from", moved(timeline.days_from, beginning.days_from)),
        ("hours_until", moved(timeline.hours_until, beginning.hours_until)),
        ("days_until", moved(timeline.days_until, beginning.days_until)),
    ];
    let mut statement =
        transaction.prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?;
    for (name, value) in values {
        statement.execute((name, value.map(Minute::number)))?;
    }
    Ok(())
}
