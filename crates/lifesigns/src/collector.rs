//! Twice a second: drain the recorder, fold into windows and totals, hand to the store, judge, swap snapshots.
//!
//! Half a second and not a whole one, so that even with the store's commit after it nothing that ended more than
//! a second ago is lost when the process is killed.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use lifesigns_model::bucket::Minute;
use lifesigns_model::exchange::FailedBy;
use lifesigns_model::rollup::Rollup;
use lifesigns_model::series::Series;
use lifesigns_model::store::{Rejected, RollupRow};
use lifesigns_model::verdict::judge;
use rustc_hash::FxHashMap;

use crate::process::Process;
use crate::recorder::accumulator::SeriesKey;
use crate::recorder::labels::{NOT_APPLICABLE_ID, OTHER_ID};
use crate::recorder::{METHODS, lock};
use crate::snapshot::Snapshot;
use crate::window::{Tick, Window};

const TICK: Duration = Duration::from_millis(500);

/// Memory figures are read at most this often.
const PROCESS_FIGURES_EVERY: Duration = Duration::from_secs(1);

/// Rows kept for a store that takes none; past it the newest are given up, and counted.
const MAX_PENDING_ROWS: usize = 100_000;

/// Series whose labels are kept as text; past it they are looked up anew.
const MAX_KNOWN_SERIES: usize = 100_000;

/// Totals that `/metrics` tells apart.
const MAX_TOTALS: usize = 20_000;

/// So many failing routes are named.
const MAX_FAILING_ROUTES: usize = 10;

/// What the collector keeps from tick to tick.
#[derive(Debug)]
pub(crate) struct Collected {
    windows: Vec<Window>,
    series: FxHashMap<SeriesKey, Arc<Series>>,
    pending: FxHashMap<(SeriesKey, Minute), Rollup>,
    /// Exchanges that could not be handed to the store.
    pub(crate) dropped_exchanges: u64,
    process_figures_read: Option<Instant>,
}

/// The labels of `/metrics`. Clients are left out: their number would make the answer large.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct TotalKey {
    pub(crate) api: u16,
    pub(crate) route: u16,
    pub(crate) status: u16,
    pub(crate) method: u8,
    pub(crate) failed_by: FailedBy,
}

/// Everything since the process began.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) by_key: FxHashMap<TotalKey, Rollup>,
}

impl Totals {
    /// Adds to the total that `key` belongs to. When there are too many of them, a new one loses its route.
    fn add(&mut self, key: SeriesKey, rollup: &Rollup) {
        let SeriesKey { api, route, status, method, failed_by, .. } = key;
        let mut total = TotalKey { api, route, status, method, failed_by };
        if self.by_key.len() >= MAX_TOTALS && !self.by_key.contains_key(&total) {
            total.route = OTHER_ID;
        }
        self.by_key.entry(total).or_default().merge(rollup);
    }
}

impl Collected {
    /// Exchanges that wait for the store to take them.
    pub(crate) fn pending_rows(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn new(window_widths: impl Iterator<Item = Duration>) -> Collected {
        Collected {
            windows: window_widths.map(Window::new).collect(),
            series: FxHashMap::default(),
            pending: FxHashMap::default(),
            dropped_exchanges: 0,
            process_figures_read: None,
        }
    }

    /// One tick.
    pub(crate) fn collect(&mut self, process: &Process) {
        let mut ticks: Vec<Tick> = process.apis.iter().map(|_| Tick::default()).collect();
        let mut totals = lock(&process.totals);
        process.recorder.drain(|drained| {
            let key = drained.key;
            let tick = &mut ticks[usize::from(key.api)];
            tick.exchanges += drained.rollup.count();
            if key.failed_by != FailedBy::Client {
                tick.latency.merge(&drained.rollup.latency);
            }
            if key.failed_by.counts_against_service() {
                *tick.failures.entry(key.route).or_default() += drained.rollup.count();
            }
            totals.add(key, &drained.rollup);
            if process.store.is_none() {
                return;
            }
            if self.pending.len() < MAX_PENDING_ROWS || self.pending.contains_key(&(key, drained.minute)) {
                self.pending.entry((key, drained.minute)).or_default().merge(&drained.rollup);
            } else {
                self.dropped_exchanges += drained.rollup.count();
            }
        });
        drop(totals);
        self.hand_to_store(process);
        self.judge(process, ticks);
    }

    fn hand_to_store(&mut self, process: &Process) {
        let Some(store) = process.store.as_ref().filter(|_| !self.pending.is_empty()) else { return };
        if self.series.len() > MAX_KNOWN_SERIES {
            self.series.clear();
        }
        let (keys, rows): (Vec<_>, Vec<_>) = self
            .pending
            .drain()
            .map(|((key, minute), rollup)| {
                let series = self.series.entry(key).or_insert_with(|| Arc::new(series_of(process, key)));
                (key, RollupRow { minute, series: Arc::clone(series), rollup })
            })
            .unzip();
        if let Err(Rejected(rows)) = store.append(rows) {
            let rows = keys.into_iter().zip(rows);
            self.pending.extend(rows.map(|(key, row)| ((key, row.minute), row.rollup)));
        }
    }

    fn judge(&mut self, process: &Process, ticks: Vec<Tick>) {
        let (now, instant) = (Timestamp::now(), Instant::now());
        let phase = process.phase();
        let read_figures =
            self.process_figures_read.is_none_or(|read| instant - read >= PROCESS_FIGURES_EVERY);
        if read_figures {
            self.process_figures_read = Some(instant);
        }
        for ((api, window), tick) in process.apis.iter().zip(&mut self.windows).zip(ticks) {
            window.push(instant, tick);
            let traffic = window.traffic();
            let before = api.snapshot.load();
            let judged = api.records.then_some(&traffic);
            let verdict = judge(&before.verdict, phase, judged, &api.thresholds, now);
            if verdict.light != before.verdict.light {
                tracing::info!(api = &*api.name, from = %before.verdict.light, to = %verdict.light, reason = %verdict.reason, "the light has changed");
            }
            let figures = if read_figures { api.process_figures() } else { before.process };
            let failing_routes = window
                .failing_routes(MAX_FAILING_ROUTES)
                .into_iter()
                .map(|route| api.routes.name(route))
                .collect();
            api.snapshot.store(Arc::new(Snapshot {
                judged: instant,
                verdict,
                phase,
                traffic,
                failing_routes,
                process: figures,
            }));
        }
    }
}

fn series_of(process: &Process, key: SeriesKey) -> Series {
    let api = &process.apis[usize::from(key.api)];
    Series {
        api: Arc::clone(&api.name),
        api_version: Arc::clone(&api.version),
        route: api.routes.name(key.route),
        method: METHODS[usize::from(key.method)].into(),
        status: key.status,
        client_id: api.clients.name(key.client),
        policy: (key.policy != NOT_APPLICABLE_ID).then(|| process.policies.name(key.policy)),
        failed_by: key.failed_by,
        instance: Arc::clone(&process.instance),
    }
}

/// Ends the collector's thread.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    asked: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    pub(crate) fn ask(&self) {
        *lock(&self.asked) = true;
        self.changed.notify_all();
    }

    /// Waits for a tick's time; true when asked to stop.
    fn wait(&self) -> bool {
        let asked = lock(&self.asked);
        let waited = self.changed.wait_timeout_while(asked, TICK, |asked| !*asked);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Starts the thread. It ends when asked, or when nobody holds the process any more.
pub(crate) fn start(process: &Arc<Process>) -> std::io::Result<()> {
    let (weak, stop): (Weak<Process>, Arc<Stop>) = (Arc::downgrade(process), Arc::clone(&process.stop));
    thread::Builder::new().name("lifesigns-collector".to_owned()).spawn(move || {
        while !stop.wait() {
            let Some(process) = weak.upgrade() else { break };
            process.collect();
        }
    })?;
    Ok(())
}
