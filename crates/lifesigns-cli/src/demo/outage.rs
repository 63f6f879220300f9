//! When the payment service misbehaves: a schedule that repeats every two minutes.
//!
//! | seconds | what happens |
//! |---|---|
//! | 0–45 | healthy |
//! | 45–70 | failing: 3 answers in 10 are 5xx |
//! | 70–100 | down: nearly all answers are 503 |
//! | 100–120 | recovering: 5 in 100 are still 503 |

use std::time::Duration;

use axum::http::StatusCode;

/// Seconds after which the schedule starts again.
const CYCLE: u64 = 120;

/// A stretch of the schedule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    Healthy,
    Failing,
    Down,
    Recovering,
}

impl Phase {
    /// The phase in which a service finds itself that was started `elapsed` ago.
    pub(super) const fn after(elapsed: Duration) -> Phase {
        match elapsed.as_secs() % CYCLE {
            0..45 => Phase::Healthy,
            45..70 => Phase::Failing,
            70..100 => Phase::Down,
            _ => Phase::Recovering,
        }
    }

    /// Which part of the requests fails.
    const fn failing_share(self) -> f64 {
        match self {
            Phase::Healthy => 0.0,
            Phase::Failing => 0.30,
            Phase::Down => 0.97,
            Phase::Recovering => 0.05,
        }
    }

    /// The failure with which a request is answered, if it is. `draw` and `kind` are chance, from 0 up to 1.
    pub(super) fn failure(self, draw: f64, kind: f64) -> Option<StatusCode> {
        (draw < self.failing_share()).then_some(match self {
            Phase::Failing if kind < 0.5 => StatusCode::INTERNAL_SERVER_ERROR,
            Phase::Failing if kind < 0.7 => StatusCode::BAD_GATEWAY,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::random::Random;

    #[test]
    fn the_schedule_has_its_phases_and_repeats() {
        let check = |seconds: u64, expected: Phase| {
            assert_eq!(Phase::after(Duration::from_secs(seconds)), expected, "after {seconds} s");
        };
        check(0, Phase::Healthy);
        check(44, Phase::Healthy);
        check(45, Phase::Failing);
        check(69, Phase::Failing);
        check(70, Phase::Down);
        check(99, Phase::Down);
        check(100, Phase::Recovering);
        check(119, Phase::Recovering);
        check(120, Phase::Healthy);
        check(120 * 1000 + 71, Phase::Down);
        assert_eq!(Phase::after(Duration::from_millis(44_999)), Phase::Healthy);
    }

    #[test]
    fn each_phase_fails_as_often_as_it_should() {
        let random = Random::new(3);
        for (phase, expected) in
            [(Phase::Healthy, 0), (Phase::Failing, 300), (Phase::Down, 970), (Phase::Recovering, 50)]
        {
            let failures = (0..10_000)
                .filter_map(|_| phase.failure(random.share(), random.share()))
                .inspect(|status| assert!(status.is_server_error()))
                .count() as u64;
            assert!(failures.abs_diff(expected * 10) <= 150, "{phase:?}: {failures} of 10000 failed");
        }
    }
}
