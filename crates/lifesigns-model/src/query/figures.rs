//! Figures of a rollup as they stand in answers.

use serde_json::{Value, json};

use crate::rollup::Rollup;

/// Latency in milliseconds with three decimals: `mean`, `p50`, `p90`, `p95`, `p99`, `max`. Each is null when
/// nothing was counted.
///
/// ```
/// use lifesigns_model::{query::latency_json, rollup::Rollup};
/// let mut rollup = Rollup::default();
/// assert!(latency_json(&rollup)["p99"].is_null());
/// rollup.latency.record(1_250);
/// assert_eq!(latency_json(&rollup)["max"], 1.25);
/// ```
pub fn latency_json(rollup: &Rollup) -> Value {
    let latency = &rollup.latency;
    let percentile = |percent| latency.percentile_micros(percent).map(milliseconds);
    json!({
        "mean": latency.mean_micros().map(milliseconds),
        "p50": percentile(50.0),
        "p90": percentile(90.0),
        "p95": percentile(95.0),
        "p99": percentile(99.0),
        "max": (latency.count() > 0).then(|| milliseconds(latency.max_micros() as f64)),
    })
}

/// Bytes of `count` bodies: their `sum`, and the `mean` with three decimals.
pub(super) fn size_json(bytes: u64, count: u64) -> Value {
    let mean = (count > 0).then(|| (bytes as f64 / count as f64 * 1000.0).round() / 1000.0);
    json!({"sum": bytes, "mean": mean})
}

fn milliseconds(micros: f64) -> f64 {
    micros.round() / 1000.0
}
