//! Twice a second: drain the recorder, fold into windows and totals, hand to the store, judge, swap snapshots.
//!
//! Half a second and not a whole one, so that even with the store's commit after it nothing that ended more than
//! a second ago is lost when the process is killed.

use std::collections::hash_map::Entry;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use lifesigns_model::bucket::Minute;
use lifesigns_model::exchange::FailedBy;
use lifesigns_model::moment::Moment;
use lifesigns_model::objective::Counts;
use lifesigns_model::policy::Powers;
use lifesigns_model::rollup::Rollup;
use lifesigns_model::series::Series;
use lifesigns_model::store::{Rejected, RollupRow};
use lifesigns_model::verdict::{Checked, Inputs, Scope, Verdict, judge};
use rustc_hash::FxHashMap;

use crate::checks::CheckSnapshot;
use crate::journal::Journal;
use crate::proc::{ProcessFigures, ProcessSource};
use crate::process::{ApiState, Process};
use crate::recorder::accumulator::SeriesKey;
use crate::recorder::labels::NOT_APPLICABLE_ID;
use crate::recorder::{METHODS, lock};
use crate::resources::prepared::PreparedHead;
use crate::snapshot::Snapshot;
use crate::startup::OpenStartTask;
use crate::subscription::LightChange;
use crate::window::ApiWindows;

const TICK: Duration = Duration::from_millis(500);

/// Memory figures are read at most this often.
const PROCESS_FIGURES_EVERY: Duration = Duration::from_secs(1);

/// The limit of this process' memory and its start are read at most this often.
const OWN_LIMITS_EVERY: Duration = Duration::from_mins(1);

/// Rows kept for a store that takes none; past it the newest are given up, and counted.
const MAX_PENDING_ROWS: usize = 100_000;

/// Series whose labels are kept as text; past it they are looked up anew.
const MAX_KNOWN_SERIES: usize = 100_000;

/// So many failing routes are named.
const MAX_FAILING_ROUTES: usize = 10;

/// What the collector keeps from tick to tick.
#[derive(Debug)]
pub(crate) struct Collected {
    windows: Vec<ApiWindows>,
    series: FxHashMap<SeriesKey, Arc<Series>>,
    pending: FxHashMap<(SeriesKey, Minute), Rollup>,
    /// Exchanges that could not be handed to the store.
    pub(crate) dropped_exchanges: u64,
    process_figures_read: Option<Duration>,
    /// Those of this process, and when all of them were read.
    own_figures: Option<(Duration, ProcessFigures)>,
    journal: Journal,
}

impl Collected {
    /// Exchanges that wait for the store to take them.
    pub(crate) fn pending_rows(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn new(apis: &[ApiState]) -> Collected {
        Collected {
            windows: apis.iter().map(|api| ApiWindows::new(&api.thresholds, &api.groups)).collect(),
            series: FxHashMap::default(),
            pending: FxHashMap::default(),
            dropped_exchanges: 0,
            process_figures_read: None,
            own_figures: None,
            journal: Journal::default(),
        }
    }

    /// One tick.
    pub(crate) fn collect(&mut self, process: &Process, now: Moment) {
        let mut objectives = vec![Counts::default(); process.apis.len()];
        let mut totals = lock(&process.totals);
        let traced = process.recorder.drain(|drained| {
            let key = drained.key;
            let api = usize::from(key.api);
            let name = || process.apis[api].routes.name(key.route);
            let failed = key.failed_by.counts_against_service();
            let timed = key.failed_by != FailedBy::Client;
            self.windows[api].add(key.route, name, |tick| {
                tick.exchanges += drained.rollup.count();
                if timed {
                    tick.latency.merge(&drained.rollup.latency);
                }
                if failed {
                    *tick.failures.entry(key.route).or_default() += drained.rollup.count();
                }
            });
            totals.add(key, &drained.rollup);
            if let Some(state) = &process.apis[usize::from(key.api)].objective {
                let Rollup { latency, .. } = &drained.rollup;
                let counts = state.objective.count(key.failed_by, key.status, latency.count(), latency);
                objectives[usize::from(key.api)].merge(counts);
            }
            if process.store.is_none() {
                return;
            }
            let has_room = self.pending.len() < MAX_PENDING_ROWS;
            match self.pending.entry((key, drained.minute)) {
                Entry::Occupied(mut sum) => sum.get_mut().merge(&drained.rollup),
                Entry::Vacant(place) if has_room => _ = place.insert(drained.rollup),
                Entry::Vacant(_) => self.dropped_exchanges += drained.rollup.count(),
            }
        });
        totals.keep(&traced);
        drop(totals);
        for (api, counts) in process.apis.iter().zip(objectives) {
            if let Some(state) = &api.objective {
                state.add(counts, now.elapsed);
            }
        }
        self.hand_to_store(process);
        self.judge(process, now);
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

    /// The figures of this process.
    fn own_figures(&mut self, now: Moment) -> Option<ProcessFigures> {
        if let Some((read, figures)) = self.own_figures
            && now.elapsed.saturating_sub(read) < OWN_LIMITS_EVERY
        {
            return Some(figures.with_own_memory());
        }
        let figures = ProcessSource::Own.read()?;
        self.own_figures = Some((now.elapsed, figures));
        Some(figures)
    }

    fn judge(&mut self, process: &Process, now: Moment) {
        let read_figures = self
            .process_figures_read
            .is_none_or(|read| now.elapsed.saturating_sub(read) >= PROCESS_FIGURES_EVERY);
        if read_figures {
            self.process_figures_read = Some(now.elapsed);
        }
        // Behind a gateway thousands of APIs may show the gateway's own process, which is looked at once.
        let own_figures = if read_figures { self.own_figures(now) } else { None };
        let figures = |api: &ApiState| {
            let own = own_figures.filter(|_| api.source == ProcessSource::Own);
            own.unwrap_or_else(|| api.process_figures())
        };
        let scheduler_silent = process.checks.silent_for(now.elapsed);
        self.journal.turn(now.elapsed);
        let in_flight = process.recorder.in_flight();
        let start_tasks: Arc<[OpenStartTask]> = process.start_up.open().into();
        let mut checks = checks_by_api(process, now, &mut self.journal);
        for (index, (api, windows)) in process.apis.iter().zip(&mut self.windows).enumerate() {
            windows.turn(now.elapsed);
            let before = api.snapshot.load();
            let next = Snapshot {
                judged: now,
                phase: process.phase(),
                traffic: windows.whole.traffic(),
                groups: windows.group_traffic(),
                failing_routes: windows
                    .whole
                    .failing_routes(MAX_FAILING_ROUTES, |route| api.routes.name(route)),
                checks: std::mem::take(&mut checks[index]).into(),
                scheduler_silent,
                maintenance: api.maintenance_at(now),
                in_flight: if api.records { in_flight[index] } else { in_flight.iter().sum() },
                start_tasks: Arc::clone(&start_tasks),
                process: if read_figures { figures(api) } else { before.process },
                verdict: before.verdict.clone(),
                head: PreparedHead::default(),
            };
            let verdict = verdict(api, &next, now);
            let transition = verdict.transition_from(&before.verdict);
            if let Some(transition) = &transition {
                // A gateway's own light says nothing that those of its APIs do not say.
                if api.records {
                    self.journal.light(&api.name, &before.verdict, &verdict, transition);
                }
                api.remember(transition.clone());
            }
            api.snapshot.store(Arc::new(Snapshot { verdict, ..next }));
            // Whoever is told finds the snapshot agreeing.
            if let Some(transition) = transition {
                process.changes.tell(LightChange { api: Arc::clone(&api.name), transition });
            }
        }
    }
}

/// The verdict on what a snapshot shows, which holds the one before.
fn verdict(api: &ApiState, shown: &Snapshot, now: Moment) -> Verdict {
    let whole = Scope { group: None, critical: true, traffic: &shown.traffic, thresholds: &api.thresholds };
    let groups = api.groups.iter().zip(shown.groups.iter()).map(|(group, (name, traffic))| Scope {
        group: Some(name),
        critical: group.critical,
        traffic,
        thresholds: &group.thresholds,
    });
    let traffic: Vec<Scope<'_>> = std::iter::once(whole).chain(groups).collect();
    let checks: Vec<Checked<'_>> = shown
        .checks
        .iter()
        .map(|CheckSnapshot { check, standing, .. }| Checked {
            name: &check.name,
            standing: *standing,
            powers: Powers::of_check(&check.policy),
        })
        .collect();
    let inputs = Inputs {
        phase: shown.phase,
        scheduler_silent: if checks.is_empty() { Duration::ZERO } else { shown.scheduler_silent },
        maintenance: shown.maintenance.as_ref(),
        traffic: if api.records { &traffic } else { &[] },
        checks: &checks,
    };
    judge(&shown.verdict, &inputs, now)
}

/// How the checks stand, each with the APIs that it counts for.
fn checks_by_api(process: &Process, now: Moment, journal: &mut Journal) -> Vec<Vec<CheckSnapshot>> {
    let mut by_api: Vec<Vec<CheckSnapshot>> = process.apis.iter().map(|_| Vec::new()).collect();
    for (number, slot) in process.checks.slots.iter().enumerate() {
        let snapshot = slot.snapshot(now.elapsed);
        journal.check(number, &snapshot);
        for api in &slot.apis {
            by_api[*api].push(snapshot.clone());
        }
    }
    by_api
}

/// The labels behind the numbers of a key.
pub(crate) fn series_of(process: &Process, key: SeriesKey) -> Series {
    let api = &process.apis[usize::from(key.api)];
    Series {
        api: Arc::clone(&api.name),
        api_version: Arc::clone(&api.version),
        route: api.routes.name(key.route),
        method: METHODS[usize::from(key.method)].into(),
        status: key.status,
        client_id: api.clients.name(key.client),
        policy: (key.policy != NOT_APPLICABLE_ID)
            .then(|| process.recorder.subjects.policies.name(key.policy)),
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

    pub(crate) fn is_asked(&self) -> bool {
        *lock(&self.asked)
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

#[cfg(test)]
mod incident;
