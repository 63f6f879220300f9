//! Who a service says it is, whatever the dialect of its answer.

use std::time::Duration;

use serde_json::Value;

use super::LONGEST_BODY;
use crate::identity::Identity;

/// Longer texts are cut, in characters.
const LONGEST_TEXT: usize = 200;

/// More than this is no uptime, in seconds: some 300 years.
const LONGEST_UPTIME: f64 = 1e10;

/// What an answer says of the service besides how it is. Whatever it does not say, or says in a way that cannot be
/// read, is `None`. All texts are a stranger's, at most 200 characters long: to be escaped where they are shown.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Introduction {
    /// Its name.
    pub service: Option<String>,
    /// Which code runs, and where that lives.
    pub identity: Identity,
    /// How long its process has been running, rounded down to `uptime_unit`.
    pub uptime: Option<Duration>,
    /// How exact that is: a second where it is said as a number, a day where it says `4 days`. Zero without an uptime.
    pub uptime_unit: Duration,
    /// Resident memory of its process, in MB.
    pub memory_used_mb: Option<u64>,
    /// How much memory its process may have, in MB.
    pub memory_total_mb: Option<u64>,
}

impl Introduction {
    /// This introduction, with what it does not say, or says less exactly, taken from `other`.
    #[must_use]
    pub fn or(self, other: Introduction) -> Introduction {
        let is_exact =
            self.uptime.is_some() && (other.uptime.is_none() || self.uptime_unit <= other.uptime_unit);
        let (uptime, uptime_unit) =
            if is_exact { (self.uptime, self.uptime_unit) } else { (other.uptime, other.uptime_unit) };
        Introduction {
            service: self.service.or(other.service),
            identity: self.identity.or(other.identity),
            uptime,
            uptime_unit,
            memory_used_mb: self.memory_used_mb.or(other.memory_used_mb),
            memory_total_mb: self.memory_total_mb.or(other.memory_total_mb),
        }
    }
}

/// What the body of an answer, decoded, says of the service. Nothing if it is not a JSON object, or too long.
///
/// ```
/// use lifesigns_model::dialect;
/// let body = br#"{"status":"OK","revision":"0a1b2c3","uptime":"4 days","memory":{"used":12,"total":64}}"#;
/// let known = dialect::introduction(body);
/// assert_eq!(known.identity.revision.as_deref(), Some("0a1b2c3"));
/// assert_eq!((known.uptime.unwrap().as_secs(), known.memory_used_mb), (4 * 86_400, Some(12)));
/// ```
pub fn introduction(body: &[u8]) -> Introduction {
    if body.len() > LONGEST_BODY {
        return Introduction::default();
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let Ok(json @ Value::Object(_)) = serde_json::from_slice(body) else { return Introduction::default() };
    // The traffic light keeps the environment apart.
    let either = |key: &str| text(&json[key]).or_else(|| text(&json["detail"][key]));
    let uptime = uptime(&json["uptime"]).or_else(|| uptime(observed(&json, "uptime", "s")));
    Introduction {
        // `serviceId` and `releaseId` are of draft-inadarei-api-health-check-06.
        service: text(&json["service"]).or_else(|| text(&json["serviceId"])),
        identity: Identity {
            repo: text(&json["repo"]),
            revision: text(&json["revision"]),
            version: text(&json["version"]).or_else(|| text(&json["releaseId"])),
            deployed_at: json["deployed_at"].as_str().and_then(|text| text.parse().ok()),
            build_type: text(&json["build_type"]),
            build_date: text(&json["build_date"]),
            language: text(&json["language"]),
            environment: either("environment"),
        },
        uptime: uptime.map(|(uptime, _)| uptime),
        uptime_unit: uptime.map(|(_, unit)| unit).unwrap_or_default(),
        memory_used_mb: megabytes(&json["memory"]["used"]),
        memory_total_mb: megabytes(&json["memory"]["total"]),
    }
}

/// The first value of this key of `checks` that has this unit.
fn observed<'a>(json: &'a Value, key: &str, unit: &str) -> &'a Value {
    let found =
        json["checks"][key].as_array().and_then(|all| all.iter().find(|one| one["observedUnit"] == unit));
    found.map_or(&Value::Null, |one| &one["observedValue"])
}

/// A text that says something, or a number written as one.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let says_nothing = text.is_empty() || text.eq_ignore_ascii_case(crate::identity::UNKNOWN);
    (!says_nothing).then(|| text.chars().take(LONGEST_TEXT).collect())
}

/// Seconds, or words such as `4 days`; and what they are counted in.
fn uptime(value: &Value) -> Option<(Duration, Duration)> {
    let (count, unit) = match value {
        Value::Number(number) => (number.as_f64()?, 1),
        Value::String(words) => counted(words)?,
        _ => return None,
    };
    let seconds = count * unit as f64;
    (0.0..=LONGEST_UPTIME)
        .contains(&seconds)
        .then(|| (Duration::from_secs(seconds as u64), Duration::from_secs(unit)))
}

fn counted(words: &str) -> Option<(f64, u64)> {
    let mut words = words.split_ascii_whitespace();
    let count = words.next()?.parse().ok()?;
    let unit = match words.next()?.trim_end_matches('s') {
        "second" => 1,
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        _ => return None,
    };
    words.next().is_none().then_some((count, unit))
}

fn megabytes(value: &Value) -> Option<u64> {
    let megabytes = value.as_f64()?;
    (0.0..=1e12).contains(&megabytes).then_some(megabytes as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: &Value) -> Introduction {
        introduction(json.to_string().as_bytes())
    }

    #[test]
    fn a_status_names_its_service_and_its_memory() {
        let known = read(&json!({
            "status": "healthy", "service": "polls", "timestamp": "2026-03-16T18:00:00.000Z",
            "environment": "production", "version": "1.2.0", "uptime": 61, "memory": {"used": 12, "total": 64.7},
        }));
        assert_eq!(known.service.as_deref(), Some("polls"));
        assert_eq!(known.identity.environment.as_deref(), Some("production"));
        assert_eq!(known.identity.version.as_deref(), Some("1.2.0"));
        assert_eq!(known.uptime, Some(Duration::from_secs(61)));
        assert_eq!((known.memory_used_mb, known.memory_total_mb), (Some(12), Some(64)));
    }

    #[test]
    fn the_draft_and_the_traffic_light_have_names_of_their_own() {
        let known = read(&json!({
            "status": "pass", "serviceId": "f03e", "releaseId": "1.2.2", "version": "1",
            "checks": {"uptime": [{"observedValue": 1_209_600.245, "observedUnit": "s"}]},
        }));
        assert_eq!((known.service.as_deref(), known.identity.version.as_deref()), (Some("f03e"), Some("1")));
        assert_eq!(known.uptime, Some(Duration::from_hours(14 * 24)));
        let known = read(&json!({"summary": {"status": "GREEN"}, "detail": {"environment": "test"}}));
        assert_eq!(known.identity.environment.as_deref(), Some("test"));
    }

    #[test]
    fn uptime_may_be_in_words() {
        let check = |words: &str, seconds: Option<u64>| {
            assert_eq!(
                read(&json!({"uptime": words})).uptime.map(|known| known.as_secs()),
                seconds,
                "{words}"
            );
        };
        check("12 seconds", Some(12));
        check("1 minute", Some(60));
        check("3 hours", Some(10_800));
        check("4 days", Some(345_600));
        check("4 weeks ago", None);
        check("-4 days", None);
        check("NaN days", None);
        check("1e300 days", None);
        check("days", None);
        check("", None);
    }

    #[test]
    fn an_uptime_that_is_exact_counts_more_than_one_in_words() {
        let (words, number) = (read(&json!({"uptime": "1 minute"})), read(&json!({"uptime": 61})));
        assert_eq!((words.uptime_unit.as_secs(), number.uptime_unit.as_secs()), (60, 1));
        let silent = Introduction::default();
        for (one, other, seconds) in
            [(&words, &number, 61), (&number, &words, 61), (&silent, &words, 60), (&words, &silent, 60)]
        {
            assert_eq!(one.clone().or(other.clone()).uptime, Some(Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn what_makes_no_sense_is_not_known() {
        for body in
            ["", "null", "[]", "\"polls\"", "{", "{\"service\":{\"name\":1},\"memory\":[1],\"uptime\":-1}"]
        {
            assert_eq!(introduction(body.as_bytes()), Introduction::default(), "{body}");
        }
        let long = "x".repeat(10_000);
        assert_eq!(read(&json!({"service": long})).service.unwrap().len(), LONGEST_TEXT);
        assert_eq!(read(&json!({"revision": "unknown", "version": " "})), Introduction::default());
    }
}
