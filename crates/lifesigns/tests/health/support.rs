//! An API with checks, and how it is asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::get;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, Request, StatusCode};
use lifesigns::model::identity::Identity;
use lifesigns::model::store::Retention;
use lifesigns::{Api, Builder, Check, FailureKind, Lifesigns, Report, Scope, Snapshot, Token, TokenHash};
use lifesigns_store::memory::MemoryStore;
use serde_json::Value;
use tower::ServiceExt;

/// What only those may read who may see details.
pub(crate) const SECRET: &str = "canary at 10.1.2.3:5432";

pub(crate) const OPS: [(HeaderName, &str); 1] = [(AUTHORIZATION, "Bearer ls_ops")];

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// With a store, and tokens that may see everything (`ls_ops`), only figures (`ls_figures`) or nothing (`ls_idle`).
pub(crate) fn builder() -> Builder {
    let token = |name: &str, scopes: &[Scope]| {
        Token::new(name, TokenHash::of(&format!("ls_{name}")), scopes.iter().copied())
    };
    Lifesigns::builder("items")
        .store(Arc::new(MemoryStore::new(Retention::default())))
        .token(token("ops", &[Scope::AnalyticsRead, Scope::HealthDetails, Scope::MetricsRead]))
        .token(token("figures", &[Scope::AnalyticsRead, Scope::MetricsRead]))
        .token(token("idle", &[]))
}

/// The same, and who it is.
pub(crate) fn known() -> Builder {
    builder().identity(Identity {
        repo: Some("abc/items".into()),
        revision: Some("29636480c0ffee0029636480c0ffee0029636480".into()),
        version: Some("1.2.0".into()),
        language: Some("rust 1.89".into()),
        environment: Some("test".into()),
        ..Identity::default()
    })
}

/// A check that says the same each time, believed at once.
pub(crate) fn says(name: &str, report: Report) -> Check {
    Check::new(name, move || std::future::ready(report.clone()))
        .every(Duration::from_millis(100))
        .thresholds(1, 1)
}

pub(crate) fn passing(name: &str) -> Check {
    says(name, Report::pass())
}

pub(crate) fn failing(name: &str) -> Check {
    says(name, Report::fail(FailureKind::Unreachable, SECRET))
}

/// Starts it, and waits until the snapshot shows what every check has said.
pub(crate) fn started(builder: Builder) -> (Lifesigns, Router) {
    let lifesigns = builder.start().unwrap();
    until(&lifesigns.own(), |snapshot| snapshot.checks.iter().all(|check| check.last.is_some()));
    let app = app(&lifesigns);
    (lifesigns, app)
}

pub(crate) fn app(lifesigns: &Lifesigns) -> Router {
    Router::new()
        .route("/items/{id}", get(|| async { "item" }))
        .route("/broken", get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "no") }))
        .layer(lifesigns.layer())
}

/// Waits for a snapshot like this.
pub(crate) fn until(api: &Api, is_so: impl Fn(&Snapshot) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so(&api.snapshot()) {
        assert!(Instant::now() < deadline, "{:?}", api.snapshot());
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) async fn ask(app: &Router, method: &str, path: &str, headers: &[(HeaderName, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    send(app, request.body(Body::empty()).unwrap()).await
}

pub(crate) async fn send(app: &Router, request: Request<Body>) -> Answer {
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// Asks with `GET` and nothing else.
pub(crate) async fn get_from(app: &Router, path: &str) -> Answer {
    ask(app, "GET", path, &[]).await
}
