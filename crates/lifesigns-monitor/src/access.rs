//! Who may see the fleet.

mod near;
mod sessions;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, Response, StatusCode};
use axum::middleware::Next;
use lifesigns::{Lifesigns, NotLetIn, Scope};
use url::{Origin, Url};

pub(crate) use self::near::Caller;
use self::near::is_loopback_name;
use self::sessions::Sessions;
pub(crate) use self::sessions::{SESSION, SESSION_LASTS};
use crate::pages::Settings;
use crate::resources::problem;

/// More of what somebody else has sent is not repeated, in characters.
const MOST_REPEATED: usize = 100;

/// What a caller may see.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reader {
    /// Whether that is everything, and not only what is public.
    pub sees_all: bool,
    /// Whether it may acknowledge incidents.
    pub may_write: bool,
}

/// Who is let in.
#[derive(Clone, Debug, Default)]
pub struct AccessOptions {
    /// Whether everybody who reaches the monitor from this machine is. Meant for a monitor on loopback without tokens.
    /// It has to be asked as a loopback address or `localhost`, and not through a proxy: otherwise a page of anybody
    /// that is shown on this machine, or a stranger behind the proxy, would be let in, too.
    pub is_open_to_this_machine: bool,
    /// A header in which a proxy on this machine tells who has logged in, such as `X-Forwarded-User`. It is believed
    /// from loopback addresses alone, where the monitor is asked as one of them, as `localhost`, or as the host of its
    /// own link; the proxy must remove it from what its clients send.
    pub user_header: Option<HeaderName>,
    /// Whether strangers get breakers and availability of all services, and not of those that are public alone. Meant for
    /// load balancers that cannot send a token.
    pub are_decisions_open: bool,
}

impl AccessOptions {
    /// Who is let in without a token; or why whoever might be is not.
    pub(crate) fn without_token(
        &self,
        caller: Caller<'_>,
        own: Option<&str>,
    ) -> Result<Option<Reader>, String> {
        if !caller.is_near() {
            return Ok(None);
        }
        let host = caller.host();
        let is_loopback = host.as_deref().is_some_and(is_loopback_name);
        let asked_as = || match &host {
            Some(host) => format!("as {:?}", host.chars().take(MOST_REPEATED).collect::<String>()),
            None => "as no host or as several (the header Host)".to_owned(),
        };
        if self.is_open_to_this_machine {
            const MEND: &str = "or make a token with `lifesigns token new --scope fleet:read`.";
            return match caller.passed_on() {
                // Every browser says which host it means; load balancers' checks do not.
                None if is_loopback || caller.names_no_host() => {
                    Ok(Some(Reader { sees_all: true, may_write: true }))
                }
                None => Err(format!(
                    "This monitor lets in whoever is on this machine, and was asked {}, behind which anybody may be: \
                     ask it as 127.0.0.1 or localhost, {MEND}",
                    asked_as()
                )),
                Some(header) => Err(format!(
                    "This monitor lets in whoever is on this machine, and this came through a proxy (it has the header \
                     {header}), behind which anybody may be: ask the monitor itself, {MEND}"
                )),
            };
        }
        let Some(name) = &self.user_header else { return Ok(None) };
        if caller.headers.get(name).is_none_or(HeaderValue::is_empty) {
            return Ok(None);
        }
        if is_loopback || own.is_some() && host.as_deref() == own {
            return Ok(Some(Reader { sees_all: true, may_write: false }));
        }
        Err(format!(
            "The header {name} is not believed, since the monitor was asked {}: let the proxy ask it as 127.0.0.1, or \
             let `link` of `[monitor]` be the address with that host.",
            asked_as()
        ))
    }
}

/// The host of the monitor's own link.
pub(crate) fn own_host(link: Option<&str>) -> Option<String> {
    Some(Url::parse(link?).ok()?.host_str()?.to_ascii_lowercase())
}

/// Lets callers in.
#[derive(Clone)]
pub(crate) struct Door(Arc<Inner>);

struct Inner {
    lifesigns: Lifesigns,
    options: AccessOptions,
    /// The host of the monitor's own link.
    own: Option<String>,
    /// The origin of that link (RFC 6454).
    origin: Option<Origin>,
    /// How the page that asks for a token presents itself.
    settings: Settings,
    sessions: Sessions,
}

impl Door {
    pub(crate) fn new(lifesigns: Lifesigns, options: AccessOptions, settings: Settings) -> Door {
        let own = own_host(settings.link.as_deref());
        let origin = settings.link.as_deref().and_then(|link| Some(Url::parse(link).ok()?.origin()));
        Door(Arc::new(Inner { lifesigns, options, own, origin, settings, sessions: Sessions::default() }))
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    async fn reader(&self, caller: Caller<'_>) -> Result<Reader, NotLetIn> {
        self.reader_with(caller, Scope::FleetRead).await
    }

    /// Who has a token of that scope, or may see everything without one.
    async fn reader_with(&self, caller: Caller<'_>, scope: Scope) -> Result<Reader, NotLetIn> {
        let Inner { lifesigns, options, own, .. } = &*self.0;
        let doubt = match options.without_token(caller, own.as_deref()) {
            Ok(Some(reader)) => return Ok(reader),
            Ok(None) => None,
            Err(why) => Some(why),
        };
        let shows_token = caller.headers.contains_key(AUTHORIZATION);
        if !shows_token && let Some(found) = self.of_session(caller).await {
            return found;
        }
        let found = lifesigns.authorize(caller.headers, caller.peer, scope).await;
        found.map_err(|mut refusal| {
            if let Some(why) = doubt.filter(|_| !shows_token) {
                refusal.says = why;
            }
            refusal
        })?;
        Ok(self.with_token(caller.headers, caller.peer).await)
    }

    /// What a token opens that has just been found good.
    async fn with_token(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Reader {
        let may_write = self.0.lifesigns.authorize(headers, peer, Scope::HealthWrite).await.is_ok();
        Reader { sees_all: true, may_write }
    }

    /// Whether the session that is told, if there is one, is still good: its token is.
    async fn of_session(&self, caller: Caller<'_>) -> Option<Result<Reader, NotLetIn>> {
        let Inner { lifesigns, sessions, .. } = &*self.0;
        let (id, authorization) = sessions.find(caller.headers, Instant::now())?;
        let headers = HeaderMap::from_iter([(AUTHORIZATION, authorization)]);
        match lifesigns.authorize(&headers, caller.peer, Scope::FleetRead).await {
            Ok(_) => Some(Ok(self.with_token(&headers, caller.peer).await)),
            // Its issuer cannot be asked at the moment.
            Err(refusal) if refusal.status == StatusCode::SERVICE_UNAVAILABLE => Some(Err(refusal)),
            Err(_) => {
                sessions.end(&id, Instant::now());
                None
            }
        }
    }

    /// What a token is worth as a session: the value of a cookie.
    ///
    /// # Errors
    /// With status and reason, when the token does not open the fleet.
    pub(crate) async fn log_in(
        &self,
        token: &str,
        peer: Option<IpAddr>,
    ) -> Result<String, (StatusCode, String)> {
        let mut headers = HeaderMap::new();
        if let Ok(mut value) = HeaderValue::try_from(format!("Bearer {token}")) {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let found = self.0.lifesigns.authorize(&headers, peer, Scope::FleetRead).await;
        found.map_err(|refusal| (refusal.status, refusal.says))?;
        let authorization = headers.remove(AUTHORIZATION).unwrap_or(HeaderValue::from_static(""));
        self.0.sessions.begin(authorization, Instant::now()).map_err(|_| {
            let says = "The system gives no random numbers.".to_owned();
            (StatusCode::INTERNAL_SERVER_ERROR, says)
        })
    }

    /// Ends the session that is told.
    pub(crate) fn log_out(&self, headers: &HeaderMap) {
        self.0.sessions.end_told(headers, Instant::now());
    }

    /// Whether no page of somebody else makes a browser send this.
    pub(crate) fn is_of_own_page(&self, request: &Request) -> bool {
        caller(request).is_of_own_page(self.0.origin.as_ref())
    }
}

/// Who asks, where the server has told.
fn caller(request: &Request) -> Caller<'_> {
    Caller { headers: request.headers(), uri: request.uri(), peer: peer(request) }
}

/// Who has sent a request, where the server has told.
pub(crate) fn peer(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip())
}

/// Whether it is asked what can be done, which is no secret; nothing behind the door answers to this method otherwise.
fn is_of_methods(request: &Request) -> bool {
    request.method() == Method::OPTIONS
}

/// Lets nobody past who may not see everything.
pub(crate) async fn operators_only(
    State(door): State<Door>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    if is_of_methods(&request) {
        return next.run(request).await;
    }
    match door.reader(caller(&request)).await {
        Ok(reader) => {
            request.extensions_mut().insert(reader);
            next.run(request).await
        }
        Err(refusal) => refused(&door, &request, &refusal),
    }
}

/// Lets those past who may see figures, and those who may see everything.
pub(crate) async fn readers_of_figures(
    State(door): State<Door>,
    request: Request,
    next: Next,
) -> Response<Body> {
    if is_of_methods(&request) {
        return next.run(request).await;
    }
    match door.reader(caller(&request)).await {
        Ok(_) => return next.run(request).await,
        // A token that is not known is not known for anything.
        Err(refusal) if refusal.status != StatusCode::FORBIDDEN => return refusal.response(),
        Err(_) => {}
    }
    match door.reader_with(caller(&request), Scope::MetricsRead).await {
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
    if is_of_methods(&request) {
        return next.run(request).await;
    }
    match door.reader(caller(&request)).await {
        Ok(_) if !door.is_of_own_page(&request) => elsewhere(),
        Ok(reader) if reader.may_write => {
            request.extensions_mut().insert(reader);
            next.run(request).await
        }
        Ok(_) => problem(StatusCode::FORBIDDEN, "This takes a token with the scope health:write."),
        Err(refusal) => refusal.response(),
    }
}

/// The answer to what a page of somebody else makes a browser send.
pub(crate) fn elsewhere() -> Response<Body> {
    problem(StatusCode::FORBIDDEN, "A page from elsewhere has made the browser send this.")
}

/// Tells those behind it who is asking, or why that is nobody, and lets everybody past.
pub(crate) async fn everybody(State(door): State<Door>, mut request: Request, next: Next) -> Response<Body> {
    match door.reader(caller(&request)).await {
        Ok(reader) => drop(request.extensions_mut().insert(reader)),
        Err(refusal) => drop(request.extensions_mut().insert(refusal)),
    }
    next.run(request).await
}

fn refused(door: &Door, request: &Request, refusal: &NotLetIn) -> Response<Body> {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_page = request.method() == "GET" && accept.contains("text/html");
    if is_page && refusal.status == StatusCode::UNAUTHORIZED {
        let is_stranger = !request.headers().contains_key(AUTHORIZATION);
        let says = door.0.options.without_token(caller(request), door.0.own.as_deref()).err();
        return crate::login::page(door, refusal.status, says.filter(|_| is_stranger).as_deref());
    }
    refusal.response()
}

#[cfg(test)]
mod tests;
