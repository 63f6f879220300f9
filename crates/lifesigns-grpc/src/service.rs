//! The three methods of the service.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body as HttpBody;
use lifesigns::model::light::Light;
use lifesigns::model::verdict::Phase;
use lifesigns::{Api, Lifesigns, Snapshot};
use tokio::sync::{Semaphore, watch};
use tonic::Status;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, ServerStreamingService, UnaryService};
use tower_service::Service;

use crate::codec::HealthCodec;
use crate::message::{Asked, ServingStatus, Told};
use crate::presence::Busy;
use crate::watch::{Watcher, Watching};

/// Bytes of a request's message. A name of a service is the only thing in it.
const MAX_MESSAGE: usize = 4096;

/// Services that are listed at most, as the definition of `List` has it.
const MAX_LISTED: usize = 100;

/// Streams of `Watch` at the same time.
const MAX_WATCHERS: usize = 10_000;

/// How long a caller may take to send his request's one message.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) const ENDING: &str = "the server is about to end";

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// `grpc.health.v1.Health` for tonic's server, and for every other that takes a tower service. Cheap to clone; all
/// clones are the same.
///
/// Needs a tokio runtime with time. The process is not kept from ending by callers who watch: [`HealthService::close`]
/// ends their streams.
#[derive(Clone, Debug)]
pub struct HealthService {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    lifesigns: Lifesigns,
    /// By name; the process itself has none.
    services: HashMap<Arc<str>, Api>,
    watchers: Arc<Semaphore>,
    closed: watch::Sender<bool>,
}

impl HealthService {
    /// The health of this process and of its APIs.
    pub fn new(lifesigns: &Lifesigns) -> HealthService {
        let apis = lifesigns.apis().map(|api| (api.name().into(), api));
        HealthService {
            shared: Arc::new(Shared {
                lifesigns: lifesigns.clone(),
                services: apis.chain([("".into(), lifesigns.own())]).collect(),
                watchers: Arc::new(Semaphore::new(MAX_WATCHERS)),
                closed: watch::Sender::new(false),
            }),
        }
    }

    /// Ends all streams of `Watch`, each with `UNAVAILABLE` after what there was to tell, and lets none begin.
    /// For the moment in which a server stops accepting: it would wait for these streams for ever.
    pub fn close(&self) {
        self.shared.closed.send_replace(true);
    }

    /// Answers a call. `busy` is dropped when all of the answer has been sent.
    pub(crate) async fn answer<B>(self, request: Request<B>, busy: Option<Busy>) -> Response<Body>
    where
        B: HttpBody + Send + 'static,
        B::Error: Into<BoxError> + Send,
    {
        if !speaks_grpc(request.headers()) {
            return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        if request.method() != Method::POST {
            return refusal(StatusCode::METHOD_NOT_ALLOWED);
        }
        let mut grpc = Grpc::new(HealthCodec).max_decoding_message_size(MAX_MESSAGE);
        let answer = async {
            match request.uri().path() {
                "/grpc.health.v1.Health/Check" => grpc.unary(Check(&self.shared), request).await,
                "/grpc.health.v1.Health/List" => grpc.unary(List(&self.shared), request).await,
                "/grpc.health.v1.Health/Watch" => {
                    grpc.server_streaming(Watch(&self.shared, busy), request).await
                }
                _ => Status::unimplemented("grpc.health.v1.Health has Check, List and Watch").into_http(),
            }
        };
        let late =
            || Status::deadline_exceeded("the request took more than 10 seconds to arrive").into_http();
        tokio::time::timeout(REQUEST_TIMEOUT, answer).await.unwrap_or_else(|_| late())
    }
}

impl NamedService for HealthService {
    const NAME: &'static str = "grpc.health.v1.Health";
}

impl<B> Service<Request<B>> for HealthService
where
    B: HttpBody + Send + 'static,
    B::Error: Into<BoxError> + Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.answer(request, None).await) })
    }
}

/// Whether a service takes calls, as this snapshot of it says.
pub(crate) fn serving_status(snapshot: &Snapshot) -> ServingStatus {
    let verdict = &snapshot.verdict;
    if snapshot.phase == Phase::Ready && !verdict.fails_readiness && verdict.light != Light::Red {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    }
}

impl Shared {
    fn check(&self, asked: &Asked) -> Result<Told, Status> {
        let api = self.services.get(&*asked.service).ok_or_else(|| Status::not_found("unknown service"))?;
        Ok(Told::Status(serving_status(&api.snapshot())))
    }

    fn list(&self) -> Result<Told, Status> {
        let count = self.services.len();
        if count > MAX_LISTED {
            let text = format!(
                "there are {count} services, and {MAX_LISTED} are listed at most; check each by its name"
            );
            return Err(Status::resource_exhausted(text));
        }
        let statuses =
            self.services.iter().map(|(name, api)| (Arc::clone(name), serving_status(&api.snapshot())));
        Ok(Told::List(statuses.collect()))
    }

    fn watch(&self, asked: &Asked, busy: Option<Busy>) -> Result<Watching, Status> {
        let closed = self.closed.subscribe();
        if *closed.borrow() {
            return Err(Status::unavailable(ENDING));
        }
        let place = Arc::clone(&self.watchers).try_acquire_owned();
        let place = place.map_err(|_| Status::resource_exhausted("too many callers watch already"))?;
        let api = self.services.get(&*asked.service).cloned();
        Ok(Watching::new(Watcher::new(api, self.lifesigns.subscribe(), closed, place, busy)))
    }
}

struct Check<'a>(&'a Shared);

impl UnaryService<Asked> for Check<'_> {
    type Response = Told;
    type Future = Ready<Result<tonic::Response<Told>, Status>>;

    fn call(&mut self, request: tonic::Request<Asked>) -> Self::Future {
        ready(self.0.check(request.get_ref()).map(tonic::Response::new))
    }
}

struct List<'a>(&'a Shared);

impl UnaryService<Asked> for List<'_> {
    type Response = Told;
    type Future = Ready<Result<tonic::Response<Told>, Status>>;

    fn call(&mut self, _: tonic::Request<Asked>) -> Self::Future {
        ready(self.0.list().map(tonic::Response::new))
    }
}

struct Watch<'a>(&'a Shared, Option<Busy>);

impl ServerStreamingService<Asked> for Watch<'_> {
    type Response = Told;
    type ResponseStream = Watching;
    type Future = Ready<Result<tonic::Response<Watching>, Status>>;

    fn call(&mut self, request: tonic::Request<Asked>) -> Self::Future {
        ready(self.0.watch(request.get_ref(), self.1.take()).map(tonic::Response::new))
    }
}

/// Whether a request is one of gRPC; the protocol has the others refused in HTTP's own words.
fn speaks_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

fn refusal(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
