//! What the page's charts and tables are drawn from, taken out of the answer to one query.

use jiff::Timestamp;
use lifesigns_model::query::{Details, Fault, MAX_INTERVAL_MINUTES, Query};
use serde_json::{Value, json};

/// Widths of a bar in minutes, of which the first is taken that makes no more than [`MOST_BARS`].
const INTERVALS: [i64; 12] = [1, 2, 5, 10, 15, 30, 60, 120, 240, 480, 720, 1440];
const MOST_BARS: i64 = 60;
/// Rows of a table.
pub(super) const MOST_ROWS: usize = 10;
/// A route that was asked for less often is not called slow or failing.
const LEAST_ASKED: u64 = 20;

/// Statuses by their first digit: 1xx to 5xx.
pub(super) type Classes = [u64; 5];

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) interval_minutes: i64,
    pub(super) buckets: Vec<Bucket>,
    pub(super) apps: Vec<Group>,
    /// Those that are asked for most.
    pub(super) top_routes: Vec<Group>,
    /// Those with the highest 95th percentile.
    pub(super) slow_routes: Vec<Group>,
    /// Those with the highest share of failures.
    pub(super) failing_routes: Vec<Group>,
    pub(super) policies: Vec<Group>,
}

/// One bar.
#[derive(Clone, Debug, Default)]
pub(super) struct Bucket {
    pub(super) start: Timestamp,
    pub(super) by_class: Classes,
    pub(super) latency: Option<Latency>,
}

impl Bucket {
    pub(super) fn count(&self) -> u64 {
        self.by_class.iter().sum()
    }
}

/// In milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
}

/// One row of a table.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) label: String,
    pub(super) count: u64,
    /// Failed because of the API or the gateway.
    pub(super) failed: u64,
    pub(super) latency: Option<Latency>,
}

impl Group {
    /// 0 to 1.
    pub(super) fn failed_share(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.failed as f64 / self.count as f64 }
    }
}

/// How wide a bar is for this window, in minutes.
fn interval(duration_minutes: i64) -> i64 {
    let fits = |interval: &i64| duration_minutes <= interval * MOST_BARS;
    // Past two months, whole days; no bar is wider than a query allows, so that five years have one more.
    let days = || (duration_minutes / MOST_BARS / 1440 + 1) * 1440;
    INTERVALS.into_iter().find(fits).unwrap_or_else(|| days().min(MAX_INTERVAL_MINUTES))
}

/// The one query that all figures come from.
pub(super) fn query(details: &Details, api: Option<&str>, now: Timestamp) -> Result<Query, Fault> {
    let filters: Vec<Value> =
        api.map(|api| json!({"or": [{"equals": {"api_id": api}}]})).into_iter().collect();
    let query = json!({
        "duration": format!("{}m", details.duration_minutes),
        "include_policy_violation": details.include_policy_violation,
        "filters": filters,
        "aggregators": [
            {"time_interval": interval(details.duration_minutes), "metrics": ["latency"],
             "aggregators": [{"dimension": "status_code"}]},
            {"dimension": "client_id", "limit": MOST_ROWS, "metrics": ["latency"],
             "aggregators": [{"dimension": "failed_by"}]},
            {"dimension": "resource_path", "metrics": ["latency"],
             "aggregators": [{"dimension": "failed_by"}]},
            {"dimension": "policy", "limit": MOST_ROWS + 1},
        ],
    });
    Query::parse(&query, now)
}

impl Figures {
    /// From the answer to [`query`].
    pub(super) fn of(answer: &Value, details: &Details) -> Figures {
        let interval_minutes = interval(details.duration_minutes);
        let groups = |index: usize| -> Vec<(&str, &Value)> { members(&answer["response"][index]).collect() };
        let routes: Vec<Group> = groups(2).into_iter().map(Group::of).collect();
        let often: Vec<Group> = routes.iter().filter(|route| route.count >= LEAST_ASKED).cloned().collect();
        let first = |mut routes: Vec<Group>, rank: fn(&Group) -> f64| {
            routes.retain(|route| rank(route) > 0.0);
            routes.sort_by(|one, other| rank(other).total_cmp(&rank(one)));
            routes.truncate(MOST_ROWS);
            routes
        };
        let policies = groups(3).into_iter().map(Group::of);
        Figures {
            interval_minutes,
            buckets: buckets(answer, &groups(0), interval_minutes),
            apps: groups(1).into_iter().map(Group::of).collect(),
            top_routes: routes.into_iter().take(MOST_ROWS).collect(),
            slow_routes: first(often.clone(), |route| route.latency.map_or(0.0, |latency| latency.p95)),
            failing_routes: first(often, Group::failed_share),
            policies: policies
                .filter(|policy| policy.label != lifesigns_model::series::NOT_APPLICABLE)
                .take(MOST_ROWS)
                .collect(),
        }
    }
}

impl Group {
    fn of((label, figures): (&str, &Value)) -> Group {
        let failed = members(&figures["aggregations"][0])
            .filter(|(by, _)| matches!(*by, "gateway" | "upstream"))
            .map(|(_, figures)| count(figures));
        Group {
            label: label.to_owned(),
            count: count(figures),
            failed: failed.sum(),
            latency: latency(figures),
        }
    }
}

/// The bars from the beginning of the window to its end, also those in which nothing happened.
fn buckets(answer: &Value, found: &[(&str, &Value)], interval_minutes: i64) -> Vec<Bucket> {
    let time = |name: &str| answer[name].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let (Some(start), Some(end)) = (time("start_time"), time("end_time")) else { return Vec::new() };
    let width = interval_minutes * 60;
    let first = start.as_second().div_euclid(width) * width;
    let count = (end.as_second() - first + width - 1).div_euclid(width).clamp(0, 4 * MOST_BARS);
    let mut buckets: Vec<Bucket> = (0..count)
        .map(|index| Bucket {
            start: Timestamp::from_second(first + index * width).unwrap_or_default(),
            ..Bucket::default()
        })
        .collect();
    for (label, figures) in found {
        let Ok(start) = label.parse::<Timestamp>() else { continue };
        let index = (start.as_second() - first).div_euclid(width);
        let Some(bucket) = usize::try_from(index).ok().and_then(|index| buckets.get_mut(index)) else {
            continue;
        };
        bucket.latency = latency(figures);
        for (status, figures) in members(&figures["aggregations"][0]) {
            let class = status.bytes().next().unwrap_or(b'0').wrapping_sub(b'1');
            if let Some(place) = bucket.by_class.get_mut(usize::from(class)) {
                *place += self::count(figures);
            }
        }
    }
    buckets
}

/// The groups of one aggregator, which stand under its only key.
fn members(aggregator: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let groups = aggregator.as_object().and_then(|named| named.values().next()).and_then(Value::as_array);
    groups
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .flatten()
        .map(|(label, it)| (label.as_str(), it))
}

fn count(figures: &Value) -> u64 {
    figures["count"].as_u64().unwrap_or(0)
}

fn latency(figures: &Value) -> Option<Latency> {
    let at = |name: &str| figures["latency_ms"][name].as_f64();
    Some(Latency { p50: at("p50")?, p95: at("p95")?, p99: at("p99")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_wide_as_there_is_room_for() {
        for (minutes, expected) in
            [(1, 1), (60, 1), (61, 2), (180, 5), (1440, 30), (10_080, 240), (43_200, 720)]
        {
            assert_eq!(interval(minutes), expected, "{minutes}");
        }
        for minutes in [86_401, 500_000, 5 * 366 * 1440] {
            let interval = interval(minutes);
            assert!(interval % 1440 == 0 && minutes / interval <= MOST_BARS + 1, "{minutes} in {interval}");
        }
    }

    #[test]
    fn figures_are_those_of_the_answer_and_gaps_are_bars() {
        let latency = json!({"mean": 1.0, "p50": 1.0, "p90": 2.0, "p95": 3.0, "p99": 4.0, "max": 5.0});
        let route = |label: &str, count: u64, failed: u64| {
            json!({label: {"count": count, "latency_ms": latency,
                "aggregations": [{"failed_by": [{"nobody": {"count": count - failed}}, {"upstream": {"count": failed}}]}]}})
        };
        let answer = json!({
            "start_time": "2026-03-16T18:00:00.000Z", "end_time": "2026-03-16T18:03:00.000Z",
            "response": [
                {"time_series_1m": [
                    {"2026-03-16T18:00:00.000Z": {"count": 3, "latency_ms": latency, "aggregations":
                        [{"status_code": [{"200": {"count": 2}}, {"502": {"count": 1}}]}]}},
                    {"2026-03-16T18:02:00.000Z": {"count": 1, "latency_ms": {"p50": null}, "aggregations":
                        [{"status_code": [{"404": {"count": 1}}]}]}}]},
                {"client_id": [{"_na_": {"count": 4}}]},
                {"resource_path": [route("/a", 100, 1), route("/b", 50, 25), route("/rare", 2, 2)]},
                {"policy": [{"_na_": {"count": 3}}, {"rate-limit": {"count": 1}}]},
            ],
        });
        let details = Details { duration_minutes: 3, ..Details::default() };
        let figures = Figures::of(&answer, &details);
        let classes: Vec<Classes> = figures.buckets.iter().map(|bucket| bucket.by_class).collect();
        assert_eq!(classes, [[0, 2, 0, 0, 1], [0; 5], [0, 0, 0, 1, 0]]);
        assert_eq!(figures.buckets[0].latency.map(|latency| latency.p95), Some(3.0));
        assert!(figures.buckets[2].latency.is_none(), "nothing was measured");
        let labels = |groups: &[Group]| groups.iter().map(|group| group.label.clone()).collect::<Vec<_>>();
        assert_eq!(labels(&figures.top_routes), ["/a", "/b", "/rare"]);
        assert_eq!(labels(&figures.failing_routes), ["/b", "/a"]);
        assert_eq!(
            (labels(&figures.policies), figures.policies[0].count),
            (vec!["rate-limit".to_owned()], 1)
        );
        assert_eq!(figures.top_routes[1].failed, 25);
    }
}
