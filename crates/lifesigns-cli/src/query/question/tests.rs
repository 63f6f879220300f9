use super::*;

fn now() -> Timestamp {
    "2026-03-16T18:20:30Z".parse().unwrap()
}

fn body(flags: &Flags) -> Value {
    Question::new(flags, now()).unwrap().body
}

fn own(text: &str) -> String {
    text.to_owned()
}

fn by(names: &[&str]) -> Vec<String> {
    names.iter().copied().map(own).collect()
}

#[test]
fn without_flags_it_is_the_status_codes_of_a_day() {
    let expected = json!({"type": "enriched-http-event", "aggregators": [{"dimension": "status_code"}]});
    assert_eq!(body(&Flags::default()), expected);
}

#[test]
fn dimensions_are_nested_in_their_order_within_the_time_series() {
    let flags = Flags {
        by: by(&["api_id, method", "client_id"]),
        every: Some(own("2h")),
        latency: true,
        sizes: true,
        limit: Some(3),
        order: Some(own("ascending")),
        ..Flags::default()
    };
    let metrics = json!(["latency", "request_size", "response_size"]);
    let dimension =
        |name: &str| json!({"dimension": name, "order": "ascending", "limit": 3, "metrics": metrics});
    let mut api = dimension("api_id");
    api["aggregators"] = json!([dimension("method")]);
    let expected =
        json!([{"time_interval": 120, "metrics": metrics, "aggregators": [api, dimension("client_id")]}]);
    assert_eq!(body(&flags)["aggregators"], expected);

    let chains = Question::new(&flags, now()).unwrap().chains;
    let names: Vec<Vec<(usize, &str)>> =
        chains.iter().map(|chain| chain.iter().map(|step| (step.index, &*step.name)).collect()).collect();
    let time = (0, "time_series_120m");
    assert_eq!(names, [vec![time, (0, "api_id"), (0, "method")], vec![time, (1, "client_id")]]);
    assert_eq!((chains[0][1].limit, chains[0][0].limit), (Some(3), None));
    assert_eq!(chains[0][0].interval, Some(Interval::Minutes(120)));
}

#[test]
fn weeks_and_months_are_of_the_calendar() {
    let flags = Flags { every: Some(own("month")), ..Flags::default() };
    assert_eq!(body(&flags)["aggregators"], json!([{"time_interval": "month"}]));
    let step = &Question::new(&flags, now()).unwrap().chains[0][0];
    assert_eq!((&*step.name, step.interval), ("time_series_month", Some(Interval::Calendar)));
    let unknown = Flags { every: Some(own("year")), ..Flags::default() };
    assert!(Question::new(&unknown, now()).is_err());
}

#[test]
fn a_time_series_alone_takes_order_and_limit_itself() {
    let flags =
        Flags { every: Some(own("1d")), limit: Some(7), order: Some(own("descending")), ..Flags::default() };
    let expected = json!([{"time_interval": 1440, "order": "descending", "limit": 7}]);
    assert_eq!(body(&flags)["aggregators"], expected);
    assert!(Question::new(&flags, now()).unwrap().chains[0][0].descending);
}

#[test]
fn windows_are_whole_minutes_and_no_more_than_was_asked_for() {
    let check = |from: Option<&str>, to: Option<&str>, last: Option<&str>, start: &str, end: &str| {
        let flags = Flags { from: from.map(own), to: to.map(own), last: last.map(own), ..Flags::default() };
        let range = Question::new(&flags, now()).unwrap().query.range();
        let found = (range.start.start().to_string(), range.end.start().to_string());
        assert_eq!(found, (start.to_owned(), end.to_owned()), "{from:?} {to:?} {last:?}");
    };
    check(None, None, None, "2026-03-15T18:20:00Z", "2026-03-16T18:21:00Z");
    check(None, None, Some("30m"), "2026-03-16T17:50:00Z", "2026-03-16T18:21:00Z");
    check(Some("2026-03-16"), None, None, "2026-03-16T00:00:00Z", "2026-03-16T18:21:00Z");
    check(Some("2026-03-16"), None, Some("1h"), "2026-03-16T00:00:00Z", "2026-03-16T01:00:00Z");
    check(None, Some("2026-03-16T10:00"), None, "2026-03-15T10:00:00Z", "2026-03-16T10:00:00Z");
    check(None, Some("2026-03-16T10:00:30Z"), Some("1h"), "2026-03-16T09:01:00Z", "2026-03-16T10:01:00Z");
    check(
        Some("2026-03-16T10:00:30+01:00"),
        Some("2026-03-16T09:05:00Z"),
        None,
        "2026-03-16T09:00:00Z",
        "2026-03-16T09:05:00Z",
    );
}

#[test]
fn conditions_become_filters() {
    let check = |condition: &str, expected: Value| {
        let flags = Flags { conditions: vec![own(condition)], ..Flags::default() };
        assert_eq!(body(&flags)["filters"], expected, "{condition}");
    };
    check("status_code=404", json!([{"or": [{"equals": {"status_code": "404"}}]}]));
    check("method = GET, HEAD", json!([{"or": [{"in": {"method": ["GET", "HEAD"]}}]}]));
    check("status_code=500..599", json!([{"or": [{"range": {"status_code": {"from": 500, "to": 599}}}]}]));
    check(
        "status_code=429,499,500..",
        json!([{"or": [{"in": {"status_code": ["429", "499"]}}, {"range": {"status_code": {"from": 500}}}]}]),
    );
    check(
        "client_id!=_na_,a=b",
        json!([{"or": [{"not": {"client_id": "_na_"}}]}, {"or": [{"not": {"client_id": "a=b"}}]}]),
    );
    check("resource_path=/a..b", json!([{"or": [{"equals": {"resource_path": "/a..b"}}]}]));
    let flags = Flags { api: Some(own("polls,user")), without_policy_violations: true, ..Flags::default() };
    assert_eq!(body(&flags)["filters"], json!([{"or": [{"in": {"api_id": ["polls", "user"]}}]}]));
    assert_eq!(body(&flags)["include_policy_violation"], false);
}

#[test]
fn what_is_wrong_is_told_at_the_flag() {
    let check = |flags: Flags, message: &str| {
        let problem = Question::new(&flags, now()).unwrap_err();
        assert!(problem.message.starts_with(message), "{problem:?}");
    };
    let of = |condition: &str| Flags { conditions: vec![own(condition)], ..Flags::default() };
    check(of("status=5"), "--where status=5: no such dimension");
    check(of("failed_by!=me"), "--where failed_by!=me: no exchange has a `failed_by` of \"me\"");
    check(of("status_code"), "--where status_code: must be a dimension");
    check(of("method=GET,"), "--where method=GET,: a value is missing");
    check(of("status_code!=500..599"), "--where status_code!=500..599: a range cannot be left out");
    check(of("method=1..2"), "--where method=1..2: the labels of `method` are no numbers");
    let second = Flags { api: Some(own("polls")), ..of("status_code=599..500") };
    check(second, "--where status_code=599..500: `from` (599) lies above `to` (500)");

    let flags = Flags::default;
    check(
        Flags { by: by(&["method", "statuscode"]), ..flags() },
        "--by method --by statuscode: \"statuscode\"",
    );
    check(Flags { by: by(&["method,method"]), ..flags() }, "--by method,method: `method` already");
    check(Flags { by: by(&[""]), ..flags() }, "--by : \"\" is not known here");
    check(
        Flags { every: Some(own("1w")), ..flags() },
        "--every 1w: must be `week`, `month`, or a whole number and `m`",
    );
    check(
        Flags { every: Some(own("31d")), ..flags() },
        "--every 31d: must be a whole number of minutes from 1",
    );
    check(
        Flags { every: Some(own("1m")), last: Some(own("90d")), ..flags() },
        "--every 1m: 1 would cut the window",
    );
    check(Flags { last: Some(own("24")), ..flags() }, "--last 24: must be a whole number");
    check(
        Flags { last: Some(own("24")), to: Some(own("2026-03-16")), ..flags() },
        "--last 24: must be a whole number",
    );
    check(Flags { from: Some(own("2000-01-01")), ..flags() }, "--from 2000-01-01: must be from 1m to 1830d");
    check(Flags { from: Some(own("2027-01-01")), ..flags() }, "--from does not lie before now");
    check(Flags { from: Some(own("today")), ..flags() }, "--from today: is no time");
    check(Flags { to: Some(own("2026-03-16T10:00[Europe/Berlin]")), ..flags() }, "--to 2026-03-16T10:00[");
    check(Flags { order: Some(own("up")), ..flags() }, "--order up: \"up\" is not known here");
    check(Flags { limit: Some(-1), ..flags() }, "--limit -1: must be a whole number of groups");
    let all = Flags {
        from: Some(own("2026-03-15")),
        to: Some(own("2026-03-16")),
        last: Some(own("1h")),
        ..flags()
    };
    check(all, "--from, --to and --last contradict one another");
}

#[test]
fn a_file_is_read_as_the_resource_reads_a_body() {
    let folder = tempfile::tempdir().unwrap();
    let ask = |text: &str| {
        let file = folder.path().join("query.json");
        std::fs::write(&file, text).unwrap();
        Question::new(&Flags { query: Some(file), ..Flags::default() }, now())
    };
    let question =
        ask(r#"{"aggregators": [{"time_interval": 5}, {"dimension": "method", "metrics": ["latency"]}]}"#);
    let chains = question.unwrap().chains;
    assert_eq!((chains.len(), chains[1][0].index, &*chains[1][0].name), (2, 1, "method"));
    assert_eq!(Metrics::of(&chains[1]), Metrics { latency: true, ..Metrics::default() });

    let check = |text: &str, message: &str| {
        let problem = ask(text).unwrap_err();
        assert!(problem.message.contains(message), "{problem:?}");
    };
    check("{", "query.json is no JSON");
    check("[]", "query.json: body: must be an object");
    check(r#"{"aggregators": [{"dimension": "x"}]}"#, "query.json: aggregators[0].dimension: ");
    check(&" ".repeat(70_000), "more than 65536 bytes");
    let missing = Flags { query: Some(folder.path().join("none.json")), ..Flags::default() };
    assert!(Question::new(&missing, now()).unwrap_err().message.ends_with("none.json cannot be read"));
}
