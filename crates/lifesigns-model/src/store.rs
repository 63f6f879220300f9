//! The port between whoever counts and whoever keeps: append rollups, answer a selection, keep notes.

mod effort;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::bucket::{Calendar, Level, Minute, MinuteRange};
use crate::rollup::Rollup;
use crate::series::{Dimension, Series};

pub use self::effort::{Bounded, Effort, Meter};

/// Keeps rollups. Implementations pass one and the same conformance suite.
pub trait RollupStore: Send + Sync {
    /// Takes rows that add to whatever is kept for their series and minute. Never waits for a disk: the rows are
    /// queued, and [`RollupStore::flush`] tells when they are safe.
    ///
    /// # Errors
    /// [`Rejected`] gives the rows back when the queue is full or nothing takes from it any more; the caller keeps and
    /// merges them and comes again.
    fn append(&self, rows: Vec<RollupRow>) -> Result<(), Rejected>;

    /// Waits until every row taken so far would survive the death of the process, or until `patience` is over.
    fn flush(&self, patience: Duration) -> Result<(), StoreError>;

    /// Groups and sums what is kept. Only rows that were flushed are certain to be in it. May take as long as a
    /// disk takes, so it is never called where a probe waits.
    ///
    /// # Errors
    /// When the store cannot be read; and one of which [`StoreError::is_too_many_groups`] is true, when the answer
    /// would have more groups than the selection allows. No more than those are ever held for it.
    fn select(&self, selection: &Selection) -> Result<Selected, StoreError>;

    /// As [`RollupStore::select`] does, but gives up when it costs more than `effort` allows, or when that is called
    /// off. A store that does not override it looks before it begins only.
    ///
    /// # Errors
    /// Besides those of [`RollupStore::select`] one of which [`StoreError::is_too_many_rows`] or
    /// [`StoreError::is_called_off`] is true.
    fn select_within(&self, selection: &Selection, effort: &Effort) -> Result<Selected, StoreError> {
        effort.spend(0)?;
        self.select(selection)
    }

    /// Takes a note in place of the one under the same topic and key, or with `text: None` removes that. Notes are
    /// what a process has to know again after a restart, such as maintenance that is on: few, small, and never
    /// expiring by themselves. Never waits for a disk: notes are queued with the rows, in order, and
    /// [`RollupStore::flush`] tells when they are safe.
    ///
    /// # Errors
    /// When [`MAX_QUEUED_NOTES`] are queued already, when nothing is taken from the queue any more, or when the note
    /// is longer than [`MAX_NOTE_BYTES`].
    fn remember(&self, note: Note) -> Result<(), StoreError>;

    /// All notes under a topic, ordered by key. Only what was flushed is certain to be in it. May take as long as a
    /// disk takes.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn recall(&self, topic: &str) -> Result<Vec<KeptNote>, StoreError>;

    /// Figures about the store itself.
    fn status(&self) -> StoreStatus;
}

/// What one series counted in one minute, or a part of it: rows for the same series and minute add up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RollupRow {
    /// The minute in which the exchanges ended.
    pub minute: Minute,
    /// Their labels.
    pub series: Arc<Series>,
    /// Their sums.
    pub rollup: Rollup,
}

/// Notes that wait to be written at most.
pub const MAX_QUEUED_NOTES: usize = 1000;

/// Bytes of topic, key and text of a note together, at most.
pub const MAX_NOTE_BYTES: usize = 64 * 1024;

/// What is to be remembered, or forgotten.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    /// What kind of note it is, such as `maintenance`.
    pub topic: Arc<str>,
    /// Tells it from others of its topic. Keys are compared by their bytes.
    pub key: Arc<str>,
    /// What to remember; `None` forgets it.
    pub text: Option<Arc<str>>,
}

impl Note {
    /// Refuses what is too long to be a note.
    ///
    /// # Errors
    /// When topic, key and text have more than [`MAX_NOTE_BYTES`].
    pub fn check(&self) -> Result<(), StoreError> {
        let bytes = self.topic.len() + self.key.len() + self.text.as_ref().map_or(0, |text| text.len());
        if bytes <= MAX_NOTE_BYTES {
            return Ok(());
        }
        Err(StoreError::new(format!("a note has {bytes} bytes, and {MAX_NOTE_BYTES} are the most")))
    }
}

/// A note that is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeptNote {
    /// Under which key.
    pub key: Arc<str>,
    /// What it says.
    pub text: Arc<str>,
}

/// A question that every store can answer: one flat list of groups.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Selection {
    /// Which minutes.
    pub range: MinuteRange,
    /// What makes a group, outermost first. Empty: one group for everything.
    pub group_by: Vec<GroupBy>,
    /// Which series.
    pub filter: Filter,
    /// What is wanted of each group.
    pub figures: Figures,
    /// The most groups that the answer may have; a selection that makes more is refused. Sums are held in memory
    /// for each of them: about 400 bytes, with latency buckets 2 to 20 KB.
    pub max_groups: usize,
}

/// What is wanted of a group: each has what is before it, too. A store may leave the rest empty, since it takes time to
/// read.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Figures {
    /// How many exchanges there were.
    Counts,
    /// The sums, and the longest time.
    Sums,
    /// Latency buckets.
    Percentiles,
}

/// One part of a group's key.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum GroupBy {
    /// Time buckets of this many minutes (at least 1), aligned to the epoch in UTC.
    Interval(i64),
    /// Weeks or months in UTC.
    Calendar(Calendar),
    /// The label under a dimension.
    Dimension(Dimension),
}

impl GroupBy {
    /// The start of the bucket that a minute belongs to; `None` if it does not make buckets of time.
    pub fn bucket(self, minute: Minute) -> Option<Minute> {
        match self {
            GroupBy::Interval(minutes) => Some(minute.floor(minutes)),
            GroupBy::Calendar(calendar) => Some(calendar.floor(minute)),
            GroupBy::Dimension(_) => None,
        }
    }
}

/// The part of a group's key that answers one [`GroupBy`].
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum GroupKey {
    /// Start of a time bucket.
    Bucket(Minute),
    /// A label.
    Label(Arc<str>),
}

/// One group of an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Group {
    /// One part for each [`GroupBy`] of the selection, in its order.
    pub key: Vec<GroupKey>,
    /// Number of exchanges.
    pub count: u64,
    /// As much of the rest as the selection wanted.
    pub rollup: Rollup,
}

/// The answer to a [`Selection`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Selected {
    /// The groups, ordered by key. A group that counted nothing is left out.
    pub groups: Vec<Group>,
    /// What was really read. It is wider than what was asked for where the finer rows have gone past their
    /// retention and only whole hours or days are left.
    pub range: MinuteRange,
}

/// Conditions that must all hold.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filter {
    /// Each of these must hold.
    pub all: Vec<AnyOf>,
}

/// Conditions of which at least one must hold. Without any, it never holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AnyOf {
    /// One of these must hold.
    pub any: Vec<Condition>,
}

/// A test of one label.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Condition {
    /// The label is this text.
    Equals(Dimension, Arc<str>),
    /// The label is one of these texts.
    In(Dimension, Vec<Arc<str>>),
    /// The label is not this text.
    NotEquals(Dimension, Arc<str>),
    /// The label is a number from the first bound to the second, both included; a missing bound is open.
    Range(Dimension, Option<i64>, Option<i64>),
}

impl Filter {
    /// The filter that lets everything through.
    pub fn everything() -> Filter {
        Filter::default()
    }

    /// This filter, and `condition` besides.
    #[must_use]
    pub fn and(mut self, condition: Condition) -> Filter {
        self.all.push(AnyOf { any: vec![condition] });
        self
    }

    /// Whether exchanges of `series` are let through.
    pub fn matches(&self, series: &Series) -> bool {
        self.all.iter().all(|any_of| any_of.any.iter().any(|condition| condition.matches(series)))
    }
}

impl Condition {
    /// Whether the condition holds for `series`.
    pub fn matches(&self, series: &Series) -> bool {
        match self {
            Condition::Equals(dimension, text) => series.label(*dimension) == **text,
            Condition::NotEquals(dimension, text) => series.label(*dimension) != **text,
            Condition::In(dimension, texts) => texts.iter().any(|text| series.label(*dimension) == **text),
            Condition::Range(dimension, from, to) => {
                series.label(*dimension).parse::<i64>().is_ok_and(|number| {
                    from.is_none_or(|from| from <= number) && to.is_none_or(|to| number <= to)
                })
            }
        }
    }
}

/// Rows grouped and summed as a selection asks. Stores that cannot group by themselves feed their rows in.
#[derive(Debug)]
pub struct Grouping {
    group_by: Vec<GroupBy>,
    max_groups: usize,
    groups: BTreeMap<Vec<GroupKey>, (u64, Rollup)>,
}

impl Grouping {
    /// No rows so far.
    pub fn new(selection: &Selection) -> Grouping {
        Grouping {
            group_by: selection.group_by.clone(),
            max_groups: selection.max_groups,
            groups: BTreeMap::new(),
        }
    }

    /// The sums of the group that a row with this bucket start and these labels belongs to: the number of
    /// exchanges, to be raised by the caller, and the rollup, to be merged into.
    ///
    /// # Errors
    /// [`StoreError::too_many_groups`] for a row that would begin one group more than the selection allows.
    pub fn group(&mut self, bucket: Minute, series: &Series) -> Result<&mut (u64, Rollup), StoreError> {
        let key = self
            .group_by
            .iter()
            .map(|by| match by {
                GroupBy::Interval(minutes) => GroupKey::Bucket(bucket.floor(*minutes)),
                GroupBy::Calendar(calendar) => GroupKey::Bucket(calendar.floor(bucket)),
                GroupBy::Dimension(dimension) => GroupKey::Label(Arc::from(&*series.label(*dimension))),
            })
            .collect();
        let groups = self.groups.len();
        match self.groups.entry(key) {
            Entry::Occupied(group) => Ok(group.into_mut()),
            Entry::Vacant(_) if groups >= self.max_groups => {
                Err(StoreError::too_many_groups(self.max_groups))
            }
            Entry::Vacant(place) => Ok(place.insert(Default::default())),
        }
    }

    /// The groups, ordered by key.
    pub fn finish(self) -> Vec<Group> {
        self.groups
            .into_iter()
            .filter(|(_, (count, _))| *count > 0)
            .map(|(key, (count, rollup))| Group { key, count, rollup })
            .collect()
    }
}

/// How long rows of each level are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Retention {
    /// Minute rows, in minutes. Default 48 hours.
    pub minute_rows: i64,
    /// Hour rows, in minutes. Default 90 days.
    pub hour_rows: i64,
    /// Day rows, in minutes. Default 5 years of 365 days.
    pub day_rows: i64,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention { minute_rows: 48 * 60, hour_rows: 90 * 1440, day_rows: 5 * 365 * 1440 }
    }
}

impl Retention {
    /// How many minutes rows of `level` are kept.
    pub const fn of(self, level: Level) -> i64 {
        match level {
            Level::Minute => self.minute_rows,
            Level::Hour => self.hour_rows,
            Level::Day => self.day_rows,
        }
    }
}

/// Figures about a store itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StoreStatus {
    /// Rows taken and not yet safe.
    pub pending_rows: u64,
    /// Exchanges in rows that had to be given up because the store failed for too long.
    pub dropped_exchanges: u64,
    /// Text of the last failure, for operators only; `None` while writing works.
    pub last_error: Option<String>,
    /// Bytes on disk; 0 for a store without a file.
    pub bytes: u64,
}

/// Rows that were not taken: the queue is full, or the store has failed for good, which [`StoreStatus::last_error`]
/// then tells.
#[derive(Debug)]
pub struct Rejected(pub Vec<RollupRow>);

/// A store could not do what it was asked for. What a person sees of it is decided at the edge.
#[derive(Debug)]
pub struct StoreError {
    kind: Kind,
    what: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Failed,
    TooManyGroups,
    TooManyRows,
    CalledOff,
}

impl StoreError {
    /// An error that says what could not be done.
    pub fn new(what: impl Into<String>) -> StoreError {
        StoreError { kind: Kind::Failed, what: what.into(), source: None }
    }

    /// An error that says what could not be done, and why.
    pub fn because(what: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
        StoreError { kind: Kind::Failed, what: what.into(), source: Some(source.into()) }
    }

    /// The error for a selection that makes more groups than the `max_groups` it allows.
    pub fn too_many_groups(max_groups: usize) -> StoreError {
        let what = format!("the selection makes more than {max_groups} groups");
        StoreError { kind: Kind::TooManyGroups, what, source: None }
    }

    pub(crate) fn too_many_rows(max_rows: u64) -> StoreError {
        let what = format!("the question would have more than {max_rows} rows read");
        StoreError { kind: Kind::TooManyRows, what, source: None }
    }

    pub(crate) fn called_off() -> StoreError {
        StoreError {
            kind: Kind::CalledOff,
            what: "nobody waits for the answer any more".to_owned(),
            source: None,
        }
    }

    /// Whether nothing is wrong with the store, but more was asked for than it may read for an answer.
    pub const fn is_too_many_rows(&self) -> bool {
        matches!(self.kind, Kind::TooManyRows)
    }

    /// Whether nothing is wrong with the store, but the question was called off.
    pub const fn is_called_off(&self) -> bool {
        matches!(self.kind, Kind::CalledOff)
    }

    /// Whether nothing is wrong with the store, but more was asked for than an answer may hold.
    pub const fn is_too_many_groups(&self) -> bool {
        matches!(self.kind, Kind::TooManyGroups)
    }

    /// The same error with `source` as its cause.
    pub(crate) fn caused_by(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
        StoreError { source: Some(source.into()), ..self }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::FailedBy;

    #[test]
    fn a_group_past_the_most_is_refused_and_the_others_go_on() {
        let series = |api: &str| Series {
            api: api.into(),
            api_version: "1".into(),
            route: "/".into(),
            method: "GET".into(),
            status: 200,
            client_id: "app".into(),
            policy: None,
            failed_by: FailedBy::Nobody,
            instance: "one".into(),
        };
        let selection = Selection {
            range: MinuteRange::new(Minute::new(0), Minute::new(9)),
            group_by: vec![GroupBy::Dimension(Dimension::Api)],
            filter: Filter::everything(),
            figures: Figures::Counts,
            max_groups: 2,
        };
        let mut grouping = Grouping::new(&selection);
        for api in ["a", "b", "a"] {
            grouping.group(Minute::new(0), &series(api)).unwrap().0 += 1;
        }
        let error = grouping.group(Minute::new(0), &series("c")).unwrap_err();
        assert!(error.is_too_many_groups(), "{error}");
        grouping.group(Minute::new(0), &series("b")).unwrap().0 += 1;
        let counts: Vec<u64> = grouping.finish().iter().map(|group| group.count).collect();
        assert_eq!(counts, [2, 2]);
        assert!(!StoreError::new("no disk").is_too_many_groups());
    }
}
