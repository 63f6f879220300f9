//! The monitor as a server: pages, resources, and its own health.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
use axum::http::header::CONNECTION;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use lifesigns::{FleetStatus, Lifesigns};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::{Layer, ServiceExt};

use crate::access::{self, AccessOptions, Door};
use crate::fleet::Fleet;
use crate::resources::status::AllServices;
use crate::{login, pages, resources};

/// For the head of a request, and for silence before it.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);
/// For the body of a request and the head of its answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(15);
/// Connections at a time; more wait.
const MOST_CONNECTIONS: usize = 1_000;
/// For requests in progress at the end.
const LAST_REQUESTS: Duration = Duration::from_secs(2);
/// After a connection that could not be taken.
const BREATH: Duration = Duration::from_millis(50);

/// How the monitor serves.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// What the pages are called.
    pub title: String,
    /// Who is let in.
    pub access: AccessOptions,
}

impl Fleet {
    /// What `/status` of a monitor says; for [`lifesigns::Builder::fleet`]. With `is_open` everybody sees every
    /// service, otherwise strangers see public ones.
    pub fn status(&self, is_open: bool) -> Arc<dyn FleetStatus> {
        Arc::new(AllServices { fleet: self.clone(), is_open })
    }

    /// Everything that the monitor serves: its pages, what programs ask of it, and its own health resources.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn router(&self, lifesigns: &Lifesigns, options: ServeOptions) -> io::Result<Router> {
        let has_login = !options.access.is_open_to_this_machine;
        let door = Door::new(lifesigns.clone(), options.access)
            .map_err(|_| io::Error::other("the system gives no random numbers"))?;
        let settings = pages::Settings { title: options.title, link: self.inner.link.clone(), has_login };
        let operators = resources::operators(self)
            .merge(pages::router(self.clone(), settings.clone()))
            .layer(from_fn_with_state(door.clone(), access::operators_only));
        let figures =
            resources::figures(self).layer(from_fn_with_state(door.clone(), access::readers_of_figures));
        let writers = resources::writers(self).layer(from_fn_with_state(door.clone(), access::writers_only));
        let everybody = resources::everybody(self)
            .merge(pages::public_router(self.clone(), settings))
            .layer(from_fn_with_state(door.clone(), access::everybody));
        let router = operators.merge(figures).merge(writers).merge(everybody).merge(login::router(&door));
        Ok(router.layer(from_fn(in_time)))
    }
}

/// A request whose body does not come, or whose answer is not begun, does not keep its connection.
async fn in_time(request: Request, next: Next) -> Response {
    match timeout(ANSWER_PATIENCE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::REQUEST_TIMEOUT, [(CONNECTION, "close")]).into_response(),
    }
}

/// Serves until `stop` is done, or gone; what is in progress then may end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    lifesigns: Lifesigns,
    mut stop: oneshot::Receiver<()>,
) {
    let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut connections = JoinSet::new();
    let (closing, closed) = tokio::sync::watch::channel(());
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = async {
                // The semaphore is never closed.
                let slot = Arc::clone(&slots).acquire_owned().await;
                (slot, listener.accept().await)
            } => accepted,
            _ = &mut stop => break,
        };
        let (slot, stream, peer) = match accepted {
            (Ok(slot), Ok((stream, peer))) => (slot, stream, peer),
            (_, Err(error)) => {
                tracing::warn!(%error, "a connection could not be taken");
                sleep(BREATH).await;
                continue;
            }
            (Err(_), Ok(_)) => continue,
        };
        let service = lifesigns.layer().layer(router.clone());
        let service = service.map_request(move |mut request: hyper::Request<_>| {
            request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer));
            request
        });
        let mut closed = closed.clone();
        connections.spawn(async move {
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_buf_size(64 * 1024);
            let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
            tokio::pin!(connection);
            // How a connection ends is for its client to know.
            tokio::select! {
                _ = connection.as_mut() => {}
                _ = closed.changed() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
            drop(slot);
        });
    }
    drop(listener);
    drop(closing);
    let ended = timeout(LAST_REQUESTS, async { while connections.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        tracing::info!("requests in progress were cut off");
    }
}
