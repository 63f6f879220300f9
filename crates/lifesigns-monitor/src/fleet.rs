//! All services that are watched, and what is known of them now.

mod gap;
mod journal;
pub(crate) mod keeping;
mod patience;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lifesigns::BadOption;
use lifesigns_fetch::Fetcher;
use lifesigns_model::histogram::Histogram;
use lifesigns_model::history::{HistoryStore, Reading, Span};
use lifesigns_model::light::Light;
use lifesigns_model::store::StoreError;
use tokio::sync::Notify;

pub(crate) use self::gap::blind;
use self::keeping::Keeping;
use crate::alerts::channel::Channel;
use crate::alerts::incidents::{Incidents, Setup};
use crate::alerts::rules::{Maintenance, Route};
use crate::clock::Clock;
use crate::desk::{self, Desk};
use crate::making::Making;
use crate::poll::Manner;
use crate::recent::Recent;
use crate::service::{Change, Name, Observation, Sample, Service, Sight};
use crate::target::Target;

/// A light counts for so many times what is waited from poll to poll; then nothing is known any more.
const STALE_AFTER: u32 = 3;
/// More services than this begin without the last hour that the history has of them.
const MOST_RESTORED: usize = 5_000;
/// The memory of a process is looked at so far back, in seconds.
const MEMORY_SPAN: i64 = 24 * 3600;
/// So many outages that begin within the time of a cascade have all services asked at once.
const SUSPICIOUS: usize = 3;
/// What is known of a service is kept when its light changes, and every so many polls.
const REMEMBERED_EVERY: u64 = 30;
/// All services are asked at once no more often than that, in milliseconds.
const SWEEP_AFTER: i64 = 60_000;

/// The longest name of somebody who takes an incident up, in characters.
pub(crate) const LONGEST_TAKER: usize = 100;

/// The number of changes that says that there will be none any more.
pub(crate) const NO_MORE: u64 = u64::MAX;

/// How a fleet is watched.
#[derive(Debug)]
pub struct Options {
    /// What is watched, each name once.
    pub targets: Vec<Target>,
    /// How services are asked.
    pub fetch: lifesigns_fetch::Options,
    /// Who is told of what, and how that gets there. The names of routes are unique.
    pub routes: Vec<(Route, Channel)>,
    /// When nobody is told.
    pub maintenance: Vec<Maintenance>,
    /// Outages that begin within this time of each other belong together. Default 90 s.
    pub cascade: Duration,
    /// The address of the monitor for people, such as `https://status.example`.
    pub link: Option<String>,
    /// Addresses, `host:port`, one of which at least takes connections as long as the monitor has a network. Without
    /// any, only what the machine itself says tells a loss of the network.
    pub references: Vec<String>,
    /// When a service that is red is asked again. Default 60 s.
    pub red_interval: Duration,
    /// Every so many polls a service is asked for everything about it, at least 1. Default 10.
    pub full_every: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            targets: Vec::new(),
            fetch: lifesigns_fetch::Options::default(),
            routes: Vec::new(),
            maintenance: Vec::new(),
            cascade: Duration::from_secs(90),
            link: None,
            references: Vec::new(),
            red_interval: Duration::from_mins(1),
            full_every: 10,
        }
    }
}

/// A fleet that is watched. Cheap to clone; all clones are the same fleet.
#[derive(Clone, Debug)]
pub struct Fleet {
    pub(crate) inner: Arc<Inner>,
}

/// Behind the fleet.
pub(crate) struct Inner {
    pub(crate) watched: Vec<Watched>,
    by_name: HashMap<Name, usize>,
    pub(crate) desk: Mutex<Desk>,
    pub(crate) store: Arc<dyn HistoryStore>,
    pub(crate) keeping: Keeping,
    pub(crate) channels: HashMap<String, Channel>,
    pub(crate) fetcher: Fetcher,
    pub(crate) clock: Clock,
    pub(crate) figures: Figures,
    pub(crate) references: Vec<String>,
    pub(crate) red_interval: Duration,
    pub(crate) full_every: u32,
    /// The address of the monitor for people.
    pub(crate) link: Option<String>,
    /// When nobody is told.
    pub(crate) maintenance: Vec<Maintenance>,
    cascade: i64,
    pub(crate) last_sweep: AtomicI64,
    /// Woken when all services are to be asked at once.
    pub(crate) sweep: Notify,
    /// Woken when something has changed that somebody may want to be told, or see.
    pub(crate) news: Notify,
    /// Changes so far; [`NO_MORE`] when there will be none.
    pub(crate) changes: tokio::sync::watch::Sender<u64>,
    pub(crate) making: Making,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("watched", &self.watched.len()).finish_non_exhaustive()
    }
}

/// A service that is watched.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) target: Target,
    pub(crate) state: Mutex<State>,
}

/// What changes about it.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) service: Service,
    pub(crate) recent: Recent,
    pub(crate) manner: Manner,
    pub(crate) polls: u64,
    /// For how long it was left alone after the last poll.
    pub(crate) wait: Duration,
    /// When it is asked next, in milliseconds since 1970; 0 while it is asked.
    pub(crate) next: i64,
    /// When its light was last noted, in milliseconds since 1970.
    noted: i64,
}

/// Figures of the monitor about itself.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) polls: AtomicU64,
    /// Polls that were not made since the one before them was begun an interval late, or took an interval, or more.
    pub(crate) dropped_polls: AtomicU64,
    /// How late polls were begun, in microseconds.
    pub(crate) lateness: Mutex<Histogram>,
    pub(crate) under_way: AtomicU64,
}

impl Fleet {
    /// A fleet as it was left, if it was watched before.
    ///
    /// # Errors
    /// When the history cannot be read, or an option cannot be used.
    pub fn open(options: Options, store: Arc<dyn HistoryStore>) -> Result<Fleet, OpenError> {
        let clock = Clock::start();
        let now = clock.now();
        let fetcher = Fetcher::new(options.fetch).map_err(OpenError::Option)?;
        let depends_on = options
            .targets
            .iter()
            .map(|target| (Arc::clone(&target.name), target.depends_on.clone()))
            .collect();
        let (routes, channels): (Vec<Route>, Vec<Channel>) = options.routes.into_iter().unzip();
        let channels = routes.iter().map(|route| route.name.clone()).zip(channels).collect();
        let cascade = i64::try_from(options.cascade.as_millis()).unwrap_or(i64::MAX);
        let mut incidents = Incidents::new(Setup { routes, depends_on, cascade, link: options.link.clone() });
        incidents.maintenance.clone_from(&options.maintenance);
        let mut desk =
            Desk::open(incidents, &store.recall(desk::INCIDENTS)?, &store.recall(desk::DELIVERIES)?);
        let kept: HashMap<Arc<str>, Arc<str>> =
            store.recall(desk::SERVICES)?.into_iter().map(|note| (note.key, note.text)).collect();
        let is_restored = options.targets.len() <= MOST_RESTORED;
        let watched: Vec<Watched> = options
            .targets
            .into_iter()
            .map(|target| {
                let mut state = State::default();
                if let Some(text) = kept.get(&target.name) {
                    state.restore(&target, text);
                }
                if is_restored {
                    state.remember(&target, &*store, now)?;
                }
                Ok(Watched { target, state: Mutex::new(state) })
            })
            .collect::<Result<_, StoreError>>()?;
        let by_name: HashMap<Name, usize> =
            watched.iter().enumerate().map(|(index, one)| (Arc::clone(&one.target.name), index)).collect();
        desk.close_lost(&|name| by_name.get(name).map_or(Some(now), |index| watched[*index].well_since(now)));
        for (name, text) in kept.iter().filter(|(name, _)| !by_name.contains_key(*name)) {
            desk.taken_out(now, name, text);
        }
        for one in &watched {
            desk.take_up(now, &one.target, &one.lock().service);
        }
        gap::note(&mut desk, &*store, now, &watched)?;
        let inner = Inner {
            watched,
            by_name,
            desk: Mutex::new(desk),
            store,
            keeping: Keeping::new(now),
            channels,
            fetcher,
            clock,
            figures: Figures::default(),
            references: options.references,
            red_interval: options.red_interval,
            full_every: options.full_every.max(1),
            link: options.link,
            maintenance: options.maintenance,
            cascade,
            last_sweep: AtomicI64::new(i64::MIN / 2),
            sweep: Notify::new(),
            news: Notify::new(),
            changes: tokio::sync::watch::Sender::new(0),
            making: Making::default(),
        };
        Ok(Fleet { inner: Arc::new(inner) })
    }

    /// Milliseconds since 1970, by the clock that the fleet is judged by.
    pub fn now(&self) -> i64 {
        self.inner.clock.now()
    }

    /// How many services are watched.
    pub fn len(&self) -> usize {
        self.inner.watched.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.inner.watched.is_empty()
    }

    /// The service of that name.
    pub(crate) fn find(&self, name: &str) -> Option<&Watched> {
        self.inner.by_name.get(name).map(|index| &self.inner.watched[*index])
    }

    /// What the history has. May take as long as a disk takes.
    pub(crate) fn store(&self) -> &dyn HistoryStore {
        &*self.inner.store
    }

    /// Somebody takes an incident up. False if there is none of that id that goes on.
    pub fn acknowledge(&self, id: &str, by: &str) -> bool {
        let now = self.now();
        let is_known = self.inner.desk().acknowledge(id, by, now);
        self.inner.tell_news();
        is_known
    }
}

/// What somebody who takes an incident up is called: as much of it as is kept; `None` if that is nothing.
pub(crate) fn name_of_taker(said: &str) -> Option<String> {
    let name: String = said.trim().chars().take(LONGEST_TAKER).collect();
    (!name.is_empty()).then_some(name)
}

impl State {
    fn restore(&mut self, target: &Target, text: &str) {
        match serde_json::from_str(text) {
            Ok(service) => self.service = service,
            Err(error) => {
                tracing::error!(service = &*target.name, %error, "what was known of a service cannot be read");
            }
        }
    }

    /// Takes up what the history has of the last hour, and of the memory of the process.
    fn remember(&mut self, target: &Target, store: &dyn HistoryStore, now: i64) -> Result<(), StoreError> {
        let second = now / 1000;
        let from =
            self.service.memory_since().map_or(second - 3600, |since| since / 1000).max(second - MEMORY_SPAN);
        let span = Span { from: from.min(second - 3600), to: second + 1 };
        for reading in store.readings(&target.name, span)? {
            if reading.at > second - 3600 {
                self.recent.add(&reading);
            }
            if let Some(used) = reading.memory_mb.filter(|_| reading.at >= from) {
                self.service.memory.add(Sample { at: reading.at * 1000, used_mb: u64::from(used) });
            }
        }
        Ok(())
    }
}

impl Watched {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when it is not out; `None` while it is.
    fn well_since(&self, now: i64) -> Option<i64> {
        let state = self.lock();
        let is_green = state.service.light == Some(Light::Green);
        state.service.outage.is_none().then_some(if is_green { state.service.since } else { now })
    }
}

impl Inner {
    pub(crate) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tell_news(&self) {
        self.news.notify_one();
        self.changes.send_if_modified(|count| {
            let goes_on = *count != NO_MORE;
            *count += u64::from(goes_on);
            goes_on
        });
    }

    /// Takes in what a poll has seen. Everything that follows from it is written down at once.
    pub(crate) fn observe(&self, index: usize, seen: &Observation, manner: Manner) {
        let watched = &self.watched[index];
        let mut state = watched.lock();
        state.manner = manner;
        let before = (state.service.light, state.service.not_known_since.is_some());
        let changes = state.service.observe(seen, watched.target.patience);
        journal::tell(&watched.target, before.0, &state.service);
        let reading = reading(seen);
        state.recent.add(&reading);
        state.noted = seen.at;
        let service = &state.service;
        let mut desk = self.desk();
        desk.reading(&watched.target.name, reading);
        for change in &changes {
            desk.change(seen.at, &watched.target, service, change);
        }
        let is_turn = state.polls.is_multiple_of(REMEMBERED_EVERY);
        let is_news = !changes.is_empty() || (service.light, service.not_known_since.is_some()) != before;
        match service.not_known_since {
            Some(since) if !before.1 => desk.lost_sight(since, &watched.target.name, &service.why),
            None if before.1 => desk.sees_again(seen.at, &watched.target.name),
            _ => {}
        }
        if is_news || is_turn {
            desk.remember(&watched.target.name, service);
        }
        let is_suspicious = changes.contains(&Change::OutageBegan)
            && desk.incidents.began_since(seen.at - self.cascade) >= SUSPICIOUS;
        drop(desk);
        drop(state);
        if is_suspicious && seen.at - self.last_sweep.load(Relaxed) > SWEEP_AFTER {
            self.last_sweep.store(seen.at, Relaxed);
            self.sweep.notify_one();
        }
        if is_news {
            self.tell_news();
        }
    }

    /// Takes what is to be kept to the store. False if it did not take it.
    pub(crate) fn keep(&self) -> bool {
        let given = self.desk().keep(self.clock.now(), &*self.store);
        self.keeping.given(given);
        given.is_ok()
    }
}

fn reading(seen: &Observation) -> Reading {
    let at = seen.at / 1000;
    let introduction = seen.introduction.as_ref();
    let memory_mb = introduction.and_then(|said| u32::try_from(said.memory_used_mb?).ok());
    match &seen.sight {
        Sight::Answered(answer) => Reading {
            at,
            light: Some(answer.light),
            code: answer.code,
            latency_us: Some(u32::try_from(answer.latency.as_micros()).unwrap_or(u32::MAX)),
            memory_mb,
        },
        Sight::Failed { .. } => Reading { at, light: Some(Light::Red), code: 0, latency_us: None, memory_mb },
        Sight::NotKnown { .. } => Reading { at, light: None, code: 0, latency_us: None, memory_mb },
    }
}

impl Watched {
    /// How it is now: what is believed, unless that is too old or nothing is known.
    pub(crate) fn light(&self, state: &State, now: i64) -> Option<Light> {
        let service = &state.service;
        let wait = self.target.interval.max(state.wait).max(Duration::from_mins(1));
        let longest = wait * STALE_AFTER + self.target.deadline;
        let is_stale = now - service.asked > i64::try_from(longest.as_millis()).unwrap_or(i64::MAX);
        service.light.filter(|_| service.not_known_since.is_none() && !is_stale)
    }
}

/// Why a fleet cannot be watched.
#[derive(Debug)]
pub enum OpenError {
    /// An option cannot be used.
    Option(BadOption),
    /// The history cannot be read.
    Store(StoreError),
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> OpenError {
        OpenError::Store(error)
    }
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            OpenError::Option(error) => error.fmt(f),
            OpenError::Store(_) => f.write_str("the history of the fleet cannot be read"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenError::Option(_) => None,
            OpenError::Store(error) => Some(error),
        }
    }
}

impl Figures {
    pub(crate) fn began(&self, late: Duration, interval: Duration) {
        self.dropped(late, interval);
        self.polls.fetch_add(1, Relaxed);
        self.under_way.fetch_add(1, Relaxed);
        self.lateness
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .record(u64::try_from(late.as_micros()).unwrap_or(u64::MAX));
    }

    /// A poll has ended, after so long.
    pub(crate) fn ended(&self, took: Duration, interval: Duration) {
        self.dropped(took, interval);
        self.under_way.fetch_sub(1, Relaxed);
    }

    fn dropped(&self, time: Duration, interval: Duration) {
        let polls = time.as_millis() / interval.as_millis().max(1);
        self.dropped_polls.fetch_add(u64::try_from(polls).unwrap_or(u64::MAX), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_that_takes_longer_than_the_interval_drops_those_that_could_not_be_begun() {
        let (figures, interval) = (Figures::default(), Duration::from_secs(1));
        let poll = |late: u64, took: u64| {
            figures.began(Duration::from_millis(late), interval);
            figures.ended(Duration::from_millis(took), interval);
            (figures.dropped_polls.load(Relaxed), figures.under_way.load(Relaxed))
        };
        assert_eq!(poll(10, 900), (0, 0));
        assert_eq!(poll(10, 3_200), (3, 0));
        assert_eq!(poll(2_500, 10), (5, 0));
    }
}
