//! `/health` in its dialects: how they are chosen, and what their consumers find.

use axum::body::{Body, to_bytes};
use http::header::{ACCEPT, ACCEPT_ENCODING};
use http::{HeaderMap, HeaderName, Request, StatusCode};
use lifesigns::model::dialect::{self, Dialect};
use lifesigns::model::light::Light;
use lifesigns::resources::{self, Caller};
use lifesigns::{ApiOptions, HealthDialect, Lifesigns, Listener, Settings};
use serde_json::json;

use super::support::{Answer, OPS, ask, builder, failing, get_from, passing, started, until};

const JSON: &str = "application/json; charset=utf-8";
const DRAFT: &str = "application/health+json";
const ACTUATOR: &str = "application/vnd.spring-boot.actuator.v3+json";
const ACTUATOR_2: &str = "application/vnd.spring-boot.actuator.v2+json";
const TEXT: &str = "text/plain; charset=utf-8";

/// The dialect that an answer is in, as its media type and its shape say.
fn dialect_of(content_type: &str, body: &[u8]) -> Dialect {
    dialect::read(None, 200, Some(content_type), body).unwrap().dialect
}

#[tokio::test]
async fn a_dialect_is_chosen_by_accept_by_name_or_by_the_settings() {
    let apps = HealthDialect::ALL.map(|health_dialect| {
        let mut settings = Settings::default();
        settings.health_dialect = health_dialect;
        started(builder().settings(settings).check(passing("db"))).1
    });
    let [ours, draft, actuator, microprofile, xabaril, text] = &apps;
    let check = async |app: &axum::Router,
                       path: &str,
                       accept: Option<&str>,
                       content_type: &str,
                       dialect: Dialect| {
        let headers: Vec<_> = accept.map(|accept| (ACCEPT, accept)).into_iter().collect();
        let answer = ask(app, "GET", path, &headers).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (StatusCode::OK, content_type),
            "{path} {accept:?}"
        );
        assert_eq!(dialect_of(content_type, &answer.body), dialect, "{path} {accept:?}: {}", answer.text());
    };
    // Nobody says what he likes: the settings decide.
    for accept in [None, Some("*/*"), Some("image/png")] {
        check(ours, "/health", accept, JSON, Dialect::Health).await;
        check(draft, "/health", accept, DRAFT, Dialect::HealthJson).await;
        check(actuator, "/health", accept, ACTUATOR, Dialect::Actuator).await;
        check(microprofile, "/health", accept, JSON, Dialect::MicroProfile).await;
        check(xabaril, "/health", accept, JSON, Dialect::Xabaril).await;
        check(text, "/health", accept, TEXT, Dialect::Word).await;
    }
    // Somebody does: the settings only decide between dialects of the same type.
    for app in &apps {
        check(app, "/health", Some(DRAFT), DRAFT, Dialect::HealthJson).await;
        check(app, "/health", Some(ACTUATOR), ACTUATOR, Dialect::Actuator).await;
        check(app, "/health", Some(ACTUATOR_2), ACTUATOR_2, Dialect::Actuator).await;
        check(app, "/health", Some("text/plain"), TEXT, Dialect::Word).await;
    }
    for app in [ours, draft, actuator, text] {
        check(app, "/health", Some("application/json"), JSON, Dialect::Health).await;
    }
    check(microprofile, "/health", Some("application/json"), JSON, Dialect::MicroProfile).await;
    check(xabaril, "/health", Some("application/json"), JSON, Dialect::Xabaril).await;
    // A name counts for more than either.
    for app in &apps {
        for accept in [None, Some("application/json"), Some("text/plain"), Some(DRAFT)] {
            check(app, "/health?dialect=lifesigns", accept, JSON, Dialect::Health).await;
            check(app, "/health?dialect=health%2Bjson", accept, DRAFT, Dialect::HealthJson).await;
            check(app, "/health?dialect=health+json", accept, DRAFT, Dialect::HealthJson).await;
            check(app, "/health?dialect=actuator", accept, ACTUATOR, Dialect::Actuator).await;
            check(app, "/health?dialect=microprofile", accept, JSON, Dialect::MicroProfile).await;
            check(app, "/health?dialect=xabaril", accept, JSON, Dialect::Xabaril).await;
            check(app, "/health?dialect=text", accept, TEXT, Dialect::Word).await;
        }
    }
    for name in ["", "spring", "Actuator", "%00"] {
        let answer = get_from(ours, &format!("/health?dialect={name}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert!(answer.text().contains("lifesigns, health+json, actuator, microprofile, xabaril, text"));
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get_in_every_dialect() {
    let (_lifesigns, app) = started(builder().check(failing("db").critical()));
    let same_request = (HeaderName::from_static("x-request-id"), "same");
    for dialect in HealthDialect::ALL {
        for encoding in ["identity", "gzip"] {
            let path = format!("/health?dialect={}", dialect.name());
            let headers = [(ACCEPT_ENCODING, encoding), same_request.clone()];
            let get = ask(&app, "GET", &path, &headers).await;
            let head = ask(&app, "HEAD", &path, &headers).await;
            assert_eq!((head.status, get.status), (StatusCode::SERVICE_UNAVAILABLE, head.status), "{path}");
            assert!(head.body.is_empty() && !get.body.is_empty(), "{path}");
            let mut head_headers = head.headers.clone();
            head_headers.remove("content-length");
            assert_eq!(head_headers, get.headers, "{path} {encoding}");
        }
    }
}

#[tokio::test]
async fn what_a_check_finds_is_told_with_its_age() {
    let report = lifesigns::Report::pass().observed("connections", 7.0, "connections");
    let busy = super::support::says("pool", report).component_type("datastore");
    let (_lifesigns, app) = started(builder().check(failing("db").affects(["/items/{id}"])).check(busy));
    let draft = ask(&app, "GET", "/health", &[(ACCEPT, DRAFT), OPS[0].clone()]).await.json();
    assert_eq!((&draft["status"], &draft["notes"]), (&json!("warn"), &json!(["The check db fails"])));
    let db = &draft["checks"]["db:responseTime"][0];
    assert_eq!(
        (&db["componentId"], &db["componentType"], &db["status"]),
        (&json!("db"), &json!("component"), &json!("fail"))
    );
    assert_eq!((&db["affectedEndpoints"], &db["observedUnit"]), (&json!(["/items/{id}"]), &json!("ms")));
    assert!(
        db["observedValue"].is_number() && db["time"].is_string() && db["age"].as_u64().is_some(),
        "{db}"
    );
    let pool = &draft["checks"]["pool:connections"][0];
    assert_eq!((&pool["observedValue"], &pool["status"]), (&json!(7.0), &json!("pass")));
    assert_eq!(pool["componentType"], "datastore");
    assert!(draft["checks"]["pool:responseTime"][0]["observedValue"].is_number());
}

#[tokio::test]
async fn a_red_light_is_red_in_every_dialect() {
    let (_lifesigns, app) = started(builder().check(failing("db").critical()));
    for dialect in HealthDialect::ALL {
        let answer = get_from(&app, &format!("/health?dialect={}", dialect.name())).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", dialect.name());
        // Even to somebody who does not look at the code.
        let reading = dialect::read(None, 200, Some(answer.header("content-type")), &answer.body).unwrap();
        assert_eq!(reading.light, Light::Red, "{}", answer.text());
    }
}

/// An answer about an API that the process serves for somebody else.
async fn ask_api(gateway: &Lifesigns, path: &str, query: &str, headers: &[(HeaderName, &str)]) -> Answer {
    let api = gateway.apis().next().unwrap();
    let mut request = Request::get(format!("{path}?{query}"));
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let resource = api.resource(path, Listener::Public).unwrap();
    let caller = Caller { peer: None, listener: Listener::Public };
    let response = resources::answer(&api, resource, caller, request.body(Body::empty()).unwrap()).await;
    let (parts, body) = response.into_parts();
    let body = to_bytes(Body::new(body), usize::MAX).await.unwrap().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// Without what depends on when one asks.
fn even(answer: &Answer) -> (StatusCode, HeaderMap, String) {
    let text = answer.text().chars().filter(|letter| !letter.is_ascii_digit()).collect();
    (answer.status, answer.headers.clone(), text)
}

#[tokio::test]
async fn checks_of_an_api_behind_a_gateway_are_told_like_its_own() {
    let well_and_ill = |builder: lifesigns::Builder| {
        builder
            .check(passing("queue"))
            .check(failing("db").critical().affects(["/items/{id}"]))
            .check(failing("mail"))
    };
    let (_lifesigns, own) = started(well_and_ill(builder()));
    let gateway = well_and_ill(builder().api(ApiOptions::new("items"))).start().unwrap();
    let api = gateway.apis().next().unwrap();
    until(&api, |snapshot| snapshot.checks.iter().all(|check| check.last.is_some()));
    let same_request = (HeaderName::from_static("x-request-id"), "same");
    let dialects = ["health%2Bjson", "actuator", "microprofile", "xabaril", "text"];
    let dialects = dialects.map(|dialect| ("/health", format!("dialect={dialect}")));
    let probes = ["/livez", "/readyz", "/startupz"].map(|probe| (probe, "verbose".to_owned()));
    let light = [("/health/status", String::new())];
    for (path, query) in dialects.into_iter().chain(probes).chain(light) {
        for headers in [vec![same_request.clone()], vec![same_request.clone(), OPS[0].clone()]] {
            let library = ask(&own, "GET", &format!("{path}?{query}"), &headers).await;
            let gateway = ask_api(&gateway, path, &query, &headers).await;
            assert_eq!(even(&library), even(&gateway), "{path}?{query}");
        }
    }
}
