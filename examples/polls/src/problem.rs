//! The one place where a failure becomes an answer: `application/problem+json` (RFC 9457).

use std::error::Error;

use axum::extract::rejection::BytesRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::database::DatabaseError;

/// A failure as the caller gets to see it.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem { status, detail: detail.into() }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn not_found() -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "there is nothing here")
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Problem {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "a question must fit into 64 KiB")
            }
            _ => Problem::bad_request("the body broke off"),
        }
    }
}

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Problem {
        // The caller is told nothing of the inside; the log is told everything.
        let cause = error.source().map(ToString::to_string);
        tracing::error!(%error, cause = cause.unwrap_or_default(), "a request could not be answered");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the questions cannot be reached at the moment")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Without a type of its own, a problem is titled by its status (RFC 9457 §4.2.1).
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
    }
}
