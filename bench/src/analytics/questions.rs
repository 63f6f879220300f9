//! The questions, in the language of each who is asked.

use jiff::SignedDuration;
use lifesigns_model::bucket::{Level, Minute};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::world::{MINUTES_KEPT, World};

const HOUR: i64 = Level::Hour.minutes();
const DAY: i64 = Level::Day.minutes();

/// A question, and what an answer to it has to look like.
pub(super) struct Question {
    pub(super) name: &'static str,
    /// Milliseconds that our answer may take.
    pub(super) limit: Option<f64>,
    /// Labels of a group, the time first where there is one.
    pub(super) labels: usize,
    /// Whether the first label is a time.
    pub(super) is_over_time: bool,
    pub(super) own: Value,
    pub(super) clickhouse: String,
    /// Paths with their queries; nothing where there is no data for it.
    pub(super) prometheus: Asked,
    pub(super) prometheus_recorded: Asked,
}

/// A table and its bounds.
type Stretch = (&'static str, Minute, Minute);

/// What Prometheus is asked: the label that tells its answers apart, and one path, or one for each percentile.
pub(super) struct Asked {
    pub(super) label: &'static str,
    pub(super) paths: Vec<String>,
}

/// All of them, for a world of so many days.
pub(super) fn all(world: &World) -> Vec<Question> {
    let days = (world.range.end.number() - world.range.start.number()) / DAY;
    let form =
        Form { api: world.largest_api(), end: world.range.end, month: days * DAY, week: days.min(7) * DAY };
    let one = Of::One;
    vec![
        form.by_hour("24 h by hour by status, one API", 2.0, DAY),
        form.by_hour("30 days by hour by status, one API", 30.0, form.month),
        form.apps("top 10 apps over 30 days, one API", Some(10.0), one),
        form.routes("p50, p95, p99 by route over 7 days, one API", Some(30.0), one),
        form.by_day("all APIs by day over 30 days", 50.0),
        form.apps("top 10 apps over 30 days, all APIs", None, Of::All),
        form.routes("p50, p95, p99 by route over 7 days, all APIs", None, Of::All),
    ]
}

/// Whose figures are asked for.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Of {
    One,
    All,
}

/// What the questions have in common.
struct Form<'a> {
    /// The one API.
    api: &'a str,
    /// The end of every span, and the lengths of the long ones in minutes.
    end: Minute,
    month: i64,
    week: i64,
}

impl Form<'_> {
    fn by_hour(&self, name: &'static str, limit: f64, minutes: i64) -> Question {
        let api = self.api;
        let over_time = |query: &str| self.over_time("status", query, minutes, HOUR);
        Question {
            name,
            limit: Some(limit),
            labels: 2,
            is_over_time: true,
            own: self.own(
                minutes,
                Of::One,
                &json!({"time_interval": HOUR, "aggregators": [{"dimension": "status_code"}]}),
            ),
            clickhouse: self.clickhouse(
                self.stretches(minutes, HOUR),
                "toUInt32(toStartOfHour(t)) AS h, status",
                "h, status",
                Of::One,
                "",
            ),
            prometheus: over_time(&format!(
                "sum by (status) (increase(http_requests_total{{api=\"{api}\"}}[1h]))"
            )),
            prometheus_recorded: over_time(&format!(
                "sum by (status) (api_status:http_requests:increase1h{{api=\"{api}\"}})"
            )),
        }
    }

    fn apps(&self, name: &'static str, limit: Option<f64>, of: Of) -> Question {
        let selector = match of {
            Of::One => format!("{{api=\"{}\"}}", self.api),
            Of::All => String::new(),
        };
        let month = self.month;
        // A range has both of its ends in it, and so one sample of an hour more than it has hours.
        let hours = month - 1;
        let top = |sum: &str| self.at_once("client_id", &[format!("topk(10, sum by (client_id) ({sum}))")]);
        Question {
            name,
            limit,
            labels: 1,
            is_over_time: false,
            own: self.own(month, of, &json!({"dimension": "client_id", "limit": 10})),
            clickhouse: self.clickhouse(
                self.stretches(month, DAY),
                "client_id",
                "client_id",
                of,
                " ORDER BY sum(c) DESC, client_id LIMIT 10",
            ),
            prometheus: top(&format!("increase(http_requests_total{selector}[{month}m])")),
            prometheus_recorded: top(&format!(
                "sum_over_time(api_client:http_requests:increase1h{selector}[{hours}m])"
            )),
        }
    }

    fn routes(&self, name: &'static str, limit: Option<f64>, of: Of) -> Question {
        let selector = format!("{{api=\"{}\"}}[{}m]", self.api, self.week);
        let quantiles = |metric: &str| {
            let quantile = |share| {
                format!(
                    "histogram_quantile({share}, sum by (le, resource_path) (increase({metric}{selector})))"
                )
            };
            // There are histograms of one API only.
            let queries = match of {
                Of::One => vec![quantile(0.5), quantile(0.95), quantile(0.99)],
                Of::All => Vec::new(),
            };
            self.at_once("resource_path", &queries)
        };
        Question {
            name,
            limit,
            labels: 1,
            is_over_time: false,
            own: self.own(self.week, of, &json!({"dimension": "resource_path", "metrics": ["latency"]})),
            clickhouse: self.clickhouse_percentiles(of),
            prometheus: quantiles("http_request_duration_seconds_bucket"),
            prometheus_recorded: quantiles("api_route:http_request_duration_seconds_bucket:sum"),
        }
    }

    fn by_day(&self, name: &'static str, limit: f64) -> Question {
        let over_time = |query: &str| self.over_time("api", query, self.month, DAY);
        Question {
            name,
            limit: Some(limit),
            labels: 2,
            is_over_time: true,
            own: self.own(
                self.month,
                Of::All,
                &json!({"time_interval": DAY, "aggregators": [{"dimension": "api_id"}]}),
            ),
            clickhouse: self.clickhouse(
                self.stretches(self.month, DAY),
                "toUInt32(toStartOfDay(t)) AS d, api",
                "d, api",
                Of::All,
                "",
            ),
            prometheus: over_time("sum by (api) (increase(http_requests_total[1d]))"),
            prometheus_recorded: over_time(
                "sum by (api) (sum_over_time(api_status:http_requests:increase1h[1439m]))",
            ),
        }
    }

    fn own(&self, minutes: i64, of: Of, aggregator: &Value) -> Value {
        let start = super::now() - SignedDuration::from_mins(minutes);
        let filters = match of {
            Of::One => json!([{"or": [{"equals": {"api_id": self.api}}]}]),
            Of::All => json!([]),
        };
        json!({
            "aggregators": [aggregator],
            "start_time": start.to_string(),
            "duration": format!("{minutes}m"),
            "filters": filters,
        })
    }

    fn condition(&self, of: Of) -> String {
        match of {
            Of::One => format!("api = '{}'", self.api),
            Of::All => "1".to_owned(),
        }
    }

    /// The stretches that answer the last `minutes`, in groups of `interval`: a table and its bounds. As here, whole
    /// hours or days come from their table and the edge before them from a finer one, as far as that is kept. The last
    /// hour and the last day are in their tables while they last: a materialized view adds up at once.
    fn stretches(&self, minutes: i64, interval: i64) -> Vec<Stretch> {
        let asked = super::now() - SignedDuration::from_mins(minutes);
        let kept = self.end.plus(-MINUTES_KEPT);
        let start = match Minute::of(asked) {
            start if start < kept => start.floor(HOUR),
            start => start,
        };
        let hours = start.ceil(HOUR);
        let mut stretches = vec![("minutes", start, hours)];
        if interval % DAY == 0 {
            stretches.push(("hours", hours, hours.ceil(DAY)));
            stretches.push(("days", hours.ceil(DAY), self.end));
        } else {
            stretches.push(("hours", hours, self.end));
        }
        stretches.retain(|(_, from, to)| from < to);
        stretches
    }

    fn clickhouse(&self, stretches: Vec<Stretch>, keys: &str, names: &str, of: Of, after: &str) -> String {
        let condition = self.condition(of);
        let parts: Vec<String> = stretches
            .into_iter()
            .map(|(table, from, to)| {
                format!(
                    "SELECT {keys}, sum(count) AS c FROM {table} WHERE {condition} AND t >= toDateTime({}) AND t < \
                     toDateTime({}) GROUP BY {names}",
                    from.number() * 60,
                    to.number() * 60
                )
            })
            .collect();
        format!("SELECT {names}, sum(c) FROM ({}) GROUP BY {names}{after}", parts.join(" UNION ALL "))
    }

    /// Of the ways that were tried the fastest: `quantilesTimingWeighted` keeps whole numbers up to 30,000, of 100 µs here,
    /// and rounds those from 1,024 on to 16. Exactly, or by `sumMap` first, it takes a tenth to a third longer.
    fn clickhouse_percentiles(&self, of: Of) -> String {
        let condition = self.condition(of);
        let parts: Vec<String> = self
            .stretches(self.week, DAY)
            .into_iter()
            .map(|(table, from, to)| {
                format!(
                    "SELECT route, intDiv(latencyMap.micros, 100) AS tenths, latencyMap.count AS c FROM {table} ARRAY \
                     JOIN latencyMap WHERE {condition} AND t >= toDateTime({}) AND t < toDateTime({})",
                    from.number() * 60,
                    to.number() * 60
                )
            })
            .collect();
        format!(
            "SELECT route, sum(c), arrayMap(tenths -> tenths * 100, quantilesTimingWeighted(0.5, 0.95, 0.99)(tenths, \
             c)) FROM ({}) GROUP BY route",
            parts.join(" UNION ALL ")
        )
    }

    /// The sums of the last `minutes`, each over `step`, the last of them up to the end.
    fn over_time(&self, label: &'static str, query: &str, minutes: i64, step: i64) -> Asked {
        let end = self.end.number() * 60;
        let start = end - (minutes - step) * 60;
        let step = step * 60;
        let query = utf8_percent_encode(query, NON_ALPHANUMERIC);
        let path = format!("/api/v1/query_range?query={query}&start={start}&end={end}&step={step}");
        Asked { label, paths: vec![path] }
    }

    fn at_once(&self, label: &'static str, queries: &[String]) -> Asked {
        let time = self.end.number() * 60;
        let path = |query: &String| {
            format!("/api/v1/query?query={}&time={time}", utf8_percent_encode(query, NON_ALPHANUMERIC))
        };
        Asked { label, paths: queries.iter().map(path).collect() }
    }
}
