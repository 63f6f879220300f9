//! Invoices, as data and as documents.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Map, json};

use super::collection::{Collection, Ids};
use super::reply::{Refusal, Reply, created, object, ok, positive, text};
use crate::demo::random::Random;

pub(super) fn routes(random: &Arc<Random>) -> Router {
    Router::new()
        .route("/invoices", get(list).post(draft))
        .route("/invoices/{id}", get(find))
        .route("/invoices/{id}/document", get(document))
        .route("/invoices/{id}/send", post(send))
        .with_state(Collection::new(Ids::Hex, random))
}

async fn list(State(invoices): State<Collection>) -> Reply {
    ok(Ok(invoices.newest()))
}

async fn draft(State(invoices): State<Collection>, body: Bytes) -> Reply {
    let body = object(&body)?;
    let customer = text(&body, "customer", "`customer` must not be empty")?;
    let cents = positive(&body, "cents", "`cents` must be 1 or more")?;
    let fields = Map::from_iter([
        ("customer".to_owned(), json!(customer)),
        ("cents".to_owned(), json!(cents)),
        ("state".to_owned(), json!("draft")),
    ]);
    created(invoices.insert(fields, None))
}

async fn find(State(invoices): State<Collection>, Path(id): Path<String>) -> Reply {
    ok(invoices.get(&id))
}

/// About 12 kB, so that not every answer is a short one.
async fn document(State(invoices): State<Collection>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let invoice = invoices.get(&id)?;
    let customer = invoice["customer"].as_str().unwrap_or_default();
    let mut document = format!("Invoice {id} for {customer}\n\n");
    document.extend((1..=160).map(|line| format!("{line:>4}  Position {line:<40} {:>24}.00\n", line * 3)));
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], document).into_response())
}

async fn send(State(invoices): State<Collection>, Path(id): Path<String>) -> Reply {
    let sent = invoices.change(&id, |invoice| {
        if invoice.insert("state".to_owned(), json!("sent")) == Some(json!("sent")) {
            return Err(Refusal::conflict("the invoice has been sent already"));
        }
        Ok(())
    });
    ok(sent)
}
