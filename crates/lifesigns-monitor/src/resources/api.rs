//! The fleet in JSON.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{Response, StatusCode};
use jiff::Timestamp;
use lifesigns_model::history::{self, Event, EventKind, EventSelection, Reading};
use lifesigns_model::light::Light;
use lifesigns_model::store::StoreError;
use serde_json::{Value, json};

use super::{JSON, answer, json_answer, light_name, no_service, once, problem, time, unmade};
use crate::alerts::incidents::Incident;
use crate::fleet::{Fleet, name_of_taker};
use crate::making::{Made, Source};
use crate::view::{Counts, ServiceView, without_secrets};

/// The most points of a history, and the most events, in one answer.
const MOST: usize = 1_000;
const DEFAULT_POINTS: usize = 100;
/// What is looked at unless it is said otherwise, in seconds.
const DAY: i64 = 86_400;

type Parameters = HashMap<String, String>;

pub(super) async fn services(State(fleet): State<Fleet>) -> Response<Body> {
    let make = |fleet: &Fleet| {
        let services = fleet.services();
        let Counts { green, amber, red, not_known } = Counts::of(&services);
        let body = json!({
            "counts": {"GREEN": green, "AMBER": amber, "RED": red, "UNKNOWN": not_known},
            "services": services.iter().map(service_json).collect::<Vec<Value>>(),
        });
        Ok(Made::new(JSON, body.to_string()))
    };
    once(&fleet, "services".to_owned(), make).await
}

pub(super) async fn service(State(fleet): State<Fleet>, Path(name): Path<String>) -> Response<Body> {
    match fleet.service(&name) {
        Some(service) => json_answer(StatusCode::OK, &service_json(&service)),
        None => no_service(&name),
    }
}

fn service_json(service: &ServiceView) -> Value {
    let about = &service.about;
    json!({
        "name": service.name,
        "url": without_secrets(&service.url),
        "light": light_name(service.light),
        "since": time(service.since),
        "why": service.why,
        "flapping": service.is_flapping,
        "maintenance": service.maintenance.as_ref().map(|one| json!({
            "from": time(one.from), "to": time(one.to), "reason": one.reason,
        })),
        "code": service.code,
        "latency_ms": service.latency_us.map(|us| f64::from(us) / 1000.0),
        "asked": time(service.asked),
        "next": time(service.next),
        "environment": service.environment,
        "service": about.service, "repo": about.repo, "revision": about.revision, "version": about.version,
        "deployed_at": about.deployed_at.map(time),
        "process_began": service.process_began.map(time),
        "memory_mb": {"used": about.memory_used_mb, "total": about.memory_total_mb},
        "leak": service.leak.map(|leak| json!({
            "mb_per_hour": leak.mb_per_hour,
            "hours_to_limit": leak.time_to_limit.map(|ms| ms as f64 / 3_600_000.0),
        })),
        "deploy": service.deploy.as_ref().map(|deploy| json!({
            "at": time(deploy.at), "from": deploy.from, "to": deploy.to,
        })),
        "traffic": service.traffic.map(|traffic| json!({
            "requests": traffic.requests, "client_errors": traffic.client_errors,
            "server_errors": traffic.server_errors,
            "latency_ms": {"p50": traffic.p50_ms, "p95": traffic.p95_ms, "p99": traffic.p99_ms},
        })),
        "certificate_expires": service.certificate_expires.map(time),
        "parts": service.parts.iter().map(|(name, light)| json!({
            "name": name, "light": Light::from(*light).name(),
        })).collect::<Vec<Value>>(),
        "depends_on": service.depends_on,
        "public": service.is_public,
        "breaker": service.breaker.state,
    })
}

pub(super) async fn history(
    State(fleet): State<Fleet>,
    Path(name): Path<String>,
    Query(parameters): Query<Parameters>,
) -> Response<Body> {
    let Some(service) = fleet.service(&name) else { return no_service(&name) };
    let span = match span(&parameters, fleet.now()) {
        Ok(span) => span,
        Err(fault) => return problem(StatusCode::BAD_REQUEST, &fault),
    };
    let points = match parameters.get("points").map_or(Ok(DEFAULT_POINTS), |text| text.parse()) {
        Ok(points) if (1..=MOST).contains(&points) => points,
        _ => return problem(StatusCode::BAD_REQUEST, &format!("`points` is a number from 1 to {MOST}.")),
    };
    let hold = service.hold;
    read(&fleet, move |store| {
        let readings = store.readings(&service.name, span)?;
        Ok(history_json(&name, &readings, span, hold, points))
    })
    .await
}

/// How a service was in a span, as `/api/services/{name}/history` answers it: in so many points, a reading holding for
/// `hold` seconds at most.
pub fn history_json(
    name: &str,
    readings: &[Reading],
    span: history::Span,
    hold: i64,
    points: usize,
) -> Value {
    let whole = history::availability(readings, span, hold);
    let slices = history::slices(readings, span, hold, points);
    let points: Vec<Value> = slices
        .iter()
        .map(|slice| {
            json!({
                "at": time(slice.span.from * 1000),
                "light": light_name(slice.worst),
                "availability": slice.availability.share(),
                "latency_ms": {
                    "mean": slice.latency_mean_us.map(|us| us / 1000.0),
                    "p95": slice.latency_p95_us.map(|us| f64::from(us) / 1000.0),
                },
                "memory_mb": slice.memory_mean_mb,
            })
        })
        .collect();
    json!({
        "service": name,
        "from": time(span.from * 1000), "to": time(span.to * 1000),
        "readings": readings.len(),
        "availability": whole.share(),
        "seconds": {
            "GREEN": whole.green_s, "AMBER": whole.amber_s, "RED": whole.red_s, "UNKNOWN": whole.not_known_s,
        },
        "points": points,
    })
}

pub(super) async fn service_events(
    State(fleet): State<Fleet>,
    Path(name): Path<String>,
    Query(parameters): Query<Parameters>,
) -> Response<Body> {
    match fleet.service(&name) {
        Some(service) => selected(&fleet, Some(service.name), &parameters, Vec::new()).await,
        None => no_service(&name),
    }
}

pub(super) async fn events(
    State(fleet): State<Fleet>,
    Query(parameters): Query<Parameters>,
) -> Response<Body> {
    let kinds = match parameters.get("kind").map(|text| EventKind::from_name(text)) {
        None => Vec::new(),
        Some(Some(kind)) => vec![kind],
        Some(None) => {
            let names = EventKind::ALL.map(EventKind::name).join(", ");
            return problem(StatusCode::BAD_REQUEST, &format!("`kind` is one of {names}."));
        }
    };
    selected(&fleet, None, &parameters, kinds).await
}

async fn selected(
    fleet: &Fleet,
    service: Option<Arc<str>>,
    parameters: &Parameters,
    kinds: Vec<EventKind>,
) -> Response<Body> {
    let span = match span(parameters, fleet.now()) {
        Ok(span) => span,
        Err(fault) => return problem(StatusCode::BAD_REQUEST, &fault),
    };
    let selection = EventSelection { kinds, service, span, limit: MOST };
    read(fleet, move |store| {
        let events: Vec<Value> = store.events(&selection)?.iter().map(event_json).collect();
        Ok(json!({"events": events}))
    })
    .await
}

/// An event as `/api/events` answers it.
pub fn event_json(event: &Event) -> Value {
    let detail: Value = serde_json::from_str(&event.detail).unwrap_or(Value::Null);
    json!({
        "kind": event.kind.name(), "key": event.key, "service": event.service,
        "began": time(event.began), "ended": event.ended.map(time), "detail": detail,
    })
}

pub(super) async fn incidents(
    State(fleet): State<Fleet>,
    Query(parameters): Query<Parameters>,
) -> Response<Body> {
    let span = match span(&parameters, fleet.now()) {
        Ok(span) => span,
        Err(fault) => return problem(StatusCode::BAD_REQUEST, &fault),
    };
    let open: Vec<Value> = fleet.incidents().iter().map(incident_json).collect();
    let selection = EventSelection { kinds: vec![EventKind::Incident], service: None, span, limit: MOST };
    read(&fleet, move |store| {
        let events = store.events(&selection)?;
        let past: Vec<Value> = events.iter().filter(|event| event.ended.is_some()).map(event_json).collect();
        Ok(json!({"open": open, "past": past}))
    })
    .await
}

fn incident_json(incident: &Incident) -> Value {
    let services: Vec<Value> = incident
        .members
        .iter()
        .map(|member| {
            let affected = &member.affected;
            json!({
                "name": affected.name, "light": Light::from(affected.light).name(), "cause": affected.cause,
                "failing": affected.failing, "began": time(affected.began), "ended": affected.ended.map(time),
            })
        })
        .collect();
    json!({
        "id": incident.id, "began": time(incident.began), "light": Light::from(incident.worst()).name(),
        "services": services, "shared": incident.shared(),
        "acknowledged": incident.acknowledged.as_ref().map(|one| json!({"by": one.by, "at": time(one.at)})),
    })
}

/// Takes an incident up: `{"by": "kim"}`.
pub(super) async fn acknowledge(
    State(fleet): State<Fleet>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response<Body> {
    let said = serde_json::from_slice::<Value>(&body).ok();
    let Some(by) = said.and_then(|said| name_of_taker(said["by"].as_str()?)) else {
        return problem(StatusCode::BAD_REQUEST, "Say who you are: {\"by\": \"kim\"}.");
    };
    if fleet.acknowledge(&id, &by) {
        json_answer(StatusCode::OK, &json!({"id": id, "acknowledged": {"by": by}}))
    } else {
        problem(
            StatusCode::NOT_FOUND,
            "There is no incident of that id that goes on; /api/incidents lists them.",
        )
    }
}

/// `last` as `24h`, `7d`; or `from` and `to` as RFC 3339.
fn span(parameters: &Parameters, now: i64) -> Result<history::Span, String> {
    let now = now / 1000;
    let moment = |name: &str| match parameters.get(name) {
        None => Ok(None),
        Some(text) => match text.parse::<Timestamp>() {
            Ok(time) => Ok(Some(time.as_second())),
            Err(_) => Err(format!("`{name}` is a time such as 2026-03-16T18:00:00Z.")),
        },
    };
    let (from, to) = (moment("from")?, moment("to")?.unwrap_or(now + 1));
    let last = match parameters.get("last") {
        None => DAY,
        Some(text) => seconds(text).ok_or("`last` is a time such as 90m, 24h or 30d.")?,
    };
    let from = from.unwrap_or(to - last);
    if from >= to {
        return Err("`from` has to be before `to`.".to_owned());
    }
    Ok(history::Span { from: from.max(to - 400 * DAY), to })
}

/// A number of minutes, hours or days of at most six digits; more than 400 days are 400.
fn seconds(text: &str) -> Option<i64> {
    let (count, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => DAY,
        _ => return None,
    };
    let is_count =
        count.len() <= 6 && !count.starts_with('0') && count.bytes().all(|digit| digit.is_ascii_digit());
    let count: i64 = count.parse().ok().filter(|_| is_count)?;
    Some((count * unit).min(400 * DAY))
}

/// Answers from the history, on a thread that may wait for a disk.
async fn read(
    fleet: &Fleet,
    ask: impl FnOnce(&dyn history::HistoryStore) -> Result<Value, StoreError> + Send + 'static,
) -> Response<Body> {
    match fleet.make(Source::History, |fleet| Ok(ask(fleet.store())?.to_string())).await {
        Ok(body) => answer(StatusCode::OK, JSON, body),
        Err(why) => unmade(&why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_said_by_its_length_or_its_ends() {
        let now = 1_773_684_000_000;
        let check = |query: &[(&str, &str)], expected: Result<i64, &str>| {
            let parameters =
                query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            match (span(&parameters, now), expected) {
                (Ok(span), Ok(length)) => assert_eq!(span.to - span.from, length, "{query:?}"),
                (Err(fault), Err(word)) => assert!(fault.contains(word), "{fault}"),
                (found, _) => panic!("{query:?}: {found:?}"),
            }
        };
        check(&[], Ok(DAY));
        check(&[("last", "90m")], Ok(5400));
        check(&[("last", "30d")], Ok(30 * DAY));
        check(&[("last", "401d")], Ok(400 * DAY));
        check(&[("last", "0d")], Err("last"));
        check(&[("last", "1000000m")], Err("last"));
        check(&[("last", "-1d")], Err("last"));
        check(&[("last", "é")], Err("last"));
        check(&[("from", "2026-03-16T17:00:00Z"), ("to", "2026-03-16T18:00:00Z")], Ok(3600));
        check(&[("from", "2026-03-16T18:00:00Z"), ("to", "2026-03-16T17:00:00Z")], Err("before"));
        check(&[("from", "yesterday")], Err("from"));
    }
}
