//! Subscriptions.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use serde_json::{Map, Value, json};

use super::collection::{Collection, Ids};
use super::reply::{Refusal, Reply, created, object, ok, text};
use crate::demo::random::Random;

const PLANS: [&str; 3] = ["basic", "plus", "team"];

pub(super) fn routes(random: &Arc<Random>) -> Router {
    Router::new()
        .route("/subscriptions", get(list).post(subscribe))
        .route("/subscriptions/{id}", get(find))
        .route("/subscriptions/{id}/plan", put(switch))
        .route("/subscriptions/{id}/cancel", post(cancel))
        .with_state(Collection::new(Ids::Numbers, random))
}

async fn list(State(subscriptions): State<Collection>) -> Reply {
    ok(Ok(subscriptions.newest()))
}

async fn subscribe(State(subscriptions): State<Collection>, body: Bytes) -> Reply {
    let body = object(&body)?;
    let fields = Map::from_iter([
        ("customer".to_owned(), json!(text(&body, "customer", "`customer` must not be empty")?)),
        ("plan".to_owned(), json!(plan(&body)?)),
        ("state".to_owned(), json!("active")),
    ]);
    created(subscriptions.insert(fields, None))
}

async fn find(State(subscriptions): State<Collection>, Path(id): Path<String>) -> Reply {
    ok(subscriptions.get(&id))
}

async fn switch(State(subscriptions): State<Collection>, Path(id): Path<String>, body: Bytes) -> Reply {
    let plan = plan(&object(&body)?)?;
    let switched = subscriptions.change(&id, |subscription| {
        must_be_active(subscription)?;
        subscription.insert("plan".to_owned(), json!(plan));
        Ok(())
    });
    ok(switched)
}

async fn cancel(State(subscriptions): State<Collection>, Path(id): Path<String>) -> Reply {
    let cancelled = subscriptions.change(&id, |subscription| {
        must_be_active(subscription)?;
        subscription.insert("state".to_owned(), json!("cancelled"));
        Ok(())
    });
    ok(cancelled)
}

fn plan(body: &Map<String, Value>) -> Result<String, Refusal> {
    const UNKNOWN: &str = "`plan` must be basic, plus or team";
    let plan = text(body, "plan", UNKNOWN)?;
    if PLANS.contains(&&*plan) { Ok(plan) } else { Err(Refusal::invalid(UNKNOWN)) }
}

fn must_be_active(subscription: &Map<String, Value>) -> Result<(), Refusal> {
    if subscription.get("state") == Some(&json!("active")) {
        Ok(())
    } else {
        Err(Refusal::conflict("the subscription has been cancelled already"))
    }
}
