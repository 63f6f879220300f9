//! What pages tell of the past, as the history has it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use lifesigns_model::history::{
    Availability, Event, EventKind, EventSelection, HistoryStore, Slice, Span, availability, slices,
};
use lifesigns_model::light::Light;
use lifesigns_model::store::StoreError;
use serde_json::Value;

use super::query::Query;
use crate::alerts::incidents::Incident;
use crate::service::Name;
use crate::view::ServiceView;

/// In seconds.
const DAY: i64 = 86_400;
/// Bars of days that are shown.
pub(super) const DAYS: i64 = 90;
/// Outages that a page of a service names, deploys and restarts that it marks.
const MOST_EVENTS: usize = 100;
/// Incidents on the page of all of them.
pub(super) const MOST_INCIDENTS: usize = 200;
/// Outages among which those of one incident are looked for.
const MOST_OUTAGES: usize = 5_000;
/// So long after its end a day does not change any more, in seconds.
const SETTLED: i64 = 300;
/// An outage is known this much later than it began, at most, in seconds.
const BELIEVED_WITHIN: i64 = 2 * DAY;

/// How far back a chart or a figure goes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Window {
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Window {
    pub(super) const ALL: [Window; 6] =
        [Window::Hour, Window::Day, Window::Week, Window::Month, Window::Quarter, Window::Year];

    /// As it stands in a query.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Window::Hour => "1h",
            Window::Day => "24h",
            Window::Week => "7d",
            Window::Month => "30d",
            Window::Quarter => "90d",
            Window::Year => "1y",
        }
    }

    /// For people.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Window::Hour => "1 hour",
            Window::Day => "24 hours",
            Window::Week => "7 days",
            Window::Month => "30 days",
            Window::Quarter => "90 days",
            Window::Year => "1 year",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Window> {
        Window::ALL.into_iter().find(|window| window.name() == name)
    }

    /// The one that `span` asks for; a day otherwise.
    pub(super) fn from_query(query: &Query<'_>) -> Window {
        query.get("span").and_then(|name| Window::from_name(&name)).unwrap_or(Window::Day)
    }

    const fn seconds(self) -> i64 {
        match self {
            Window::Hour => 3600,
            Window::Day => DAY,
            Window::Week => 7 * DAY,
            Window::Month => 30 * DAY,
            Window::Quarter => 90 * DAY,
            Window::Year => 365 * DAY,
        }
    }

    /// How long a part of a chart of it is, in seconds.
    const fn part(self) -> i64 {
        match self {
            Window::Hour => 60,
            Window::Day => 600,
            Window::Week => 3600,
            Window::Month => 4 * 3600,
            Window::Quarter => DAY / 2,
            Window::Year => 2 * DAY,
        }
    }

    fn until(self, now: i64) -> Span {
        Span { from: now - self.seconds(), to: now }
    }
}

/// The past of one service.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) window: Window,
    /// The window in parts.
    pub(super) parts: Vec<Slice>,
    /// The last 90 days, today last.
    pub(super) days: Vec<Slice>,
    pub(super) figures: Vec<(Window, Availability)>,
    /// The newest first.
    pub(super) outages: Vec<Happened>,
    /// Deploys and restarts in the window, the newest first.
    pub(super) marks: Vec<Happened>,
    /// Times in the window in which the monitor did not see the service, the newest first.
    pub(super) gaps: Vec<Happened>,
}

impl Past {
    pub(super) fn read(
        store: &dyn HistoryStore,
        view: &ServiceView,
        window: Window,
        now: i64,
    ) -> Result<Past, StoreError> {
        let (second, hold) = (now / 1000, view.hold);
        let year = Window::Year.until(second);
        let readings = store.readings(&view.name, Span { from: year.from - hold, to: second + 1 })?;
        let figure = |window: Window| (window, availability(&readings, window.until(second), hold));
        let part = window.part();
        let end = (second + part).div_euclid(part) * part;
        let shown = Span { from: end - window.seconds(), to: end };
        let count = usize::try_from(window.seconds() / part).unwrap_or_default();
        let happened = |kinds: &[EventKind], span| {
            let selection = EventSelection {
                kinds: kinds.to_vec(),
                service: Some(Arc::clone(&view.name)),
                span,
                limit: MOST_EVENTS,
            };
            store.events(&selection).map(|events| events.into_iter().map(Happened::from).collect())
        };
        let selection =
            EventSelection { kinds: vec![EventKind::Gap], service: None, span: shown, limit: MOST_EVENTS };
        let gaps = store.events(&selection)?.into_iter().map(Happened::from);
        Ok(Past {
            gaps: gaps.filter(|gap| gap.concerns(&view.name)).collect(),
            window,
            parts: slices(&readings, shown, hold, count),
            days: days(
                |span| slices(&readings, span, hold, length_in_days(span)),
                second - second % DAY,
                second,
            ),
            figures: Window::ALL.map(figure).to_vec(),
            outages: happened(&[EventKind::Outage], Span { to: second + 1, ..year })?,
            marks: happened(&[EventKind::Deploy, EventKind::Restart], shown)?,
        })
    }
}

/// The days before today, and today as far as it has come.
fn days(read: impl Fn(Span) -> Vec<Slice>, today: i64, now: i64) -> Vec<Slice> {
    let mut days = read(Span { from: today - (DAYS - 1) * DAY, to: today });
    days.extend(read(Span { from: today, to: now.max(today + 1) }));
    days
}

/// Whole days, and what is left of one as another.
fn length_in_days(span: Span) -> usize {
    usize::try_from((span.to - span.from + DAY - 1) / DAY).unwrap_or_default()
}

/// An event whose detail can be asked.
#[derive(Clone, Debug)]
pub(super) struct Happened {
    pub(super) kind: EventKind,
    pub(super) key: Arc<str>,
    pub(super) service: Option<Name>,
    /// In milliseconds since 1970.
    pub(super) began: i64,
    /// In milliseconds since 1970; `None` while it goes on.
    pub(super) ended: Option<i64>,
    detail: Value,
}

impl From<Event> for Happened {
    fn from(event: Event) -> Happened {
        let Event { kind, key, service, began, ended, detail } = event;
        // What cannot be read says nothing; that it happened is shown all the same.
        let detail = serde_json::from_str(&detail).unwrap_or_default();
        Happened { kind, key, service, began, ended, detail }
    }
}

impl Happened {
    /// What it says of that; empty if it says nothing.
    pub(super) fn text(&self, name: &str) -> &str {
        self.detail[name].as_str().unwrap_or_default()
    }

    /// How bad it was.
    pub(super) fn light(&self) -> Light {
        match self.text("light") {
            "G" => Light::Green,
            "A" => Light::Amber,
            _ => Light::Red,
        }
    }

    /// A list of texts.
    pub(super) fn texts(&self, name: &str) -> Vec<&str> {
        self.detail[name].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Whether a gap may be one in what is known of that service.
    fn concerns(&self, name: &str) -> bool {
        let named = self.texts("services");
        let is_more = self.detail["count"].as_u64().is_none_or(|count| count > named.len() as u64);
        is_more || named.contains(&name)
    }

    /// Where it stands on a chart.
    pub(super) fn mark(&self) -> Option<Mark> {
        let kind = match self.kind {
            EventKind::Deploy => MarkKind::Deploy,
            EventKind::Restart => MarkKind::Restart,
            _ => return None,
        };
        Some(Mark { at: self.began, kind })
    }
}

/// Something to be marked on a chart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Mark {
    /// In milliseconds since 1970.
    pub(super) at: i64,
    pub(super) kind: MarkKind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum MarkKind {
    Deploy,
    Restart,
}

/// The incidents of the last 90 days, the newest first, those that go on among them.
pub(super) fn incidents(store: &dyn HistoryStore, now: i64) -> Result<Vec<Happened>, StoreError> {
    let span = Span { from: now / 1000 - DAYS * DAY, to: now / 1000 + 1 };
    let selection =
        EventSelection { kinds: vec![EventKind::Incident], service: None, span, limit: MOST_INCIDENTS };
    Ok(store.events(&selection)?.into_iter().map(Happened::from).collect())
}

/// Everything about one incident.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) began: i64,
    pub(super) ended: Option<i64>,
    pub(super) shared: Vec<String>,
    pub(super) acknowledged: Option<(String, i64)>,
    /// In the order in which they joined.
    pub(super) members: Vec<Affected>,
    /// What was sent, or could not be; the oldest first.
    pub(super) messages: Vec<Happened>,
}

/// One service of an incident.
#[derive(Clone, Debug)]
pub(super) struct Affected {
    pub(super) name: String,
    /// How bad it got.
    pub(super) light: Light,
    /// How it is now, where that is better and it goes on.
    pub(super) now: Option<Light>,
    pub(super) began: i64,
    pub(super) ended: Option<i64>,
    pub(super) cause: String,
    pub(super) failing: Option<String>,
    pub(super) excerpt: Option<String>,
}

impl Whole {
    /// The incident of that id: as it stands, or as the history has it. `None` if nobody knows it.
    pub(super) fn find(
        store: &dyn HistoryStore,
        open: &[Incident],
        id: &str,
    ) -> Result<Option<Whole>, StoreError> {
        // An id begins with when the incident began.
        let Some(began) = id.split('-').next().and_then(|began| began.parse::<i64>().ok()) else {
            return Ok(None);
        };
        let events = |kind, from: i64, to: i64, limit| {
            let span = Span { from: from.div_euclid(1000), to: to.div_euclid(1000) + 1 };
            let selection = EventSelection { kinds: vec![kind], service: None, span, limit };
            let events = store.events(&selection)?;
            Ok::<_, StoreError>(events.into_iter().map(Happened::from))
        };
        let mut whole = if let Some(incident) = open.iter().find(|incident| incident.id == id) {
            Whole::from(incident)
        } else {
            let mut known = events(EventKind::Incident, began, began, MOST_OUTAGES)?;
            let Some(event) = known.find(|event| &*event.key == id) else { return Ok(None) };
            let end = event.ended.unwrap_or(event.began);
            let outages = events(EventKind::Outage, event.began, end + BELIEVED_WITHIN * 1000, MOST_OUTAGES)?;
            let members: Vec<Happened> = outages.filter(|outage| outage.text("incident") == id).collect();
            Whole::restored(&event, &members)
        };
        let end = whole.ended.map_or(i64::MAX / 2, |ended| ended + BELIEVED_WITHIN * 1000);
        let sent = events(EventKind::Delivery, whole.began, end, MOST_OUTAGES)?;
        whole.messages = sent.filter(|event| event.text("incident") == id).collect();
        whole.messages.reverse();
        Ok(Some(whole))
    }

    fn restored(event: &Happened, outages: &[Happened]) -> Whole {
        let mut members: Vec<Affected> = Vec::new();
        // The newest comes first in the history: what a service was out for first is at the end.
        for outage in outages.iter().rev() {
            let name = outage.service.as_deref().unwrap_or_default();
            match members.iter_mut().find(|known| known.name == name) {
                Some(known) => {
                    known.light = known.light.max(outage.light());
                    known.ended = outage.ended;
                }
                None => members.push(Affected {
                    name: name.to_owned(),
                    light: outage.light(),
                    now: None,
                    began: outage.began,
                    ended: outage.ended,
                    cause: outage.text("cause").to_owned(),
                    failing: Some(outage.text("failing").to_owned()).filter(|text| !text.is_empty()),
                    excerpt: Some(outage.text("excerpt").to_owned()).filter(|text| !text.is_empty()),
                }),
            }
        }
        let taken = &event.detail["acknowledged"];
        Whole {
            began: event.began,
            ended: event.ended,
            shared: event.texts("shared").into_iter().map(str::to_owned).collect(),
            acknowledged: taken["by"]
                .as_str()
                .map(|by| (by.to_owned(), taken["at"].as_i64().unwrap_or_default())),
            members,
            messages: Vec::new(),
        }
    }

    /// How bad it got.
    pub(super) fn light(&self) -> Light {
        Light::worst(self.members.iter().map(|member| member.light))
    }
}

impl From<&Incident> for Whole {
    fn from(incident: &Incident) -> Whole {
        let members = incident.members.iter().map(|member| {
            let affected = &member.affected;
            Affected {
                name: affected.name.clone(),
                light: affected.light.into(),
                now: affected.now.filter(|_| affected.ended.is_none()).map(Light::from),
                began: affected.began,
                ended: affected.ended,
                cause: affected.cause.clone(),
                failing: affected.failing.clone(),
                excerpt: affected.excerpt.clone(),
            }
        });
        Whole {
            began: incident.began,
            ended: incident.ended(),
            shared: incident.shared(),
            acknowledged: incident.acknowledged.as_ref().map(|taken| (taken.by.clone(), taken.at)),
            members: members.collect(),
            messages: Vec::new(),
        }
    }
}

/// How much of a window a service was how, as of now.
pub(super) fn share(
    store: &dyn HistoryStore,
    view: &ServiceView,
    window: Window,
    now: i64,
) -> Result<Availability, StoreError> {
    let (span, hold) = (window.until(now / 1000), view.hold);
    let readings = store.readings(&view.name, Span { from: span.from - hold, to: span.to + 1 })?;
    Ok(availability(&readings, span, hold))
}

/// The days before today of services that strangers ask for: they do not change any more, and are read once a day.
#[derive(Debug, Default)]
pub(super) struct Days(Mutex<HashMap<Name, (i64, Vec<Slice>)>>);

impl Days {
    /// The last 90 days, today last.
    pub(super) fn of(
        &self,
        store: &dyn HistoryStore,
        view: &ServiceView,
        now: i64,
    ) -> Result<Vec<Slice>, StoreError> {
        let second = now / 1000;
        let (today, hold) = (second - second % DAY, view.hold);
        let read = |span: Span| {
            let readings = store.readings(&view.name, Span { from: span.from - hold, ..span })?;
            Ok::<_, StoreError>(slices(&readings, span, hold, length_in_days(span)))
        };
        let known =
            self.kept().get(&view.name).filter(|(day, _)| *day == today).map(|(_, days)| days.clone());
        let mut days = match known {
            Some(days) => days,
            None => {
                let days = read(Span { from: today - (DAYS - 1) * DAY, to: today })?;
                // The last readings of yesterday may still be on their way.
                if second - today > SETTLED {
                    self.kept().insert(Arc::clone(&view.name), (today, days.clone()));
                }
                days
            }
        };
        days.extend(read(Span { from: today, to: second.max(today + 1) })?);
        Ok(days)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<Name, (i64, Vec<Slice>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Outages of one service in the last 90 days, the newest first.
pub(super) fn outages(store: &dyn HistoryStore, name: &Name, now: i64) -> Result<Vec<Happened>, StoreError> {
    let span = Span { from: now / 1000 - DAYS * DAY, to: now / 1000 + 1 };
    let selection = EventSelection {
        kinds: vec![EventKind::Outage],
        service: Some(Arc::clone(name)),
        span,
        limit: MOST_EVENTS,
    };
    Ok(store.events(&selection)?.into_iter().map(Happened::from).collect())
}
