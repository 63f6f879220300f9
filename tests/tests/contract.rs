//! The library and the gateway answer alike, byte for byte, for the same state.
//!
//! The same API runs twice: once with the library in it, once without, behind the gateway. Both get the same
//! traffic, then the same questions. Only what cannot be the same is evened out: times, memory, latencies.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use lifesigns::model::store::Retention;
use lifesigns::{Builder, Check, Identity, Lifesigns, Scope, Token, TokenHash};
use lifesigns_checks::file;
use lifesigns_store::memory::MemoryStore;
use lifesigns_tests::client::{Answer, Connection, Request};
use lifesigns_tests::program::Program;
use lifesigns_tests::wait;
use serde_json::{Value, json};

const REVISION: &str = "29636480c0ffee0029636480c0ffee0029636480";
const TOKEN: &str = "ls_contract";
const WRITER: &str = "ls_writer";

/// Figures that depend on the clock or the machine, wherever they stand.
const VOLATILE: [&str; 20] = [
    "timestamp",
    "uptime",
    "deployed_at",
    "used",
    "total",
    "mean",
    "time",
    "start_time",
    "end_time",
    "observedValue",
    "age",
    "age_seconds",
    "since",
    "responseTime",
    "duration",
    "totalDuration",
    "duration_ms",
    "value",
    // Whether a light is amber on its way to red depends on when it is looked at.
    "changed",
    "transitions",
];

fn api() -> Router {
    Router::new()
        .route("/items/{id}", get(|| async { "item" }))
        .route("/broken", get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "no") }))
}

/// Serves on a runtime of its own, until the test's process ends.
fn serve(app: Router) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await.unwrap();
        });
    });
    address
}

fn library(checks: impl IntoIterator<Item = Check>) -> SocketAddr {
    let builder = Lifesigns::builder("items")
        .identity(Identity {
            repo: Some("abc/items".into()),
            revision: Some(REVISION.into()),
            version: Some("1.2.0".into()),
            environment: Some("test".into()),
            language: Some("rust 1.89".into()),
            ..Identity::default()
        })
        .token(Token::new(
            "environment",
            TokenHash::of(TOKEN),
            [Scope::AnalyticsRead, Scope::HealthDetails, Scope::MetricsRead],
        ))
        .token(Token::new("writer", TokenHash::of(WRITER), [Scope::HealthWrite]))
        .store(Arc::new(MemoryStore::new(Retention::default())));
    let lifesigns = checks.into_iter().fold(builder, Builder::check).start().unwrap();
    serve(api().layer(lifesigns.layer()))
}

/// `checks` is what the configuration says of them.
fn gateway(checks: &str) -> (Program, SocketAddr) {
    let upstream = format!("http://{}", serve(api()));
    let (folder, hash) = (tempfile::tempdir().unwrap(), TokenHash::of(WRITER));
    let file = folder.path().join("lifesigns.toml");
    let config = format!(
        "name = \"items\"\n[gateway]\nlisten = \"127.0.0.1:0\"\n[store]\npath = \"memory\"\n\
         [[token]]\nname = \"writer\"\nhash = \"{hash}\"\nscopes = [\"health:write\"]\n\
         [[api]]\nupstream = \"{upstream}\"\n{checks}"
    );
    std::fs::write(&file, config).unwrap();
    let arguments = ["run", "--config", file.to_str().unwrap()];
    let program = Program::start_with(&arguments, |command| {
        command
            .env("LIFESIGNS_REPO", "abc/items")
            .env("LIFESIGNS_REVISION", REVISION)
            .env("LIFESIGNS_VERSION", "1.2.0")
            .env("LIFESIGNS_ENVIRONMENT", "test")
            .env("LIFESIGNS_LANGUAGE", "rust 1.89")
            .env("LIFESIGNS_TOKEN_HASH", TokenHash::of(TOKEN).to_string());
    });
    let address = program.listening("gateway");
    (program, address)
}

/// Everything that the contract fixes, in every form it can be asked for.
fn questions() -> Vec<Request> {
    let paths = [
        "/status",
        "/health",
        "/health?expect=2963648",
        "/health?expect=2963649",
        "/health?expect=nonsense",
        "/health?dialect=lifesigns",
        "/health?dialect=health%2Bjson",
        "/health?dialect=actuator",
        "/health?dialect=microprofile",
        "/health?dialect=xabaril",
        "/health?dialect=text",
        "/health?dialect=nonsense",
        "/health/status",
        "/health/status/",
        "/health/status/200",
        "/health/status/400",
        "/health/status/401",
        "/health/status/405",
        "/health/status/429",
        "/health/status/500",
        "/health/status/502",
        "/health/status/503",
        "/health/status/418",
        "/livez",
        "/readyz",
        "/readyz?verbose",
        "/readyz?verbose&exclude=traffic",
        "/startupz",
        "/startupz?verbose",
        "/health/maintenance",
        "/health/details",
        "/health/%64etails",
        "//health/./details",
    ];
    let accepts = [
        "*/*",
        "application/json",
        "text/html",
        "text/plain",
        "text/xml",
        "application/xml;q=0.5",
        "application/health+json",
        "application/vnd.spring-boot.actuator.v3+json",
        "application/vnd.spring-boot.actuator.v2+json",
        "image/png",
        ",,;q=x",
    ];
    let mut questions = Vec::new();
    for path in paths {
        for method in ["GET", "HEAD", "OPTIONS", "POST", "DELETE", "BREW"] {
            questions.push(Request::new(method, path));
        }
        for accept in accepts {
            questions.push(Request::get(path).header("Accept", accept));
        }
        for encoding in ["gzip", "deflate", "br", "zstd", "gzip;q=0", "identity;q=0, *"] {
            questions.push(Request::new("HEAD", path).header("Accept-Encoding", encoding));
        }
        questions.push(Request::get(path).header("Origin", "https://shop.example"));
        questions.push(Request::get(path).bearer(TOKEN));
        questions.push(Request::get(path).bearer("wrong"));
        questions.push(Request::get(path).bearer(TOKEN).bearer(TOKEN));
    }
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        questions.push(Request::get("/health/status").header("Accept-Encoding", encoding));
    }
    for query in [
        "interval=1440&duration=1d",
        "by=method,resource_path&interval=1440",
        "by=colour",
        "interval=0",
        "x=1",
    ] {
        questions.push(Request::get(&format!("/health/details?{query}")).bearer(TOKEN));
    }
    let target = "/analytics/1.0/9013a01d871/environments/test/query";
    for body in [
        json!({"aggregators": [{"dimension": "status_code"}, {"dimension": "resource_path"}], "duration": "1d"}),
        json!({"aggregators": [{"time_interval": 1440, "aggregators": [{"dimension": "failed_by"}]}]}),
        json!({"aggregators": []}),
        json!([]),
    ] {
        questions.push(Request::post_json(target, &body).bearer(TOKEN));
        questions.push(Request::post_json(target, &body));
    }
    questions.push(Request::new("POST", target).bearer(TOKEN).body("{"));
    questions.push(Request::new("POST", target).bearer(TOKEN).body(" ".repeat(70_000)));
    questions.push(Request::get(target).bearer(TOKEN));
    let events = "/analytics/1.0/9013a01d871/environments/test/events";
    // Nothing is ever answered with this status: what has ended has a time, which differs.
    for query in ["status_code=299", "status_code=299&format=csv", "format=xml", "limit=0", "colour=red"] {
        questions.push(Request::get(&format!("{events}?{query}")).bearer(TOKEN));
    }
    for method in ["GET", "POST", "OPTIONS"] {
        questions.push(Request::new(method, events));
    }
    let elsewhere = "/analytics/1.0/9013a01d871/environments/d1a3a5";
    questions.push(Request::post_json(&format!("{elsewhere}/query"), &json!({})).bearer(TOKEN));
    questions.push(Request::get(&format!("{elsewhere}/events")).bearer(TOKEN));
    questions.push(Request::new("DELETE", events).bearer(TOKEN));
    questions.push(Request::get("/metrics"));
    for path in ["/health/maintenance", "/health/./m%61intenance/"] {
        for body in ["{", "[]", "{}", r#"{"reason": "", "minutes": 1}"#, r#"{"reason": "a", "minutes": 0}"#] {
            questions.push(Request::new("PUT", path).bearer(WRITER).body(body));
            questions.push(Request::new("PUT", path).bearer(TOKEN).body(body));
            questions.push(Request::new("PUT", path).body(body));
        }
        questions.push(Request::new("PUT", path).bearer(WRITER).body(" ".repeat(20_000)));
        questions.push(Request::new("DELETE", path).bearer(TOKEN));
        questions.push(Request::new("POST", path).bearer(WRITER));
    }
    questions.into_iter().map(|question| question.header("X-Request-Id", "same")).collect()
}

#[test]
fn library_and_gateway_answer_alike_for_the_same_state() {
    let (_program, gateway) = gateway("");
    let library = library([]);
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    let maintenance = json!({"reason": "A <larger> disk", "until": until.to_string()});
    let states = [(0, "before any traffic"), (3, "in maintenance"), (1, "green"), (2, "red")];
    for (number, answers_before) in states {
        let change = match number {
            3 => Request::new("PUT", "/health/maintenance").body(maintenance.to_string()),
            _ => Request::new("DELETE", "/health/maintenance"),
        };
        let change = change.bearer(WRITER).header("X-Request-Id", "same");
        let (ours, theirs) = (even(change.send(library)), even(change.send(gateway)));
        assert_eq!(ours, theirs, "left: library, right: gateway; {change:?}");
        assert!(matches!((number, ours.status), (3, 200) | (0..=2, 204)), "{ours:?}");
        for to in [library, gateway] {
            let mut connection = Connection::open(to).unwrap();
            let traffic =
                ["/items/1", "/items/2", "/nowhere"].iter().cycle().take(30 * usize::from(number == 1));
            let failures = std::iter::repeat_n(&"/broken", 60 * usize::from(number == 2));
            for path in traffic.chain(failures) {
                connection.exchange(&Request::get(path).header("X-Client-Id", "web")).unwrap();
            }
            // Asking for details makes everything up to now part of the state.
            let settled = Request::get("/health/details").bearer(TOKEN).send(to);
            assert_eq!(settled.status, 200, "{}", settled.text());
        }
        assert_alike(library, gateway, answers_before);
    }
}

#[test]
fn library_and_gateway_tell_alike_of_the_same_checks() {
    let folder = tempfile::tempdir().unwrap();
    let [there, missing] = ["there", "missing"].map(|name| folder.path().join(name));
    std::fs::write(&there, "here").unwrap();
    let mut written = String::new();
    for (name, path, more, probe) in [
        ("config", &there, "", ""),
        ("queue", &missing, "affected_endpoints = [\"/items/{id}\"]", ""),
        ("archive", &there, "critical = true\nfails_readiness = false", "min_size_bytes = 5"),
    ] {
        let _ = write!(
            written,
            "[[check]]\nname = \"{name}\"\ninterval_seconds = 3600\nfailure_threshold = 1\nrecovery_threshold = 1\n\
             {more}\n[check.file]\npath = \"{}\"\n{probe}\n",
            path.display()
        );
    }
    let check = |name: &str, options| {
        // Once in the life of a test, so that both have run as often.
        file::check(name, options).unwrap().every(Duration::from_hours(1)).thresholds(1, 1)
    };
    let checks = [
        check("config", file::Options::new(&there)),
        check("queue", file::Options::new(&missing)).affects(["/items/{id}"]),
        check("archive", file::Options { min_size: 5, ..file::Options::new(&there) })
            .critical()
            .spares_readiness(),
    ];
    let (_program, gateway) = gateway(&written);
    let library = library(checks);
    for to in [library, gateway] {
        let question = Request::get("/health?dialect=health%2Bjson").bearer(TOKEN);
        wait::until("every check has run", || {
            let body: Value = serde_json::from_slice(&question.send(to).body).ok()?;
            let checks = body["checks"].as_object()?;
            let has_run = |name: &str| {
                checks.iter().any(|(key, told)| key.starts_with(name) && told[0]["age"].is_u64())
            };
            ["config:", "queue:", "archive:"].into_iter().all(has_run).then_some(())
        });
    }
    assert_alike(library, gateway, "with checks");
}

fn assert_alike(library: SocketAddr, gateway: SocketAddr, state: &str) {
    for question in questions() {
        let (ours, theirs) = (even(question.send(library)), even(question.send(gateway)));
        let text = |answer: &Answer| String::from_utf8_lossy(&answer.body).into_owned();
        let (our_text, their_text) = (text(&ours), text(&theirs));
        let asked: String = format!("{question:?}").chars().take(1000).collect();
        assert!(
            ours == theirs,
            "{state}: {asked}\nlibrary: {} {:?}\n{our_text}\ngateway: {} {:?}\n{their_text}",
            ours.status,
            ours.headers,
            theirs.status,
            theirs.headers,
        );
    }
}

/// The answer without what cannot be the same.
fn even(mut answer: Answer) -> Answer {
    answer.headers.retain(|(name, _)| name != "date");
    for (name, value) in &mut answer.headers {
        // How much of a limit is left, and until when, depends on when one asks.
        if name == "ratelimit" || (name == "retry-after" && answer.status == 429) {
            "…".clone_into(value);
        }
    }
    // The length of JSON, even of JSON that a HEAD has left out, depends on such figures.
    let is_json = answer.headers.iter().any(|(name, value)| name == "content-type" && value.contains("json"));
    for (name, value) in &mut answer.headers {
        if name == "content-length" && is_json {
            "…".clone_into(value);
        }
    }
    if let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) {
        even_out(&mut body);
        answer.body = body.to_string().into_bytes();
    }
    answer
}

fn even_out(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(even_out),
        Value::Object(members) => {
            for (key, value) in members {
                let is_percentile =
                    key == "max" || key.strip_prefix('p').is_some_and(|rest| rest.parse::<u8>().is_ok());
                if VOLATILE.contains(&key.as_str()) || is_percentile {
                    *value = json!("…");
                } else {
                    even_out(value);
                }
            }
        }
        _ => {}
    }
}
