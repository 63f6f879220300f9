//! What has passed since the process began, as metrics tell it.

use std::array;
use std::sync::Arc;

use jiff::Timestamp;
use lifesigns_model::exchange::FailedBy;
use lifesigns_model::rollup::Rollup;
use rustc_hash::FxHashMap;

use crate::exemplar::{Exemplar, Traced};
use crate::process::{Lifesigns, Process};
use crate::recorder::accumulator::SeriesKey;
use crate::recorder::labels::OTHER_ID;
use crate::recorder::{METHODS, lock};

/// Upper bounds of the latency buckets in seconds, as OpenTelemetry's conventions advise. A duration within 1.6 % of
/// a bound may be counted on either side of it.
pub const LATENCY_BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// The same in microseconds.
const BOUNDS_MICROS: [u64; LATENCY_BOUNDS.len()] = {
    let mut micros = [0; LATENCY_BOUNDS.len()];
    let mut index = 0;
    while index < micros.len() {
        micros[index] = (LATENCY_BOUNDS[index] * 1e6) as u64;
        index += 1;
    }
    micros
};

/// Labels that are told apart.
const MAX_TOTALS: usize = 20_000;

/// Of these, so many may have exemplars.
const MAX_WITH_EXEMPLARS: usize = 1000;

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
    /// The last traced exchange that took longer than one of [`LATENCY_BOUNDS`] and at most as long as the next; the
    /// last place is for those longer than all.
    pub exemplars: Option<Box<Exemplars>>,
}

/// One for each bucket, where there is one.
pub type Exemplars = [Option<Exemplar>; LATENCY_BOUNDS.len() + 1];

impl Lifesigns {
    /// All exchanges since the process began, in a stable order, as of the last tick. At most 20,000 or so; clients
    /// are not told apart.
    pub fn exchange_totals(&self) -> Vec<ExchangeTotals> {
        self.process.exchange_totals()
    }
}

/// The labels of exchanges that are added up. Clients are left out: their number would make the answer large.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct TotalKey {
    api: u16,
    route: u16,
    method: u8,
    status: u16,
    failed_by: FailedBy,
}

impl TotalKey {
    fn of(key: SeriesKey) -> TotalKey {
        let SeriesKey { api, route, status, method, failed_by, .. } = key;
        TotalKey { api, route, method, status, failed_by }
    }
}

/// What has passed with the same labels.
#[derive(Clone, Copy, Debug, Default)]
struct Total {
    count: u64,
    micros: u64,
    up_to_bounds: [u64; LATENCY_BOUNDS.len()],
    request_bytes: u64,
    response_bytes: u64,
}

/// Everything since the process began.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    by_key: FxHashMap<TotalKey, Total>,
    exemplars: FxHashMap<TotalKey, Box<Exemplars>>,
}

impl Totals {
    /// Adds to the total that `key` belongs to. When there are too many of them, a new one loses its route.
    pub(crate) fn add(&mut self, key: SeriesKey, rollup: &Rollup) {
        let mut key = TotalKey::of(key);
        if self.by_key.len() >= MAX_TOTALS && !self.by_key.contains_key(&key) {
            key.route = OTHER_ID;
        }
        let total = self.by_key.entry(key).or_default();
        total.count += rollup.count();
        total.micros = total.micros.saturating_add(rollup.latency.sum_micros());
        for (sum, more) in total.up_to_bounds.iter_mut().zip(rollup.latency.counts_up_to(&BOUNDS_MICROS)) {
            *sum += more;
        }
        total.request_bytes = total.request_bytes.saturating_add(rollup.request_bytes);
        total.response_bytes = total.response_bytes.saturating_add(rollup.response_bytes);
    }

    /// Keeps these as exemplars, where there is room.
    pub(crate) fn keep(&mut self, traced: &[Traced]) {
        for Traced { key, trace_id, micros, at_micros } in traced {
            let key = TotalKey::of(*key);
            let has_room = self.exemplars.len() < MAX_WITH_EXEMPLARS && self.by_key.contains_key(&key);
            if !has_room && !self.exemplars.contains_key(&key) {
                continue;
            }
            let bucket = BOUNDS_MICROS.partition_point(|bound| bound < micros);
            let exemplar = Exemplar {
                trace_id: *trace_id,
                seconds: *micros as f64 / 1e6,
                ended: Timestamp::from_microsecond(*at_micros).unwrap_or_default(),
            };
            let all = self.exemplars.entry(key).or_insert_with(|| Box::new(array::from_fn(|_| None)));
            all[bucket] = Some(exemplar);
        }
    }
}

impl Process {
    pub(crate) fn exchange_totals(&self) -> Vec<ExchangeTotals> {
        let mut totals: Vec<_> = {
            let totals = lock(&self.totals);
            let with_exemplars =
                |(key, total): (&TotalKey, &Total)| (*key, *total, totals.exemplars.get(key).cloned());
            totals.by_key.iter().map(with_exemplars).collect()
        };
        // Names are looked up when the collector need not wait any more.
        totals.sort_unstable_by_key(|(key, ..)| *key);
        totals
            .into_iter()
            .map(|(key, total, exemplars)| {
                let Total { count, micros, up_to_bounds, request_bytes, response_bytes } = total;
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
                    exemplars,
                }
            })
            .collect()
    }
}
