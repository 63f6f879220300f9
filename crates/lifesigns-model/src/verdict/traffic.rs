//! What traffic says of a service.
//!
//! | in the sliding window | light |
//! |---|---|
//! | share of failed exchanges at or over the red threshold | red |
//! | … at or over the amber threshold | amber |
//! | latency percentile at or over its red or amber threshold, where one is set | red, amber |
//! | fewer exchanges than it takes to judge | never worse than before; green if it was |
//! | none at all | green; amber if it was amber or red |
//!
//! Only exchanges that failed because of the gateway or the API count as failed. A light is left again only when its
//! figure has fallen under four fifths of the threshold, so that a figure which hovers there does not make it flap.
//! Callers who obey a red light send nothing: silence does not turn it green, and does not keep it red for ever either.
//!
//! A worse light is taken at once, a better one when the figures have asked for it for a quarter of the window. If the
//! worse one comes back soon after, it is kept twice as long each time: with little traffic chance alone carries a share
//! across both thresholds again and again, and a light that changes every minute is of no use to anybody.

use std::time::Duration;

use super::Scope;
use super::reason::Reason;
use crate::light::Light;

/// What passed in the sliding window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Exchanges that ended.
    pub exchanges: u64,
    /// Those that failed because of the gateway or the API.
    pub failures: u64,
    /// The percentile of the total time that the thresholds name, in milliseconds; `None` without exchanges.
    pub latency_ms: Option<f64>,
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
    /// The percentile of the latency that is judged, over 0 to 100. Default 95.
    pub latency_percentile: f64,
    /// Latency in milliseconds that turns amber; `None` (default): none does.
    pub amber_latency_ms: Option<f64>,
    /// Latency in milliseconds that turns red; `None` (default): none does.
    pub red_latency_ms: Option<f64>,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds {
            window_seconds: 60,
            minimum_exchanges: 20,
            amber_failed_share: 0.05,
            red_failed_share: 0.5,
            latency_percentile: 95.0,
            amber_latency_ms: None,
            red_latency_ms: None,
        }
    }
}

/// What traffic asked for before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct State {
    pub(super) light: Light,
    /// Since when the figures have asked for a better light.
    calm_since: Option<Duration>,
    /// When the light last became better.
    left_at: Option<Duration>,
    /// How often it has come back soon after it was left.
    relapses: u32,
}

/// A light that comes back within so many windows after it was left has relapsed.
const RELAPSE_WINDOWS: u32 = 10;

/// More relapses than this make a light stay no longer: four windows.
const MOST_RELAPSES: u32 = 4;

/// What traffic asks for `elapsed` after the process began, and why.
pub(super) fn judge(previous: State, scope: &Scope<'_>, elapsed: Duration) -> (State, Reason) {
    let (asked, reason) = ask(previous.light, scope);
    let window = Duration::from_secs(scope.thresholds.window_seconds.into());
    let State { light, .. } = previous;
    if asked > light {
        let is_soon = |left_at| elapsed.saturating_sub(left_at) < window * RELAPSE_WINDOWS;
        let relapses = match light {
            Light::Green if previous.left_at.is_some_and(is_soon) => {
                (previous.relapses + 1).min(MOST_RELAPSES)
            }
            Light::Green => 0,
            _ => previous.relapses,
        };
        return (State { light: asked, calm_since: None, relapses, ..previous }, reason);
    }
    if asked == light {
        return (State { calm_since: None, ..previous }, reason);
    }
    let calm_since = previous.calm_since.unwrap_or(elapsed);
    let hold = window / 4 * 2u32.pow(previous.relapses);
    let calm = elapsed.saturating_sub(calm_since);
    if calm < hold {
        let seconds = hold.saturating_sub(calm).as_secs_f64().ceil() as u64;
        return (State { calm_since: Some(calm_since), ..previous }, Reason::Recovering { seconds });
    }
    (State { light: asked, calm_since: None, left_at: Some(elapsed), ..previous }, reason)
}

/// The light that the figures ask for, and why; `previous` is the one that is shown.
fn ask(previous: Light, scope: &Scope<'_>) -> (Light, Reason) {
    let Scope { traffic, thresholds, .. } = scope;
    if traffic.exchanges == 0 && previous != Light::Green {
        return (Light::Amber, Reason::Unproven);
    }
    let (light, reason) = weigh(previous, traffic, thresholds);
    if traffic.exchanges >= thresholds.minimum_exchanges.max(1) {
        return (light, reason);
    }
    match light.min(previous) {
        Light::Green => (Light::Green, Reason::LittleTraffic),
        kept => (kept, reason),
    }
}

/// The worst light that one of the figures asks for. Of two that ask for the same, failures come first.
fn weigh(previous: Light, traffic: &Traffic, thresholds: &Thresholds) -> (Light, Reason) {
    let light_of = |value: f64, amber: Option<f64>, red: Option<f64>| {
        let reaches = |light: Light, threshold: Option<f64>| {
            let inertia = if previous >= light { 1.25 } else { 1.0 };
            threshold.is_some_and(|threshold| value * inertia >= threshold)
        };
        if reaches(Light::Red, red) {
            Light::Red
        } else if reaches(Light::Amber, amber) {
            Light::Amber
        } else {
            Light::Green
        }
    };
    let Thresholds { window_seconds, latency_percentile: percentile, .. } = *thresholds;
    let share = traffic.failed_share();
    let (amber, red) = (Some(thresholds.amber_failed_share), Some(thresholds.red_failed_share));
    let by_failures = light_of(share, amber, red);
    let slow = traffic.latency_ms.map(|latency_ms| {
        let light = light_of(latency_ms, thresholds.amber_latency_ms, thresholds.red_latency_ms);
        (light, Reason::Slow { percentile, latency_ms, window_seconds })
    });
    match slow {
        Some((by_latency, reason)) if by_latency > by_failures => (by_latency, reason),
        _ if by_failures == Light::Green => (Light::Green, Reason::Normal),
        _ => (by_failures, Reason::Failures { share, window_seconds }),
    }
}
