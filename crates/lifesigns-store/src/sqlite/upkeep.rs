//! Removing what has expired, in small steps between the writes.
//!
//! Readers go by the watermarks and never look at expired blocks, so that removing them can take its time: a step
//! is one transaction over one hour of minutes (or a day of hours, a month of days) of one API. Freed
//! pages are used again; a file that has become much too large for what it holds is shortened.

use lifesigns_model::bucket::{Level, Minute};
use rusqlite::{Transaction, TransactionBehavior};

use super::blocks;
use super::write::{Database, all_apis};
use crate::file::shortening::shorten;

const DAY: i64 = Level::Day.minutes();

/// Does one step. Whether there may be more to do.
pub(super) fn step(database: &mut Database) -> rusqlite::Result<bool> {
    if remove_expired_blocks(database)? {
        return Ok(true);
    }
    if remove_unused_series(database)? {
        database.forget_series();
        return Ok(true);
    }
    shorten(database.connection())
}

fn remove_expired_blocks(database: &Database) -> rusqlite::Result<bool> {
    let connection = database.connection();
    for (level, span) in [(Level::Minute, 60), (Level::Hour, DAY), (Level::Day, 30 * DAY)] {
        let kept_from = database.timeline().kept_from(level);
        for api in all_apis(connection)? {
            let oldest: Option<i64> =
                connection.prepare_cached(blocks::oldest(level))?.query_row([api], |row| row.get(0))?;
            let Some(oldest) = oldest.map(Minute::new).filter(|oldest| *oldest < kept_from) else { continue };
            let up_to = oldest.plus(span).min(kept_from);
            connection.prepare_cached(blocks::remove_before(level))?.execute((api, up_to.number()))?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Only when no expired block is left: the rows of a series, and those of an API, are found through the dictionary.
fn remove_unused_series(database: &Database) -> rusqlite::Result<bool> {
    let transaction = Transaction::new_unchecked(database.connection(), TransactionBehavior::Immediate)?;
    let removed = transaction
        .prepare_cached("DELETE FROM series WHERE last_day < ?1")?
        .execute([database.timeline().kept_from(Level::Day).number()])?;
    if removed > 0 {
        transaction
            .prepare_cached(
                "DELETE FROM api WHERE NOT EXISTS (SELECT 1 FROM series WHERE series.api = api.id)",
            )?
            .execute(())?;
    }
    transaction.commit()?;
    Ok(removed > 0)
}
