//! The answer to the usual probe, `HEAD /health/status`: made with the first of them after each tick, then copied.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use lifesigns_model::light::Light;
use lifesigns_model::verdict::AMBER_AFTER;

use super::request_id::{RequestId, X_REQUEST_ID};
use super::{Call, Resource, Target, health_status};
use crate::process::{Api, ApiState};
use crate::settings::ResourceKind;

/// Status and headers, kept with the snapshot that they were made from. A copy of that makes its own, since it may
/// be changed.
#[derive(Debug, Default)]
pub(crate) struct PreparedHead(OnceLock<(StatusCode, HeaderMap)>);

impl Clone for PreparedHead {
    fn clone(&self) -> PreparedHead {
        PreparedHead::default()
    }
}

/// Whether such a request may be a usual probe: no header asks for anything that others do not get as well.
pub(super) fn has_no_wishes(kind: ResourceKind, method: &Method, headers: &HeaderMap) -> bool {
    let is_no_wish = |(name, value): (&HeaderName, &HeaderValue)| {
        if *name == ACCEPT {
            return value == "*/*";
        }
        *name != ACCEPT_ENCODING && *name != ORIGIN && *name != X_REQUEST_ID
    };
    kind == ResourceKind::HealthStatus && *method == Method::HEAD && headers.iter().all(is_no_wish)
}

/// The answer to a usual probe, if it has been made since the last tick and the log need not know.
pub(crate) fn answer(
    api: &Api,
    resource: &Resource,
    method: &Method,
    headers: &HeaderMap,
) -> Option<Response<Full<Bytes>>> {
    let state = api.state();
    if !has_no_wishes(resource.kind, method, headers)
        || !is_open(state, resource)
        || tracing::enabled!(tracing::Level::DEBUG)
    {
        return None;
    }
    let snapshot = state.snapshot.load();
    let is_old = snapshot.judged.age(api.process.time.elapsed()) >= AMBER_AFTER;
    let prepared = snapshot.head.0.get().filter(|_| !is_old && snapshot.verdict.light != Light::Red)?;
    state.resource_requests[resource.kind as usize].fetch_add(1, Ordering::Relaxed);
    Some(response(prepared, RequestId::new()))
}

/// Whether it is the light itself, with neither a limit nor a token to be looked at.
fn is_open(state: &ApiState, resource: &Resource) -> bool {
    resource.target == Target::Whole
        && state.limiters[resource.kind as usize].is_none()
        && !state.settings.resource(resource.kind).protected
}

fn response((status, headers): &(StatusCode, HeaderMap), id: RequestId) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = *status;
    response.headers_mut().clone_from(headers);
    response.headers_mut().insert(X_REQUEST_ID, id.into_header());
    response
}

impl Call<'_> {
    /// Whether nothing in the request or the settings asks for another answer than others got since the last tick.
    pub(super) fn is_usual_probe(&self) -> bool {
        self.has_no_wishes
            // For how long the light has been red is a question of its own each time.
            && self.snapshot.verdict.light != Light::Red
            && is_open(self.state, self.resource)
    }

    /// What a usual probe gets. Its name was made here: all of these are equally long.
    pub(super) fn answer_usual_probe(self) -> Response<Full<Bytes>> {
        let prepared = self.snapshot.head.0.get_or_init(|| {
            let (mut parts, _) = health_status::answer(&self).respond(&self, None).into_parts();
            // A place for it, so that no copy has to grow.
            parts.headers.insert(X_REQUEST_ID, HeaderValue::from_static(""));
            (parts.status, parts.headers)
        });
        response(prepared, self.request_id.clone())
    }
}
