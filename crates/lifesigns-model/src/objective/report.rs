//! How an objective stands: what is left of its budget, how fast it burns, and who should be told.
//!
//! The windows and factors are those of "Alerting on SLOs" in Google's Site Reliability Workbook. They are made for a
//! period of 30 days; see [`Alert::factor`] for others.

use std::fmt;

use serde_json::{Map, Value, json};

use super::{Counts, DEFAULT_PERIOD_DAYS, Objective};

/// A window over which a burn rate is taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    /// Its name, such as `1h`.
    pub name: &'static str,
    /// How far back it reaches, in minutes.
    pub minutes: i64,
}

const FIVE_MINUTES: Window = Window { name: "5m", minutes: 5 };
const HALF_AN_HOUR: Window = Window { name: "30m", minutes: 30 };
const ONE_HOUR: Window = Window { name: "1h", minutes: 60 };
const SIX_HOURS: Window = Window { name: "6h", minutes: 6 * 60 };
const THREE_DAYS: Window = Window { name: "3d", minutes: 3 * 1440 };

impl Window {
    /// All windows, shortest first.
    pub const ALL: [Window; 5] = [FIVE_MINUTES, HALF_AN_HOUR, ONE_HOUR, SIX_HOURS, THREE_DAYS];
}

/// Severity, long window, short window, factor over 30 days.
const RULES: [(Severity, Window, Window, f64); 3] = [
    (Severity::Page, ONE_HOUR, FIVE_MINUTES, 14.4),
    (Severity::Page, SIX_HOURS, HALF_AN_HOUR, 6.0),
    (Severity::Ticket, THREE_DAYS, SIX_HOURS, 1.0),
];

/// Who should be told.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Severity {
    /// Somebody, now: the budget will not last.
    Page,
    /// Somebody, within days.
    Ticket,
}

impl Severity {
    /// A word for labels and bodies.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Page => "page",
            Severity::Ticket => "ticket",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How fast the budget burns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BurnRate {
    /// Over which window.
    pub window: Window,
    /// What was counted in it.
    pub counts: Counts,
    /// The share of bad exchanges divided by the share that may be bad. At 1 the budget lasts for exactly the period.
    /// 0 when nothing was counted.
    pub rate: f64,
}

/// A pair of windows. The long one says that it is worth telling, the short one that it still goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alert {
    /// Who should be told.
    pub severity: Severity,
    /// The long window.
    pub long: Window,
    /// The short window.
    pub short: Window,
    /// The burn rate that both windows must exceed. For 30 days it is the workbook's 14.4, 6 or 1; for other periods
    /// it grows and shrinks with them, so that the same part of the budget (2, 5 or 10 %) is gone after the long
    /// window. It is never below 1, at which there is nothing to tell: the budget lasts.
    pub factor: f64,
    /// Whether both windows exceed it.
    pub is_firing: bool,
}

/// How an objective stands.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectiveReport {
    /// What is to be reached.
    pub objective: Objective,
    /// Good exchanges of the period.
    pub good: u64,
    /// Exchanges of the period.
    pub total: u64,
    /// The share of good ones; `None` when nothing was counted.
    pub share: Option<f64>,
    /// How many exchanges of these may be bad.
    pub budget_total: f64,
    /// How many are.
    pub budget_used: u64,
    /// The part of the budget that is left, at most 1; negative when more was used than there was. 1 when nothing was
    /// counted.
    pub budget_left: f64,
    /// Shortest window first. A window that is longer than the period is left out.
    pub burn_rates: Vec<BurnRate>,
    /// All pairs of windows, fastest first. A pair with a window that is longer than the period is left out.
    pub alerts: Vec<Alert>,
}

impl ObjectiveReport {
    /// A report from what was counted in the last so many minutes.
    pub(super) fn new(objective: Objective, last: impl Fn(i64) -> Counts) -> ObjectiveReport {
        let period_minutes = i64::from(objective.period_days()) * 1440;
        let counts = last(period_minutes);
        let fits = |window: &Window| window.minutes <= period_minutes;
        let burn_rates: Vec<BurnRate> = Window::ALL
            .into_iter()
            .filter(fits)
            .map(|window| {
                let counts = last(window.minutes);
                BurnRate { window, counts, rate: burn_rate(counts, &objective) }
            })
            .collect();
        let exceeds = |window: Window, factor: f64| {
            burn_rates.iter().any(|burn| burn.window == window && burn.rate > factor)
        };
        let scale = f64::from(objective.period_days()) / f64::from(DEFAULT_PERIOD_DAYS);
        let alerts = RULES
            .into_iter()
            .filter(|(_, long, _, _)| fits(long))
            .map(|(severity, long, short, factor)| {
                let factor = (factor * scale).max(1.0);
                let is_firing = exceeds(long, factor) && exceeds(short, factor);
                Alert { severity, long, short, factor, is_firing }
            })
            .collect();
        ObjectiveReport {
            objective,
            good: counts.good,
            total: counts.total,
            share: counts.good_share(),
            budget_total: counts.total as f64 * objective.bad_share(),
            budget_used: counts.bad(),
            budget_left: 1.0 - burn_rate(counts, &objective),
            burn_rates,
            alerts,
        }
    }

    /// The severest of the alerts that are firing.
    pub fn severity(&self) -> Option<Severity> {
        self.alerts.iter().find(|alert| alert.is_firing).map(|alert| alert.severity)
    }

    /// The report as it stands in answers, numbers with nine decimals.
    pub fn to_json(&self) -> Value {
        let burn_rates: Map<String, Value> = self
            .burn_rates
            .iter()
            .map(|burn| (burn.window.name.to_owned(), json!(rounded(burn.rate))))
            .collect();
        let alerts: Vec<Value> = self
            .alerts
            .iter()
            .map(|alert| {
                json!({
                    "severity": alert.severity.name(),
                    "long_window": alert.long.name,
                    "short_window": alert.short.name,
                    "factor": rounded(alert.factor),
                    "firing": alert.is_firing,
                })
            })
            .collect();
        json!({
            "good_share": self.objective.good_share(),
            "latency_ms": self.objective.latency_bound_ms(),
            "period_days": self.objective.period_days(),
            "good": self.good,
            "total": self.total,
            "share": self.share.map(rounded),
            "error_budget": {
                "total": rounded(self.budget_total),
                "used": self.budget_used,
                "left": rounded(self.budget_left),
            },
            "burn_rates": burn_rates,
            "severity": self.severity().map(Severity::name),
            "alerts": alerts,
        })
    }
}

fn burn_rate(counts: Counts, objective: &Objective) -> f64 {
    if counts.total == 0 { 0.0 } else { counts.bad() as f64 / counts.total as f64 / objective.bad_share() }
}

/// Without the noise of binary fractions.
fn rounded(number: f64) -> f64 {
    (number * 1e9).round() / 1e9
}
