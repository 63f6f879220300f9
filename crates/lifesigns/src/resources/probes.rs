//! `/livez`, `/readyz`, `/startupz`: what an orchestrator asks.
//!
//! | probe | fails when |
//! |---|---|
//! | `/livez` | the process itself is broken: its collector has judged nothing for 15 seconds |
//! | `/readyz` | starting, draining, or the light is red |
//! | `/startupz` | starting |

use std::fmt::Write;

use http::StatusCode;
use lifesigns_model::light::Light;
use lifesigns_model::verdict::Phase;

use super::Call;
use super::answer::{Answer, PLAIN};
use super::escape::Line;
use super::health::{query_value, query_values};
use crate::settings::ResourceKind;
use crate::snapshot::Snapshot;

struct Check {
    name: &'static str,
    is_ok: bool,
    reason: String,
}

pub(super) fn answer(call: &Call<'_>) -> Answer {
    let snapshot = &call.snapshot;
    let query = call.parts.uri.query();
    let excluded: Vec<String> = query_values(query, "exclude").collect();
    let (probe, checks) = checks(call.resource.kind, snapshot);
    let unknown: Vec<&String> =
        excluded.iter().filter(|name| !checks.iter().any(|check| check.name == name.as_str())).collect();
    let is_excluded = |check: &Check| excluded.iter().any(|name| name == check.name);
    let is_ok = checks.iter().all(|check| check.is_ok || is_excluded(check));
    let status = if is_ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let wants_lines =
        query_value(query, "verbose").is_some_and(|value| !matches!(value.as_str(), "false" | "0"));
    if is_ok && !wants_lines {
        return Answer::new(status, PLAIN, "ok");
    }
    let tells_reasons = call.may_see_details();
    let mut text = String::new();
    // Writing into a string cannot fail.
    for check in &checks {
        let _ = match (is_excluded(check), check.is_ok) {
            (true, _) => writeln!(text, "[+]{} excluded: ok", check.name),
            (false, true) => writeln!(text, "[+]{} ok", check.name),
            (false, false) if tells_reasons => writeln!(text, "[-]{} failed: {}", check.name, check.reason),
            (false, false) => writeln!(text, "[-]{} failed: reason withheld", check.name),
        };
    }
    for name in unknown {
        let _ = writeln!(text, "warn: there is no check {} to exclude", Line(name));
    }
    let _ = writeln!(text, "{probe} check {}", if is_ok { "passed" } else { "failed" });
    Answer::new(status, PLAIN, text)
}

fn checks(kind: ResourceKind, snapshot: &Snapshot) -> (&'static str, Vec<Check>) {
    let startup = || Check {
        name: "startup",
        is_ok: snapshot.phase != Phase::Starting,
        reason: "start-up is not over".to_owned(),
    };
    match kind {
        ResourceKind::Livez => {
            let collector = Check {
                name: "collector",
                is_ok: !snapshot.is_abandoned(),
                reason: "nothing has been judged for too long".to_owned(),
            };
            ("livez", vec![collector])
        }
        ResourceKind::Startupz => ("startupz", vec![startup()]),
        _ => {
            let draining = Check {
                name: "shutdown",
                is_ok: snapshot.phase != Phase::Draining,
                reason: "the process is about to end".to_owned(),
            };
            let traffic = Check {
                name: "traffic",
                is_ok: snapshot.verdict.light != Light::Red,
                reason: snapshot.verdict.reason.to_string(),
            };
            ("readyz", vec![startup(), draining, traffic])
        }
    }
}
