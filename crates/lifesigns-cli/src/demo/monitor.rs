//! The monitor that watches everything there is, and somebody whom it tells.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use lifesigns::{Identity, Lifesigns, Token};
use lifesigns_model::history::HistoryStore;
use lifesigns_monitor::alerts::channel::{Channel, Webhook, WebhookOptions};
use lifesigns_monitor::alerts::rules::Route;
use lifesigns_monitor::{AccessOptions, Counts, Fleet, Options, ServeOptions, Target, serve};
use lifesigns_store::history::{HistoryRetention, MemoryHistory};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use url::Url;

use super::world::{not_started, not_stopped};
use crate::printer::Problem;

/// How often each service is asked, a red one as well: nobody wants to wait before a screen.
const INTERVAL: Duration = Duration::from_secs(1);
/// A slow machine is no outage.
const DEADLINE: Duration = Duration::from_secs(5);
/// Outages that begin within this time of each other belong together.
const CASCADE: Duration = Duration::from_secs(20);
/// How long to wait for others before the first message of an incident, in milliseconds.
const GROUP_WAIT: i64 = 4_000;
/// What is known besides the light is asked of those whose light comes without it every so many polls.
const FULL_EVERY: u32 = 60;
/// For pages under way at the end. One that is open in a browser listens for ever.
const LAST_PAGES: Duration = Duration::from_millis(500);
/// Messages that nobody has read yet.
const MOST_MESSAGES: usize = 64;

/// The monitor at work.
pub(super) struct Monitor {
    /// Where its pages are.
    pub(super) address: SocketAddr,
    fleet: Fleet,
    lifesigns: Lifesigns,
    stop_asking: oneshot::Sender<()>,
    asking: JoinHandle<()>,
    stop_answering: oneshot::Sender<()>,
    answering: JoinHandle<()>,
}

/// A message as it was received.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub(super) struct Told {
    /// `opened`, `updated`, `reminder`, `resolved`.
    pub(super) kind: String,
    /// What it says in a line. A stranger's text.
    pub(super) title: String,
}

/// What is watched: its name, where it tells how it is, and what it needs.
pub(super) fn target(name: &str, url: &str, depends_on: &[&str]) -> Result<Target, Problem> {
    let url: Url = url.parse().map_err(not_started)?;
    Ok(Target {
        depends_on: depends_on.iter().map(|name| Arc::from(*name)).collect(),
        interval: INTERVAL,
        deadline: DEADLINE,
        environment: Some("demo".to_owned()),
        is_public: true,
        ..Target::new(name, url)
    })
}

/// A receiver of messages, and what it receives. What it has no room for it refuses, and is sent again.
pub(super) fn receiver() -> (Router, mpsc::Receiver<Told>) {
    let (sender, receiver) = mpsc::channel(MOST_MESSAGES);
    (Router::new().route("/", post(take)).with_state(sender), receiver)
}

async fn take(State(messages): State<mpsc::Sender<Told>>, body: Bytes) -> StatusCode {
    let Ok(told) = serde_json::from_slice(&body) else { return StatusCode::BAD_REQUEST };
    match messages.try_send(told) {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl Monitor {
    /// Watches these, tells `receiver`, and serves its pages at `listener`.
    pub(super) fn start(
        listener: TcpListener,
        targets: Vec<Target>,
        receiver: SocketAddr,
        identity: Identity,
        token: Token,
    ) -> Result<Monitor, Problem> {
        let address = listener.local_addr().map_err(not_started)?;
        let store: Arc<dyn HistoryStore> = Arc::new(MemoryHistory::new(HistoryRetention::default()));
        let webhook =
            Webhook::new(&WebhookOptions::new(format!("http://{receiver}/"))).map_err(not_started)?;
        let route = Route { group_wait: GROUP_WAIT, ..Route::new("screen") };
        let options = Options {
            targets,
            routes: vec![(route, Channel::Webhook(webhook))],
            cascade: CASCADE,
            link: Some(format!("http://{address}")),
            red_interval: INTERVAL,
            full_every: FULL_EVERY,
            ..Options::default()
        };
        let fleet = Fleet::open(options, store).map_err(not_started)?;
        let access = AccessOptions { is_open_to_this_machine: true, ..AccessOptions::default() };
        let lifesigns = Lifesigns::builder("lifesigns-monitor")
            .identity(identity)
            .token(token)
            .fleet(fleet.status(&access))
            .start()
            .map_err(not_started)?;
        let router = fleet.router(&lifesigns, ServeOptions { title: "Demo".to_owned(), access });
        let (stop_asking, asked) = oneshot::channel();
        let (stop_answering, answered) = oneshot::channel();
        let asking = tokio::spawn({
            let fleet = fleet.clone();
            async move { fleet.watch(asked).await }
        });
        let answering = tokio::spawn(serve(listener, router, lifesigns.clone(), answered));
        Ok(Monitor { address, fleet, lifesigns, stop_asking, asking, stop_answering, answering })
    }

    /// How many services have which light.
    pub(super) fn counts(&self) -> Counts {
        self.fleet.counts()
    }

    /// Stops to ask, and to answer.
    pub(super) async fn stop(self) -> Result<Lifesigns, Problem> {
        // Whoever has ended by itself does not listen any more, and is told of below.
        let _ = self.stop_asking.send(());
        let _ = self.stop_answering.send(());
        self.asking.await.map_err(not_stopped)?;
        let mut answering = self.answering;
        match timeout(LAST_PAGES, &mut answering).await {
            Ok(ended) => ended.map_err(not_stopped)?,
            Err(_) => {
                answering.abort();
                // It was cut off, unless it has just ended.
                let _ = answering.await;
            }
        }
        Ok(self.lifesigns)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_receiver_takes_messages_until_it_has_no_room() {
        let (app, mut received) = receiver();
        let send = async |body: &'static str| {
            let request = Request::post("/").body(Body::from(body)).unwrap();
            app.clone().oneshot(request).await.unwrap().status()
        };
        assert_eq!(send("{}").await, StatusCode::BAD_REQUEST);
        for _ in 0..MOST_MESSAGES {
            let message = r#"{"kind":"opened","title":"RED: orders and 3 more","light":"red"}"#;
            assert_eq!(send(message).await, StatusCode::NO_CONTENT);
        }
        assert_eq!(send(r#"{"kind":"opened","title":"RED: cart"}"#).await, StatusCode::SERVICE_UNAVAILABLE);
        let first = received.recv().await.unwrap();
        assert_eq!((&*first.kind, &*first.title), ("opened", "RED: orders and 3 more"));
    }
}
