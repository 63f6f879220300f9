//! Starting, draining and ending, in an API with the library.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::get;
use http::{Request, StatusCode};
use lifesigns::model::exchange::FailedBy;
use lifesigns::model::light::Light;
use lifesigns::model::verdict::Phase;
use lifesigns::{Lifesigns, Scope, Token, TokenHash};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tower::ServiceExt;

const PATIENCE: Duration = Duration::from_secs(20);

fn builder() -> lifesigns::Builder {
    Lifesigns::builder("items").token(Token::new("ops", TokenHash::of("ls_ops"), [Scope::HealthDetails]))
}

/// Status and text of an answer of the resources.
async fn probe(lifesigns: &Lifesigns, path: &str, token: bool) -> (u16, String) {
    let app: Router = Router::new().layer(lifesigns.layer());
    let mut request = Request::get(path);
    if token {
        request = request.header("authorization", "Bearer ls_ops");
    }
    let response = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn start_up_waits_for_every_task_and_for_the_word() {
    let lifesigns = builder().starting().starting_task("migrations").start().unwrap();
    let cache = lifesigns.starting_task("cache");
    let lines = "[-]startup failed: reason withheld\n[-]startup:migrations failed: reason withheld\n\
                 [-]startup:cache failed: reason withheld\nstartupz check failed\n";
    assert_eq!(probe(&lifesigns, "/startupz?verbose", false).await, (503, lines.to_owned()));
    let (_, told) = probe(&lifesigns, "/readyz?verbose", true).await;
    assert!(told.contains("[-]startup:migrations failed: it is not done yet\n"), "{told}");

    lifesigns.ready();
    assert_eq!(lifesigns.own().snapshot().phase, Phase::Starting);
    cache.done();
    let migrations = lifesigns.starting_task("migrations");
    assert_eq!(lifesigns.own().snapshot().phase, Phase::Starting);
    let (_, told) = probe(&lifesigns, "/startupz?verbose", true).await;
    assert!(!told.contains("cache"), "{told}");
    migrations.done();
    assert_eq!(probe(&lifesigns, "/startupz?verbose", false).await.0, 200);
    assert_eq!(probe(&lifesigns, "/readyz", false).await, (200, "ok".to_owned()));
    assert_eq!(lifesigns.own().snapshot().verdict.light, Light::Green);

    drop(lifesigns.starting_task("late"));
    assert_eq!(probe(&lifesigns, "/readyz", false).await.0, 200, "start-up stays over");
}

#[tokio::test]
async fn a_task_that_is_dropped_or_fails_keeps_the_process_starting() {
    let lifesigns = builder().starting().start().unwrap();
    let (dropped, failed) = (lifesigns.starting_task("dropped"), lifesigns.starting_task("failed"));
    let panicked = lifesigns.starting_task("panicked");
    lifesigns.ready();
    drop(dropped);
    failed.fail("no table\nusers");
    std::thread::spawn(move || {
        let _task = panicked;
        panic!("as the test wants it");
    })
    .join()
    .unwrap_err();
    let (status, told) = probe(&lifesigns, "/startupz?verbose", true).await;
    assert_eq!(status, 503);
    for line in [
        "[-]startup:dropped failed: it was given up before it was done\n",
        "[-]startup:failed failed: no table\u{fffd}users\n",
        "[-]startup:panicked failed: it panicked\n",
    ] {
        assert!(told.contains(line), "{told}");
    }
    assert_eq!(probe(&lifesigns, "/livez", false).await.0, 200, "a restart is for others to decide");
    for name in ["dropped", "failed", "panicked"] {
        lifesigns.starting_task(name).done();
    }
    assert_eq!(probe(&lifesigns, "/readyz", false).await.0, 200);
}

/// A server that ends as the documentation of [`Lifesigns::drain`] says, and what it is driven by.
struct Server {
    lifesigns: Lifesigns,
    address: SocketAddr,
    /// Lets the slow route answer.
    go: Arc<Notify>,
    /// Lets no one else in.
    close: Option<tokio::sync::oneshot::Sender<()>>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start() -> Server {
        let lifesigns = builder().start().unwrap();
        let go = Arc::new(Notify::new());
        let slow = {
            let go = go.clone();
            get(move || async move {
                go.notified().await;
                "slow"
            })
        };
        let app = Router::new().route("/slow", slow).route("/", get(|| async { "fast" }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (close, closed) = tokio::sync::oneshot::channel::<()>();
        let server = axum::serve(listener, app.layer(lifesigns.layer()))
            .with_graceful_shutdown(async { closed.await.unwrap_or_default() });
        let serving = tokio::spawn(server.into_future());
        Server { lifesigns, address, go, close: Some(close), serving }
    }

    async fn get(&self, path: &str) -> String {
        ask(self.address, path).await
    }
}

/// All that comes back on a connection of its own.
async fn ask(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_drains_without_losing_what_is_under_way() {
    let mut server = Server::start().await;
    let clients: Vec<_> = (0..20).map(|_| tokio::spawn(ask(server.address, "/slow"))).collect();
    until("20 are under way", async || server.lifesigns.own().in_flight() == 20).await;

    server.lifesigns.drain();
    assert!(server.get("/readyz").await.starts_with("HTTP/1.1 503"), "at once");
    let light = server.get("/health/status").await;
    assert!(light.starts_with("HTTP/1.1 503") && light.contains("retry-after: 30"), "{light}");
    assert!(server.get("/").await.ends_with("fast"), "everything is still served");
    assert!(server.get("/livez").await.starts_with("HTTP/1.1 200"));
    let (_, told) = probe(&server.lifesigns, "/readyz?verbose", true).await;
    assert!(told.contains("[-]shutdown failed: the process is about to end; 20 in flight"), "{told}");

    drop(server.close.take());
    assert_eq!(server.lifesigns.drained(Duration::from_millis(50)).await, 20);
    until("all are answered", async || {
        server.go.notify_waiters();
        server.lifesigns.in_flight() == 0
    })
    .await;
    assert_eq!(server.lifesigns.drained(PATIENCE).await, 0);
    server.serving.await.unwrap().unwrap();
    for client in clients {
        assert!(client.await.unwrap().ends_with("slow"));
    }
    server.lifesigns.shutdown(PATIENCE).unwrap();
    assert_eq!(server.lifesigns.own().snapshot().phase, Phase::Stopped);
    let (status, _) = probe(&server.lifesigns, "/readyz", false).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE.as_u16());
}

#[tokio::test]
async fn what_is_cut_off_is_not_the_clients_doing() {
    let lifesigns = builder().start().unwrap();
    let request = Request::get("/slow").body(()).unwrap();
    let exchange = lifesigns.own().begin(request.method(), request.headers());
    assert_eq!(lifesigns.drained(Duration::ZERO).await, 1);
    lifesigns.cut_off();
    drop(exchange);
    assert_eq!(lifesigns.drained(PATIENCE).await, 0);
    lifesigns.flush(PATIENCE).unwrap();
    let traffic = lifesigns.own().snapshot().traffic;
    assert!(FailedBy::Gateway.counts_against_service());
    assert_eq!((traffic.exchanges, traffic.failures), (1, 1));
}
