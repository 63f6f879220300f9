//! Answering a selection from the file.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lifesigns_model::bucket::Minute;
use lifesigns_model::exchange::FailedBy;
use lifesigns_model::rollup::Rollup;
use lifesigns_model::segment;
use lifesigns_model::series::{Dimension, Series};
use lifesigns_model::store::{
    AnyOf, Condition, Effort, Filter, Group, GroupBy, GroupKey, KeptNote, Selected, Selection, StoreError,
};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use super::error::{damaged, explain};
use super::rows;
use super::schema::{load_timeline, open_for_reading};
use super::write::all_apis;

/// Connections kept for the next selection; more are opened when more are needed at once.
const IDLE_CONNECTIONS: usize = 4;
/// Series that a connection remembers; past it, it forgets all and looks them up again.
const MAX_KNOWN_SERIES: usize = 100_000;

/// Reads a file, also while another process writes it.
#[derive(Debug)]
pub struct SqliteReader {
    path: PathBuf,
    busy_timeout: Duration,
    idle: Mutex<Vec<Reader>>,
}

impl SqliteReader {
    pub(super) fn open(path: &Path, busy_timeout: Duration) -> Result<SqliteReader, StoreError> {
        let first = Reader::open(path, busy_timeout)?;
        Ok(SqliteReader { path: path.to_owned(), busy_timeout, idle: Mutex::new(vec![first]) })
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
        self.read(|reader| reader.select(selection, effort))?
    }

    /// All notes under a topic. See [`RollupStore::recall`](lifesigns_model::store::RollupStore::recall).
    ///
    /// # Errors
    /// When the file cannot be read; the message says what can be done about it.
    pub fn recall(&self, topic: &str) -> Result<Vec<KeptNote>, StoreError> {
        self.read(|reader| reader.recall(topic))
    }

    fn read<T>(&self, read: impl FnOnce(&mut Reader) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        // The lock is held only to take a connection and to give it back, so readers run side by side.
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => Reader::open(&self.path, self.busy_timeout)?,
        };
        let found =
            read(&mut reader).map_err(|error| explain(&self.path, "the store could not be read", error))?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_CONNECTIONS {
            idle.push(reader);
        }
        Ok(found)
    }

    /// Closes the connections that are not in use.
    pub(super) fn disconnect(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
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
    fn open(path: &Path, busy_timeout: Duration) -> Result<Reader, StoreError> {
        Ok(Reader { connection: open_for_reading(path, busy_timeout)?, known: HashMap::new() })
    }

    fn recall(&self, topic: &str) -> rusqlite::Result<Vec<KeptNote>> {
        let sql = "SELECT key, text FROM note WHERE topic = ?1 ORDER BY key";
        let mut statement = self.connection.prepare_cached(sql)?;
        let notes =
            statement.query_map([topic], |row| Ok(KeptNote { key: row.get(0)?, text: row.get(1)? }))?;
        notes.collect()
    }

    /// The inner result tells what is wrong with the question, the outer one what is wrong with the file.
    fn select(
        &mut self,
        selection: &Selection,
        effort: &Effort,
    ) -> rusqlite::Result<Result<Selected, StoreError>> {
        let mut meter = effort.meter();
        if self.known.len() > MAX_KNOWN_SERIES {
            self.known.clear();
        }
        // One transaction: watermarks and rows are of the same moment.
        let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Deferred)?;
        let timeline = load_timeline(&transaction)?;
        let plan = segment::plan(selection.range, &selection.group_by, &timeline.coverage());
        let mut sums = Sums::new(selection);
        for api in wanted_apis(&transaction, &selection.filter)? {
            for segment in &plan.segments {
                let start = segment.range.start.max(timeline.kept_from(segment.level));
                let sql = rows::scan(segment.level, selection.percentiles);
                let mut scan = transaction.prepare_cached(sql)?;
                let mut found = scan.query((api, start.number(), segment.range.end.number()))?;
                while let Some(row) = found.next()? {
                    if let Err(error) = meter.row() {
                        return Ok(Err(error));
                    }
                    let labels = sums.labels_of(row.get(1)?, |id| {
                        if let Some(series) = self.known.get(&id) {
                            return Ok(series.clone());
                        }
                        let series = Arc::new(read_series(&transaction, id)?);
                        self.known.insert(id, series.clone());
                        Ok(series)
                    })?;
                    let Some(labels) = labels else { continue };
                    let Some((count, rollup)) = sums.total(labels, Minute::new(row.get(0)?)) else {
                        return Ok(Err(StoreError::too_many_groups(selection.max_groups)));
                    };
                    rows::packed(row, 2, selection.percentiles)?
                        .add_to(count, rollup, selection.percentiles)
                        .map_err(|error| damaged(8, error))?;
                }
            }
        }
        Ok(Ok(Selected { groups: sums.finish(), range: plan.range }))
    }
}

/// Sums of a selection by small numbers. Labels become a group's key once for each group and not for each row.
struct Sums<'s> {
    selection: &'s Selection,
    intervals: Vec<i64>,
    /// For each series the number of its labels; `None` for one that the filter leaves out.
    by_series: HashMap<i64, Option<usize>>,
    by_labels: HashMap<Vec<String>, usize>,
    /// For each number of labels a series that has them.
    examples: Vec<Arc<Series>>,
    /// Numbers of the buckets, one for each interval.
    by_buckets: HashMap<Vec<Minute>, usize>,
    /// The last minute and the number of its buckets: rows come in the order of their minutes.
    last: Option<(Minute, usize)>,
    totals: HashMap<(usize, usize), (u64, Rollup)>,
}

impl<'s> Sums<'s> {
    fn new(selection: &'s Selection) -> Sums<'s> {
        let intervals = selection.group_by.iter().filter_map(|by| match by {
            GroupBy::Interval(minutes) => Some(*minutes),
            GroupBy::Dimension(_) => None,
        });
        Sums {
            selection,
            intervals: intervals.collect(),
            by_series: HashMap::new(),
            by_labels: HashMap::new(),
            examples: Vec::new(),
            by_buckets: HashMap::new(),
            last: None,
            totals: HashMap::new(),
        }
    }

    fn labels_of(
        &mut self,
        id: i64,
        series: impl FnOnce(i64) -> rusqlite::Result<Arc<Series>>,
    ) -> rusqlite::Result<Option<usize>> {
        if let Some(labels) = self.by_series.get(&id) {
            return Ok(*labels);
        }
        let series = series(id)?;
        let labels = self.selection.filter.matches(&series).then(|| {
            let labels = self.selection.group_by.iter().filter_map(|by| match by {
                GroupBy::Dimension(dimension) => Some(series.label(*dimension).into_owned()),
                GroupBy::Interval(_) => None,
            });
            *self.by_labels.entry(labels.collect()).or_insert_with(|| {
                self.examples.push(series.clone());
                self.examples.len() - 1
            })
        });
        self.by_series.insert(id, labels);
        Ok(labels)
    }

    /// The sums of one group; `None` for one group more than the selection allows.
    fn total(&mut self, labels: usize, start: Minute) -> Option<&mut (u64, Rollup)> {
        let buckets = match self.last {
            Some((minute, buckets)) if minute == start => buckets,
            _ => {
                let buckets = self.intervals.iter().map(|interval| start.floor(*interval)).collect();
                let next = self.by_buckets.len();
                *self.by_buckets.entry(buckets).or_insert(next)
            }
        };
        self.last = Some((start, buckets));
        let groups = self.totals.len();
        match self.totals.entry((labels, buckets)) {
            Entry::Occupied(total) => Some(total.into_mut()),
            Entry::Vacant(_) if groups >= self.selection.max_groups => None,
            Entry::Vacant(place) => Some(place.insert(Default::default())),
        }
    }

    fn finish(self) -> Vec<Group> {
        let mut starts = vec![Vec::new(); self.by_buckets.len()];
        for (buckets, number) in self.by_buckets {
            starts[number] = buckets;
        }
        let mut groups: Vec<Group> = self
            .totals
            .into_iter()
            .filter(|(_, (count, _))| *count > 0)
            .map(|((labels, buckets), (count, rollup))| {
                let mut starts = starts[buckets].iter();
                let key = self.selection.group_by.iter().map(|by| match by {
                    GroupBy::Interval(_) => {
                        GroupKey::Bucket(*starts.next().expect("a bucket for each interval"))
                    }
                    GroupBy::Dimension(dimension) => {
                        GroupKey::Label(Arc::from(&*self.examples[labels].label(*dimension)))
                    }
                });
                Group { key: key.collect(), count, rollup }
            })
            .collect();
        groups.sort_unstable_by(|left, right| left.key.cmp(&right.key));
        groups
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

fn read_series(connection: &Connection, id: i64) -> rusqlite::Result<Series> {
    connection
        .prepare_cached(
            "SELECT api.name, api_version, route, method, status, client_id, policy, failed_by, instance \
             FROM series JOIN api ON api.id = series.api WHERE series.id = ?1",
        )?
        .query_row([id], |row| {
            let failed_by: String = row.get(7)?;
            Ok(Series {
                api: row.get(0)?,
                api_version: row.get(1)?,
                route: row.get(2)?,
                method: row.get(3)?,
                status: row.get(4)?,
                client_id: row.get(5)?,
                policy: row.get(6)?,
                failed_by: FailedBy::from_name(&failed_by).ok_or_else(|| {
                    damaged(7, StoreError::new(format!("{failed_by:?} is nobody who fails")))
                })?,
                instance: row.get(8)?,
            })
        })
}
