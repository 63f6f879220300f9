//! API keys and webhooks.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::{Map, json};

use super::collection::{Collection, Ids};
use super::reply::{Refusal, Reply, created, object, ok, text};
use crate::demo::random::Random;

#[derive(Clone)]
struct Service {
    keys: Collection,
    webhooks: Collection,
}

pub(super) fn routes(random: &Arc<Random>) -> Router {
    let service =
        Service { keys: Collection::new(Ids::Hex, random), webhooks: Collection::new(Ids::Numbers, random) };
    Router::new()
        .route("/keys", get(list_keys).post(make_key))
        .route("/keys/{id}", get(find_key).delete(revoke_key))
        .route("/webhooks", get(list_webhooks).post(add_webhook))
        .route("/webhooks/{id}", get(find_webhook).delete(remove_webhook))
        .with_state(service)
}

async fn list_keys(State(service): State<Service>) -> Reply {
    ok(Ok(service.keys.newest()))
}

async fn make_key(State(service): State<Service>, body: Bytes) -> Reply {
    let label = text(&object(&body)?, "label", "`label` must not be empty")?;
    created(service.keys.insert(Map::from_iter([("label".to_owned(), json!(label))]), Some("label")))
}

async fn find_key(State(service): State<Service>, Path(id): Path<String>) -> Reply {
    ok(service.keys.get(&id))
}

async fn revoke_key(State(service): State<Service>, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    service.keys.remove(&id)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_webhooks(State(service): State<Service>) -> Reply {
    ok(Ok(service.webhooks.newest()))
}

async fn add_webhook(State(service): State<Service>, body: Bytes) -> Reply {
    let url = text(&object(&body)?, "url", "`url` must not be empty")?;
    if !url.starts_with("https://") {
        return Err(Refusal::invalid("`url` must start with https://"));
    }
    created(service.webhooks.insert(Map::from_iter([("url".to_owned(), json!(url))]), None))
}

async fn find_webhook(State(service): State<Service>, Path(id): Path<String>) -> Reply {
    ok(service.webhooks.get(&id))
}

async fn remove_webhook(
    State(service): State<Service>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    service.webhooks.remove(&id)?;
    Ok(StatusCode::NO_CONTENT)
}
