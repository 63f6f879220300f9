//! The words of each dialect, without regard to their case.

use super::Dialect;
use crate::light::Light;

const GREEN: [&str; 10] =
    ["healthy", "ok", "okay", "up", "pass", "passed", "passing", "alive", "live", "ready"];
const AMBER: [&str; 4] = ["degraded", "warn", "warning", "unknown"];
const RED: [&str; 9] =
    ["unhealthy", "unavailable", "down", "fail", "failed", "failing", "error", "critical", "out_of_service"];

/// Any word that a service may say about itself.
pub(super) fn any(word: &str) -> Option<Light> {
    one_of(word, &GREEN, &AMBER, &RED)
}

/// What the status of a body means, or that of a part.
pub(super) fn status(dialect: Dialect, word: &str) -> Option<Light> {
    match dialect {
        Dialect::Health => one_of(word, &["ok"], &["degraded"], &["unavailable"]),
        Dialect::Status => one_of(word, &["healthy"], &[], &["unhealthy"]),
        Dialect::HealthJson => one_of(word, &["pass", "ok", "up"], &["warn"], &["fail", "error", "down"]),
        // A status of the service's own making means something to its authors. It is certainly not `UP`.
        Dialect::Actuator => {
            let light = one_of(word, &["up"], &[], &["down", "out_of_service"]);
            Some(light.unwrap_or(Light::Amber)).filter(|_| !word.is_empty())
        }
        Dialect::MicroProfile => one_of(word, &["up"], &[], &["down"]),
        Dialect::Xabaril => one_of(word, &["healthy"], &["degraded"], &["unhealthy"]),
        Dialect::Word => any(word),
        Dialect::TrafficLight | Dialect::Code => None,
    }
}

/// Health as a status code, where 503 means that callers should hold back.
pub(super) fn traffic_light(status: u16) -> Option<Light> {
    match status {
        200 | 400 | 401 | 405 | 429 => Some(Light::Green),
        503 => Some(Light::Amber),
        500 | 502 => Some(Light::Red),
        _ => None,
    }
}

/// Health as a status code, as load balancers read it.
pub(super) fn code(status: u16) -> Option<Light> {
    match status {
        200..=299 => Some(Light::Green),
        500..=599 => Some(Light::Red),
        _ => None,
    }
}

fn one_of(word: &str, green: &[&str], amber: &[&str], red: &[&str]) -> Option<Light> {
    let is_among = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
    if is_among(green) {
        Some(Light::Green)
    } else if is_among(amber) {
        Some(Light::Amber)
    } else if is_among(red) {
        Some(Light::Red)
    } else {
        None
    }
}
