//! The examples and rules of draft-inadarei-api-health-check-06, read.

use serde_json::{Value, json};

use super::{Dialect, Part, Reading, Unreadable, read};
use crate::light::Light;

const TYPE: Option<&str> = Some("application/health+json");

fn reading(status: u16, body: &Value) -> Result<Reading, Unreadable> {
    read(None, status, TYPE, body.to_string().as_bytes())
}

/// The answer that the draft shows under "Example Output", with all its members.
fn example() -> Value {
    let time = "2018-01-17T03:36:48Z";
    let cassandra = "dfd6cf2b-1b6e-4412-a0b8-f6f7797a60d2";
    let machine = "6fd416e0-8920-410f-9c7b-c479000f7227";
    let node = |node: u32, value: Value, unit: &str, status: &str| {
        json!({
            "componentId": machine, "node": node, "componentType": "system", "observedValue": value,
            "observedUnit": unit, "status": status, "time": time, "output": "",
        })
    };
    json!({
        "status": "pass", "version": "1", "releaseId": "1.2.2", "notes": [""], "output": "",
        "serviceId": "f03e522f-1f44-4062-9b55-9587f91c9c41", "description": "tells who may do what",
        "checks": {
            "cassandra:responseTime": [{
                "componentId": cassandra, "componentType": "datastore", "observedValue": 250, "observedUnit": "ms",
                "status": "pass", "time": time, "output": "",
                "affectedEndpoints": ["/users/{userId}", "/customers/{customerId}/status", "/shopping/{anything}"],
            }],
            "cassandra:connections": [{
                "componentId": cassandra, "type": "datastore", "observedValue": 75, "status": "warn", "time": time,
                "output": "", "links": {"self": "http://api.example.com/dbnode/dfd6cf2b/health"},
            }],
            "uptime": [{
                "componentType": "system", "observedValue": 1_209_600.245, "observedUnit": "s", "status": "pass",
                "time": time,
            }],
            "cpu:utilization": [node(1, json!(85), "percent", "warn"), node(2, json!(85), "percent", "warn")],
            "memory:utilization": [node(1, json!(8.5), "GiB", "warn"), node(2, json!(5500), "MiB", "pass")],
        },
        "links": {
            "about": "http://api.example.com/about/authz",
            "http://api.x.io/rel/thresholds": "http://api.x.io/about/authz/thresholds",
        },
    })
}

#[test]
fn the_example_passes_although_parts_of_it_warn() {
    let reading = reading(200, &example()).unwrap();
    assert_eq!((reading.light, reading.dialect, reading.left_out), (Light::Green, Dialect::HealthJson, 0));
    let part = |name: &str, light| Part { name: name.to_owned(), light };
    let expected = [
        part("cassandra:responseTime", Light::Green),
        part("cassandra:connections", Light::Amber),
        part("uptime", Light::Green),
        part("cpu:utilization/1", Light::Amber),
        part("cpu:utilization/2", Light::Amber),
        part("memory:utilization/1", Light::Amber),
        part("memory:utilization/2", Light::Green),
    ];
    assert_eq!(reading.parts, expected);
}

#[test]
fn status_has_its_aliases_in_any_case() {
    let words = [
        (Light::Green, ["pass", "ok", "up", "Pass", "OK", "UP"].as_slice()),
        (Light::Amber, &["warn", "WARN"]),
        (Light::Red, &["fail", "error", "down", "Fail", "DOWN"]),
    ];
    for (light, words) in words {
        for word in words {
            assert_eq!(reading(200, &json!({ "status": word })).unwrap().light, light, "{word}");
        }
    }
}

#[test]
fn status_is_the_only_member_that_must_be_there() {
    assert_eq!(reading(200, &json!({"status": "pass"})).unwrap().parts, []);
    let none = Err(Unreadable::NoStatus(Some(Dialect::HealthJson)));
    let forced = |body: &Value| {
        read(Some(Dialect::HealthJson), 200, TYPE, body.to_string().as_bytes()).map(|reading| reading.light)
    };
    assert_eq!(forced(&json!({"version": "1"})), none);
    assert_eq!(forced(&json!({"status": 1})), none);
    assert_eq!(forced(&json!({"status": "splendid"})), none);
}

/// "pass" and "warn" go with 2xx and 3xx, "fail" with 4xx and 5xx. Where they do not, the worse is true. A 3xx is not
/// read all the same: 304 has no body (RFC 9110 §15.4.5), and the others say that the service is somewhere else.
#[test]
fn status_is_tied_to_the_code() {
    let check = |word: &str, code: u16, light| {
        assert_eq!(reading(code, &json!({ "status": word })).unwrap().light, light, "{word} with {code}");
    };
    check("pass", 204, Light::Green);
    assert_eq!(reading(302, &json!({"status": "pass"})), Err(Unreadable::NoSense(302)));
    check("warn", 200, Light::Amber);
    check("fail", 503, Light::Red);
    check("fail", 429, Light::Red);
    check("pass", 503, Light::Red);
    check("pass", 404, Light::Red);
    check("warn", 500, Light::Red);
    check("fail", 200, Light::Red);
}

#[test]
fn members_of_checks_may_lack_everything() {
    let body = json!({"status": "pass", "checks": {
        "a:b": [], "c": [{}], "d:e": [{"status": "fail"}, {"observedValue": [1]}, {"status": "pass"}], "f": {"status": "warn"},
    }});
    let parts = reading(200, &body).unwrap().parts;
    let parts: Vec<(&str, Light)> = parts.iter().map(|part| (&*part.name, part.light)).collect();
    assert_eq!(parts, [("d:e/1", Light::Red), ("d:e/3", Light::Green), ("f", Light::Amber)]);
}
