//! Whether to call a service now.

use lifesigns_model::light::Light;
use serde::Serialize;

/// The state of a circuit breaker that is fed by the light of a service.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Call.
    Closed,
    /// It seems to be well again, and is not believed yet: try a few calls.
    HalfOpen,
    /// Do not call.
    Open,
}

impl BreakerState {
    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            BreakerState::Closed => "closed",
            BreakerState::HalfOpen => "half_open",
            BreakerState::Open => "open",
        }
    }
}

/// What a caller should do, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Breaker {
    /// Whether to call.
    pub state: BreakerState,
    /// Whether calls that can wait should be held back, although the breaker is not open.
    pub holds_non_essential: bool,
    /// Why it is not closed for all calls; empty if it is.
    pub why: String,
    /// Since when, in milliseconds since 1970.
    pub since: i64,
    /// When the service is asked next, in milliseconds since 1970.
    pub next_try: i64,
}

impl Breaker {
    /// From what is known of a service. What is not known opens no breaker: nobody has said that the service is not
    /// well.
    pub(crate) fn of(
        light: Option<Light>,
        is_recovering: bool,
        why: &str,
        since: i64,
        next_try: i64,
    ) -> Breaker {
        let state = match light {
            Some(Light::Red) if is_recovering => BreakerState::HalfOpen,
            Some(Light::Red) => BreakerState::Open,
            Some(Light::Green | Light::Amber) | None => BreakerState::Closed,
        };
        let why = if light == Some(Light::Green) { String::new() } else { why.to_owned() };
        let holds_non_essential = matches!(light, Some(Light::Amber | Light::Red));
        Breaker { state, holds_non_essential, why, since, next_try }
    }

    /// In how many seconds to ask again, at least 1.
    pub fn retry_after(&self, now: i64) -> i64 {
        ((self.next_try - now + 999) / 1000).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_red_light_opens_a_breaker() {
        let check = |light, is_recovering, state, holds| {
            let breaker = Breaker::of(light, is_recovering, "why", 0, 60_000);
            assert_eq!((breaker.state, breaker.holds_non_essential), (state, holds), "{light:?}");
        };
        check(Some(Light::Green), false, BreakerState::Closed, false);
        check(Some(Light::Amber), true, BreakerState::Closed, true);
        check(Some(Light::Red), false, BreakerState::Open, true);
        check(Some(Light::Red), true, BreakerState::HalfOpen, true);
        check(None, false, BreakerState::Closed, false);
    }

    #[test]
    fn nobody_is_told_to_come_again_at_once() {
        let breaker = Breaker::of(Some(Light::Red), false, "", 0, 60_000);
        assert_eq!([0, 59_001, 59_999, 60_000, 90_000].map(|now| breaker.retry_after(now)), [60, 1, 1, 1, 1]);
    }
}
