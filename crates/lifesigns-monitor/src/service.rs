//! What is known of one service: from observations to a light, outages, restarts and deploys.
//!
//! Pure: what is told here came with an observation, the time as well.

pub mod memory;
mod processes;
mod releases;
mod traffic;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lifesigns_model::dialect::{Dialect, Introduction, Part};
use lifesigns_model::light::Light;
use serde::{Deserialize, Serialize};

pub use self::memory::{Sample, Trend};
use self::processes::{Beginning, Processes};
use self::releases::{Release, Releases};
pub use self::traffic::Traffic;

/// Readings of which changes are counted.
const WINDOW: usize = 20;
/// So many changes in the window make a service that flaps, …
const FLAPS_FROM: u32 = 6;
/// … until there are so few.
const FLAPS_UNTIL: u32 = 2;

/// What one poll has seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// When the poll was begun, in milliseconds since 1970.
    pub at: i64,
    /// What came of it.
    pub sight: Sight,
    /// What the service says of itself, where it was asked for that.
    pub introduction: Option<Introduction>,
    /// What it says of its traffic, where it was asked for that.
    pub traffic: Option<Traffic>,
}

/// What came of asking a service.
#[derive(Clone, Debug, PartialEq)]
pub enum Sight {
    /// It has answered, whatever.
    Answered(Answered),
    /// It gave no answer that could be taken.
    Failed {
        /// In what way, and where; may hold addresses.
        why: String,
    },
    /// The monitor itself could not ask: no network, no free port.
    NotKnown {
        /// What was missing.
        why: String,
        /// Whether it was a way there, which may be somebody else's fault.
        is_network: bool,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// How the service is.
    pub light: Light,
    /// Why it is not green; empty if it is.
    pub why: String,
    /// In which dialect it says so; `None` if it could not be read, or the light is not what it says.
    pub dialect: Option<Dialect>,
    /// Status code.
    pub code: u16,
    /// How long the answer took.
    pub latency: Duration,
    /// What it is made of; `None` if only its head was asked for.
    pub parts: Option<Vec<Part>>,
    /// The beginning of the body, for messages. A stranger's text.
    pub excerpt: Option<String>,
    /// When it wants to be asked again.
    pub retry_after: Option<Duration>,
    /// The machine that has answered.
    pub address: SocketAddr,
    /// When its certificate expires, in milliseconds since 1970.
    pub certificate_expires: Option<i64>,
}

/// How often in a row a service has to be worse, or better, to be believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Patience {
    /// For a worse light, at least 1. Default 2.
    pub failures: u32,
    /// For a better light, at least 1. Default 2.
    pub recoveries: u32,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { failures: 2, recoveries: 2 }
    }
}

/// What is known of a service.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Service {
    /// How it is, as far as it is believed; `None` before it has been seen.
    #[serde(with = "light")]
    pub light: Option<Light>,
    /// Since when, in milliseconds since 1970.
    pub since: i64,
    /// Since when nothing is known of it, since the monitor could not ask.
    pub not_known_since: Option<i64>,
    /// Why it is not green, in words.
    pub why: String,
    /// What it is not green for, as long as that goes on.
    pub outage: Option<Outage>,
    /// Whether its readings change all the time.
    pub is_flapping: bool,
    /// When it was last asked, in milliseconds since 1970; 0: never.
    pub asked: i64,
    /// Status code of the last answer; 0 without one.
    pub code: u16,
    /// How long the last answer took, in microseconds; `None` without one.
    pub latency_us: Option<u32>,
    /// When the service wants to be asked again, in seconds, as its last answer says.
    pub retry_after: Option<u64>,
    /// Which machine answered last.
    pub address: Option<String>,
    /// When its certificate expires, in milliseconds since 1970.
    pub certificate_expires: Option<i64>,
    /// What it says of itself.
    pub about: About,
    /// What it is made of and how that is, as it last said.
    pub parts: Vec<(String, Letter)>,
    /// What was deployed last.
    pub deploy: Option<Deploy>,
    /// When its process began, in milliseconds since 1970, as far as its uptime tells; of several the youngest.
    pub process_began: Option<i64>,
    processes: Processes,
    releases: Releases,
    /// What it last said of its traffic.
    #[serde(skip)]
    pub traffic: Option<Traffic>,
    #[serde(skip)]
    streak: Streak,
    #[serde(skip)]
    changes: Changes,
    /// The memory of the process that was seen last, since that was the only one.
    #[serde(skip)]
    pub memory: Trend,
}

/// A light as one letter, for what is kept: `G`, `A`, `R`. Ordered from best to worst.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Letter {
    /// Green.
    G,
    /// Amber.
    A,
    /// Red.
    R,
}

impl From<Light> for Letter {
    fn from(light: Light) -> Letter {
        match light {
            Light::Green => Letter::G,
            Light::Amber => Letter::A,
            Light::Red => Letter::R,
        }
    }
}

impl From<Letter> for Light {
    fn from(letter: Letter) -> Light {
        match letter {
            Letter::G => Light::Green,
            Letter::A => Light::Amber,
            Letter::R => Light::Red,
        }
    }
}

mod light {
    use lifesigns_model::light::Light;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Letter;

    #[expect(clippy::ref_option, reason = "it is what serde calls")]
    pub(super) fn serialize<S: Serializer>(light: &Option<Light>, to: S) -> Result<S::Ok, S::Error> {
        light.map(Letter::from).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Light>, D::Error> {
        Ok(Option::<Letter>::deserialize(from)?.map(Light::from))
    }
}

/// What a service says of itself, as it is kept.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct About {
    /// Its own name for itself.
    pub service: Option<String>,
    /// Where its code lives.
    pub repo: Option<String>,
    /// Which revision runs.
    pub revision: Option<String>,
    /// Which version.
    pub version: Option<String>,
    /// Where it runs.
    pub environment: Option<String>,
    /// When it was deployed, in milliseconds since 1970, as it says.
    pub deployed_at: Option<i64>,
    /// Resident memory, in MB.
    pub memory_used_mb: Option<u64>,
    /// How much memory it may have, in MB.
    pub memory_total_mb: Option<u64>,
}

/// A time in which a service was not green.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Outage {
    /// When it began, in milliseconds since 1970: with the first reading of those that were believed.
    pub began: i64,
    /// How bad it got.
    pub worst: Letter,
    /// What the first readings said.
    pub cause: String,
    /// The first part that was not green, if it names any.
    pub failing: Option<String>,
    /// The beginning of the answer.
    pub excerpt: Option<String>,
}

/// Another revision, or another version, than before.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Deploy {
    /// When it was seen first, in milliseconds since 1970.
    pub at: i64,
    /// What ran before.
    pub from: String,
    /// What runs now.
    pub to: String,
}

/// Something that an observation has shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is not green any more.
    OutageBegan,
    /// It is not green, and otherwise so than before.
    OutageChanged,
    /// It is green again; this is what ended.
    OutageEnded(Outage),
    /// A process was started anew in the place of another, at so many milliseconds since 1970.
    Restarted(i64),
    /// Something else runs now.
    Deployed(Deploy),
}

/// Readings in a row that say otherwise than the light.
#[derive(Clone, Debug, Default, PartialEq)]
struct Streak {
    count: u32,
    began: i64,
    /// The best of them when they are worse than the light, the worst when they are better.
    light: Light,
    is_worse: bool,
    cause: String,
    failing: Option<String>,
    excerpt: Option<String>,
}

/// Whether the last readings differed from those before them, the newest in the lowest bit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Changes {
    bits: u32,
    last: Option<Light>,
}

impl Changes {
    fn add(&mut self, light: Light) -> u32 {
        let differs = self.last.is_some_and(|last| last != light);
        self.last = Some(light);
        self.bits = (self.bits << 1 | u32::from(differs)) & ((1 << WINDOW) - 1);
        self.bits.count_ones()
    }
}

impl Service {
    /// Takes an observation, and tells what it has changed.
    pub fn observe(&mut self, seen: &Observation, patience: Patience) -> Vec<Change> {
        let mut changes = Vec::new();
        self.asked = seen.at;
        let (light, why, failing, excerpt) = match &seen.sight {
            Sight::NotKnown { why, .. } => {
                self.not_known_since.get_or_insert(seen.at);
                // What was seen before says nothing of what is seen after.
                self.streak.count = 0;
                self.code = 0;
                self.latency_us = None;
                why.clone_into(&mut self.why);
                return changes;
            }
            Sight::Failed { why } => {
                (self.code, self.latency_us, self.retry_after) = (0, None, None);
                (Light::Red, why, None, None)
            }
            Sight::Answered(answer) => {
                self.take(answer);
                let failing =
                    self.parts.iter().find(|(_, light)| *light != Letter::G).map(|(name, _)| name.clone());
                (answer.light, &answer.why, failing, answer.excerpt.as_ref())
            }
        };
        self.not_known_since = None;
        self.traffic = seen.traffic.or(self.traffic);
        if let (Some(introduction), Sight::Answered(answer)) = (&seen.introduction, &seen.sight) {
            self.meet(introduction, seen.at, answer.latency, &mut changes);
        }
        let count = self.changes.add(light);
        let was_flapping = self.is_flapping;
        self.is_flapping = if was_flapping { count > FLAPS_UNTIL } else { count >= FLAPS_FROM };
        self.judge(light, seen.at, patience, (why, failing, excerpt), &mut changes);
        changes
    }

    fn take(&mut self, answer: &Answered) {
        self.code = answer.code;
        self.latency_us = Some(u32::try_from(answer.latency.as_micros()).unwrap_or(u32::MAX));
        self.retry_after = answer.retry_after.map(|wait| wait.as_secs());
        self.address = Some(answer.address.ip().to_string());
        self.certificate_expires = answer.certificate_expires.or(self.certificate_expires);
        if let Some(parts) = &answer.parts {
            self.parts = parts.iter().map(|part| (part.name.clone(), part.light.into())).collect();
        }
    }

    fn judge(
        &mut self,
        light: Light,
        at: i64,
        patience: Patience,
        (why, failing, excerpt): (&String, Option<String>, Option<&String>),
        changes: &mut Vec<Change>,
    ) {
        // A service whose readings change all the time is never as well as its best ones.
        let light = if self.is_flapping { light.max(Light::Amber) } else { light };
        let told = match (self.is_flapping, &**why) {
            (false, why) => why.to_owned(),
            (true, "") => "changes all the time".to_owned(),
            (true, why) => format!("changes all the time; now {why}"),
        };
        let why = &told;
        let believed = self.light.unwrap_or_default();
        if light == believed && self.light.is_some() {
            self.streak.count = 0;
            if light != Light::Green {
                why.clone_into(&mut self.why);
            }
            return;
        }
        if self.light.is_none() && light == Light::Green {
            (self.light, self.since) = (Some(light), at);
            self.why.clear();
            self.streak.count = 0;
            return;
        }
        let is_worse = light > believed;
        if self.streak.count == 0 || self.streak.is_worse != is_worse {
            let (cause, excerpt) = (why.clone(), excerpt.cloned());
            self.streak = Streak { count: 0, began: at, light, is_worse, cause, failing, excerpt };
        }
        self.streak.count += 1;
        self.streak.light =
            if is_worse { self.streak.light.min(light) } else { self.streak.light.max(light) };
        let needed = if is_worse { patience.failures } else { patience.recoveries };
        if self.streak.count >= needed {
            self.turn(why, changes);
        }
    }

    fn turn(&mut self, why: &str, changes: &mut Vec<Change>) {
        let streak = std::mem::take(&mut self.streak);
        (self.light, self.since) = (Some(streak.light), streak.began);
        if streak.light == Light::Green {
            self.why.clear();
            changes.extend(self.outage.take().map(Change::OutageEnded));
            return;
        }
        why.clone_into(&mut self.why);
        match &mut self.outage {
            Some(outage) => {
                outage.worst = Light::from(outage.worst).max(streak.light).into();
                changes.push(Change::OutageChanged);
            }
            None => {
                self.outage = Some(Outage {
                    began: streak.began,
                    worst: streak.light.into(),
                    cause: streak.cause,
                    failing: streak.failing,
                    excerpt: streak.excerpt,
                });
                changes.push(Change::OutageBegan);
            }
        }
    }

    /// Whether the readings of late say otherwise than the light, and have not been believed yet.
    pub const fn is_in_doubt(&self) -> bool {
        self.streak.count > 0
    }

    /// Whether the readings of late are better than the light.
    pub const fn is_recovering(&self) -> bool {
        self.streak.count > 0 && !self.streak.is_worse
    }

    fn meet(&mut self, said: &Introduction, at: i64, latency: Duration, changes: &mut Vec<Change>) {
        let mut new = About::from(said);
        let mut is_same = true;
        if let Some(uptime) = said.uptime {
            // The uptime was read at some time between the question and the answer.
            let seen = Beginning {
                earliest: at - milliseconds(uptime) - milliseconds(said.uptime_unit),
                latest: at - milliseconds(uptime) + milliseconds(latency),
            };
            let met = self.processes.meet(at, seen);
            is_same = met.is_same;
            changes.extend(met.restarted.map(Change::Restarted));
            self.process_began = self.processes.youngest_began();
        }
        let met = self.releases.meet(&Release::of(&self.about), Release::of(&new), at);
        if let Some(deploy) = met.deploy {
            self.deploy = Some(deploy.clone());
            changes.push(Change::Deployed(deploy));
        }
        if !met.is_believed {
            (new.revision, new.version, new.deployed_at) = (None, None, None);
        }
        if !(is_same && met.is_same) {
            self.memory = Trend::default();
        }
        if let Some(used) = new.memory_used_mb {
            self.memory.add(Sample { at, used_mb: used });
        }
        self.about.learn(new);
    }

    /// Since when all samples of its memory are of the process that was seen last, in milliseconds since 1970; `None` if
    /// it does not say how long that has been running.
    pub fn memory_since(&self) -> Option<i64> {
        let deployed = self.deploy.as_ref().map_or(i64::MIN, |deploy| deploy.at);
        self.processes.alone_since().map(|since| since.max(deployed))
    }

    /// How long its process has been running, in milliseconds; `None` if it does not say.
    pub fn uptime_ms(&self, now: i64) -> Option<i64> {
        self.process_began.map(|began| (now - began).max(0))
    }
}

impl About {
    fn learn(&mut self, new: About) {
        let old = std::mem::take(self);
        *self = About {
            service: new.service.or(old.service),
            repo: new.repo.or(old.repo),
            revision: new.revision.or(old.revision),
            version: new.version.or(old.version),
            environment: new.environment.or(old.environment),
            deployed_at: new.deployed_at.or(old.deployed_at),
            memory_used_mb: new.memory_used_mb.or(old.memory_used_mb),
            memory_total_mb: new.memory_total_mb.or(old.memory_total_mb),
        };
    }
}

impl From<&Introduction> for About {
    fn from(said: &Introduction) -> About {
        let identity = said.identity.clone();
        About {
            service: said.service.clone(),
            repo: identity.repo,
            revision: identity.revision,
            version: identity.version,
            environment: identity.environment,
            deployed_at: identity.deployed_at.map(Timestamp::as_millisecond),
            memory_used_mb: said.memory_used_mb,
            memory_total_mb: said.memory_total_mb,
        }
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// What a monitor knows a service by.
pub type Name = Arc<str>;

#[cfg(test)]
mod tests;
