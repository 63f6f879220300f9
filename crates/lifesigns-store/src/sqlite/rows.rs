//! The statements over the three tables of rows, and a row of them.

use lifesigns_model::bucket::Level;
use rusqlite::Row;

use crate::packed::Packed;

/// The same statement over the table of a level.
macro_rules! for_table {
    ($level:expr, $before:literal, $after:literal) => {
        match $level {
            Level::Minute => concat!($before, " minute_rows ", $after),
            Level::Hour => concat!($before, " hour_rows ", $after),
            Level::Day => concat!($before, " day_rows ", $after),
        }
    };
}

/// Inputs: api, t, series. Output: a packed row from column 0 on.
pub(super) const fn find(level: Level) -> &'static str {
    for_table!(
        level,
        "SELECT count, sum_micros, max_micros, first_byte_micros, request_bytes, response_bytes, buckets FROM",
        "WHERE api = ?1 AND t = ?2 AND series = ?3"
    )
}

/// Inputs: api, t, series and the columns of a packed row.
pub(super) const fn put(level: Level) -> &'static str {
    for_table!(level, "INSERT OR REPLACE INTO", "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")
}

/// Inputs: api, first t, t after the last. Output: t, series, a packed row from column 2 on; oldest first.
pub(super) const fn scan(level: Level, with_buckets: bool) -> &'static str {
    if with_buckets {
        for_table!(
            level,
            "SELECT t, series, count, sum_micros, max_micros, first_byte_micros, request_bytes, response_bytes, \
             buckets FROM",
            "WHERE api = ?1 AND t >= ?2 AND t < ?3 ORDER BY t, series"
        )
    } else {
        for_table!(
            level,
            "SELECT t, series, count, sum_micros, max_micros, first_byte_micros, request_bytes, response_bytes FROM",
            "WHERE api = ?1 AND t >= ?2 AND t < ?3 ORDER BY t, series"
        )
    }
}

/// Input: api. Output: the oldest t, or NULL.
pub(super) const fn oldest(level: Level) -> &'static str {
    for_table!(level, "SELECT min(t) FROM", "WHERE api = ?1")
}

/// Inputs: api, t. Removes the rows before t.
pub(super) const fn remove_before(level: Level) -> &'static str {
    for_table!(level, "DELETE FROM", "WHERE api = ?1 AND t < ?2")
}

/// The packed row that begins at `column`.
pub(super) fn packed(row: &Row<'_>, column: usize, with_buckets: bool) -> rusqlite::Result<Packed> {
    // Sums are written from unsigned numbers cut at i64::MAX, so a negative one is damage and not a figure.
    let number = |offset| {
        let value: i64 = row.get(column + offset)?;
        u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column + offset, value))
    };
    Ok(Packed {
        count: number(0)?,
        sum_micros: number(1)?,
        max_micros: number(2)?,
        first_byte_micros: number(3)?,
        request_bytes: number(4)?,
        response_bytes: number(5)?,
        buckets: if with_buckets { row.get_ref(column + 6)?.as_blob()?.into() } else { Box::default() },
    })
}

/// An unsigned sum as SQLite can hold it. What is cut is beyond anything that can be counted.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
