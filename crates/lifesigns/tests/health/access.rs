//! Who is let in where, what an app is told that asks for a token, and what happens to those who guess.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, StatusCode};
use lifesigns::model::identity::Identity;
use lifesigns::{
    Authority, Builder, Grant, IssueError, IssueRequest, IssuedToken, Pending, Refusal, ResourceKind, Scope,
    Settings, Token, TokenHash,
};
use serde_json::json;

use super::support::{Answer, app, ask, builder, send};

const SECRET: &str = "s3cr3t-c4nary";
const FORM: &str = "application/x-www-form-urlencoded";

/// Knows the app `reports`, and tokens by their first letters.
#[derive(Debug, Default)]
struct Pretended {
    asked: AtomicU32,
}

impl Authority for Pretended {
    fn check(&self, token: &str) -> Result<Arc<Grant>, Refusal> {
        match token.split('.').next() {
            Some("good") => {
                let scopes = vec![Scope::AnalyticsRead];
                Ok(Arc::new(Grant { name: "reports".to_owned(), scopes, ..Grant::default() }))
            }
            Some("unchecked") => Err(Refusal::Unchecked),
            _ => Err(Refusal::Unknown),
        }
    }

    fn look_for_key<'a>(&'a self, _token: &'a str) -> Pending<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn has_apps(&self) -> bool {
        true
    }

    fn knows_app(&self, client_id: &str) -> bool {
        client_id == "reports"
    }

    fn issue(&self, request: IssueRequest) -> Pending<'_, Result<IssuedToken, IssueError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let issued = match (&*request.client_id, &*request.client_secret, request.scope.as_deref()) {
            ("reports", SECRET, None | Some("analytics:read")) => Ok(IssuedToken {
                access_token: "good.token".to_owned(),
                lifetime: Duration::from_mins(10),
                scopes: vec![Scope::AnalyticsRead],
            }),
            ("reports", SECRET, Some("busy")) => Err(IssueError::Busy),
            ("reports", SECRET, Some("failed")) => Err(IssueError::Failed),
            ("reports", SECRET, Some(_)) => Err(IssueError::InvalidScope),
            _ => Err(IssueError::InvalidClient),
        };
        Box::pin(std::future::ready(issued))
    }
}

fn with(authority: &Arc<Pretended>) -> Builder {
    builder().authority(Arc::clone(authority) as Arc<dyn Authority>)
}

fn started(builder: Builder) -> Router {
    app(&builder.start().unwrap())
}

/// Asks for a token, from this address.
async fn issue(app: &Router, from: &str, body: &str) -> Answer {
    let mut request = Request::post("/oauth2/token").header(CONTENT_TYPE, FORM);
    let extensions = request.extensions_mut().unwrap();
    extensions.insert(ConnectInfo(SocketAddr::new(from.parse().unwrap(), 4000)));
    send(app, request.body(Body::from(body.to_owned())).unwrap()).await
}

fn grant(more: &str) -> String {
    format!("grant_type=client_credentials&client_id=reports&client_secret={SECRET}{more}")
}

#[tokio::test]
async fn an_app_is_given_a_token_in_the_form_of_the_standard() {
    let app = started(with(&Arc::default()));
    let answer = issue(&app, "192.0.2.1", &grant("")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let expected = json!({
        "access_token": "good.token", "token_type": "Bearer", "expires_in": 600, "scope": "analytics:read"
    });
    assert_eq!(answer.json(), expected);
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    let details = ask(&app, "GET", "/health/details", &[(AUTHORIZATION, "Bearer good.token")]).await;
    assert_eq!(details.status, StatusCode::OK);
}

#[tokio::test]
async fn what_goes_wrong_is_told_in_the_words_of_the_standard() {
    let app = started(with(&Arc::default()));
    let check = async |body: &str, status: u16, error: &str| {
        let answer = issue(&app, "192.0.2.1", body).await;
        let told = format!("{:?} {}", answer.headers, answer.text());
        assert_eq!(
            (answer.status.as_u16(), answer.json()["error"].as_str()),
            (status, Some(error)),
            "{body}: {told}"
        );
        assert!(!told.contains(SECRET), "{told}");
        let description = answer.json()["error_description"].as_str().unwrap().to_owned();
        assert!(
            description.bytes().all(|byte| matches!(byte, 0x20..=0x7e) && !b"\"\\".contains(&byte)),
            "{told}"
        );
        assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge.starts_with("Basic realm="), status == 401, "{told}");
    };
    check("", 400, "invalid_request").await;
    check("grant_type=client_credentials", 401, "invalid_client").await;
    check(&grant("&client_secret=other"), 400, "invalid_request").await;
    check(&grant("").replace(SECRET, "other"), 401, "invalid_client").await;
    check(&grant("").replace("reports", "nobody"), 401, "invalid_client").await;
    check(&grant("").replace("client_credentials", "password"), 400, "unsupported_grant_type").await;
    check(&grant("&scope=health:write"), 400, "invalid_scope").await;
    let busy = issue(&app, "192.0.2.1", &grant("&scope=busy")).await;
    assert_eq!((busy.status.as_u16(), busy.header("retry-after")), (503, "1"));
    assert_eq!(
        issue(&app, "192.0.2.1", &grant("&scope=failed")).await.status,
        StatusCode::INTERNAL_SERVER_ERROR
    );
    let long = issue(&app, "192.0.2.1", &grant(&format!("&scope={}", "x".repeat(9000)))).await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
    let json = Request::post("/oauth2/token").header(CONTENT_TYPE, "application/json");
    let json = send(&app, json.body(Body::from(grant(""))).unwrap()).await;
    assert_eq!((json.status.as_u16(), json.json()["error"].as_str()), (400, Some("invalid_request")));
    let in_query = format!("/oauth2/token?{}", grant(""));
    let in_query = Request::post(in_query).header(CONTENT_TYPE, FORM).body(Body::empty()).unwrap();
    assert_eq!(send(&app, in_query).await.status, StatusCode::BAD_REQUEST);
    let got = ask(&app, "GET", &format!("/oauth2/token?{}", grant("")), &[]).await;
    assert_eq!((got.status.as_u16(), got.header("allow")), (405, "POST, OPTIONS"));
}

#[tokio::test]
async fn without_apps_there_is_no_token_resource() {
    let answer = issue(&started(builder()), "192.0.2.1", &grant("")).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.header("x-request-id"), "", "the API itself answers");
}

#[tokio::test]
async fn whoever_guesses_secrets_waits_before_they_are_looked_at() {
    let authority = Arc::<Pretended>::default();
    let app = started(with(&authority).failed_attempts_per_minute(3));
    let wrong = grant("").replace(SECRET, "other");
    for from in ["192.0.2.1", "192.0.2.1", "192.0.2.2"] {
        assert_eq!(issue(&app, from, &wrong).await.status, StatusCode::UNAUTHORIZED);
    }
    let asked = authority.asked.load(Ordering::Relaxed);
    for from in ["192.0.2.1", "192.0.2.3"] {
        for body in [&wrong, &grant("")] {
            let answer = issue(&app, from, body).await;
            assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
            let seconds: u64 = answer.header("retry-after").parse().unwrap();
            assert!((1..=60).contains(&seconds), "{seconds}");
            assert_eq!(answer.header("content-type"), "application/problem+json");
        }
    }
    assert_eq!(authority.asked.load(Ordering::Relaxed), asked, "no secret was looked at");
    let other = grant("").replace("reports", "nobody");
    assert_eq!(issue(&app, "192.0.2.1", &other).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(issue(&app, "192.0.2.1", &other).await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(issue(&app, "192.0.2.4", &other).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn whoever_guesses_tokens_waits_and_a_good_token_from_there_does_not() {
    let app = started(with(&Arc::default()).failed_attempts_per_minute(2));
    let details = async |token: &str| {
        let mut request = Request::get("/health/details").header(AUTHORIZATION, format!("Bearer {token}"));
        let extensions = request.extensions_mut().unwrap();
        extensions.insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 4000))));
        send(&app, request.body(Body::empty()).unwrap()).await
    };
    for _ in 0..2 {
        let answer = details("bad").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"lifesigns\", error=\"invalid_token\"");
    }
    let answer = details("bad").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.header("www-authenticate"), "");
    assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1));
    for token in ["good.token", "ls_figures"] {
        assert_eq!(details(token).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_checked_opens_nothing_and_is_not_called_bad() {
    let app = started(with(&Arc::default()));
    let headers = [(AUTHORIZATION, "Bearer unchecked.b.c")];
    let answer = ask(&app, "GET", "/health/details", &headers).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "5"));
    assert_eq!(ask(&app, "GET", "/health", &headers).await.status, StatusCode::OK);
}

#[tokio::test]
async fn organization_and_environment_must_be_ones_that_the_token_opens() {
    let token =
        |name: &str| Token::new(name, TokenHash::of(&format!("ls_of_{name}")), [Scope::AnalyticsRead]);
    let here = || {
        let identity = Identity { environment: Some("test".into()), ..Identity::default() };
        builder()
            .organization("acme")
            .identity(identity)
            .token(token("all").organizations(["acme", "other"]).environments(["test", "live"]))
            .token(token("elsewhere").organizations(["other"]))
            .token(token("live").environments(["live"]))
            .token(token("none").organizations([""; 0]))
    };
    let app = started(here());
    let check = async |app: &Router, token: &str, place: &str, status: u16, path: Option<&str>| {
        let (organization, environment) = place.split_once('/').unwrap();
        for question in ["query", "events"] {
            let target = format!("/analytics/1.0/{organization}/environments/{environment}/{question}");
            let method = if question == "query" { "POST" } else { "GET" };
            let request = Request::builder().method(method).uri(target);
            let request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            let body = if method == "POST" { "{\"aggregators\":[{\"dimension\":\"method\"}]}" } else { "" };
            let answer = send(app, request.body(Body::from(body)).unwrap()).await;
            assert_eq!(answer.status.as_u16(), status, "{token} {place}: {}", answer.text());
            if status != 200 {
                assert_eq!(answer.json()["error"]["path"].as_str(), path, "{token} {place}");
            }
            let challenge = "Bearer realm=\"lifesigns\", error=\"insufficient_scope\"";
            assert_eq!(answer.header("www-authenticate"), if status == 403 { challenge } else { "" });
        }
    };
    let (organization, environment) = (Some("path.organization"), Some("path.environment"));
    check(&app, "ls_ops", "acme/test", 200, None).await;
    check(&app, "ls_ops", "other/test", 404, organization).await;
    check(&app, "ls_ops", "acme/live", 404, environment).await;
    check(&app, "ls_ops", "acme%2Fb/test", 404, organization).await;
    check(&app, "ls_ops", "acme/te%2Fst", 404, environment).await;
    check(&app, "ls_of_all", "acme/test", 200, None).await;
    check(&app, "ls_of_all", "other/test", 404, organization).await;
    check(&app, "ls_of_all", "acme/live", 404, environment).await;
    check(&app, "ls_of_all", "third/test", 403, organization).await;
    check(&app, "ls_of_all", "acme/Test", 403, environment).await;
    check(&app, "ls_of_elsewhere", "acme/test", 403, organization).await;
    check(&app, "ls_of_live", "acme/test", 403, environment).await;
    check(&app, "ls_of_none", "acme/test", 403, organization).await;

    // Where the process has no name for its own, a token with names still opens these alone.
    let anywhere = started(builder().token(token("all").organizations(["acme"]).environments(["test"])));
    check(&anywhere, "ls_ops", "any/thing", 200, None).await;
    check(&anywhere, "ls_of_all", "acme/test", 200, None).await;
    check(&anywhere, "ls_of_all", "any/test", 403, organization).await;
    check(&anywhere, "ls_of_all", "acme/live", 403, environment).await;

    let mut open = Settings::default();
    open.resource_mut(ResourceKind::Analytics).protected = false;
    let open = started(here().settings(open));
    check(&open, "ls_of_live", "acme/test", 200, None).await;
    check(&open, "ls_of_live", "acme/live", 404, environment).await;
}
