//! Time buckets, and those that are missing between them.

use lifesigns_model::bucket::Minute;

use crate::query::answer::Group;
use crate::query::question::{Interval, Step};

/// What stands in one row of a time series.
#[derive(Debug)]
pub(super) enum Slot<'a> {
    /// A group; for a dimension there is nothing else.
    Bucket(&'a Group),
    /// So many buckets without any exchange.
    Empty(i64),
}

/// The groups of a step with the gaps between them. With a window, those before the first and behind the last as well.
pub(super) fn slots<'a>(groups: &'a [Group], step: &Step, window: Option<(Minute, Minute)>) -> Vec<Slot<'a>> {
    // Buckets of the calendar are so wide that a gap between them is seen.
    let Some(Interval::Minutes(interval)) = step.interval else {
        return groups.iter().map(Slot::Bucket).collect();
    };
    // The numbers of buckets at both ends, as they stand in the list: one outside of it.
    let (mut before, behind) = match window {
        Some((start, end)) => {
            let first = start.number().div_euclid(interval) - 1;
            let last = (end.number() - 1).div_euclid(interval) + 1;
            if step.descending { (Some(last), Some(first)) } else { (Some(first), Some(last)) }
        }
        None => (None, None),
    };
    let mut slots = Vec::new();
    for group in groups {
        let number = group.minute().map(|minute| minute.number().div_euclid(interval));
        slots.extend(gap(before, number));
        slots.push(Slot::Bucket(group));
        before = number;
    }
    if !groups.is_empty() {
        slots.extend(gap(before, behind));
    }
    slots
}

fn gap<'a>(before: Option<i64>, behind: Option<i64>) -> Option<Slot<'a>> {
    let missing = (behind? - before?).abs() - 1;
    (missing > 0).then_some(Slot::Empty(missing))
}
