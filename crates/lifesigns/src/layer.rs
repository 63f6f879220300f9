//! The tower layer: answers the health resources and records everything else.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use lifesigns_model::exchange::FailedBy;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::process::{Api, Lifesigns};
use crate::record::{Exchange, RequestBody, ResponseBody};
use crate::resources::{self, Caller, Resource, normalize_path, prepared};
use crate::settings::Listener;

impl Lifesigns {
    /// The layer that puts the health resources into an API and records its traffic.
    ///
    /// Put it outermost, so that everything that callers get has passed it. It answers requests for the resources
    /// itself, in every spelling of their paths; they never reach the service inside, and are not counted as its
    /// traffic. With axum, routes are taken from what has matched; elsewhere ids in paths are recognised.
    ///
    /// An answer from 500 on counts as a failure of the API. Where it is none, since saying so is what was asked for,
    /// the answer's extensions say who has failed:
    ///
    /// ```
    /// use http::{Response, StatusCode};
    /// use lifesigns::FailedBy;
    ///
    /// let mut answer = Response::new("the printer is out");
    /// *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    /// answer.extensions_mut().insert(FailedBy::Nobody);
    /// ```
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use lifesigns::Lifesigns;
    ///
    /// let lifesigns = Lifesigns::builder("hello").start()?;
    /// let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(lifesigns.layer());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn layer(&self) -> HealthLayer {
        HealthLayer { lifesigns: self.clone() }
    }
}

/// Layer that makes a [`HealthService`].
#[derive(Clone, Debug)]
pub struct HealthLayer {
    lifesigns: Lifesigns,
}

impl<S> Layer<S> for HealthLayer {
    type Service = HealthService<S>;

    fn layer(&self, inner: S) -> HealthService<S> {
        HealthService { inner, api: self.lifesigns.own() }
    }
}

/// Service that answers the health resources and records what passes to the service inside.
#[derive(Clone, Debug)]
pub struct HealthService<S> {
    inner: S,
    api: Api,
}

impl<S, Q, R> Service<Request<Q>> for HealthService<S>
where
    S: Service<Request<RequestBody<Q>>, Response = Response<R>>,
    Q: Body + Send + 'static,
    Q::Data: Send,
    R: Body<Data = Bytes>,
{
    type Response = Response<ServiceBody<R>>;
    type Error = S::Error;
    type Future = ServiceFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Q>) -> ServiceFuture<S::Future> {
        let path = normalize_path(request.uri().path());
        if let Some(resource) = Resource::find(self.api.state(), &path, Listener::Public) {
            let caller = caller(&request, Listener::Public);
            drop(path);
            if !resource.kind().may_take_time() {
                let (method, headers) = (request.method(), request.headers());
                if let Some(response) = prepared::answer(&self.api, &resource, method, headers) {
                    return ServiceFuture::Answered { response: Some(response) };
                }
                let (parts, _) = request.into_parts();
                let response = resources::answer_at_once(&self.api, &resource, caller, &parts);
                return ServiceFuture::Answered { response: Some(response) };
            }
            let api = self.api.clone();
            let answer = async move { resources::answer(&api, resource, caller, request).await };
            return ServiceFuture::Resource { answer: Box::pin(answer) };
        }
        let mut exchange = self.api.begin(request.method(), request.headers());
        set_route(&mut exchange, &request);
        let request = request.map(|body| exchange.request_body(body));
        ServiceFuture::Inner { future: self.inner.call(request), exchange: Some(exchange) }
    }
}

#[cfg(feature = "axum")]
pub(crate) fn caller<B>(request: &Request<B>, listener: Listener) -> Caller {
    let peer = request.extensions().get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
    Caller { peer: peer.map(|peer| peer.0.ip()), listener }
}

#[cfg(not(feature = "axum"))]
fn caller<B>(_request: &Request<B>, listener: Listener) -> Caller {
    Caller { peer: None, listener }
}

#[cfg(feature = "axum")]
fn set_route<B>(exchange: &mut Exchange, request: &Request<B>) {
    match request.extensions().get::<axum::extract::MatchedPath>() {
        Some(route) => exchange.set_route(route.as_str()),
        None => exchange.guess_route(request.uri().path()),
    }
}

#[cfg(not(feature = "axum"))]
fn set_route<B>(exchange: &mut Exchange, request: &Request<B>) {
    exchange.guess_route(request.uri().path());
}

pin_project! {
    /// Future of a [`HealthService`].
    #[project = ServiceFutureProjection]
    #[allow(missing_docs)]
    pub enum ServiceFuture<F> {
        /// A health resource that was answered at once; `None` once the answer has been given.
        Answered { response: Option<Response<Full<Bytes>>> },
        /// A health resource that takes its time.
        Resource { answer: Pin<Box<dyn Future<Output = Response<Full<Bytes>>> + Send>> },
        /// The service inside.
        Inner { #[pin] future: F, exchange: Option<Exchange> },
    }
}

impl<F, R, E> Future for ServiceFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body<Data = Bytes>,
{
    type Output = Result<Response<ServiceBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            ServiceFutureProjection::Answered { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response.map(|body| ServiceBody::Resource { body }))),
                // Nobody polls a future again after its end; who does gets nothing.
                None => Poll::Pending,
            },
            ServiceFutureProjection::Resource { answer } => {
                let response = ready!(answer.as_mut().poll(context));
                Poll::Ready(Ok(response.map(|body| ServiceBody::Resource { body })))
            }
            ServiceFutureProjection::Inner { future, exchange } => {
                let result = ready!(future.poll(context));
                let exchange = exchange.take();
                match result {
                    Ok(response) => {
                        let status = response.status();
                        let failed_by = response.extensions().get().copied();
                        let failed_by = failed_by.unwrap_or_else(|| FailedBy::of_status(status.as_u16()));
                        let said_length =
                            || response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
                        let length = response.body().size_hint().exact().or_else(said_length);
                        Poll::Ready(Ok(response.map(|body| match exchange {
                            Some(exchange) => {
                                let body = exchange.answer_of_length(status, failed_by, length, body);
                                ServiceBody::Recorded { body }
                            }
                            None => ServiceBody::Bare { body },
                        })))
                    }
                    Err(error) => {
                        // What becomes of the error is decided further out; for the client it is a failure.
                        if let Some(exchange) = exchange {
                            let status = StatusCode::INTERNAL_SERVER_ERROR;
                            drop(exchange.answer(status, FailedBy::Upstream, Full::<Bytes>::default()));
                        }
                        Poll::Ready(Err(error))
                    }
                }
            }
        }
    }
}

pin_project! {
    /// Body of a response of a [`HealthService`].
    #[project = ServiceBodyProjection]
    #[allow(missing_docs)]
    pub enum ServiceBody<B: Body> {
        /// Of a health resource.
        Resource { #[pin] body: Full<Bytes> },
        /// Of the service inside, recorded when it ends.
        Recorded { #[pin] body: ResponseBody<B> },
        /// Of the service inside, polled again after its future had ended.
        Bare { #[pin] body: B },
    }
}

impl<B: Body<Data = Bytes>> Body for ServiceBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project() {
            ServiceBodyProjection::Resource { body } => {
                body.poll_frame(context).map_err(|never| match never {})
            }
            ServiceBodyProjection::Recorded { body } => body.poll_frame(context),
            ServiceBodyProjection::Bare { body } => body.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ServiceBody::Resource { body } => body.is_end_stream(),
            ServiceBody::Recorded { body } => body.is_end_stream(),
            ServiceBody::Bare { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ServiceBody::Resource { body } => body.size_hint(),
            ServiceBody::Recorded { body } => body.size_hint(),
            ServiceBody::Bare { body } => body.size_hint(),
        }
    }
}
