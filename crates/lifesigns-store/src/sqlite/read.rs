//! Answering a selection from the file.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
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
use rustc_hash::FxHashMap;

use super::blocks;
use super::error::{Fault, damaged};
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
    /// How many files have stood at the path before this one.
    file: AtomicU64,
}

impl SqliteReader {
    pub(super) fn open(path: &Path, busy_timeout: Duration) -> Result<SqliteReader, StoreError> {
        let first = Reader::open(path, busy_timeout).map_err(|fault| fault.error)?;
        let (path, idle) = (path.to_owned(), Mutex::new(vec![first]));
        Ok(SqliteReader { path, busy_timeout, idle, file: AtomicU64::new(0) })
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
        self.read(|reader| reader.select(selection, effort))
            .and_then(|selected| Ok(selected?))
            .map_err(|fault| (file, fault))
    }

    /// All notes under a topic. See [`RollupStore::recall`](lifesigns_model::store::RollupStore::recall).
    ///
    /// # Errors
    /// When the file cannot be read; the message says what can be done about it.
    pub fn recall(&self, topic: &str) -> Result<Vec<KeptNote>, StoreError> {
        self.try_recall(topic).map_err(|(_, fault)| fault.error)
    }

    pub(super) fn try_recall(&self, topic: &str) -> Result<Vec<KeptNote>, (u64, Fault)> {
        let file = self.file();
        self.read(|reader| reader.recall(topic)).map_err(|fault| (file, fault))
    }

    /// The number of the file that stands at the path, counted from the first one.
    pub(super) fn file(&self) -> u64 {
        self.file.load(Relaxed)
    }

    /// Another file stands at the path now.
    pub(super) fn turn_to_new_file(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        self.file.fetch_add(1, Relaxed);
        idle.clear();
    }

    fn read<T>(&self, read: impl FnOnce(&mut Reader) -> rusqlite::Result<T>) -> Result<T, Fault> {
        let file = self.file();
        // The lock is held only to take a connection and to give it back, so readers run side by side.
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => Reader::open(&self.path, self.busy_timeout)?,
        };
        let found =
            read(&mut reader).map_err(|error| Fault::of(&self.path, "the store could not be read", error))?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_CONNECTIONS && self.file() == file {
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
    fn open(path: &Path, busy_timeout: Duration) -> Result<Reader, Fault> {
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
                let sql = blocks::scan(segment.level, selection.percentiles);
                let mut scan = transaction.prepare_cached(sql)?;
                let mut found = scan.query((api, start.number(), segment.range.end.number()))?;
                while let Some(row) = found.next()? {
                    sums.turn_to(Minute::new(row.get(0)?));
                    for entry in blocks::entries(row, selection.percentiles)? {
                        let entry = entry.map_err(|error| damaged(1, error))?;
                        if let Err(error) = meter.row() {
                            return Ok(Err(error));
                        }
                        let labels = sums.labels_of(entry.series, |id| {
                            if let Some(series) = self.known.get(&id) {
                                return Ok(series.clone());
                            }
                            let series = Arc::new(read_series(&transaction, id)?);
                            self.known.insert(id, series.clone());
                            Ok(series)
                        })?;
                        let Some(labels) = labels else { continue };
                        let Some(total) = sums.total(labels) else {
                            return Ok(Err(StoreError::too_many_groups(selection.max_groups)));
                        };
                        entry
                            .add_to(&mut total.count, &mut total.rollup)
                            .map_err(|error| damaged(2, error))?;
                    }
                }
            }
        }
        Ok(Ok(Selected { groups: sums.finish(), range: plan.range }))
    }
}

/// Sums of a selection by small numbers. Labels become a group's key once for each group and not for each row.
struct Sums<'s> {
    selection: &'s Selection,
    /// For each series the number of its labels; `None` for one that the filter leaves out.
    by_series: FxHashMap<i64, Option<usize>>,
    by_labels: HashMap<Vec<String>, usize>,
    /// For each number of labels a series that has them.
    examples: Vec<Arc<Series>>,
    /// Numbers of the buckets, one for each interval.
    by_buckets: FxHashMap<Vec<Minute>, usize>,
    /// The number of the buckets that are summed up now, and for each number of labels where its total stands.
    buckets: usize,
    places: Vec<Option<usize>>,
    by_both: FxHashMap<(usize, usize), usize>,
    totals: Vec<Total>,
}

/// The sums of one group.
struct Total {
    labels: usize,
    buckets: usize,
    count: u64,
    rollup: Rollup,
}

impl<'s> Sums<'s> {
    fn new(selection: &'s Selection) -> Sums<'s> {
        Sums {
            selection,
            by_series: FxHashMap::default(),
            by_labels: HashMap::new(),
            examples: Vec::new(),
            by_buckets: FxHashMap::default(),
            buckets: usize::MAX,
            places: Vec::new(),
            by_both: FxHashMap::default(),
            totals: Vec::new(),
        }
    }

    /// What comes from now on starts at `start`.
    fn turn_to(&mut self, start: Minute) {
        let buckets = self.selection.group_by.iter().filter_map(|by| by.bucket(start)).collect();
        let next = self.by_buckets.len();
        let buckets = *self.by_buckets.entry(buckets).or_insert(next);
        if buckets != self.buckets {
            self.buckets = buckets;
            self.places.fill(None);
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
                GroupBy::Interval(_) | GroupBy::Calendar(_) => None,
            });
            *self.by_labels.entry(labels.collect()).or_insert_with(|| {
                self.examples.push(series.clone());
                self.places.push(None);
                self.examples.len() - 1
            })
        });
        self.by_series.insert(id, labels);
        Ok(labels)
    }

    /// The sums of one group; `None` for one group more than the selection allows.
    fn total(&mut self, labels: usize) -> Option<&mut Total> {
        let place = match self.places[labels] {
            Some(place) => place,
            None => {
                let place = match self.by_both.entry((labels, self.buckets)) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(_) if self.totals.len() >= self.selection.max_groups => return None,
                    Entry::Vacant(new) => {
                        let (buckets, rollup) = (self.buckets, Rollup::default());
                        self.totals.push(Total { labels, buckets, count: 0, rollup });
                        *new.insert(self.totals.len() - 1)
                    }
                };
                self.places[labels] = Some(place);
                place
            }
        };
        Some(&mut self.totals[place])
    }

    fn finish(self) -> Vec<Group> {
        let mut starts = vec![Vec::new(); self.by_buckets.len()];
        for (buckets, number) in self.by_buckets {
            starts[number] = buckets;
        }
        // The labels of many groups are the same: each is made once, and shared.
        let labels: Vec<Vec<Arc<str>>> = self
            .examples
            .iter()
            .map(|series| {
                let dimensions = self.selection.group_by.iter().filter_map(|by| match by {
                    GroupBy::Dimension(dimension) => Some(*dimension),
                    GroupBy::Interval(_) | GroupBy::Calendar(_) => None,
                });
                dimensions.map(|dimension| Arc::from(&*series.label(dimension))).collect()
            })
            .collect();
        let mut groups: Vec<Group> = self
            .totals
            .into_iter()
            .filter(|total| total.count > 0)
            .map(|total| {
                let (mut starts, mut labels) = (starts[total.buckets].iter(), labels[total.labels].iter());
                let key = self.selection.group_by.iter().map(|by| match by {
                    GroupBy::Interval(_) | GroupBy::Calendar(_) => {
                        GroupKey::Bucket(*starts.next().expect("a bucket for each interval"))
                    }
                    GroupBy::Dimension(_) => {
                        GroupKey::Label(labels.next().expect("a label for each dimension").clone())
                    }
                });
                Group { key: key.collect(), count: total.count, rollup: total.rollup }
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
