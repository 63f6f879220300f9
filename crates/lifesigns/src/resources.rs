//! The health resources: from a snapshot and a request to a response.
//!
//! [`answer`] is what the tower layer, the axum router and the gateway all call. The cheap resources are answered
//! from the API's last [`crate::Snapshot`]; only details and queries read the store, on tokio's pool of blocking
//! threads.

mod analytics;
mod answer;
mod body;
mod details;
mod encoding;
mod escape;
mod events;
mod health;
mod health_status;
mod maintenance;
mod metrics;
mod negotiate;
pub(crate) mod openapi;
mod path;
mod paths;
pub(crate) mod prepared;
mod probes;
mod reading;
mod request_id;
mod status;
mod token;

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ALLOW, ORIGIN, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use jiff::Timestamp;
use lifesigns_model::moment::Moment;

use self::answer::{Answer, Fault};
pub use self::status::FleetStatus;
use crate::access::{Denied, Grant, Scope};
use crate::limit::Allowance;
use crate::process::{Api, ApiState, Client};
use crate::settings::{Listener, ResourceKind};
use crate::snapshot::Snapshot;

pub use self::path::normalize_path;
pub(crate) use self::paths::ResourcePaths;
pub use self::request_id::{RequestId, is_trace_parent, request_id};

/// A health resource that a path leads to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Resource {
    kind: ResourceKind,
    target: Target,
}

/// What a path says beyond the kind of resource.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Target {
    Whole,
    /// `/health/status/{code}`
    Forced(String),
    /// What is asked of the analytics of an organization's environment.
    Analytics {
        organization: String,
        environment: String,
        question: Question,
    },
}

/// What analytics can be asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Question {
    Query,
    Events,
}

impl Resource {
    /// What kind it is.
    pub fn kind(&self) -> ResourceKind {
        self.kind
    }

    pub(crate) fn find(api: &ApiState, path: &str, listener: Listener) -> Option<Resource> {
        let resource = find_by_path(api, path)?;
        api.settings.resource(resource.kind).exposure.covers(listener).then_some(resource)
    }
}

fn find_by_path(api: &ApiState, path: &str) -> Option<Resource> {
    if !api.paths.may_lead_somewhere(path) {
        return None;
    }
    if let Some(kind) = api.paths.get(path).filter(|kind| *kind != ResourceKind::Analytics) {
        return Some(Resource { kind, target: Target::Whole });
    }
    let (parent, last) = path.rsplit_once('/')?;
    if api.settings.forced_answers && api.paths.get(parent) == Some(ResourceKind::HealthStatus) {
        return Some(Resource { kind: ResourceKind::HealthStatus, target: Target::Forced(last.to_owned()) });
    }
    let question = match last {
        "query" => Question::Query,
        "events" => Question::Events,
        _ => return None,
    };
    // Names may have slashes in them, encoded or not: none of these paths is to reach an upstream with its token.
    let names = parent.strip_prefix(api.paths.of(ResourceKind::Analytics)?)?.strip_prefix('/')?;
    let (organization, environment) = names.split_once("/environments/")?;
    let (organization, environment) = (organization.to_owned(), environment.to_owned());
    let target = Target::Analytics { organization, environment, question };
    Some(Resource { kind: ResourceKind::Analytics, target })
}

/// Who asks, and where.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// Address of the other end of the connection, where it is known. Rate limits count by it.
    pub peer: Option<IpAddr>,
    /// The listener that the request came in on.
    pub listener: Listener,
}

/// A request for a resource, and what is known while it is answered.
struct Call<'a> {
    api: &'a Api,
    state: &'a ApiState,
    resource: &'a Resource,
    caller: Caller,
    parts: &'a Parts,
    /// Whether its headers ask for nothing that others do not get as well.
    has_no_wishes: bool,
    request_id: RequestId,
    /// When it was asked, by the time since the process began.
    elapsed: Duration,
    snapshot: Arc<Snapshot>,
    /// Who the caller is, once that was asked.
    granted: OnceLock<Result<Arc<Grant>, Denied>>,
}

/// Answers a request for a resource of `api`, or for one that spans all APIs of its process.
///
/// Never fails: what goes wrong is an answer, too. Must run inside a tokio runtime where details, queries or a change
/// are asked for.
pub async fn answer<B>(
    api: &Api,
    resource: Resource,
    caller: Caller,
    request: Request<B>,
) -> Response<Full<Bytes>>
where
    B: Body,
{
    if let Some(response) = prepared::answer(api, &resource, request.method(), request.headers()) {
        return response;
    }
    let (parts, body) = request.into_parts();
    let call = Call::begin(api, &resource, caller, &parts);
    if call.is_usual_probe() {
        return call.answer_usual_probe();
    }
    let (answer, allowance) = call.answer(body).await;
    answer.finish(call, allowance)
}

/// As [`answer`] does, for a resource that does not take its time.
pub(crate) fn answer_at_once(
    api: &Api,
    resource: &Resource,
    caller: Caller,
    parts: &Parts,
) -> Response<Full<Bytes>> {
    let call = Call::begin(api, resource, caller, parts);
    if call.is_usual_probe() {
        return call.answer_usual_probe();
    }
    let (answer, allowance) = match call.admit() {
        Ok(allowance) => (call.answer_from_snapshot(), allowance),
        Err(refusal) => *refusal,
    };
    answer.finish(call, allowance)
}

impl<'a> Call<'a> {
    /// A call that nobody made, to ask what one would come to.
    fn imagined(api: &'a Api, resource: &'a Resource, listener: Listener, parts: &'a Parts) -> Call<'a> {
        let (state, elapsed) = (api.state(), api.process.time.elapsed());
        let (caller, request_id) = (Caller { peer: None, listener }, RequestId::new());
        let snapshot = state.snapshot.load_full();
        let granted = OnceLock::new();
        Call {
            api,
            state,
            resource,
            caller,
            parts,
            has_no_wishes: false,
            request_id,
            elapsed,
            snapshot,
            granted,
        }
    }

    /// Counts and logs a request.
    fn begin(api: &'a Api, resource: &'a Resource, caller: Caller, parts: &'a Parts) -> Call<'a> {
        let state = api.state();
        let elapsed = api.process.time.elapsed();
        let has_no_wishes = prepared::has_no_wishes(resource.kind, &parts.method, &parts.headers);
        let request_id = if has_no_wishes { RequestId::new() } else { request_id(&parts.headers) };
        let snapshot = state.snapshot.load_full().at(elapsed);
        let granted = OnceLock::new();
        let call = Call {
            api,
            state,
            resource,
            caller,
            parts,
            has_no_wishes,
            request_id,
            elapsed,
            snapshot,
            granted,
        };
        let counter = match resource.target {
            Target::Forced(_) => &state.forced_requests,
            _ => &state.resource_requests[resource.kind as usize],
        };
        counter.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(
            request_id = call.request_id.as_str(),
            traceparent = call.trace_parent(),
            api = &*state.name,
            resource = resource.kind.name(),
            method = %call.parts.method,
            "health resource asked for"
        );
        call
    }
}

impl Call<'_> {
    /// When it was asked, for those who show the time of day or count from it: not every answer reads that clock.
    fn now(&self) -> Moment {
        Moment { wall: Timestamp::now(), elapsed: self.elapsed }
    }

    async fn answer<B: Body>(&self, body: B) -> (Answer, Option<Allowance>) {
        if self.resource.kind.may_take_time() && self.scope().is_some() {
            let found = self.api.process.access.check_patiently(&self.parts.headers).await;
            self.granted.get_or_init(|| found);
        }
        let allowance = match self.admit() {
            Ok(allowance) => allowance,
            Err(refusal) => return *refusal,
        };
        let answer = match (self.resource.kind, &self.resource.target) {
            (ResourceKind::Maintenance, _) => maintenance::answer(self, body).await,
            (ResourceKind::HealthDetails, _) => details::answer(self).await,
            (ResourceKind::Analytics, Target::Analytics { organization, environment, question }) => {
                analytics::answer(self, organization, environment, *question, body).await
            }
            (ResourceKind::Metrics, _) => metrics::answer(self).await,
            (ResourceKind::Token, _) => token::answer(self, body).await,
            (ResourceKind::OpenApi, _) => openapi::answer(self).await,
            _ => self.answer_from_snapshot(),
        };
        (answer, allowance)
    }

    /// What is left to the caller, where a limit is set; or the answer to a request that goes no further.
    fn admit(&self) -> Result<Option<Allowance>, Box<(Answer, Option<Allowance>)>> {
        if self.parts.method == Method::OPTIONS {
            return Err(Box::new((self.options(), None)));
        }
        let scope = self.scope();
        let granted = scope.map(|_| self.granted());
        let holder = granted.as_ref().and_then(|granted| granted.as_deref().ok());
        let allowance = self.take_allowance(holder.map(Arc::as_ref));
        if let Some(allowance) = allowance.filter(|allowance| !allowance.allowed) {
            return Err(Box::new((self.too_many(allowance), Some(allowance))));
        }
        match (scope, granted) {
            (Some(_), Some(Err(denied))) => return Err(Box::new((self.denied(denied), allowance))),
            (Some(scope), Some(Ok(grant))) if !grant.allows(scope) => {
                return Err(Box::new((self.denied(Denied::NotAllowed(scope)), allowance)));
            }
            _ => {}
        }
        if !self.methods().contains(&self.parts.method) {
            let fault = Fault::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed")
                .says(format!("Use one of: {}.", self.allowed_methods()));
            let answer = self.fault(&fault).header(ALLOW, &self.allowed_methods());
            return Err(Box::new((answer, allowance)));
        }
        Ok(allowance)
    }

    /// The answer of a resource that takes no time.
    fn answer_from_snapshot(&self) -> Answer {
        match (self.resource.kind, &self.resource.target) {
            (ResourceKind::Status, _) => status::answer(self),
            (ResourceKind::Health, _) => health::answer(self),
            (ResourceKind::HealthStatus, Target::Forced(code)) => health_status::forced(self, code),
            (ResourceKind::HealthStatus, _) => health_status::answer(self),
            (ResourceKind::Livez | ResourceKind::Readyz | ResourceKind::Startupz, _) => probes::answer(self),
            _ => self.fault(&Fault::new(StatusCode::NOT_FOUND, "not_found")),
        }
    }

    fn methods(&self) -> &'static [Method] {
        match self.resource.kind {
            _ if matches!(self.resource.target, Target::Analytics { question: Question::Query, .. }) => {
                &[Method::POST]
            }
            ResourceKind::Token => &[Method::POST],
            ResourceKind::Maintenance => &[Method::GET, Method::HEAD, Method::PUT, Method::DELETE],
            _ => &[Method::GET, Method::HEAD],
        }
    }

    fn allowed_methods(&self) -> String {
        let methods: Vec<&str> = self.methods().iter().map(Method::as_str).collect();
        format!("{}, OPTIONS", methods.join(", "))
    }

    fn options(&self) -> Answer {
        let answer = Answer::empty(StatusCode::NO_CONTENT).header(ALLOW, &self.allowed_methods());
        let is_preflight = self.parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if is_preflight && self.allowed_origin().is_some() {
            answer.preflight(&self.allowed_methods())
        } else {
            answer
        }
    }

    /// The value of `Access-Control-Allow-Origin`, if the request has an origin and it is allowed.
    fn allowed_origin(&self) -> Option<&HeaderValue> {
        let origin = self.parts.headers.get(ORIGIN)?;
        let allowed = &self.state.settings.allowed_origins;
        allowed
            .iter()
            .any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes())
            .then_some(origin)
    }

    /// The scope that this resource takes; `None` where it is open.
    fn scope(&self) -> Option<Scope> {
        if self.resource.kind == ResourceKind::Maintenance
            && matches!(self.parts.method, Method::PUT | Method::DELETE)
        {
            return Some(Scope::HealthWrite);
        }
        let is_protected = self.state.settings.resource(self.resource.kind).protected;
        let scope = match self.resource.kind {
            ResourceKind::HealthDetails | ResourceKind::Analytics => Scope::AnalyticsRead,
            ResourceKind::Metrics => Scope::MetricsRead,
            // Whoever had a token would not have to ask for one.
            ResourceKind::Token => return None,
            _ => Scope::HealthDetails,
        };
        let is_open_to_operators =
            self.resource.kind == ResourceKind::Metrics && self.caller.listener == Listener::Admin;
        (is_protected && !is_open_to_operators).then_some(scope)
    }

    /// What the token of the request grants, looked at once for each request.
    fn granted(&self) -> Result<&Arc<Grant>, Denied> {
        let granted = self.granted.get_or_init(|| self.api.process.access.check(&self.parts.headers));
        granted.as_ref().map_err(|denied| *denied)
    }

    /// Whether the caller may see hidden identity fields and the reasons behind a failure.
    fn may_see_details(&self) -> bool {
        self.granted().is_ok_and(|grant| grant.allows(Scope::HealthDetails))
    }

    fn take_allowance(&self, holder: Option<&Grant>) -> Option<Allowance> {
        let limiter = self.state.limiters[self.resource.kind as usize].as_ref()?;
        let client = match holder {
            Some(grant) => Client::Token(grant.name.clone()),
            None => Client::Address(self.caller.peer),
        };
        Some(limiter.take(client, Instant::now()))
    }

    fn too_many(&self, allowance: Allowance) -> Answer {
        let seconds = allowance.reset_seconds;
        let fault = Fault::new(StatusCode::TOO_MANY_REQUESTS, "quota_exceeded")
            .says(format!("At most {} requests a minute; try again in {seconds} s.", allowance.quota));
        self.fault(&fault).header(RETRY_AFTER, &seconds.to_string())
    }

    fn denied(&self, denied: Denied) -> Answer {
        let attempts = &self.api.process.access.attempts;
        if denied == Denied::Unknown
            && let Some(seconds) = attempts.token_failed(self.caller.peer, Instant::now())
        {
            return self.too_many_attempts(seconds);
        }
        let told = denied.told();
        let fault = Fault::new(told.status, told.code).says(told.says);
        let fault = match denied {
            Denied::OtherOrganization => fault.at("path.organization"),
            Denied::OtherEnvironment => fault.at("path.environment"),
            _ => fault,
        };
        told.headers.into_iter().fold(self.fault(&fault), |answer, (name, value)| answer.header(name, &value))
    }

    fn too_many_attempts(&self, seconds: u64) -> Answer {
        let fault = Fault::new(StatusCode::TOO_MANY_REQUESTS, "quota_exceeded")
            .says(format!("Too many attempts failed; try again in {seconds} s."));
        self.fault(&fault).header(RETRY_AFTER, &seconds.to_string())
    }

    /// The W3C trace context of the request, for logs; empty if there is none or it is malformed.
    fn trace_parent(&self) -> &str {
        let value = self.parts.headers.get("traceparent").and_then(|value| value.to_str().ok());
        value.filter(|value| is_trace_parent(value)).unwrap_or_default()
    }
}
