//! Accounts and sessions.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde_json::{Map, json};

use super::collection::{Collection, Ids};
use super::reply::{Refusal, Reply, created, object, ok, text};
use crate::demo::random::Random;

const NO_EMAIL: &str = "`email` must be an address";

#[derive(Clone)]
struct Service {
    users: Collection,
    sessions: Collection,
}

pub(super) fn routes(random: &Arc<Random>) -> Router {
    let service = Service {
        users: Collection::new(Ids::Numbers, random),
        sessions: Collection::new(Ids::Uuids, random),
    };
    Router::new()
        .route("/users", get(list).post(sign_up))
        .route("/users/{id}", get(find).patch(rename).delete(leave))
        .route("/sessions", post(sign_in))
        .with_state(service)
}

async fn list(State(service): State<Service>) -> Reply {
    ok(Ok(service.users.newest()))
}

async fn sign_up(State(service): State<Service>, body: Bytes) -> Reply {
    let body = object(&body)?;
    let email = text(&body, "email", NO_EMAIL)?;
    if !email.contains('@') {
        return Err(Refusal::invalid(NO_EMAIL));
    }
    let name = text(&body, "name", "`name` must not be empty")?;
    let fields = Map::from_iter([("email".to_owned(), json!(email)), ("name".to_owned(), json!(name))]);
    created(service.users.insert(fields, Some("email")))
}

async fn find(State(service): State<Service>, Path(id): Path<String>) -> Reply {
    ok(service.users.get(&id))
}

async fn rename(State(service): State<Service>, Path(id): Path<String>, body: Bytes) -> Reply {
    let name = text(&object(&body)?, "name", "`name` must not be empty")?;
    let renamed = service.users.change(&id, |user| {
        user.insert("name".to_owned(), json!(name));
        Ok(())
    });
    ok(renamed)
}

async fn leave(State(service): State<Service>, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    service.users.remove(&id)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn sign_in(State(service): State<Service>, body: Bytes) -> Reply {
    let user = text(&object(&body)?, "user", "`user` must be an id")?;
    service.users.get(&user).map_err(|_| Refusal::invalid("nobody has this id"))?;
    created(service.sessions.insert(Map::from_iter([("user".to_owned(), json!(user))]), None))
}
