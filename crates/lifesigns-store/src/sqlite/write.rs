//! What one transaction writes: rows, the hours and days that they close, and the watermarks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use lifesigns_model::bucket::{Level, Minute, MinuteRange};
use lifesigns_model::rollup::Rollup;
use lifesigns_model::series::Series;
use lifesigns_model::store::Retention;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::error::damaged;
use super::rows::{self, signed};
use super::schema::{load_timeline, save_timeline};
use crate::packed::Packed;
use crate::timeline::Timeline;

/// Rows that are to be written, merged.
pub(super) type Pending = HashMap<(Minute, Arc<Series>), Rollup>;

/// Notes that are to be written, by topic and key; `None` is to be removed.
pub(super) type Notes = BTreeMap<(Arc<str>, Arc<str>), Option<Arc<str>>>;

/// Series whose numbers are remembered; past it all are forgotten and looked up again.
const MAX_KNOWN_SERIES: usize = 100_000;

/// The one connection that writes, and what it knows of the file.
#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
    retention: Retention,
    timeline: Timeline,
    known: HashMap<Arc<Series>, Known>,
}

/// A series in the dictionary.
#[derive(Clone, Copy, Debug)]
struct Known {
    api: i64,
    id: i64,
    last_day: Minute,
}

impl Database {
    pub(super) fn new(connection: Connection, retention: Retention) -> rusqlite::Result<Database> {
        let timeline = load_timeline(&connection)?;
        Ok(Database { connection, retention, timeline, known: HashMap::new() })
    }

    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) const fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Adds all rows and notes in one transaction, which also closes what the rows close. All or nothing is written. Returns how
    /// many exchanges were in rows that are past every retention.
    pub(super) fn write(&mut self, pending: &Pending, notes: &Notes) -> rusqlite::Result<u64> {
        if self.known.len() > MAX_KNOWN_SERIES {
            self.known.clear();
        }
        let written = self.write_transaction(pending, notes);
        if written.is_err() {
            // The transaction may have given out numbers that no longer stand for anything.
            self.known.clear();
        }
        let (timeline, too_old) = written?;
        self.timeline = timeline;
        Ok(too_old)
    }

    /// Forgets the numbers of series: some have been removed from the dictionary.
    pub(super) fn forget_series(&mut self) {
        self.known.clear();
    }

    fn write_transaction(&mut self, pending: &Pending, notes: &Notes) -> rusqlite::Result<(Timeline, u64)> {
        let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        let mut too_old = 0;
        let mut keyed = Vec::with_capacity(pending.len());
        for ((minute, series), rollup) in pending {
            if self.timeline.levels_of(*minute).next().is_none() {
                too_old += rollup.count();
                continue;
            }
            let known = known_series(&transaction, &mut self.known, series, *minute)?;
            keyed.push((known.api, *minute, known.id, rollup));
        }
        // In the order of the tables' keys: neighbours share pages.
        keyed.sort_unstable_by_key(|(api, minute, id, _)| (*api, *minute, *id));
        for level in Level::ALL {
            let mut table = Table::open(&transaction, level)?;
            for (api, minute, id, rollup) in &keyed {
                if self.timeline.levels_of(*minute).any(|takes| takes == level) {
                    table.add(*api, minute.floor(level.minutes()), *id, rollup)?;
                }
            }
        }

        let mut timeline = self.timeline;
        let minutes: BTreeSet<Minute> = pending.keys().map(|(minute, _)| *minute).collect();
        for minute in minutes {
            timeline.observe(minute);
        }
        timeline.close();
        let hours = MinuteRange::new(self.timeline.hours_until, timeline.hours_until);
        sum_up(&transaction, Level::Minute, hours, Level::Hour)?;
        let days = MinuteRange::new(self.timeline.days_until, timeline.days_until);
        sum_up(&transaction, Level::Hour, days, Level::Day)?;
        timeline.expire(self.retention);
        if timeline != self.timeline {
            save_timeline(&transaction, &timeline)?;
        }
        write_notes(&transaction, notes)?;
        transaction.commit()?;
        Ok((timeline, too_old))
    }
}

fn write_notes(transaction: &Transaction<'_>, notes: &Notes) -> rusqlite::Result<()> {
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

/// The table of a level within a transaction.
struct Table<'c> {
    find: CachedStatement<'c>,
    put: CachedStatement<'c>,
}

impl<'c> Table<'c> {
    fn open(connection: &'c Connection, level: Level) -> rusqlite::Result<Table<'c>> {
        Ok(Table {
            find: connection.prepare_cached(rows::find(level))?,
            put: connection.prepare_cached(rows::put(level))?,
        })
    }

    fn add(&mut self, api: i64, start: Minute, series: i64, rollup: &Rollup) -> rusqlite::Result<()> {
        let found = self
            .find
            .query_row((api, start.number(), series), |row| rows::packed(row, 0, true))
            .optional()?;
        match found {
            None => self.put(api, start, series, rollup),
            Some(packed) => {
                let mut sum = packed.unpacked().map_err(|error| damaged(6, error))?;
                sum.merge(rollup);
                self.put(api, start, series, &sum)
            }
        }
    }

    fn put(&mut self, api: i64, start: Minute, series: i64, rollup: &Rollup) -> rusqlite::Result<()> {
        let packed = Packed::of(rollup);
        self.put.execute(params![
            api,
            start.number(),
            series,
            signed(packed.count),
            signed(packed.sum_micros),
            signed(packed.max_micros),
            signed(packed.first_byte_micros),
            signed(packed.request_bytes),
            signed(packed.response_bytes),
            packed.buckets,
        ])?;
        Ok(())
    }
}

/// Writes the rows of `level` for newly closed buckets of it, from the rows of the level below. API by API and
/// bucket by bucket, so that only one bucket of one API is in memory.
fn sum_up(
    transaction: &Transaction<'_>,
    from: Level,
    closed: MinuteRange,
    level: Level,
) -> rusqlite::Result<()> {
    if closed.is_empty() {
        return Ok(());
    }
    let mut table = Table::open(transaction, level)?;
    let mut scan = transaction.prepare_cached(rows::scan(from, true))?;
    for api in all_apis(transaction)? {
        let mut bucket = closed.start;
        let mut sums: HashMap<i64, Rollup> = HashMap::new();
        let mut found = scan.query((api, closed.start.number(), closed.end.number()))?;
        while let Some(row) = found.next()? {
            let start = Minute::new(row.get(0)?).floor(level.minutes());
            if start != bucket {
                put_all(&mut table, api, bucket, &mut sums)?;
                bucket = start;
            }
            let sum = sums.entry(row.get(1)?).or_default();
            rows::packed(row, 2, true)?.add_to(&mut 0, sum, true).map_err(|error| damaged(8, error))?;
        }
        put_all(&mut table, api, bucket, &mut sums)?;
    }
    Ok(())
}

fn put_all(
    table: &mut Table<'_>,
    api: i64,
    start: Minute,
    sums: &mut HashMap<i64, Rollup>,
) -> rusqlite::Result<()> {
    let mut sums: Vec<_> = sums.drain().collect();
    sums.sort_unstable_by_key(|(series, _)| *series);
    sums.iter().try_for_each(|(series, rollup)| table.put(api, start, *series, rollup))
}

/// The numbers of all APIs.
pub(super) fn all_apis(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    connection.prepare_cached("SELECT id FROM api ORDER BY id")?.query_map((), |row| row.get(0))?.collect()
}

/// The numbers of a series that has a row at `minute`; it is entered into the dictionary if it is new.
fn known_series(
    transaction: &Transaction<'_>,
    known: &mut HashMap<Arc<Series>, Known>,
    series: &Arc<Series>,
    minute: Minute,
) -> rusqlite::Result<Known> {
    let day = minute.floor(Level::Day.minutes());
    if let Some(found) = known.get(series)
        && day <= found.last_day
    {
        return Ok(*found);
    }
    let api = api_id(transaction, &series.api)?;
    let found = match find_series(transaction, api, series)? {
        Some((id, last_day)) if day <= last_day => Known { api, id, last_day },
        Some((id, _)) => {
            transaction
                .prepare_cached("UPDATE series SET last_day = ?2 WHERE id = ?1")?
                .execute((id, day.number()))?;
            Known { api, id, last_day: day }
        }
        None => Known { api, id: insert_series(transaction, api, series, day)?, last_day: day },
    };
    known.insert(series.clone(), found);
    Ok(found)
}

fn api_id(transaction: &Transaction<'_>, name: &str) -> rusqlite::Result<i64> {
    let found = transaction
        .prepare_cached("SELECT id FROM api WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    match found {
        Some(id) => Ok(id),
        None => transaction.prepare_cached("INSERT INTO api (name) VALUES (?1)")?.insert([name]),
    }
}

fn find_series(
    transaction: &Transaction<'_>,
    api: i64,
    series: &Series,
) -> rusqlite::Result<Option<(i64, Minute)>> {
    transaction
        .prepare_cached(
            "SELECT id, last_day FROM series WHERE api = ?1 AND route = ?2 AND method = ?3 AND status = ?4 AND \
             client_id = ?5 AND api_version = ?6 AND instance = ?7 AND failed_by = ?8 AND policy IS ?9",
        )?
        .query_row(
            params![
                api,
                series.route,
                series.method,
                series.status,
                series.client_id,
                series.api_version,
                series.instance,
                series.failed_by.name(),
                series.policy,
            ],
            |row| Ok((row.get(0)?, Minute::new(row.get(1)?))),
        )
        .optional()
}

fn insert_series(
    transaction: &Transaction<'_>,
    api: i64,
    series: &Series,
    last_day: Minute,
) -> rusqlite::Result<i64> {
    transaction
        .prepare_cached(
            "INSERT INTO series (api, route, method, status, client_id, api_version, instance, failed_by, policy, \
             last_day) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .insert(params![
            api,
            series.route,
            series.method,
            series.status,
            series.client_id,
            series.api_version,
            series.instance,
            series.failed_by.name(),
            series.policy,
            last_day.number(),
        ])
}
