//! Six sample services with their data in memory, as somebody might run them behind a gateway.
//!
//! They stand for APIs in any language: there is nothing of Lifesigns in them.

mod checkout;
mod collection;
mod developer;
mod invoice;
mod payment;
mod recurring;
mod reply;
mod user;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use self::reply::Refusal;
use super::outage::Phase;
use super::random::Random;

/// A service that can be put behind a gateway.
#[derive(Debug)]
pub(super) struct Service {
    /// Its name, and that of its API.
    pub(super) name: &'static str,
    /// The path under which a gateway offers it.
    pub(super) prefix: &'static str,
    /// What it serves.
    pub(super) app: Router,
}

/// The services, with chance drawn from `seed`. The payment service lives by its schedule of failures from now
/// on. Must be called inside a tokio runtime.
pub(super) fn all(seed: u64) -> Vec<Service> {
    let service = |name, prefix, answers_after, build: fn(&Arc<Random>) -> Router| {
        let random = Arc::new(Random::new(seed.wrapping_add(answers_after)));
        let pace = Pace { random: Arc::clone(&random), typical: Duration::from_millis(answers_after) };
        let app = build(&random).fallback(async || Refusal::not_found());
        Service { name, prefix, app: app.layer(from_fn_with_state(pace, take_time)) }
    };
    vec![
        service("user-service", "/user", 2, user::routes),
        service("checkout-service", "/checkout", 6, checkout::routes),
        service("developer-service", "/developer", 3, developer::routes),
        service("invoice-service", "/invoice", 8, invoice::routes),
        service("payment-service", "/payment", 12, |random| {
            let outage = Outage { random: Arc::clone(random), started: tokio::time::Instant::now() };
            payment::routes(random).layer(from_fn_with_state(outage, fail_on_schedule))
        }),
        service("recurring-service", "/recurring", 5, recurring::routes),
    ]
}

#[derive(Clone, Debug)]
struct Pace {
    random: Arc<Random>,
    typical: Duration,
}

async fn take_time(State(pace): State<Pace>, request: Request, next: Next) -> Response {
    let half = pace.typical / 2;
    tokio::time::sleep(half + pace.random.pause(half)).await;
    next.run(request).await
}

#[derive(Clone, Debug)]
struct Outage {
    random: Arc<Random>,
    started: tokio::time::Instant,
}

async fn fail_on_schedule(State(outage): State<Outage>, request: Request, next: Next) -> Response {
    match Phase::after(outage.started.elapsed()).failure(outage.random.share(), outage.random.share()) {
        Some(status) => Refusal::new(status, "the payment processor does not answer").into_response(),
        None => next.run(request).await,
    }
}

#[cfg(test)]
mod tests;
