//! Who misbehaves when: a schedule that repeats every three minutes.
//!
//! | seconds | what happens |
//! |---|---|
//! | 8–28 | the service of orders is out, and those that need it follow, each two seconds after the one before |
//! | 60–85 | the payment service is failing: 3 answers in 10 are 5xx |
//! | 85–115 | it is down: nearly all answers are 503 |
//! | 115–135 | it is recovering: 5 in 100 are still 503 |
//!
//! The one is over before the other begins, so that they are two incidents.

use std::time::Duration;

use axum::http::StatusCode;

/// Seconds after which the schedule starts again.
const CYCLE: u64 = 180;

/// The second of the schedule, after so long.
const fn second(elapsed: Duration) -> u64 {
    elapsed.as_secs() % CYCLE
}

/// Whether a service of the cascade is out: the first one at `place` 0, the last one at 3. They come back sooner one
/// after the other than they went.
pub(super) const fn is_out(place: u64, elapsed: Duration) -> bool {
    let second = second(elapsed);
    8 + 2 * place <= second && second < 28 + place
}

/// How the payment service is.
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
        match second(elapsed) {
            60..85 => Phase::Failing,
            85..115 => Phase::Down,
            115..135 => Phase::Recovering,
            _ => Phase::Healthy,
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
        check(59, Phase::Healthy);
        check(60, Phase::Failing);
        check(84, Phase::Failing);
        check(85, Phase::Down);
        check(114, Phase::Down);
        check(115, Phase::Recovering);
        check(134, Phase::Recovering);
        check(135, Phase::Healthy);
        check(180 * 1000 + 86, Phase::Down);
        assert_eq!(Phase::after(Duration::from_millis(59_999)), Phase::Healthy);
    }

    #[test]
    fn the_cascade_is_over_before_the_payment_service_fails() {
        let out = |place| {
            let seconds = (0..180).filter(|second| is_out(place, Duration::from_secs(180 + second)));
            seconds.collect::<Vec<u64>>()
        };
        assert_eq!(out(0), (8..28).collect::<Vec<_>>());
        assert_eq!(out(3), (14..31).collect::<Vec<_>>());
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
