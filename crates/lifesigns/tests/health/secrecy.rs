//! What checks say, panic with and hang on is told to those who may see details, and to nobody else.

use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION};
use lifesigns::{Builder, Check, FailureKind, HealthDialect, Report, ResourceKind, Settings};

use super::support::{OPS, SECRET, ask, builder, failing, says, started};

/// Everything that can be asked for, with every form it can be asked for in.
fn questions() -> Vec<(String, &'static str)> {
    let dialects = HealthDialect::ALL.map(|dialect| format!("/health?dialect={}", dialect.name()));
    let paths = [
        "/status",
        "/health",
        "/health?dialect=nonsense",
        "/health?expect=2963648",
        "/health/status",
        "/health/status/500",
        "/health/details",
        "/health/details?by=nonsense",
        "/livez",
        "/livez?verbose",
        "/livez?verbose&exclude=lock",
        "/readyz",
        "/readyz?verbose",
        "/readyz?verbose&exclude=db",
        "/startupz?verbose",
        "/metrics",
        "/analytics/1.0/o/environments/e/query",
    ];
    let accepts = [
        "*/*",
        "application/json",
        "text/html",
        "text/plain",
        "text/xml",
        "application/health+json",
        "application/vnd.spring-boot.actuator.v3+json",
        "application/vnd.spring-boot.actuator.v2+json",
        "application/openmetrics-text",
    ];
    let paths: Vec<String> = paths.map(str::to_owned).into_iter().chain(dialects).collect();
    paths.iter().flat_map(|path| accepts.map(|accept| (path.clone(), accept))).collect()
}

/// Checks that have all sorts of things to hide, on resources that take no token.
fn unprotected() -> Builder {
    let mut settings = Settings::default();
    for kind in ResourceKind::ALL {
        settings.resource_mut(kind).protected = false;
        settings.resource_mut(kind).requests_per_minute = None;
    }
    let panics = Check::new("panic", async || -> Report { panic!("{SECRET}") });
    let said = Report { output: Some(SECRET.to_owned()), ..Report::pass() };
    let error = Check::new("error", async || Err::<(), _>(std::io::Error::other(SECRET)));
    builder()
        .settings(settings)
        .check(failing("db").critical())
        .check(failing("lock").of_this_process().fails_liveness())
        .check(says("mail", Report::fail(FailureKind::Denied, SECRET)))
        .check(says("cert", Report::warn(SECRET)))
        .check(says("chatty", said.observed("connections", 3.0, "connections")))
        .check(error.every(Duration::from_millis(100)).thresholds(1, 1))
        .check(panics.every(Duration::from_millis(100)).thresholds(1, 1))
}

/// Words that only the details have.
const FAILURES: [&str; 4] = ["unreachable", "cannot be reached", "denied", "panicked"];

#[tokio::test]
async fn strangers_are_told_no_output_no_address_and_no_kind_of_failure() {
    let (_lifesigns, app) = started(unprotected());
    for authorization in [None, Some("Bearer wrong"), Some("Bearer ls_idle"), Some("Bearer ls_figures")] {
        for (path, accept) in questions() {
            let mut headers = vec![(ACCEPT, accept)];
            headers.extend(authorization.map(|value| (AUTHORIZATION, value)));
            for method in ["GET", "HEAD", "OPTIONS", "POST"] {
                let answer = ask(&app, method, &path, &headers).await;
                let whole = format!("{:?}\n{}", answer.headers, answer.text());
                for secret in ["canary", "10.1.2.3", ":5432"].iter().chain(&FAILURES) {
                    assert!(!whole.contains(secret), "{method} {path} {accept} {authorization:?}: {whole}");
                }
            }
        }
    }
}

#[tokio::test]
async fn those_who_may_see_details_are_told() {
    let (_lifesigns, app) = started(unprotected());
    let told = async |path: &str, accept: &str| {
        let text = ask(&app, "GET", path, &[(ACCEPT, accept), OPS[0].clone()]).await.text();
        assert!(text.contains(SECRET), "{path} {accept}: {text}");
        assert!(FAILURES.iter().any(|word| text.contains(word)), "{path} {accept}: {text}");
    };
    for path in ["/health?dialect=actuator", "/health?dialect=microprofile", "/health?dialect=xabaril"] {
        told(path, "*/*").await;
    }
    told("/health", "application/health+json").await;
    told("/health", "application/vnd.spring-boot.actuator.v2+json").await;
    told("/health/details", "*/*").await;
    told("/readyz", "*/*").await;
    told("/livez", "*/*").await;
}
