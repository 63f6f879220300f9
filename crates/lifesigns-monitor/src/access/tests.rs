use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::to_bytes;
use lifesigns::{
    Authority, FailedBy, Grant, IssueError, IssueRequest, IssuedToken, Pending, Refusal, ResourceKind, Token,
    TokenHash,
};
use lifesigns_model::history::{Entry, HistoryStore};
use lifesigns_model::store::Note;
use lifesigns_store::history::{HistoryRetention, MemoryHistory};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};

use super::*;
use crate::{Fleet, Options, ServeOptions, Target};

/// A monitor of three services: `shop`, which is public and green, `secret`, which is neither, and `stock`, which is green.
/// The token `ls_ops` opens it.
struct Monitor {
    lifesigns: Lifesigns,
    router: Router,
}

impl Monitor {
    fn new(access: AccessOptions) -> Monitor {
        Monitor::with(access, |builder| builder)
    }

    fn with(access: AccessOptions, adjust: impl FnOnce(lifesigns::Builder) -> lifesigns::Builder) -> Monitor {
        let store: Arc<dyn HistoryStore> = Arc::new(MemoryHistory::new(HistoryRetention::default()));
        let now = jiff::Timestamp::now().as_millisecond();
        let lights = [("shop", "G"), ("secret", "R"), ("stock", "G")];
        let entries = lights.map(|(name, light)| {
            let about = json!({"version": "9.9", "environment": "backstage"});
            let service = json!({
                "light": light, "since": now, "asked": now, "code": 200, "latency_us": 1234, "about": about,
            });
            Entry::Note(Note {
                topic: "service".into(),
                key: name.into(),
                text: Some(service.to_string().into()),
            })
        });
        store.append(entries.to_vec()).unwrap();
        let target = |name: &str| Target::new(name, Url::parse("http://10.0.0.7:8080/health").unwrap());
        let targets = vec![Target { is_public: true, ..target("shop") }, target("secret"), target("stock")];
        let link = Some("https://status.example".to_owned());
        let fleet = Fleet::open(Options { targets, link, ..Options::default() }, store).unwrap();
        let token = Token::new("ops", TokenHash::of("ls_ops"), [Scope::FleetRead, Scope::HealthWrite]);
        let scraper = Token::new("scraper", TokenHash::of("ls_scraper"), [Scope::MetricsRead]);
        // Figures of the fleet stand at that path.
        let mut settings = lifesigns::Settings::default();
        settings.resource_mut(ResourceKind::Metrics).enabled = false;
        let builder = Lifesigns::builder("monitor")
            .settings(settings)
            .token(token)
            .token(scraper)
            .fleet(fleet.status(&access));
        let lifesigns = adjust(builder).start().unwrap();
        let router = fleet.router(&lifesigns, ServeOptions { title: "Fleet".to_owned(), access });
        Monitor { lifesigns, router }
    }

    /// Asks from this machine.
    async fn ask(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", target, headers, "").await
    }

    async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::from(body.to_owned())).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 4711))));
        let (head, body) =
            self.lifesigns.layer().layer(self.router.clone()).oneshot(request).await.unwrap().into_parts();
        let body = String::from_utf8(to_bytes(Body::new(body), usize::MAX).await.unwrap().to_vec()).unwrap();
        let failed_by = head.extensions.get().copied();
        Answer { status: head.status.as_u16(), headers: head.headers, failed_by, body }
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    failed_by: Option<FailedBy>,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

const HERE: (&str, &str) = ("host", "127.0.0.1:8090");
const BEARER: (&str, &str) = ("authorization", "Bearer ls_ops");

fn open() -> AccessOptions {
    AccessOptions { is_open_to_this_machine: true, ..AccessOptions::default() }
}

#[tokio::test]
async fn the_outage_of_a_service_is_no_failure_of_the_monitor() {
    let monitor = Monitor::new(open());
    let answer = monitor.ask("/services/secret/available", &[HERE]).await;
    assert_eq!((answer.status, answer.failed_by), (503, Some(FailedBy::Nobody)));
}

#[tokio::test]
async fn a_name_that_was_made_to_lead_here_opens_nothing() {
    let monitor = Monitor::new(open());
    for host in ["127.0.0.1:8090", "localhost", "[::1]:8090"] {
        assert_eq!(monitor.ask("/api/services", &[("host", host)]).await.status, 200, "{host}");
    }
    let evil = ("host", "evil.example:8090");
    for target in
        ["/", "/api/services", "/services/secret", "/metrics", "/sd", "/events", "/services/secret/breaker"]
    {
        let refused = monitor.ask(target, &[evil]).await;
        assert_eq!(refused.status, 401, "{target}");
        assert!(refused.header("www-authenticate").starts_with("Bearer"), "{target}");
        let told = refused.json()["detail"].to_string();
        assert!(told.contains("evil.example") && told.contains("lifesigns token new"), "{told}");
        assert_eq!(monitor.ask(target, &[HERE, evil]).await.status, 401, "{target} of two hosts");
    }
    // Checks of load balancers name none; every browser does.
    assert_eq!(monitor.ask("/api/services", &[]).await.status, 200);
    let taken_up =
        monitor.send("POST", "/api/incidents/1/acknowledgement", &[evil], "{\"by\":\"eve\"}").await;
    assert_eq!(taken_up.status, 401);
    let status = monitor.ask("/status", &[evil]).await;
    assert!(!status.body.contains("secret"), "{}", status.body);
    assert!(monitor.ask("/status", &[HERE]).await.body.contains("secret"));
    let page = monitor.ask("/", &[("host", "<b>.example"), ("accept", "text/html")]).await;
    assert_eq!(page.status, 401);
    let page = monitor.ask("/", &[evil, ("accept", "text/html")]).await;
    assert!(page.body.contains("evil.example") && page.body.contains("Log in"), "{}", page.body);
}

#[tokio::test]
async fn a_proxy_on_this_machine_does_not_open_the_monitor_to_those_behind_it() {
    let monitor = Monitor::new(open());
    for header in ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via"] {
        let refused = monitor.ask("/api/services", &[HERE, (header, "192.0.2.1")]).await;
        assert_eq!(refused.status, 401, "{header}");
        assert!(refused.body.to_lowercase().contains(&header.to_lowercase()), "{}", refused.body);
        assert!(!monitor.ask("/status", &[HERE, (header, "192.0.2.1")]).await.body.contains("secret"));
        let let_in = monitor.ask("/api/services", &[HERE, (header, "192.0.2.1"), BEARER]).await;
        assert_eq!(let_in.status, 200, "{header}, with a token");
    }
}

#[tokio::test]
async fn a_users_header_is_believed_where_only_the_proxy_can_have_set_it() {
    let access = AccessOptions { user_header: Some("x-user".parse().unwrap()), ..AccessOptions::default() };
    let monitor = Monitor::new(access);
    let user = ("x-user", "kim");
    for host in ["127.0.0.1:8090", "localhost", "status.example", "Status.Example:443"] {
        let answer =
            monitor.ask("/api/services", &[("host", host), user, ("x-forwarded-for", "192.0.2.1")]).await;
        assert_eq!(answer.status, 200, "{host}");
    }
    let refused = monitor.ask("/api/services", &[("host", "evil.example"), user]).await;
    assert_eq!(refused.status, 401);
    assert!(refused.body.contains("x-user") && refused.body.contains("`link`"), "{}", refused.body);
    assert_eq!(monitor.ask("/api/services", &[HERE]).await.status, 401);
    assert_eq!(monitor.ask("/api/services", &[HERE, ("x-user", "")]).await.status, 401);
    let answer = monitor.send("POST", "/api/incidents/1/acknowledgement", &[HERE, user], "{}").await;
    assert_eq!(answer.status, 403, "it may see, and not write");
}

#[tokio::test]
async fn strangers_learn_nothing_of_services_that_are_not_public() {
    let monitor = Monitor::new(AccessOptions::default());
    for what in ["breaker", "available"] {
        let ask = async |name: &str, headers: &[(&str, &str)]| {
            monitor.ask(&format!("/services/{name}/{what}"), headers).await
        };
        assert_eq!(ask("shop", &[HERE]).await.status, 200);
        let (hidden, unknown) = (ask("secret", &[HERE]).await, ask("nobody", &[HERE]).await);
        assert_eq!((hidden.status, &hidden.body), (401, &unknown.body));
        assert_eq!((unknown.status, &hidden.headers), (401, &unknown.headers));
        assert!(hidden.header("www-authenticate").starts_with("Bearer"));
        let scraper = ("authorization", "Bearer ls_scraper");
        assert_eq!(ask("secret", &[scraper]).await.status, 403);
        assert_eq!(ask("nobody", &[scraper]).await.status, 403);
        assert!(matches!(ask("secret", &[BEARER]).await.status, 200 | 503));
        assert_eq!(ask("nobody", &[BEARER]).await.status, 404);
    }
    let (hidden, unknown) =
        (monitor.ask("/badges/secret.svg", &[]).await, monitor.ask("/badges/nobody.svg", &[]).await);
    assert_eq!((hidden.status, hidden.body), (unknown.status, unknown.body));
    // Whoever keeps answers for others must not keep what a reader was shown.
    assert!(
        monitor.ask("/badges/secret.svg", &[BEARER]).await.header("cache-control").starts_with("private")
    );
    assert!(monitor.ask("/badges/shop.svg", &[]).await.header("cache-control").starts_with("public"));

    let everybody = Monitor::new(AccessOptions { are_decisions_open: true, ..AccessOptions::default() });
    assert_eq!(everybody.ask("/services/secret/available", &[]).await.status, 503);
    assert_eq!(everybody.ask("/services/stock/breaker", &[]).await.status, 200);
    assert!(everybody.ask("/services/secret/breaker", &[]).await.json().get("why").is_none());
    assert_eq!(everybody.ask("/services/nobody/available", &[]).await.status, 404);
    assert_eq!(everybody.ask("/api/services", &[]).await.status, 401);
}

#[tokio::test]
async fn the_status_of_all_services_is_that_of_those_who_may_be_seen() {
    let monitor = Monitor::new(AccessOptions::default());
    let counts = |status: &Value| ["total", "healthy", "unhealthy"].map(|key| status[key].as_u64().unwrap());
    let status = monitor.ask("/status", &[]).await.json();
    assert_eq!((counts(&status), &status["service"]), ([1, 1, 0], &json!("all-services")));
    assert_eq!(status["services"], json!([{"service": "shop", "status": "healthy", "light": "GREEN"}]));
    let status = monitor.ask("/status", &[BEARER]).await.json();
    assert_eq!(counts(&status), [3, 2, 1]);
    let line = json!({
        "service": "shop", "status": "healthy", "light": "GREEN", "environment": "backstage", "version": "9.9",
        "latency_ms": 1.234,
    });
    assert_eq!(status["services"][0], line);
}

#[tokio::test]
async fn a_session_that_is_ended_is_over_and_nobody_else_ends_it() {
    let monitor = Monitor::new(AccessOptions::default());
    let log_in = monitor.send("POST", "/login", &[HERE], "token=ls_ops").await;
    assert_eq!(log_in.status, 303);
    let cookie = log_in.header("set-cookie").split(';').next().unwrap().to_owned();
    let cookie = ("cookie", &*cookie);
    assert_eq!(monitor.ask("/api/services", &[cookie]).await.status, 200);
    let elsewhere = monitor.send("POST", "/logout", &[cookie, ("sec-fetch-site", "cross-site")], "").await;
    assert_eq!((elsewhere.status, elsewhere.header("set-cookie")), (403, ""));
    assert_eq!(monitor.ask("/api/services", &[cookie]).await.status, 200);
    let log_out = monitor.send("POST", "/logout", &[cookie, ("sec-fetch-site", "same-origin")], "").await;
    assert_eq!(log_out.status, 303);
    assert_eq!(monitor.ask("/api/services", &[cookie]).await.status, 401);
}

/// Knows one token, until it does not.
#[derive(Debug)]
struct Expiring {
    is_over: AtomicBool,
    cannot_tell: AtomicBool,
}

impl Authority for Expiring {
    fn check(&self, token: &str) -> Result<Arc<Grant>, Refusal> {
        if self.cannot_tell.load(Ordering::Relaxed) {
            return Err(Refusal::Unchecked);
        }
        if token != "short" || self.is_over.load(Ordering::Relaxed) {
            return Err(Refusal::Unknown);
        }
        Ok(Arc::new(Grant { name: "app".to_owned(), scopes: vec![Scope::FleetRead], ..Grant::default() }))
    }

    fn look_for_key<'a>(&'a self, _token: &'a str) -> Pending<'a, ()> {
        Box::pin(async {})
    }

    fn has_apps(&self) -> bool {
        false
    }

    fn knows_app(&self, _client_id: &str) -> bool {
        false
    }

    fn issue(&self, _request: IssueRequest) -> Pending<'_, Result<IssuedToken, IssueError>> {
        Box::pin(async { Err(IssueError::Failed) })
    }
}

#[tokio::test]
async fn a_session_does_not_outlive_its_token() {
    let authority =
        Arc::new(Expiring { is_over: AtomicBool::new(false), cannot_tell: AtomicBool::new(false) });
    let monitor =
        Monitor::with(AccessOptions::default(), |builder| builder.authority(Arc::clone(&authority) as _));
    let log_in = monitor.send("POST", "/login", &[], "token=short").await;
    let cookie = log_in.header("set-cookie").split(';').next().unwrap().to_owned();
    let ask = async || monitor.ask("/api/services", &[("cookie", &cookie)]).await.status;
    assert_eq!(ask().await, 200);
    authority.cannot_tell.store(true, Ordering::Relaxed);
    assert_eq!(ask().await, 503);
    authority.cannot_tell.store(false, Ordering::Relaxed);
    assert_eq!(ask().await, 200);
    authority.is_over.store(true, Ordering::Relaxed);
    // Not one of these is an attempt to guess but the first.
    for _ in 0..20 {
        assert_eq!(ask().await, 401);
    }
    authority.is_over.store(false, Ordering::Relaxed);
    assert_eq!(ask().await, 401, "it is over");
}

#[tokio::test]
async fn options_are_told_as_health_resources_tell_theirs() {
    let monitor = Monitor::new(AccessOptions::default());
    let check = async |target: &str, expected: &str| {
        let answer = monitor.send("OPTIONS", target, &[], "").await;
        assert_eq!((answer.status, answer.header("allow"), &*answer.body), (204, expected, ""), "{target}");
    };
    check("/livez", "GET, HEAD, OPTIONS").await;
    check("/api/services", "GET, HEAD, OPTIONS").await;
    check("/metrics", "GET, HEAD, OPTIONS").await;
    check("/services/secret/available", "GET, HEAD, OPTIONS").await;
    check("/services/nobody/available", "GET, HEAD, OPTIONS").await;
    check("/api/incidents/1/acknowledgement", "POST, OPTIONS").await;
    let refused = monitor.send("DELETE", "/services/shop/available", &[], "").await;
    assert_eq!((refused.status, refused.header("allow")), (405, "GET, HEAD, OPTIONS"));
}
