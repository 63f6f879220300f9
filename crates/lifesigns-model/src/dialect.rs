//! Reading what other services answer when asked for their health.
//!
//! Every framework has a dialect of its own. [`read`] makes a [`Light`] of each, with the parts that the answer
//! names; or says that the answer cannot be read, and why. What others send is never trusted: the body is limited in
//! size, depth and number of parts.
//!
//! ```
//! use lifesigns_model::{dialect::{self, Dialect}, light::Light};
//!
//! let body = br#"{"status":"DOWN","components":{"db":{"status":"DOWN"},"disk":{"status":"UP"}}}"#;
//! let reading = dialect::read(None, 503, Some("application/json"), body)?;
//! assert_eq!((reading.light, reading.dialect), (Light::Red, Dialect::Actuator));
//! assert_eq!(reading.parts[0].name, "db");
//! # Ok::<(), dialect::Unreadable>(())
//! ```

mod introduction;
mod judgement;
mod parts;
mod words;

use std::fmt;

use serde_json::Value;

use crate::light::Light;

pub use self::introduction::{Introduction, introduction};
pub use self::judgement::{Judgement, judge};

/// A longer body is not read, in bytes.
pub const LONGEST_BODY: usize = 1024 * 1024;

/// More parts are counted and left out.
pub const MOST_PARTS: usize = 500;

/// A way to say how a service is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Dialect {
    /// `{"status": "OK" | "DEGRADED" | "UNAVAILABLE"}`: `/health` of Lifesigns.
    Health,
    /// `{"status": "healthy" | "unhealthy"}`: `/status` of Lifesigns.
    Status,
    /// The status code alone, as a traffic light: 503 is amber, 500 and 502 are red. Read when asked for, or when the
    /// body is that of a traffic light (`{"summary": {"status": "GREEN" | "AMBER" | "RED"}}`), since others mean red by
    /// 503.
    TrafficLight,
    /// `application/health+json`: draft-inadarei-api-health-check-06.
    HealthJson,
    /// Spring Boot Actuator, versions 1 to 3.
    Actuator,
    /// Eclipse `MicroProfile` Health.
    MicroProfile,
    /// ASP.NET health checks, as the UI of Xabaril reads them.
    Xabaril,
    /// One word of plain text: `Healthy`, `ok`, `DOWN`.
    Word,
    /// The status code alone: 2xx is green, 5xx red.
    Code,
}

impl Dialect {
    /// All dialects.
    pub const ALL: [Dialect; 9] = [
        Dialect::Health,
        Dialect::Status,
        Dialect::TrafficLight,
        Dialect::HealthJson,
        Dialect::Actuator,
        Dialect::MicroProfile,
        Dialect::Xabaril,
        Dialect::Word,
        Dialect::Code,
    ];

    /// Its name in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Dialect::Health => "health",
            Dialect::Status => "status",
            Dialect::TrafficLight => "traffic-light",
            Dialect::HealthJson => "health+json",
            Dialect::Actuator => "actuator",
            Dialect::MicroProfile => "microprofile",
            Dialect::Xabaril => "xabaril",
            Dialect::Word => "word",
            Dialect::Code => "code",
        }
    }

    /// The dialect of this name.
    pub fn named(name: &str) -> Option<Dialect> {
        Dialect::ALL.into_iter().find(|dialect| dialect.name() == name)
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an answer says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reading {
    /// How the service is. The worse of what its body says and what its status code says.
    pub light: Light,
    /// The dialect in which it was read.
    pub dialect: Dialect,
    /// What it is made of, in the order of the answer; at most [`MOST_PARTS`].
    pub parts: Vec<Part>,
    /// How many parts there are besides.
    pub left_out: usize,
}

/// A part of a service: a component, a check, an entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Part {
    /// Its name as the service writes it, the names of what it is part of before it: `db/primary`. At most 200
    /// characters. A stranger's text: to be escaped where it is shown.
    pub name: String,
    /// How it is.
    pub light: Light,
}

/// Why an answer says nothing about health. `Display` holds nothing of the answer but numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unreadable {
    /// The body is longer than [`LONGEST_BODY`].
    TooLong,
    /// The body is not the JSON that it should be; or nested too deeply, more than 127 levels.
    NotJson,
    /// There is JSON, and in it no status that the dialect knows.
    NoStatus(Option<Dialect>),
    /// The text is not one of the words.
    NoWord,
    /// The status code says nothing about health: a redirect, or a 404.
    NoSense(u16),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::TooLong => write!(f, "the answer is longer than {} KiB", LONGEST_BODY / 1024),
            Unreadable::NotJson => f.write_str("the answer is not JSON"),
            Unreadable::NoStatus(Some(dialect)) => {
                write!(f, "the answer has no status that the dialect `{dialect}` knows")
            }
            Unreadable::NoStatus(None) => f.write_str(
                "the answer has no status of any known dialect; if its code is enough, read it as `code`",
            ),
            Unreadable::NoWord => f.write_str(
                "the answer is none of the words for health; if its code is enough, read it as `code`",
            ),
            Unreadable::NoSense(status) => write!(f, "status {status} says nothing about health"),
        }
    }
}

impl std::error::Error for Unreadable {}

/// Reads an answer: its status code, its `Content-Type` and its body, decoded.
///
/// Without a dialect it is found out from the answer. A body that contradicts its code counts as the worse of the
/// two. A 5xx is red even if its body cannot be read, since it often comes from what stands before the service.
pub fn read(
    form: Option<Dialect>,
    status: u16,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<Reading, Unreadable> {
    let by_code = |light| Reading { light, dialect: Dialect::Code, parts: Vec::new(), left_out: 0 };
    match form {
        Some(Dialect::TrafficLight) => {
            let light = words::traffic_light(status).ok_or(Unreadable::NoSense(status))?;
            return Ok(Reading { dialect: Dialect::TrafficLight, ..by_code(light) });
        }
        Some(Dialect::Code) => return words::code(status).map(by_code).ok_or(Unreadable::NoSense(status)),
        _ => {}
    }
    if form.is_none()
        && let Some(light) = words::traffic_light(status)
        && is_traffic_light(body)
    {
        return Ok(Reading { dialect: Dialect::TrafficLight, ..by_code(light) });
    }
    let by_body = match status {
        // What a redirect says is said by whatever sends elsewhere, and not by the service.
        200..=299 | 400..=599 => read_body(form, status, content_type, body),
        _ => Err(Unreadable::NoSense(status)),
    };
    match by_body {
        Ok(reading) => {
            let by_code = if status < 300 { Light::Green } else { Light::Red };
            Ok(Reading { light: reading.light.max(by_code), ..reading })
        }
        Err(_) if (500..=599).contains(&status) => Ok(by_code(Light::Red)),
        // A 404 with a page in HTML: what matters is that it is a 404.
        Err(_) if !(200..=299).contains(&status) => Err(Unreadable::NoSense(status)),
        Err(error) => Err(error),
    }
}

/// Whether a body is one that comes with a traffic light. What it says does not count beside the code.
fn is_traffic_light(body: &[u8]) -> bool {
    // Most answers are told apart without being parsed.
    if body.len() > LONGEST_BODY || !body.trim_ascii_start().starts_with(b"{") {
        return false;
    }
    let Ok(json) = serde_json::from_slice::<Value>(body) else { return false };
    json.get("status").is_none()
        && matches!(json["summary"]["status"].as_str(), Some("GREEN" | "AMBER" | "RED"))
}

fn read_body(
    form: Option<Dialect>,
    status: u16,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<Reading, Unreadable> {
    if body.len() > LONGEST_BODY {
        return Err(Unreadable::TooLong);
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    if form.is_none() && body.is_empty() {
        let light = words::code(status).ok_or(Unreadable::NoSense(status))?;
        return Ok(Reading { light, dialect: Dialect::Code, parts: Vec::new(), left_out: 0 });
    }
    let media_type = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    let is_json =
        matches!(body.first(), Some(b'{' | b'"')) || media_type.eq_ignore_ascii_case("application/json");
    if form == Some(Dialect::Word) || (form.is_none() && !is_json) {
        return word(body);
    }
    let json: Value = serde_json::from_slice(body).map_err(|_| Unreadable::NotJson)?;
    if let (None, Value::String(text)) = (form, &json) {
        return word(text.as_bytes());
    }
    let text = json.get("status").and_then(Value::as_str).ok_or(Unreadable::NoStatus(form))?;
    let found = form.or_else(|| found_out(media_type, text, &json));
    let dialect = found.ok_or(Unreadable::NoStatus(None))?;
    let light = words::status(dialect, text).ok_or(Unreadable::NoStatus(Some(dialect)))?;
    let (parts, left_out) = parts::of(dialect, &json);
    Ok(Reading { light, dialect, parts, left_out })
}

/// The word may stand in quotes: some frameworks write a string as JSON whatever was asked for.
fn word(body: &[u8]) -> Result<Reading, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable::NoWord)?;
    let text = text.trim().trim_matches('"').trim_end_matches(['.', '!']);
    let light = words::any(text).ok_or(Unreadable::NoWord)?;
    Ok(Reading { light, dialect: Dialect::Word, parts: Vec::new(), left_out: 0 })
}

/// The dialect that the answer's type names, otherwise the one whose words and shape it has.
fn found_out(media_type: &str, status: &str, json: &Value) -> Option<Dialect> {
    let media_type = media_type.to_ascii_lowercase();
    if media_type == "application/health+json" {
        return Some(Dialect::HealthJson);
    }
    if media_type.starts_with("application/vnd.spring-boot.actuator.") {
        return Some(Dialect::Actuator);
    }
    let has = |key: &str| json.get(key).is_some_and(Value::is_object);
    match status {
        _ if json.get("checks").is_some_and(Value::is_array) => Some(Dialect::MicroProfile),
        _ if has("components") => Some(Dialect::Actuator),
        "OK" | "DEGRADED" | "UNAVAILABLE" => Some(Dialect::Health),
        "healthy" | "unhealthy" if !has("entries") => Some(Dialect::Status),
        _ if words::status(Dialect::Xabaril, status).is_some() => Some(Dialect::Xabaril),
        "UP" | "DOWN" | "OUT_OF_SERVICE" | "UNKNOWN" if !has("checks") => Some(Dialect::Actuator),
        _ if words::status(Dialect::HealthJson, status).is_some() => Some(Dialect::HealthJson),
        _ => None,
    }
}

#[cfg(test)]
mod health_json_draft;
#[cfg(test)]
mod tests;
