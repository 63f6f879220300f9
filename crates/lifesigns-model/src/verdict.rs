//! From figures to a light: one pure function, [`judge`].
//!
//! | input | light |
//! |---|---|
//! | the process is starting or draining | at least amber |
//! | share of failed exchanges at or over the red threshold | red |
//! | share of failed exchanges at or over the amber threshold | amber |
//! | 95th percentile of the latency at or over its threshold, where one is set | amber |
//! | fewer exchanges than it takes to judge | green; amber after failures, until something has succeeded |
//! | nobody has judged for 5 and for 15 seconds ([`aged`]) | amber, red |
//!
//! Only exchanges that failed because of the gateway or the API count as failed. A light is left again only when
//! its figure has fallen under four fifths of the threshold, so that a share which hovers there does not flap.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::light::Light;

/// Where a process is in its life.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Phase {
    /// Not everything is set up yet.
    #[default]
    Starting,
    /// Serving.
    Ready,
    /// Asked to end: still serving, but wanting no more.
    Draining,
}

/// What passed in the sliding window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Exchanges that ended.
    pub exchanges: u64,
    /// Those that failed because of the gateway or the API.
    pub failures: u64,
    /// 95th percentile of the total time in milliseconds; `None` without exchanges.
    pub latency_p95_ms: Option<f64>,
}

impl Traffic {
    /// Failed share of all exchanges, 0 to 1; 0 without exchanges.
    pub fn failed_share(&self) -> f64 {
        if self.exchanges == 0 { 0.0 } else { self.failures as f64 / self.exchanges as f64 }
    }
}

/// When traffic turns a light.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Width of the sliding window in seconds, 10 to 3600. Default 60.
    pub window_seconds: u32,
    /// With fewer exchanges in the window traffic is not judged. Default 20.
    pub minimum_exchanges: u64,
    /// Failed share that turns amber, over 0 to 1. Default 0.05.
    pub amber_failed_share: f64,
    /// Failed share that turns red, over 0 to 1. Default 0.5.
    pub red_failed_share: f64,
    /// 95th percentile of the latency in milliseconds that turns amber; `None` (default): latency is not judged.
    pub amber_latency_p95_ms: Option<f64>,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds {
            window_seconds: 60,
            minimum_exchanges: 20,
            amber_failed_share: 0.05,
            red_failed_share: 0.5,
            amber_latency_p95_ms: None,
        }
    }
}

/// Why a light is what it is. `Display` is fit for strangers: no address, no path, no error text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reason {
    /// Nothing speaks against the service.
    Normal,
    /// Nothing speaks against it, but too little has passed to say more.
    LittleTraffic,
    /// It failed when last something passed, and since then too little has passed to show that it works again.
    Unproven,
    /// Nobody has judged for this long; whatever was found before does not count any more.
    Stale {
        /// Age of the last judgement in seconds.
        seconds: u64,
    },
    /// Start-up is not over.
    Starting,
    /// The process is about to end.
    Draining,
    /// This share of the exchanges in the window failed.
    Failures {
        /// 0 to 1.
        share: f64,
        /// Width of the window in seconds.
        window_seconds: u32,
    },
    /// Answers take this long.
    Slow {
        /// 95th percentile in milliseconds.
        p95_ms: f64,
        /// Width of the window in seconds.
        window_seconds: u32,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Normal => f.write_str("Requests are served properly"),
            Reason::LittleTraffic => f.write_str("Nothing speaks against it; too little traffic to judge by"),
            Reason::Unproven => f.write_str("It failed before, and nothing has succeeded since"),
            Reason::Stale { seconds } => write!(f, "Nothing has been judged for {seconds} seconds"),
            Reason::Starting => f.write_str("The service is starting"),
            Reason::Draining => f.write_str("The service is about to stop"),
            Reason::Failures { share, window_seconds } => {
                write!(
                    f,
                    "{:.1} % of the requests of the last {window_seconds} seconds failed",
                    share * 100.0
                )
            }
            Reason::Slow { p95_ms, window_seconds } => {
                write!(
                    f,
                    "One in twenty requests of the last {window_seconds} seconds took {p95_ms:.0} ms or longer"
                )
            }
        }
    }
}

/// A judgement, and since when its light has been the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The light.
    pub light: Light,
    /// Why.
    pub reason: Reason,
    /// When the light last changed.
    pub since: Timestamp,
}

impl Verdict {
    /// The verdict on a process that has just begun.
    pub const fn starting(now: Timestamp) -> Verdict {
        Verdict { light: Light::Amber, reason: Reason::Starting, since: now }
    }
}

/// The verdict on these figures. `previous` gives the light its inertia and its age; without `traffic`
/// only the phase counts.
pub fn judge(
    previous: &Verdict,
    phase: Phase,
    traffic: Option<&Traffic>,
    thresholds: &Thresholds,
    now: Timestamp,
) -> Verdict {
    let by_traffic = traffic.map(|traffic| judge_traffic(previous, traffic, thresholds));
    let (light, reason) = match (by_traffic.unwrap_or((Light::Green, Reason::Normal)), phase) {
        (red @ (Light::Red, _), _) => red,
        (_, Phase::Starting) => (Light::Amber, Reason::Starting),
        (_, Phase::Draining) => (Light::Amber, Reason::Draining),
        (other, Phase::Ready) => other,
    };
    // A clock that was set back must not make a light older than it is.
    let since = if light == previous.light { previous.since.min(now) } else { now };
    Verdict { light, reason, since }
}

/// A judgement of this age counts as amber at best. It is made twice a second; a judge that has died must not leave
/// a green light behind.
pub const AMBER_AFTER: Duration = Duration::from_secs(5);

/// A judgement of this age counts as red.
pub const RED_AFTER: Duration = Duration::from_secs(15);

/// The verdict as it counts `now`, so long after it was judged.
pub fn aged(verdict: Verdict, age: Duration, now: Timestamp) -> Verdict {
    let light = if age >= RED_AFTER {
        Light::Red
    } else if age >= AMBER_AFTER {
        Light::Amber
    } else {
        Light::Green
    };
    if verdict.light >= light {
        return verdict;
    }
    Verdict { light, reason: Reason::Stale { seconds: age.as_secs() }, since: now }
}

fn judge_traffic(previous: &Verdict, traffic: &Traffic, thresholds: &Thresholds) -> (Light, Reason) {
    if traffic.exchanges < thresholds.minimum_exchanges.max(1) {
        // Callers who obey a red light send nothing: that must not turn it green.
        let has_failed = matches!(previous.reason, Reason::Failures { .. } | Reason::Unproven);
        let has_succeeded = traffic.exchanges > traffic.failures;
        return if has_failed && !has_succeeded {
            (Light::Amber, Reason::Unproven)
        } else {
            (Light::Green, Reason::LittleTraffic)
        };
    }
    let previous = previous.light;
    let window_seconds = thresholds.window_seconds;
    let share = traffic.failed_share();
    let failures = Reason::Failures { share, window_seconds };
    let reaches = |value: f64, threshold: f64, light: Light| {
        value * if previous >= light { 1.25 } else { 1.0 } >= threshold
    };
    if reaches(share, thresholds.red_failed_share, Light::Red) {
        return (Light::Red, failures);
    }
    if reaches(share, thresholds.amber_failed_share, Light::Amber) {
        return (Light::Amber, failures);
    }
    match (traffic.latency_p95_ms, thresholds.amber_latency_p95_ms) {
        (Some(p95_ms), Some(threshold)) if reaches(p95_ms, threshold, Light::Amber) => {
            (Light::Amber, Reason::Slow { p95_ms, window_seconds })
        }
        _ => (Light::Green, Reason::Normal),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn traffic(exchanges: u64, failures: u64) -> Traffic {
        Traffic { exchanges, failures, latency_p95_ms: Some(10.0) }
    }

    fn light_after(previous: Light, phase: Phase, traffic: Traffic) -> Light {
        let previous = Verdict { light: previous, reason: Reason::Normal, since: at(0) };
        judge(&previous, phase, Some(&traffic), &Thresholds::default(), at(1)).light
    }

    #[test]
    fn shares_turn_lights_and_let_go_of_them_late() {
        let check = |previous, failures, expected| {
            assert_eq!(
                light_after(previous, Phase::Ready, traffic(1000, failures)),
                expected,
                "{previous} {failures}"
            );
        };
        check(Light::Green, 49, Light::Green);
        check(Light::Green, 50, Light::Amber);
        check(Light::Amber, 40, Light::Amber);
        check(Light::Amber, 39, Light::Green);
        check(Light::Amber, 499, Light::Amber);
        check(Light::Amber, 500, Light::Red);
        check(Light::Red, 400, Light::Red);
        check(Light::Red, 399, Light::Amber);
        check(Light::Red, 0, Light::Green);
    }

    #[test]
    fn little_traffic_is_not_judged() {
        assert_eq!(light_after(Light::Green, Phase::Ready, traffic(19, 19)), Light::Green);
        assert_eq!(light_after(Light::Green, Phase::Ready, traffic(20, 20)), Light::Red);
    }

    #[test]
    fn a_light_that_turned_for_failures_takes_a_success_to_be_green_again() {
        let after = |reason, exchanges, failures| {
            let previous = Verdict { light: Light::Red, reason, since: at(0) };
            let traffic = traffic(exchanges, failures);
            judge(&previous, Phase::Ready, Some(&traffic), &Thresholds::default(), at(1))
        };
        let failing = Reason::Failures { share: 1.0, window_seconds: 60 };
        for reason in [failing, Reason::Unproven] {
            assert_eq!(after(reason, 0, 0).reason, Reason::Unproven);
            assert_eq!(after(reason, 19, 19).light, Light::Amber);
            assert_eq!(after(reason, 19, 18).light, Light::Green);
        }
        assert_eq!(after(Reason::Normal, 0, 0).light, Light::Green);
        assert_eq!(after(Reason::Starting, 19, 19).light, Light::Green);
    }

    #[test]
    fn an_old_green_is_not_green() {
        let green = Verdict { light: Light::Green, reason: Reason::Normal, since: at(0) };
        let light_after = |verdict, seconds| aged(verdict, Duration::from_secs(seconds), at(100)).light;
        let lights = [0, 4, 5, 14, 15, 1000].map(|seconds| light_after(green, seconds));
        assert_eq!(lights, [Light::Green, Light::Green, Light::Amber, Light::Amber, Light::Red, Light::Red]);
        let red = Verdict { light: Light::Red, ..green };
        assert_eq!(aged(red, Duration::from_secs(1000), at(100)), red, "its age and its reason are kept");
    }

    #[test]
    fn starting_and_draining_are_amber_at_best() {
        for phase in [Phase::Starting, Phase::Draining] {
            assert_eq!(light_after(Light::Green, phase, traffic(100, 0)), Light::Amber);
            assert_eq!(light_after(Light::Green, phase, traffic(100, 100)), Light::Red);
        }
    }

    #[test]
    fn slow_answers_are_amber_where_a_threshold_is_set() {
        let thresholds = Thresholds { amber_latency_p95_ms: Some(250.0), ..Thresholds::default() };
        let slow = Traffic { exchanges: 100, failures: 0, latency_p95_ms: Some(251.0) };
        let verdict = judge(&Verdict::starting(at(0)), Phase::Ready, Some(&slow), &thresholds, at(1));
        assert_eq!(verdict.light, Light::Amber);
        assert_eq!(
            verdict.reason.to_string(),
            "One in twenty requests of the last 60 seconds took 251 ms or longer"
        );
    }

    #[test]
    fn a_light_keeps_its_age_until_it_changes() {
        let first = judge(
            &Verdict::starting(at(0)),
            Phase::Ready,
            Some(&traffic(100, 0)),
            &Thresholds::default(),
            at(5),
        );
        assert_eq!(first.since, at(5));
        let second = judge(&first, Phase::Ready, Some(&traffic(100, 1)), &Thresholds::default(), at(9));
        assert_eq!(second.since, at(5));
        let clock_set_back =
            judge(&second, Phase::Ready, Some(&traffic(100, 1)), &Thresholds::default(), at(3));
        assert_eq!(clock_set_back.since, at(3));
    }

    proptest! {
        #[test]
        fn more_failures_never_make_a_better_light(exchanges in 1u64..10_000, fewer in 0u64..10_000, more in 0u64..10_000) {
            let (fewer, more) = (fewer.min(more).min(exchanges), fewer.max(more).min(exchanges));
            for previous in [Light::Green, Light::Amber, Light::Red] {
                let better = light_after(previous, Phase::Ready, traffic(exchanges, fewer));
                prop_assert!(light_after(previous, Phase::Ready, traffic(exchanges, more)) >= better);
            }
        }
    }
}
