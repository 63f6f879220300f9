//! How a service is, whatever it answers.

use serde_json::Value;

use super::{Dialect, LONGEST_BODY, Part, Unreadable, read};
use crate::light::Light;

/// Parts that are named as the reason; more are counted.
const NAMED_PARTS: usize = 3;
/// A word is no longer than this, in bytes.
const LONGEST_WORD: usize = 40;
/// A reason is cut there, in characters.
const LONGEST_REASON: usize = 200;

/// What somebody who asks makes of an answer, whatever it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Judgement {
    /// How the service is.
    pub light: Light,
    /// The dialect in which the answer was read; `None` if it could not be.
    pub dialect: Option<Dialect>,
    /// What it is made of.
    pub parts: Vec<Part>,
    /// How many parts there are besides.
    pub left_out: usize,
    /// Why it is not green; empty if it is. May hold a stranger's text, at most some 1000 characters.
    pub why: String,
}

/// Judges an answer, as [`read`] does where that can read it.
///
/// An answer that cannot be read is green where its code is a 2xx, nobody has said in which dialect it is to be, and it
/// is no JSON, no single word, and of a bearable size: it is read as [`Dialect::Code`]. What is JSON or a word that
/// nobody knows is amber, as is what is too long; any other is red.
///
/// ```
/// use lifesigns_model::{dialect, light::Light};
/// assert_eq!(dialect::judge(None, 200, Some("text/html"), b"<h1>Welcome</h1>").light, Light::Green);
/// assert_eq!(dialect::judge(None, 404, Some("text/html"), b"<h1>Gone</h1>").light, Light::Red);
/// ```
pub fn judge(form: Option<Dialect>, status: u16, content_type: Option<&str>, body: &[u8]) -> Judgement {
    let judged = |light, dialect, why| Judgement { light, dialect, parts: Vec::new(), left_out: 0, why };
    match read(form, status, content_type, body) {
        Ok(reading) => {
            let why = if reading.light == Light::Green {
                String::new()
            } else {
                reasons(status, &reading.parts, body)
            };
            let (dialect, parts, left_out) = (Some(reading.dialect), reading.parts, reading.left_out);
            Judgement { light: reading.light, dialect, parts, left_out, why }
        }
        Err(error @ Unreadable::TooLong) => judged(Light::Amber, None, error.to_string()),
        Err(error) if form.is_none() && (200..=299).contains(&status) => {
            // Whoever speaks of his health in words that nobody knows may say anything.
            if says_something(content_type, body) {
                judged(Light::Amber, None, error.to_string())
            } else {
                judged(Light::Green, Some(Dialect::Code), String::new())
            }
        }
        Err(error) => judged(Light::Red, None, error.to_string()),
    }
}

/// Whether a body looks as if it said how the service is: JSON, or one word.
fn says_something(content_type: Option<&str>, body: &[u8]) -> bool {
    let is_json = content_type.is_some_and(|value| value.to_ascii_lowercase().contains("json"));
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    let is_word = (1..=LONGEST_WORD).contains(&body.len()) && body.iter().all(u8::is_ascii_alphanumeric);
    is_json || is_word || matches!(body.first(), Some(b'{' | b'['))
}

fn reasons(status: u16, parts: &[Part], body: &[u8]) -> String {
    let mut why = format!("answers {status}");
    let bad: Vec<&Part> = parts.iter().filter(|part| part.light != Light::Green).collect();
    if !bad.is_empty() {
        let named: Vec<&str> = bad.iter().take(NAMED_PARTS).map(|part| &*part.name).collect();
        why += ", not well: ";
        why += &named.join(", ");
        if bad.len() > named.len() {
            why += " and ";
            why += &(bad.len() - named.len()).to_string();
            why += " more";
        }
    } else if let Some(reason) = reason(body) {
        why += ": ";
        why += &reason;
    }
    why
}

/// What a traffic light, or an error of `/status`, gives as its reason.
fn reason(body: &[u8]) -> Option<String> {
    if body.len() > LONGEST_BODY {
        return None;
    }
    let json: Value = serde_json::from_slice(body).ok()?;
    let text =
        [&json["detail"]["reason"], &json["output"], &json["error"]].into_iter().find_map(Value::as_str)?;
    Some(text.chars().take(LONGEST_REASON).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(form: Option<Dialect>, status: u16, body: &str, light: Light, why: &str) {
        let judged = judge(form, status, None, body.as_bytes());
        assert_eq!((judged.light, &*judged.why), (light, why), "{status} {body}");
    }

    #[test]
    fn the_reason_names_what_is_not_well() {
        let check =
            |status, body: serde_json::Value, light, why| check(None, status, &body.to_string(), light, why);
        check(200, json!({"status": "OK"}), Light::Green, "");
        let parts =
            json!({"status": "DOWN", "components": {"db": {"status": "DOWN"}, "disk": {"status": "UP"}}});
        check(503, parts, Light::Red, "answers 503, not well: db");
        let air = json!({"summary": {"status": "AMBER"}, "detail": {"reason": "Slow upstream"}});
        check(503, air, Light::Amber, "answers 503: Slow upstream");
        check(503, json!({"error": "Service unavailable"}), Light::Red, "answers 503: Service unavailable");
        let many: serde_json::Map<_, _> =
            (0..9).map(|index| (format!("part{index}"), json!({"status": "DOWN"}))).collect();
        let many = json!({"status": "DOWN", "components": many});
        check(503, many, Light::Red, "answers 503, not well: part0, part1, part2 and 6 more");
    }

    #[test]
    fn what_cannot_be_read_is_judged_by_its_code() {
        check(None, 200, "<html>", Light::Green, "");
        check(None, 204, "", Light::Green, "");
        let unknown =
            "the answer has no status of any known dialect; if its code is enough, read it as `code`";
        check(None, 200, "{\"success\":false}", Light::Amber, unknown);
        check(None, 200, "{\"status\":\"broken\"}", Light::Amber, unknown);
        check(None, 200, "{\"status\":\"DOWN\"", Light::Amber, "the answer is not JSON");
        check(
            None,
            200,
            "offline",
            Light::Amber,
            "the answer is none of the words for health; if its code is enough, read it as `code`",
        );
        check(Some(Dialect::Code), 200, "{\"success\":false}", Light::Green, "");
        check(None, 500, "<html>", Light::Red, "answers 500");
        check(None, 404, "<html>", Light::Red, "status 404 says nothing about health");
        for status in [300, 301, 302, 303, 304, 307, 308] {
            let why = format!("status {status} says nothing about health");
            for body in ["", "OK", "{\"status\":\"OK\"}", "{\"summary\":{\"status\":\"GREEN\"}}"] {
                check(None, status, body, Light::Red, &why);
                for form in Dialect::ALL {
                    check(Some(form), status, body, Light::Red, &why);
                }
            }
        }
        check(Some(Dialect::Actuator), 200, "<html>", Light::Red, "the answer is not JSON");
        check(None, 200, &"x".repeat(LONGEST_BODY + 1), Light::Amber, "the answer is longer than 1024 KiB");
    }
}
