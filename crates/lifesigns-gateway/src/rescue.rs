//! The only place that turns an error into a response.
//!
//! The client learns what kind of fault it was and the id to ask with; where the upstream is and what it said goes to
//! the log alone.

use std::{error::Error, fmt, io};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE},
};
use http_body_util::Full;
use lifesigns_model::exchange::FailedBy;
use tracing::Level;

use crate::{headers::X_REQUEST_ID, routing::Target};

/// What the gateway lets through to an API, as far as it is usual.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Why a request did not get an answer from its upstream.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No connection to it came about.
    Connect(io::Error),
    /// No connection to it came about in time.
    ConnectTimeout,
    /// It broke off, or what it sent is no response.
    BadResponse(hyper::Error),
    /// What is wrong with the head of its response.
    BadHead(&'static str),
    /// It went over to another protocol without having been asked to.
    UnaskedUpgrade,
    /// It did not begin to answer in time.
    ResponseTimeout,
    /// The request has come back from there too often.
    Loop,
    /// The gateway ended before it was answered.
    CutOff,
    /// The client broke off its request's body, or sent what is no body.
    BadRequestBody,
    /// The client stopped sending its request's body.
    RequestBodyTimeout,
}

impl Failure {
    /// The status that the client gets.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Failure::Connect(_) | Failure::BadResponse(_) | Failure::BadHead(_) | Failure::UnaskedUpgrade => {
                StatusCode::BAD_GATEWAY
            }
            Failure::ConnectTimeout | Failure::ResponseTimeout => StatusCode::GATEWAY_TIMEOUT,
            Failure::Loop => StatusCode::LOOP_DETECTED,
            Failure::CutOff => StatusCode::SERVICE_UNAVAILABLE,
            Failure::BadRequestBody => StatusCode::BAD_REQUEST,
            Failure::RequestBodyTimeout => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// Whom it is counted against.
    pub(crate) fn failed_by(&self) -> FailedBy {
        match self {
            Failure::BadRequestBody | Failure::RequestBodyTimeout => FailedBy::Client,
            _ => FailedBy::Gateway,
        }
    }

    fn detail(&self) -> &'static str {
        match self {
            Failure::Connect(_) => "The API behind this gateway could not be reached.",
            Failure::ConnectTimeout => "The API behind this gateway could not be reached in time.",
            Failure::BadResponse(_) | Failure::BadHead(_) | Failure::UnaskedUpgrade => {
                "The API behind this gateway did not give a valid answer."
            }
            Failure::ResponseTimeout => "The API behind this gateway did not answer in time.",
            Failure::Loop => "The API behind this gateway leads back to it.",
            Failure::CutOff => "This gateway ended before the API behind it had answered.",
            Failure::BadRequestBody => "The body of the request is broken.",
            Failure::RequestBodyTimeout => "The body of the request did not arrive in time.",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::BadHead(fault) => return write!(f, "no valid response from the upstream: {fault}"),
            Failure::Connect(_) => "cannot connect to the upstream",
            Failure::ConnectTimeout => "connecting to the upstream took too long",
            Failure::BadResponse(_) => "no valid response from the upstream",
            Failure::UnaskedUpgrade => "the upstream switched protocols without having been asked to",
            Failure::ResponseTimeout => "the upstream did not begin to answer in time",
            Failure::Loop => "the upstream leads back to this gateway",
            Failure::CutOff => "the gateway ended before the upstream had answered",
            Failure::BadRequestBody => "the request's body is broken",
            Failure::RequestBodyTimeout => "the request's body did not arrive in time",
        })
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Failure::Connect(error) => Some(error),
            Failure::BadResponse(error) => Some(error),
            _ => None,
        }
    }
}

/// The answer to a request whose upstream gave none.
pub(crate) fn rescue(failure: &Failure, target: &Target, request_id: &HeaderValue) -> Response<Full<Bytes>> {
    let is_ours = failure.failed_by() == FailedBy::Gateway;
    let untold = if is_ours { target.complaints.note() } else { None };
    if untold.is_some() || tracing::enabled!(Level::DEBUG) {
        let cause = cause(failure);
        let cause = cause.as_deref();
        let (api, request_id) = (target.api.name(), request_id.to_str().unwrap_or_default());
        match untold {
            Some(0) => tracing::warn!(api, request_id, cause, "{failure}"),
            Some(untold) => {
                tracing::warn!(
                    api,
                    request_id,
                    cause,
                    "{failure}; {untold} more requests failed since the last such line"
                );
            }
            None => tracing::debug!(api, request_id, cause, "{failure}"),
        }
    }
    problem(failure.status(), failure.detail(), request_id)
}

/// The answer to a request for which there is no API.
pub(crate) fn no_api(request_id: &HeaderValue) -> Response<Full<Bytes>> {
    problem(StatusCode::NOT_FOUND, "Nothing is served under this host and path.", request_id)
}

/// The answer to a request that is none.
pub(crate) fn bad_request(fault: &str, request_id: &HeaderValue) -> Response<Full<Bytes>> {
    let mut response = problem(StatusCode::BAD_REQUEST, fault, request_id);
    // What comes behind it on this connection cannot be trusted to be a request.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The answer to a request for a health resource whose body stopped coming (RFC 9110 §15.5.9).
pub(crate) fn late_body(request_id: &HeaderValue) -> Response<Full<Bytes>> {
    let late = Failure::RequestBodyTimeout;
    let mut response = problem(late.status(), late.detail(), request_id);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The answer to a request for a tunnel (RFC 9110 §9.3.6).
pub(crate) fn no_tunnel(request_id: &HeaderValue) -> Response<Full<Bytes>> {
    let mut response =
        problem(StatusCode::METHOD_NOT_ALLOWED, "This is not a proxy for other servers.", request_id);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(METHODS));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The answer to an `OPTIONS` or `TRACE` that may be forwarded no further (RFC 9110 §7.6.2). A `TRACE` is not sent
/// back, since whoever reads the answer may not be the one who knew all that the request carried (RFC 9110 §9.3.8).
pub(crate) fn not_forwarded(method: &Method, request_id: &HeaderValue) -> Response<Full<Bytes>> {
    let mut response = if method == Method::OPTIONS {
        let mut response = own(Full::default(), request_id);
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    } else {
        problem(StatusCode::METHOD_NOT_ALLOWED, "This gateway does not send requests back.", request_id)
    };
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(METHODS));
    response
}

/// A body of `application/problem+json` (RFC 9457).
fn problem(status: StatusCode, detail: &str, request_id: &HeaderValue) -> Response<Full<Bytes>> {
    let body = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": detail,
        "requestId": request_id.to_str().unwrap_or_default(),
    });
    let mut response = own(Full::from(body.to_string()), request_id);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// An answer with the fields that all of the gateway's own have.
fn own(body: Full<Bytes>, request_id: &HeaderValue) -> Response<Full<Bytes>> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(X_REQUEST_ID, request_id.clone());
    response
}

/// What is behind a failure; nothing where it says all there is to say, so that the log has no empty field.
fn cause(failure: &Failure) -> Option<String> {
    failure.source().map(describe)
}

/// An error with all that is behind it.
fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_a_cause_only_where_something_is_behind_it() {
        let refused = Failure::Connect(io::Error::other("refused"));
        assert_eq!(cause(&refused).as_deref(), Some("refused"));
        for failure in [Failure::ResponseTimeout, Failure::ConnectTimeout, Failure::CutOff, Failure::Loop] {
            assert_eq!(cause(&failure), None, "{failure}");
        }
    }
}
