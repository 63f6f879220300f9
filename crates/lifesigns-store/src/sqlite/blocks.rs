//! The statements over the three tables of blocks, and a row of them.

use lifesigns_model::bucket::Level;
use rusqlite::Row;

use super::block::{Block, Counts, Entries};
use crate::file::error::damaged;

/// The same statement over the table of a level.
macro_rules! for_table {
    ($level:expr, $before:literal, $after:literal) => {
        match $level {
            Level::Minute => concat!($before, " minutes ", $after),
            Level::Hour => concat!($before, " hours ", $after),
            Level::Day => concat!($before, " days ", $after),
        }
    };
}

/// Inputs: api, t. Output: a block from column 0 on.
pub(super) const fn find(level: Level) -> &'static str {
    for_table!(level, "SELECT count, figures, buckets FROM", "WHERE api = ?1 AND t = ?2")
}

/// Inputs: api, t and the columns of a block.
pub(super) const fn put(level: Level) -> &'static str {
    for_table!(
        level,
        "INSERT INTO",
        "(api, t, count, figures, buckets) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (api, t) DO UPDATE SET count = \
         excluded.count, figures = excluded.figures, buckets = excluded.buckets"
    )
}

/// Inputs: api, first t, t after the last. Output: t, figures, buckets where they are wanted; oldest first.
pub(super) const fn scan(level: Level, with_buckets: bool) -> &'static str {
    if with_buckets {
        for_table!(
            level,
            "SELECT t, figures, buckets FROM",
            "WHERE api = ?1 AND t >= ?2 AND t < ?3 ORDER BY t"
        )
    } else {
        for_table!(level, "SELECT t, figures FROM", "WHERE api = ?1 AND t >= ?2 AND t < ?3 ORDER BY t")
    }
}

/// Input: api. Output: the oldest t, or NULL.
pub(super) const fn oldest(level: Level) -> &'static str {
    for_table!(level, "SELECT min(t) FROM", "WHERE api = ?1")
}

/// Inputs: api, t. Removes the blocks before t.
pub(super) const fn remove_before(level: Level) -> &'static str {
    for_table!(level, "DELETE FROM", "WHERE api = ?1 AND t < ?2")
}

/// The block that begins at column 0.
pub(super) fn block(row: &Row<'_>) -> rusqlite::Result<Block> {
    Ok(Block {
        count: unsigned(row, 0)?,
        figures: row.get_ref(1)?.as_blob()?.into(),
        buckets: row.get_ref(2)?.as_blob()?.into(),
    })
}

/// The series in the row of a scan.
pub(super) fn entries<'r>(row: &'r Row<'_>, with_buckets: bool) -> rusqlite::Result<Entries<'r>> {
    let buckets = if with_buckets { Some(row.get_ref(2)?.as_blob()?) } else { None };
    Entries::of(row.get_ref(1)?.as_blob()?, buckets).map_err(|error| damaged(1, error))
}

/// What each series in the row of a scan has counted.
pub(super) fn counts<'r>(row: &'r Row<'_>) -> rusqlite::Result<Counts<'r>> {
    Counts::of(row.get_ref(1)?.as_blob()?).map_err(|error| damaged(1, error))
}

/// Sums are written from unsigned numbers cut at `i64::MAX`, so a negative one is damage and not a figure.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// An unsigned sum as SQLite can hold it. What is cut is beyond anything that can be counted.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
