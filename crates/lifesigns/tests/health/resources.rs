//! The resources that are answered from a snapshot: what they say, in every form, and where they stand.

use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_ENCODING, ORIGIN};
use http::{HeaderName, StatusCode};
use lifesigns::model::light::Light;
use lifesigns::{Check, FailureKind, Lifesigns, Report, ResourceKind, Settings};
use serde_json::{Value, json};

use super::support::{OPS, app, ask, known, started, until};

#[tokio::test]
async fn status_tells_how_the_process_is_doing() {
    let app = app(&known().start().unwrap());
    let answer = ask(&app, "GET", "/status", &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["status", "service", "timestamp", "environment", "version", "uptime", "memory"]);
    assert_eq!((&body["status"], &body["service"]), (&json!("healthy"), &json!("items")));
    assert_eq!((&body["environment"], &body["version"]), (&json!("test"), &json!("1.2.0")));
    assert!(
        body["timestamp"].as_str().unwrap().ends_with('Z') && body["timestamp"].as_str().unwrap().len() == 24
    );
    let (used, total) = (body["memory"]["used"].as_u64().unwrap(), body["memory"]["total"].as_u64().unwrap());
    assert!(0 < used && used <= total);
}

#[tokio::test]
async fn health_says_who_it_is_and_what_it_does_not_know() {
    let known = app(&known().start().unwrap());
    let body = ask(&known, "GET", "/health", &[]).await.json();
    assert_eq!(body["status"], "OK");
    assert_eq!(body["repo"], "abc/items");
    assert_eq!(body["version"], "1.2.0");
    assert_eq!(body.get("language"), None, "hidden from strangers");
    assert!(body["uptime"].as_str().unwrap().contains("second"));
    assert_eq!(ask(&known, "GET", "/health", &OPS).await.json()["language"], "rust 1.89");
    let unknown = app(&Lifesigns::builder("bare").start().unwrap());
    let body = ask(&unknown, "GET", "/health", &[]).await.json();
    assert_eq!([&body["repo"], &body["revision"], &body["version"]], ["unknown"; 3]);
    assert_eq!(body.get("environment"), None);
}

#[tokio::test]
async fn health_tells_whether_a_revision_is_deployed() {
    let app = app(&known().start().unwrap());
    for (expect, status, deployed) in [
        ("2963648", 200, json!(true)),
        ("29636480C0FFEE0029636480c0ffee0029636480", 200, json!(true)),
        ("29636480c0ffee0029636480c0ffee0029636480aaaa", 200, json!(true)),
        ("2963649", 409, json!(false)),
    ] {
        let answer = ask(&app, "GET", &format!("/health?expect={expect}"), &[]).await;
        assert_eq!(answer.status.as_u16(), status, "{expect}");
        assert_eq!(answer.json()["deployed"], deployed, "{expect}");
    }
    for expect in ["", "296364", "main", "%zz", "2963648%20"] {
        let answer = ask(&app, "GET", &format!("/health?expect={expect}"), &[]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{expect}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    let unknown = self::app(&Lifesigns::builder("bare").start().unwrap());
    let answer = ask(&unknown, "GET", "/health?expect=2963648", &[]).await;
    assert_eq!((answer.status, answer.json()["deployed"].clone()), (StatusCode::CONFLICT, Value::Null));
}

#[tokio::test]
async fn health_speaks_the_dialect_it_is_asked_for() {
    let app = app(&known().start().unwrap());
    let as_type = async |accept: &str| ask(&app, "GET", "/health", &[(ACCEPT, accept)]).await;
    let draft = as_type("application/health+json").await;
    assert_eq!(draft.header("content-type"), "application/health+json");
    let body = draft.json();
    assert_eq!(
        (&body["status"], &body["releaseId"], &body["serviceId"]),
        (&json!("pass"), &json!("1.2.0"), &json!("items"))
    );
    assert!(body["checks"]["traffic:failures"][0]["observedUnit"].is_string());
    let actuator = as_type("application/vnd.spring-boot.actuator.v3+json").await;
    assert_eq!(actuator.json()["status"], "UP");
    assert_eq!(actuator.json()["components"]["traffic"]["status"], "UP");
    assert_eq!(as_type("text/plain").await.text(), "Healthy\n");
    assert_eq!(as_type("image/png").await.json()["status"], "OK");
}

#[tokio::test]
async fn the_traffic_light_is_negotiated() {
    let app = app(&known().start().unwrap());
    let request_id = (HeaderName::from_static("x-request-id"), "XkWq4jpXHFZ@jWfT");
    for (accept, content_type) in [
        ("*/*", "application/json; charset=utf-8"),
        ("text/html", "text/html; charset=utf-8"),
        ("text/plain", "text/plain; charset=utf-8"),
        ("text/xml", "text/xml; charset=utf-8"),
        ("application/xml", "application/xml; charset=utf-8"),
    ] {
        let answer = ask(&app, "GET", "/health/status", &[(ACCEPT, accept), request_id.clone()]).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (StatusCode::OK, content_type),
            "{accept}"
        );
        assert_eq!(answer.header("vary"), "Accept, Accept-Encoding");
        assert_eq!(answer.header("x-request-id"), "XkWq4jpXHFZ@jWfT");
        for part in ["GREEN", "Available: send what you like, within your limits", "test", "XkWq4jpXHFZ@jWfT"]
        {
            assert!(answer.text().contains(part), "{part} in {}", answer.text());
        }
    }
    let body = ask(&app, "GET", "/health/status", &[request_id]).await.json();
    assert_eq!(body["detail"]["environment"], "test");
    assert_eq!(body["detail"]["requestId"], "XkWq4jpXHFZ@jWfT");
}

#[tokio::test]
async fn answers_can_be_forced_and_say_so() {
    let app = app(&known().start().unwrap());
    for (code, light) in [
        (200, "GREEN"),
        (400, "GREEN"),
        (401, "GREEN"),
        (405, "GREEN"),
        (429, "GREEN"),
        (500, "RED"),
        (502, "RED"),
        (503, "AMBER"),
    ] {
        let answer = ask(&app, "GET", &format!("/health/status/{code}"), &[]).await;
        assert_eq!(answer.status.as_u16(), code);
        assert_eq!(answer.header("x-lifesigns-forced"), "true");
        assert!(answer.text().contains(light) && answer.text().contains("Forced"), "{}", answer.text());
        let expected_type =
            if code == 502 { "text/html; charset=utf-8" } else { "application/json; charset=utf-8" };
        assert_eq!(answer.header("content-type"), expected_type);
        assert_eq!(!answer.header("retry-after").is_empty(), matches!(code, 429 | 500 | 502 | 503));
        assert_eq!(answer.header("www-authenticate").is_empty(), code != 401);
        assert_eq!(answer.header("allow").is_empty(), code != 405);
        let head = ask(&app, "HEAD", &format!("/health/status/{code}"), &[]).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (code, 0));
    }
    for code in ["201", "404", "0200", "abc", "+200", ""] {
        let answer = ask(&app, "GET", &format!("/health/status/{code}"), &[]).await;
        let expected = if code.is_empty() { StatusCode::OK } else { StatusCode::NOT_FOUND };
        assert_eq!(answer.status, expected, "{code}");
    }
    assert_eq!(ask(&app, "GET", "/health/status", &[]).await.status, StatusCode::OK, "nothing has changed");
}

#[tokio::test]
async fn a_head_answer_has_the_headers_of_get_and_no_body() {
    let app = app(&known().start().unwrap());
    let same_request = (HeaderName::from_static("x-request-id"), "same");
    for path in
        ["/status", "/health", "/health/status", "/health/status/502", "/livez", "/readyz", "/startupz"]
    {
        for encoding in ["identity", "gzip", "deflate", "br", "zstd"] {
            let headers = [(ACCEPT_ENCODING, encoding), same_request.clone()];
            let get = ask(&app, "GET", path, &headers).await;
            let head = ask(&app, "HEAD", path, &headers).await;
            assert_eq!(head.status, get.status, "{path}");
            assert!(head.body.is_empty() && !get.body.is_empty(), "{path}");
            let mut head_headers = head.headers.clone();
            if encoding == "identity" {
                let length = head_headers.remove("content-length").unwrap();
                assert_eq!(length.to_str().unwrap(), get.body.len().to_string(), "{path}");
            } else {
                assert_eq!(get.header("content-encoding"), encoding, "{path}");
            }
            assert_eq!(head_headers, get.headers, "{path} {encoding}");
        }
    }
}

#[tokio::test]
async fn the_usual_probe_is_told_what_everybody_is_told() {
    let light = Arc::new(AtomicU8::new(0));
    let check = |name: &str, fails_from: u8| {
        let light = Arc::clone(&light);
        let report = move || {
            let fails = light.load(Relaxed) >= fails_from;
            if fails { Report::fail(FailureKind::Failed, "told to") } else { Report::pass() }
        };
        let run = move || std::future::ready(report());
        Check::new(name, run).every(Duration::from_millis(100)).thresholds(1, 1)
    };
    let (lifesigns, app) = started(known().check(check("cache", 1)).check(check("db", 2).critical()));
    for (number, expected) in [(0, Light::Green), (1, Light::Amber), (2, Light::Red), (1, Light::Amber)] {
        light.store(number, Relaxed);
        until(&lifesigns.own(), |snapshot| snapshot.verdict.light == expected);
        // The last two are as long as one that is made here; the last is longer in JSON.
        for name in [
            None,
            Some("short"),
            Some("0123456789abcdef0123456789abcdef"),
            Some("\"123456789abcdef0123456789abcdef"),
        ] {
            let name: Vec<_> =
                name.map(|name| (HeaderName::from_static("x-request-id"), name)).into_iter().collect();
            let head = ask(&app, "HEAD", "/health/status", &name).await;
            let same = (HeaderName::from_static("x-request-id"), head.header("x-request-id"));
            // A wish that changes nothing, but is one.
            let get =
                ask(&app, "GET", "/health/status", &[same, (ACCEPT, "application/json, */*;q=0.1")]).await;
            let mut headers = head.headers.clone();
            let length = headers.remove("content-length").unwrap();
            assert_eq!((head.status, &headers), (get.status, &get.headers), "{expected:?} {name:?}");
            assert_eq!(length.to_str().unwrap(), get.body.len().to_string(), "{expected:?} {name:?}");
            assert!(head.body.is_empty());
        }
    }
}

#[tokio::test]
async fn other_methods_are_refused_and_options_answered() {
    let app = app(&known().start().unwrap());
    for path in ["/status", "/health", "/health/status", "/livez"] {
        let answer = ask(&app, "POST", path, &[]).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS");
        let answer = ask(&app, "OPTIONS", path, &[]).await;
        assert_eq!((answer.status, answer.header("allow")), (StatusCode::NO_CONTENT, "GET, HEAD, OPTIONS"));
    }
    let light = ask(&app, "DELETE", "/health/status", &[]).await.json();
    assert_eq!(light["summary"]["status"], "GREEN", "405 is green: the service works");
}

#[tokio::test]
async fn origins_change_headers_only() {
    let mut settings = Settings::default();
    settings.allowed_origins = vec!["https://shop.example".to_owned()];
    let app = app(&known().settings(settings).start().unwrap());
    let preflight = (HeaderName::from_static("access-control-request-method"), "GET");
    for (origin, allowed) in [("https://shop.example", "https://shop.example"), ("https://evil.example", "")]
    {
        let answer = ask(&app, "GET", "/health/status", &[(ORIGIN, origin)]).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
        assert!(answer.header("vary").contains("Origin"), "a cache must tell origins apart in any case");
        let answer = ask(&app, "OPTIONS", "/health/status", &[(ORIGIN, origin), preflight.clone()]).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        assert_eq!(answer.header("access-control-allow-methods").is_empty(), allowed.is_empty());
    }
}

#[tokio::test]
async fn probes_follow_the_life_of_the_process() {
    let lifesigns = known().starting().start().unwrap();
    let app = app(&lifesigns);
    let probe = async |path: &str| ask(&app, "GET", path, &[]).await.status.as_u16();
    assert_eq!([probe("/livez").await, probe("/readyz").await, probe("/startupz").await], [200, 503, 503]);
    assert_eq!(ask(&app, "GET", "/health/status", &[]).await.status, StatusCode::SERVICE_UNAVAILABLE);
    lifesigns.ready();
    assert_eq!([probe("/livez").await, probe("/readyz").await, probe("/startupz").await], [200, 200, 200]);
    assert_eq!(ask(&app, "GET", "/readyz", &[]).await.text(), "ok");
    lifesigns.drain();
    assert_eq!([probe("/livez").await, probe("/readyz").await, probe("/startupz").await], [200, 503, 200]);
    assert_eq!(probe("/readyz?exclude=shutdown").await, 200);
    let lines = ask(&app, "GET", "/readyz?verbose&exclude=typo", &[]).await.text();
    assert_eq!(
        lines,
        "[+]startup ok\n[-]shutdown failed: reason withheld\n[+]collector ok\n[+]traffic ok\n\
         warn: there is no check typo to exclude\nreadyz check failed\n"
    );
    let lines = ask(&app, "GET", "/readyz?verbose", &OPS).await.text();
    assert!(lines.contains("[-]shutdown failed: the process is about to end"), "{lines}");
}

#[tokio::test]
async fn failing_traffic_turns_the_light_and_everything_that_follows_it() {
    let lifesigns = known().start().unwrap();
    let app = app(&lifesigns);
    for _ in 0..30 {
        ask(&app, "GET", "/broken", &[]).await;
    }
    lifesigns.flush(Duration::from_secs(5)).unwrap();
    let answer = ask(&app, "GET", "/health/status", &[]).await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::INTERNAL_SERVER_ERROR, "60"));
    assert_eq!(answer.json()["detail"]["reason"], "100.0 % of the requests in the last 60 seconds failed");
    let status = ask(&app, "GET", "/status", &[]).await;
    assert_eq!(status.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        (&status.json()["status"], &status.json()["error"]),
        (&json!("unhealthy"), &json!("Service unavailable"))
    );
    assert_eq!(ask(&app, "GET", "/health", &[]).await.json()["status"], "UNAVAILABLE");
    let draft = ask(&app, "GET", "/health", &[(ACCEPT, "application/health+json")]).await;
    assert_eq!(
        (draft.status, draft.json()["status"].clone()),
        (StatusCode::SERVICE_UNAVAILABLE, json!("fail"))
    );
    assert_eq!(draft.json()["checks"]["traffic:failures"][0]["affectedEndpoints"], json!(["/broken"]));
    let codes = [ask(&app, "GET", "/livez", &[]).await.status, ask(&app, "GET", "/readyz", &[]).await.status];
    assert_eq!(codes, [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE], "traffic never fails liveness");
}

#[tokio::test]
async fn red_that_lasts_is_a_502_page() {
    let mut settings = Settings::default();
    settings.prolonged_red_seconds = 0;
    let lifesigns = known().settings(settings).start().unwrap();
    let app = app(&lifesigns);
    for _ in 0..30 {
        ask(&app, "GET", "/broken", &[]).await;
    }
    lifesigns.flush(Duration::from_secs(5)).unwrap();
    let answer = ask(&app, "GET", "/health/status", &[(ACCEPT, "application/json")]).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (StatusCode::BAD_GATEWAY, "text/html; charset=utf-8")
    );
}

#[tokio::test]
async fn resources_can_be_renamed_moved_and_switched_off() {
    let mut settings = Settings::default();
    settings.prefix = "/ops".to_owned();
    settings.forced_answers = false;
    settings.resource_mut(ResourceKind::Livez).path = "/alive".to_owned();
    settings.resource_mut(ResourceKind::Status).enabled = false;
    let app = app(&known().settings(settings).start().unwrap());
    for (path, status) in [
        ("/ops/alive", 200),
        ("/ops/health", 200),
        ("/livez", 404),
        ("/health", 404),
        ("/ops/status", 404),
        ("/ops/health/status", 200),
        ("/ops/health/status/500", 404),
    ] {
        assert_eq!(ask(&app, "GET", path, &[]).await.status.as_u16(), status, "{path}");
    }
}

#[tokio::test]
async fn the_admin_router_serves_the_resources_alone() {
    let lifesigns = known().start().unwrap();
    let admin = lifesigns.admin_router();
    assert_eq!(ask(&admin, "GET", "/health", &[]).await.json()["status"], "OK");
    assert_eq!(ask(&admin, "GET", "/metrics", &[]).await.status, StatusCode::OK, "open to operators");
    assert_eq!(ask(&admin, "GET", "/health/details", &[]).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&admin, "GET", "/items/1", &[]).await.status, StatusCode::NOT_FOUND);
}
