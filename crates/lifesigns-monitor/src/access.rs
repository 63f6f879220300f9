//! Who may see the fleet.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Response, StatusCode};
use axum::middleware::Next;
use lifesigns::{Lifesigns, NotLetIn, Scope};
use ring::hmac;
use ring::rand::SystemRandom;

/// Name of the cookie that a session is kept in.
pub(crate) const SESSION: &str = "lifesigns_session";
/// How long a session lasts.
pub(crate) const SESSION_LASTS: Duration = Duration::from_hours(12);

/// What a caller may see.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reader {
    /// Whether that is everything, and not only what is public.
    pub sees_all: bool,
    /// Whether it may acknowledge incidents.
    pub may_write: bool,
}

/// Who is let in.
#[derive(Clone, Debug)]
pub struct AccessOptions {
    /// Whether everybody who reaches the monitor from this machine is. Meant for a monitor on loopback without tokens.
    pub is_open_to_this_machine: bool,
    /// A header in which a proxy on this machine tells who has logged in, such as `X-Forwarded-User`. It is believed
    /// from loopback addresses alone; the proxy must remove it from what its clients send.
    pub user_header: Option<HeaderName>,
}

/// Lets callers in.
#[derive(Clone)]
pub(crate) struct Door {
    lifesigns: Lifesigns,
    options: Arc<AccessOptions>,
    sessions: hmac::Key,
}

impl Door {
    /// # Errors
    /// When the system gives no random numbers.
    pub(crate) fn new(
        lifesigns: Lifesigns,
        options: AccessOptions,
    ) -> Result<Door, ring::error::Unspecified> {
        let sessions = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?;
        Ok(Door { lifesigns, options: Arc::new(options), sessions })
    }

    async fn reader(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Reader, NotLetIn> {
        self.reader_with(headers, peer, Scope::FleetRead).await
    }

    /// Who has a token of that scope, or may see everything without one.
    async fn reader_with(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
        scope: Scope,
    ) -> Result<Reader, NotLetIn> {
        let everything = Reader { sees_all: true, may_write: false };
        let is_near = peer.is_some_and(|peer| peer.to_canonical().is_loopback());
        if is_near && self.options.is_open_to_this_machine {
            return Ok(Reader { may_write: true, ..everything });
        }
        if is_near
            && let Some(name) = &self.options.user_header
            && headers.get(name).is_some_and(|user| !user.is_empty())
        {
            return Ok(everything);
        }
        if !headers.contains_key(AUTHORIZATION) && self.has_session(headers) {
            return Ok(everything);
        }
        self.lifesigns.authorize(headers, peer, scope).await?;
        // The same token, which has just been found good.
        let may_write = self.lifesigns.authorize(headers, peer, Scope::HealthWrite).await.is_ok();
        Ok(Reader { may_write, ..everything })
    }

    /// What a token is worth as a session: the value of a cookie.
    ///
    /// # Errors
    /// When the token does not open the fleet.
    pub(crate) async fn session(&self, token: &str, peer: Option<IpAddr>) -> Result<String, NotLetIn> {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::try_from(format!("Bearer {token}")) {
            headers.insert(AUTHORIZATION, value);
        }
        self.lifesigns.authorize(&headers, peer, Scope::FleetRead).await?;
        let expires = (now() + SESSION_LASTS).as_secs().to_string();
        let tag = hmac::sign(&self.sessions, expires.as_bytes());
        Ok(format!("{expires}.{}", hexadecimal(tag.as_ref())))
    }

    fn has_session(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.any(|(name, value)| name == SESSION && self.is_session(value))
    }

    fn is_session(&self, value: &str) -> bool {
        let Some((expires, tag)) = value.split_once('.') else { return false };
        let Some(tag) = bytes(tag) else { return false };
        let is_ours = hmac::verify(&self.sessions, expires.as_bytes(), &tag).is_ok();
        is_ours && expires.parse().is_ok_and(|expires| Duration::from_secs(expires) > now())
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pairs = digits.chunks(2).map(|pair| {
        let pair = str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    pairs.collect()
}

/// Who has sent a request, where the server has told.
pub(crate) fn peer(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip())
}

/// Lets nobody past who may not see everything.
pub(crate) async fn operators_only(
    State(door): State<Door>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    match door.reader(request.headers(), peer(&request)).await {
        Ok(reader) => {
            request.extensions_mut().insert(reader);
            next.run(request).await
        }
        Err(refusal) => refused(&request, &refusal),
    }
}

/// Lets those past who may see figures, and those who may see everything.
pub(crate) async fn readers_of_figures(
    State(door): State<Door>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let (headers, peer) = (request.headers(), peer(&request));
    match door.reader(headers, peer).await {
        Ok(_) => return next.run(request).await,
        // A token that is not known is not known for anything.
        Err(refusal) if refusal.status != StatusCode::FORBIDDEN => return refusal.response(),
        Err(_) => {}
    }
    match door.reader_with(headers, peer, Scope::MetricsRead).await {
        Ok(_) => next.run(request).await,
        Err(refusal) => refusal.response(),
    }
}

/// Lets nobody past who may not write.
pub(crate) async fn writers_only(
    State(door): State<Door>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    match door.reader(request.headers(), peer(&request)).await {
        Ok(reader) if reader.may_write && is_from_here(request.headers()) => {
            request.extensions_mut().insert(reader);
            next.run(request).await
        }
        Ok(_) => {
            let mut response = Response::new(Body::from("This takes a token with the scope health:write.\n"));
            *response.status_mut() = StatusCode::FORBIDDEN;
            response
        }
        Err(refusal) => refusal.response(),
    }
}

/// Tells those behind it who is asking, and lets everybody past.
pub(crate) async fn everybody(State(door): State<Door>, mut request: Request, next: Next) -> Response<Body> {
    let headers = request.headers();
    // Whoever shows nothing is a stranger, and no failed attempt.
    let shows_something = headers.contains_key(AUTHORIZATION) || headers.contains_key(COOKIE);
    let may_be_known =
        shows_something || door.options.is_open_to_this_machine || door.options.user_header.is_some();
    if may_be_known && let Ok(reader) = door.reader(request.headers(), peer(&request)).await {
        request.extensions_mut().insert(reader);
    }
    next.run(request).await
}

/// A browser says where a page comes from that makes it send something.
fn is_from_here(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    site.is_none_or(|site| matches!(site, "same-origin" | "none"))
}

fn refused(request: &Request, refusal: &NotLetIn) -> Response<Body> {
    let accept = request.headers().get("accept").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_page = request.method() == "GET" && accept.contains("text/html");
    if is_page && refusal.status == StatusCode::UNAUTHORIZED {
        return crate::login::page(StatusCode::UNAUTHORIZED, None);
    }
    refusal.response()
}
