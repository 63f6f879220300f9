//! Whether to call a service now, for callers and load balancers.
//!
//! Strangers are told of public services, unless decisions are for everybody. Of any other name they learn nothing, not
//! even whether there is such a service.

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::http::{Response, StatusCode};
use lifesigns::{FailedBy, NotLetIn};
use lifesigns_model::light::Light;
use serde_json::json;

use super::{answer, json_answer, light_name, no_service, time};
use crate::access::Reader;
use crate::breaker::BreakerState;
use crate::fleet::Fleet;
use crate::view::ServiceView;

/// Of whom decisions are made, and for whom.
#[derive(Clone)]
pub(super) struct Decisions {
    pub(super) fleet: Fleet,
    /// Whether everybody gets those of all services.
    pub(super) are_open: bool,
}

impl Decisions {
    /// # Errors
    /// How the request is to be answered, where there is no such service, or none that whoever asks may know of.
    fn service(&self, name: &str, refusal: Option<&NotLetIn>) -> Result<ServiceView, Box<Response<Body>>> {
        match refusal {
            Some(refusal) if !self.are_open && !self.fleet.is_public(name) => {
                Err(Box::new(refusal.response()))
            }
            _ => self.fleet.service(name).ok_or_else(|| Box::new(no_service(name))),
        }
    }
}

/// The breaker, with the reason for those who may see it.
pub(super) async fn breaker(
    State(decisions): State<Decisions>,
    Path(name): Path<String>,
    reader: Option<Extension<Reader>>,
    refusal: Option<Extension<NotLetIn>>,
) -> Response<Body> {
    let service = match decisions.service(&name, refusal.as_deref()) {
        Ok(service) => service,
        Err(answer) => return *answer,
    };
    let breaker = &service.breaker;
    let sees_all = reader.is_some_and(|reader| reader.sees_all);
    let mut body = json!({
        "service": service.name,
        "state": breaker.state,
        "light": light_name(service.light),
        "hold_non_essential": breaker.holds_non_essential,
        "since": time(breaker.since),
        "next_try": time(breaker.next_try),
    });
    if sees_all {
        body["why"] = json!(breaker.why);
    }
    let mut response = json_answer(StatusCode::OK, &body);
    if breaker.state == BreakerState::Open {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(breaker.retry_after(decisions.fleet.now())));
    }
    response
}

/// 200 while the service may be called, 503 while it may not, or has not been asked yet.
pub(super) async fn available(
    State(decisions): State<Decisions>,
    Path(name): Path<String>,
    refusal: Option<Extension<NotLetIn>>,
) -> Response<Body> {
    let service = match decisions.service(&name, refusal.as_deref()) {
        Ok(service) => service,
        Err(answer) => return *answer,
    };
    let (status, word) = match (service.light, service.breaker.state) {
        (Some(Light::Green), _) => (StatusCode::OK, "up\n"),
        (Some(Light::Amber), _) => (StatusCode::OK, "up, hold what can wait\n"),
        // Load balancers that hold traffic back for want of knowledge would turn a blind monitor into an outage.
        (None, _) if service.asked > 0 => (StatusCode::OK, "not known\n"),
        (None | Some(Light::Red), _) => (StatusCode::SERVICE_UNAVAILABLE, "down\n"),
    };
    let mut response = answer(status, "text/plain; charset=utf-8", word.to_owned());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let seconds = service.breaker.retry_after(decisions.fleet.now());
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        // It is out, and the monitor is not: that is what was asked for.
        response.extensions_mut().insert(FailedBy::Nobody);
    }
    response
}
