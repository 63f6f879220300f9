use std::sync::Arc;

use super::*;
use crate::bucket::Minute;
use crate::exchange::Measurement;
use crate::query::assemble;
use crate::store::{Figures, Group};

fn now() -> Timestamp {
    "2026-03-16T18:20:30Z".parse().unwrap()
}

fn group(labels: &[&str], count: u64, total_micros: u64) -> Group {
    let mut rollup = Rollup::default();
    for _ in 0..count {
        rollup.record(&Measurement { total_micros, ..Measurement::default() });
    }
    Group { key: labels.iter().map(|label| GroupKey::Label(Arc::from(*label))).collect(), count, rollup }
}

fn selected(groups: Vec<Group>) -> Selected {
    Selected { groups, range: last_minutes(60, now()) }
}

#[test]
fn parameters_have_defaults_and_are_read() {
    assert_eq!(Details::parse([]).unwrap(), Details::default());
    let details = Details::parse([
        ("interval", "5"),
        ("duration", "2d"),
        ("by", "method, status_code"),
        ("include_policy_violation", "false"),
    ]);
    let expected = Details {
        interval_minutes: 5,
        duration_minutes: 2880,
        by: vec![Dimension::Method, Dimension::StatusCode],
        include_policy_violation: false,
    };
    assert_eq!(details.unwrap(), expected);
    assert_eq!(Details::parse([("by", "")]).unwrap().by, []);
}

#[test]
fn a_bad_parameter_is_named_with_how_to_mend_it() {
    let check = |parameters: &[(&str, &str)], code: FaultCode, path: &str, message: &str| {
        let fault = Details::parse(parameters.iter().copied()).unwrap_err();
        assert_eq!((fault.code(), fault.path()), (code, path), "{fault}");
        assert!(fault.message().contains(message), "{fault}");
    };
    check(&[("interval", "0")], FaultCode::OutOfRange, "interval", "from 1 to 43200");
    check(&[("interval", "1h")], FaultCode::OutOfRange, "interval", "found \"1h\"");
    check(&[("interval", "43201")], FaultCode::OutOfRange, "interval", "43200");
    check(&[("interval", "1"), ("duration", "90d")], FaultCode::OutOfRange, "interval", "use 3 or more");
    check(&[("duration", "1w")], FaultCode::BadValue, "duration", "such as 24h");
    check(&[("duration", "5000d")], FaultCode::OutOfRange, "duration", "1830d");
    check(&[("by", "method,status")], FaultCode::UnknownValue, "by", "\"status\" is no dimension");
    check(&[("by", "method,method")], FaultCode::Conflict, "by", "twice");
    check(&[("by", "method,")], FaultCode::UnknownValue, "by", "use one of");
    check(
        &[("include_policy_violation", "1")],
        FaultCode::BadValue,
        "include_policy_violation",
        "true or false",
    );
    check(&[("intervals", "5")], FaultCode::UnknownKey, "intervals", "did you mean `interval`?");
    check(&[("interval", "5"), ("interval", "6")], FaultCode::Conflict, "interval", "keep one");
}

#[test]
fn the_time_series_is_split_side_by_side() {
    let details = Details { by: vec![Dimension::Method, Dimension::ClientId], ..Details::default() };
    let query = details.query(Some("polls"), now());
    let groups: Vec<Vec<GroupBy>> =
        query.plan().selections.into_iter().map(|selection| selection.group_by).collect();
    let expected = [Dimension::Method, Dimension::ClientId]
        .map(|by| vec![GroupBy::Interval(60), GroupBy::Dimension(by)]);
    assert_eq!(groups, expected);
    assert_eq!(query.range().start, Minute::of("2026-03-15T18:20:00Z".parse().unwrap()));
    assert_eq!(query.range().end, Minute::of("2026-03-16T18:21:00Z".parse().unwrap()));
    let polls = Condition::Equals(Dimension::Api, "polls".into());
    assert_eq!(*query.filter(), Filter::everything().and(polls));
}

#[test]
fn a_time_series_that_is_not_split_has_counts_alone() {
    let details = Details { by: Vec::new(), ..Details::default() };
    let query = details.query(None, now());
    let bucket = GroupKey::Bucket(Minute::of("2026-03-16T18:00:00Z".parse().unwrap()));
    let group = Group { key: vec![bucket], count: 3, rollup: Rollup::default() };
    let expected = json!([{"time_series_60m": [{"2026-03-16T18:00:00.000Z": {"count": 3}}]}]);
    assert_eq!(assemble(&query, &[selected(vec![group])]), expected);
}

#[test]
fn policy_violations_are_left_out_of_everything_on_demand() {
    let details = Details { include_policy_violation: false, ..Details::default() };
    let processed = Condition::Equals(Dimension::RequestDisposition, "processed".into());
    assert_eq!(details.filter(None), Filter::everything().and(processed));
    assert_eq!(*details.query(None, now()).filter(), details.filter(None));
}

#[test]
fn a_summary_counts_every_exchange_once_by_status_and_policy_violations_besides() {
    let summary = Summary::of(&selected(vec![
        group(&["200", "processed", "nobody"], 4, 1000),
        group(&["200", "processed", "client"], 1, 1000),
        group(&["302", "processed", "nobody"], 1, 1000),
        group(&["399", "policy_violation", "nobody"], 1, 1000),
        group(&["400", "processed", "client"], 1, 1000),
        group(&["404", "processed", "upstream"], 1, 1000),
        group(&["429", "policy_violation", "client"], 3, 1000),
        group(&["499", "processed", "client"], 1, 1000),
        group(&["500", "processed", "upstream"], 4, 9000),
        group(&["503", "policy_violation", "client"], 1, 1000),
    ]));
    assert_eq!(summary.requests, 18);
    assert_eq!((summary.success, summary.client_error, summary.server_error), (7, 6, 5));
    assert_eq!(summary.policy_violation, 5);
    let json = summary.to_json();
    assert_eq!(json["requests"], 18);
    assert_eq!(json["latency_ms"]["mean"], 2.778);
    assert_eq!(json["latency_ms"]["max"], 9.0);
}

#[test]
fn an_answer_that_the_serving_side_broke_off_is_a_server_error() {
    let summary = Summary::of(&selected(vec![
        group(&["200", "processed", "client"], 1, 1000),
        group(&["200", "processed", "gateway"], 2, 1000),
        group(&["200", "processed", "nobody"], 4, 1000),
        group(&["206", "processed", "upstream"], 8, 1000),
    ]));
    assert_eq!((summary.success, summary.client_error, summary.server_error), (5, 0, 10));
    assert_eq!(summary.requests, 15);
}

#[test]
fn a_summary_of_nothing_has_zeros_and_nulls() {
    let expected = json!({
        "requests": 0, "success": 0, "client_error": 0, "server_error": 0, "policy_violation": 0,
        "latency_ms": {"mean": null, "p50": null, "p90": null, "p95": null, "p99": null, "max": null},
    });
    assert_eq!(Summary::of(&selected(Vec::new())).to_json(), expected);
}

#[test]
fn the_busiest_apps_come_first_and_equals_by_name() {
    let apps = selected(vec![
        group(&["_na_"], 2, 1000),
        group(&["app-a"], 2, 1000),
        group(&["app-b"], 7, 1000),
        group(&["app-c"], 1, 1000),
    ]);
    let top = top_apps(&apps, 3);
    let names: Vec<&str> =
        top.as_array().unwrap().iter().map(|app| app["client_id"].as_str().unwrap()).collect();
    assert_eq!(names, ["app-b", "_na_", "app-a"]);
    assert_eq!(top[0]["count"], 7);
    assert_eq!(top[0]["latency_ms"]["p50"], 1.0);
}

#[test]
fn the_selections_ask_for_what_their_readers_expect() {
    let range = last_minutes(60, now());
    let selection = Summary::selection(range, Filter::everything());
    assert_eq!(
        (selection.range, selection.group_by.len(), selection.figures),
        (range, 3, Figures::Percentiles)
    );
    let selection = top_apps_selection(range, Filter::everything());
    assert_eq!(selection.group_by, [GroupBy::Dimension(Dimension::ClientId)]);
    assert_eq!(selection.figures, Figures::Percentiles);
}
