use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::query::arguments::Flags;
use crate::query::question::Question;

const PLAIN: Page = Page { width: 80, blocks: false, colour: false };
const TERMINAL: Page = Page { width: 60, blocks: true, colour: false };

fn drawn(flags: &Flags, response: Value, page: Page) -> String {
    let now: Timestamp = "2026-03-17T00:00:00Z".parse().unwrap();
    let question = Question::new(flags, now).unwrap();
    let answer = json!({
        "success": true, "error": null, "response": response,
        "include_policy_violation": !flags.without_policy_violations,
        "start_time": "2026-03-16T00:00:00.000Z", "end_time": "2026-03-17T00:00:00.000Z",
    });
    text(&Answer::read(&answer, &question.chains).unwrap(), &question.chains, page)
}

fn by(names: &[&str]) -> Flags {
    Flags { by: names.iter().map(|name| (*name).to_owned()).collect(), ..Flags::default() }
}

fn count(count: u64) -> Value {
    json!({ "count": count })
}

fn latency(count: u64, mean: f64) -> Value {
    json!({"count": count, "latency_ms":
        {"mean": mean, "p50": 0.5, "p90": 9.25, "p95": 99.96, "p99": 1234.5, "max": 12_345.678}})
}

#[test]
fn dimensions_are_nested() {
    let split = |whole: u64, get: u64| {
        json!({"count": whole, "aggregations":
            [{"method": [{"GET": count(get)}, {"\u{1b}[2J\u{202e}": count(whole - get)}]}]})
    };
    let response = json!([{"status_code": [{"200": split(1_204_000, 1_000_000)}, {"404": split(90, 60)},
        {"503": split(20, 19)}]}]);
    insta::assert_snapshot!("nested", drawn(&by(&["status_code,method"]), response.clone(), PLAIN));
    insta::assert_snapshot!("nested_on_a_terminal", drawn(&by(&["status_code,method"]), response, TERMINAL));
}

#[test]
fn what_is_beside_has_a_table_of_its_own() {
    let flags = Flags { limit: Some(2), without_policy_violations: true, ..by(&["client_id", "method"]) };
    let long = "a very long name of an application that nobody would have given to it on purpose";
    let response =
        json!([{"client_id": [{"_na_": count(5)}, {long: count(5)}]}, {"method": [{"GET": count(10)}]}]);
    insta::assert_snapshot!("siblings", drawn(&flags, response, PLAIN));
}

#[test]
fn a_time_series_shows_what_is_missing() {
    let flags = Flags { every: Some("1h".into()), latency: true, sizes: true, ..Flags::default() };
    let with_sizes = |mut figures: Value| {
        figures["request_size"] = json!({"sum": 0, "mean": 0.0});
        figures["response_size"] = json!({"sum": 999_960, "mean": 333.3});
        figures
    };
    let response = json!([{"time_series_60m": [
        {"2026-03-16T01:00:00.000Z": with_sizes(latency(40, 0.123))},
        {"2026-03-16T02:00:00.000Z": with_sizes(latency(20, 7.0))},
        {"2026-03-16T05:00:00.000Z": with_sizes(latency(1, 70.0))}]}]);
    insta::assert_snapshot!("time_series", drawn(&flags, response, Page { width: 120, ..PLAIN }));
}

#[test]
fn a_time_series_that_is_split_has_a_column_for_each_label() {
    let flags = Flags { every: Some("1d".into()), ..by(&["resource_path"]) };
    let paths = |counts: &[u64]| -> Value {
        let groups = counts.iter().enumerate().filter(|(_, of_path)| **of_path > 0);
        let groups: Vec<Value> =
            groups.map(|(number, of_path)| json!({format!("/route/{number}"): count(*of_path)})).collect();
        json!({"count": counts.iter().sum::<u64>(), "aggregations": [{"resource_path": groups}]})
    };
    let response = json!([{"time_series_1440m": [{"2026-03-14T00:00:00.000Z": paths(&[0, 4, 0, 7])},
        {"2026-03-16T00:00:00.000Z": paths(&[1000, 3, 20, 0, 1, 1, 1])}]}]);
    insta::assert_snapshot!("columns", drawn(&flags, response, TERMINAL));
}

#[test]
fn a_split_time_series_with_latency_keeps_its_rows() {
    let flags = Flags { every: Some("1h".into()), latency: true, ..by(&["status_code"]) };
    let mut bucket = latency(3, 1.0);
    bucket["aggregations"] = json!([{"status_code": [{"200": latency(2, 1.0)}, {"500": latency(1, 1.0)}]}]);
    let response = json!([{"time_series_60m": [{"2026-03-16T23:00:00.000Z": bucket}]}]);
    insta::assert_snapshot!("rows_with_latency", drawn(&flags, response, Page { width: 100, ..TERMINAL }));
}

#[test]
fn bars_have_the_colour_of_their_status() {
    let response = json!([{"status_code": [{"200": count(8)}, {"404": count(1)}, {"503": count(1)}]}]);
    let text = drawn(&by(&["status_code"]), response, Page { colour: true, ..TERMINAL });
    let bars: Vec<&str> =
        text.lines().filter_map(|line| line.split_once('\u{1b}')).map(|(_, bar)| &bar[..4]).collect();
    assert_eq!(bars, ["[1ms", "[32m", "[33m", "[31m"]);
}

#[test]
fn figures_are_short() {
    assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    assert_eq!(
        [0.5, 1.0, 9.994, 10.0, 99.94, 1234.5].map(milliseconds),
        ["0.500", "1.00", "9.99", "10.0", "99.9", "1,235"]
    );
    assert_eq!(
        [0.0, 999.4, 1000.0, 999_960.0, 2.5e9].map(bytes),
        ["0 B", "999 B", "1.0 kB", "1.0 MB", "2.5 GB"]
    );
    assert_eq!(
        [percent(0, 9), percent(1, 10_000), percent(1, 3), percent(3, 3)],
        ["0.0 %", "<0.1 %", "33.3 %", "100.0 %"]
    );
}

#[test]
fn an_answer_to_another_question_is_none() {
    let question = Question::new(&by(&["method,status_code"]), Timestamp::UNIX_EPOCH).unwrap();
    let read = |response: Value| {
        let answer = json!({"response": response, "include_policy_violation": true,
            "start_time": "2026-03-16T00:00:00Z", "end_time": "2026-03-16T00:00:00Z"});
        Answer::read(&answer, &question.chains)
    };
    assert!(read(json!([{"method": []}])).unwrap().is_empty());
    for (response, fault) in [
        (json!([]), "there is nothing for method"),
        (json!([{"api_id": []}]), "there is nothing for method"),
        (json!([{"method": [{"GET": count(1)}]}]), "there is nothing for status_code"),
        (json!([{"method": [{"GET": count(1), "PUT": count(1)}]}]), "exactly one member"),
        (json!([{"method": [{"GET": {"count": -1}}]}]), "invalid value"),
    ] {
        let found = read(response).unwrap_err();
        assert!(found.contains(fault), "{found}");
    }
}
