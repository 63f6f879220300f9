//! `/health/maintenance`: expect less than usual, says an operator. `PUT` switches it on, `DELETE` off.

use std::time::Duration;

use http::{Method, StatusCode};
use http_body::Body;
use jiff::Timestamp;
use lifesigns_model::moment::Moment;
use lifesigns_model::verdict::Maintenance;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Fault, time_text};
use super::{Call, body};
use crate::maintenance::{BadMaintenance, LONGEST, end};

/// Longest announcement, in bytes: a reason of 500 characters, each of them escaped, takes 6000.
pub(super) const MAX_BODY_BYTES: usize = 16 * 1024;

/// How long a change waits until a restart would know of it.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

const MEMBERS: [&str; 3] = ["reason", "until", "minutes"];

pub(super) async fn answer<B: Body>(call: &Call<'_>, body: B) -> Answer {
    let by = call.granted().ok().map(|grant| grant.name.clone());
    match call.parts.method {
        Method::PUT => {
            let announced = body::read(body, "announcement", MAX_BODY_BYTES).await;
            match announced.and_then(|bytes| Announcement::parse(&bytes, call.now())) {
                Ok(announcement) => switch_on(call, announcement, by).await,
                Err(fault) => call.fault(&fault),
            }
        }
        Method::DELETE => {
            let api = call.api.clone();
            change(call, move || {
                api.clear_maintenance(by.as_deref());
                Answer::empty(StatusCode::NO_CONTENT)
            })
            .await
        }
        _ => {
            let maintenance = call.snapshot.maintenance.as_ref();
            shown(maintenance.filter(|maintenance| maintenance.is_on(call.now())))
        }
    }
}

async fn switch_on(call: &Call<'_>, announcement: Announcement, by: Option<String>) -> Answer {
    let Announcement { reason, ends } = announcement;
    let (api, now) = (call.api.clone(), call.now());
    let set = move || match api.set_maintenance(&reason, ends, now, by.as_deref()) {
        Ok(()) => Ok(shown(api.snapshot().maintenance.as_ref())),
        Err(bad) => Err(bad),
    };
    let fault = |bad: BadMaintenance| {
        let member = match bad {
            BadMaintenance::Reason => "reason",
            BadMaintenance::End => "until",
        };
        call.fault(&bad_member(member, &bad.to_string()))
    };
    match change(call, set).await {
        Ok(answer) => answer,
        Err(bad) => fault(bad),
    }
}

/// Makes a change on a thread that may block: it waits for the collector, and for the store.
async fn change<T: Send + 'static>(call: &Call<'_>, make: impl FnOnce() -> T + Send + 'static) -> T {
    let process = std::sync::Arc::clone(&call.api.process);
    let changing = tokio::task::spawn_blocking(move || {
        let made = make();
        if let Err(error) = process.flush(FLUSH_PATIENCE) {
            tracing::warn!(%error, "a restart may not know of the change to maintenance");
        }
        made
    });
    match changing.await {
        Ok(made) => made,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn shown(maintenance: Option<&Maintenance>) -> Answer {
    let body = match maintenance {
        None => json!({"maintenance": false, "reason": null, "since": null, "until": null}),
        Some(Maintenance { reason, since, ends }) => json!({
            "maintenance": true,
            "reason": &**reason,
            "since": time_text(since.wall),
            "until": time_text(ends.wall),
        }),
    };
    Answer::json(StatusCode::OK, &body)
}

/// What is asked for.
#[derive(Debug, PartialEq)]
struct Announcement {
    reason: String,
    ends: Moment,
}

impl Announcement {
    fn parse(bytes: &[u8], now: Moment) -> Result<Announcement, Fault> {
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| bad_member("body", &format!("it is no JSON: {error}")))?;
        let Value::Object(members) = value else {
            return Err(bad_member("body", "it is no JSON object with a `reason` and `until` or `minutes`"));
        };
        if let Some(unknown) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
            return Err(bad_member(
                unknown,
                "there is no such member; there are `reason`, `until` and `minutes`",
            ));
        }
        if let Some(name) = repeated(bytes) {
            return Err(bad_member(&name, "it is there more than once"));
        }
        let reason = match members.get("reason") {
            Some(Value::String(reason)) => reason.clone(),
            Some(_) => return Err(bad_member("reason", "it is no text")),
            None => return Err(bad_member("reason", "it is missing")),
        };
        Ok(Announcement { reason, ends: end_of(&members, now)? })
    }
}

/// The first name that an object has again. Of such members a [`Map`] keeps only the last (RFC 8259 §4).
fn repeated(object: &[u8]) -> Option<String> {
    let mut names = Vec::new();
    let mut rest = object.trim_ascii_start();
    // Behind the brace, and behind each comma, are a name, a colon and a value.
    while let Some((_, member)) = rest.split_first() {
        let (Value::String(name), behind) = first_value(member)? else { return None };
        if names.contains(&name) {
            return Some(name);
        }
        names.push(name);
        rest = first_value(behind.get(1..)?)?.1;
    }
    None
}

/// The value that a text begins with, and what is behind it.
fn first_value(text: &[u8]) -> Option<(Value, &[u8])> {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter();
    let value = values.next()?.ok()?;
    Some((value, text.get(values.byte_offset()..)?.trim_ascii_start()))
}

fn end_of(members: &Map<String, Value>, now: Moment) -> Result<Moment, Fault> {
    let most = LONGEST.as_secs() / 60;
    match (members.get("until"), members.get("minutes")) {
        (Some(until), None) => {
            let until = until.as_str().and_then(|text| text.parse::<Timestamp>().ok());
            let until = until.ok_or_else(|| bad_member("until", "it is no time as RFC 3339 writes it"))?;
            let length = Duration::try_from(until.duration_since(now.wall)).unwrap_or_default();
            let ends = end(now, length);
            ends.ok_or_else(|| bad_member("until", "it is not in the future, or more than 30 days ahead"))
        }
        (None, Some(minutes)) => {
            let minutes = minutes.as_u64().filter(|minutes| (1..=most).contains(minutes));
            let ends = minutes.and_then(|minutes| end(now, Duration::from_mins(minutes)));
            ends.ok_or_else(|| bad_member("minutes", &format!("it is no whole number from 1 to {most}")))
        }
        (Some(_), Some(_)) => Err(bad_member("minutes", "there is `until` as well; give one of the two")),
        (None, None) => Err(bad_member("until", "it is missing; give it, or `minutes`")),
    }
}

fn bad_member(member: &str, what: &str) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, "invalid_maintenance").at(member).says(format!("`{member}`: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Moment {
        Moment { wall: "2026-03-16T18:00:00Z".parse().unwrap(), elapsed: Duration::from_secs(90) }
    }

    /// The seconds it lasts, or the member at fault.
    fn check(body: &str, expected: Result<u64, &str>) {
        let found = Announcement::parse(body.as_bytes(), now());
        let found = found.map(|it| it.ends.since(now()).as_secs()).map_err(|fault| fault.path.unwrap());
        assert_eq!(found, expected.map_err(str::to_owned), "{body}");
    }

    #[test]
    fn it_has_a_reason_and_one_end() {
        check(r#"{"reason": "move", "minutes": 1}"#, Ok(60));
        check(" {\t\"minutes\"\n:1 ,\"reason\": \"\\\"minutes\\\": 2, {}\"}\n", Ok(60));
        check(r#"{"reason": "move", "minutes": 43200}"#, Ok(43_200 * 60));
        check(r#"{"reason": "move", "until": "2026-03-16T18:00:01Z"}"#, Ok(1));
        check(r#"{"reason": "move", "until": "2026-03-16T20:30:00+02:00"}"#, Ok(1800));
        check(r#"{"reason": "move", "until": "2026-04-15T18:00:00Z"}"#, Ok(30 * 86_400));
    }

    #[test]
    fn the_member_at_fault_is_named() {
        check("", Err("body"));
        check("[]", Err("body"));
        check(r#""move""#, Err("body"));
        check("{", Err("body"));
        check("{}", Err("reason"));
        check(r#"{"reason": 1, "minutes": 1}"#, Err("reason"));
        check(r#"{"reason": "move"}"#, Err("until"));
        check(r#"{"reason": "move", "until": 1}"#, Err("until"));
        check(r#"{"reason": "move", "until": "tomorrow"}"#, Err("until"));
        check(r#"{"reason": "move", "until": "2026-03-16T18:00:00Z"}"#, Err("until"));
        check(r#"{"reason": "move", "until": "1999-03-16T18:00:00Z"}"#, Err("until"));
        check(r#"{"reason": "move", "until": "2026-04-15T18:00:01Z"}"#, Err("until"));
        check(r#"{"reason": "move", "until": "-009999-01-01T00:00:00Z"}"#, Err("until"));
        for minutes in ["0", "-1", "43201", "1.5", "\"5\"", "1e400", "18446744073709551615", "null"] {
            let body = format!("{{\"reason\": \"move\", \"minutes\": {minutes}}}");
            check(&body, Err(if minutes == "1e400" { "body" } else { "minutes" }));
        }
        check(r#"{"reason": "move", "minutes": 5, "until": "2026-03-16T19:00:00Z"}"#, Err("minutes"));
        check(r#"{"reason": "move", "minutes": 5, "end": 1}"#, Err("end"));
        check(r#"{"reason": "move", "reason": "move", "minutes": 5}"#, Err("reason"));
        check(r#" { "minutes" : 5 , "reason" : "a, \"minutes\": 5" , "minutes" : 5 } "#, Err("minutes"));
        check(r#"{"minutes":5,"reason":"move","m\u0069nutes":90}"#, Err("minutes"));
        check(r#"{"until":null,"reason":"move","until":"2026-03-16T19:00:00Z"}"#, Err("until"));
        check(r#"{"end": 1, "reason": "move", "reason": "move", "minutes": 5}"#, Err("end"));
    }
}
