//! Carts that become orders.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use serde_json::{Map, Value, json};

use super::collection::{Collection, Ids};
use super::reply::{Refusal, Reply, created, object, ok, positive};
use crate::demo::random::Random;

pub(super) fn routes(random: &Arc<Random>) -> Router {
    Router::new()
        .route("/carts", post(open))
        .route("/carts/{id}", get(find))
        .route("/carts/{id}/items/{sku}", put(place).delete(take_out))
        .route("/carts/{id}/order", post(order))
        .with_state(Collection::new(Ids::Uuids, random))
}

async fn open(State(carts): State<Collection>) -> Reply {
    let fields = Map::from_iter([("state".to_owned(), json!("open")), ("items".to_owned(), json!({}))]);
    created(carts.insert(fields, None))
}

async fn find(State(carts): State<Collection>, Path(id): Path<String>) -> Reply {
    ok(carts.get(&id))
}

async fn place(
    State(carts): State<Collection>,
    Path((id, sku)): Path<(String, String)>,
    body: Bytes,
) -> Reply {
    let quantity = positive(&object(&body)?, "quantity", "`quantity` must be 1 or more")?;
    let cart = carts.change(&id, |cart| {
        items(cart)?.insert(sku, json!(quantity));
        Ok(())
    });
    ok(cart)
}

async fn take_out(
    State(carts): State<Collection>,
    Path((id, sku)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    carts.change(&id, |cart| items(cart)?.remove(&sku).map(drop).ok_or_else(Refusal::not_found))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn order(State(carts): State<Collection>, Path(id): Path<String>) -> Reply {
    let ordered = carts.change(&id, |cart| {
        if items(cart)?.is_empty() {
            return Err(Refusal::conflict("the cart is empty"));
        }
        cart.insert("state".to_owned(), json!("ordered"));
        Ok(())
    });
    created(ordered)
}

/// What lies in a cart that is still open.
fn items(cart: &mut Map<String, Value>) -> Result<&mut Map<String, Value>, Refusal> {
    if cart.get("state") != Some(&json!("open")) {
        return Err(Refusal::conflict("the cart has been ordered already"));
    }
    cart.get_mut("items").and_then(Value::as_object_mut).ok_or_else(Refusal::not_found)
}
