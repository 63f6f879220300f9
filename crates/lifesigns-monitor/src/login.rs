//! Logging in to the pages with a token.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LOCATION, SET_COOKIE,
};
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};

use crate::access::{Door, SESSION, SESSION_LASTS, peer};

/// More is no token, in bytes.
const LONGEST_FORM: usize = 16 * 1024;

pub(crate) fn router(door: &Door) -> Router {
    Router::new()
        .route("/login", get(async || page(StatusCode::OK, None)).post(log_in))
        .route(
            "/logout",
            post(async || go_home(format!("{SESSION}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"))),
        )
        .with_state(door.clone())
}

async fn log_in(State(door): State<Door>, request: Request) -> Response<Body> {
    let peer = peer(&request);
    let Ok(form) = axum::body::to_bytes(request.into_body(), LONGEST_FORM).await else {
        return page(StatusCode::PAYLOAD_TOO_LARGE, Some("That is too long for a token."));
    };
    let token = url::form_urlencoded::parse(&form).find(|(name, _)| name == "token").map(|(_, value)| value);
    match door.session(token.as_deref().unwrap_or_default().trim(), peer).await {
        Ok(session) => {
            let lasts = SESSION_LASTS.as_secs();
            go_home(format!("{SESSION}={session}; Path=/; Max-Age={lasts}; HttpOnly; SameSite=Strict"))
        }
        Err(refusal) => page(refusal.status, Some(&refusal.says)),
    }
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

/// The page that asks for a token. `says` is a text of ours.
pub(crate) fn page(status: StatusCode, says: Option<&str>) -> Response<Body> {
    let says = says.map(|says| format!("<p role=\"alert\">{says}</p>")).unwrap_or_default();
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Log in</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"></head><body><main><h1>Log in</h1>{says}\
         <p>A token with the scope <code>fleet:read</code> opens this monitor. \
         <code>lifesigns token new --scope fleet:read</code> makes one.</p>\
         <form method=\"post\" action=\"/login\"><label>Token <input name=\"token\" type=\"password\" required \
         autocomplete=\"current-password\"></label> <button>Log in</button></form></main></body></html>\n"
    );
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let policy = "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}
