//! What one transaction writes: entries, or blocks of what has become old enough.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lifesigns_model::history::{Entry, Event, Reading};
use lifesigns_model::leb128;
use lifesigns_model::store::{Note, StoreError};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::super::horizon::{DAY_SECONDS, Horizon};
use super::block::{Packer, Unpacker};
use super::format::{kind_number, load_horizon, save_horizon, service_id};
use super::recent::Recent;
use super::stretch::{self, in_order, merge};
use super::{HistoryOptions, fresh};
use crate::file::error::{Fault, damaged};
use crate::file::notes::{self, Notes};
use crate::file::shortening::shorten;

/// Readings that are kept as they came at most: 3 to 5 MB of memory.
const MAX_FRESH: usize = 500_000;
/// How long readings are kept as they came where their times do not tell that their hour is over.
const FRESH_AT_MOST: Duration = Duration::from_hours(1);
/// Services whose numbers are remembered; past it all are forgotten and looked up again.
const MAX_KNOWN_SERVICES: usize = 100_000;
/// Rows that one transaction removes.
const REMOVED_AT_ONCE: i64 = 500;

/// The one connection that writes, and what it knows of the file.
pub(super) struct Database {
    connection: Connection,
    options: HistoryOptions,
    horizon: Horizon,
    recent: Arc<Recent>,
    known: HashMap<Arc<str>, i64>,
    packer: Packer,
    unpacker: Unpacker,
    open: Open,
    folding: Option<Folding>,
    is_removing: bool,
    has_removed: bool,
}

/// What has come since blocks were made last.
#[derive(Debug, Default)]
struct Open {
    readings: usize,
    /// The hour of the first of them, and when it came.
    began: Option<(i64, Instant)>,
    /// Whether it is to be put into blocks.
    is_over: bool,
}

impl Open {
    fn note(&mut self, reading: &Reading) {
        let hour = reading.at.div_euclid(3600);
        let (first, began) = *self.began.get_or_insert_with(|| (hour, Instant::now()));
        self.readings += 1;
        self.is_over |= first < hour || self.readings >= MAX_FRESH || began.elapsed() >= FRESH_AT_MOST;
    }
}

/// Readings that are being put into blocks, one service after the other. Were it begun again, after a crash, it would come
/// to the same.
struct Folding {
    /// The rows of fresh readings up to this one.
    rows_up_to: i64,
    services: Vec<Arc<str>>,
}

impl Database {
    /// Reads what is not in blocks yet into `recent`.
    pub(super) fn new(
        path: &Path,
        connection: Connection,
        options: &HistoryOptions,
        recent: Arc<Recent>,
    ) -> Result<Database, Fault> {
        let failed = |error| Fault::of(path, "the history could not be opened", error);
        let zstd = |error| StoreError::because("no memory to pack the history", error);
        let mut database = Database {
            horizon: load_horizon(&connection).map_err(failed)?,
            connection,
            options: options.clone(),
            recent,
            known: HashMap::new(),
            packer: Packer::new().map_err(zstd)?,
            unpacker: Unpacker::new().map_err(zstd)?,
            open: Open::default(),
            folding: None,
            // Something may have been left over when the last process ended.
            is_removing: true,
            has_removed: true,
        };
        database.load_fresh().map_err(failed)?;
        Ok(database)
    }

    fn load_fresh(&mut self) -> rusqlite::Result<()> {
        let names = self
            .connection
            .prepare("SELECT id, name FROM service")?
            .query_map((), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Arc<str>>(1)?)))?
            .collect::<rusqlite::Result<HashMap<_, _>>>()?;
        let mut statement = self.connection.prepare("SELECT readings FROM fresh ORDER BY id")?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let mut readings = Vec::new();
            for entry in fresh::readings(row.get_ref(0)?.as_blob()?)? {
                let (service, reading) = entry?;
                let name = names.get(&service).ok_or(rusqlite::Error::QueryReturnedNoRows)?;
                self.open.note(&reading);
                readings.push((name, reading));
            }
            self.recent.push(readings.iter().map(|(name, reading)| (*name, reading)));
        }
        Ok(())
    }

    pub(super) const fn recent(&self) -> &Arc<Recent> {
        &self.recent
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

    /// Writes entries, all or none. How many were too old to be kept.
    pub(super) fn write(&mut self, entries: &[Entry]) -> rusqlite::Result<u64> {
        let written = self.write_transaction(entries);
        if written.is_err() || self.known.len() > MAX_KNOWN_SERVICES {
            // The number of a service that was rolled back may be given to another.
            self.known.clear();
        }
        let (horizon, readings, too_old) = written?;
        self.is_removing |= (horizon.readings_from, horizon.events_from)
            != (self.horizon.readings_from, self.horizon.events_from);
        self.horizon = horizon;
        readings.iter().for_each(|(_, reading)| self.open.note(reading));
        self.recent.push(readings);
        Ok(too_old)
    }

    #[expect(clippy::type_complexity, reason = "taken apart where it is made")]
    fn write_transaction<'e>(
        &mut self,
        entries: &'e [Entry],
    ) -> rusqlite::Result<(Horizon, Vec<(&'e Arc<str>, &'e Reading)>, u64)> {
        let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        let (mut horizon, mut too_old) = (self.horizon, 0);
        let (mut bytes, mut last, mut readings) = (Vec::new(), 0, Vec::new());
        let mut to_note = Notes::new();
        for entry in entries {
            if !horizon.admits(entry, &self.options.retention) {
                too_old += 1;
                continue;
            }
            match entry {
                Entry::Reading(service, reading) => {
                    let id = known_service(&transaction, &mut self.known, service)?;
                    leb128::write(&mut bytes, id as u64);
                    stretch::write(&mut bytes, &mut last, reading);
                    readings.push((service, reading));
                }
                Entry::Event(event) => put_event(&transaction, &mut self.known, event)?,
                Entry::Note(Note { topic, key, text }) => {
                    to_note.insert((topic.clone(), key.clone()), text.clone());
                }
            }
        }
        if !readings.is_empty() {
            transaction
                .prepare_cached("INSERT INTO fresh (readings) VALUES (?1)")?
                .execute([fresh::sealed(bytes)])?;
        }
        if horizon != self.horizon {
            save_horizon(&transaction, &horizon)?;
        }
        notes::write(&transaction, &to_note)?;
        transaction.commit()?;
        Ok((horizon, readings, too_old))
    }

    /// Whether there is something to do that nobody waits for.
    pub(super) const fn has_work(&self) -> bool {
        self.folding.is_some() || self.open.is_over || self.is_removing
    }

    /// Does a part of it, in one short transaction.
    pub(super) fn work(&mut self) -> rusqlite::Result<()> {
        if self.folding.is_some() || self.open.is_over {
            return self.fold();
        }
        if self.is_removing && !self.remove_expired()? {
            self.is_removing = shorten(&self.connection)?;
        }
        Ok(())
    }

    fn fold(&mut self) -> rusqlite::Result<()> {
        if self.folding.is_none() {
            let rows_up_to =
                self.connection.query_row("SELECT ifnull(max(id), 0) FROM fresh", (), |row| row.get(0))?;
            self.folding = Some(Folding { rows_up_to, services: self.recent.begin_folding() });
            self.open = Open::default();
        }
        let Some(folding) = &mut self.folding else { return Ok(()) };
        let deadline = Instant::now() + self.options.folding;
        let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        let mut left = folding.services.len();
        // One at least, however little time there is.
        while left > 0 && (left == folding.services.len() || Instant::now() < deadline) {
            left -= 1;
            let name = &folding.services[left];
            let mut readings = self.recent.to_fold(name);
            readings.retain(|reading| self.horizon.readings_from <= reading.at);
            in_order(&mut readings);
            if readings.is_empty() {
                continue;
            }
            let service = service_id(&transaction, name)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            let day_of = |reading: &Reading| reading.at.div_euclid(DAY_SECONDS);
            for of_day in readings.chunk_by(|one, other| day_of(one) == day_of(other)) {
                let day = day_of(&of_day[0]);
                fold_day(&transaction, (&mut self.packer, &mut self.unpacker), (service, day), of_day)?;
            }
        }
        let removed = if left > 0 {
            0
        } else {
            transaction
                .prepare_cached(
                    "DELETE FROM fresh WHERE id IN (SELECT id FROM fresh WHERE id <= ?1 ORDER BY id LIMIT ?2)",
                )?
                .execute((folding.rows_up_to, REMOVED_AT_ONCE))? as i64
        };
        transaction.commit()?;
        let folded = folding.services.split_off(left);
        self.recent.folded(&folded);
        if left == 0 && removed < REMOVED_AT_ONCE {
            self.folding = None;
        }
        Ok(())
    }

    /// Whether there may be more.
    fn remove_expired(&mut self) -> rusqlite::Result<bool> {
        let day = self.horizon.readings_from.div_euclid(DAY_SECONDS);
        let blocks =
            "DELETE FROM block WHERE rowid IN (SELECT rowid FROM block WHERE day < ?1 ORDER BY day LIMIT ?2)";
        let events = "DELETE FROM event WHERE rowid IN (SELECT rowid FROM event WHERE ended < ?1 ORDER BY ended LIMIT ?2)";
        for (sql, from) in [(blocks, day), (events, self.horizon.events_from)] {
            if self.connection.prepare_cached(sql)?.execute((from, REMOVED_AT_ONCE))? > 0 {
                self.has_removed = true;
                return Ok(true);
            }
        }
        if self.has_removed && self.folding.is_none() {
            self.remove_unused_services()?;
            self.has_removed = false;
        }
        Ok(false)
    }

    /// Those of which nothing is kept.
    fn remove_unused_services(&mut self) -> rusqlite::Result<()> {
        let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        let unused = transaction
            .prepare_cached(
                "SELECT id, name FROM service WHERE NOT EXISTS (SELECT 1 FROM block WHERE block.service = service.id) \
                 AND NOT EXISTS (SELECT 1 FROM event WHERE event.service = service.id)",
            )?
            .query_map((), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Arc<str>>(1)?)))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        for (id, _) in unused.iter().filter(|(_, name)| !self.recent.has(name)) {
            transaction.prepare_cached("DELETE FROM service WHERE id = ?1")?.execute([id])?;
        }
        transaction.commit()?;
        self.known.clear();
        Ok(())
    }
}

fn fold_day(
    transaction: &Transaction<'_>,
    (packer, unpacker): (&mut Packer, &mut Unpacker),
    (service, day): (i64, i64),
    newer: &[Reading],
) -> rusqlite::Result<()> {
    let found: Option<Vec<u8>> = transaction
        .prepare_cached("SELECT readings FROM block WHERE service = ?1 AND day = ?2")?
        .query_row((service, day), |row| row.get(0))
        .optional()?;
    let mut readings = Vec::new();
    if let Some(block) = found {
        unpacker.unpack(day, &block, &mut readings).map_err(|error| damaged(0, error))?;
    }
    merge(&mut readings, newer);
    let block =
        packer.pack(&readings).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    transaction
        .prepare_cached(
            "INSERT INTO block (service, day, readings) VALUES (?1, ?2, ?3) ON CONFLICT (service, day) DO UPDATE SET \
             readings = excluded.readings",
        )?
        .execute((service, day, block))?;
    Ok(())
}

fn put_event(
    transaction: &Transaction<'_>,
    known: &mut HashMap<Arc<str>, i64>,
    event: &Event,
) -> rusqlite::Result<()> {
    let service = event.service.as_ref().map(|name| known_service(transaction, known, name)).transpose()?;
    let ended = event.ended.unwrap_or(i64::MAX);
    transaction
        .prepare_cached(
            "INSERT INTO event (kind, key, service, began, ended, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT \
             (kind, key) DO UPDATE SET service = excluded.service, began = excluded.began, ended = excluded.ended, \
             detail = excluded.detail",
        )?
        .execute(params![kind_number(event.kind), event.key, service, event.began, ended, event.detail])?;
    Ok(())
}

/// The number of a service; it is given one where it has none.
fn known_service(
    transaction: &Transaction<'_>,
    known: &mut HashMap<Arc<str>, i64>,
    name: &Arc<str>,
) -> rusqlite::Result<i64> {
    if let Some(id) = known.get(name) {
        return Ok(*id);
    }
    let id = match service_id(transaction, name)? {
        Some(id) => id,
        None => transaction.prepare_cached("INSERT INTO service (name) VALUES (?1)")?.insert([name])?,
    };
    known.insert(name.clone(), id);
    Ok(id)
}
