//! Answers before they are responses, and the forms that errors take.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING,
    CONTENT_LENGTH, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use http_body_util::Full;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::negotiate::Coding;
use super::request_id::X_REQUEST_ID;
use super::{Call, encoding, health_status, negotiate};
use crate::limit::Allowance;
use crate::settings::ResourceKind;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
pub(super) const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// The problem type of a quota that is used up, of the draft of the `RateLimit` fields.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// The name of the only quota policy.
const POLICY: &str = "default";
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Most answers have no more headers than this, so that their map need not grow.
const USUAL_HEADERS: usize = 10;

/// An answer as a resource makes it: the whole of it, whatever the method and the coding.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    /// Headers that not every answer has.
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
    /// Bytes of the body, also where it has been left out because the method is HEAD.
    length: usize,
    /// The coding that the body is in already.
    coding: Option<Coding>,
}

impl Answer {
    pub(super) fn new(status: StatusCode, content_type: HeaderValue, body: impl Into<Vec<u8>>) -> Answer {
        let body = body.into();
        let length = body.len();
        Answer { content_type: Some(content_type), body, length, ..Answer::empty(status) }
    }

    /// An answer whose body is these pieces, one after the other. For HEAD it is enough to know how long it would be.
    pub(super) fn of_pieces(
        call: &Call<'_>,
        status: StatusCode,
        content_type: HeaderValue,
        pieces: &[&str],
    ) -> Answer {
        let body = if call.parts.method == Method::HEAD { String::new() } else { pieces.concat() };
        let length = pieces.iter().map(|piece| piece.len()).sum();
        Answer { length, ..Answer::new(status, content_type, body) }
    }

    pub(super) fn empty(status: StatusCode) -> Answer {
        Answer { status, content_type: None, headers: Vec::new(), body: Vec::new(), length: 0, coding: None }
    }

    pub(super) fn json(status: StatusCode, body: &Value) -> Answer {
        Answer::new(status, JSON, body.to_string())
    }

    /// Adds a header. A value that no header can carry is left out: it could only come from a configuration that
    /// has been let through in error, and an answer without it is better than none.
    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Answer {
        match HeaderValue::from_str(value) {
            Ok(value) => self.headers.push((name, value)),
            Err(_) => tracing::warn!(%name, "a header's value is not fit to be sent and was left out"),
        }
        self
    }

    /// This answer with its body in this coding. One that cannot be encoded stays as it is.
    pub(super) fn encoded(mut self, coding: Option<Coding>) -> Answer {
        let Some(coding) = coding.filter(|_| self.coding.is_none() && !self.body.is_empty()) else {
            return self;
        };
        match encoding::encode(coding, &self.body) {
            Ok(body) => {
                self.body = body;
                self.coding = Some(coding);
            }
            Err(error) => tracing::warn!(%error, coding = coding.name(), "an answer could not be encoded"),
        }
        self
    }

    pub(super) fn preflight(self, methods: &str) -> Answer {
        self.header(ACCESS_CONTROL_ALLOW_METHODS, methods)
            .header(ACCESS_CONTROL_ALLOW_HEADERS, "Accept, Authorization, Content-Type, X-Request-Id")
            .header(ACCESS_CONTROL_MAX_AGE, "600")
    }

    /// The response to this request, with its name.
    pub(super) fn finish(self, call: Call<'_>, allowance: Option<Allowance>) -> Response<Full<Bytes>> {
        let mut response = self.respond(&call, allowance);
        response.headers_mut().insert(X_REQUEST_ID, call.request_id.into_header());
        response
    }

    /// The response but for the request's name: common headers, content coding, no body for HEAD.
    pub(super) fn respond(self, call: &Call<'_>, allowance: Option<Allowance>) -> Response<Full<Bytes>> {
        let is_head = call.parts.method == Method::HEAD;
        let coding = negotiate::coding(&call.parts.headers).filter(|_| self.length > 0);
        let answer = if is_head { self } else { self.encoded(coding) };
        let Answer { status, content_type, headers: own, body, length, coding: made } = answer;
        let mut headers = HeaderMap::with_capacity(USUAL_HEADERS);
        headers.extend(own);
        headers.insert(CACHE_CONTROL, const { HeaderValue::from_static("no-store") });
        let vary = if call.state.settings.allowed_origins.is_empty() {
            const { HeaderValue::from_static("Accept, Accept-Encoding") }
        } else {
            const { HeaderValue::from_static("Accept, Accept-Encoding, Origin") }
        };
        headers.insert(VARY, vary);
        headers.insert(X_CONTENT_TYPE_OPTIONS, const { HeaderValue::from_static("nosniff") });
        let has_content = content_type.is_some();
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, content_type);
        }
        if let Some(origin) = call.allowed_origin() {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            let exposed = HeaderValue::from_static("Retry-After, X-Request-Id, RateLimit, RateLimit-Policy");
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
        if let Some(Allowance { quota, remaining, reset_seconds, .. }) = allowance {
            let policy = format!("\"{POLICY}\";q={quota};w=60");
            let limit = format!("\"{POLICY}\";r={remaining};t={reset_seconds}");
            headers.extend(
                [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, limit)]
                    .into_iter()
                    .filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?))),
            );
        }
        // The length of an encoded body is not known without making it, and a HEAD must cost nothing.
        if is_head && coding.is_none() && has_content {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        if let Some(coding) = if is_head { coding } else { made } {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        }
        let body = if is_head { Bytes::new() } else { Bytes::from(body) };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

/// What went wrong, before it has the form that its resource gives it.
pub(super) struct Fault {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    /// The element of a request that is at fault.
    pub(super) path: Option<String>,
}

impl Fault {
    pub(super) fn new(status: StatusCode, code: &'static str) -> Fault {
        let message = status.canonical_reason().unwrap_or("Error").to_owned();
        Fault { status, code, message, path: None }
    }

    pub(super) fn says(mut self, message: impl Into<String>) -> Fault {
        self.message = message.into();
        self
    }

    pub(super) fn at(mut self, path: impl Into<String>) -> Fault {
        self.path = Some(path.into());
        self
    }
}

impl Call<'_> {
    /// A fault in the form that this resource's consumers know.
    pub(super) fn fault(&self, fault: &Fault) -> Answer {
        let answer = self.told(fault);
        // What is left of the body stays unread, so nothing can follow it on a connection of HTTP/1 (RFC 9110 §10.1.1).
        let ends = fault.status == StatusCode::PAYLOAD_TOO_LARGE && self.parts.version < Version::HTTP_2;
        if ends { answer.header(CONNECTION, "close") } else { answer }
    }

    fn told(&self, fault: &Fault) -> Answer {
        match error_form(self.resource.kind, fault.status) {
            ErrorForm::Status => {
                let error = status_error(&fault.message, &self.state.name, self.now().wall);
                Answer::json(fault.status, &error)
            }
            ErrorForm::Query => {
                let mut error = json!({"code": fault.code, "message": fault.message});
                if let Some(path) = &fault.path {
                    error["path"] = json!(path);
                }
                Answer::json(fault.status, &json!({"success": false, "error": error, "response": []}))
            }
            ErrorForm::Grant => {
                let error = json!({"error": fault.code, "error_description": fault.message});
                Answer::json(fault.status, &error)
            }
            ErrorForm::Light => health_status::represent(self, fault.status, &fault.message),
            ErrorForm::Problem => {
                let mut problem = json!({
                    "type": "about:blank",
                    "title": fault.status.canonical_reason(),
                    "status": fault.status.as_u16(),
                    "detail": fault.message,
                    "requestId": self.request_id.as_str(),
                });
                if let Some(path) = &fault.path {
                    problem["path"] = json!(path);
                }
                if fault.status == StatusCode::TOO_MANY_REQUESTS {
                    problem["type"] = json!(QUOTA_EXCEEDED);
                    problem["title"] = json!("Quota exceeded");
                    problem["violated-policies"] = json!([POLICY]);
                }
                Answer::new(fault.status, PROBLEM, problem.to_string())
            }
        }
    }
}

/// What the body of an error looks like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ErrorForm {
    /// `error`, `timestamp` and `service`.
    Status,
    /// `success`, `error` and `response`.
    Query,
    /// The errors of RFC 6749 §5.2, which has none for what went wrong before a grant was asked for.
    Grant,
    /// An answer of the traffic light.
    Light,
    /// RFC 9457.
    Problem,
}

/// What the body of an error with this status looks like, by what its readers know.
pub(super) fn error_form(kind: ResourceKind, status: StatusCode) -> ErrorForm {
    match kind {
        ResourceKind::Status => ErrorForm::Status,
        ResourceKind::HealthDetails | ResourceKind::Analytics if status != StatusCode::TOO_MANY_REQUESTS => {
            ErrorForm::Query
        }
        ResourceKind::Token if matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) => {
            ErrorForm::Grant
        }
        ResourceKind::HealthStatus if health_status::is_own_code(status) => ErrorForm::Light,
        _ => ErrorForm::Problem,
    }
}

/// The error body of `/status`.
pub(super) fn status_error(message: &str, service: &str, now: Timestamp) -> Value {
    json!({"error": message, "timestamp": time_text(now), "service": service})
}

/// RFC 3339 in UTC with milliseconds and `Z`.
pub(super) fn time_text(time: Timestamp) -> String {
    format!("{time:.3}")
}
