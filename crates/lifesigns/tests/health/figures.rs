//! Details, queries and metrics: what has passed is counted, and told to those who may know.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::get;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, Request, Response, StatusCode};
use lifesigns::{FailedBy, Lifesigns, ResourceKind, Settings};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::support::{OPS, app, ask, known, send};

#[tokio::test]
async fn details_count_what_has_passed_up_to_this_moment() {
    let app = app(&known().start().unwrap());
    let client = (HeaderName::from_static("x-client-id"), "web");
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
    let mut counts = BTreeMap::new();
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
async fn an_answer_says_itself_that_its_status_is_no_failure() {
    let answer = |failed_by: Option<FailedBy>| async move {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        if let Some(failed_by) = failed_by {
            response.extensions_mut().insert(failed_by);
        }
        response
    };
    let lifesigns = known().start().unwrap();
    let app = Router::new()
        .route("/printer", get(move || answer(Some(FailedBy::Nobody))))
        .route("/broken", get(move || answer(None)))
        .layer(lifesigns.layer());
    for path in ["/printer", "/printer", "/broken"] {
        assert_eq!(ask(&app, "GET", path, &[]).await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    let body = ask(&app, "GET", "/health/details?by=failed_by", &OPS).await.text();
    assert!(body.contains(r#""failed_by":[{"nobody":{"count":2}},{"upstream":{"count":1}}]"#), "{body}");
}

#[tokio::test]
async fn the_details_of_one_api_take_a_token_in_every_spelling() {
    let app = app(&known().start().unwrap());
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
    let app = app(&known().start().unwrap());
    for (query, path) in [("interval=0", "interval"), ("duration=ever", "duration"), ("by=colour", "by")] {
        let answer = ask(&app, "GET", &format!("/health/details?{query}"), &OPS).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(answer.json()["error"]["path"], path);
    }
    let query = async |body: String| {
        let request = Request::post("/analytics/1.0/org/environments/test/query")
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
        ask(&app, "GET", "/analytics/1.0/org/environments/test/query", &OPS).await.header("allow"),
        "POST, OPTIONS"
    );
}

#[tokio::test]
async fn a_question_whose_answer_would_be_too_large_is_refused() {
    let mut settings = Settings::default();
    settings.resource_mut(ResourceKind::Analytics).requests_per_minute = None;
    let lifesigns = known().settings(settings).start().unwrap();
    let app = app(&lifesigns);
    for client in 0..600 {
        for id in 0..2 {
            let name = format!("app-{client}");
            let path = if id == 0 { "/items/1" } else { "/broken" };
            ask(&app, "GET", path, &[(HeaderName::from_static("x-client-id"), &name)]).await;
        }
    }
    let chain = json!({"dimension": "client_id", "aggregators": [{"dimension": "resource_path",
        "metrics": ["latency"], "aggregators": [{"dimension": "status_code", "metrics": ["latency"]}]}]});
    let query = async |aggregators: Vec<Value>| {
        let request = Request::post("/analytics/1.0/o/environments/test/query")
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
    let app = app(&known().settings(settings).start().unwrap());
    let first = ask(&app, "GET", "/health/details", &OPS).await;
    assert_eq!(first.header("ratelimit-policy"), "\"default\";q=2;w=60");
    assert!(first.header("ratelimit").starts_with("\"default\";r=1;t="), "{}", first.header("ratelimit"));
    ask(&app, "GET", "/health/details", &OPS).await;
    let third = ask(&app, "GET", "/health/details", &OPS).await;
    assert_eq!(third.status, StatusCode::TOO_MANY_REQUESTS);
    assert!((1..=60).contains(&third.header("retry-after").parse().unwrap()));
    assert_eq!(third.header("content-type"), "application/problem+json");
    let problem = third.json();
    let kind = "https://iana.org/assignments/http-problem-types#quota-exceeded";
    assert_eq!((&problem["type"], &problem["violated-policies"]), (&json!(kind), &json!(["default"])));
    assert_eq!(ask(&app, "GET", "/health/status", &[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn metrics_count_exchanges_and_keep_resources_apart() {
    let lifesigns = known().start().unwrap();
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

/// An HTTP server drops a body once as much of it is written as `Content-Length` says.
#[tokio::test]
async fn a_body_that_is_dropped_at_its_declared_length_is_complete() {
    let lifesigns = known().start().unwrap();
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
    let lifesigns = known().start().unwrap();
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
    let request = Request::post("/analytics/1.0/o/environments/test/query")
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
