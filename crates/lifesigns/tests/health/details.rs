//! `/health/details`: the verdict, the checks and the last changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::AUTHORIZATION;
use lifesigns::model::light::Light;
use lifesigns::{Check, FailureKind, Report};
use serde_json::{Value, json};

use super::support::{OPS, SECRET, ask, builder, failing, passing, started, until};

#[tokio::test]
async fn details_show_the_verdict_with_its_causes() {
    let (_lifesigns, app) = started(builder().check(failing("db").critical()).check(failing("mail")));
    let details = ask(&app, "GET", "/health/details", &OPS).await.json();
    let verdict = &details["verdict"];
    assert_eq!(verdict["light"], "RED");
    assert_eq!(
        verdict["causes"],
        json!([
            {"light": "RED", "source": "check:db", "reason": "The check db fails"},
            {"light": "AMBER", "source": "check:mail", "reason": "The check mail fails"},
        ])
    );
    assert_eq!((&verdict["fails_readiness"], &verdict["fails_liveness"]), (&json!(true), &json!(false)));
    assert_eq!(verdict["phase"], "ready");
    for time in ["since", "time"] {
        let text = verdict[time].as_str().unwrap();
        assert!(text.len() == 24 && text.ends_with('Z'), "{text}");
    }
    assert!(verdict["age_seconds"].as_u64().unwrap() < 5);
}

#[tokio::test]
async fn details_show_every_check_and_the_age_of_its_result() {
    let report = Report::fail(FailureKind::TimedOut, SECRET).observed("connections", 3.0, "connections");
    let db =
        super::support::says("db", report).critical().component_type("datastore").affects(["/items/{id}"]);
    let (_lifesigns, app) = started(builder().check(db).check(passing("disk").of_this_process()));
    let mut details = ask(&app, "GET", "/health/details", &OPS).await.json();
    let [db, disk] = details["checks"].as_array_mut().unwrap().as_mut_slice() else { panic!("{details}") };
    for check in [&mut *db, &mut *disk] {
        let last = check["last"].as_object_mut().unwrap();
        assert!(last.remove("time").unwrap().as_str().unwrap().ends_with('Z'));
        assert!(last.remove("age_seconds").unwrap().as_u64().unwrap() < 5);
        assert!(last.remove("duration_ms").unwrap().as_f64().unwrap() < 5000.0);
    }
    let runs = db["runs"].take();
    assert!(runs["fail"].as_u64().unwrap() >= 1 && runs["pass"] == 0, "{runs}");
    let expected = json!({
        "name": "db", "component_type": "datastore", "light": "RED", "finding": "fails",
        "last": {
            "outcome": "fail", "observed": {"measurement": "connections", "value": 3.0, "unit": "connections"},
            "failure": "timed_out", "output": SECRET,
        },
        "runs": null, "critical": true, "shared": true, "fails_readiness": true, "fails_liveness": false,
        "interval_seconds": 0.1, "timeout_seconds": 5.0, "grace_seconds": 0.0,
        "failure_threshold": 1, "recovery_threshold": 1, "affected_endpoints": ["/items/{id}"],
    });
    assert_eq!(*db, expected);
    assert_eq!(disk["last"], json!({"outcome": "pass", "observed": null, "failure": null, "output": null}));
    assert_eq!(
        (&disk["light"], &disk["finding"], &disk["shared"]),
        (&json!("GREEN"), &json!("passes"), &json!(false))
    );
}

#[tokio::test]
async fn figures_may_be_seen_without_what_checks_said() {
    let (_lifesigns, app) = started(builder().check(failing("db")));
    let figures = [(AUTHORIZATION, "Bearer ls_figures")];
    let answer = ask(&app, "GET", "/health/details", &figures).await.json();
    let last = &answer["checks"][0]["last"];
    assert_eq!(last["outcome"], "fail");
    assert_eq!((last.get("failure"), last.get("output")), (None, None));
}

#[tokio::test]
async fn details_remember_how_the_light_has_changed() {
    let is_well = Arc::new(AtomicBool::new(true));
    let probe = Arc::clone(&is_well);
    let check = Check::new("db", move || {
        let is_well = probe.load(Ordering::Relaxed);
        async move { if is_well { Report::pass() } else { Report::fail(FailureKind::Failed, SECRET) } }
    });
    let check = check.critical().every(Duration::from_millis(100)).thresholds(1, 1);
    let (lifesigns, app) = started(builder().check(check));
    let turn = |well, light| {
        is_well.store(well, Ordering::Relaxed);
        until(&lifesigns.own(), |snapshot| snapshot.verdict.light == light);
    };
    turn(true, Light::Green);
    turn(false, Light::Red);
    turn(true, Light::Green);
    let details = ask(&app, "GET", "/health/details", &OPS).await.json();
    let lights: Vec<(&str, &str)> = details["transitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|transition| (transition["from"].as_str().unwrap(), transition["to"].as_str().unwrap()))
        .collect();
    assert_eq!(lights[lights.len() - 2..], [("GREEN", "RED"), ("RED", "GREEN")], "{lights:?}");
    let broke = &details["transitions"][lights.len() - 2];
    assert_eq!(
        broke["causes"],
        json!([{"light": "RED", "source": "check:db", "reason": "The check db fails"}])
    );
    let changed = &details["verdict"]["changed"];
    assert_eq!(
        (&changed["source"], &changed["from"], &changed["to"]),
        (&json!("check:db"), &json!("RED"), &json!("GREEN"))
    );
    assert!(changed["time"].as_str().unwrap() >= broke["time"].as_str().unwrap());
    assert!(details.get("success") == Some(&Value::Bool(true)) && !details.to_string().contains("canary\","));
}
