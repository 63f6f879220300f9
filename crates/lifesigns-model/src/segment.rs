//! Which level of rollup answers which part of a range.
//!
//! A store that keeps minutes, hours and days reads as coarse as the question allows: a month by the day is
//! thirty rows of a series and not forty thousand. What is not closed yet, and what sticks out over whole hours
//! or days at the edges, comes from the finer level. Where the finer rows are past their retention, the range is
//! widened outward to what is left, and the answer says so.

use crate::bucket::{Level, Minute, MinuteRange};
use crate::store::GroupBy;

/// From when to when the rows of each level can be read.
///
/// Day rows go back as far as anything does. Bounds that are no whole hours (or days) are taken as the nearest
/// ones at which complete hours (or days) begin or end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Coverage {
    /// Every minute from here on is there as minute rows.
    pub minutes_from: Minute,
    /// Every hour from here up to `hours_until` is there as hour rows. Not after `minutes_from`.
    pub hours_from: Minute,
    /// Hours are closed up to here: later ones are not there as hour rows. Not before `minutes_from`.
    pub hours_until: Minute,
    /// Days are closed up to here: later ones are not there as day rows. Not before `hours_from`, and not after
    /// `hours_until`.
    pub days_until: Minute,
}

/// A part of a range, and the level whose rows answer it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Segment {
    /// The level to read.
    pub level: Level,
    /// Which rows of it: those whose start lies in here. Whole buckets of the level.
    pub range: MinuteRange,
}

/// How a range is to be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// What is really read: the range asked for, or a wider one where only whole hours or days are left.
    pub range: MinuteRange,
    /// The parts of `range`, oldest first, without gap or overlap. None when the range is empty.
    pub segments: Vec<Segment>,
}

/// Plans a range for an answer that is grouped by `group_by`, the coarsest level first.
///
/// An interval of N minutes can be answered from hours when N is a multiple of 60 and from days when it is a
/// multiple of 1440; without an interval any level will do. Where finer rows are gone the coarser ones are
/// read whatever the interval: a whole hour (or day) then falls into the bucket in which it starts.
///
/// ```
/// use lifesigns_model::bucket::{Level, Minute, MinuteRange};
/// use lifesigns_model::segment::{Coverage, plan};
/// let hour = |number: i64| Minute::new(number * 60);
/// let kept = Coverage { minutes_from: hour(0), hours_from: hour(0), hours_until: hour(30), days_until: hour(24) };
/// let plan = plan(MinuteRange::new(hour(0), hour(31)), &[], &kept);
/// let levels: Vec<Level> = plan.segments.iter().map(|segment| segment.level).collect();
/// assert_eq!(levels, [Level::Day, Level::Hour, Level::Minute]);
/// ```
pub fn plan(range: MinuteRange, group_by: &[GroupBy], coverage: &Coverage) -> Plan {
    if range.is_empty() {
        return Plan { range, segments: Vec::new() };
    }
    let minutes_from = coverage.minutes_from.ceil(Level::Hour.minutes());
    let hours_from =
        coverage.hours_from.ceil(Level::Day.minutes()).min(minutes_from.floor(Level::Day.minutes()));
    let range = widened(range, minutes_from, hours_from);

    let mut segments = Vec::new();
    let days = coarse_part(range, Level::Day, group_by, coverage.days_until, hours_from);
    let (before, after) = around(range, days);
    let push_finer = |segments: &mut Vec<Segment>, rest: MinuteRange| {
        let hours = coarse_part(rest, Level::Hour, group_by, coverage.hours_until, minutes_from);
        let (before, after) = around(rest, hours);
        push(segments, Level::Minute, before);
        push(segments, Level::Hour, hours);
        push(segments, Level::Minute, after);
    };
    push_finer(&mut segments, before);
    push(&mut segments, Level::Day, days);
    push_finer(&mut segments, after);
    Plan { range, segments }
}

/// Both ends moved outward to whole buckets of the finest level that is left where they lie.
fn widened(range: MinuteRange, minutes_from: Minute, hours_from: Minute) -> MinuteRange {
    let width_at = |minute: Minute| match minute {
        _ if minute < hours_from => Level::Day.minutes(),
        _ if minute < minutes_from => Level::Hour.minutes(),
        _ => Level::Minute.minutes(),
    };
    MinuteRange::new(range.start.floor(width_at(range.start)), range.end.ceil(width_at(range.end.plus(-1))))
}

/// The part of `range` that `level` answers: what must come from it because the finer rows only begin at
/// `finer_from`, and the whole closed buckets after that if the grouping allows. Empty at the range's start if
/// there is none.
fn coarse_part(
    range: MinuteRange,
    level: Level,
    group_by: &[GroupBy],
    closed_until: Minute,
    finer_from: Minute,
) -> MinuteRange {
    let width = level.minutes();
    let start = range.start.ceil(width);
    let mut end = range.end.min(finer_from);
    if allowed(level, group_by) {
        end = end.max(range.end.min(closed_until).floor(width));
    }
    if start < end { MinuteRange::new(start, end) } else { MinuteRange::new(range.start, range.start) }
}

fn allowed(level: Level, group_by: &[GroupBy]) -> bool {
    group_by.iter().all(|by| match by {
        GroupBy::Interval(minutes) => minutes % level.minutes() == 0,
        // Whole days.
        GroupBy::Calendar(_) | GroupBy::Dimension(_) => true,
    })
}

fn around(whole: MinuteRange, part: MinuteRange) -> (MinuteRange, MinuteRange) {
    (MinuteRange::new(whole.start, part.start), MinuteRange::new(part.end, whole.end))
}

fn push(segments: &mut Vec<Segment>, level: Level, range: MinuteRange) {
    if !range.is_empty() {
        segments.push(Segment { level, range });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bucket::Calendar;
    use crate::series::Dimension;

    const DAY: i64 = 1440;

    fn range(start: i64, end: i64) -> MinuteRange {
        MinuteRange::new(Minute::new(start), Minute::new(end))
    }

    fn coverage(minutes_from: i64, hours_from: i64, hours_until: i64, days_until: i64) -> Coverage {
        Coverage {
            minutes_from: Minute::new(minutes_from),
            hours_from: Minute::new(hours_from),
            hours_until: Minute::new(hours_until),
            days_until: Minute::new(days_until),
        }
    }

    fn check(asked: MinuteRange, group_by: &[GroupBy], kept: &Coverage, expected: &[(Level, i64, i64)]) {
        let segments: Vec<_> = plan(asked, group_by, kept)
            .segments
            .iter()
            .map(|segment| (segment.level, segment.range.start.number(), segment.range.end.number()))
            .collect();
        assert_eq!(segments, expected, "{asked:?} {group_by:?} {kept:?}");
    }

    #[test]
    fn the_coarsest_level_that_the_interval_allows_answers() {
        let kept = coverage(i64::MIN, i64::MIN, 3 * DAY + 120, 3 * DAY);
        let asked = range(DAY - 70, 3 * DAY + 150);
        let edges = [(Level::Minute, DAY - 70, DAY - 60), (Level::Hour, DAY - 60, DAY)];
        let whole = [
            edges[0],
            edges[1],
            (Level::Day, DAY, 3 * DAY),
            (Level::Hour, 3 * DAY, 3 * DAY + 120),
            (Level::Minute, 3 * DAY + 120, 3 * DAY + 150),
        ];
        check(asked, &[], &kept, &whole);
        check(asked, &[GroupBy::Dimension(Dimension::Api), GroupBy::Interval(2 * DAY)], &kept, &whole);
        let hours =
            [edges[0], (Level::Hour, DAY - 60, 3 * DAY + 120), (Level::Minute, 3 * DAY + 120, 3 * DAY + 150)];
        check(asked, &[GroupBy::Interval(60)], &kept, &hours);
        check(asked, &[GroupBy::Interval(2 * DAY), GroupBy::Interval(180)], &kept, &hours);
        check(asked, &[GroupBy::Interval(90)], &kept, &[(Level::Minute, DAY - 70, 3 * DAY + 150)]);
    }

    #[test]
    fn nothing_closed_is_read_from_minutes() {
        let nothing = coverage(i64::MIN, i64::MIN, i64::MIN, i64::MIN);
        check(range(-5, 5000), &[], &nothing, &[(Level::Minute, -5, 5000)]);
        check(range(i64::MIN, i64::MAX), &[], &nothing, &[(Level::Minute, i64::MIN, i64::MAX)]);
    }

    #[test]
    fn an_empty_range_stays_what_it_is() {
        let planned = plan(range(7, 7), &[], &coverage(600, 0, 600, 0));
        assert_eq!(planned, Plan { range: range(7, 7), segments: vec![] });
    }

    #[test]
    fn expired_rows_widen_the_range_to_what_is_left() {
        let kept = coverage(5 * DAY + 600, 3 * DAY, 7 * DAY + 60, 7 * DAY);
        let by_minute = [GroupBy::Interval(1)];
        let asked = range(2 * DAY + 30, 6 * DAY + 7);
        assert_eq!(plan(asked, &by_minute, &kept).range, range(2 * DAY, 6 * DAY + 7));
        check(
            asked,
            &by_minute,
            &kept,
            &[
                (Level::Day, 2 * DAY, 3 * DAY),
                (Level::Hour, 3 * DAY, 5 * DAY + 600),
                (Level::Minute, 5 * DAY + 600, 6 * DAY + 7),
            ],
        );
        let inside_an_expired_hour = range(4 * DAY + 61, 4 * DAY + 62);
        assert_eq!(plan(inside_an_expired_hour, &[], &kept).range, range(4 * DAY + 60, 4 * DAY + 120));
        let inside_an_expired_day = range(DAY + 61, DAY + 62);
        assert_eq!(plan(inside_an_expired_day, &[], &kept).range, range(DAY, 2 * DAY));
    }

    #[test]
    fn a_whole_day_is_read_at_once_although_its_minutes_have_half_gone() {
        let kept = coverage(5 * DAY + 600, 0, 7 * DAY, 7 * DAY);
        check(range(5 * DAY, 6 * DAY), &[], &kept, &[(Level::Day, 5 * DAY, 6 * DAY)]);
    }

    /// Consistent bounds in the order in which they move: hours gone, minutes gone, days closed, hours closed.
    fn coverages() -> impl Strategy<Value = Coverage> {
        (-3i64..6, 0i64..100, 0i64..100, 0i64..60).prop_map(|(hours_from, more, days, open)| {
            let hours_from = hours_from * DAY;
            let minutes_from = hours_from + more * 60;
            let days_until = (hours_from + days * 60).div_euclid(DAY) * DAY;
            coverage(minutes_from, hours_from, minutes_from.max(days_until) + open * 60, days_until)
        })
    }

    fn groupings() -> impl Strategy<Value = Vec<GroupBy>> {
        let interval = prop::sample::select(vec![1i64, 7, 15, 60, 90, 120, 720, DAY, 3 * DAY, 2000]);
        prop::collection::vec(
            prop_oneof![
                interval.prop_map(GroupBy::Interval),
                prop::sample::select(Calendar::ALL.to_vec()).prop_map(GroupBy::Calendar),
                Just(GroupBy::Dimension(Dimension::Api)),
            ],
            0..3,
        )
    }

    proptest! {
        #[test]
        fn segments_partition_the_range_in_whole_buckets_that_are_there(
            start in -8000i64..20_000, length in 1i64..15_000, group_by in groupings(), kept in coverages(),
        ) {
            let asked = range(start, start + length);
            let planned = plan(asked, &group_by, &kept);
            prop_assert!(planned.range.start <= asked.start && asked.end <= planned.range.end);
            let mut reached = planned.range.start;
            for Segment { level, range } in planned.segments {
                prop_assert_eq!(range.start, reached);
                prop_assert!(!range.is_empty());
                prop_assert_eq!((range.start.floor(level.minutes()), range.end.floor(level.minutes())), (range.start, range.end));
                let (from, until) = match level {
                    Level::Minute => (kept.minutes_from, Minute::new(i64::MAX)),
                    Level::Hour => (kept.hours_from, kept.hours_until),
                    Level::Day => (Minute::new(i64::MIN), kept.days_until.max(kept.hours_from)),
                };
                prop_assert!(from <= range.start && range.end <= until, "{level:?} {range:?}");
                reached = range.end;
            }
            prop_assert_eq!(reached, planned.range.end);
            if kept.minutes_from <= asked.start {
                prop_assert_eq!(planned.range, asked);
            }
        }

        #[test]
        fn every_bucket_counts_what_minutes_alone_would_count(
            start in -8000i64..20_000, length in 1i64..15_000, group_by in groupings(), kept in coverages(),
            counted in prop::collection::vec((-9000i64..40_000, 1u64..100), 0..60),
        ) {
            let kept = Coverage { minutes_from: Minute::new(i64::MIN), hours_from: Minute::new(i64::MIN), ..kept };
            let asked = range(start, start + length);
            let buckets = |minute: Minute| -> Vec<Minute> {
                group_by.iter().filter_map(|by| by.bucket(minute)).collect()
            };
            let mut from_minutes = std::collections::BTreeMap::<Vec<Minute>, u64>::new();
            let mut from_segments = from_minutes.clone();
            for (minute, count) in counted.iter().map(|(number, count)| (Minute::new(*number), *count)) {
                if asked.contains(minute) {
                    *from_minutes.entry(buckets(minute)).or_default() += count;
                }
                for segment in plan(asked, &group_by, &kept).segments {
                    let row = minute.floor(segment.level.minutes());
                    if segment.range.contains(row) {
                        *from_segments.entry(buckets(row)).or_default() += count;
                    }
                }
            }
            prop_assert_eq!(from_segments, from_minutes);
        }
    }
}
