//! Checks of what a service depends on: what a run reports, and what it takes to believe it.
//!
//! A check runs again and again in the background. [`CheckState`] folds its reports into a level, which changes only
//! after several results in a row that say otherwise; [`CheckState::standing`] says what that means now, for what was
//! found long ago does not count any more.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::light::Light;
use crate::moment::Moment;

/// How one run of a check ended. Ordered from best to worst.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Outcome {
    /// All is well.
    Pass,
    /// It works, and somebody should look at it: a certificate that soon expires.
    Warn,
    /// It does not work.
    Fail,
}

impl Outcome {
    /// The word of the health+json draft for it.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Warn => "warn",
            Outcome::Fail => "fail",
        }
    }
}

/// In what way a check failed. For those who may see details; strangers are told that it failed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FailureKind {
    /// There is no connection: refused, no route, the name does not resolve.
    Unreachable,
    /// There was no answer within the deadline.
    TimedOut,
    /// Credentials or permissions were refused.
    Denied,
    /// There was an answer, and not the one that it should be.
    UnexpectedAnswer,
    /// The check itself panicked.
    Panicked,
    /// The check blocks the thread that it runs in.
    Blocked,
    /// Anything else.
    Failed,
}

impl FailureKind {
    /// All kinds.
    pub const ALL: [FailureKind; 7] = [
        FailureKind::Unreachable,
        FailureKind::TimedOut,
        FailureKind::Denied,
        FailureKind::UnexpectedAnswer,
        FailureKind::Panicked,
        FailureKind::Blocked,
        FailureKind::Failed,
    ];

    /// A word for logs, labels and bodies.
    pub const fn name(self) -> &'static str {
        match self {
            FailureKind::Unreachable => "unreachable",
            FailureKind::TimedOut => "timed_out",
            FailureKind::Denied => "denied",
            FailureKind::UnexpectedAnswer => "unexpected_answer",
            FailureKind::Panicked => "panicked",
            FailureKind::Blocked => "blocked",
            FailureKind::Failed => "failed",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FailureKind::Unreachable => "cannot be reached",
            FailureKind::TimedOut => "does not answer in time",
            FailureKind::Denied => "refuses the credentials",
            FailureKind::UnexpectedAnswer => "answers otherwise than it should",
            FailureKind::Panicked => "made its check panic",
            FailureKind::Blocked => "makes its check block the thread it runs in",
            FailureKind::Failed => "fails",
        })
    }
}

/// What a check has measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// What was measured, as the second half of a key of health+json: `responseTime`, `utilization`, `expiry`.
    pub measurement: &'static str,
    /// The value.
    pub value: f64,
    /// Its unit: `ms`, `percent`, `days`, `bytes`.
    pub unit: &'static str,
}

/// What one run of a check says.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// In what way it failed, if it did.
    pub failure: Option<FailureKind>,
    /// What it measured, besides the time it took.
    pub observed: Option<Observation>,
    /// What there is to say, for those who may see details. May hold addresses and error texts, never secrets.
    pub output: Option<String>,
}

impl Report {
    /// All is well.
    pub const fn pass() -> Report {
        Report { outcome: Outcome::Pass, failure: None, observed: None, output: None }
    }

    /// It works, and somebody should look at it.
    pub fn warn(output: impl fmt::Display) -> Report {
        Report { outcome: Outcome::Warn, output: Some(output.to_string()), ..Report::pass() }
    }

    /// It does not work.
    pub fn fail(kind: FailureKind, output: impl fmt::Display) -> Report {
        let (failure, output) = (Some(kind), Some(output.to_string()));
        Report { outcome: Outcome::Fail, failure, output, ..Report::pass() }
    }

    /// With something measured.
    #[must_use]
    pub fn observed(mut self, measurement: &'static str, value: f64, unit: &'static str) -> Report {
        self.observed = Some(Observation { measurement, value, unit });
        self
    }
}

impl From<()> for Report {
    fn from((): ()) -> Report {
        Report::pass()
    }
}

impl<R: Into<Report>, E: fmt::Display> From<Result<R, E>> for Report {
    fn from(result: Result<R, E>) -> Report {
        match result {
            Ok(report) => report.into(),
            Err(error) => Report::fail(FailureKind::Failed, error),
        }
    }
}

/// When a check runs, and what it takes to believe what it says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each answers a question of its own")]
pub struct CheckPolicy {
    /// From one run's start to the next's, give or take a tenth. 100 ms or more, default 10 s.
    pub interval: Duration,
    /// A run that takes longer has failed. Default 5 s.
    pub timeout: Duration,
    /// So many bad results in a row make it fail, 1 or more. Default 3.
    pub failure_threshold: u32,
    /// So many good results in a row make it well again, 1 or more. Default 2.
    pub recovery_threshold: u32,
    /// From the start of the process, failures before the first success do not count for so long. Default 0.
    pub grace: Duration,
    /// Whether its failing turns the light red; otherwise amber. Default: no.
    pub critical: bool,
    /// Whether several processes depend on what it checks: a database, another service. Default: yes. A process
    /// that is restarted for what others share is restarted in vain, so this may never fail liveness.
    pub shared: bool,
    /// Whether a critical check's failing fails readiness. Default: yes.
    pub fails_readiness: bool,
    /// Whether its failing fails liveness, so that the process is restarted. Default: no. Not for what is shared.
    pub fails_liveness: bool,
}

impl Default for CheckPolicy {
    fn default() -> CheckPolicy {
        CheckPolicy {
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            failure_threshold: 3,
            recovery_threshold: 2,
            grace: Duration::ZERO,
            critical: false,
            shared: true,
            fails_readiness: true,
            fails_liveness: false,
        }
    }
}

impl CheckPolicy {
    /// A result that is older counts as amber at best.
    pub fn amber_after(&self) -> Duration {
        self.interval.max(self.timeout).saturating_mul(3)
    }

    /// A result that is older counts as red; as amber for a check that is not critical.
    pub fn red_after(&self) -> Duration {
        self.interval.max(self.timeout).saturating_mul(6)
    }
}

/// Why a check stands as it does. `Display` finishes a sentence that begins with the check's name, and is fit for
/// strangers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finding {
    /// It has not said anything yet, or failed so far while start-up takes its time.
    Pending,
    /// It passes.
    Passing,
    /// It warns.
    Warning,
    /// It fails.
    Failing,
    /// Its last result is this old, and does not count any more.
    Stale {
        /// Age in seconds.
        seconds: u64,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Pending => f.write_str("has not passed yet"),
            Finding::Passing => f.write_str("passes"),
            Finding::Warning => f.write_str("warns"),
            Finding::Failing => f.write_str("fails"),
            Finding::Stale { seconds } => write!(f, "has not been run for {seconds} seconds"),
        }
    }
}

/// What a check means at one moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Standing {
    /// The light that it asks for.
    pub light: Light,
    /// Why.
    pub finding: Finding,
}

/// A finished run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// When it ended.
    pub ended: Moment,
    /// How long it took.
    pub took: Duration,
    /// What it said.
    pub report: Report,
}

/// What the runs of a check have come to.
#[derive(Clone, Debug, Default)]
pub struct CheckState {
    /// What is believed; `None` until there is reason to believe anything.
    level: Option<Outcome>,
    /// Results in a row that were worse than the level, and the mildest of them.
    worse: Streak,
    /// Results in a row that were better than the level, and the worst of them.
    better: Streak,
    last: Option<Arc<Run>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Streak {
    length: u32,
    to: Option<Outcome>,
}

impl Streak {
    fn add(&mut self, outcome: Outcome, towards: fn(Outcome, Outcome) -> Outcome) {
        self.length = self.length.saturating_add(1);
        self.to = Some(self.to.map_or(outcome, |to| towards(to, outcome)));
    }
}

impl CheckState {
    /// The last run, if there was one.
    pub fn last(&self) -> Option<&Arc<Run>> {
        self.last.as_ref()
    }

    /// Takes in a run that has ended.
    pub fn finished(&mut self, run: Run, policy: &CheckPolicy) {
        let outcome = run.report.outcome;
        let is_excused = self.level.is_none() && run.ended.elapsed < policy.grace;
        self.last = Some(Arc::new(run));
        // The first success says enough; a first failure does not.
        let Some(level) = self.level.or((outcome != Outcome::Fail).then_some(outcome)) else {
            if !is_excused {
                self.worse.add(outcome, Outcome::min);
                if self.worse.length >= policy.failure_threshold {
                    self.settle(outcome);
                }
            }
            return;
        };
        self.level = Some(level);
        match outcome.cmp(&level) {
            std::cmp::Ordering::Equal => self.settle(level),
            std::cmp::Ordering::Greater => {
                self.better = Streak::default();
                self.worse.add(outcome, Outcome::min);
                if self.worse.length >= policy.failure_threshold {
                    self.settle(self.worse.to.unwrap_or(outcome));
                }
            }
            std::cmp::Ordering::Less => {
                self.worse = Streak::default();
                self.better.add(outcome, Outcome::max);
                if self.better.length >= policy.recovery_threshold {
                    self.settle(self.better.to.unwrap_or(outcome));
                }
            }
        }
    }

    /// What it means `elapsed` after the process began.
    pub fn standing(&self, policy: &CheckPolicy, elapsed: Duration) -> Standing {
        let failed = if policy.critical { Light::Red } else { Light::Amber };
        let (light, finding) = match self.level {
            None => (Light::Amber, Finding::Pending),
            Some(Outcome::Pass) => (Light::Green, Finding::Passing),
            Some(Outcome::Warn) => (Light::Amber, Finding::Warning),
            Some(Outcome::Fail) => (failed, Finding::Failing),
        };
        let age = elapsed.saturating_sub(self.last.as_ref().map_or(Duration::ZERO, |run| run.ended.elapsed));
        let stale = if age > policy.red_after() {
            failed
        } else if age > policy.amber_after() {
            Light::Amber
        } else {
            Light::Green
        };
        if stale > light || (stale != Light::Green && finding != Finding::Failing) {
            let finding = Finding::Stale { seconds: age.as_secs() };
            return Standing { light: light.max(stale), finding };
        }
        Standing { light, finding }
    }

    fn settle(&mut self, level: Outcome) {
        self.level = Some(level);
        self.worse = Streak::default();
        self.better = Streak::default();
    }
}

#[cfg(test)]
mod tests;
