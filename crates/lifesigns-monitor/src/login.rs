//! Logging in to the pages with a token.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{HeaderValue, LOCATION, SET_COOKIE};
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};

use crate::access::{Door, SESSION, SESSION_LASTS, elsewhere, peer};
use crate::pages;

/// More is no token, in bytes.
const LONGEST_FORM: usize = 16 * 1024;

pub(crate) fn router(door: &Door) -> Router {
    Router::new()
        .route("/login", get(ask).post(log_in))
        .route("/logout", post(log_out))
        .with_state(door.clone())
}

async fn ask(State(door): State<Door>) -> Response<Body> {
    page(&door, StatusCode::OK, None)
}

async fn log_in(State(door): State<Door>, request: Request) -> Response<Body> {
    if !door.is_of_own_page(&request) {
        return elsewhere();
    }
    let peer = peer(&request);
    let Ok(form) = axum::body::to_bytes(request.into_body(), LONGEST_FORM).await else {
        return page(&door, StatusCode::PAYLOAD_TOO_LARGE, Some("That is too long for a token."));
    };
    let token = url::form_urlencoded::parse(&form).find(|(name, _)| name == "token").map(|(_, value)| value);
    match door.log_in(token.as_deref().unwrap_or_default().trim(), peer).await {
        Ok(session) => {
            let lasts = SESSION_LASTS.as_secs();
            go_home(format!("{SESSION}={session}; Path=/; Max-Age={lasts}; HttpOnly; SameSite=Strict"))
        }
        Err((status, says)) => page(&door, status, Some(&says)),
    }
}

async fn log_out(State(door): State<Door>, request: Request) -> Response<Body> {
    if !door.is_of_own_page(&request) {
        return elsewhere();
    }
    door.log_out(request.headers());
    go_home(format!("{SESSION}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"))
}

fn go_home(cookie: String) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, HeaderValue::from_static("/"));
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

/// The page that asks for a token.
pub(crate) fn page(door: &Door, status: StatusCode, says: Option<&str>) -> Response<Body> {
    pages::login(door.settings(), status, says)
}
