//! Running a check, and peers that behave as a test wants.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lifesigns::model::check::Outcome;
use lifesigns_checks::{BadOption, Check, FailureKind, Report};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything here may take.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Runs a check that ends by itself.
pub(crate) async fn run(check: Result<Check, BadOption>) -> Report {
    let check = check.unwrap();
    timeout(LONG, check.run_once()).await.unwrap_or_else(|_| panic!("{} never ended", check.name()))
}

/// Runs a check that never ends, as far as its deadline.
pub(crate) async fn run_to_deadline(check: &Check, deadline: Duration) {
    let result = timeout(deadline, check.run_once()).await;
    assert!(result.is_err(), "{} has ended: {result:?}", check.name());
}

#[track_caller]
pub(crate) fn assert_passes(report: &Report) {
    assert_eq!((report.outcome, report.failure), (Outcome::Pass, None), "{:?}", report.output);
}

/// The report fails in this way, and says something with these words.
#[track_caller]
pub(crate) fn assert_fails(report: &Report, kind: FailureKind, words: &str) {
    let output = report.output.as_deref().unwrap_or_default();
    assert_eq!((report.outcome, report.failure), (Outcome::Fail, Some(kind)), "{output}");
    assert!(output.contains(words), "`{words}` is not in: {output}");
}

#[track_caller]
pub(crate) fn assert_warns(report: &Report, words: &str) {
    let output = report.output.as_deref().unwrap_or_default();
    assert_eq!((report.outcome, report.failure), (Outcome::Warn, None), "{output}");
    assert!(output.contains(words), "`{words}` is not in: {output}");
}

#[track_caller]
pub(crate) fn assert_refused(check: Result<Check, BadOption>, option: &str) {
    let error = check.err().unwrap_or_else(|| panic!("`{option}` was taken"));
    assert_eq!(error.option, option, "{error}");
}

/// Waits until something is true that other processes or tasks have to do.
pub(crate) async fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !is_true() {
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A TCP server on a free port. It ends when it is dropped.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl Peer {
    /// Each connection is given to `serve`.
    pub(crate) async fn start<F, Fut>(serve: F) -> Peer
    where
        F: Fn(TcpStream) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (all, now) = (Arc::clone(&connections), Arc::clone(&open));
        let server = tokio::spawn(async move {
            let mut served = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                all.fetch_add(1, Ordering::SeqCst);
                now.fetch_add(1, Ordering::SeqCst);
                let (serving, now) = (serve(stream), Arc::clone(&now));
                served.spawn(async move {
                    serving.await;
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Peer { address, connections, open, heard: Arc::default(), server }
    }

    /// An HTTP server that answers every request with these bytes, and then closes the connection.
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Peer {
        let (answer, heard) = (Arc::new(answer.into()), Arc::new(Mutex::new(Vec::new())));
        let log = Arc::clone(&heard);
        let mut peer = Peer::start(move |mut stream| {
            let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
            async move {
                let request = read_head(&mut stream).await;
                log.lock().unwrap().push(request);
                // Whoever has heard enough hangs up.
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            }
        })
        .await;
        peer.heard = heard;
        peer
    }

    /// Takes connections, and then neither says nor closes anything until the other side does.
    pub(crate) async fn hung() -> Peer {
        Peer::start(read_to_end).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// What clients have asked, each up to the empty line.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// Waits until `all` connections were there, and all of them are closed.
    pub(crate) async fn is_left_alone_after(&self, all: usize) {
        eventually("all connections were closed", || {
            self.connections() == all && self.open.load(Ordering::SeqCst) == 0
        })
        .await;
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Reads until the client has closed its side.
pub(crate) async fn read_to_end(mut stream: impl AsyncRead + Unpin) {
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await.is_ok_and(|length| length > 0) {}
}

/// A request up to the empty line.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => break,
            Ok(length) => head.extend_from_slice(&piece[..length]),
        }
    }
    String::from_utf8(head).unwrap()
}

/// An address where nobody listens.
pub(crate) async fn deserted() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// An HTTP answer with this body.
pub(crate) fn answer(status: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}")
}
