//! The health resources, asked through the tower layer.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::get;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, Request, StatusCode};
use lifesigns::model::identity::Identity;
use lifesigns::model::store::Retention;
use lifesigns::{Builder, Lifesigns, ResourceKind, Scope, Settings, Token, TokenHash};
use lifesigns_store::memory::MemoryStore;
use serde_json::{Value, json};
use tower::ServiceExt;

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

fn app(lifesigns: &Lifesigns) -> Router {
    Router::new()
        .route("/items/{id}", get(|| async { "item" }))
        .route("/broken", get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "no") }))
        .layer(lifesigns.layer())
}

fn builder() -> Builder {
    let token = |name: &str, scopes: &[Scope]| Token {
        name: name.to_owned(),
        hash: TokenHash::of(&format!("ls_{name}")),
        scopes: scopes.to_vec(),
    };
    Lifesigns::builder("items")
        .identity(Identity {
            repo: Some("abc/items".into()),
            revision: Some("29636480c0ffee0029636480c0ffee0029636480".into()),
            version: Some("1.2.0".into()),
            language: Some("rust 1.89".into()),
            environment: Some("test".into()),
            ..Identity::default()
        })
        .store(Arc::new(MemoryStore::new(Retention::default())))
        .token(token("ops", &[Scope::AnalyticsRead, Scope::HealthDetails, Scope::MetricsRead]))
        .token(token("idle", &[]))
}

async fn send(app: &Router, request: Request<Body>) -> Answer {
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn ask(app: &Router, method: &str, path: &str, headers: &[(http::HeaderName, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    send(app, request.body(Body::empty()).unwrap()).await
}

const OPS: [(http::HeaderName, &str); 1] = [(AUTHORIZATION, "Bearer ls_ops")];

#[tokio::test]
async fn status_tells_how_the_process_is_doing() {
    let app = app(&builder().start().unwrap());
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
    let known = app(&builder().start().unwrap());
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
    let app = app(&builder().start().unwrap());
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
    let app = app(&builder().start().unwrap());
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
    let app = app(&builder().start().unwrap());
    let request_id = (http::HeaderName::from_static("x-request-id"), "XkWq4jpXHFZ@jWfT");
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
    let app = app(&builder().start().unwrap());
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
    let app = app(&builder().start().unwrap());
    let same_request = (http::HeaderName::from_static("x-request-id"), "same");
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
async fn other_methods_are_refused_and_options_answered() {
    let app = app(&builder().start().unwrap());
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
    let app = app(&builder().settings(settings).start().unwrap());
    let preflight = (http::HeaderName::from_static("access-control-request-method"), "GET");
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
    let lifesigns = builder().starting().start().unwrap();
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
    let lifesigns = builder().start().unwrap();
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
    let lifesigns = builder().settings(settings).start().unwrap();
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
async fn details_count_what_has_passed_up_to_this_moment() {
    let app = app(&builder().start().unwrap());
    let client = (http::HeaderName::from_static("x-client-id"), "web");
    for id in 0..3 {
        ask(&app, "GET", &format!("/items/{id}"), std::slice::from_ref(&client)).await;
    }
    ask(&app, "GET", "/nowhere", &[]).await;
    ask(&app, "GET", "/broken", &[]).await;
    ask(&app, "GET", "/health/status/500", &[]).await;
    let body =
        ask(&app, "GET", "/health/details?by=status_code,resource_path&interval=1440&duration=1d", &OPS)
            .await
            .json();
    assert_eq!((&body["success"], &body["error"]), (&json!(true), &Value::Null));
    let mut counts = std::collections::BTreeMap::new();
    for bucket in body["response"][0]["time_series_1440m"].as_array().unwrap() {
        for group in bucket.as_object().unwrap().values() {
            for aggregation in group["aggregations"].as_array().unwrap() {
                for (dimension, groups) in aggregation.as_object().unwrap() {
                    for (label, figures) in
                        groups.as_array().unwrap().iter().flat_map(|group| group.as_object().unwrap())
                    {
                        *counts.entry(format!("{dimension} {label}")).or_insert(0) +=
                            figures["count"].as_u64().unwrap();
                    }
                }
            }
        }
    }
    let expected = [
        ("resource_path /broken", 1),
        ("resource_path /items/{id}", 3),
        ("resource_path _na_", 1),
        ("status_code 200", 3),
        ("status_code 404", 1),
        ("status_code 500", 1),
    ];
    assert_eq!(counts.iter().map(|(label, count)| (label.as_str(), *count)).collect::<Vec<_>>(), expected);
    let summary = &body["summary"];
    assert_eq!(
        [&summary["requests"], &summary["success"], &summary["client_error"], &summary["server_error"]],
        [5, 3, 1, 1]
    );
    assert_eq!(body["windows"]["1h"], *summary);
    assert_eq!(body["top_apps"][0]["client_id"], "web");
    assert_eq!(body["top_apps"][1]["client_id"], "_na_");
}

#[tokio::test]
async fn the_details_of_one_api_take_a_token_in_every_spelling() {
    let app = app(&builder().start().unwrap());
    let idle = [(AUTHORIZATION, "Bearer ls_idle")];
    for path in
        ["/health/details", "//health/details", "/health/%64etails", "/health/./details", "/health/details/"]
    {
        let answer = ask(&app, "GET", path, &[]).await;
        assert_eq!(
            (answer.status, answer.header("www-authenticate")),
            (StatusCode::UNAUTHORIZED, "Bearer realm=\"lifesigns\"")
        );
        assert_eq!(answer.json()["success"], false);
        let answer = ask(&app, "GET", path, &[(AUTHORIZATION, "Bearer wrong")]).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert!(answer.header("www-authenticate").contains("error=\"invalid_token\""));
        let answer = ask(&app, "GET", path, &idle).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert!(answer.header("www-authenticate").contains("scope=\"analytics:read\""));
        assert_eq!(ask(&app, "GET", path, &OPS).await.status, StatusCode::OK, "{path}");
    }
    let answer = ask(&app, "GET", "/health/details?access_token=ls_ops", &[]).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_bad_question_is_told_what_is_wrong_with_it() {
    let app = app(&builder().start().unwrap());
    for (query, path) in [("interval=0", "interval"), ("duration=ever", "duration"), ("by=colour", "by")] {
        let answer = ask(&app, "GET", &format!("/health/details?{query}"), &OPS).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(answer.json()["error"]["path"], path);
    }
    let query = async |body: String| {
        let request = Request::post("/analytics/1.0/org/environments/env/query")
            .header(AUTHORIZATION, "Bearer ls_ops")
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .unwrap();
        send(&app, request).await
    };
    let answer = query("{\"aggregators\":[{\"dimension\":\"colour\"}]}".to_owned()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.json()["error"]["path"], "aggregators[0].dimension");
    assert_eq!(query("{".to_owned()).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(query(" ".repeat(100_000)).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let answer = query("{\"aggregators\":[{\"dimension\":\"status_code\"}]}".to_owned()).await;
    assert_eq!(
        (answer.status, answer.json()["response"].clone()),
        (StatusCode::OK, json!([{"status_code": []}]))
    );
    assert_eq!(
        ask(&app, "GET", "/analytics/1.0/org/environments/env/query", &OPS).await.header("allow"),
        "POST, OPTIONS"
    );
}

#[tokio::test]
async fn a_question_whose_answer_would_be_too_large_is_refused() {
    let mut settings = Settings::default();
    settings.resource_mut(ResourceKind::Analytics).requests_per_minute = None;
    let lifesigns = builder().settings(settings).start().unwrap();
    let app = app(&lifesigns);
    for client in 0..600 {
        for id in 0..2 {
            let name = format!("app-{client}");
            let path = if id == 0 { "/items/1" } else { "/broken" };
            ask(&app, "GET", path, &[(http::HeaderName::from_static("x-client-id"), &name)]).await;
        }
    }
    let chain = json!({"dimension": "client_id", "aggregators": [{"dimension": "resource_path",
        "metrics": ["latency"], "aggregators": [{"dimension": "status_code", "metrics": ["latency"]}]}]});
    let query = async |aggregators: Vec<Value>| {
        let request = Request::post("/analytics/1.0/o/environments/e/query")
            .header(AUTHORIZATION, "Bearer ls_ops")
            .body(Body::from(json!({"aggregators": aggregators}).to_string()))
            .unwrap();
        send(&app, request).await
    };
    assert_eq!(query(vec![chain.clone()]).await.status, StatusCode::OK);
    // Ten times 1,200 groups, each with a histogram.
    let answer = query(vec![chain; 10]).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
    assert_eq!(answer.json()["error"]["code"], "too_many");
    assert_eq!(answer.json()["error"]["path"], "aggregators[8].aggregators[0].aggregators[0]");
}

#[tokio::test]
async fn details_have_a_rate_limit_of_their_own() {
    let mut settings = Settings::default();
    settings.resource_mut(ResourceKind::HealthDetails).requests_per_minute = Some(2);
    let app = app(&builder().settings(settings).start().unwrap());
    let first = ask(&app, "GET", "/health/details", &OPS).await;
    assert_eq!(first.header("ratelimit-policy"), "\"default\";q=2;w=60");
    assert!(first.header("ratelimit").starts_with("\"default\";r=1;t="), "{}", first.header("ratelimit"));
    ask(&app, "GET", "/health/details", &OPS).await;
    let third = ask(&app, "GET", "/health/details", &OPS).await;
    assert_eq!(third.status, StatusCode::TOO_MANY_REQUESTS);
    assert!((1..=60).contains(&third.header("retry-after").parse().unwrap()));
    assert_eq!(third.json()["error"]["code"], "quota_exceeded");
    assert_eq!(ask(&app, "GET", "/health/status", &[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn resources_can_be_renamed_moved_and_switched_off() {
    let mut settings = Settings::default();
    settings.prefix = "/ops".to_owned();
    settings.forced_answers = false;
    settings.resource_mut(ResourceKind::Livez).path = "/alive".to_owned();
    settings.resource_mut(ResourceKind::Status).enabled = false;
    let app = app(&builder().settings(settings).start().unwrap());
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
async fn metrics_count_exchanges_and_keep_resources_apart() {
    let lifesigns = builder().start().unwrap();
    let app = app(&lifesigns);
    ask(&app, "GET", "/items/1", &[]).await;
    ask(&app, "GET", "/livez", &[]).await;
    lifesigns.flush(Duration::from_secs(5)).unwrap();
    assert_eq!(ask(&app, "GET", "/metrics", &[]).await.status, StatusCode::UNAUTHORIZED);
    let text = ask(&app, "GET", "/metrics", &OPS).await.text();
    let line = "http_server_request_duration_seconds_count{lifesigns_api=\"items\",http_request_method=\"GET\",\
                http_route=\"/items/{id}\",http_response_status_code=\"200\",lifesigns_failed_by=\"nobody\"} 1";
    assert!(text.lines().any(|found| found == line), "{text}");
    assert!(
        text.contains("lifesigns_resource_requests_total{lifesigns_api=\"items\",resource=\"livez\"} 1\n")
    );
    let open = [OPS[0].clone(), (ACCEPT, "application/openmetrics-text; version=1.0.0")];
    let text = ask(&app, "GET", "/metrics", &open).await;
    assert!(text.header("content-type").starts_with("application/openmetrics-text"));
    assert!(
        text.text().ends_with("# EOF\n")
            && text.text().contains("# TYPE lifesigns_resource_requests counter\n")
    );
}

#[tokio::test]
async fn no_line_of_the_metrics_stands_there_twice() {
    let lifesigns = Lifesigns::builder("same").api(lifesigns::ApiOptions::new("same")).start().unwrap();
    let text = ask(&lifesigns.admin_router(), "GET", "/metrics", &[]).await.text();
    let mut names: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').unwrap().0)
        .collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "{text}");
}

#[tokio::test]
async fn the_admin_router_serves_the_resources_alone() {
    let lifesigns = builder().start().unwrap();
    let admin = lifesigns.admin_router();
    assert_eq!(ask(&admin, "GET", "/health", &[]).await.json()["status"], "OK");
    assert_eq!(ask(&admin, "GET", "/metrics", &[]).await.status, StatusCode::OK, "open to operators");
    assert_eq!(ask(&admin, "GET", "/health/details", &[]).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&admin, "GET", "/items/1", &[]).await.status, StatusCode::NOT_FOUND);
}

/// An HTTP server drops a body once as much of it is written as `Content-Length` says.
#[tokio::test]
async fn a_body_that_is_dropped_at_its_declared_length_is_complete() {
    let lifesigns = builder().start().unwrap();
    let stream = || {
        let mut frames = ["whole", "never"].into_iter();
        let frames = Frames(std::iter::from_fn(move || {
            let frame = http_body::Frame::data(bytes::Bytes::from_static(frames.next()?.as_bytes()));
            Some(Ok::<_, std::io::Error>(frame))
        }));
        ([("content-length", "5")], Body::new(http_body_util::StreamBody::new(frames)))
    };
    let app: Router =
        Router::new().route("/stream", get(move || async move { stream() })).layer(lifesigns.layer());
    let request = Request::get("/stream").body(Body::empty()).unwrap();
    let mut body = app.clone().oneshot(request).await.unwrap().into_body();
    http_body_util::BodyExt::frame(&mut body).await.unwrap().unwrap();
    drop(body);
    let body = ask(&app, "GET", "/health/details?by=failed_by", &OPS).await.text();
    assert!(body.contains("\"failed_by\":[{\"nobody\":{\"count\":1}}]"), "{body}");
}

#[tokio::test]
async fn a_body_that_is_given_up_is_the_clients_doing_and_one_that_breaks_is_the_apis() {
    let lifesigns = builder().start().unwrap();
    let broken = || {
        let frames = [Ok("half"), Err(std::io::Error::other("broken"))];
        let mut frames = frames.into_iter();
        Body::new(http_body_util::StreamBody::new(Frames(std::iter::from_fn(move || {
            frames.next().map(|frame| {
                frame.map(|text| http_body::Frame::data(bytes::Bytes::from_static(text.as_bytes())))
            })
        }))))
    };
    let app: Router =
        Router::new().route("/stream", get(move || async move { broken() })).layer(lifesigns.layer());
    let request = || Request::get("/stream").body(Body::empty()).unwrap();
    drop(app.clone().oneshot(request()).await.unwrap());
    to_bytes(app.clone().oneshot(request()).await.unwrap().into_body(), 100).await.unwrap_err();
    drop(app.clone().oneshot(request()));
    let query =
        json!({"aggregators": [{"dimension": "failed_by"}, {"dimension": "status_code"}]}).to_string();
    let request = Request::post("/analytics/1.0/o/environments/e/query")
        .header(AUTHORIZATION, "Bearer ls_ops")
        .body(Body::from(query))
        .unwrap();
    let answer = send(&app, request).await.json();
    assert_eq!(
        answer["response"],
        json!([
            {"failed_by": [{"client": {"count": 1}}, {"upstream": {"count": 1}}]},
            {"status_code": [{"200": {"count": 2}}]},
        ])
    );
}

/// A stream of what an iterator has ready.
struct Frames<I>(I);

impl<I: Iterator + Unpin> futures_core::Stream for Frames<I> {
    type Item = I::Item;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<I::Item>> {
        std::task::Poll::Ready(self.0.next())
    }
}
