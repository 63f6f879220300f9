//! From flat groups to the nested answer.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::iter;

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
    answer_around(query, selected, assemble(query, selected))
}

fn answer_around(query: &Query, selected: &[Selected], response: Value) -> Value {
    let start = selected.iter().map(|selected| selected.range.start).min().unwrap_or(query.range.start);
    let end = selected.iter().map(|selected| selected.range.end).max().unwrap_or(query.range.end);
    json!({
        "success": true,
        "error": null,
        "response": response,
        "include_policy_violation": query.include_policy_violation,
        "start_time": format!("{:.3}", start.start()),
        "end_time": format!("{:.3}", end.start()),
    })
}

/// The text of [`answer()`], to the last byte, for whoever needs no more than that: it is written group by group, and a tree
/// of thousands of groups takes longer to build, to print and to take down than the groups take to be read from a file.
/// Where exchanges have been dropped, it tells how many, as `dropped_exchanges`.
///
/// # Panics
/// As [`assemble()`].
pub fn answer_text(query: &Query, selected: &[Selected], dropped_exchanges: u64) -> String {
    let mut frame = answer_around(query, selected, Value::Null);
    if dropped_exchanges > 0 {
        frame["dropped_exchanges"] = json!(dropped_exchanges);
    }
    let frame = frame.to_string();
    // The only null that is a response: the frame holds no text of anybody else.
    let (before, after) = frame.split_once(RESPONSE).expect("an answer has a response");
    let groups: usize = selected.iter().map(|selected| selected.groups.len()).sum();
    let mut text = String::with_capacity(frame.len() + groups * BYTES_A_GROUP);
    text.push_str(before);
    text.push_str(RESPONSE.trim_end_matches("null"));
    let sorted = sorted(query, selected);
    let views: Vec<&[&Group]> = sorted.iter().map(Vec::as_slice).collect();
    write_level(&mut text, &query.aggregators, 0, &views);
    text.push_str(after);
    text
}

/// What a group without latency takes, about.
const BYTES_A_GROUP: usize = 40;

const RESPONSE: &str = r#""response":null"#;

/// The nested answer: a list with one object for each outermost aggregator.
///
/// Time buckets stand oldest first, groups of a dimension by count, the highest first, then by label, unless the
/// aggregator orders otherwise. The count of a group is that of everything in it, also of what a `limit` cuts.
///
/// # Panics
/// If `selected` are not the answers to this query's [`Plan`](super::Plan), in its order.
pub fn assemble(query: &Query, selected: &[Selected]) -> Value {
    let sorted = sorted(query, selected);
    let views: Vec<&[&Group]> = sorted.iter().map(Vec::as_slice).collect();
    level(&query.aggregators, 0, &views)
}

/// The groups of each selection, by their keys.
fn sorted<'s>(query: &Query, selected: &'s [Selected]) -> Vec<Vec<&'s Group>> {
    let chains: usize = query.aggregators.iter().map(Aggregator::chains).sum();
    assert_eq!(selected.len(), chains, "one answer for each selection of the plan");
    selected
        .iter()
        .map(|selected| {
            let mut groups: Vec<&Group> = selected.groups.iter().collect();
            groups.sort_by(|left, right| left.key.cmp(&right.key));
            groups
        })
        .collect()
}

/// Sibling aggregators, each with the views of its own chains. Within a view all keys agree up to `depth`.
fn level(aggregators: &[Aggregator], depth: usize, mut views: &[&[&Group]]) -> Value {
    aggregators
        .iter()
        .map(|aggregator| {
            let (own, others) = views.split_at(aggregator.chains());
            views = others;
            let members: Value = members(aggregator, depth, own)
                .into_iter()
                .map(|member| {
                    let mut figures = member.figures(aggregator);
                    if !aggregator.aggregators.is_empty() {
                        let inner = level(&aggregator.aggregators, depth + 1, &member.inner(own, depth));
                        figures.insert("aggregations".to_owned(), inner);
                    }
                    json!({ member.name(): figures })
                })
                .collect();
            json!({ aggregator.name(): members })
        })
        .collect()
}

/// As [`level`], as text.
fn write_level(text: &mut String, aggregators: &[Aggregator], depth: usize, mut views: &[&[&Group]]) {
    text.push('[');
    for (number, aggregator) in aggregators.iter().enumerate() {
        let (own, others) = views.split_at(aggregator.chains());
        views = others;
        text.push_str(if number > 0 { ",{" } else { "{" });
        write_string(text, &aggregator.name());
        text.push_str(":[");
        for (number, member) in members(aggregator, depth, own).into_iter().enumerate() {
            text.push_str(if number > 0 { ",{" } else { "{" });
            member.write_name(text);
            text.push(':');
            let metrics = aggregator.metrics;
            if metrics.latency || metrics.request_size || metrics.response_size {
                text.push_str(&Value::Object(member.figures(aggregator)).to_string());
                text.pop();
            } else {
                // Writing into a string cannot fail.
                let _ = write!(text, "{{\"count\":{}", member.count);
            }
            if !aggregator.aggregators.is_empty() {
                text.push_str(",\"aggregations\":");
                write_level(text, &aggregator.aggregators, depth + 1, &member.inner(own, depth));
            }
            text.push_str("}}");
        }
        text.push_str("]}");
    }
    text.push(']');
}

fn write_string(text: &mut String, string: &str) {
    let is_plain = |byte: u8| byte >= b' ' && !matches!(byte, b'"' | b'\\' | 0x7f);
    if string.bytes().all(is_plain) {
        text.push('"');
        text.push_str(string);
        text.push('"');
    } else {
        text.push_str(&Value::from(string).to_string());
    }
}

/// The groups of an aggregator, ordered and cut as it says.
fn members<'a>(aggregator: &Aggregator, depth: usize, views: &[&'a [&'a Group]]) -> Vec<Member<'a>> {
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
}

fn sort(members: &mut [Member<'_>], aggregator: &Aggregator) {
    match (aggregator.by, aggregator.order) {
        (GroupBy::Interval(_) | GroupBy::Calendar(_), None | Some(Order::Ascending)) => {}
        (GroupBy::Interval(_) | GroupBy::Calendar(_), Some(Order::Descending)) => members.reverse(),
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

impl<'a> Member<'a> {
    /// What each view has of it.
    fn inner(&self, views: &[&'a [&'a Group]], depth: usize) -> Vec<&'a [&'a Group]> {
        // Its own groups are what the first view has.
        let others = views.iter().skip(1).map(|view| part_under(view, depth, self.key));
        iter::once(self.groups).chain(others).collect()
    }

    /// Its name as JSON.
    fn write_name(&self, text: &mut String) {
        match self.key {
            GroupKey::Bucket(minute) => {
                // Writing into a string cannot fail.
                let _ = write!(text, "\"{:.3}\"", minute.start());
            }
            GroupKey::Label(label) => write_string(text, label),
        }
    }

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
