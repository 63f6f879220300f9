//! The feed of incidents, in Atom (RFC 4287).

use std::fmt::Write;

use axum::extract::State;
use axum::http::Extensions;
use axum::response::Response;
use ring::digest::{SHA256, digest};

use super::markup::{Clipped, Count, Length, Markup, Utc, word};
use super::overview::url;
use super::public::{self, Incident};
use super::{Settings, Shared, past, sees_all};
use crate::making::{Made, Source};
use crate::view::ServiceView;

/// Incidents in the feed, the newest.
const MOST_ENTRIES: usize = 50;

pub(super) async fn feed(State(shared): State<Shared>, extensions: Extensions) -> Response {
    let is_whole = sees_all(&extensions);
    let name = if is_whole { "feed" } else { "public feed" };
    let make = move |shared: &Shared| {
        let now = shared.fleet.now();
        // A feed of nothing has been so since then.
        let began = shared.fleet.inner.clock.began();
        let entries = if is_whole { all(shared, now)? } else { public_ones(shared, now)? };
        Ok(Made::new(
            "application/atom+xml; charset=utf-8",
            atom(&shared.settings, &entries, is_whole, began),
        ))
    };
    shared.once(Source::History, name.to_owned(), make).await
}

/// What an entry tells.
struct Entry {
    incident: Incident,
    /// Why; only for those who may know.
    cause: String,
}

type Entries = Result<Vec<Entry>, lifesigns_model::store::StoreError>;

fn public_ones(shared: &Shared, now: i64) -> Entries {
    let services: Vec<ServiceView> = shared.fleet.views().filter(|view| view.is_public).collect();
    let incidents = public::incidents(shared.fleet.store(), &services, now)?;
    Ok(incidents.into_iter().map(|incident| Entry { incident, cause: String::new() }).collect())
}

fn all(shared: &Shared, now: i64) -> Entries {
    let incidents = past::incidents(shared.fleet.store(), now)?;
    let entries = incidents.iter().take(MOST_ENTRIES).map(|event| Entry {
        incident: Incident {
            id: event.key.to_string(),
            names: event.texts("services").into_iter().map(str::to_owned).collect(),
            light: event.light(),
            began: event.began,
            ended: event.ended,
        },
        cause: event.text("cause").to_owned(),
    });
    Ok(entries.collect())
}

fn atom(settings: &Settings, entries: &[Entry], is_whole: bool, began: i64) -> String {
    let changed = |entry: &Entry| entry.incident.ended.unwrap_or(entry.incident.began);
    let title = Markup(&settings.title);
    let link = settings.link.as_deref().unwrap_or_default().trim_end_matches('/');
    let mut feed = String::with_capacity(600 * entries.len() + 500);
    let _ = write!(
        feed,
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\
         <id>{}</id><title>{title}: incidents</title><updated>{}</updated><author><name>{title}</name></author>",
        id(&["feed", &settings.title, link]),
        Utc(entries.iter().map(changed).max().unwrap_or(began)),
    );
    if !link.is_empty() {
        let _ = write!(
            feed,
            "<link rel=\"self\" type=\"application/atom+xml\" href=\"{link}/incidents.atom\"/>\
             <link rel=\"alternate\" type=\"text/html\" href=\"{link}/{page}\"/>",
            link = Markup(link),
            page = if is_whole { "incidents" } else { "public" },
        );
    }
    feed.push('\n');
    for entry in entries {
        let Incident { id: known, names, light, began, ended } = &entry.incident;
        let told = match &names[..] {
            [] => "nobody".to_owned(),
            [one] => one.clone(),
            [one, other] => format!("{one} and {other}"),
            [one, rest @ ..] => format!("{one} and {}", Count(rest.len(), "other")),
        };
        let state = if ended.is_some() { "Resolved" } else { "Outage" };
        let _ = write!(
            feed,
            "<entry><id>{}</id><title>{state}: {}</title><published>{}</published><updated>{}</updated>",
            id(&["incident", &settings.title, link, known]),
            Markup(&told),
            Utc(*began),
            Utc(changed(entry)),
        );
        if !link.is_empty() {
            let page = if is_whole { format!("incidents/{}", url(known)) } else { "public".to_owned() };
            let _ =
                write!(feed, "<link rel=\"alternate\" type=\"text/html\" href=\"{}/{page}\"/>", Markup(link));
        }
        let _ = write!(feed, "<content type=\"text\">At worst {}", word(Some(*light)));
        match ended {
            Some(ended) => {
                let _ = write!(feed, ", for {}", Length(ended - began));
            }
            None => feed.push_str("; it goes on"),
        }
        let _ = write!(feed, ". {}: {}.", Count(names.len(), "service"), Clipped(&names.join(", "), 2_000));
        if !entry.cause.is_empty() {
            let _ = write!(feed, " {}", Clipped(&entry.cause, 500));
        }
        feed.push_str("</content></entry>\n");
    }
    feed.push_str("</feed>\n");
    feed
}

/// A name for ever that says nothing: a UUID of the eighth version (RFC 9562) of a digest.
fn id(parts: &[&str]) -> String {
    let digest = digest(&SHA256, parts.join("\0").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_ref()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut id = String::from("urn:uuid:");
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            id.push('-');
        }
        let _ = write!(id, "{byte:02x}");
    }
    id
}
