//! The whole way of one request.

use std::{
    future::{Future, poll_fn},
    net::IpAddr,
    pin::pin,
    sync::Arc,
    task::Poll,
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{CONNECTION, HOST},
    request::Parts,
    uri::{PathAndQuery, Uri},
};
use http_body::Body;
use http_body_util::Full;
use hyper::{body::Incoming, upgrade::OnUpgrade};
use lifesigns::{
    Api, Exchange, Listener, Resource,
    resources::{self, Caller, normalize_path, request_id},
};
use lifesigns_model::exchange::FailedBy;
use tracing::Level;

use crate::{
    body::{AnswerBody, ClientBody, Content},
    headers::{self, Passage, X_REQUEST_ID},
    pool::UpstreamBody,
    rescue::{self, Failure},
    routing::Target,
    serve::Worker,
    tunnel,
    watch::{Wait, Watch},
};

/// Route of a request that fits none of the routes that the API says there are.
const UNDECLARED_ROUTE: &str = "_na_";

/// One connection of a client.
pub(crate) struct Client {
    /// Its address.
    pub(crate) peer: IpAddr,
    /// The same, as it goes into a field.
    pub(crate) peer_value: HeaderValue,
    /// Where it came in.
    pub(crate) listener: Listener,
    /// Whom it is waiting for.
    pub(crate) watch: Arc<Watch>,
}

type Answer = Response<AnswerBody>;

/// Answers one request, and closes the connection where only that can tell where the answer ends: a client of HTTP/1.0
/// knows no chunks (RFC 9112 §6.1), and keeping its connection was its own wish (RFC 9112 §9.3). While the gateway
/// drains every connection is closed after its answer.
pub(crate) async fn exchange(worker: &Worker, client: &Client, request: Request<Incoming>) -> Answer {
    let version = request.version();
    let mut response = answer(worker, client, request).await;
    let must_close =
        || response.headers().contains_key(CONNECTION) || response.body().size_hint().exact().is_none();
    if version == Version::HTTP_10 && must_close() {
        // In an answer of HTTP/1.1 the HTTP library would still put in that the connection is kept.
        *response.version_mut() = Version::HTTP_10;
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if worker.is_draining.get() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        // The next request finds another process, and this one's connections are gone when it closes.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// By a health resource, or by the API that it is for; in that case it is recorded.
async fn answer(worker: &Worker, client: &Client, request: Request<Incoming>) -> Answer {
    client.watch.end(Wait::RequestHead);
    let request_id: HeaderValue = request_id(request.headers()).into_header();
    let own = |response: Response<Full<Bytes>>| {
        response.map(|body| AnswerBody::new(Content::Own(body), client.watch.clone()))
    };

    let (mut parts, incoming) = request.into_parts();
    if parts.method == Method::CONNECT {
        return own(rescue::no_tunnel(&request_id));
    }
    let fault = headers::fault(parts.version, &parts.headers)
        .or_else(|| target_fault(&parts.method, &parts.uri))
        .or_else(|| take_host_from_target(&mut parts));
    if let Some(fault) = fault {
        return own(rescue::bad_request(fault, &request_id));
    }

    let uri = parts.uri.clone();
    let normalized = normalize_path(uri.path());
    let target = match client.listener {
        Listener::Public => worker.router.find(host(&parts), &normalized),
        Listener::Admin => None,
    };
    if let Some((api, resource)) = find_resource(worker, client.listener, target, &normalized) {
        let body = ClientBody::new(incoming, &client.watch, false);
        let fate = body.fate().cloned();
        let named = if worker.trust_forwarded { headers::forwarded_for(&parts.headers) } else { None };
        let caller = Caller { peer: named.or(Some(client.peer)), listener: client.listener };
        parts.headers.insert(X_REQUEST_ID, request_id.clone());
        let response = resources::answer(api, resource, caller, Request::from_parts(parts, body)).await;
        if fate.is_some_and(|fate| fate.is_late()) {
            // To the resource, every body that does not come to its end is the same.
            return own(rescue::late_body(&request_id));
        }
        return own(response);
    }
    let Some(target) = target else {
        return own(rescue::no_api(&request_id));
    };
    if headers::is_at_its_end(&parts.method, &mut parts.headers) {
        return own(rescue::not_forwarded(&parts.method, &request_id));
    }

    log_passage(target, &parts, &request_id);
    let mut exchange = target.api.begin(&parts.method, &parts.headers);
    set_route(&mut exchange, target, &normalized);
    parts.uri = target.outgoing(&uri, &normalized);
    let way = Way { worker, client, target, request_id: &request_id };
    match until_cut_off(&client.watch, way.forward(&mut exchange, parts, incoming)).await {
        Ok(mut response) => {
            let status = response.status();
            *response.version_mut() = Version::HTTP_11;
            headers::for_client(response.headers_mut(), status, request_id, worker.via.as_ref());
            let failed_by = FailedBy::of_status(status.as_u16());
            response.map(|body| {
                let body = Content::Upstream(exchange.answer(status, failed_by, body));
                AnswerBody::new(body, client.watch.clone())
            })
        }
        Err(failure) => {
            let response = rescue::rescue(&failure, target, &request_id);
            let status = response.status();
            response.map(|body| {
                let body = Content::Rescued(exchange.answer(status, failure.failed_by(), body));
                AnswerBody::new(body, client.watch.clone())
            })
        }
    }
}

/// What comes of it, unless the gateway's end comes first.
async fn until_cut_off<T>(
    watch: &Watch,
    forwarding: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut forwarding = pin!(forwarding);
    poll_fn(
        |cx| {
            if watch.is_cut_off() { Poll::Ready(Err(Failure::CutOff)) } else { forwarding.as_mut().poll(cx) }
        },
    )
    .await
}

/// Tells of one request that goes to an API, with what finds it again in the logs of others.
fn log_passage(target: &Target, parts: &Parts, request_id: &HeaderValue) {
    if tracing::enabled!(Level::DEBUG) {
        tracing::debug!(
            request_id = request_id.to_str().unwrap_or_default(),
            traceparent = headers::trace_parent(&parts.headers).unwrap_or_default(),
            api = target.api.name(),
            method = %parts.method,
            "request sent on"
        );
    }
}

/// What is known of a request once its API is found.
struct Way<'a> {
    worker: &'a Worker,
    client: &'a Client,
    target: &'a Target,
    request_id: &'a HeaderValue,
}

impl Way<'_> {
    /// To the upstream, as far as the head of its response.
    async fn forward(
        &self,
        exchange: &mut Exchange,
        mut parts: Parts,
        incoming: Incoming,
    ) -> Result<Response<UpstreamBody>, Failure> {
        if self.worker.mark.is_circling(&parts.headers) {
            return Err(Failure::Loop);
        }
        let watch = &self.client.watch;
        let forwarder = &self.worker.forwarders[self.target.upstream];
        let held = headers::expects_continue(parts.version, &parts.headers);
        let protocol = headers::wanted_protocol(parts.version, &parts.headers);
        let client_side = protocol.is_some().then(|| parts.extensions.remove::<OnUpgrade>()).flatten();
        self.rewrite_head(&mut parts, forwarder.upstream().host_header());

        let body = ClientBody::new(incoming, watch, held && protocol.is_none());
        let fate = body.fate().cloned();
        let body = exchange.request_body(body);
        if let (Some(protocol), Some(client_side)) = (protocol, client_side) {
            headers::ask_for_protocol(&mut parts.headers, protocol);
            let request = Request::from_parts(parts, body);
            let patience = self.worker.response_head_timeout;
            let mut response = forwarder.forward_upgrade(request, fate, watch, patience).await?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                tunnel::open(&self.worker.clients, watch, client_side, hyper::upgrade::on(&mut response));
            }
            return Ok(response);
        }
        forwarder.forward(Request::from_parts(parts, body), fate, watch).await
    }

    fn rewrite_head(&self, parts: &mut Parts, upstream_host: &HeaderValue) {
        // Nothing of what the server side noted on the request concerns the upstream.
        parts.extensions.clear();
        parts.version = Version::HTTP_11;
        let host = parts.headers.get(HOST).cloned();
        let keeps_host = self.target.preserve_host && host.as_ref().is_some_and(|host| !host.is_empty());
        headers::for_upstream(
            &mut parts.headers,
            &Passage {
                peer: &self.client.peer_value,
                host: host.as_ref(),
                prefix: self.target.stripped.as_ref(),
                upstream_host: (!keeps_host).then_some(upstream_host),
                request_id: self.request_id,
                trust_forwarded: self.worker.trust_forwarded,
                via: self.worker.via.as_ref(),
            },
        );
        self.worker.mark.leave(&mut parts.headers);
    }
}

/// The health resource under this path, and whose it is.
fn find_resource<'w>(
    worker: &'w Worker,
    listener: Listener,
    target: Option<&'w Target>,
    normalized: &str,
) -> Option<(&'w Api, Resource)> {
    let of_api = |target: &'w Target, path: &str| Some((&target.api, target.api.resource(path, listener)?));
    let shared = || Some((&worker.own, worker.lifesigns.shared_resource(normalized, listener)?));
    let own = || Some((&worker.own, worker.own.resource(normalized, listener)?));
    match (listener, target) {
        // A resource that this API has switched off is the API's own affair, not the gateway's.
        (Listener::Public, Some(target)) => of_api(target, target.relative(normalized)).or_else(shared),
        (Listener::Public, None) => shared().or_else(own),
        (Listener::Admin, _) => shared().or_else(own).or_else(|| {
            let (target, path) = worker.router.find_for_operator(normalized)?;
            of_api(target, path)
        }),
    }
}

fn set_route(exchange: &mut Exchange, target: &Target, normalized: &str) {
    let path = target.seen_by_api(normalized);
    match &target.templates {
        Some(templates) => exchange.set_route(templates.find(path).unwrap_or(UNDECLARED_ROUTE)),
        None => exchange.guess_route(path),
    }
}

/// What is wrong with the form of a target, if anything: the asterisk is for `OPTIONS` alone, a mere authority for
/// `CONNECT` alone, which has its answer already (RFC 9112 §3.2.3, §3.2.4).
fn target_fault(method: &Method, uri: &Uri) -> Option<&'static str> {
    if uri.scheme().is_none() && uri.authority().is_some() {
        return Some("Its target is neither a path nor a URL.");
    }
    (uri.path() == "*" && method != Method::OPTIONS).then_some("Only OPTIONS has the target *.")
}

/// A target in absolute form says itself which host it is for; what the Host field says does not count then
/// (RFC 9112 §3.2.2). Returns what is wrong with that host, if anything.
fn take_host_from_target(parts: &mut Parts) -> Option<&'static str> {
    let authority = parts.uri.authority()?;
    let authority = authority.as_str();
    let without_user = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = HeaderValue::from_str(without_user).ok().filter(|host| headers::is_host(host.as_bytes()));
    let Some(host) = host else { return Some("The host in its target is not a host.") };
    parts.headers.insert(HOST, host);
    let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    parts.uri = path.into();
    None
}

fn host(parts: &Parts) -> Option<&str> {
    parts.headers.get(HOST).and_then(|host| host.to_str().ok())
}
