//! Maintenance, switched on and off through the tower layer.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Request};
use lifesigns::model::light::Light;
use lifesigns::model::store::{Retention, RollupStore};
use lifesigns::model::verdict::Source;
use lifesigns::{
    ApiOptions, BadMaintenance, Builder, Lifesigns, ResourceKind, Scope, Settings, Token, TokenHash,
};
use lifesigns_store::memory::MemoryStore;
use serde_json::{Value, json};
use tower::ServiceExt;

const PATH: &str = "/health/maintenance";
const PATIENCE: Duration = Duration::from_secs(20);

fn builder() -> Builder {
    let token = |name: &str, scopes: &[Scope]| {
        Token::new(name, TokenHash::of(&format!("ls_{name}")), scopes.iter().copied())
    };
    Lifesigns::builder("items")
        .token(token("ops", &[Scope::HealthWrite]))
        .token(token("reader", &[Scope::HealthDetails, Scope::AnalyticsRead]))
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

async fn send(lifesigns: &Lifesigns, method: &str, path: &str, token: &str, body: &str) -> Answer {
    let app: Router = Router::new().layer(lifesigns.layer());
    let mut request = Request::builder().method(method).uri(path);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = app.oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

async fn put(lifesigns: &Lifesigns, body: &Value) -> Answer {
    send(lifesigns, "PUT", PATH, "ls_ops", &body.to_string()).await
}

async fn get(lifesigns: &Lifesigns, path: &str) -> Answer {
    send(lifesigns, "GET", path, "", "").await
}

#[tokio::test]
async fn it_is_amber_with_a_reason_and_readiness_stays() {
    let lifesigns = builder().start().unwrap();
    let none = json!({"maintenance": false, "reason": null, "since": null, "until": null});
    assert_eq!(get(&lifesigns, PATH).await.json(), none);

    let on = put(&lifesigns, &json!({"reason": "A <larger> disk", "minutes": 90})).await;
    assert_eq!(on.status, 200, "{}", on.body);
    let shown = on.json();
    assert_eq!((&shown["maintenance"], &shown["reason"]), (&json!(true), &json!("A <larger> disk")));
    let time = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let lasts = time(&shown["until"]).duration_since(time(&shown["since"]));
    assert_eq!(lasts.as_mins(), 90);
    assert_eq!(get(&lifesigns, PATH).await.json(), shown);
    let head = send(&lifesigns, "HEAD", PATH, "", "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));

    let light = get(&lifesigns, "/health/status").await;
    assert_eq!((light.status, &light.headers["retry-after"]), (503, &"30".parse().unwrap()));
    let reason = light.json()["detail"]["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("Maintenance until ") && reason.ends_with(": A <larger> disk"), "{reason}");
    let snapshot = lifesigns.own().snapshot();
    assert_eq!(snapshot.verdict.light, Light::Amber);
    assert_eq!(snapshot.verdict.causes[0].source, Source::Maintenance);
    for path in ["/readyz", "/livez", "/startupz"] {
        assert_eq!(get(&lifesigns, path).await.status, 200, "{path}");
    }

    let again = put(&lifesigns, &json!({"reason": "Two disks", "minutes": 5})).await.json();
    assert_eq!((&again["since"], &again["reason"]), (&shown["since"], &json!("Two disks")));

    for _ in 0..2 {
        let off = send(&lifesigns, "DELETE", PATH, "ls_ops", "").await;
        assert_eq!((off.status, off.body.as_str()), (204, ""));
    }
    assert_eq!(get(&lifesigns, PATH).await.json(), none);
    assert_eq!(get(&lifesigns, "/health/status").await.status, 200);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let lifesigns = builder().start().unwrap();
    let long = "x".repeat(501);
    for (body, member) in [
        (json!([]), "body"),
        (json!({"minutes": 5}), "reason"),
        (json!({"reason": "", "minutes": 5}), "reason"),
        (json!({"reason": "a\u{1b}[31m", "minutes": 5}), "reason"),
        (json!({"reason": "a\u{202e}b", "minutes": 5}), "reason"),
        (json!({"reason": long, "minutes": 5}), "reason"),
        (json!({"reason": "a"}), "until"),
        (json!({"reason": "a", "until": "2001-01-01T00:00:00Z"}), "until"),
        (json!({"reason": "a", "minutes": 43_201}), "minutes"),
        (json!({"reason": "a", "minutes": 5, "by": "me"}), "by"),
    ] {
        let answer = put(&lifesigns, &body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(answer.json()["path"], member, "{body}");
        assert!(
            answer.json()["detail"].as_str().unwrap().contains(&format!("`{member}`")),
            "{}",
            answer.body
        );
    }
    let large = send(&lifesigns, "PUT", PATH, "ls_ops", &" ".repeat(16 * 1024 + 1)).await;
    assert_eq!(large.status, 413);
    assert_eq!(get(&lifesigns, PATH).await.json()["maintenance"], false);
    let own = lifesigns.own();
    assert_eq!(own.begin_maintenance("\n", PATIENCE), Err(BadMaintenance::Reason));
    assert_eq!(own.begin_maintenance("a", Duration::ZERO), Err(BadMaintenance::End));
    assert_eq!(own.begin_maintenance("a", Duration::MAX), Err(BadMaintenance::End));
    assert!(!own.end_maintenance());
}

#[tokio::test]
async fn only_who_may_write_changes_it() {
    let lifesigns = builder().start().unwrap();
    let body = json!({"reason": "a", "minutes": 5}).to_string();
    for method in ["PUT", "DELETE"] {
        for (token, status) in [("", 401), ("ls_wrong", 401), ("ls_reader", 403)] {
            let answer = send(&lifesigns, method, PATH, token, &body).await;
            assert_eq!(answer.status, status, "{method} {token}");
            assert!(answer.headers.contains_key("www-authenticate"));
        }
    }
    let spelled = send(&lifesigns, "PUT", "//health/./%6daintenance/", "", &body).await;
    assert_eq!(spelled.status, 401);
    let without = Lifesigns::builder("items").start().unwrap();
    assert_eq!(send(&without, "PUT", PATH, "ls_ops", &body).await.status, 401, "no token is set up");
    assert_eq!(get(&lifesigns, PATH).await.json()["maintenance"], false);

    let answer = send(&lifesigns, "POST", PATH, "ls_ops", &body).await;
    assert_eq!(
        (answer.status, &answer.headers["allow"]),
        (405, &"GET, HEAD, PUT, DELETE, OPTIONS".parse().unwrap())
    );
    let answer = send(&lifesigns, "OPTIONS", PATH, "", "").await;
    assert_eq!(
        (answer.status, &answer.headers["allow"]),
        (204, &"GET, HEAD, PUT, DELETE, OPTIONS".parse().unwrap())
    );

    let mut settings = Settings::default();
    settings.resource_mut(ResourceKind::Maintenance).protected = true;
    let protected = builder().settings(settings).start().unwrap();
    assert_eq!(get(&protected, PATH).await.status, 401);
    assert_eq!(send(&protected, "GET", PATH, "ls_reader", "").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn it_ends_by_itself() {
    let lifesigns = builder().start().unwrap();
    put(&lifesigns, &json!({"reason": "a", "minutes": 10})).await;
    assert_eq!(get(&lifesigns, PATH).await.json()["maintenance"], true);
    tokio::time::advance(Duration::from_mins(10)).await;
    assert_eq!(get(&lifesigns, PATH).await.json()["maintenance"], false);
    lifesigns.flush(PATIENCE).unwrap();
    let verdict = lifesigns.own().snapshot().verdict.clone();
    assert_eq!((verdict.light, verdict.causes[0].source.clone()), (Light::Green, Source::Traffic(None)));
    assert!(!lifesigns.own().end_maintenance(), "there is nothing left to switch off");
}

#[tokio::test]
async fn a_restart_does_not_end_it() {
    let store: Arc<dyn RollupStore> = Arc::new(MemoryStore::new(Retention::default()));
    let start = || {
        let gateway = builder().store(Arc::clone(&store));
        gateway.api(ApiOptions::new("items")).api(ApiOptions::new("users")).start().unwrap()
    };
    let state = |lifesigns: &Lifesigns| -> Vec<Option<String>> {
        let reason = |api: lifesigns::Api| {
            let maintenance = api.snapshot().maintenance.clone();
            maintenance.map(|maintenance| maintenance.reason.to_string())
        };
        lifesigns.apis().chain([lifesigns.own()]).map(reason).collect()
    };
    let first = start();
    let apis: Vec<_> = first.apis().collect();
    apis[1].begin_maintenance("users move", PATIENCE).unwrap();
    // The gateway and one of its APIs have the same name.
    first.own().begin_maintenance("all moves", PATIENCE).unwrap();
    let expected = vec![None, Some("users move".to_owned()), Some("all moves".to_owned())];
    assert_eq!(state(&first), expected);
    first.shutdown(PATIENCE).unwrap();
    let second = start();
    assert_eq!(state(&second), expected);
    assert!(second.own().end_maintenance());
    second.shutdown(PATIENCE).unwrap();
    assert_eq!(state(&start()), [None, Some("users move".to_owned()), None]);
}
