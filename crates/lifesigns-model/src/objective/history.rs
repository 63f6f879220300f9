//! What a store counted before the process began, asked for in parts that are small enough for any store.

use std::sync::Arc;

use super::ledger::MINUTES_KEPT;
use super::{Counts, Objective};
use crate::bucket::{Level, Minute, MinuteRange};
use crate::exchange::{CLIENT_CLOSED_REQUEST, FailedBy};
use crate::series::Dimension;
use crate::store::{AnyOf, Condition, Figures, Filter, GroupBy, GroupKey, Selected, Selection};

/// One question to a store: an hour by minutes, or a day by hours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HistoryPart {
    range: MinuteRange,
    level: Level,
}

impl HistoryPart {
    /// The parts that make up the period of `objective` up to and including the minute `now`, newest first, without
    /// gap or overlap. Only the first one holds the present minute.
    pub fn of(objective: &Objective, now: Minute) -> Vec<HistoryPart> {
        let period = i64::from(objective.period_days()) * 1440;
        let by_minutes = now.plus(-MINUTES_KEPT).floor(60);
        let mut parts = Vec::new();
        let mut push = |level, width, from: Minute, mut until: Minute| {
            while until > from {
                let start = until.plus(-1).floor(width);
                parts.push(HistoryPart { range: MinuteRange::new(start.max(from), until), level });
                until = start;
            }
        };
        push(Level::Minute, 60, by_minutes, now.plus(1));
        push(Level::Hour, 1440, now.plus(-period).floor(60), by_minutes);
        parts
    }

    /// The question, for the API with this name.
    pub fn selection(&self, objective: &Objective, api: &Arc<str>) -> Selection {
        let counted = AnyOf {
            any: vec![
                Condition::NotEquals(Dimension::FailedBy, FailedBy::Client.name().into()),
                Condition::Range(
                    Dimension::StatusCode,
                    Some(400),
                    Some(i64::from(CLIENT_CLOSED_REQUEST) - 1),
                ),
            ],
        };
        let mut filter = Filter::everything().and(Condition::Equals(Dimension::Api, Arc::clone(api)));
        filter.all.push(counted);
        Selection {
            range: self.range,
            group_by: vec![GroupBy::Interval(self.level.minutes()), GroupBy::Dimension(Dimension::FailedBy)],
            filter,
            figures: objective.latency_bound_ms().map_or(Figures::Counts, |_| Figures::Percentiles),
            // A store that has only days left may answer with one of these for a part of it.
            max_groups: 60 * FailedBy::ALL.len(),
        }
    }

    /// What the answer counts, by the minute in which it begins. Where finer rows have gone, a whole hour or day
    /// counts where it begins, and nothing counts in two parts.
    pub fn counts(&self, objective: &Objective, selected: &Selected) -> Vec<(Minute, Counts)> {
        selected
            .groups
            .iter()
            .filter_map(|group| {
                let [GroupKey::Bucket(start), GroupKey::Label(failed_by)] = group.key.as_slice() else {
                    return None;
                };
                let failed_by = FailedBy::from_name(failed_by)?;
                let counts =
                    // Of the client's failures only answers with a 4xx were asked for.
                    objective.count(failed_by, 400, group.count, &group.rollup.latency);
                self.range.contains(*start).then_some((*start, counts))
            })
            .collect()
    }
}
