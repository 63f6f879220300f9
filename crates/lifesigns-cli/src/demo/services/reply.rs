//! What the sample services answer, and how they read what they are sent.

use axum::Json;
use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

/// A JSON answer or a refusal.
pub(super) type Reply = Result<(StatusCode, Json<Value>), Refusal>;

pub(super) fn ok(done: Result<Value, Refusal>) -> Reply {
    done.map(|body| (StatusCode::OK, Json(body)))
}

pub(super) fn created(done: Result<Value, Refusal>) -> Reply {
    done.map(|body| (StatusCode::CREATED, Json(body)))
}

/// Why a request was not done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Refusal {
    status: StatusCode,
    message: &'static str,
}

impl Refusal {
    pub(super) const fn new(status: StatusCode, message: &'static str) -> Refusal {
        Refusal { status, message }
    }

    pub(super) const fn not_found() -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "there is none")
    }

    pub(super) const fn conflict(message: &'static str) -> Refusal {
        Refusal::new(StatusCode::CONFLICT, message)
    }

    pub(super) const fn invalid(message: &'static str) -> Refusal {
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({"error": self.message}))).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, 5.into());
        }
        response
    }
}

/// The object in a body: 400 when the body is no JSON object.
pub(super) fn object(body: &Bytes) -> Result<Map<String, Value>, Refusal> {
    serde_json::from_slice(body)
        .map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "the body must be a JSON object"))
}

/// The text in a field: 422 with `message` when there is none.
pub(super) fn text(
    object: &Map<String, Value>,
    field: &str,
    message: &'static str,
) -> Result<String, Refusal> {
    match object.get(field) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        _ => Err(Refusal::invalid(message)),
    }
}

/// The positive whole number in a field: 422 with `message` when there is none.
pub(super) fn positive(
    object: &Map<String, Value>,
    field: &str,
    message: &'static str,
) -> Result<u64, Refusal> {
    object.get(field).and_then(Value::as_u64).filter(|number| *number > 0).ok_or(Refusal::invalid(message))
}
