//! From flat groups to the nested answer.

use std::cmp::Reverse;

use serde_json::{Map, Value, json};

use super::figures::{latency_json, size_json};
use super::{Aggregator, Order, Query};
use crate::rollup::Rollup;
use crate::store::{Group, GroupBy, GroupKey, Selected};

/// The whole answer to a query: the assembled groups, and whether policy violations are in them. `start_time` and
/// `end_time` tell what was really read; that is more than was asked for where only coarser rows are left.
///
/// # Panics
/// As [`assemble()`].
pub fn answer(query: &Query, selected: &[Selected]) -> Value {
    let start = selected.iter().map(|selected| selected.range.start).min().unwrap_or(query.range.start);
    let end = selected.iter().map(|selected| selected.range.end).max().unwrap_or(query.range.end);
    json!({
        "success": true,
        "error": null,
        "response": assemble(query, selected),
        "include_policy_violation": query.include_policy_violation,
        "start_time": format!("{:.3}", start.start()),
        "end_time": format!("{:.3}", end.start()),
    })
}

/// The nested answer: a list with one object for each outermost aggregator.
///
/// Time buckets stand oldest first, groups of a dimension by count, the highest first, then by label, unless the
/// aggregator orders otherwise. The count of a group is that of everything in it, also of what a `limit` cuts.
///
/// # Panics
/// If `selected` are not the answers to this query's [`Plan`](super::Plan), in its order.
pub fn assemble(query: &Query, selected: &[Selected]) -> Value {
    let chains: usize = query.aggregators.iter().map(Aggregator::chains).sum();
    assert_eq!(selected.len(), chains, "one answer for each selection of the plan");
    let sorted: Vec<Vec<&Group>> = selected
        .iter()
        .map(|selected| {
            let mut groups: Vec<&Group> = selected.groups.iter().collect();
            groups.sort_by(|left, right| left.key.cmp(&right.key));
            groups
        })
        .collect();
    let views: Vec<&[&Group]> = sorted.iter().map(Vec::as_slice).collect();
    level(&query.aggregators, 0, &views)
}

/// Sibling aggregators, each with the views of its own chains. Within a view all keys agree up to `depth`.
fn level(aggregators: &[Aggregator], depth: usize, mut views: &[&[&Group]]) -> Value {
    aggregators
        .iter()
        .map(|aggregator| {
            let (own, others) = views.split_at(aggregator.chains());
            views = others;
            json!({ aggregator.name(): members(aggregator, depth, own) })
        })
        .collect()
}

fn members(aggregator: &Aggregator, depth: usize, views: &[&[&Group]]) -> Value {
    let mut members: Vec<Member<'_>> = views[0]
        .chunk_by(|left, right| left.key[depth] == right.key[depth])
        .map(|groups| Member {
            key: &groups[0].key[depth],
            groups,
            count: groups.iter().map(|group| group.count).sum(),
        })
        .collect();
    sort(&mut members, aggregator);
    members.truncate(aggregator.limit.unwrap_or(usize::MAX));
    members
        .into_iter()
        .map(|member| {
            let mut figures = member.figures(aggregator);
            if !aggregator.aggregators.is_empty() {
                let inner: Vec<&[&Group]> =
                    views.iter().map(|view| part_under(view, depth, member.key)).collect();
                figures.insert("aggregations".to_owned(), level(&aggregator.aggregators, depth + 1, &inner));
            }
            json!({ member.name(): figures })
        })
        .collect()
}

fn sort(members: &mut [Member<'_>], aggregator: &Aggregator) {
    match (aggregator.by, aggregator.order) {
        (GroupBy::Interval(_), None | Some(Order::Ascending)) => {}
        (GroupBy::Interval(_), Some(Order::Descending)) => members.reverse(),
        // A stable sort: what counts alike stays ordered by label.
        (GroupBy::Dimension(_), None | Some(Order::Descending)) => {
            members.sort_by_key(|member| Reverse(member.count));
        }
        (GroupBy::Dimension(_), Some(Order::Ascending)) => members.sort_by_key(|member| member.count),
    }
}

fn part_under<'view, 'group>(
    view: &'view [&'group Group],
    depth: usize,
    key: &GroupKey,
) -> &'view [&'group Group] {
    let start = view.partition_point(|group| group.key[depth] < *key);
    let end = view.partition_point(|group| group.key[depth] <= *key);
    &view[start..end]
}

/// One group of an aggregator: all flat groups whose keys agree up to its depth.
struct Member<'a> {
    key: &'a GroupKey,
    groups: &'a [&'a Group],
    count: u64,
}

impl Member<'_> {
    fn name(&self) -> String {
        match self.key {
            GroupKey::Bucket(minute) => format!("{:.3}", minute.start()),
            GroupKey::Label(label) => label.to_string(),
        }
    }

    fn figures(&self, aggregator: &Aggregator) -> Map<String, Value> {
        let metrics = aggregator.metrics;
        let mut figures = Map::from_iter([("count".to_owned(), json!(self.count))]);
        if metrics.latency {
            let mut sum = Rollup::default();
            self.groups.iter().for_each(|group| sum.merge(&group.rollup));
            figures.insert("latency_ms".to_owned(), latency_json(&sum));
        }
        let mut size = |name: &str, bytes: fn(&Rollup) -> u64| {
            let sum = self.groups.iter().fold(0u64, |sum, group| sum.saturating_add(bytes(&group.rollup)));
            figures.insert(name.to_owned(), size_json(sum, self.count));
        };
        if metrics.request_size {
            size("request_size", |rollup| rollup.request_bytes);
        }
        if metrics.response_size {
            size("response_size", |rollup| rollup.response_bytes);
        }
        figures
    }
}

#[cfg(test)]
mod tests;
