//! Steady mixed traffic from several client apps, over real sockets.

mod plan;

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use self::plan::{Errand, Memory, Planned};
use super::random::Random;

/// A request that has no answer by then has failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests that could not be sent in time are made up for, but no more of them than fit into this.
const MOST_LAG: Duration = Duration::from_secs(1);

/// A program that calls the APIs.
struct ClientApp {
    /// What it sends as `X-Client-Id`, if it says who it is.
    id: Option<&'static str>,
    /// How many connections it keeps, each with one request at a time.
    connections: u32,
    /// How long a connection waits from one request to the next, on average.
    pause: Duration,
    /// What it does, and how often.
    errands: &'static [(Errand, u64)],
}

/// Together they send about 40 requests a second.
const CLIENT_APPS: [ClientApp; 5] = [
    ClientApp {
        id: Some("mobile-app"),
        connections: 4,
        pause: Duration::from_millis(285),
        errands: &[(Errand::Polls, 6), (Errand::Account, 4), (Errand::Shopping, 3), (Errand::Paying, 4)],
    },
    ClientApp {
        id: Some("web-shop"),
        connections: 4,
        pause: Duration::from_millis(333),
        errands: &[(Errand::Shopping, 7), (Errand::Paying, 5), (Errand::Account, 2), (Errand::Invoicing, 2)],
    },
    ClientApp {
        id: Some("partner-acme"),
        connections: 2,
        pause: Duration::from_millis(333),
        errands: &[(Errand::Integrating, 5), (Errand::Invoicing, 3), (Errand::Paying, 2)],
    },
    ClientApp {
        id: Some("nightly-batch"),
        connections: 1,
        pause: Duration::from_millis(250),
        errands: &[(Errand::Subscribing, 6), (Errand::Invoicing, 2)],
    },
    ClientApp {
        id: None,
        connections: 2,
        pause: Duration::from_millis(500),
        errands: &[(Errand::Polls, 5), (Errand::Subscribing, 2), (Errand::Wandering, 1)],
    },
];

/// What became of the requests.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Tally {
    /// Requests that got an answer, whatever it was.
    pub(super) answered: u64,
    /// Requests that got none.
    pub(super) failed: u64,
}

/// Sends requests to `gateway` until `stop` turns true or its sender is gone, then lets those on their way end.
pub(super) async fn run(gateway: SocketAddr, seed: u64, stop: watch::Receiver<bool>) -> Tally {
    let mut connections = JoinSet::new();
    let mut number = 0;
    for app in &CLIENT_APPS {
        for _ in 0..app.connections {
            number += 1;
            let caller = Caller {
                app,
                gateway,
                random: Random::new(seed ^ (number << 32)),
                memory: Memory::default(),
                sender: None,
            };
            connections.spawn(caller.call_until(stop.clone()));
        }
    }
    let mut total = Tally::default();
    for tally in connections.join_all().await {
        total.answered += tally.answered;
        total.failed += tally.failed;
    }
    total
}

/// One connection of a client app.
struct Caller {
    app: &'static ClientApp,
    gateway: SocketAddr,
    random: Random,
    memory: Memory,
    /// The open connection. After a failure there is none, and the next request opens one.
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Caller {
    async fn call_until(mut self, mut stop: watch::Receiver<bool>) -> Tally {
        let mut tally = Tally::default();
        let mut due = Instant::now();
        loop {
            let earliest = Instant::now().checked_sub(MOST_LAG).unwrap_or(due);
            due = due.max(earliest) + self.random.pause(self.app.pause);
            tokio::select! {
                () = sleep_until(due) => {}
                _ = stop.wait_for(|stop| *stop) => return tally,
            }
            let errand = plan::choose(self.app.errands, &self.random);
            let planned = plan::plan(errand, &self.memory, &self.random);
            if let Ok(Ok(made)) = timeout(PATIENCE, self.call(&planned)).await {
                tally.answered += 1;
                self.memory.learn(&planned, made);
            } else {
                tally.failed += 1;
                self.sender = None;
            }
        }
    }

    /// Sends one request and reads the answer to its end; gives the body of a 201.
    async fn call(
        &mut self,
        planned: &Planned,
    ) -> Result<Option<Value>, Box<dyn std::error::Error + Send + Sync>> {
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => self.connect().await?,
        };
        sender.ready().await?;
        let mut request = Request::builder()
            .method(planned.method.clone())
            .uri(&*planned.path)
            .header(header::HOST, self.gateway.to_string());
        if let Some(id) = self.app.id {
            request = request.header("x-client-id", id);
        }
        if planned.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = Full::from(planned.body.clone().unwrap_or_default());
        let response = sender.send_request(request.body(body)?).await?;
        let created = response.status() == StatusCode::CREATED;
        let body = response.into_body().collect().await?.to_bytes();
        self.sender = Some(sender);
        Ok(if created { serde_json::from_slice(&body).ok() } else { None })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(self.gateway).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // How the connection ends is seen by whoever sends on it; it ends with the sender at the latest.
        tokio::spawn(connection);
        Ok(sender)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use axum::Router;
    use axum::http::HeaderMap;
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn together_they_send_about_40_requests_a_second() {
        let rate: f64 =
            CLIENT_APPS.iter().map(|app| f64::from(app.connections) / app.pause.as_secs_f64()).sum();
        assert!((38.0..=42.0).contains(&rate), "{rate}");
    }

    #[tokio::test]
    async fn every_client_app_calls_until_it_is_told_to_stop() {
        let (seen, mut calls) = mpsc::unbounded_channel();
        let app = Router::new().fallback(async move |headers: HeaderMap| {
            let id = headers.get("x-client-id").map(|id| id.to_str().unwrap().to_owned());
            seen.send(id).unwrap();
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(axum::serve(listener, app).into_future());
        let (stop, stopped) = watch::channel(false);
        let traffic = tokio::spawn(run(address, 1, stopped));

        let mut apps = HashSet::new();
        let mut count = 0;
        while apps.len() < CLIENT_APPS.len() {
            apps.insert(timeout(PATIENCE, calls.recv()).await.unwrap().unwrap());
            count += 1;
        }
        stop.send(true).unwrap();
        let tally = timeout(PATIENCE, traffic).await.unwrap().unwrap();
        server.abort();
        assert!(server.await.unwrap_err().is_cancelled());
        calls.close();
        while calls.recv().await.is_some() {
            count += 1;
        }
        assert_eq!(tally, Tally { answered: count, failed: 0 });
    }

    #[tokio::test]
    async fn a_gateway_that_is_not_there_is_no_reason_to_stop() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let traffic = tokio::spawn(run(address, 1, stopped));
        for _ in 0..20 {
            drop(timeout(PATIENCE, listener.accept()).await.unwrap().unwrap());
        }
        stop.send(true).unwrap();
        drop(listener);
        let tally = timeout(PATIENCE, traffic).await.unwrap().unwrap();
        assert_eq!(tally.answered, 0);
        assert!(tally.failed >= 20, "{tally:?}");
    }
}
