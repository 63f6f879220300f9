//! One process that serves one API or several: what they share, and the handle that users hold.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::{HeaderMap, Method};
use jiff::Timestamp;
use lifesigns_model::identity::Identity;
use lifesigns_model::light::Light;
use lifesigns_model::objective::ObjectiveReport;
use lifesigns_model::store::{RollupStore, StoreError, StoreStatus};
use lifesigns_model::verdict::{Maintenance, Phase, Thresholds, Transition};
use tokio::sync::Semaphore;

use crate::access::Access;
use crate::builder::{BadCheck, Builder};
use crate::checks::scheduler::{self, Checks};
use crate::clock::Timekeeper;
use crate::collector::{self, Collected, Stop};
use crate::limit::Limiter;
use crate::maintenance;
use crate::mount::Mount;
use crate::objective::{self, ObjectiveState};
use crate::proc::{ProcessFigures, ProcessSource};
use crate::record::Exchange;
use crate::recorder::labels::Labels;
use crate::recorder::{Recorder, lock};
use crate::resources::openapi::Descriptions;
use crate::resources::{FleetStatus, Resource, ResourcePaths};
use crate::settings::{Listener, ResourceKind, RouteGroup, Settings};
use crate::snapshot::Snapshot;
use crate::startup::StartUp;
use crate::subscription::{Changes, Subscription};
use crate::totals::Totals;

/// Questions to the store that are answered at the same time; others wait. Each may need some tens of megabytes.
const CONCURRENT_READERS: usize = 2;

/// How often whoever waits for the last exchange looks.
const DRAINED_EVERY: Duration = Duration::from_millis(10);

/// At the end, runs of checks that are under way get so long to be dropped, and to end what they have started.
const CHECKS_END_WITHIN: Duration = Duration::from_millis(500);

/// So many changes of a light are kept.
const MAX_TRANSITIONS: usize = 100;

/// Everything that the APIs of one process share.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) instance: Arc<str>,
    pub(crate) organization: Option<String>,
    pub(crate) started: Timestamp,
    pub(crate) recorder: Recorder,
    pub(crate) access: Access,
    pub(crate) fleet: Option<Arc<dyn FleetStatus>>,
    pub(crate) store: Option<StoreHandle>,
    pub(crate) apis: Vec<ApiState>,
    /// Which of `apis` is the process itself.
    pub(crate) own: usize,
    pub(crate) collected: Mutex<Collected>,
    /// Behind a lock of its own: whoever reads it must not wait for what the collector does besides.
    pub(crate) totals: Mutex<Totals>,
    pub(crate) stop: Arc<Stop>,
    pub(crate) time: Timekeeper,
    pub(crate) checks: Arc<Checks>,
    pub(crate) changes: Changes,
    /// Those who may have an answer made that takes memory and time, all at once.
    pub(crate) readers: Arc<Semaphore>,
    pub(crate) start_up: StartUp,
    pub(crate) descriptions: Descriptions,
    phase: AtomicU8,
}

/// A store behind the port.
#[derive(Clone)]
pub(crate) struct StoreHandle(pub(crate) Arc<dyn RollupStore>);

impl std::ops::Deref for StoreHandle {
    type Target = dyn RollupStore;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl std::fmt::Debug for StoreHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RollupStore")
    }
}

/// One subject of health resources.
#[derive(Debug)]
pub(crate) struct ApiState {
    pub(crate) name: Arc<str>,
    pub(crate) version: Arc<str>,
    pub(crate) identity: Identity,
    pub(crate) settings: Settings,
    pub(crate) thresholds: Thresholds,
    pub(crate) routes: Arc<Labels>,
    pub(crate) clients: Labels,
    /// False for a gateway's own subject, which has no exchanges of its own.
    pub(crate) records: bool,
    pub(crate) groups: Vec<RouteGroup>,
    /// Where it stands in a gateway.
    pub(crate) mounts: Mutex<Vec<Mount>>,
    pub(crate) objective: Option<ObjectiveState>,
    pub(crate) snapshot: ArcSwap<Snapshot>,
    /// Held while the store is told, so that it remembers what holds.
    pub(crate) maintenance: Mutex<Option<Maintenance>>,
    /// The last changes of the light, oldest first.
    pub(crate) transitions: Mutex<VecDeque<Transition>>,
    /// How often the light has changed, by what it became: green, amber, red.
    pub(crate) changes: [AtomicU64; 3],
    /// How often it has changed since the process began.
    pub(crate) light_changes: AtomicU64,
    pub(crate) source: ProcessSource,
    pub(crate) reported: Mutex<Option<ProcessFigures>>,
    pub(crate) paths: ResourcePaths,
    pub(crate) limiters: Vec<Option<Limiter<Client>>>,
    /// Requests for resources, counted apart from the API's traffic.
    pub(crate) resource_requests: [AtomicU64; ResourceKind::ALL.len()],
    /// Requests for forced answers, counted apart from these.
    pub(crate) forced_requests: AtomicU64,
}

/// Whom a rate limit counts.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Client {
    /// The holder of a token, by its name.
    Token(String),
    /// Whoever calls from this address; `None` where it is not known.
    Address(Option<IpAddr>),
}

impl ApiState {
    /// Memory and start of the process that serves the API. Where that one is known and cannot be seen, nothing is:
    /// another process' figures would not be the truth.
    pub(crate) fn process_figures(&self) -> ProcessFigures {
        self.source.read().or_else(|| *lock(&self.reported)).unwrap_or_default()
    }
}

impl ApiState {
    /// Keeps a change of the light, and lets go of the oldest when there are too many.
    pub(crate) fn remember(&self, transition: Transition) {
        self.light_changes.fetch_add(1, Ordering::Relaxed);
        self.changes[transition.to as usize].fetch_add(1, Ordering::Relaxed);
        let mut transitions = lock(&self.transitions);
        if transitions.len() >= MAX_TRANSITIONS {
            transitions.pop_front();
        }
        transitions.push_back(transition);
    }
}

impl Process {
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            2 => Phase::Draining,
            _ => Phase::Stopped,
        }
    }

    /// Start-up is over.
    pub(crate) fn start_up_is_over(&self) {
        self.advance(Phase::Ready);
    }

    /// Enters a phase, unless the process has come further already.
    fn advance(&self, phase: Phase) {
        let number = match phase {
            Phase::Starting => 0,
            Phase::Ready => 1,
            Phase::Draining => 2,
            Phase::Stopped => 3,
        };
        self.phase.fetch_max(number, Ordering::AcqRel);
    }

    /// The environment that the process runs in, where it is known.
    pub(crate) fn environment(&self) -> Option<&str> {
        self.apis[self.own].identity.environment.as_deref()
    }

    /// As [`Lifesigns::shared_resource`].
    pub(crate) fn shared_resource(&self, normalized_path: &str, listener: Listener) -> Option<Resource> {
        Resource::find(&self.apis[self.own], normalized_path, listener)
            .filter(|resource| resource.kind().is_shared())
    }

    /// One tick, by the collector or by someone who wants figures that are right up to now.
    pub(crate) fn collect(&self) {
        // Read while nobody else collects, so that time never runs backwards.
        let mut collected = lock(&self.collected);
        let now = self.time.now();
        collected.collect(self, now);
    }

    /// Waits until everything counted so far is safe in the store, at most `patience`. Blocks the thread.
    pub(crate) fn flush(&self, patience: Duration) -> Result<(), StoreError> {
        let Some(store) = &self.store else {
            self.collect();
            return Ok(());
        };
        let deadline = Instant::now() + patience;
        loop {
            self.collect();
            store.flush(deadline.saturating_duration_since(Instant::now()))?;
            // The store's queue may have been full, so that not everything was in it.
            if lock(&self.collected).pending_rows() == 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(StoreError::new("the store does not take rows as fast as they come"));
            }
        }
    }

    /// What is known of the store, together with what the collector holds for it.
    pub(crate) fn store_status(&self) -> Option<StoreStatus> {
        let mut status = self.store.as_ref()?.status();
        let collected = lock(&self.collected);
        status.pending_rows += collected.pending_rows() as u64;
        status.dropped_exchanges += collected.dropped_exchanges;
        Some(status)
    }

    /// A process of these parts, in the phase of starting.
    pub(crate) fn new(builder: Builder) -> Result<Process, BadCheck> {
        let time = Timekeeper::new();
        let apis = builder.states(time.now());
        let checks = Arc::new(Checks::new(builder.slots(&apis)?, time));
        let collected = Mutex::new(Collected::new(&apis));
        let recorder =
            Recorder::new(apis.iter().map(|api| Arc::clone(&api.routes)).collect(), builder.max_series);
        Ok(Process {
            own: apis.len() - 1,
            apis,
            collected,
            time,
            checks,
            changes: Changes::new(),
            totals: Mutex::default(),
            instance: builder.instance.into(),
            organization: builder.organization,
            started: Timestamp::now(),
            recorder,
            fleet: builder.fleet,
            access: Access::new(builder.tokens, builder.authority, builder.failed_attempts_per_minute),
            store: builder.store,
            stop: Arc::default(),
            readers: Arc::new(Semaphore::new(CONCURRENT_READERS)),
            start_up: StartUp::new(builder.start_tasks),
            descriptions: Descriptions::default(),
            phase: AtomicU8::new(0),
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.checks.stop();
        self.collect();
    }
}

/// The health of one process and of the APIs that it serves. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct Lifesigns {
    pub(crate) process: Arc<Process>,
}

impl Lifesigns {
    /// Begins to set up; `name` is the service's name as its answers give it.
    pub fn builder(name: &str) -> Builder {
        Builder::new(name)
    }

    pub(crate) fn start(builder: Builder) -> io::Result<Lifesigns> {
        let ready = builder.ready;
        let process =
            Process::new(builder).map_err(|fault| io::Error::new(io::ErrorKind::InvalidInput, fault))?;
        let process = Arc::new(process);
        objective::read_history(&process)?;
        maintenance::recall(&process)?;
        let lifesigns = Lifesigns { process };
        if ready {
            lifesigns.ready();
        } else {
            lifesigns.process.collect();
        }
        collector::start(&lifesigns.process)?;
        scheduler::start(&lifesigns.process.checks, seed())?;
        Ok(lifesigns)
    }

    /// The APIs, in the order in which they were added.
    pub fn apis(&self) -> impl Iterator<Item = Api> + '_ {
        let count = self.process.apis.iter().filter(|api| api.records).count();
        (0..count).map(|index| self.api(index))
    }

    /// The process itself. In the library that is its one API, in a gateway the gateway.
    pub fn own(&self) -> Api {
        self.api(self.process.own)
    }

    /// Name of this process among others that serve the same API.
    pub fn instance(&self) -> &str {
        &self.process.instance
    }

    /// When the process began; what is counted counts from then.
    pub fn started(&self) -> Timestamp {
        self.process.started
    }

    /// The resource at this path that spans all APIs, if there is one. The path is relative to the root and as
    /// [`crate::resources::normalize_path`] leaves it.
    pub fn shared_resource(&self, normalized_path: &str, listener: Listener) -> Option<Resource> {
        self.process.shared_resource(normalized_path, listener)
    }

    /// Says that start-up is over, as soon as all of its tasks are done. [`crate::Builder::start`] says it already
    /// unless told otherwise.
    pub fn ready(&self) {
        if self.process.start_up.say() {
            self.process.start_up_is_over();
        }
        self.process.collect();
    }

    /// Says that the process is about to end: readiness fails from now on and the light is amber, everything is still
    /// served.
    ///
    /// A process that is to lose no request goes on serving until balancers have noticed, then takes no new
    /// connections, and lets what is under way end:
    ///
    /// ```
    /// use std::future::IntoFuture;
    /// use std::time::Duration;
    /// use axum::Router;
    /// use lifesigns::Lifesigns;
    ///
    /// # async fn serve(app: Router, stop: impl Future) -> Result<(), Box<dyn std::error::Error>> {
    /// let lifesigns = Lifesigns::builder("hello").start()?;
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    /// let (close, closed) = tokio::sync::oneshot::channel::<()>();
    /// let server = axum::serve(listener, app.layer(lifesigns.layer()));
    /// let server = server.with_graceful_shutdown(async { closed.await.unwrap_or_default() });
    /// let serving = tokio::spawn(server.into_future());
    ///
    /// stop.await;
    /// lifesigns.drain();
    /// tokio::time::sleep(Duration::from_secs(5)).await;
    /// drop(close);
    /// if lifesigns.drained(Duration::from_secs(30)).await == 0 {
    ///     serving.await??;
    /// } else {
    ///     lifesigns.cut_off();
    ///     serving.abort();
    /// }
    /// lifesigns.shutdown(Duration::from_secs(10))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn drain(&self) {
        self.enter(Phase::Draining);
    }

    /// Says that this process ends what is still under way: from now on an exchange that is dropped was given up by
    /// the gateway and not by its client.
    pub fn cut_off(&self) {
        self.process.recorder.subjects.cuts_off.store(true, Ordering::Relaxed);
    }

    /// Waits until no exchange is under way, at most `patience`. Returns how many still are; 0 if all have ended.
    pub async fn drained(&self, patience: Duration) -> u64 {
        let all_ended = async {
            while self.in_flight() > 0 {
                tokio::time::sleep(DRAINED_EVERY).await;
            }
        };
        match tokio::time::timeout(patience, all_ended).await {
            Ok(()) => 0,
            Err(_elapsed) => self.in_flight(),
        }
    }

    /// How many exchanges have begun and not ended, of all APIs.
    pub fn in_flight(&self) -> u64 {
        self.process.recorder.in_flight().iter().sum()
    }

    /// Waits until everything counted so far is safe in the store, at most `patience`. Blocks the thread.
    pub fn flush(&self, patience: Duration) -> Result<(), StoreError> {
        self.process.flush(patience)
    }

    /// Changes of the lights of all APIs from now on. Needs no runtime of a certain kind; dropping it ends it. There
    /// may be many subscribers, and none of them makes another one or the judge wait: who falls too far behind is told
    /// how much he has missed.
    ///
    /// ```
    /// use lifesigns::{Event, Lifesigns};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let lifesigns = Lifesigns::builder("polls").start()?;
    /// let mut changes = lifesigns.subscribe();
    /// let told = tokio::spawn(async move {
    ///     while let Some(event) = changes.next().await {
    ///         match event {
    ///             Event::Changed(change) => return Some((change.api, change.transition.to)),
    ///             Event::Missed(count) => println!("missed {count} changes; ask Api::snapshot how things stand"),
    ///         }
    ///     }
    ///     None
    /// });
    /// lifesigns.drain();
    /// let (api, light) = told.await.expect("it does not panic").expect("draining turns the light");
    /// assert_eq!((&*api, light.name()), ("polls", "AMBER"));
    /// # Ok::<(), std::io::Error>(())
    /// # })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn subscribe(&self) -> Subscription {
        self.process.changes.subscribe()
    }

    /// Stops collecting and running checks, after all that was counted is safe in the store or `patience` is over. Blocks the thread.
    pub fn shutdown(&self, patience: Duration) -> Result<(), StoreError> {
        self.process.checks.stop();
        self.process.stop.ask();
        self.enter(Phase::Stopped);
        let flushed = self.flush(patience);
        self.process.checks.wait_for_end(CHECKS_END_WITHIN.min(patience));
        flushed
    }

    fn enter(&self, phase: Phase) {
        self.process.advance(phase);
        self.process.collect();
    }

    fn api(&self, index: usize) -> Api {
        Api { process: Arc::clone(&self.process), index }
    }
}

/// Spreads the checks of many processes that start at once. If the system has no randomness to give, the number of
/// the process will do.
fn seed() -> u64 {
    getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()))
}

/// One API whose traffic is recorded and whose health is told. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Api {
    pub(crate) process: Arc<Process>,
    pub(crate) index: usize,
}

impl Api {
    /// Name of the API.
    pub fn name(&self) -> &str {
        &self.state().name
    }

    /// The API as it was at the last tick. If that was long ago, its light is amber or red.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.state().snapshot.load_full().at(self.process.time.elapsed())
    }

    /// The last changes of the light, oldest first, at most 100.
    pub fn transitions(&self) -> Vec<Transition> {
        lock(&self.state().transitions).iter().cloned().collect()
    }

    /// How often the light has become this one since the process began.
    pub fn changes_to(&self, light: Light) -> u64 {
        self.state().changes[light as usize].load(Ordering::Relaxed)
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.state().identity
    }

    /// How many exchanges of the API have begun and not ended; for a gateway itself, those of all its APIs.
    pub fn in_flight(&self) -> u64 {
        let in_flight = self.process.recorder.in_flight();
        if self.state().records { in_flight[self.index] } else { in_flight.iter().sum() }
    }

    /// How the API's objective stands, if it has one; as of the last tick.
    pub fn objective(&self) -> Option<ObjectiveReport> {
        Some(self.state().objective.as_ref()?.report(self.process.time.elapsed()))
    }

    /// The resource of this API at a path, if there is one. The path is relative to the API's base and as
    /// [`crate::resources::normalize_path`] leaves it.
    pub fn resource(&self, normalized_path: &str, listener: Listener) -> Option<Resource> {
        Resource::find(self.state(), normalized_path, listener)
            .filter(|resource| !resource.kind().is_shared())
    }

    /// Says where the API stands in front of its callers, so that `/openapi.json` can tell. For gateways; an API may
    /// stand in several places.
    pub fn add_mount(&self, mount: Mount) {
        let mut mounts = lock(&self.state().mounts);
        if !mounts.contains(&mount) {
            mounts.push(mount);
            self.process.descriptions.forget();
        }
    }

    /// Begins to watch an exchange whose request's head has just been read.
    pub fn begin(&self, method: &Method, headers: &HeaderMap) -> Exchange {
        Exchange::begin(self, method, headers, Instant::now())
    }

    /// Tells memory and start of the process behind this API, for [`ProcessSource::Reported`]. `None`: it cannot
    /// be seen any more.
    pub fn report_process(&self, figures: Option<ProcessFigures>) {
        *lock(&self.state().reported) = figures;
    }

    pub(crate) fn state(&self) -> &ApiState {
        &self.process.apis[self.index]
    }
}
