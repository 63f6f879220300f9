//! What people look at: the fleet, each service, the incidents. Made on the server, without a template and without
//! anything from another host; a small script keeps open pages up to date.
//!
//! Whatever a service has said is escaped where it is shown, and the policy of each page lets nothing run but the script
//! of the monitor itself.

mod assets;
mod atom;
mod badge;
mod chart;
mod incidents;
mod live;
mod markup;
mod overview;
mod past;
mod public;
mod query;
mod service;
mod warning;

use std::fmt::Write;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use lifesigns_model::light::Light;
use lifesigns_model::store::StoreError;
use tokio::sync::Semaphore;

use self::assets::ASSETS;
use self::markup::{Markup, class};
use self::query::Query;
use crate::access::Reader;
use crate::fleet::Fleet;
use crate::making::{Made, Source, Unmade};

/// What a page may load, and from whom: everything comes from the monitor itself.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const HTML: &str = "text/html; charset=utf-8";

const LOG_OUT: &str = "<form method=\"post\" action=\"/logout\"><button>Log out</button></form>";

/// How pages present themselves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the pages are called. Default `Lifesigns`.
    pub title: String,
    /// The address of the monitor for people, such as `https://status.example`: feeds name it.
    pub link: Option<String>,
    /// Whether operators log in, and may want to log out.
    pub has_login: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { title: "Lifesigns".to_owned(), link: None, has_login: false }
    }
}

/// The pages of operators: `/`, `/services/{name}`, `/incidents`, `/incidents/{id}`, `/events`. Who may see them is
/// decided before. They need [`public_router`] beside them, which has the style sheet.
pub fn router(fleet: Fleet, settings: Settings) -> Router {
    Router::new()
        .route("/", get(overview))
        .route("/services/{name}", get(service))
        .route("/incidents", get(incidents))
        .route("/incidents/{id}", get(incident))
        .route("/events", get(events))
        .layer(map_response(async |answer| harden(answer)))
        .with_state(Shared::new(fleet, settings))
}

/// What the forms of those pages are sent to: `/incidents/{id}/acknowledgement`. Who may send them is decided before.
pub(crate) fn writers(fleet: Fleet, settings: Settings) -> Router {
    Router::new()
        .route("/incidents/{id}/acknowledgement", post(incidents::acknowledge))
        .layer(map_response(async |answer| harden(answer)))
        .with_state(Shared::new(fleet, settings))
}

/// What anybody may see: `/public`, `/badges/{name}.svg`, `/incidents.atom` with the services that are public, and
/// `/assets/{file}`. A [`Reader`] among the extensions of a request
/// who sees all gets badges of all services, and all incidents.
pub fn public_router(fleet: Fleet, settings: Settings) -> Router {
    Router::new()
        .route("/public", get(public_page))
        .route("/badges/{file}", get(badge::badge))
        .route("/incidents.atom", get(atom::feed))
        .layer(map_response(async |answer| harden(answer)))
        .merge(assets::router())
        .with_state(Shared::new(fleet, settings))
}

/// What all pages know.
#[derive(Clone)]
struct Shared {
    fleet: Fleet,
    settings: Arc<Settings>,
    listeners: Arc<Semaphore>,
    days: Arc<past::Days>,
    badges: Arc<badge::Kept>,
}

impl Shared {
    fn new(fleet: Fleet, settings: Settings) -> Shared {
        Shared {
            fleet,
            settings: Arc::new(settings),
            listeners: Arc::new(Semaphore::new(live::MOST_LISTENERS)),
            days: Arc::default(),
            badges: Arc::default(),
        }
    }

    /// What operators have to know of the monitor itself, and the content of a page.
    fn warned(&self, body: String) -> String {
        warning::warning(&self.fleet.inner.history(), self.fleet.now()) + &body
    }

    /// Makes something of the history, on a thread that may wait for a disk.
    async fn read<T: Send + 'static>(
        &self,
        make: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Response> {
        let shared = self.clone();
        let made = self.fleet.make(Source::History, move |_| make(&shared)).await;
        made.map_err(|why| self.unreadable(&why))
    }

    /// Makes something for all that ask for it by that name within a moment.
    async fn once(
        &self,
        source: Source,
        name: String,
        make: impl FnOnce(&Shared) -> Result<Made, StoreError> + Send + 'static,
    ) -> Response {
        let shared = self.clone();
        let made = self.fleet.make_once(source, name, move |_| make(&shared)).await;
        made.map_or_else(|why| self.unreadable(&why), Made::answer)
    }

    fn unreadable(&self, why: &Unmade) -> Response {
        tracing::error!(%why, "a page cannot be made");
        let text = "The history cannot be read at the moment. The log of the monitor says why.";
        let page = Page::new(&self.settings, "Not readable", None, Place::Elsewhere);
        page.answer(StatusCode::INTERNAL_SERVER_ERROR, &format!("<h1>Not readable</h1><p>{text}</p>"))
    }
}

/// What every answer says to browsers.
fn harden(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    answer
}

async fn overview(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Response {
    let name = format!("overview {}", query.as_deref().unwrap_or_default());
    let make = move |shared: &Shared| {
        let wanted = overview::Wanted::from(&Query::new(query.as_deref()));
        let Shared { fleet, settings, .. } = shared;
        let shown = overview::Shown::of(fleet.views(), &wanted, &fleet.incidents(), fleet.now());
        let body = shared.warned(overview::body(&shown, &wanted));
        let mut page = Page::new(settings, &shown.counts.to_string(), shown.worst(), Place::Overview);
        page.search = overview::search(&shown, &wanted);
        Ok(Made::new(HTML, page.html(&body)))
    };
    shared.once(Source::Now, name, make).await
}

async fn service(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let Some(view) = shared.fleet.service(&name) else {
        return not_found(&shared.settings, "There is no service of that name.");
    };
    let span = past::Window::from_query(&Query::new(query.as_deref()));
    let (title, light) = (view.name.to_string(), view.light);
    let made = shared.read(move |shared| {
        let now = shared.fleet.now();
        let past = past::Past::read(shared.fleet.store(), &view, span, now)?;
        Ok(service::body(&view, &past, &|name| shared.fleet.service(name).map(|view| view.light), now))
    });
    match made.await {
        Ok(body) => Page::new(&shared.settings, &title, light, Place::Elsewhere)
            .answer(StatusCode::OK, &shared.warned(body)),
        Err(answer) => answer,
    }
}

async fn incidents(State(shared): State<Shared>, reader: Option<Extension<Reader>>) -> Response {
    let may_write = reader.is_some_and(|reader| reader.may_write);
    let made = shared.read(move |shared| {
        let now = shared.fleet.now();
        let past = past::incidents(shared.fleet.store(), now)?;
        Ok(incidents::list(&shared.fleet.incidents(), &past, may_write, now))
    });
    match made.await {
        Ok(body) => {
            let open = shared.fleet.incidents();
            let light = Light::worst(open.iter().map(|incident| incident.worst().into()));
            Page::new(&shared.settings, "Incidents", Some(light), Place::Incidents)
                .answer(StatusCode::OK, &shared.warned(body))
        }
        Err(answer) => answer,
    }
}

async fn incident(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    reader: Option<Extension<Reader>>,
) -> Response {
    let may_write = reader.is_some_and(|reader| reader.may_write);
    let made = shared.read(move |shared| {
        let now = shared.fleet.now();
        let found = past::Whole::find(shared.fleet.store(), &shared.fleet.incidents(), &id)?;
        let id_to_write = may_write.then_some(&*id);
        Ok(found.map(|whole| (whole.light(), incidents::page(&whole, id_to_write, now))))
    });
    match made.await {
        Ok(Some((light, body))) => Page::new(&shared.settings, "Incident", Some(light), Place::Elsewhere)
            .answer(StatusCode::OK, &shared.warned(body)),
        Ok(None) => not_found(
            &shared.settings,
            "There is no such incident, or it was so long ago that it is forgotten.",
        ),
        Err(answer) => answer,
    }
}

async fn events(State(shared): State<Shared>) -> Response {
    live::stream(&shared.fleet, &shared.listeners)
}

async fn public_page(State(shared): State<Shared>) -> Response {
    let make = |shared: &Shared| {
        let now = shared.fleet.now();
        let services: Vec<_> = shared.fleet.views().filter(|view| view.is_public).collect();
        let shown = public::Shown::read(shared.fleet.store(), &shared.days, &services, now)?;
        let page = Page::new(&shared.settings, "Status", shown.light(), Place::Public);
        Ok(Made::new(HTML, page.html(&public::body(&shown))))
    };
    shared.once(Source::History, "public".to_owned(), make).await
}

/// The page that asks for a token, and what is to be said before. Password managers want a user, too.
pub(crate) fn login(settings: &Settings, status: StatusCode, says: Option<&str>) -> Response {
    let says = says.map(|says| format!("<p class=\"note r\" role=\"alert\">{}</p>", Markup(says)));
    let body = format!(
        "<section class=\"login\"><h1>Log in</h1>{}<p>A token with the scope <code>fleet:read</code> opens this \
         monitor. <code>lifesigns token new --scope fleet:read</code> makes one.</p>\
         <form method=\"post\" action=\"/login\"><input name=\"user\" autocomplete=\"username\" value=\"token\" hidden>\
         <label>Token <input name=\"token\" type=\"password\" required \
         autocomplete=\"current-password\"></label><button>Log in</button></form></section>",
        says.unwrap_or_default()
    );
    harden(Page::new(settings, "Log in", None, Place::Login).answer(status, &body))
}

fn not_found(settings: &Settings, why: &str) -> Response {
    let page = Page::new(settings, "Not found", None, Place::Elsewhere);
    page.answer(
        StatusCode::NOT_FOUND,
        &format!("<h1>Not found</h1><p>{why}</p><p><a href=\"/\">To the overview</a></p>"),
    )
}

/// Where a page is among the others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Overview,
    Incidents,
    /// Nothing of the operators' pages is named there.
    Public,
    /// Nor there, and it does not renew itself: somebody may be typing.
    Login,
    Elsewhere,
}

/// What stands round the content of a page.
struct Page<'a> {
    settings: &'a Settings,
    /// What this page is about, in front of the name of all of them.
    about: String,
    light: Option<Light>,
    place: Place,
    /// What stands before the content and is left alone when that is renewed: markup.
    search: String,
}

impl<'a> Page<'a> {
    fn new(settings: &'a Settings, about: &str, light: Option<Light>, place: Place) -> Page<'a> {
        Page { settings, about: about.to_owned(), light, place, search: String::new() }
    }

    fn answer(&self, status: StatusCode, body: &str) -> Response {
        let head = [(header::CONTENT_TYPE, HTML)];
        (status, head, Body::from(self.html(body))).into_response()
    }

    fn html(&self, body: &str) -> String {
        let mut page = String::with_capacity(body.len() + 3000);
        let title = Markup(&self.settings.title);
        let icon = &ASSETS.icon(self.light).path;
        let _ = write!(
            page,
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"color-scheme\" content=\"light dark\"><title>{} · {title}</title>\
             <link rel=\"icon\" href=\"{icon}\" type=\"image/svg+xml\"><link rel=\"stylesheet\" href=\"{}\">\
             {}</head>",
            Markup(&self.about),
            ASSETS.style.path,
            if self.place == Place::Login { String::new() } else { renewal() },
        );
        let is_public = matches!(self.place, Place::Public | Place::Login);
        let (home, events) = if is_public { ("/public", "") } else { ("/", " data-events=\"/events\"") };
        let _ = write!(
            page,
            "<body{events}><a class=\"skip\" href=\"#content\">Skip to content</a><header class=\"top\">\
             <a class=\"brand {}\" href=\"{home}\"><svg viewBox=\"0 0 32 16\" aria-hidden=\"true\">\
             <path d=\"M1 9h7l3-7 5 13 4-9 2 3h9\"/></svg>{title}</a>",
            class(self.light)
        );
        if !is_public {
            page.push_str("<nav aria-label=\"Pages\">");
            let places = [(Place::Overview, "/", "Overview"), (Place::Incidents, "/incidents", "Incidents")];
            for (place, path, name) in places {
                let current = if place == self.place { " aria-current=\"page\"" } else { "" };
                let _ = write!(page, "<a href=\"{path}\"{current}>{name}</a>");
            }
            page.push_str("</nav>");
        }
        page.push_str("<p id=\"live\" role=\"status\"></p></header>");
        let _ = writeln!(
            page,
            "{}<main id=\"content\" tabindex=\"-1\">{body}</main><footer><p>Times are UTC. \
             {}<a href=\"/incidents.atom\">Feed of incidents</a></p>{}</footer></body></html>",
            self.search,
            if self.place == Place::Public { "" } else { "<a href=\"/public\">Public page</a> · " },
            if self.settings.has_login && !is_public { LOG_OUT } else { "" },
        );
        page
    }
}

/// What keeps an open page up to date, with scripts and without.
fn renewal() -> String {
    format!(
        "<script src=\"{}\" defer></script><noscript><meta http-equiv=\"refresh\" content=\"30\"></noscript>",
        ASSETS.script.path
    )
}

/// Whether whoever asks may see everything.
fn sees_all(extensions: &axum::http::Extensions) -> bool {
    extensions.get::<Reader>().is_some_and(|reader| reader.sees_all)
}

#[cfg(test)]
mod tests;
