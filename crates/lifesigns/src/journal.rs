//! What the log says when a light or a check changes.
//!
//! Good news is information, bad news a warning; what was planned (starting, stopping, maintenance) is no bad news.
//! However much flaps, the log takes only so many lines a second, and says how many it left out.

use std::time::Duration;

use lifesigns_model::check::{FailureKind, Finding};
use lifesigns_model::verdict::{Source, Transition, Verdict};

use crate::checks::CheckSnapshot;

/// What filters of the log call these lines.
pub(crate) const CHANGES: &str = "lifesigns::changes";

/// Lines a second about lights, and as many about checks.
const LINES_A_SECOND: u32 = 20;

/// Longest text of one field, in characters.
const MAX_CHARACTERS: usize = 1000;

/// An event of one level or the other, with the same fields.
macro_rules! say {
    ($is_bad:expr, $($fields:tt)*) => {
        if $is_bad {
            tracing::warn!(target: CHANGES, $($fields)*);
        } else {
            tracing::info!(target: CHANGES, $($fields)*);
        }
    };
}

/// Remembers what was said, from tick to tick.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    lights: Budget,
    checks: Budget,
    /// How the checks stood, in their order.
    findings: Vec<Finding>,
}

impl Journal {
    /// A tick begins: says what was left out in the second before.
    pub(crate) fn turn(&mut self, elapsed: Duration) {
        let (lights, checks) = (self.lights.turn(elapsed), self.checks.turn(elapsed));
        if lights + checks > 0 {
            tracing::warn!(target: CHANGES, lights, checks, "more has changed than the log takes; left out");
        }
    }

    /// The light of an API has changed.
    pub(crate) fn light(&mut self, api: &str, before: &Verdict, after: &Verdict, transition: &Transition) {
        if !self.lights.allows() {
            return;
        }
        let first = after.causes.first();
        let changed = after.changed.as_ref().filter(|changed| changed.at == transition.at);
        let source = changed.map(|changed| &changed.source).or(first.map(|cause| &cause.source));
        let is_planned =
            first.is_some_and(|cause| matches!(cause.source, Source::Lifecycle | Source::Maintenance));
        let causes: Vec<String> = after.causes.iter().map(ToString::to_string).collect();
        let lasted = transition.at.since(before.since);
        say!(
            transition.to > transition.from && !is_planned,
            api,
            from = transition.from.name(),
            to = transition.to.name(),
            source = source.map(ToString::to_string),
            reason = bounded(&after.summary()),
            causes = bounded(&causes.join("; ")),
            lasted_seconds = lasted.as_millis() as f64 / 1000.0,
            "the light has changed"
        );
    }

    /// How a check stands; `number` is its place among the checks of the process.
    pub(crate) fn check(&mut self, number: usize, now: &CheckSnapshot) {
        if number >= self.findings.len() {
            self.findings.resize(number + 1, Finding::Pending);
        }
        let before = std::mem::replace(&mut self.findings[number], now.standing.finding);
        let (from, to) = (word(before), word(now.standing.finding));
        if from == to || !self.checks.allows() {
            return;
        }
        let report = now.last.as_ref().map(|run| &run.report);
        let is_bad = match now.standing.finding {
            Finding::Failing | Finding::Stale { .. } => true,
            Finding::Warning => matches!(before, Finding::Passing | Finding::Pending),
            Finding::Passing | Finding::Pending => false,
        };
        say!(
            is_bad,
            check = now.check.name(),
            from,
            to,
            kind = report.and_then(|report| report.failure).map(FailureKind::name),
            output = report.and_then(|report| report.output.as_deref()).map(bounded),
            "a check has changed"
        );
    }
}

/// A word for how a check stands.
const fn word(finding: Finding) -> &'static str {
    match finding {
        Finding::Pending => "pending",
        Finding::Passing => "passing",
        Finding::Warning => "warning",
        Finding::Failing => "failing",
        Finding::Stale { .. } => "stale",
    }
}

fn bounded(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// How many lines there may be.
#[derive(Debug, Default)]
struct Budget {
    second: u64,
    said: u32,
    left_out: u64,
}

impl Budget {
    /// What was left out in the second that is over, if it is.
    fn turn(&mut self, elapsed: Duration) -> u64 {
        if elapsed.as_secs() == self.second {
            return 0;
        }
        self.second = elapsed.as_secs();
        self.said = 0;
        std::mem::take(&mut self.left_out)
    }

    fn allows(&mut self) -> bool {
        if self.said < LINES_A_SECOND {
            self.said += 1;
            return true;
        }
        self.left_out += 1;
        false
    }
}

#[cfg(test)]
mod tests;
