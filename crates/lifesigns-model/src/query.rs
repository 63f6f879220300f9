//! The analytics query: parse, validate, plan, assemble.
//!
//! A query comes as JSON ([`Query::parse_bytes`]) and is checked as a whole before anything is read: the first
//! [`Fault`] names the element by its path. [`Query::plan`] makes one flat [`Selection`] of every chain from an
//! outermost aggregator to an innermost one; whatever store answers them, [`assemble()`] nests the flat groups again.
//!
//! # The language
//!
//! | key | value | left out |
//! |---|---|---|
//! | `type` | `enriched-http-event` | the same |
//! | `aggregators` | a list; siblings give independent results, at most 32 in all and 4 deep | refused |
//! | `duration` | `90m`, `24h`, `20d`; at most [`MAX_DURATION_MINUTES`] | `24h` |
//! | `start_time` | RFC 3339; the window is from here up to `duration` later | now minus `duration` |
//! | `filters` | a list of `{"or": [condition, …]}`, all of which must hold | everything is let through |
//! | `include_policy_violation` | whether requests that a policy refused are counted | `true` |
//!
//! | key of an aggregator | value |
//! |---|---|
//! | `time_interval` | whole minutes from 1 to 43200; buckets are aligned to the epoch in UTC. Or `week` (from Monday on) or `month`, of the calendar in UTC |
//! | `dimension` | the name of a [`Dimension`](crate::series::Dimension); instead of `time_interval` |
//! | `order` | `descending` or `ascending`: a dimension by count, then label; a time series by time |
//! | `limit` | how many groups are shown after ordering; those that are cut still count in their parent |
//! | `metrics` | a list of `latency`, `request_size`, `response_size` |
//! | `aggregators` | what to split each group by |
//!
//! | condition | holds when |
//! |---|---|
//! | `{"equals": {"status_code": 404}}` | the label is this; a number and its text are the same |
//! | `{"in": {"method": ["GET", "HEAD"]}}` | the label is one of these |
//! | `{"not": {"client_id": "_na_"}}` | the label is not this |
//! | `{"range": {"status_code": {"from": 500, "to": 599}}}` | the label is a number between the bounds, both included; one may be left out |
//!
//! ```
//! use lifesigns_model::query::Query;
//! let body = br#"{"aggregators": [{"dimension": "status_cod"}]}"#;
//! let now = "2026-03-18T12:00:00Z".parse().unwrap();
//! let fault = Query::parse_bytes(body, now).unwrap_err();
//! assert_eq!(fault.path(), "aggregators[0].dimension");
//! assert!(fault.message().contains("did you mean `status_code`"));
//! ```

mod assemble;
mod details;
mod element;
mod events;
mod fault;
mod figures;
mod filters;
mod parse;
mod plan;
mod unambiguous;

use jiff::{SignedDuration, Timestamp};

pub use self::assemble::{answer, answer_text, assemble};
pub use self::details::{
    Details, Summary, TOP_APPS_LIMIT, WINDOWS, last_minutes, top_apps, top_apps_selection,
};
pub use self::events::{Event, EventFormat, Events, MAX_EVENTS, csv_cell};
pub use self::fault::{Fault, FaultCode};
pub use self::figures::latency_json;
pub use self::plan::Plan;
use crate::bucket::{Minute, MinuteRange};
use crate::store::{Condition, Filter, GroupBy, Selection};

/// Deepest nesting of aggregators.
pub const MAX_DEPTH: usize = 4;
/// Most aggregators in one query, all levels together.
pub const MAX_AGGREGATORS: usize = 32;
/// Most values in all filters of one query together.
pub const MAX_FILTER_VALUES: usize = 1000;
/// Widest time bucket: 30 days, in minutes.
pub const MAX_INTERVAL_MINUTES: i64 = 43_200;
/// Longest window: five years of at most 366 days, in minutes.
pub const MAX_DURATION_MINUTES: i64 = 5 * 366 * 1440;
/// Window of a query that names none: 24 hours, in minutes.
pub const DEFAULT_DURATION_MINUTES: i64 = 1440;
/// Most time buckets that one time series may have.
pub const MAX_TIME_BUCKETS: i64 = 50_000;
/// Most groups in all the selections of one query together: about 20 MB of sums.
pub const MAX_GROUPS: usize = 50_000;
/// Most groups when latency is asked for: each of them holds latency buckets, 2 to 20 KB.
pub const MAX_GROUPS_WITH_LATENCY: usize = 10_000;
/// Highest `limit` of an aggregator.
pub const MAX_LIMIT: i64 = 10_000;

/// A query that has been found good.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    aggregators: Vec<Aggregator>,
    range: MinuteRange,
    filter: Filter,
    include_policy_violation: bool,
}

impl Query {
    /// The window, moved outward to whole minutes.
    pub const fn range(&self) -> MinuteRange {
        self.range
    }

    /// What is let through; policy violations are already out of it where they are not wanted.
    pub const fn filter(&self) -> &Filter {
        &self.filter
    }
}

/// One level of an answer: what makes its groups, and what is shown of them.
#[derive(Clone, Debug, PartialEq)]
struct Aggregator {
    /// Where it stands in what the caller sent, for a [`Fault`] that shows only when it is answered.
    path: String,
    by: GroupBy,
    order: Option<Order>,
    limit: Option<usize>,
    metrics: Metrics,
    aggregators: Vec<Aggregator>,
}

impl Aggregator {
    /// The key under which its groups stand in an answer.
    fn name(&self) -> String {
        match self.by {
            GroupBy::Interval(minutes) => format!("time_series_{minutes}m"),
            GroupBy::Calendar(calendar) => format!("time_series_{}", calendar.name()),
            GroupBy::Dimension(dimension) => dimension.name().to_owned(),
        }
    }

    /// How many chains lead through it to an innermost aggregator.
    fn chains(&self) -> usize {
        self.aggregators.iter().map(Aggregator::chains).sum::<usize>().max(1)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Order {
    Descending,
    Ascending,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Metrics {
    latency: bool,
    request_size: bool,
    response_size: bool,
}

/// The window of `minutes` from `start` on, moved outward to whole minutes.
fn window(start: Timestamp, minutes: i64) -> MinuteRange {
    let end = start.checked_add(SignedDuration::from_mins(minutes)).unwrap_or(Timestamp::MAX);
    MinuteRange::new(Minute::of(start), Minute::at_or_after(end))
}

/// When a window of `minutes` that ends at `end` starts.
fn start_before(end: Timestamp, minutes: i64) -> Timestamp {
    end.checked_sub(SignedDuration::from_mins(minutes)).unwrap_or(Timestamp::MIN)
}

fn without_policy_violations(filter: Filter) -> Filter {
    use crate::series::Dimension::RequestDisposition;
    filter.and(Condition::Equals(RequestDisposition, "processed".into()))
}
