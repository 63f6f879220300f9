//! Answers from the file.

use std::path::Path;
use std::time::Duration;

use lifesigns_model::history::{Event, EventSelection, Reading, Span};
use lifesigns_model::store::{KeptNote, StoreError};
use rusqlite::{Connection, Row, ToSql, Transaction, TransactionBehavior};

use super::super::horizon::{DAY_SECONDS, millis};
use super::block::Unpacker;
use super::format::{kind_number, kind_of, load_horizon, open_for_reading, service_id};
use super::recent::Recent;
use super::stretch::{in_order, merge};
use super::{HistoryOptions, fresh};
use crate::file::error::{Fault, damaged};
use crate::file::notes;
use crate::file::pool::Pool;

/// Reads the file of a history, also while another process writes it.
#[derive(Debug)]
pub struct SqliteHistoryReader {
    pool: Pool<Connection>,
}

impl SqliteHistoryReader {
    /// Opens a file for reading only.
    ///
    /// # Errors
    /// When there is no such file, when it is damaged, when it is of another version, or when it is no history.
    pub fn open(path: impl AsRef<Path>) -> Result<SqliteHistoryReader, StoreError> {
        SqliteHistoryReader::open_patiently(path.as_ref(), HistoryOptions::default().busy_timeout)
    }

    pub(super) fn open_patiently(
        path: &Path,
        busy_timeout: Duration,
    ) -> Result<SqliteHistoryReader, StoreError> {
        let pool = Pool::open(path, busy_timeout, open_for_reading).map_err(|fault| fault.error)?;
        Ok(SqliteHistoryReader { pool })
    }

    pub(super) const fn pool(&self) -> &Pool<Connection> {
        &self.pool
    }

    /// The readings of a service in a span. See
    /// [`HistoryStore::readings`](lifesigns_model::history::HistoryStore::readings).
    ///
    /// # Errors
    /// When the file cannot be read; the message says what can be done about it.
    pub fn readings(&self, service: &str, span: Span) -> Result<Vec<Reading>, StoreError> {
        self.try_readings(service, span, None).map_err(|(_, fault)| fault.error)
    }

    /// The events that a selection asks for. See
    /// [`HistoryStore::events`](lifesigns_model::history::HistoryStore::events).
    ///
    /// # Errors
    /// When the file cannot be read; the message says what can be done about it.
    pub fn events(&self, selection: &EventSelection) -> Result<Vec<Event>, StoreError> {
        self.try_events(selection).map_err(|(_, fault)| fault.error)
    }

    /// All notes under a topic. See [`HistoryStore::recall`](lifesigns_model::history::HistoryStore::recall).
    ///
    /// # Errors
    /// When the file cannot be read; the message says what can be done about it.
    pub fn recall(&self, topic: &str) -> Result<Vec<KeptNote>, StoreError> {
        self.try_recall(topic).map_err(|(_, fault)| fault.error)
    }

    /// The names of all services of which something is kept, in the order of their bytes.
    ///
    /// # Errors
    /// When the file cannot be read; the message says what can be done about it.
    pub fn services(&self) -> Result<Vec<String>, StoreError> {
        let names = |connection: &mut Connection| {
            let mut statement = connection.prepare_cached("SELECT name FROM service ORDER BY name")?;
            statement.query_map((), |row| row.get(0))?.collect()
        };
        self.pool.read(names).map_err(|(_, fault)| fault.error)
    }

    /// With `recent`, what is in no block is found there; without, in the file. Besides what went wrong, which file it was.
    pub(super) fn try_readings(
        &self,
        service: &str,
        span: Span,
        recent: Option<&Recent>,
    ) -> Result<Vec<Reading>, (u64, Fault)> {
        // Before the file is looked into, see `Recent`.
        let newer = recent.map(|recent| recent.readings(service, span));
        self.pool.read(|connection| readings(connection, service, span, newer))
    }

    pub(super) fn try_events(&self, selection: &EventSelection) -> Result<Vec<Event>, (u64, Fault)> {
        self.pool.read(|connection| events(connection, selection))
    }

    pub(super) fn try_recall(&self, topic: &str) -> Result<Vec<KeptNote>, (u64, Fault)> {
        self.pool.read(|connection| notes::recall(connection, topic))
    }
}

fn readings(
    connection: &Connection,
    service: &str,
    span: Span,
    newer: Option<Vec<Reading>>,
) -> rusqlite::Result<Vec<Reading>> {
    // One transaction: watermarks, blocks and what is fresh are of the same moment.
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Deferred)?;
    let span = load_horizon(&transaction)?.of_readings(span);
    let Some(service) = service_id(&transaction, service)?.filter(|_| span.from < span.to) else {
        return Ok(Vec::new());
    };
    let mut newer = match newer {
        Some(newer) => newer,
        None => fresh_readings(&transaction, service)?,
    };
    newer.retain(|reading| span.from <= reading.at && reading.at < span.to);
    in_order(&mut newer);
    let mut readings = kept_in_blocks(&transaction, service, span)?;
    merge(&mut readings, &newer);
    Ok(readings)
}

fn kept_in_blocks(transaction: &Transaction<'_>, service: i64, span: Span) -> rusqlite::Result<Vec<Reading>> {
    let mut unpacker =
        Unpacker::new().map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let mut readings = Vec::new();
    let mut statement = transaction.prepare_cached(
        "SELECT day, readings FROM block WHERE service = ?1 AND day BETWEEN ?2 AND ?3 ORDER BY day",
    )?;
    let days = (span.from.div_euclid(DAY_SECONDS), (span.to - 1).div_euclid(DAY_SECONDS));
    let mut rows = statement.query((service, days.0, days.1))?;
    while let Some(row) = rows.next()? {
        let block = row.get_ref(1)?.as_blob()?;
        unpacker.unpack(row.get(0)?, block, &mut readings).map_err(|error| damaged(1, error))?;
    }
    readings.truncate(readings.partition_point(|reading| reading.at < span.to));
    readings.drain(..readings.partition_point(|reading| reading.at < span.from));
    Ok(readings)
}

/// What is in no block, of all services together.
fn fresh_readings(transaction: &Transaction<'_>, of: i64) -> rusqlite::Result<Vec<Reading>> {
    let mut readings = Vec::new();
    let mut statement = transaction.prepare_cached("SELECT readings FROM fresh ORDER BY id")?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        for entry in fresh::readings(row.get_ref(0)?.as_blob()?)? {
            let (service, reading) = entry?;
            if service == of {
                readings.push(reading);
            }
        }
    }
    Ok(readings)
}

/// Those that began in the span, and then, since all of them are older, those that were going on when it began.
fn events(connection: &Connection, selection: &EventSelection) -> rusqlite::Result<Vec<Event>> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Deferred)?;
    let horizon = load_horizon(&transaction)?;
    let (from, to) = millis(selection.span);
    let kinds = selection.kinds.iter().fold(0, |kinds, kind| kinds | (1 << kind_number(*kind)));
    let kinds: i64 = if selection.kinds.is_empty() { i64::MAX } else { kinds };
    let service = match &selection.service {
        None => None,
        Some(name) => match service_id(&transaction, name)? {
            None => return Ok(Vec::new()),
            id => id,
        },
    };
    let limit = i64::try_from(selection.limit).unwrap_or(i64::MAX);
    let mut found = Vec::new();
    let ended = from.max(horizon.events_from);
    for (of_service, of_all) in
        [(BEGAN_IN_SPAN_OF_SERVICE, BEGAN_IN_SPAN), (BEGAN_BEFORE_OF_SERVICE, BEGAN_BEFORE)]
    {
        let sql = if service.is_some() { of_service } else { of_all };
        let left = limit - found.len() as i64;
        if left == 0 {
            break;
        }
        let named: [(&str, &dyn ToSql); 6] = [
            (":from", &from),
            (":to", &to),
            (":ended", &ended),
            (":kinds", &kinds),
            (":limit", &left),
            (":service", &service),
        ];
        let wanted = if service.is_some() { &named[..] } else { &named[..5] };
        let mut statement = transaction.prepare_cached(sql)?;
        let mut rows = statement.query(wanted)?;
        while let Some(row) = rows.next()? {
            found.push(event(row)?);
        }
    }
    Ok(found)
}

macro_rules! event_statement {
    ($condition:literal, $index:literal) => {
        concat!(
            "SELECT kind, key, (SELECT name FROM service WHERE id = event.service), event.service, began, ended, detail \
             FROM event INDEXED BY ",
            $index,
            " WHERE ",
            $condition,
            " AND (:kinds >> kind) & 1 ORDER BY began DESC, kind, key LIMIT :limit"
        )
    };
}

const BEGAN_IN_SPAN: &str =
    event_statement!("began >= :from AND began < :to AND ended >= :ended", "event_by_beginning");
const BEGAN_IN_SPAN_OF_SERVICE: &str = event_statement!(
    "service = :service AND began >= :from AND began < :to AND ended >= :ended",
    "event_of_service_by_beginning"
);
const BEGAN_BEFORE: &str =
    event_statement!("ended >= :ended AND began < :from AND began < :to", "event_by_end");
const BEGAN_BEFORE_OF_SERVICE: &str = event_statement!(
    "service = :service AND ended >= :ended AND began < :from AND began < :to",
    "event_of_service_by_end"
);

#[cfg(test)]
pub(super) const EVENT_STATEMENTS: [&str; 4] =
    [BEGAN_IN_SPAN, BEGAN_IN_SPAN_OF_SERVICE, BEGAN_BEFORE, BEGAN_BEFORE_OF_SERVICE];

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let number = row.get(0)?;
    let kind = kind_of(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number))?;
    let (service, id) = (row.get(2)?, row.get::<_, Option<i64>>(3)?);
    if let (None, Some(id)) = (&service, id) {
        return Err(rusqlite::Error::IntegralValueOutOfRange(3, id));
    }
    let ended = row.get(5)?;
    Ok(Event {
        kind,
        key: row.get(1)?,
        service,
        began: row.get(4)?,
        ended: (ended != i64::MAX).then_some(ended),
        detail: row.get(6)?,
    })
}
