//! Incidents: all of them, and each.

use std::fmt::Write;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use lifesigns_model::light::Light;
use url::form_urlencoded;

use super::markup::{Ago, Clipped, Count, Lamp, Length, Markup, Moment};
use super::overview::{link, url};
use super::past::{Affected, Happened, MOST_INCIDENTS, Whole};
use super::service::Lasted;
use super::{Page, Place, Shared, not_found};
use crate::alerts::incidents::Incident;
use crate::fleet::{LONGEST_TAKER, name_of_taker};

/// Names that are told of one incident in the list of all.
const MOST_NAMES: usize = 5;
/// Services that the page of an incident tells of, the first ones.
const MOST_MEMBERS: usize = 500;

/// Takes an incident up, as its form asks: `by=kim`.
pub(super) async fn acknowledge(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    let by = form_urlencoded::parse(&body).find(|(name, _)| name == "by");
    let Some(by) = by.and_then(|(_, by)| name_of_taker(&by)) else {
        let page = Page::new(&shared.settings, "No name", None, Place::Elsewhere);
        let body = format!(
            "<h1>No name</h1><p>Say who takes it up, so that others know whom to ask.</p>\
             <p><a href=\"/incidents/{}\">Back to the incident</a></p>",
            url(&id)
        );
        return page.answer(StatusCode::BAD_REQUEST, &body);
    };
    if !shared.fleet.acknowledge(&id, &by) {
        return not_found(&shared.settings, "There is no such incident, or it is over.");
    }
    Redirect::to(&format!("/incidents/{}", url(&id))).into_response()
}

/// The form in which somebody takes an incident up.
fn form(id: &str, name: &str) -> String {
    format!(
        "<form class=\"take\" method=\"post\" action=\"/incidents/{0}/acknowledgement\"><label>Your name \
         <input id=\"by-{0}\" name=\"by\" required maxlength=\"{LONGEST_TAKER}\" autocomplete=\"name\"></label> \
         <button aria-label=\"Take it up: {1}\">Take it up</button></form>",
        url(id),
        Markup(name)
    )
}

/// The page of all: those that go on, and those of the last 90 days.
pub(super) fn list(open: &[Incident], past: &[Happened], may_write: bool, now: i64) -> String {
    let mut page =
        String::from("<h1>Incidents</h1><section aria-labelledby=\"open\"><h2 id=\"open\">Going on</h2>");
    if open.is_empty() {
        page.push_str("<p>None.</p>");
    } else {
        page.push_str("<ol class=\"log\">");
        for incident in open.iter().rev() {
            let names = incident.members.iter().map(|member| &*member.affected.name);
            let cause = incident.members.first().map_or("", |member| &member.affected.cause);
            let passed = format!("<i>for {}</i>", Length(now - incident.began));
            let light = incident.worst().into();
            let names: Vec<&str> = names.collect();
            entry(&mut page, &incident.id, light, incident.began, &passed, &names, cause);
            match &incident.acknowledged {
                Some(taken) => {
                    let _ = write!(page, "<p>{} looks after it.</p>", Clipped(&taken.by, 60));
                }
                None if may_write => page.push_str(&form(&incident.id, names.first().unwrap_or(&"nobody"))),
                None => {}
            }
            page.push_str("</li>");
        }
        page.push_str("</ol>");
    }
    page.push_str("</section><section aria-labelledby=\"past\"><h2 id=\"past\">Last 90 days</h2>");
    let is_over = |event: &&Happened| event.ended.is_some() && open.iter().all(|one| one.id != *event.key);
    let over: Vec<&Happened> = past.iter().filter(is_over).collect();
    if over.is_empty() {
        page.push_str("<p>None.</p>");
    } else {
        page.push_str("<ol class=\"log\">");
        for event in over {
            let (names, passed) = (event.texts("services"), Lasted(event, now).to_string());
            entry(&mut page, &event.key, event.light(), event.began, &passed, &names, event.text("cause"));
            page.push_str("</li>");
        }
        page.push_str("</ol>");
    }
    if past.len() >= MOST_INCIDENTS {
        let _ = write!(page, "<p>The {MOST_INCIDENTS} newest are shown.</p>");
    }
    page.push_str("</section>");
    page
}

fn entry(page: &mut String, id: &str, light: Light, began: i64, passed: &str, names: &[&str], cause: &str) {
    let told: Vec<String> = names.iter().take(MOST_NAMES).map(|name| Markup(name).to_string()).collect();
    let _ = write!(
        page,
        "<li>{} {} {passed} <div><a href=\"/incidents/{}\">{}",
        Lamp(Some(light)),
        Moment(began),
        url(id),
        told.join(", ")
    );
    if names.len() > MOST_NAMES {
        let _ = write!(page, " and {} more", names.len() - MOST_NAMES);
    }
    let _ = write!(page, "</a> {}</div>", Clipped(cause, 240));
}

/// The page of one. Whoever may write can take it up by its id.
pub(super) fn page(whole: &Whole, id_to_write: Option<&str>, now: i64) -> String {
    let mut page = String::with_capacity(whole.members.len() * 300 + 1_000);
    let first = whole.members.first().map_or("nobody", |member| &*member.name);
    let title = match whole.members.len() {
        0 | 1 => Markup(first).to_string(),
        count => format!("{} and {}", Markup(first), Count(count - 1, "other")),
    };
    let light = if whole.ended.is_some() { Some(Light::Green) } else { Some(whole.light()) };
    let state = if whole.ended.is_some() { "over" } else { "goes on" };
    let _ = write!(
        page,
        "<div class=\"title {}\"><h1>Incident: {title}</h1><p><b class=\"lamp {}\">{state}</b> began {}",
        super::markup::class(light),
        super::markup::class(light),
        Ago { at: whole.began, now }
    );
    match whole.ended {
        Some(ended) => {
            let _ = write!(page, ", lasted {}", Length(ended - whole.began));
        }
        None => {
            let _ = write!(page, ", for {} so far", Length(now - whole.began));
        }
    }
    page.push_str("</p></div>");
    let _ = write!(
        page,
        "<dl class=\"facts wide-facts\"><div><dt>At worst</dt><dd>{}</dd></div>",
        Lamp(Some(whole.light()))
    );
    if !whole.shared.is_empty() {
        let shared: Vec<String> = whole.shared.iter().map(|one| Clipped(one, 100).to_string()).collect();
        let _ = write!(page, "<div><dt>They share</dt><dd>{}</dd></div>", shared.join(", "));
    }
    if let Some((by, at)) = &whole.acknowledged {
        let _ = write!(
            page,
            "<div><dt>Taken up</dt><dd>by {}, {}</dd></div>",
            Clipped(by, 60),
            Ago { at: *at, now }
        );
    }
    page.push_str("</dl>");
    if let Some(id) = id_to_write.filter(|_| whole.ended.is_none() && whole.acknowledged.is_none()) {
        page.push_str(&form(id, first));
    }
    members(&mut page, whole, now);
    messages(&mut page, &whole.messages);
    page
}

fn members(page: &mut String, whole: &Whole, now: i64) {
    page.push_str("<section aria-labelledby=\"members\"><h2 id=\"members\">Services, in the order in which they were affected</h2><ol class=\"members\">");
    for member in whole.members.iter().take(MOST_MEMBERS) {
        let Affected { name, light, now: current, began, ended, cause, failing, excerpt } = member;
        let _ = write!(page, "<li>{} {} {} ", Lamp(Some(*light)), link(name), Moment(*began));
        let _ = match ended {
            Some(ended) => write!(page, "<i>for {}</i>", Length(ended - began)),
            None => write!(page, "<i>goes on, {}</i>", Length(now - began)),
        };
        if let Some(current) = current {
            let _ = write!(page, " now {}", Lamp(Some(*current)));
        }
        let _ = write!(page, "<p>{}", Clipped(cause, 240));
        if let Some(failing) = failing {
            let _ = write!(page, " First failing: <bdi>{}</bdi>.", Clipped(failing, 80));
        }
        if let Some(excerpt) = excerpt {
            let _ = write!(page, " <code>{}</code>", Clipped(excerpt, 200));
        }
        page.push_str("</p></li>");
    }
    page.push_str("</ol>");
    if let Some(more) = whole.members.len().checked_sub(MOST_MEMBERS).filter(|more| *more > 0) {
        let _ = write!(page, "<p>And {}.</p>", Count(more, "more service"));
    }
    page.push_str("</section>");
}

fn messages(page: &mut String, messages: &[Happened]) {
    if messages.is_empty() {
        return;
    }
    page.push_str(
        "<section aria-labelledby=\"messages\"><h2 id=\"messages\">Who was told</h2><ol class=\"log\">",
    );
    for message in messages {
        let _ = write!(
            page,
            "<li><b>{1}</b> {0} <div>{2}",
            Moment(message.began),
            Markup(message.text("route")),
            Markup(message.text("kind"))
        );
        let given_up = message.text("given_up");
        if !given_up.is_empty() {
            let _ = write!(page, ", did not arrive: {}", Clipped(given_up, 200));
        }
        page.push_str("</div></li>");
    }
    page.push_str("</ol></section>");
}
