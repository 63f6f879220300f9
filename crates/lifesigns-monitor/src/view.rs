//! What pages and resources see of the fleet: copies, made in an instant, of what is known now.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use lifesigns_model::light::Light;
use tokio::sync::watch;
use url::Url;

use crate::alerts::incidents::Incident;
use crate::alerts::rules::Maintenance;
use crate::breaker::Breaker;
use crate::fleet::{Fleet, Inner, State, Watched};
use crate::recent::Minute;
use crate::service::{About, Deploy, Letter, Name, Outage, Sample, Service, Traffic};
use crate::target::Target;

/// A service as it is known now. Whatever it says of itself is a stranger's text: to be escaped where it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceView {
    /// Its name.
    pub name: Name,
    /// Where it is asked.
    pub url: Url,
    /// Where it runs.
    pub environment: Option<String>,
    /// How it is; `None` if that is not known.
    pub light: Option<Light>,
    /// Since when, in milliseconds since 1970.
    pub since: i64,
    /// Why it is not green, or not known.
    pub why: String,
    /// What it is not green for.
    pub outage: Option<Outage>,
    /// The maintenance that it is under, if it is.
    pub maintenance: Option<Maintenance>,
    /// Whether its readings change all the time.
    pub is_flapping: bool,
    /// Status code of the last answer; 0 without one.
    pub code: u16,
    /// How long that took, in microseconds.
    pub latency_us: Option<u32>,
    /// When it was asked, in milliseconds since 1970; 0: never.
    pub asked: i64,
    /// When it is asked next, in milliseconds since 1970; 0: at the moment.
    pub next: i64,
    /// What it says of itself.
    pub about: About,
    /// What it is made of and how that is.
    pub parts: Vec<(String, Letter)>,
    /// What was deployed last.
    pub deploy: Option<Deploy>,
    /// When its process began, in milliseconds since 1970.
    pub process_began: Option<i64>,
    /// When its certificate expires, in milliseconds since 1970.
    pub certificate_expires: Option<i64>,
    /// Whether its memory seems to leak.
    pub leak: Option<Leak>,
    /// Its memory since its process began, at most 256 samples; empty where many services are seen at once.
    pub memory: Vec<Sample>,
    /// Its traffic in the last hour, where it lets the monitor see that.
    pub traffic: Option<Traffic>,
    /// The last 60 minutes, this one last; `None` where it was not asked.
    pub minutes: [Option<Minute>; 60],
    /// Whether to call it.
    pub breaker: Breaker,
    /// What it needs, as declared.
    pub depends_on: Vec<Name>,
    /// Whether strangers may see its name and its light.
    pub is_public: bool,
    /// How often it is asked.
    pub interval: Duration,
    /// For how long a reading counts, in seconds, if none follows.
    pub hold: i64,
}

/// Memory that grows steadily.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leak {
    /// In MB an hour.
    pub mb_per_hour: f64,
    /// In how many milliseconds there is none left, if it says how much it may have.
    pub time_to_limit: Option<i64>,
}

/// How many services have which light.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// All is well.
    pub green: usize,
    /// Available, with something wrong.
    pub amber: usize,
    /// Unavailable.
    pub red: usize,
    /// Not asked yet, or not for long, or the monitor had no network.
    pub not_known: usize,
}

impl Counts {
    /// All of them.
    pub const fn all(self) -> usize {
        self.green + self.amber + self.red + self.not_known
    }

    /// How many of these have which light.
    pub fn of(services: &[ServiceView]) -> Counts {
        let mut counts = Counts::default();
        services.iter().for_each(|service| counts.add(service.light));
        counts
    }

    pub(crate) fn add(&mut self, light: Option<Light>) {
        match light {
            Some(Light::Green) => self.green += 1,
            Some(Light::Amber) => self.amber += 1,
            Some(Light::Red) => self.red += 1,
            None => self.not_known += 1,
        }
    }
}

/// A URL without what may be known to its service alone.
pub(crate) fn without_secrets(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let query = if url.query().is_some() { "?…" } else { "" };
    format!("{}://{host}{port}{}{query}", url.scheme(), url.path())
}

/// Three times what is waited from poll to poll, in seconds.
fn hold(wait: Duration) -> i64 {
    i64::try_from(wait.as_secs().max(60)).unwrap_or(i64::MAX / 3) * 3
}

impl Watched {
    fn view(&self, now: i64, inner: &Inner, with_memory: bool) -> ServiceView {
        let state = self.lock();
        let State { service, recent, next, .. } = &*state;
        let light = self.light(&state, now);
        let why = match light {
            None if service.asked == 0 => "has not been asked yet".to_owned(),
            None if service.not_known_since.is_none() => "has not been asked for too long".to_owned(),
            _ => service.why.clone(),
        };
        let next_try = if *next == 0 { now } else { *next };
        let leak = service.memory.leak().map(|growth| Leak {
            mb_per_hour: growth.mb_per_hour,
            time_to_limit: service
                .about
                .memory_total_mb
                .and_then(|total| service.memory.time_to_limit(total)),
        });
        ServiceView {
            name: self.target.name.clone(),
            url: self.target.url.clone(),
            environment: self.target.environment.clone().or_else(|| service.about.environment.clone()),
            light,
            since: service.not_known_since.unwrap_or(service.since),
            breaker: Breaker::of(light, service.is_recovering(), &why, service.since, next_try),
            why,
            outage: service.outage.clone(),
            maintenance: inner.maintenance.iter().find(|one| one.covers(&self.target.name, now)).cloned(),
            is_flapping: service.is_flapping,
            code: service.code,
            latency_us: service.latency_us,
            asked: service.asked,
            next: *next,
            about: service.about.clone(),
            parts: service.parts.clone(),
            deploy: service.deploy.clone(),
            process_began: service.process_began,
            certificate_expires: service.certificate_expires,
            leak,
            memory: if with_memory { service.memory.samples().to_vec() } else { Vec::new() },
            traffic: service.traffic,
            minutes: recent.minutes(now),
            depends_on: self.target.depends_on.clone(),
            is_public: self.target.is_public,
            interval: self.target.interval,
            hold: hold(self.target.interval.max(inner.red_interval)),
        }
    }
}

impl Fleet {
    /// All services, in the order in which they are configured.
    pub fn services(&self) -> Vec<ServiceView> {
        self.views().collect()
    }

    /// The same, one by one.
    pub(crate) fn views(&self) -> impl Iterator<Item = ServiceView> {
        let now = self.now();
        self.inner.watched.iter().map(move |watched| watched.view(now, &self.inner, false))
    }

    /// The service of that name.
    pub fn service(&self, name: &str) -> Option<ServiceView> {
        let now = self.now();
        self.find(name).map(|watched| watched.view(now, &self.inner, true))
    }

    /// Whether there is a service of that name, of which strangers may know.
    pub(crate) fn is_public(&self, name: &str) -> bool {
        self.find(name).is_some_and(|watched| watched.target.is_public)
    }

    /// How many services have which light.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.each(|_, _, light| counts.add(light));
        counts
    }

    /// Goes through all services without copying them.
    pub(crate) fn each(&self, mut see: impl FnMut(&Target, &Service, Option<Light>)) {
        let now = self.now();
        for watched in &self.inner.watched {
            let state = watched.lock();
            see(&watched.target, &state.service, watched.light(&state, now));
        }
    }

    /// The incidents that go on, oldest first.
    pub fn incidents(&self) -> Vec<Incident> {
        self.inner.desk().incidents.open().iter().filter(|incident| !incident.is_over()).cloned().collect()
    }

    /// A number that changes whenever something has changed that people may want to see.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// Polls since the monitor was started.
    pub fn polls(&self) -> u64 {
        self.inner.figures.polls.load(Relaxed)
    }
}
