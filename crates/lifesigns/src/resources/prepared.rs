//! The answer to the usual probe, `HEAD /health/status`: made with the first of them after each tick, then copied.

use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use lifesigns_model::light::Light;

use super::request_id::X_REQUEST_ID;
use super::{Call, Target, health_status};
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
pub(super) fn has_no_wishes(kind: ResourceKind, parts: &Parts) -> bool {
    let is_no_wish = |(name, value): (&HeaderName, &HeaderValue)| {
        if *name == ACCEPT {
            return value == "*/*";
        }
        *name != ACCEPT_ENCODING && *name != ORIGIN && *name != X_REQUEST_ID
    };
    kind == ResourceKind::HealthStatus && parts.method == Method::HEAD && parts.headers.iter().all(is_no_wish)
}

impl Call<'_> {
    /// Whether nothing in the request or the settings asks for another answer than others got since the last tick.
    pub(super) fn is_usual_probe(&self) -> bool {
        self.has_no_wishes
            && self.resource.target == Target::Whole
            // For how long the light has been red is a question of its own each time.
            && self.snapshot.verdict.light != Light::Red
            && self.state.limiters[self.resource.kind as usize].is_none()
            && self.scope().is_none()
    }

    /// What a usual probe gets. Its name was made here: all of these are equally long.
    pub(super) fn answer_usual_probe(self) -> Response<Full<Bytes>> {
        let (status, headers) = self.snapshot.head.0.get_or_init(|| {
            let (mut parts, _) = health_status::answer(&self).respond(&self, None).into_parts();
            // A place for it, so that no copy has to grow.
            parts.headers.insert(X_REQUEST_ID, HeaderValue::from_static(""));
            (parts.status, parts.headers)
        });
        let mut response = Response::new(Full::default());
        *response.status_mut() = *status;
        response.headers_mut().clone_from(headers);
        response.headers_mut().insert(X_REQUEST_ID, self.request_id.into_header());
        response
    }
}
