//! The monitor as a server: pages, resources, and its own health.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request};
use axum::http::header::{ALLOW, CONNECTION, CONTENT_LENGTH};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use lifesigns::{FleetStatus, Lifesigns};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::{Layer, ServiceExt, service_fn};

use crate::access::{self, AccessOptions, Door};
use crate::connections::{Connections, Place};
use crate::fleet::Fleet;
use crate::resources::problem;
use crate::resources::status::AllServices;
use crate::{login, pages, resources};

/// For the head of a request, and for silence before it.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);
/// For the body of a request and the head of its answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(15);
/// Connections at a time; with more the longest silent one goes.
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
    /// What `/status` of a monitor says; for [`lifesigns::Builder::fleet`]. Whoever is let in without a token sees every
    /// service there, and so does whoever has one; strangers see public ones.
    pub fn status(&self, access: &AccessOptions) -> Arc<dyn FleetStatus> {
        Arc::new(AllServices {
            fleet: self.clone(),
            access: access.clone(),
            own: access::own_host(self.inner.link.as_deref()),
        })
    }

    /// Everything that the monitor serves: its pages, what programs ask of it, and its own health resources.
    pub fn router(&self, lifesigns: &Lifesigns, options: ServeOptions) -> Router {
        let AccessOptions { is_open_to_this_machine, are_decisions_open, .. } = options.access;
        let has_login = !is_open_to_this_machine;
        let settings = pages::Settings { title: options.title, link: self.inner.link.clone(), has_login };
        let door = Door::new(lifesigns.clone(), options.access, settings.clone());
        let operators = resources::operators(self)
            .merge(pages::router(self.clone(), settings.clone()))
            .layer(from_fn_with_state(door.clone(), access::operators_only));
        let figures =
            resources::figures(self).layer(from_fn_with_state(door.clone(), access::readers_of_figures));
        let writers = resources::writers(self)
            .merge(pages::writers(self.clone(), settings.clone()))
            .layer(from_fn_with_state(door.clone(), access::writers_only));
        let everybody = resources::everybody(self, are_decisions_open)
            .merge(pages::public_router(self.clone(), settings))
            .layer(from_fn_with_state(door.clone(), access::everybody));
        let router = operators.merge(figures).merge(writers).merge(everybody).merge(login::router(&door));
        // What can be done is said by the router as a whole, outside of its own layers.
        Router::new().fallback_service(router).layer(from_fn(methods)).layer(from_fn(in_time))
    }
}

/// A request whose body does not come, or whose answer is not begun, does not keep its connection.
async fn in_time(request: Request, next: Next) -> Response {
    let is_awaited = Arc::default();
    let request = request.map(|body| Body::new(Coming { body, is_awaited: Arc::clone(&is_awaited) }));
    let response = timeout(ANSWER_PATIENCE, next.run(request)).await;
    response.unwrap_or_else(|_| {
        let response = if is_awaited.load(Relaxed) {
            StatusCode::REQUEST_TIMEOUT.into_response()
        } else {
            let says = "The monitor is too busy to answer this in time; try again in a minute.";
            problem(StatusCode::SERVICE_UNAVAILABLE, says)
        };
        ([(CONNECTION, "close")], response).into_response()
    })
}

/// The body of a request, and whether somebody waits for more of it.
struct Coming {
    body: Body,
    is_awaited: Arc<AtomicBool>,
}

impl hyper::body::Body for Coming {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.is_awaited.store(frame.is_pending(), Relaxed);
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// `OPTIONS` is answered with what there is (RFC 9110 §9.3.7), as health resources answer it.
async fn methods(request: Request, next: Next) -> Response {
    let is_question = request.method() == Method::OPTIONS;
    let mut response = next.run(request).await;
    if response.status() != StatusCode::METHOD_NOT_ALLOWED {
        return response;
    }
    let known = response.headers().get(ALLOW).and_then(|known| known.to_str().ok()).unwrap_or_default();
    let all: Vec<&str> = known.split(',').map(str::trim).chain(["OPTIONS"]).collect();
    if let Ok(all) = HeaderValue::try_from(all.join(", ")) {
        response.headers_mut().insert(ALLOW, all);
    }
    if is_question {
        *response.status_mut() = StatusCode::NO_CONTENT;
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    response
}

/// Serves until `stop` is done, or gone; what is in progress then may end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    lifesigns: Lifesigns,
    mut stop: oneshot::Receiver<()>,
) {
    let present = Connections::new(MOST_CONNECTIONS);
    let mut connections = JoinSet::new();
    let (closing, closed) = tokio::sync::watch::channel(());
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stop => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (router, lifesigns) = (router.clone(), lifesigns.clone());
                connections.spawn(answer(stream, peer, present.admit(), router, lifesigns, closed.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                sleep(BREATH).await;
            }
        }
    }
    drop(listener);
    drop(closing);
    let ended = timeout(LAST_REQUESTS, async { while connections.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        tracing::info!("requests in progress were cut off");
    }
}

/// Answers the requests of one connection.
async fn answer(
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    router: Router,
    lifesigns: Lifesigns,
    mut closed: tokio::sync::watch::Receiver<()>,
) {
    let service = lifesigns.layer().layer(router);
    let io = TokioIo::new(place.watch(stream));
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer));
        let under_way = place.begin();
        let answer = service.clone().oneshot(request);
        async move { answer.await.map(|answer| answer.map(|body| under_way.with(Body::new(body)))) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_buf_size(64 * 1024);
    let connection = http.serve_connection(io, TowerToHyperService::new(service));
    tokio::pin!(connection);
    // How a connection ends is for its client to know.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = place.is_needed() => {}
        _ = closed.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use axum::routing::post;

    use super::*;

    /// A body of which no more comes.
    struct Stuck;

    impl hyper::body::Body for Stuck {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_the_monitor_was_too_slow_for_was_the_fault_of_the_client() {
        let slow = post(async |_: Bytes| pending::<()>().await);
        let router = Router::new().route("/", slow).layer(from_fn(in_time));
        let check = async |body: Body, expected: StatusCode| {
            let answer = router.clone().oneshot(Request::post("/").body(body).unwrap()).await.unwrap();
            assert_eq!(answer.status(), expected);
            assert_eq!(answer.headers()[CONNECTION], "close");
        };
        check(Body::from("by=kim"), StatusCode::SERVICE_UNAVAILABLE).await;
        check(Body::empty(), StatusCode::SERVICE_UNAVAILABLE).await;
        check(Body::new(Stuck), StatusCode::REQUEST_TIMEOUT).await;
    }
}
