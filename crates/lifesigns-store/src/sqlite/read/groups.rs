//! Which group do the figures of a series belong to?
//!
//! It is asked for every row that a question reads, so it is answered by small numbers: labels and buckets are compared
//! once for each series and block, and become a key once for each group.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use lifesigns_model::bucket::Minute;
use lifesigns_model::exchange::FailedBy;
use lifesigns_model::rollup::Rollup;
use lifesigns_model::series::Series;
use lifesigns_model::store::{Group, GroupBy, GroupKey, Meter, Selection, StoreError};
use rusqlite::Connection;
use rustc_hash::FxHashMap;

use super::Failure;
use crate::file::error::damaged;

/// The groups of a selection, as they are summed up.
pub(super) struct Groups<'s> {
    selection: &'s Selection,
    meter: Meter<'s>,
    dictionary: Dictionary<'s>,
    /// In the order in which they were met, which is that of most blocks.
    series: Vec<Met>,
    /// Where each stands in `series`, and where the latest does.
    by_series: FxHashMap<i64, usize>,
    latest: usize,
    /// Numbers of labels, and the labels of each number: one for each dimension.
    by_labels: HashMap<Vec<Arc<str>>, usize>,
    labels: Vec<Vec<Arc<str>>>,
    /// Numbers of the buckets, one for each interval.
    by_buckets: FxHashMap<Vec<Minute>, usize>,
    /// The buckets that are summed up now, their number, and for each number of labels where its group stands.
    starts: Vec<Minute>,
    buckets: usize,
    places: Vec<Option<usize>>,
    by_both: FxHashMap<(usize, usize), usize>,
    sums: Vec<Group>,
}

/// A series, and the number of its labels; `None` for one that the filter leaves out.
struct Met {
    id: i64,
    labels: Option<usize>,
}

impl<'s> Groups<'s> {
    pub(super) fn new(selection: &'s Selection, meter: Meter<'s>, dictionary: Dictionary<'s>) -> Groups<'s> {
        Groups {
            selection,
            meter,
            dictionary,
            series: Vec::new(),
            by_series: FxHashMap::default(),
            latest: 0,
            by_labels: HashMap::new(),
            labels: Vec::new(),
            by_buckets: FxHashMap::default(),
            starts: Vec::new(),
            buckets: usize::MAX,
            places: Vec::new(),
            by_both: FxHashMap::default(),
            sums: Vec::new(),
        }
    }

    /// What comes from now on starts at `start`.
    pub(super) fn turn_to(&mut self, start: Minute) {
        self.starts.clear();
        self.starts.extend(self.selection.group_by.iter().filter_map(|by| by.bucket(start)));
        let buckets = match self.by_buckets.get(&self.starts) {
            Some(known) => *known,
            None => {
                let next = self.by_buckets.len();
                self.by_buckets.insert(self.starts.clone(), next);
                next
            }
        };
        if buckets != self.buckets {
            self.buckets = buckets;
            self.places.fill(None);
        }
    }

    /// The group that a row of this series belongs to; `None` if the filter leaves it out.
    #[inline]
    pub(super) fn of(&mut self, series: i64) -> Result<Option<&mut Group>, Failure> {
        self.meter.row()?;
        // Mostly the one that followed the latest in the block before, too.
        match self.series.get(self.latest + 1) {
            Some(next) if next.id == series => self.latest += 1,
            _ => self.latest = self.find_series(series)?,
        }
        let Some(labels) = self.series[self.latest].labels else { return Ok(None) };
        let place = match self.places[labels] {
            Some(place) => place,
            None => self.find_group(labels)?,
        };
        Ok(Some(&mut self.sums[place]))
    }

    fn find_series(&mut self, id: i64) -> rusqlite::Result<usize> {
        if let Some(place) = self.by_series.get(&id) {
            return Ok(*place);
        }
        let series = self.dictionary.series(id)?;
        let labels = self.selection.filter.matches(&series).then(|| {
            let labels = self.selection.group_by.iter().filter_map(|by| match by {
                GroupBy::Dimension(dimension) => Some(Arc::from(&*series.label(*dimension))),
                GroupBy::Interval(_) | GroupBy::Calendar(_) => None,
            });
            *self.by_labels.entry(labels.collect()).or_insert_with_key(|labels| {
                self.labels.push(labels.clone());
                self.places.push(None);
                self.labels.len() - 1
            })
        });
        let place = self.series.len();
        self.series.push(Met { id, labels });
        self.by_series.insert(id, place);
        Ok(place)
    }

    fn find_group(&mut self, labels: usize) -> Result<usize, StoreError> {
        let place = match self.by_both.entry((labels, self.buckets)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(_) if self.sums.len() >= self.selection.max_groups => {
                return Err(StoreError::too_many_groups(self.selection.max_groups));
            }
            Entry::Vacant(new) => {
                let (mut starts, mut labels) = (self.starts.iter(), self.labels[labels].iter());
                let mut key = Vec::with_capacity(self.selection.group_by.len());
                key.extend(self.selection.group_by.iter().filter_map(|by| match by {
                    GroupBy::Interval(_) | GroupBy::Calendar(_) => {
                        starts.next().map(|start| GroupKey::Bucket(*start))
                    }
                    GroupBy::Dimension(_) => labels.next().map(|label| GroupKey::Label(label.clone())),
                }));
                self.sums.push(Group { key, count: 0, rollup: Rollup::default() });
                *new.insert(self.sums.len() - 1)
            }
        };
        self.places[labels] = Some(place);
        Ok(place)
    }

    /// Those that counted something, ordered by key.
    pub(super) fn finish(mut self) -> Vec<Group> {
        self.sums.retain(|group| group.count > 0);
        self.sums.sort_unstable_by(|left, right| left.key.cmp(&right.key));
        self.sums
    }
}

/// What the numbers of series stand for.
pub(super) struct Dictionary<'s> {
    connection: &'s Connection,
    known: &'s mut HashMap<i64, Arc<Series>>,
}

impl<'s> Dictionary<'s> {
    /// What is looked up is remembered in `known`.
    pub(super) const fn new(
        connection: &'s Connection,
        known: &'s mut HashMap<i64, Arc<Series>>,
    ) -> Dictionary<'s> {
        Dictionary { connection, known }
    }

    fn series(&mut self, id: i64) -> rusqlite::Result<Arc<Series>> {
        if let Some(series) = self.known.get(&id) {
            return Ok(series.clone());
        }
        let series = Arc::new(read_series(self.connection, id)?);
        self.known.insert(id, series.clone());
        Ok(series)
    }
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
