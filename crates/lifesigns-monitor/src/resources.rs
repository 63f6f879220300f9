//! What programs ask of the fleet: JSON, decisions for load balancers, figures for Prometheus.

mod api;
mod decisions;
mod discovery;
mod metrics;
mod openapi;
pub(crate) mod status;

pub use self::api::{event_json, history_json};
use axum::Router;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::routing::{get, post};
use jiff::Timestamp;
use lifesigns_model::light::Light;
use lifesigns_model::store::StoreError;
use serde_json::{Value, json};

use crate::fleet::Fleet;
use crate::making::{Made, Source, Unmade};

const JSON: &str = "application/json";

/// What operators may ask.
pub(crate) fn operators(fleet: &Fleet) -> Router {
    Router::new()
        .route("/api/services", get(api::services))
        .route("/api/services/{name}", get(api::service))
        .route("/api/services/{name}/history", get(api::history))
        .route("/api/services/{name}/events", get(api::service_events))
        .route("/api/incidents", get(api::incidents))
        .route("/api/events", get(api::events))
        .with_state(fleet.clone())
}

/// What Prometheus asks for.
pub(crate) fn figures(fleet: &Fleet) -> Router {
    Router::new()
        .route("/sd", get(discovery::targets))
        .route("/metrics", get(metrics::page))
        .with_state(fleet.clone())
}

/// What takes the right to write.
pub(crate) fn writers(fleet: &Fleet) -> Router {
    Router::new()
        .route("/api/incidents/{id}/acknowledgement", post(api::acknowledge))
        .with_state(fleet.clone())
}

/// What anybody may ask. With `are_decisions_open` it is told to everybody whether to call services that are not public.
pub(crate) fn everybody(fleet: &Fleet, are_decisions_open: bool) -> Router {
    Router::new()
        .route("/services/{name}/breaker", get(decisions::breaker))
        .route("/services/{name}/available", get(decisions::available))
        .with_state(decisions::Decisions { fleet: fleet.clone(), are_open: are_decisions_open })
        .route("/api/openapi.json", get(openapi::document))
}

/// What is made of what is known now, for all that ask for it by that name within a moment.
async fn once(
    fleet: &Fleet,
    name: String,
    make: impl FnOnce(&Fleet) -> Result<Made, StoreError> + Send + 'static,
) -> Response<Body> {
    match fleet.make_once(Source::Now, name, make).await {
        Ok(Made { content_type, body }) => answer(StatusCode::OK, content_type, body),
        Err(why) => unmade(&why),
    }
}

/// An answer that was not made.
fn unmade(why: &Unmade) -> Response<Body> {
    tracing::error!(%why, "an answer cannot be made");
    match why {
        Unmade::Unreadable(_) => {
            problem(StatusCode::SERVICE_UNAVAILABLE, "The history cannot be read at the moment.")
        }
        Unmade::Broken(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "The answer could not be made."),
    }
}

/// An answer in JSON.
fn json_answer(status: StatusCode, body: &Value) -> Response<Body> {
    answer(status, JSON, body.to_string())
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// RFC 9457.
pub(crate) fn problem(status: StatusCode, detail: &str) -> Response<Body> {
    let body = json!({
        "type": "about:blank", "title": status.canonical_reason(), "status": status.as_u16(), "detail": detail,
    });
    answer(status, "application/problem+json", body.to_string())
}

fn no_service(name: &str) -> Response<Body> {
    let name: String = name.chars().take(100).collect();
    problem(StatusCode::NOT_FOUND, &format!("There is no service {name:?}; /api/services lists all of them."))
}

/// A light as it is written: `GREEN`, `AMBER`, `RED`, or `UNKNOWN`.
pub(crate) const fn light_name(light: Option<Light>) -> &'static str {
    match light {
        Some(light) => light.name(),
        None => "UNKNOWN",
    }
}

/// RFC 3339 with milliseconds; `null` for what was never.
fn time(at: i64) -> Value {
    match Timestamp::from_millisecond(at) {
        Ok(time) if at > 0 => json!(format!("{time:.3}")),
        _ => Value::Null,
    }
}
