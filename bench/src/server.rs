//! Servers to be measured, each in a process of its own that serves on one thread: `bench serve …` starts them.

use std::{
    convert::Infallible,
    error::Error,
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{MatchedPath, Path},
    middleware::{Next, from_fn},
    routing::get,
    serve::ListenerExt,
};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::Empty;
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use lifesigns::{Check, FailureKind, LATENCY_BOUNDS, Lifesigns, Report, ResourceKind, Settings};
use lifesigns_checks::{http as http_check, tcp};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::{net::TcpListener, runtime::LocalOptions};
use tower_layer::Layer;

use crate::{Outcome, USAGE};

/// Serves until the process is ended: what, where, and what its checks look at.
pub(crate) fn run(mut arguments: impl Iterator<Item = String>) -> Outcome<String> {
    let (Some(kind), Some(address)) = (arguments.next(), arguments.next()) else { return Err(USAGE.into()) };
    let address = address.parse()?;
    let dependencies = arguments.map(|address| address.parse()).collect::<Result<Vec<SocketAddr>, _>>()?;
    let lifesigns = match kind.as_str() {
        "bare" => return block_on(serve(address, service_fn(empty))),
        "headers" => return block_on(serve(address, service_fn(headers))),
        "axum" => return block_on(serve_axum(address, application())),
        "axum-layer" => {
            // What any layer costs that has a look at each answer.
            let layer = tower::util::MapResponseLayer::new(|response: axum::response::Response| response);
            return block_on(serve_axum(address, application().layer(layer)));
        }
        "axum-library" => {
            let lifesigns = Lifesigns::builder("bench").start()?;
            return block_on(serve_axum(address, application().layer(lifesigns.layer())));
        }
        "axum-metrics" => {
            let handle = install_metrics()?;
            let upkeep = async move {
                loop {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    handle.run_upkeep();
                }
            };
            let server = serve_axum(address, application().layer(from_fn(count)));
            return block_on(async move {
                tokio::task::spawn_local(upkeep);
                server.await
            });
        }
        "library" => Lifesigns::builder("bench").start()?,
        "dependent" => dependent(&dependencies)?,
        "many" => many(&dependencies)?,
        _ => return Err(USAGE.into()),
    };
    let service = lifesigns.layer().layer(tower::service_fn(empty));
    block_on(serve(address, TowerToHyperService::new(service)))
}

/// An HTTP check of each dependency, every second.
fn dependent(dependencies: &[SocketAddr]) -> Outcome<Lifesigns> {
    let mut builder = Lifesigns::builder("bench");
    for (number, address) in dependencies.iter().enumerate() {
        let options = http_check::Options::new(format!("http://{address}/"));
        let check = http_check::check(&format!("dependency-{number}"), options)?;
        builder = builder.check(check.every(Duration::from_secs(1)).timeout(Duration::from_secs(1)));
    }
    Ok(builder.start()?)
}

/// Ten thousand checks of all sorts, every ten seconds each: of ten, four pass at once, one fails at once, one waits
/// a second, one takes a connection and two an answer from a server that is well, and one waits for one that is hung.
fn many(dependencies: &[SocketAddr]) -> Outcome<Lifesigns> {
    let &[well, hung] = dependencies else {
        return Err("many takes two servers, one well and one hung".into());
    };
    let mut settings = Settings::default();
    settings.resource_mut(ResourceKind::Metrics).protected = false;
    let mut builder = Lifesigns::builder("bench").settings(settings);
    for number in 0..10_000 {
        let name = format!("check-{number}");
        let by_http =
            |address| http_check::check(&name, http_check::Options::new(format!("http://{address}/")));
        let check = match number % 10 {
            0..4 => Check::new(&name, async || Report::pass()),
            4 => Check::new(&name, async || Report::fail(FailureKind::Failed, "it always does")),
            5 => Check::new(&name, async || tokio::time::sleep(Duration::from_secs(1)).await),
            6 => tcp::check(&name, tcp::Options::new(well.to_string()))?,
            7 | 8 => by_http(well)?,
            _ => by_http(hung)?.timeout(Duration::from_secs(2)),
        };
        builder = builder.check(check);
    }
    Ok(builder.start()?)
}

/// The least that a server can do.
async fn empty<B>(_: Request<B>) -> Result<Response<Empty<Bytes>>, Infallible> {
    Ok(Response::new(Empty::new()))
}

/// The same with the headers of a light: what sending those costs anybody.
async fn headers<B>(_: Request<B>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let mut response = Response::new(Empty::new());
    let headers = response.headers_mut();
    headers.reserve(6);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("243"));
    let id = HeaderValue::from_static("3e58c6c595d099fa78861c8d7f97a04d");
    headers.insert(HeaderName::from_static("x-request-id"), id);
    Ok(response)
}

/// A minimal API.
fn application() -> Router {
    Router::new().route("/users/{id}", get(async |Path(id): Path<u32>| id.to_string()))
}

/// The figures that an API without the library would keep: requests and their times by method, route and status.
async fn count(route: MatchedPath, request: axum::extract::Request, next: Next) -> axum::response::Response {
    let began = Instant::now();
    let method = request.method().to_string();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    let labels = [("method", method), ("route", route.as_str().to_owned()), ("status", status)];
    metrics::counter!("http_requests_total", &labels).increment(1);
    metrics::histogram!("http_request_duration_seconds", &labels).record(began.elapsed());
    response
}

fn install_metrics() -> Outcome<PrometheusHandle> {
    Ok(PrometheusBuilder::new().set_buckets(&LATENCY_BOUNDS)?.install_recorder()?)
}

async fn serve_axum(address: SocketAddr, application: Router) -> Outcome<String> {
    let listener = TcpListener::bind(address).await?.tap_io(|stream| {
        // One that cannot be set is slower, and served all the same.
        stream.set_nodelay(true).ok();
    });
    axum::serve(listener, application).await?;
    Ok(String::new())
}

fn block_on(server: impl Future<Output = Outcome<String>>) -> Outcome<String> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build_local(LocalOptions::default())?.block_on(server)
}

/// All servers here are this one, whatever they answer.
async fn serve<S, B>(address: SocketAddr, service: S) -> Outcome<String>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<Box<dyn Error + Send + Sync>>>,
    S: Clone + 'static,
    B: Body<Data: 'static, Error: Into<Box<dyn Error + Send + Sync>>> + 'static,
{
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
        // A client that breaks off ends its connection; nobody has to know.
        tokio::task::spawn_local(async move { connection.await.ok() });
    }
}
