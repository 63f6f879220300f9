//! `/livez`, `/readyz`, `/startupz`: what an orchestrator asks. What makes each fail is the table of
//! [`lifesigns_model::policy`].

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use http::StatusCode;
use http::header::RETRY_AFTER;
use lifesigns_model::check::Finding;
use lifesigns_model::light::Light;
use lifesigns_model::verdict::{Phase, RED_AFTER, Source};

use super::answer::{Answer, PLAIN};
use super::health::{query_value, query_values};
use super::{Call, escape};
use crate::checks::CheckSnapshot;
use crate::settings::ResourceKind;
use crate::snapshot::Snapshot;

/// A line of the long answer.
struct Line<'a> {
    name: Cow<'a, str>,
    is_ok: bool,
    /// It is bad, which does not count here.
    is_spared: bool,
    reason: String,
}

impl<'a> Line<'a> {
    fn new(name: impl Into<Cow<'a, str>>, is_ok: bool, reason: impl Into<String>) -> Line<'a> {
        Line { name: name.into(), is_ok, is_spared: false, reason: reason.into() }
    }
}

pub(super) fn answer(call: &Call<'_>) -> Answer {
    let snapshot = &call.snapshot;
    let query = call.parts.uri.query();
    let excluded: BTreeSet<String> = query_values(query, "exclude").collect();
    let wants_lines =
        query_value(query, "verbose").is_some_and(|value| !matches!(value.as_str(), "false" | "0"));
    let (probe, fails) = match call.resource.kind {
        ResourceKind::Livez => ("livez", snapshot.verdict.fails_liveness),
        ResourceKind::Startupz => ("startupz", snapshot.phase == Phase::Starting),
        _ => ("readyz", snapshot.verdict.fails_readiness),
    };
    if !fails && !wants_lines {
        return Answer::new(StatusCode::OK, PLAIN, "ok");
    }
    let lines = lines(call);
    let is_excluded = |line: &Line<'_>| excluded.contains(&*line.name);
    let is_ok = lines.iter().all(|line| line.is_ok || is_excluded(line));
    let status = if is_ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if is_ok && !wants_lines {
        return Answer::new(status, PLAIN, "ok");
    }
    let tells_reasons = call.may_see_details();
    let mut text = String::new();
    // Writing into a string cannot fail.
    for line in &lines {
        let name = escape::Line(&line.name);
        let _ = match (is_excluded(line), line.is_ok) {
            (true, _) => writeln!(text, "[+]{name} excluded: ok"),
            (false, true) if line.is_spared => writeln!(text, "[+]{name} failing, not counted: ok"),
            (false, true) => writeln!(text, "[+]{name} ok"),
            (false, false) if tells_reasons => {
                writeln!(text, "[-]{name} failed: {}", escape::Line(&line.reason))
            }
            (false, false) => writeln!(text, "[-]{name} failed: reason withheld"),
        };
    }
    for name in excluded.iter().filter(|name| !lines.iter().any(|line| line.name == **name)) {
        let _ = writeln!(text, "warn: there is no check {} to exclude", escape::Line(name));
    }
    let _ = writeln!(text, "{probe} check {}", if is_ok { "passed" } else { "failed" });
    let answer = Answer::new(status, PLAIN, text);
    if is_ok {
        answer
    } else {
        answer.header(RETRY_AFTER, &call.state.settings.retry_after_seconds.to_string())
    }
}

fn lines<'a>(call: &'a Call<'_>) -> Vec<Line<'a>> {
    let snapshot = &*call.snapshot;
    let startup = Line::new("startup", snapshot.phase != Phase::Starting, "start-up is not over");
    let tasks = snapshot.start_tasks.iter().filter(|_| snapshot.phase == Phase::Starting);
    let tasks = tasks.map(|task| {
        let reason = task.failure.as_deref().unwrap_or("it is not done yet");
        Line::new(format!("startup:{}", task.name), false, reason)
    });
    let age = snapshot.judged.age(call.elapsed);
    let reason = format!("nothing has been judged for {} seconds", age.as_secs());
    let collector = Line::new("collector", age < RED_AFTER, reason);
    let silent = snapshot.scheduler_silent;
    let scheduler = (!snapshot.checks.is_empty()).then(|| {
        let reason = format!("no check has been run for {} seconds", silent.as_secs());
        Line::new("scheduler", silent < RED_AFTER, reason)
    });
    match call.resource.kind {
        ResourceKind::Startupz => [startup].into_iter().chain(tasks).collect(),
        ResourceKind::Livez => {
            let checks = snapshot.checks.iter().filter(|it| it.powers().fails_liveness_at.is_some());
            let checks = checks.map(|it| {
                let is_ok =
                    it.standing.finding != Finding::Failing || !it.powers().fails_liveness(it.standing.light);
                line_of_check(it, is_ok)
            });
            [collector].into_iter().chain(scheduler).chain(checks).collect()
        }
        _ => {
            let goes_on = !matches!(snapshot.phase, Phase::Draining | Phase::Stopped);
            let reason = format!("the process is about to end; {} in flight", snapshot.in_flight);
            let shutdown = Line::new("shutdown", goes_on, reason);
            let whole = call.state.records.then(|| line_of_traffic(snapshot, None));
            let groups =
                call.state.groups.iter().zip(snapshot.groups.iter()).filter(|(group, _)| group.critical);
            let groups = groups.map(|(_, (name, _))| line_of_traffic(snapshot, Some(name)));
            let checks = snapshot
                .checks
                .iter()
                .map(|it| line_of_check(it, !it.powers().fails_readiness(it.standing.light)));
            [startup]
                .into_iter()
                .chain(tasks)
                .chain([shutdown, collector])
                .chain(scheduler)
                .chain(whole)
                .chain(groups)
                .chain(checks)
                .collect()
        }
    }
}

fn line_of_traffic<'a>(snapshot: &'a Snapshot, group: Option<&'a Arc<str>>) -> Line<'a> {
    let source = Source::Traffic(group.cloned());
    let cause = snapshot.verdict.causes.iter().find(|cause| cause.source == source);
    let red = cause.filter(|cause| cause.light == Light::Red);
    let name = group.map_or("traffic".into(), |group| Cow::Owned(format!("traffic:{group}")));
    Line::new(name, red.is_none(), red.map(ToString::to_string).unwrap_or_default())
}

fn line_of_check(check: &CheckSnapshot, is_ok: bool) -> Line<'_> {
    let is_spared = is_ok && check.standing.finding == Finding::Failing;
    Line { is_spared, ..Line::new(check.check.name(), is_ok, check.explanation()) }
}
