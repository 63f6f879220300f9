use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::bucket::Minute;
use crate::query::MAX_FILTER_VALUES;
use crate::store::{AnyOf, Condition, Figures, Filter};

const NOW: &str = "2024-03-19T20:00:30Z";

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn parse(body: &Value) -> Result<Query, Fault> {
    Query::parse(body, at(NOW))
}

fn minute(time: &str) -> Minute {
    Minute::of(at(time))
}

/// The request that the source of the language shows.
fn source_example() -> Value {
    json!({
        "type": "enriched-http-event",
        "aggregators": [{"time_interval": 60, "aggregators": [{"dimension": "status_code"}]}],
        "duration": "1440m",
        "filters": [{"or": [{"equals": {"api_version_id": 665_885}}]}],
        "start_time": "2024-03-18T19:25:14.589Z",
        "include_policy_violation": true
    })
}

#[test]
fn the_example_of_the_source_is_understood() {
    let query = Query::parse_bytes(source_example().to_string().as_bytes(), at(NOW)).unwrap();
    assert_eq!(query.range().start, minute("2024-03-18T19:25:00Z"));
    assert_eq!(query.range().end, minute("2024-03-19T19:26:00Z"));
    assert!(query.include_policy_violation);
    let selections = query.plan().selections;
    assert_eq!(selections.len(), 1);
    assert_eq!(selections[0].group_by, [GroupBy::Interval(60), GroupBy::Dimension(Dimension::StatusCode)]);
    assert_eq!(
        selections[0].filter,
        Filter::everything().and(Condition::Equals(Dimension::ApiVersion, "665885".into()))
    );
    assert_eq!(selections[0].figures, Figures::Counts);
}

#[test]
fn what_is_left_out_has_a_default() {
    let query = parse(&json!({"aggregators": [{"dimension": "method"}]})).unwrap();
    assert_eq!(query.range().start, minute("2024-03-18T20:00:00Z"));
    assert_eq!(query.range().end, minute("2024-03-19T20:01:00Z"));
    assert!(query.include_policy_violation);
    assert_eq!(*query.filter(), Filter::everything());
}

#[test]
fn a_number_and_its_text_are_the_same_value() {
    let mut body = source_example();
    let with_number = parse(&body).unwrap();
    body["filters"][0]["or"][0]["equals"]["api_version_id"] = json!("665885");
    assert_eq!(parse(&body).unwrap(), with_number);
}

#[test]
fn policy_violations_can_be_left_out() {
    let mut body = source_example();
    body["include_policy_violation"] = json!(false);
    let query = parse(&body).unwrap();
    assert!(!query.include_policy_violation);
    let processed = Condition::Equals(Dimension::RequestDisposition, "processed".into());
    assert_eq!(query.filter().all.last().unwrap().any, [processed]);
}

#[test]
fn every_condition_is_understood() {
    let check = |condition: Value, expected: Condition| {
        let query = parse(&json!({
            "aggregators": [{"dimension": "method"}],
            "filters": [{"or": [condition, {"equals": {"method": "GET"}}]}],
        }))
        .unwrap();
        let get = Condition::Equals(Dimension::Method, "GET".into());
        assert_eq!(query.filter().all, [AnyOf { any: vec![expected, get] }]);
    };
    check(json!({"equals": {"client_id": "app"}}), Condition::Equals(Dimension::ClientId, "app".into()));
    check(json!({"not": {"status_code": 404}}), Condition::NotEquals(Dimension::StatusCode, "404".into()));
    check(
        json!({"in": {"api_id": ["polls", 7]}}),
        Condition::In(Dimension::Api, vec!["polls".into(), "7".into()]),
    );
    check(
        json!({"range": {"status_code": {"from": 500, "to": "599"}}}),
        Condition::Range(Dimension::StatusCode, Some(500), Some(599)),
    );
    check(
        json!({"range": {"status_code": {"to": 399}}}),
        Condition::Range(Dimension::StatusCode, None, Some(399)),
    );
    check(
        json!({"equals": {"failed_by": "upstream"}}),
        Condition::Equals(Dimension::FailedBy, "upstream".into()),
    );
}

#[test]
fn durations_are_minutes_hours_or_days() {
    let check =
        |text: &str, expected| assert_eq!(parse_duration(text).map_err(|(code, _)| code), expected, "{text}");
    check("1m", Ok(1));
    check("1440m", Ok(1440));
    check("24h", Ok(1440));
    check("20d", Ok(28_800));
    check("1830d", Ok(MAX_DURATION_MINUTES));
    check("1831d", Err(FaultCode::OutOfRange));
    check("0h", Err(FaultCode::OutOfRange));
    check("99999999999999999999999h", Err(FaultCode::OutOfRange));
    for text in ["", "h", "24", "24 h", "-1h", "+1h", "1.5h", "24H", "1w", "1h30m", "٣h", "1ü"] {
        check(text, Err(FaultCode::BadValue));
    }
}

/// A good query with `key` set to `value`.
fn with(key: &str, value: Value) -> Value {
    let mut body = source_example();
    body[key] = value;
    body
}

fn aggregator(aggregator: Value) -> Value {
    with("aggregators", json!([aggregator]))
}

fn filter(filter: Value) -> Value {
    with("filters", json!([filter]))
}

fn condition(condition: Value) -> Value {
    filter(json!({"or": [condition]}))
}

fn check_fault(body: Value, code: FaultCode, path: &str, message: &str) {
    let fault = parse(&body).expect_err(path);
    assert_eq!((fault.code(), fault.path()), (code, path), "{fault}");
    assert!(fault.message().contains(message), "{fault}");
}

#[test]
fn a_fault_of_the_whole_query_names_the_element_and_how_to_mend_it() {
    use FaultCode::*;
    let check = check_fault;

    check(json!([]), WrongType, "body", "must be an object, found a list");
    check(json!(null), WrongType, "body", "found null");
    check(with("durations", json!("1h")), UnknownKey, "durations", "did you mean `duration`?");
    check(with("colour", json!(1)), UnknownKey, "colour", "use one of `type`, `aggregators`");
    check(with("type", json!("http-event")), UnknownValue, "type", "`enriched-http-event`");
    check(with("type", json!(1)), WrongType, "type", "found the number 1");
    check(json!({}), Missing, "aggregators", "is missing");
    check(with("duration", json!(60)), WrongType, "duration", "must be a text, found the number 60");
    check(with("duration", json!("1w")), BadValue, "duration", "such as 24h; found \"1w\"");
    check(with("duration", json!("9999d")), OutOfRange, "duration", "from 1m to 1830d");
    check(with("start_time", json!("yesterday")), BadValue, "start_time", "RFC 3339");
    check(with("start_time", json!("2024-03-18T19:25:14")), BadValue, "start_time", "RFC 3339");
    check(with("start_time", json!(null)), WrongType, "start_time", "leave the key out");
    check(
        with("include_policy_violation", json!("no")),
        WrongType,
        "include_policy_violation",
        "true or false",
    );
}

#[test]
fn a_fault_of_an_aggregator_names_the_element_and_how_to_mend_it() {
    use FaultCode::*;
    let check = check_fault;

    let nested = |inner: Value| {
        aggregator(json!({"dimension": "api_id", "aggregators": [{"dimension": "method"}, inner]}))
    };

    check(with("aggregators", json!({})), WrongType, "aggregators", "must be a list");
    check(with("aggregators", json!([])), Missing, "aggregators", "at least one");
    check(aggregator(json!("status_code")), WrongType, "aggregators[0]", "found the text \"status_code\"");
    check(aggregator(json!({})), Missing, "aggregators[0]", "needs a `time_interval`");
    check(
        aggregator(json!({"time_interval": 60, "dimension": "method"})),
        Conflict,
        "aggregators[0]",
        "keep one",
    );
    check(
        aggregator(json!({"time_intervall": 60})),
        UnknownKey,
        "aggregators[0].time_intervall",
        "`time_interval`?",
    );
    check(
        nested(json!({"dimension": "metod"})),
        UnknownValue,
        "aggregators[0].aggregators[1].dimension",
        "`method`?",
    );
    check(
        nested(json!({"dimension": "api_id"})),
        Conflict,
        "aggregators[0].aggregators[1].dimension",
        "outer",
    );
    check(
        nested(json!({"time_interval": "60"})),
        WrongType,
        "aggregators[0].aggregators[1].time_interval",
        "from 1 to 43200",
    );
    check(
        aggregator(json!({"time_interval": 0})),
        OutOfRange,
        "aggregators[0].time_interval",
        "found the number 0",
    );
    check(
        aggregator(json!({"time_interval": 1.5})),
        OutOfRange,
        "aggregators[0].time_interval",
        "found the number 1.5",
    );
    check(aggregator(json!({"time_interval": 43_201})), OutOfRange, "aggregators[0].time_interval", "43200");
    for inner in [60, 45, 120] {
        check(
            aggregator(json!({"time_interval": 60, "aggregators": [{"time_interval": inner}]})),
            Conflict,
            "aggregators[0].aggregators[0].time_interval",
            "divisor of 60",
        );
    }
    let mut long = aggregator(json!({"time_interval": 1}));
    long["duration"] = json!("50000m");
    parse(&long).unwrap();
    long["duration"] = json!("50001m");
    check(long, OutOfRange, "aggregators[0].time_interval", "use 2 or more");
}

#[test]
fn a_fault_of_what_is_shown_names_the_element_and_how_to_mend_it() {
    use FaultCode::*;
    let check = check_fault;

    check(
        aggregator(json!({"dimension": "method", "order": "desc"})),
        UnknownValue,
        "aggregators[0].order",
        "`descending`",
    );
    check(
        aggregator(json!({"dimension": "method", "limit": 0})),
        OutOfRange,
        "aggregators[0].limit",
        "from 1 to 10000",
    );
    check(
        aggregator(json!({"dimension": "method", "limit": 10_001})),
        OutOfRange,
        "aggregators[0].limit",
        "10000",
    );
    check(
        aggregator(json!({"dimension": "method", "metrics": "latency"})),
        WrongType,
        "aggregators[0].metrics",
        "a list",
    );
    check(
        aggregator(json!({"dimension": "method", "metrics": ["latency", "latencies"]})),
        UnknownValue,
        "aggregators[0].metrics[1]",
        "use one of `latency`",
    );
    check(
        aggregator(json!({"dimension": "method", "aggregators": []})),
        Missing,
        "aggregators[0].aggregators",
        "leave an inner list out",
    );
}

#[test]
fn a_fault_of_a_filter_names_the_element_and_how_to_mend_it() {
    use FaultCode::*;
    let check = check_fault;

    check(with("filters", json!({})), WrongType, "filters", "a list");
    check(filter(json!({})), Missing, "filters[0]", "exactly one key");
    check(filter(json!({"or": [], "and": []})), Conflict, "filters[0]", "found 2");
    check(filter(json!({"and": []})), UnknownKey, "filters[0].and", "`or` only");
    check(
        filter(json!({"equals": {"method": "GET"}})),
        UnknownKey,
        "filters[0].equals",
        "{\"or\": [{\"equals\": …}]}",
    );
    check(filter(json!({"or": {}})), WrongType, "filters[0].or", "a list");
    check(filter(json!({"or": []})), Missing, "filters[0].or", "let nothing through");
    check(condition(json!({"equal": {"method": "GET"}})), UnknownKey, "filters[0].or[0].equal", "`equals`?");
    check(condition(json!({"equals": {}})), Missing, "filters[0].or[0].equals", "exactly one key");
    check(
        condition(json!({"equals": {"method": "GET", "status_code": 1}})),
        Conflict,
        "filters[0].or[0].equals",
        "found 2",
    );
    check(
        condition(json!({"equals": {"api": "x"}})),
        UnknownKey,
        "filters[0].or[0].equals.api",
        "no such dimension",
    );
    check(
        condition(json!({"equals": {"method": null}})),
        WrongType,
        "filters[0].or[0].equals.method",
        "found null",
    );
    check(
        condition(json!({"equals": {"api_version_id": 1.10}})),
        BadValue,
        "filters[0].or[0].equals.api_version_id",
        "in quotes",
    );
    check(
        condition(json!({"not": {"request_disposition": "refused"}})),
        UnknownValue,
        "filters[0].or[0].not.request_disposition",
        "use one of `processed`",
    );
    check(
        condition(json!({"equals": {"failed_by": "upstreams"}})),
        UnknownValue,
        "filters[0].or[0].equals.failed_by",
        "`upstream`?",
    );
    check(condition(json!({"in": {"method": "GET"}})), WrongType, "filters[0].or[0].in.method", "a list");
    check(condition(json!({"in": {"method": []}})), Missing, "filters[0].or[0].in.method", "name the values");
    check(
        condition(json!({"in": {"method": ["GET", true]}})),
        WrongType,
        "filters[0].or[0].in.method[1]",
        "found true",
    );
    check(
        condition(json!({"range": {"method": {"from": 1}}})),
        Conflict,
        "filters[0].or[0].range.method",
        "use `in`",
    );
    check(
        condition(json!({"range": {"status_code": {}}})),
        Missing,
        "filters[0].or[0].range.status_code",
        "`from`, `to`",
    );
    check(
        condition(json!({"range": {"status_code": {"min": 1}}})),
        UnknownKey,
        "filters[0].or[0].range.status_code.min",
        "`from`",
    );
    check(
        condition(json!({"range": {"status_code": {"from": "x"}}})),
        BadValue,
        "filters[0].or[0].range.status_code.from",
        "whole number",
    );
    check(
        condition(json!({"range": {"status_code": {"from": 2, "to": 1}}})),
        Conflict,
        "filters[0].or[0].range.status_code",
        "swap",
    );
}

#[test]
fn a_query_has_bounds() {
    let nest = |depth: usize| {
        ["method", "status_code", "api_id", "client_id", "policy"][..depth].iter().rev().fold(
            Value::Null,
            |inner, name| {
                let mut aggregator = json!({"dimension": name});
                if !inner.is_null() {
                    aggregator["aggregators"] = json!([inner]);
                }
                aggregator
            },
        )
    };
    parse(&aggregator(nest(MAX_DEPTH))).unwrap();
    let fault = parse(&aggregator(nest(MAX_DEPTH + 1))).unwrap_err();
    assert_eq!(fault.code(), FaultCode::TooDeep);
    assert_eq!(fault.path(), "aggregators[0].aggregators[0].aggregators[0].aggregators[0].aggregators");

    let siblings = |count: usize| with("aggregators", vec![json!({"dimension": "method"}); count].into());
    parse(&siblings(MAX_AGGREGATORS)).unwrap();
    let fault = parse(&siblings(MAX_AGGREGATORS + 1)).unwrap_err();
    assert_eq!((fault.code(), fault.path()), (FaultCode::TooMany, "aggregators[32]"));

    let values = |count: usize| {
        with(
            "filters",
            json!([{"or": [{"equals": {"method": "GET"}}, {"in": {"client_id": vec!["app"; count]}}]}]),
        )
    };
    parse(&values(MAX_FILTER_VALUES - 1)).unwrap();
    let fault = parse(&values(MAX_FILTER_VALUES)).unwrap_err();
    assert_eq!((fault.code(), fault.path()), (FaultCode::TooMany, "filters[0].or[1].in.client_id[999]"));
}

#[test]
fn a_body_that_is_no_json_is_refused_with_line_and_column() {
    let check = |body: &[u8], message: &str| {
        let fault = Query::parse_bytes(body, at(NOW)).unwrap_err();
        assert_eq!((fault.code(), fault.path()), (FaultCode::MalformedJson, "body"));
        assert!(fault.message().contains(message), "{fault}");
    };
    check(b"{\n  \"type\": oops}", "line 2 column 11");
    check(b"{", "line 1 column 1");
    check(b"{\"type\": \"\xff\"}", "line 1");
    check(b" \n", "the body is empty");
    check("[".repeat(100_000).as_bytes(), "recursion limit");
}

#[test]
fn long_keys_and_texts_of_a_caller_are_cut_in_the_answer() {
    let long = "x".repeat(10_000);
    for body in [with(&long, json!(1)), with("type", json!(long)), condition(json!({"equals": {&long: 1}}))] {
        let fault = parse(&body).unwrap_err();
        assert!(fault.answer().to_string().len() < 500, "{fault}");
    }
}

#[test]
fn the_answer_to_a_bad_query_names_the_element() {
    let fault = parse(&json!({})).unwrap_err();
    let answer = fault.answer();
    assert_eq!(answer["success"], false);
    assert_eq!(answer["error"]["code"], "missing");
    assert_eq!(answer["error"]["path"], "aggregators");
    assert_eq!(answer["error"]["message"], fault.message());
    assert_eq!(answer["response"], json!([]));
}

#[test]
fn a_window_at_the_end_of_time_is_no_fault() {
    for start in ["9999-12-30T00:00:00Z", "0000-01-01T00:00:00Z", "-009999-01-02T01:59:59Z"] {
        let mut body = with("start_time", json!(start));
        body["duration"] = json!("1830d");
        assert!(!parse(&body).unwrap().range().is_empty(), "{start}");
    }
}

/// JSON made of the words of the language, so that much of it comes close to a query.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "type",
        "aggregators",
        "duration",
        "start_time",
        "filters",
        "include_policy_violation",
        "time_interval",
        "dimension",
        "order",
        "limit",
        "metrics",
        "or",
        "equals",
        "in",
        "not",
        "range",
        "from",
        "to",
        "status_code",
        "method",
        "latency",
        "enriched-http-event",
        "24h",
        "descending",
        "2024-03-18T19:25:14Z",
        "ü\u{1F600}",
    ]);
    let leaf = prop_oneof![
        word.clone().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0i64..100).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        "\\PC{0,60}".prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(6, 64, 4, move |inner| {
        let key = prop_oneof![9 => word.clone().prop_map(str::to_owned), 1 => "\\PC{0,60}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_understood_or_refused(body in any_json(), key in "type|aggregators|duration|start_time|filters|include_policy_violation", now in -100_000_000_000i64..100_000_000_000) {
        let now = Timestamp::from_second(now).unwrap();
        for body in [body.clone(), with(&key, body.clone()), aggregator(body.clone()), condition(body)] {
            match Query::parse(&body, now) {
                Ok(query) => prop_assert!(!query.plan().selections.is_empty()),
                Err(fault) => prop_assert!(!fault.path().is_empty() && !fault.message().is_empty()),
            }
        }
    }

    #[test]
    fn any_bytes_are_understood_or_refused(body in prop::collection::vec(any::<u8>(), 0..100)) {
        if let Err(fault) = Query::parse_bytes(&body, at(NOW)) {
            prop_assert!(!fault.message().is_empty());
        }
    }
}

#[test]
fn a_key_that_is_there_twice_is_told_and_where() {
    let body = b"{\"aggregators\": [],\n \"aggregators\": [{\"dimension\": \"method\"}]}";
    let fault = Query::parse_bytes(body, at(NOW)).unwrap_err();
    assert_eq!((fault.code(), fault.path()), (FaultCode::Conflict, "body"));
    assert!(fault.message().contains("the key \"aggregators\" is there twice"), "{fault}");
    assert!(fault.message().contains("line 2"), "{fault}");
}

#[test]
fn weeks_and_months_are_of_the_calendar() {
    let parsed = |aggregators: Value| parse(&json!({"aggregators": aggregators}));
    let month =
        parsed(json!([{"time_interval": "month", "aggregators": [{"time_interval": 1440}]}])).unwrap();
    let expected = [GroupBy::Calendar(Calendar::Month), GroupBy::Interval(1440)];
    assert_eq!(month.plan().selections[0].group_by, expected);
    for (aggregators, code, path) in [
        (json!([{"time_interval": "year"}]), FaultCode::UnknownValue, "aggregators[0].time_interval"),
        (
            json!([{"time_interval": "week", "aggregators": [{"time_interval": 2880}]}]),
            FaultCode::Conflict,
            "aggregators[0].aggregators[0].time_interval",
        ),
        (
            json!([{"time_interval": "month", "aggregators": [{"time_interval": "week"}]}]),
            FaultCode::Conflict,
            "aggregators[0].aggregators[0].time_interval",
        ),
    ] {
        let fault = parsed(aggregators).unwrap_err();
        assert_eq!((fault.code(), fault.path()), (code, path), "{fault}");
    }
}
