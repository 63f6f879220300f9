use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::bucket::Minute;
use crate::exchange::{FailedBy, Measurement};
use crate::series::{Dimension, Series};
use crate::store::{Figures, Grouping, Selection};

/// One exchange as it happened: when, and with which labels and sizes.
#[derive(Clone, Debug)]
struct Exchange {
    minute: Minute,
    series: Series,
    measurement: Measurement,
}

fn start() -> Minute {
    Minute::of("2024-03-16T18:00:00Z".parse().unwrap())
}

fn exchange(minute: i64, status: u16, api: &str) -> Exchange {
    let series = Series {
        api: api.into(),
        api_version: "1".into(),
        route: "/questions".into(),
        method: "GET".into(),
        status,
        client_id: "_na_".into(),
        policy: (status == 429).then(|| Arc::from("rate-limit")),
        failed_by: FailedBy::of_status(status),
        instance: "one".into(),
    };
    let measurement =
        Measurement { total_micros: 100, request_bytes: 10, response_bytes: 100, ..Measurement::default() };
    Exchange { minute: start().plus(minute), series, measurement }
}

/// The rollup of an exchange without latency buckets.
fn sums(exchange: &Measurement) -> Rollup {
    let mut rollup = Rollup {
        first_byte_micros: exchange.first_byte_micros,
        request_bytes: exchange.request_bytes,
        response_bytes: exchange.response_bytes,
        ..Rollup::default()
    };
    rollup.latency.merge_encoded(&[], exchange.total_micros, exchange.total_micros).unwrap();
    rollup
}

/// What a store answers that keeps every exchange, and gives no more than is wanted.
fn select(exchanges: &[Exchange], selection: &Selection) -> Selected {
    let mut grouping = Grouping::new(selection);
    for exchange in exchanges {
        if selection.range.contains(exchange.minute) && selection.filter.matches(&exchange.series) {
            let (count, rollup) = grouping.group(exchange.minute, &exchange.series).unwrap();
            *count += 1;
            match selection.figures {
                Figures::Counts => {}
                Figures::Sums => rollup.merge(&sums(&exchange.measurement)),
                Figures::Percentiles => rollup.record(&exchange.measurement),
            }
        }
    }
    Selected { groups: grouping.finish(), range: selection.range }
}

fn ask(body: &Value, exchanges: &[Exchange]) -> Value {
    let query = Query::parse(body, Timestamp::UNIX_EPOCH).unwrap();
    let selected: Vec<Selected> =
        query.plan().selections.iter().map(|selection| select(exchanges, selection)).collect();
    let answer = answer(&query, &selected);
    assert_eq!(answer_text(&query, &selected, 0), answer.to_string());
    answer
}

fn query(aggregators: Value) -> Value {
    json!({"aggregators": aggregators, "start_time": "2024-03-16T18:00:00Z", "duration": "1440m"})
}

#[test]
fn a_time_series_split_by_status_code_looks_as_the_source_shows_it() {
    let exchanges = [
        exchange(30, 404, "polls"),
        exchange(125, 200, "polls"),
        exchange(130, 404, "polls"),
        exchange(179, 200, "polls"),
    ];
    let by_status = json!([{"time_interval": 60, "aggregators": [{"dimension": "status_code"}]}]);
    let answer = ask(&query(by_status), &exchanges);
    let expected = concat!(
        r#"{"success":true,"error":null,"response":[{"time_series_60m":["#,
        r#"{"2024-03-16T18:00:00.000Z":{"count":1,"aggregations":[{"status_code":[{"404":{"count":1}}]}]}},"#,
        r#"{"2024-03-16T20:00:00.000Z":{"count":3,"aggregations":[{"status_code":[{"200":{"count":2}},{"404":{"count":1}}]}]}}"#,
        r#"]}],"include_policy_violation":true,"#,
        r#""start_time":"2024-03-16T18:00:00.000Z","end_time":"2024-03-17T18:00:00.000Z"}"#,
    );
    assert_eq!(answer.to_string(), expected);
}

#[test]
fn nothing_counted_is_an_empty_list() {
    let answer = ask(&query(json!([{"dimension": "api_id"}, {"time_interval": 5}])), &[]);
    assert_eq!(answer["response"], json!([{"api_id": []}, {"time_series_5m": []}]));
}

#[test]
fn siblings_are_independent_and_a_limit_cuts_no_count() {
    let exchanges = [
        exchange(0, 200, "a"),
        exchange(0, 200, "b"),
        exchange(61, 200, "b"),
        exchange(62, 429, "b"),
        exchange(63, 500, "c"),
    ];
    let aggregators = json!([
        {"dimension": "api_id", "limit": 1, "aggregators": [
            {"dimension": "status_code", "order": "ascending", "limit": 1},
            {"dimension": "policy"},
        ]},
        {"time_interval": 60, "order": "descending", "limit": 1},
    ]);
    let expected = json!([
        {"api_id": [{"b": {"count": 3, "aggregations": [
            {"status_code": [{"429": {"count": 1}}]},
            {"policy": [{"_na_": {"count": 2}}, {"rate-limit": {"count": 1}}]},
        ]}}]},
        {"time_series_60m": [{"2024-03-16T19:00:00.000Z": {"count": 3}}]},
    ]);
    assert_eq!(ask(&query(aggregators), &exchanges)["response"], expected);
}

#[test]
fn groups_that_count_alike_stand_in_the_order_of_their_labels() {
    let exchanges = [exchange(0, 500, "a"), exchange(0, 200, "a"), exchange(0, 404, "a")];
    for order in ["ascending", "descending"] {
        let answer = ask(&query(json!([{"dimension": "status_code", "order": order}])), &exchanges);
        let expected = r#"[{"status_code":[{"200":{"count":1}},{"404":{"count":1}},{"500":{"count":1}}]}]"#;
        assert_eq!(answer["response"].to_string(), expected);
    }
}

#[test]
fn metrics_stand_where_they_were_asked_for() {
    let exchanges = [exchange(0, 200, "a"), exchange(1, 200, "b"), exchange(2, 404, "b")];
    let aggregators = json!([{"time_interval": 60, "metrics": ["latency"], "aggregators": [
        {"dimension": "api_id", "metrics": ["request_size", "response_size"]},
    ]}]);
    let milliseconds = json!({"mean": 0.1, "p50": 0.1, "p90": 0.1, "p95": 0.1, "p99": 0.1, "max": 0.1});
    let answer = ask(&query(aggregators), &exchanges);
    let bucket = &answer["response"][0]["time_series_60m"][0]["2024-03-16T18:00:00.000Z"];
    assert_eq!(bucket["latency_ms"], milliseconds);
    let expected = json!([
        {"b": {"count": 2, "request_size": {"sum": 20, "mean": 10.0}, "response_size": {"sum": 200, "mean": 100.0}}},
        {"a": {"count": 1, "request_size": {"sum": 10, "mean": 10.0}, "response_size": {"sum": 100, "mean": 100.0}}},
    ]);
    assert_eq!(bucket["aggregations"][0]["api_id"], expected);
}

#[test]
fn figures_are_read_for_the_chains_that_show_them_only() {
    use Figures::{Counts, Percentiles, Sums};
    let check = |aggregators: Value, expected: &[Figures]| {
        let query = Query::parse(&query(aggregators), Timestamp::UNIX_EPOCH).unwrap();
        let figures: Vec<Figures> =
            query.plan().selections.iter().map(|selection| selection.figures).collect();
        assert_eq!(figures, expected);
    };
    let method = json!({"dimension": "method"});
    let status = json!({"dimension": "status_code", "metrics": ["latency"]});
    let route = json!({"dimension": "resource_path", "metrics": ["response_size"]});
    check(json!([method]), &[Counts]);
    check(json!([status, method, route]), &[Percentiles, Counts, Sums]);
    check(json!([{"dimension": "api_id", "aggregators": [method, status]}]), &[Counts, Percentiles]);
    check(
        json!([{"dimension": "api_id", "metrics": ["request_size"], "aggregators": [method, method]}]),
        &[Sums, Counts],
    );
    check(
        json!([{"dimension": "api_id", "metrics": ["latency"], "aggregators": [method, method]}]),
        &[Percentiles, Counts],
    );
}

#[test]
fn policy_violations_are_filtered_out_on_demand_and_the_answer_says_so() {
    let exchanges = [exchange(0, 200, "a"), exchange(0, 429, "a")];
    let mut body = query(json!([{"dimension": "request_disposition"}]));
    body["include_policy_violation"] = json!(false);
    let answer = ask(&body, &exchanges);
    assert_eq!(answer["include_policy_violation"], false);
    assert_eq!(answer["response"], json!([{"request_disposition": [{"processed": {"count": 1}}]}]));
}

#[test]
#[should_panic(expected = "one answer for each selection")]
fn answers_to_another_query_are_a_mistake() {
    let query = Query::parse(&query(json!([{"dimension": "method"}])), Timestamp::UNIX_EPOCH).unwrap();
    assemble(&query, &[]);
}

/// The obvious way: go through all exchanges again for every group, reading the query's JSON as it stands.
mod slowly {
    use super::*;

    pub(super) fn answer(body: &Value, exchanges: &[Exchange]) -> Value {
        let inside: Vec<&Exchange> = exchanges
            .iter()
            .filter(|exchange| (0..1440).contains(&(exchange.minute.number() - start().number())))
            .filter(|exchange| body["include_policy_violation"] == true || exchange.series.policy.is_none())
            .filter(|exchange| {
                let mut filters = body["filters"].as_array().unwrap().iter();
                filters.all(|filter| {
                    filter["or"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .any(|condition| holds(condition, &exchange.series))
                })
            })
            .collect();
        level(&body["aggregators"], &inside)
    }

    fn holds(condition: &Value, series: &Series) -> bool {
        let (operator, operand) = condition.as_object().unwrap().iter().next().unwrap();
        let (name, wanted) = operand.as_object().unwrap().iter().next().unwrap();
        let label = label(name, series);
        let is = |wanted: &Value| match wanted {
            Value::String(text) => *text == label,
            number => label == number.to_string().as_str(),
        };
        match operator.as_str() {
            "equals" => is(wanted),
            "not" => !is(wanted),
            "in" => wanted.as_array().unwrap().iter().any(is),
            "range" => label.parse().is_ok_and(|number: i64| {
                wanted["from"].as_i64().unwrap() <= number && number <= wanted["to"].as_i64().unwrap()
            }),
            other => panic!("{other}"),
        }
    }

    fn label(name: &str, series: &Series) -> String {
        series.label(Dimension::from_name(name).unwrap()).into_owned()
    }

    fn level(aggregators: &Value, inside: &[&Exchange]) -> Value {
        aggregators.as_array().unwrap().iter().map(|aggregator| groups(aggregator, inside)).collect()
    }

    /// Goes back day by day to the first of a month or to a Monday.
    fn calendar_start(calendar: &str, second: i64) -> Timestamp {
        let mut day = Timestamp::from_second(second.div_euclid(86_400) * 86_400).unwrap();
        let begins = |day: Timestamp| match calendar {
            "week" => day.strftime("%a").to_string() == "Mon",
            _ => day.strftime("%d").to_string() == "01",
        };
        while !begins(day) {
            day -= jiff::SignedDuration::from_hours(24);
        }
        day
    }

    fn groups(aggregator: &Value, inside: &[&Exchange]) -> Value {
        let interval = aggregator.get("time_interval");
        let key = |exchange: &Exchange| match interval {
            Some(interval) => {
                let second = exchange.minute.number() * 60;
                let start = match interval.as_i64() {
                    Some(minutes) => {
                        Timestamp::from_second(second.div_euclid(minutes * 60) * minutes * 60).unwrap()
                    }
                    None => calendar_start(interval.as_str().unwrap(), second),
                };
                start.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
            }
            None => label(aggregator["dimension"].as_str().unwrap(), &exchange.series),
        };
        let keys: BTreeSet<String> = inside.iter().map(|exchange| key(exchange)).collect();
        let mut groups: Vec<(String, Vec<&Exchange>)> = keys
            .into_iter()
            .map(|wanted| {
                let own = inside.iter().copied().filter(|exchange| key(exchange) == wanted).collect();
                (wanted, own)
            })
            .collect();
        match (interval, aggregator["order"].as_str()) {
            (Some(_), Some("descending")) => groups.reverse(),
            (None, Some("ascending")) => groups.sort_by_key(|(_, own)| own.len()),
            (None, _) => groups.sort_by_key(|(_, own)| usize::MAX - own.len()),
            _ => {}
        }
        let shown = aggregator["limit"].as_u64().map_or(groups.len(), |limit| limit as usize);
        let groups: Vec<Value> =
            groups.iter().take(shown).map(|(key, own)| json!({key: group(aggregator, own)})).collect();
        match interval {
            Some(Value::String(calendar)) => json!({format!("time_series_{calendar}"): groups}),
            Some(minutes) => json!({format!("time_series_{minutes}m"): groups}),
            None => json!({aggregator["dimension"].as_str().unwrap(): groups}),
        }
    }

    fn group(aggregator: &Value, own: &[&Exchange]) -> Value {
        let mut group = json!({"count": own.len()});
        if aggregator["metrics"] == json!(["latency", "request_size"]) {
            let mut rollup = Rollup::default();
            own.iter().for_each(|exchange| rollup.record(&exchange.measurement));
            group["latency_ms"] = latency_json(&rollup);
            let sum: u64 = own.iter().map(|exchange| exchange.measurement.request_bytes).sum();
            let mean = (sum as f64 / own.len() as f64 * 1000.0).round() / 1000.0;
            group["request_size"] = json!({"sum": sum, "mean": mean});
        }
        if let Some(inner) = aggregator.get("aggregators") {
            group["aggregations"] = level(inner, own);
        }
        group
    }
}

fn any_exchange() -> impl Strategy<Value = Exchange> {
    let labels = (
        prop::sample::select(vec!["a", "b", "7"]),
        prop::sample::select(vec![200, 201, 404, 429, 500]),
        prop::sample::select(vec!["GET", "POST"]),
        prop::option::of(prop::sample::select(vec!["quota", "token"])),
    );
    (labels, -100i64..1600, 0u64..2_000_000, 0u64..1000).prop_map(
        |((api, status, method, policy), minute, total_micros, request_bytes)| {
            let mut exchange = exchange(minute, status, api);
            exchange.series.method = method.into();
            exchange.series.policy = policy.map(Arc::from);
            exchange.measurement = Measurement { total_micros, request_bytes, ..exchange.measurement };
            exchange
        },
    )
}

/// Nested aggregators over as many of `dimensions` as are left, with a time interval at any depth.
fn any_aggregators(dimensions: Vec<&'static str>, interval: bool, depth: usize) -> BoxedStrategy<Value> {
    let mut by: Vec<Option<&'static str>> = dimensions.iter().copied().map(Some).collect();
    if interval {
        by.push(None);
    }
    let one = (
        prop::sample::select(by),
        prop::sample::select(vec![json!(1), json!(7), json!(60), json!(1440), json!("week"), json!("month")]),
        prop::option::of(prop::sample::select(vec!["ascending", "descending"])),
        prop::option::of(1u64..4),
        any::<bool>(),
    )
        .prop_flat_map(move |(by, minutes, order, limit, metrics)| {
            let mut aggregator = match by {
                Some(name) => json!({"dimension": name}),
                None => json!({"time_interval": minutes}),
            };
            order.into_iter().for_each(|order| aggregator["order"] = json!(order));
            limit.into_iter().for_each(|limit| aggregator["limit"] = json!(limit));
            if metrics {
                aggregator["metrics"] = json!(["latency", "request_size"]);
            }
            let left = dimensions.iter().copied().filter(|name| Some(*name) != by).collect();
            let inner = match depth {
                1 => Just(None).boxed(),
                _ => prop::option::of(any_aggregators(left, interval && by.is_some(), depth - 1)).boxed(),
            };
            inner.prop_map(move |inner| {
                let mut aggregator = aggregator.clone();
                inner.into_iter().for_each(|inner| aggregator["aggregators"] = inner);
                aggregator
            })
        });
    prop::collection::vec(one, 1..3).prop_map(Value::from).boxed()
}

fn any_condition() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({"equals": {"status_code": 200}}),
        json!({"equals": {"api_id": 7}}),
        json!({"equals": {"method": "GET"}}),
        json!({"not": {"status_code": "404"}}),
        json!({"not": {"policy": "quota"}}),
        json!({"in": {"api_id": ["a", 7]}}),
        json!({"range": {"status_code": {"from": 400, "to": 499}}}),
        json!({"range": {"api_id": {"from": 1, "to": 9}}}),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn an_answer_is_what_going_through_all_exchanges_gives(
        exchanges in prop::collection::vec(any_exchange(), 0..60),
        aggregators in any_aggregators(vec!["api_id", "status_code", "method", "policy", "request_disposition"], true, 4),
        filters in prop::collection::vec(prop::collection::vec(any_condition(), 1..4).prop_map(|any| json!({"or": any})), 0..3),
        include_policy_violation in any::<bool>(),
    ) {
        let mut body = query(aggregators);
        body["filters"] = filters.into();
        body["include_policy_violation"] = include_policy_violation.into();
        prop_assert_eq!(&ask(&body, &exchanges)["response"], &slowly::answer(&body, &exchanges));
    }
}
