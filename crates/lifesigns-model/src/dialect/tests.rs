use proptest::prelude::*;
use serde_json::json;

use super::*;

const JSON: Option<&str> = Some("application/json; charset=utf-8");
const TEXT: Option<&str> = Some("text/plain");
const HTML: Option<&str> = Some("text/html");

fn read_json(status: u16, body: &Value) -> Result<Reading, Unreadable> {
    read(None, status, JSON, body.to_string().as_bytes())
}

fn check(status: u16, body: Value, light: Light, dialect: Dialect, parts: &[(&str, Light)]) {
    let reading = read_json(status, &body).unwrap_or_else(|error| panic!("{error}: {body}"));
    assert_eq!((reading.light, reading.dialect), (light, dialect), "{status} {body}");
    let found: Vec<(&str, Light)> = reading.parts.iter().map(|part| (&*part.name, part.light)).collect();
    assert_eq!(found, parts, "{body}");
}

#[test]
fn our_own_health_is_read() {
    check(200, json!({"status": "OK", "uptime": "4 days"}), Light::Green, Dialect::Health, &[]);
    check(200, json!({"status": "DEGRADED"}), Light::Amber, Dialect::Health, &[]);
    check(503, json!({"status": "UNAVAILABLE"}), Light::Red, Dialect::Health, &[]);
    check(200, json!({"status": "UNAVAILABLE"}), Light::Red, Dialect::Health, &[]);
    check(503, json!({"status": "OK"}), Light::Red, Dialect::Health, &[]);
}

#[test]
fn our_own_status_is_read() {
    check(200, json!({"status": "healthy", "service": "polls"}), Light::Green, Dialect::Status, &[]);
    check(503, json!({"status": "unhealthy"}), Light::Red, Dialect::Status, &[]);
}

#[test]
fn actuator_3_has_components_and_those_components() {
    let body = json!({
        "status": "DOWN",
        "components": {
            "db": {"status": "DOWN", "components": {
                "main": {"status": "UP", "details": {"database": "PostgreSQL"}}, "old": {"status": "DOWN"},
            }},
            "diskSpace": {"status": "UP", "details": {"free": 10}},
            "queue": {"status": "UNKNOWN"},
            "rest": {"status": "OUT_OF_SERVICE"},
        },
        "groups": ["liveness", "readiness"],
    });
    let parts = [
        ("db", Light::Red),
        ("db/main", Light::Green),
        ("db/old", Light::Red),
        ("diskSpace", Light::Green),
        ("queue", Light::Amber),
        ("rest", Light::Red),
    ];
    check(503, body, Light::Red, Dialect::Actuator, &parts);
}

#[test]
fn actuator_2_has_details_and_actuator_1_has_them_beside_the_status() {
    let parts = [("db", Light::Green), ("diskSpace", Light::Green)];
    let body = json!({"status": "UP", "details": {
        "db": {"status": "UP", "details": {"hello": 1}}, "diskSpace": {"status": "UP"},
    }});
    check(200, body, Light::Green, Dialect::Actuator, &parts);
    let body = json!({"status": "UP", "db": {"status": "UP", "hello": 1}, "diskSpace": {"status": "UP", "free": 10}});
    check(200, body, Light::Green, Dialect::Actuator, &parts);
}

#[test]
fn a_status_that_only_the_service_knows_is_not_green() {
    check(200, json!({"status": "UNKNOWN"}), Light::Amber, Dialect::Actuator, &[]);
    check(503, json!({"status": "OUT_OF_SERVICE"}), Light::Red, Dialect::Actuator, &[]);
    check(200, json!({"status": "FATAL", "components": {}}), Light::Amber, Dialect::Actuator, &[]);
    let body = br#"{"status":"SLEEPY"}"#;
    let actuator = Some("application/vnd.spring-boot.actuator.v3+json;charset=UTF-8");
    assert_eq!(read(None, 200, actuator, body).unwrap().light, Light::Amber);
    assert_eq!(read(None, 200, JSON, body), Err(Unreadable::NoStatus(None)));
}

#[test]
fn microprofile_has_a_list_of_checks() {
    let body = json!({"status": "DOWN", "checks": [
        {"name": "heap", "status": "UP", "data": {"used": "10"}}, {"name": "db", "status": "DOWN"}, {"status": "UP"}, 7,
    ]});
    let parts = [("heap", Light::Green), ("db", Light::Red), ("_unnamed_", Light::Green)];
    check(503, body, Light::Red, Dialect::MicroProfile, &parts);
    check(200, json!({"status": "UP", "checks": []}), Light::Green, Dialect::MicroProfile, &[]);
}

#[test]
fn xabaril_has_entries() {
    let body = json!({
        "status": "Degraded", "totalDuration": "00:00:00.05",
        "entries": {"npgsql": {"data": {}, "status": "Healthy"}, "redis": {"status": "Degraded"}, "x": {"status": "?"}},
    });
    let parts = [("npgsql", Light::Green), ("redis", Light::Amber), ("x", Light::Amber)];
    check(200, body, Light::Amber, Dialect::Xabaril, &parts);
    check(200, json!({"status": "Healthy"}), Light::Green, Dialect::Xabaril, &[]);
    let body = json!({"status": "Unhealthy", "results": {"a": {"status": "Unhealthy"}}});
    check(503, body, Light::Red, Dialect::Xabaril, &[("a", Light::Red)]);
}

#[test]
fn words_are_read() {
    let check = |status: u16, text: &str, expected: Result<Light, Unreadable>| {
        let reading = read(None, status, TEXT, text.as_bytes());
        assert_eq!(reading.map(|reading| reading.light), expected, "{text:?}");
    };
    check(200, "Healthy", Ok(Light::Green));
    check(200, "ok\n", Ok(Light::Green));
    check(200, "\u{feff}OK", Ok(Light::Green));
    check(200, "\"Healthy\"", Ok(Light::Green));
    check(200, "Degraded", Ok(Light::Amber));
    check(200, "Unhealthy", Ok(Light::Red));
    check(503, "ok", Ok(Light::Red));
    check(503, "draining", Ok(Light::Red));
    check(200, "draining", Err(Unreadable::NoWord));
    check(200, "ok, but not really", Err(Unreadable::NoWord));
}

#[test]
fn a_code_alone_is_read_as_load_balancers_do() {
    let check = |form, status, expected| {
        assert_eq!(read(form, status, None, b"").map(|reading| reading.light), expected, "{form:?} {status}");
    };
    for form in [None, Some(Dialect::Code)] {
        check(form, 200, Ok(Light::Green));
        check(form, 204, Ok(Light::Green));
        check(form, 503, Ok(Light::Red));
        check(form, 302, Err(Unreadable::NoSense(302)));
        check(form, 404, Err(Unreadable::NoSense(404)));
        check(form, 0, Err(Unreadable::NoSense(0)));
        check(form, 999, Err(Unreadable::NoSense(999)));
    }
    let body = br#"{"status":"DOWN"}"#;
    assert_eq!(read(Some(Dialect::Code), 200, JSON, body).unwrap().light, Light::Green);
}

#[test]
fn a_code_is_a_traffic_light_only_when_asked_for() {
    let light = |status| read(Some(Dialect::TrafficLight), status, JSON, b"{").map(|reading| reading.light);
    for status in [200, 400, 401, 405, 429] {
        assert_eq!(light(status), Ok(Light::Green), "{status}");
    }
    assert_eq!(light(503), Ok(Light::Amber));
    assert_eq!([light(500), light(502)], [Ok(Light::Red); 2]);
    assert_eq!(light(404), Err(Unreadable::NoSense(404)));
    assert_eq!(read(None, 503, None, b"").unwrap().light, Light::Red);
}

#[test]
fn what_cannot_be_read_says_why() {
    let light = |status, content_type, body: &[u8]| {
        read(None, status, content_type, body).map(|reading| reading.light)
    };
    assert_eq!(light(200, HTML, b"<h1>Log in</h1>"), Err(Unreadable::NoWord));
    assert_eq!(light(404, HTML, b"<h1>Nothing here</h1>"), Err(Unreadable::NoSense(404)));
    assert_eq!(light(302, HTML, b"<h1>Elsewhere</h1>"), Err(Unreadable::NoSense(302)));
    assert_eq!(light(502, HTML, b"<h1>Bad gateway</h1>"), Ok(Light::Red));
    assert_eq!(light(200, JSON, b"{\"status\":"), Err(Unreadable::NotJson));
    assert_eq!(light(200, JSON, b"[]"), Err(Unreadable::NoStatus(None)));
    assert_eq!(light(200, JSON, b"{}"), Err(Unreadable::NoStatus(None)));
    assert_eq!(light(200, JSON, &vec![b' '; LONGEST_BODY + 1]), Err(Unreadable::TooLong));
    assert_eq!(light(200, JSON, "[".repeat(LONGEST_BODY).as_bytes()), Err(Unreadable::NotJson));
}

#[test]
fn parts_are_bounded() {
    let checks: Vec<Value> =
        (0..MOST_PARTS + 7).map(|n| json!({"name": n.to_string(), "status": "UP"})).collect();
    let reading = read_json(200, &json!({"status": "UP", "checks": checks})).unwrap();
    assert_eq!((reading.parts.len(), reading.left_out), (MOST_PARTS, 7));
    assert_eq!(reading.parts[MOST_PARTS - 1].name, (MOST_PARTS - 1).to_string());

    // Nested more deeply than anyone looks, with names that are long enough to be dear when they are put together.
    let many: serde_json::Map<String, Value> =
        (0..10_000).map(|n| (n.to_string(), json!({"status": "UP"}))).collect();
    let mut body = Value::Object(many);
    for _ in 0..40 {
        body = json!({"status": "UP", "ü".repeat(1000): {"status": "UP", "components": body}});
    }
    let text = body.to_string();
    assert!(text.len() < LONGEST_BODY, "{}", text.len());
    let reading = read(Some(Dialect::Actuator), 200, JSON, text.as_bytes()).unwrap();
    assert!(reading.parts.len() < 20, "{}", reading.parts.len());
    assert!(reading.parts.iter().all(|part| part.name.chars().count() <= 200));
}

#[test]
fn names_lead_back_to_their_dialects() {
    for dialect in Dialect::ALL {
        assert_eq!(Dialect::named(dialect.name()), Some(dialect));
    }
    assert_eq!(Dialect::named("smoke"), None);
}

fn any_form() -> impl Strategy<Value = Option<Dialect>> {
    proptest::option::of(proptest::sample::select(Dialect::ALL.to_vec()))
}

fn any_type() -> impl Strategy<Value = Option<&'static str>> {
    let types = ["application/json", "application/health+json", "text/plain", ";;;", ""];
    proptest::option::of(proptest::sample::select(types.to_vec()))
}

/// JSON made of the keys and words that matter, in places where they do not belong.
fn any_answer() -> impl Strategy<Value = Value> {
    let words = ["UP", "DOWN", "pass", "fail", "OK", "Healthy", "healthy", "x", ""];
    let keys = ["status", "checks", "components", "details", "entries", "results", "name", "a:b", "c"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        proptest::sample::select(words.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        let keys = proptest::sample::select(keys.to_vec());
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((keys, inner), 0..6).prop_map(|members| members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn garbage_is_never_fatal_and_never_greener_than_its_code(
        form in any_form(), status: u16, content_type in any_type(), body: Vec<u8>,
    ) {
        if let Ok(reading) = read(form, status, content_type, &body) {
            prop_assert!(status < 500 || reading.light != Light::Green);
        }
    }

    #[test]
    fn json_of_any_shape_is_read_within_bounds(
        form in any_form(), status in 100u16..600, content_type in any_type(), answer in any_answer(),
    ) {
        match read(form, status, content_type, answer.to_string().as_bytes()) {
            Ok(reading) => {
                prop_assert!(form.is_none_or(|form| form == reading.dialect || reading.dialect == Dialect::Code));
                prop_assert!(status < 500 || reading.light != Light::Green);
                prop_assert!(reading.parts.len() <= MOST_PARTS);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn a_worse_code_never_makes_a_better_light(answer in any_answer()) {
        let body = answer.to_string();
        let light = |status| read(None, status, JSON, body.as_bytes()).map(|reading| reading.light);
        if let Ok(well) = light(200) {
            prop_assert!(light(503).is_ok_and(|ill| ill >= well));
        }
    }
}

#[test]
fn a_traffic_light_is_known_by_its_body_and_read_by_its_code() {
    let body =
        |status: &str| json!({"summary": {"status": status, "message": "…"}, "detail": {"reason": "…"}});
    check(200, body("GREEN"), Light::Green, Dialect::TrafficLight, &[]);
    check(429, body("GREEN"), Light::Green, Dialect::TrafficLight, &[]);
    check(503, body("AMBER"), Light::Amber, Dialect::TrafficLight, &[]);
    check(500, body("RED"), Light::Red, Dialect::TrafficLight, &[]);
    assert_eq!(read_json(404, &body("RED")), Err(Unreadable::NoSense(404)));
    check(503, json!({"summary": {"status": "BLUE"}}), Light::Red, Dialect::Code, &[]);
}
