//! Why a light is what it is.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::check::Finding;
use crate::light::Light;

/// One of the reasons behind a light, and the light that it asks for. `Display` is a sentence fit for strangers: no
/// address, no path, no error text.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// The light.
    pub light: Light,
    /// Who asks for it.
    pub source: Source,
    /// Why.
    pub reason: Reason,
}

/// Who may ask for a light.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// Where the process is in its life.
    Lifecycle,
    /// What runs the checks.
    Scheduler,
    /// An operator's announcement.
    Maintenance,
    /// The traffic of the whole API, or of the route group of this name.
    Traffic(Option<Arc<str>>),
    /// The check of this name.
    Check(Arc<str>),
    /// The judge itself.
    Judge,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Lifecycle => f.write_str("lifecycle"),
            Source::Scheduler => f.write_str("scheduler"),
            Source::Maintenance => f.write_str("maintenance"),
            Source::Traffic(None) => f.write_str("traffic"),
            Source::Traffic(Some(group)) => write!(f, "traffic:{group}"),
            Source::Check(name) => write!(f, "check:{name}"),
            Source::Judge => f.write_str("judge"),
        }
    }
}

/// What there is to say for a light.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// Nothing speaks against the service.
    Normal,
    /// Nothing speaks against it, but too little has passed to say more.
    LittleTraffic,
    /// It was bad when last something passed, and nothing has passed since that could show that it works again.
    Unproven,
    /// It is well again, and has to stay well a little longer to be believed.
    Recovering {
        /// For so many seconds more.
        seconds: u64,
    },
    /// Nobody has judged for this long; whatever was found before does not count any more.
    Stale {
        /// Age of the last judgement in seconds.
        seconds: u64,
    },
    /// Nothing has run the checks for this long.
    SchedulerSilent {
        /// In seconds.
        seconds: u64,
    },
    /// Start-up is not over.
    Starting,
    /// The process is about to end.
    Draining,
    /// The process serves no more.
    Stopped,
    /// Announced by an operator.
    Maintenance {
        /// In the operator's words.
        reason: Arc<str>,
        /// When it is over.
        ends: Timestamp,
    },
    /// This share of the exchanges in the window failed.
    Failures {
        /// 0 to 1.
        share: f64,
        /// Width of the window in seconds.
        window_seconds: u32,
    },
    /// Answers take this long.
    Slow {
        /// The percentile that is judged, over 0 to 100.
        percentile: f64,
        /// Its value in milliseconds.
        latency_ms: f64,
        /// Width of the window in seconds.
        window_seconds: u32,
    },
    /// What a check has come to.
    Check {
        /// How it stands.
        finding: Finding,
    },
    /// There are more causes than are named.
    More {
        /// How many.
        causes: usize,
    },
}

impl Cause {
    /// What `Display` writes. It is borrowed where it is always the same, as it is while all is well.
    pub fn sentence(&self) -> Cow<'static, str> {
        let group = match &self.source {
            Source::Traffic(Some(group)) => format!(" to {group}"),
            _ => String::new(),
        };
        Cow::Owned(match &self.reason {
            Reason::Normal => return Cow::Borrowed("Requests are served properly"),
            Reason::LittleTraffic => {
                return Cow::Borrowed("Nothing speaks against it; too little traffic to judge by");
            }
            Reason::Unproven => {
                format!("Requests{group} were not served properly before, and none has come since")
            }
            Reason::Recovering { seconds } => {
                format!("Requests{group} are served better again; this has to last {seconds} seconds more")
            }
            Reason::Stale { seconds } => format!("Nothing has been judged for {seconds} seconds"),
            Reason::SchedulerSilent { seconds } => format!("No check has been run for {seconds} seconds"),
            Reason::Starting => return Cow::Borrowed("The service is starting"),
            Reason::Draining => return Cow::Borrowed("The service is about to stop"),
            Reason::Stopped => return Cow::Borrowed("The service has stopped"),
            Reason::Maintenance { reason, ends } => format!("Maintenance until {ends:.0}: {reason}"),
            Reason::Failures { share, window_seconds } => format!(
                "{:.1} % of the requests{group} in the last {window_seconds} seconds failed",
                share * 100.0
            ),
            Reason::Slow { percentile, latency_ms, window_seconds } => {
                let others = round(100.0 - percentile);
                format!(
                    "{others} % of the requests{group} in the last {window_seconds} seconds took {latency_ms:.0} ms or longer"
                )
            }
            Reason::Check { finding } => match &self.source {
                Source::Check(name) => format!("The check {name} {finding}"),
                _ => format!("A check {finding}"),
            },
            Reason::More { causes } => format!("And {causes} more"),
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())
    }
}

/// At most three decimals: 100 − 99.9 is 0.1 and not 0.09999999999999432.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
