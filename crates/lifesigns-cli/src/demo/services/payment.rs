//! Payments and refunds.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use serde_json::{Map, json};

use super::collection::{Collection, Ids};
use super::reply::{Refusal, Reply, created, object, ok, positive, text};
use crate::demo::random::Random;

pub(super) fn routes(random: &Arc<Random>) -> Router {
    Router::new()
        .route("/payments", post(pay))
        .route("/payments/{id}", get(find))
        .route("/payments/{id}/refund", post(refund))
        .with_state(Collection::new(Ids::Uuids, random))
}

async fn pay(State(payments): State<Collection>, body: Bytes) -> Reply {
    let body = object(&body)?;
    let order = text(&body, "order", "`order` must not be empty")?;
    let cents = positive(&body, "cents", "`cents` must be 1 or more")?;
    let fields = Map::from_iter([
        ("order".to_owned(), json!(order)),
        ("cents".to_owned(), json!(cents)),
        ("state".to_owned(), json!("paid")),
    ]);
    created(payments.insert(fields, Some("order")))
}

async fn find(State(payments): State<Collection>, Path(id): Path<String>) -> Reply {
    ok(payments.get(&id))
}

async fn refund(State(payments): State<Collection>, Path(id): Path<String>) -> Reply {
    let refunded = payments.change(&id, |payment| {
        if payment.insert("state".to_owned(), json!("refunded")) == Some(json!("refunded")) {
            return Err(Refusal::conflict("the payment has been refunded already"));
        }
        Ok(())
    });
    created(refunded)
}
