//! Objectives (SLO): which share of exchanges is to be good, how much of the error budget is left, and how fast it
//! burns.
//!
//! What counts as good is one function, [`Objective::count`]:
//!
//! | exchange | counts |
//! |---|---|
//! | failed by the gateway or the upstream | bad |
//! | went well | good; bad if there is a latency bound and its total time was longer |
//! | answered with a 4xx | good: the API did what it should, however long it took |
//! | given up by its client before the end, status [`CLIENT_CLOSED_REQUEST`] included | not at all |
//!
//! Latency is taken from histograms: a time within 1.6 % of the bound may count on either side of it.
//!
//! [`Ledger`] keeps the counts, [`Ledger::report`] makes an [`ObjectiveReport`] of them, and [`HistoryPart`] asks a
//! store for what was counted before the process began.
//!
//! ```
//! use lifesigns_model::bucket::Minute;
//! use lifesigns_model::objective::{Counts, Ledger, Objective};
//! let mut ledger = Ledger::new(Objective::new(0.999)?);
//! ledger.add(Minute::new(100), Counts { good: 9_995, total: 10_000 });
//! let report = ledger.report(Minute::new(100));
//! assert_eq!((report.budget_total, report.budget_used), (10.0, 5));
//! assert_eq!(report.budget_left, 0.5);
//! # Ok::<(), lifesigns_model::objective::BadObjective>(())
//! ```

mod history;
mod ledger;
mod report;
#[cfg(test)]
mod tests;

use std::fmt;

pub use self::history::HistoryPart;
pub use self::ledger::Ledger;
pub use self::report::{Alert, BurnRate, ObjectiveReport, Severity, Window};
use crate::exchange::{CLIENT_CLOSED_REQUEST, FailedBy};
use crate::histogram::Histogram;

/// Shortest and longest period, in days.
pub const PERIOD_DAYS: std::ops::RangeInclusive<u32> = 1..=90;
/// The period where none is given, in days.
pub const DEFAULT_PERIOD_DAYS: u32 = 30;
/// The largest share of good exchanges that can be asked for: one in a thousand million may fail.
pub const MAX_GOOD_SHARE: f64 = 1.0 - 1e-9;

/// Which share of the exchanges of a period is to be good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    good_share: f64,
    latency_bound_ms: Option<f64>,
    period_days: u32,
}

impl Objective {
    /// This share of good exchanges over 30 days, whatever their latency.
    ///
    /// # Errors
    /// For a share that is not above 0 and at most [`MAX_GOOD_SHARE`]: with a share of 1 there would be no budget.
    pub fn new(good_share: f64) -> Result<Objective, BadObjective> {
        if good_share > 0.0 && good_share <= MAX_GOOD_SHARE {
            Ok(Objective { good_share, latency_bound_ms: None, period_days: DEFAULT_PERIOD_DAYS })
        } else {
            Err(BadObjective::GoodShare)
        }
    }

    /// The same; exchanges that take longer than `milliseconds` in all are bad.
    ///
    /// # Errors
    /// For a bound that is not above 0 and finite.
    pub fn with_latency_bound_ms(self, milliseconds: f64) -> Result<Objective, BadObjective> {
        if milliseconds > 0.0 && milliseconds.is_finite() {
            Ok(Objective { latency_bound_ms: Some(milliseconds), ..self })
        } else {
            Err(BadObjective::LatencyBound)
        }
    }

    /// The same over so many days up to now.
    ///
    /// # Errors
    /// For a number outside [`PERIOD_DAYS`].
    pub fn with_period_days(self, days: u32) -> Result<Objective, BadObjective> {
        if PERIOD_DAYS.contains(&days) {
            Ok(Objective { period_days: days, ..self })
        } else {
            Err(BadObjective::Period)
        }
    }

    /// The share of exchanges that is to be good.
    pub const fn good_share(&self) -> f64 {
        self.good_share
    }

    /// The share of exchanges that may be bad.
    pub fn bad_share(&self) -> f64 {
        // 1 - 0.999 is 0.0010000000000000009 in binary.
        ((1.0 - self.good_share) * 1e12).round() / 1e12
    }

    /// How long an exchange may take and be good, in milliseconds.
    pub const fn latency_bound_ms(&self) -> Option<f64> {
        self.latency_bound_ms
    }

    /// How far back the budget reaches, in days.
    pub const fn period_days(&self) -> u32 {
        self.period_days
    }

    /// How many of `exchanges` with this status and outcome count, and how many of those are good. `latency` holds
    /// their total times, and is looked at only where there is a bound.
    pub fn count(&self, failed_by: FailedBy, status: u16, exchanges: u64, latency: &Histogram) -> Counts {
        let good = match failed_by {
            FailedBy::Gateway | FailedBy::Upstream => 0,
            FailedBy::Client if (400..CLIENT_CLOSED_REQUEST).contains(&status) => exchanges,
            FailedBy::Client => return Counts::default(),
            FailedBy::Nobody => match self.latency_bound_ms {
                Some(bound) => latency.count_up_to((bound * 1000.0) as u64),
                None => exchanges,
            },
        };
        Counts { good, total: exchanges }
    }
}

/// Why there can be no such objective.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BadObjective {
    /// The share of good exchanges.
    GoodShare,
    /// The latency bound.
    LatencyBound,
    /// The period.
    Period,
}

impl fmt::Display for BadObjective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadObjective::GoodShare => write!(
                f,
                "the share of good exchanges must be above 0 and at most {MAX_GOOD_SHARE}, such as 0.999"
            ),
            BadObjective::LatencyBound => f.write_str("the latency bound must be above 0 milliseconds"),
            BadObjective::Period => {
                write!(f, "the period must be from {} to {} days", PERIOD_DAYS.start(), PERIOD_DAYS.end())
            }
        }
    }
}

impl std::error::Error for BadObjective {}

/// Exchanges that count, and how many of them were good.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Those that were good. What is above `total` does not count.
    pub good: u64,
    /// All of them.
    pub total: u64,
}

impl Counts {
    /// How many were bad.
    pub const fn bad(&self) -> u64 {
        self.total.saturating_sub(self.good)
    }

    /// Adds everything that `other` has counted.
    pub fn merge(&mut self, other: Counts) {
        self.good = self.good.saturating_add(other.good.min(other.total));
        self.total = self.total.saturating_add(other.total);
    }

    /// The share of the good ones; `None` when nothing was counted.
    pub fn good_share(&self) -> Option<f64> {
        (self.total > 0).then(|| (self.total - self.bad()) as f64 / self.total as f64)
    }
}
