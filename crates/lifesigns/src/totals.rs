//! What has passed since the process began, as metrics tell it.

use std::sync::Arc;

use lifesigns_model::exchange::FailedBy;

use crate::process::{Lifesigns, Process};
use crate::recorder::{METHODS, lock};

/// Upper bounds of the latency buckets in seconds, as OpenTelemetry's conventions advise. A duration within 1.6 % of
/// a bound may be counted on either side of it.
pub const LATENCY_BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// The exchanges with the same labels.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeTotals {
    /// Name of the API.
    pub api: Arc<str>,
    /// Route template.
    pub route: Arc<str>,
    /// Method; `_OTHER` for one that is not known, as OpenTelemetry's conventions write it.
    pub method: &'static str,
    /// Status code.
    pub status: u16,
    /// Who is to blame.
    pub failed_by: FailedBy,
    /// How many.
    pub count: u64,
    /// How long they took together, in seconds.
    pub seconds: f64,
    /// How many took at most as long as each of [`LATENCY_BOUNDS`].
    pub up_to_bounds: [u64; LATENCY_BOUNDS.len()],
    /// Bytes of their request bodies.
    pub request_bytes: u64,
    /// Bytes of their response bodies.
    pub response_bytes: u64,
}

impl Lifesigns {
    /// All exchanges since the process began, in a stable order, as of the last tick. At most 20,000 or so; clients
    /// are not told apart.
    pub fn exchange_totals(&self) -> Vec<ExchangeTotals> {
        self.process.exchange_totals()
    }
}

impl Process {
    pub(crate) fn exchange_totals(&self) -> Vec<ExchangeTotals> {
        let mut totals: Vec<_> = lock(&self.totals)
            .by_key
            .iter()
            .map(|(key, rollup)| {
                let up_to = |bound: f64| rollup.latency.count_up_to((bound * 1e6) as u64);
                let total = (
                    rollup.count(),
                    rollup.latency.sum_micros(),
                    LATENCY_BOUNDS.map(up_to),
                    [rollup.request_bytes, rollup.response_bytes],
                );
                (*key, total)
            })
            .collect();
        // Names are looked up when the collector need not wait any more.
        totals.sort_unstable_by_key(|(key, _)| (key.api, key.route, key.method, key.status, key.failed_by));
        totals
            .into_iter()
            .map(|(key, (count, micros, up_to_bounds, [request_bytes, response_bytes]))| {
                let api = &self.apis[usize::from(key.api)];
                ExchangeTotals {
                    api: Arc::clone(&api.name),
                    route: api.routes.name(key.route),
                    method: if key.method == 0 { "_OTHER" } else { METHODS[usize::from(key.method)] },
                    status: key.status,
                    failed_by: key.failed_by,
                    count,
                    seconds: micros as f64 / 1e6,
                    up_to_bounds,
                    request_bytes,
                    response_bytes,
                }
            })
            .collect()
    }
}
