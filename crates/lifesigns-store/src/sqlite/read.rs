//! Answering a selection from the file.

mod groups;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lifesigns_model::bucket::Minute;
use lifesigns_model::segment;
use lifesigns_model::series::{Dimension, Series};
use lifesigns_model::store::{
    AnyOf, Condition, Effort, Figures, Filter, KeptNote, Selected, Selection, StoreError,
};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use self::groups::{Dictionary, Groups};
use super::blocks;
use super::schema::{load_timeline, open_for_reading};
use super::write::all_apis;
use crate::file::error::{Fault, damaged};
use crate::file::notes;
use crate::file::pool::Pool;

/// Series that a connection remembers; past it, it forgets all and looks them up again.
const MAX_KNOWN_SERIES: usize = 100_000;

/// Reads a file, also while another process writes it.
#[derive(Debug)]
pub struct SqliteReader {
    pool: Pool<Reader>,
}

impl SqliteReader {
    pub(super) fn open(path: &Path, busy_timeout: Duration) -> Result<SqliteReader, StoreError> {
        let pool = Pool::open(path, busy_timeout, Reader::open).map_err(|fault| fault.error)?;
        Ok(SqliteReader { pool })
    }

    /// Groups and sums what is kept, as of one moment. See
    /// [`RollupStore::select`](lifesigns_model::store::RollupStore::select).
    ///
    /// # Errors
    /// When the file cannot be read; the message says what can be done about it. When there would be more groups
    /// than the selection allows.
    pub fn select(&self, selection: &Selection) -> Result<Selected, StoreError> {
        self.select_within(selection, &Effort::unlimited())
    }

    /// As [`SqliteReader::select`] does, within `effort`.
    ///
    /// # Errors
    /// Besides, when it costs more, or when it is called off.
    pub fn select_within(&self, selection: &Selection, effort: &Effort) -> Result<Selected, StoreError> {
        self.try_select(selection, effort).map_err(|(_, fault)| fault.error)
    }

    /// Besides what went wrong, which file it was.
    pub(super) fn try_select(
        &self,
        selection: &Selection,
        effort: &Effort,
    ) -> Result<Selected, (u64, Fault)> {
        let file = self.file();
        let select = |reader: &mut Reader| match reader.select(selection, effort) {
            Ok(selected) => Ok(Ok(selected)),
            Err(Failure::Question(error)) => Ok(Err(error)),
            Err(Failure::File(error)) => Err(error),
        };
        self.pool.read(select)?.map_err(|error| (file, error.into()))
    }

    /// All notes under a topic. See [`RollupStore::recall`](lifesigns_model::store::RollupStore::recall).
    ///
    /// # Errors
    /// When the file cannot be read; the message says what can be done about it.
    pub fn recall(&self, topic: &str) -> Result<Vec<KeptNote>, StoreError> {
        self.try_recall(topic).map_err(|(_, fault)| fault.error)
    }

    pub(super) fn try_recall(&self, topic: &str) -> Result<Vec<KeptNote>, (u64, Fault)> {
        self.pool.read(|reader| reader.recall(topic))
    }

    /// The number of the file that stands at the path, counted from the first one.
    pub(super) fn file(&self) -> u64 {
        self.pool.file()
    }

    /// Another file stands at the path now.
    pub(super) fn turn_to_new_file(&self) {
        self.pool.turn_to_new_file();
    }

    /// Closes the connections that are not in use.
    pub(super) fn disconnect(&self) {
        self.pool.disconnect();
    }
}

/// One connection.
#[derive(Debug)]
struct Reader {
    connection: Connection,
    /// What numbers in the dictionary stand for. A number is never used twice, so this never grows stale.
    known: HashMap<i64, Arc<Series>>,
}

impl Reader {
    fn open(path: &Path, busy_timeout: Duration) -> Result<Reader, Fault> {
        Ok(Reader { connection: open_for_reading(path, busy_timeout)?, known: HashMap::new() })
    }

    fn recall(&self, topic: &str) -> rusqlite::Result<Vec<KeptNote>> {
        notes::recall(&self.connection, topic)
    }

    fn select(&mut self, selection: &Selection, effort: &Effort) -> Result<Selected, Failure> {
        if self.known.len() > MAX_KNOWN_SERIES {
            self.known.clear();
        }
        // One transaction: watermarks and rows are of the same moment.
        let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Deferred)?;
        let timeline = load_timeline(&transaction)?;
        let plan = segment::plan(selection.range, &selection.group_by, &timeline.coverage());
        let dictionary = Dictionary::new(&transaction, &mut self.known);
        let mut groups = Groups::new(selection, effort.meter(), dictionary);
        let with_buckets = selection.figures == Figures::Percentiles;
        for api in wanted_apis(&transaction, &selection.filter)? {
            for segment in &plan.segments {
                let start = segment.range.start.max(timeline.kept_from(segment.level));
                let sql = blocks::scan(segment.level, with_buckets);
                let mut scan = transaction.prepare_cached(sql)?;
                let mut found = scan.query((api, start.number(), segment.range.end.number()))?;
                while let Some(row) = found.next()? {
                    groups.turn_to(Minute::new(row.get(0)?));
                    if selection.figures == Figures::Counts {
                        for counted in blocks::counts(row)? {
                            let (series, count) = counted.map_err(|error| damaged(1, error))?;
                            let Some(group) = groups.of(series)? else { continue };
                            group.count = group.count.saturating_add(count);
                        }
                    } else {
                        for entry in blocks::entries(row, with_buckets)? {
                            let entry = entry.map_err(|error| damaged(1, error))?;
                            let Some(group) = groups.of(entry.series)? else { continue };
                            entry
                                .add_to(&mut group.count, &mut group.rollup)
                                .map_err(|error| damaged(2, error))?;
                        }
                    }
                }
            }
        }
        Ok(Selected { groups: groups.finish(), range: plan.range })
    }
}

/// Why there is no answer.
#[derive(Debug)]
enum Failure {
    /// It is the question's fault.
    Question(StoreError),
    /// It is the file's.
    File(rusqlite::Error),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure::Question(error)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        Failure::File(error)
    }
}

/// The numbers of the APIs that the filter can let through: the key of the rows begins with them.
fn wanted_apis(connection: &Connection, filter: &Filter) -> rusqlite::Result<Vec<i64>> {
    let Some(names) = filter.all.iter().find_map(only_apis) else { return all_apis(connection) };
    let mut statement = connection.prepare_cached("SELECT id FROM api WHERE name = ?1")?;
    let mut ids = Vec::new();
    for name in names {
        ids.extend(statement.query_row([name], |row| row.get::<_, i64>(0)).optional()?);
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// The APIs to one of which these conditions bind; `None` if they let others through as well.
fn only_apis(any_of: &AnyOf) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    for condition in &any_of.any {
        match condition {
            Condition::Equals(Dimension::Api, name) => names.push(&**name),
            Condition::In(Dimension::Api, several) => names.extend(several.iter().map(|name| &**name)),
            _ => return None,
        }
    }
    Some(names)
}
