//! What one transaction writes: rows, the hours and days that they close, and the watermarks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lifesigns_model::bucket::{Level, Minute, MinuteRange};
use lifesigns_model::rollup::Rollup;
use lifesigns_model::series::Series;
use lifesigns_model::store::Retention;
use rusqlite::config::DbConfig;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::Options;
use super::block::{Block, Builder, added};
use super::blocks::{self, signed, unsigned};
use super::schema::{load_timeline, save_timeline};
use crate::file::error::damaged;
use crate::file::notes::{self, Notes};
use crate::packed::{Packed, Sums};
use crate::timeline::Timeline;

/// Rows that are to be written, merged.
pub(super) type Pending = HashMap<(Minute, Arc<Series>), Packed>;

/// Series whose numbers are remembered; past it all are forgotten and looked up again.
const MAX_KNOWN_SERIES: usize = 100_000;

/// The one connection that writes, and what it knows of the file.
#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
    retention: Retention,
    timeline: Timeline,
    /// What is being closed, and for how long in one transaction.
    closing: Option<Closing>,
    closing_time: Duration,
    known: HashMap<Arc<Series>, Known>,
}

/// Hours or days that are being closed, in one transaction after the other. What is there of them already is not read
/// before all of it is, and is written anew by whoever begins again.
#[derive(Clone, Copy, Debug)]
struct Closing {
    level: Level,
    range: MinuteRange,
    /// The APIs before this one have been summed up.
    next_api: i64,
}

impl Closing {
    /// Whether the block of an API has been written that a row of this minute belongs to.
    fn has_summed_up(&self, level: Level, api: i64, minute: Minute) -> bool {
        self.level == level && api < self.next_api && self.range.contains(minute)
    }
}

/// What a transaction has changed.
struct Written {
    timeline: Timeline,
    closing: Option<Closing>,
    too_old: u64,
}

/// A series in the dictionary.
#[derive(Clone, Copy, Debug)]
struct Known {
    api: i64,
    id: i64,
    last_day: Minute,
}

impl Database {
    pub(super) fn new(connection: Connection, options: &Options) -> rusqlite::Result<Database> {
        let timeline = load_timeline(&connection)?;
        Ok(Database {
            connection,
            retention: options.retention,
            timeline,
            closing: None,
            closing_time: options.closing,
            known: HashMap::new(),
        })
    }

    /// Whether more is to be summed up.
    pub(super) const fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Closes the file without taking its log into it: what a damaged file holds is not to be changed.
    pub(super) fn leave_as_it_is(self) {
        if let Err(error) = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
            tracing::warn!(%error, "the log of the damaged file may be taken into it");
        }
    }

    pub(super) const fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Adds all rows and notes in one transaction, which also closes what the rows close, or begins to. All or nothing is
    /// written. Returns how many exchanges were in rows that are past every retention.
    pub(super) fn write(&mut self, pending: &Pending, notes: &Notes) -> rusqlite::Result<u64> {
        if self.known.len() > MAX_KNOWN_SERIES {
            self.known.clear();
        }
        let written = self.write_transaction(pending, notes);
        if written.is_err() {
            // The transaction may have given out numbers that no longer stand for anything.
            self.known.clear();
        }
        let Written { timeline, closing, too_old } = written?;
        (self.timeline, self.closing) = (timeline, closing);
        Ok(too_old)
    }

    /// Forgets the numbers of series: some have been removed from the dictionary.
    pub(super) fn forget_series(&mut self) {
        self.known.clear();
    }

    fn write_transaction(&mut self, pending: &Pending, to_note: &Notes) -> rusqlite::Result<Written> {
        let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        let mut too_old = 0;
        // By API and by minute, each of which is one block.
        let mut minutes = BTreeMap::<(i64, Minute), BTreeMap<i64, &Packed>>::new();
        for ((minute, series), packed) in pending {
            if self.timeline.levels_of(*minute).next().is_none() {
                too_old += packed.sums.count;
                continue;
            }
            let known = known_series(&transaction, &mut self.known, series, *minute)?;
            minutes.entry((known.api, *minute)).or_default().insert(known.id, packed);
        }
        for level in Level::ALL {
            let mut table = Table::open(&transaction, level)?;
            for ((api, minute), rows) in &minutes {
                let is_closing = self.closing.is_some_and(|it| it.has_summed_up(level, *api, *minute));
                if is_closing || self.timeline.levels_of(*minute).any(|takes| takes == level) {
                    table.add(*api, minute.floor(level.minutes()), rows)?;
                }
            }
        }

        let mut timeline = self.timeline;
        let minutes: BTreeSet<Minute> = pending.keys().map(|(minute, _)| *minute).collect();
        for minute in minutes {
            timeline.observe(minute);
        }
        let closing = close(&transaction, &mut timeline, self.closing, Instant::now() + self.closing_time)?;
        timeline.expire(self.retention);
        if timeline != self.timeline {
            save_timeline(&transaction, &timeline)?;
        }
        notes::write(&transaction, to_note)?;
        transaction.commit()?;
        Ok(Written { timeline, closing, too_old })
    }
}

/// The table of a level within a transaction.
struct Table<'c> {
    find: CachedStatement<'c>,
    put: CachedStatement<'c>,
}

impl<'c> Table<'c> {
    fn open(connection: &'c Connection, level: Level) -> rusqlite::Result<Table<'c>> {
        Ok(Table {
            find: connection.prepare_cached(blocks::find(level))?,
            put: connection.prepare_cached(blocks::put(level))?,
        })
    }

    /// Adds to the block of an API at `start`, which is begun if it is not there.
    fn add(&mut self, api: i64, start: Minute, rows: &BTreeMap<i64, &Packed>) -> rusqlite::Result<()> {
        let found = self.find.query_row((api, start.number()), blocks::block).optional()?;
        let block = match found {
            None => {
                let mut block = Builder::default();
                rows.iter().for_each(|(series, packed)| block.add_packed(*series, packed));
                block.finish()
            }
            Some(block) => added(&block, rows).map_err(|error| damaged(1, error))?,
        };
        self.put(api, start, &block)
    }

    /// Writes the sums, if there are any, and leaves none.
    fn put_all(&mut self, api: i64, start: Minute, sums: &mut BTreeMap<i64, Rollup>) -> rusqlite::Result<()> {
        let sums = std::mem::take(sums);
        if sums.is_empty() {
            return Ok(());
        }
        let mut block = Builder::default();
        sums.iter().for_each(|(series, rollup)| block.add_packed(*series, &Packed::of(rollup)));
        self.put(api, start, &block.finish())
    }

    fn put(&mut self, api: i64, start: Minute, block: &Block) -> rusqlite::Result<()> {
        let Block { count, figures, buckets } = block;
        self.put.execute(params![api, start.number(), signed(*count), figures, buckets])?;
        Ok(())
    }
}

/// Goes on with what is being closed, and with what is to be closed besides, until there is nothing more or the time is
/// over. What is left.
fn close(
    transaction: &Transaction<'_>,
    timeline: &mut Timeline,
    mut begun: Option<Closing>,
    deadline: Instant,
) -> rusqlite::Result<Option<Closing>> {
    let mut following = transaction.prepare_cached("SELECT min(id) FROM api WHERE id >= ?1")?;
    let next = |timeline: &Timeline| {
        timeline.to_close().map(|(level, range)| Closing { level, range, next_api: i64::MIN })
    };
    let mut is_late = false;
    while let Some(mut closing) = begun.take().or_else(|| next(timeline)) {
        while let Some(api) = following.query_row([closing.next_api], |row| row.get::<_, Option<i64>>(0))? {
            // One at least, however little time there is.
            if is_late {
                return Ok(Some(closing));
            }
            sum_up(transaction, api, closing.range, closing.level)?;
            closing.next_api = api + 1;
            is_late = Instant::now() >= deadline;
        }
        timeline.close(closing.level, closing.range.end);
    }
    Ok(None)
}

/// Writes the blocks of an API of `level`, from those of the level below. Bucket by bucket, so that only one is in memory.
fn sum_up(
    transaction: &Transaction<'_>,
    api: i64,
    closed: MinuteRange,
    level: Level,
) -> rusqlite::Result<()> {
    let below = if level == Level::Day { Level::Hour } else { Level::Minute };
    let mut table = Table::open(transaction, level)?;
    let mut scan = transaction.prepare_cached(blocks::scan(below, true))?;
    let mut bucket = closed.start;
    let mut sums = BTreeMap::<i64, Rollup>::new();
    let mut found = scan.query((api, closed.start.number(), closed.end.number()))?;
    while let Some(row) = found.next()? {
        let start = Minute::new(row.get(0)?).floor(level.minutes());
        if start != bucket {
            table.put_all(api, bucket, &mut sums)?;
            bucket = start;
        }
        for entry in blocks::entries(row, true)? {
            let entry = entry.map_err(|error| damaged(1, error))?;
            let sum = sums.entry(entry.series).or_default();
            entry.add_to(&mut 0, sum).map_err(|error| damaged(2, error))?;
        }
    }
    table.put_all(api, bucket, &mut sums)
}

/// Brings the rows of version 2, one for each series, together in blocks.
pub(super) fn gather_rows(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    for (level, rows) in
        [(Level::Minute, "minute_rows"), (Level::Hour, "hour_rows"), (Level::Day, "day_rows")]
    {
        let mut table = Table::open(transaction, level)?;
        let mut scan = transaction.prepare(&format!(
            "SELECT t, series, count, sum_micros, max_micros, first_byte_micros, request_bytes, response_bytes, buckets \
             FROM {rows} WHERE api = ?1 ORDER BY t, series"
        ))?;
        for api in all_apis(transaction)? {
            let mut start = None;
            let mut block = Builder::default();
            let mut found = scan.query([api])?;
            while let Some(row) = found.next()? {
                let t = row.get(0)?;
                if let Some(start) = start.replace(t).filter(|start| *start != t) {
                    table.put(api, Minute::new(start), &std::mem::take(&mut block).finish())?;
                }
                let sums = Sums {
                    count: unsigned(row, 2)?,
                    sum_micros: unsigned(row, 3)?,
                    max_micros: unsigned(row, 4)?,
                    first_byte_micros: unsigned(row, 5)?,
                    request_bytes: unsigned(row, 6)?,
                    response_bytes: unsigned(row, 7)?,
                };
                block.add(row.get(1)?, &sums, row.get_ref(8)?.as_blob()?);
            }
            if let Some(start) = start {
                table.put(api, Minute::new(start), &block.finish())?;
            }
        }
    }
    transaction.execute_batch("DROP TABLE minute_rows; DROP TABLE hour_rows; DROP TABLE day_rows")
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
