//! What is still to be delivered, in which order, and when it is tried again.
//!
//! Pure: the time and what chance there is come with each call. A delivery leaves the outbox when it has arrived, when
//! it was given up, or when there is no room for it; whoever keeps notes of deliveries removes the note then.
//!
//! Messages of one incident to one route wait for each other, so that an end never overtakes its beginning. Everything
//! else does not: a receiver that hangs delays no other, and one message that is refused none of another incident.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::channel::Undelivered;
use super::message::{Message, MessageKind};

/// How long to wait after the first failure.
const FIRST_WAIT: i64 = 5_000;
/// How long to wait at most.
const LONGEST_WAIT: i64 = 600_000;
/// How long to wait at most if a receiver asks for it.
const LONGEST_ASKED_WAIT: i64 = 3_600_000;
/// After so long a message that cannot be delivered is given up, …
const GIVEN_UP_AFTER: i64 = 86_400_000;
/// … but not before so many attempts: the machine may have slept for days, and its network may not be there yet.
const LEAST_ATTEMPTS: u32 = 20;

/// A message on its way to one route. It is kept until it has arrived.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Delivery {
    /// That of the message, which is unique among all messages of all routes.
    pub id: String,
    /// Where it goes.
    pub route: String,
    /// What is said.
    pub message: Message,
    /// When it was put here, in milliseconds since 1970. After a day of failures, 20 at least, it is given up.
    pub created: i64,
    /// How often it has failed.
    pub attempts: u32,
    /// When it is tried next, in milliseconds since 1970.
    pub next_at: i64,
    /// Why it failed last.
    pub last_error: Option<String>,
}

impl Delivery {
    /// A message that may be delivered at once; `now` in milliseconds since 1970.
    pub fn new(route: impl Into<String>, message: Message, now: i64) -> Delivery {
        Delivery {
            id: message.id.clone(),
            route: route.into(),
            message,
            created: now,
            attempts: 0,
            next_at: now,
            last_error: None,
        }
    }
}

/// How much an outbox takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How many deliveries wait, at least 1. Default 10,000.
    pub waiting: usize,
    /// How many are under way to one route at a time, at least 1. Default 4.
    pub at_once: usize,
    /// How many ids of what is done are remembered. Default 10,000.
    pub remembered: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { waiting: 10_000, at_once: 4, remembered: 10_000 }
    }
}

/// What has become of a delivery that was added.
#[derive(Clone, Debug, PartialEq)]
pub enum Added {
    /// It waits.
    Kept,
    /// It is here already, or was.
    Known,
    /// It waits, and for want of room this one does not any more.
    InPlaceOf(Box<Delivery>),
    /// It is not taken: there is no room, and all others are missed more.
    Refused(Box<Delivery>),
}

/// What has become of a delivery that failed. It is what the note of it should say now.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is tried again.
    Again(Box<Delivery>),
    /// It is not tried again.
    GivenUp(Box<Delivery>),
}

/// Deliveries that wait or are under way.
#[derive(Debug, Default)]
pub struct Outbox {
    limits: Limits,
    /// In the order in which they were added.
    waiting: BTreeMap<u64, Delivery>,
    by_id: HashMap<String, u64>,
    /// Those of one incident and one route; only the first may go.
    lanes: HashMap<Lane, VecDeque<u64>>,
    routes: HashMap<String, Way>,
    under_way: HashSet<u64>,
    done: VecDeque<String>,
    is_done: HashSet<String>,
    last: u64,
    dropped: u64,
    given_up: u64,
}

/// Route and incident.
type Lane = (String, String);

/// What may go to one route.
#[derive(Debug, Default)]
struct Way {
    under_way: usize,
    /// When, and which: the first ones of their lanes that are not under way.
    ready: BTreeSet<(i64, u64)>,
}

impl Outbox {
    /// An outbox with nothing in it.
    pub fn new(limits: Limits) -> Outbox {
        Outbox { limits, ..Outbox::default() }
    }

    /// An outbox with what was left from before, in whatever order it comes. Returns what there is no room for as well.
    pub fn restored(limits: Limits, mut left: Vec<Delivery>) -> (Outbox, Vec<Delivery>) {
        let place = |kind: MessageKind| match kind {
            MessageKind::Opened => 0,
            MessageKind::Updated | MessageKind::Reminder => 1,
            MessageKind::Resolved => 2,
        };
        left.sort_by(|one, other| {
            let key = |delivery: &Delivery| (delivery.created, place(delivery.message.kind));
            key(one).cmp(&key(other)).then_with(|| one.id.cmp(&other.id))
        });
        let mut outbox = Outbox::new(limits);
        let mut dropped = Vec::new();
        for delivery in left {
            if let Added::InPlaceOf(no_room) | Added::Refused(no_room) = outbox.add(delivery) {
                dropped.push(*no_room);
            }
        }
        (outbox, dropped)
    }

    /// Takes a delivery, unless it has been here before. Where there is no room, the oldest reminder goes, or the oldest
    /// message that tells of more services, or the oldest one that is not under way.
    pub fn add(&mut self, delivery: Delivery) -> Added {
        if self.by_id.contains_key(&delivery.id) || self.is_done.contains(&delivery.id) {
            return Added::Known;
        }
        self.last += 1;
        let number = self.last;
        self.by_id.insert(delivery.id.clone(), number);
        let lane = self.lanes.entry(lane(&delivery)).or_default();
        lane.push_back(number);
        if lane.len() == 1 {
            let way = self.routes.entry(delivery.route.clone()).or_default();
            way.ready.insert((delivery.next_at, number));
        }
        self.waiting.insert(number, delivery);
        if self.waiting.len() <= self.limits.waiting.max(1) {
            return Added::Kept;
        }
        let Some(delivery) = self.least_missed().and_then(|least| self.remove(least)) else {
            return Added::Kept;
        };
        self.dropped += 1;
        if self.waiting.contains_key(&number) {
            Added::InPlaceOf(Box::new(delivery))
        } else {
            Added::Refused(Box::new(delivery))
        }
    }

    /// What is to be delivered now, oldest first; each of them is under way until [`Outbox::delivered`] or
    /// [`Outbox::failed`] is called with its id.
    pub fn due(&mut self, now: i64) -> Vec<Delivery> {
        let mut due = Vec::new();
        for way in self.routes.values_mut() {
            while way.under_way < self.limits.at_once.max(1) {
                // Nothing ever waits longer than that: what seems to was put here before the clock was put back.
                let misdated = |(at, _): &&(i64, u64)| *at > now.saturating_add(LONGEST_ASKED_WAIT);
                let next = way.ready.first().filter(|(at, _)| *at <= now);
                let Some(&(at, number)) = next.or_else(|| way.ready.last().filter(misdated)) else { break };
                way.ready.remove(&(at, number));
                way.under_way += 1;
                self.under_way.insert(number);
                due.push(number);
            }
        }
        due.sort_unstable();
        due.iter().filter_map(|number| self.waiting.get(number).cloned()).collect()
    }

    /// It has arrived. Returns what was delivered; `None` if there is none of that id.
    pub fn delivered(&mut self, id: &str) -> Option<Delivery> {
        let number = *self.by_id.get(id)?;
        self.remove(number)
    }

    /// It has not arrived. `chance` is a number from 0 to 1 that spreads what failed together. `None` if there is none of
    /// that id.
    pub fn failed(&mut self, id: &str, now: i64, why: &Undelivered, chance: f64) -> Option<Outcome> {
        let number = *self.by_id.get(id)?;
        let delivery = self.waiting.get_mut(&number)?;
        delivery.attempts = delivery.attempts.saturating_add(1);
        delivery.last_error = Some(why.why.clone());
        let is_old = now.saturating_sub(delivery.created) >= GIVEN_UP_AFTER;
        if why.is_final || (is_old && delivery.attempts >= LEAST_ATTEMPTS) {
            self.given_up += 1;
            return self.remove(number).map(|delivery| Outcome::GivenUp(Box::new(delivery)));
        }
        delivery.next_at = now.saturating_add(wait(delivery.attempts, why.retry_after, chance));
        let delivery = delivery.clone();
        self.settle(&delivery.route, number);
        if let Some(way) = self.routes.get_mut(&delivery.route) {
            way.ready.insert((delivery.next_at, number));
        }
        Some(Outcome::Again(Box::new(delivery)))
    }

    /// How many wait or are under way.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits and nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many had to go because there was no room.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many were given up.
    pub const fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Which one is missed least. None that is under way, for it may have arrived.
    fn least_missed(&self) -> Option<u64> {
        let rank = |kind: MessageKind| match kind {
            MessageKind::Reminder => 0,
            MessageKind::Updated => 1,
            MessageKind::Opened | MessageKind::Resolved => 2,
        };
        let idle = self.waiting.iter().filter(|(number, _)| !self.under_way.contains(number));
        idle.min_by_key(|(number, delivery)| (rank(delivery.message.kind), **number))
            .map(|(number, _)| *number)
    }

    /// Takes it out, remembers it, and lets the next one of its lane go.
    fn remove(&mut self, number: u64) -> Option<Delivery> {
        let delivery = self.waiting.remove(&number)?;
        self.by_id.remove(&delivery.id);
        self.remember(delivery.id.clone());
        self.settle(&delivery.route, number);
        let Some(way) = self.routes.get_mut(&delivery.route) else { return Some(delivery) };
        way.ready.remove(&(delivery.next_at, number));
        let key = lane(&delivery);
        if let Some(lane) = self.lanes.get_mut(&key) {
            let was_first = lane.front() == Some(&number);
            lane.retain(|other| *other != number);
            match lane.front() {
                Some(next) if was_first => {
                    let at = self.waiting.get(next).map_or(delivery.next_at, |next| next.next_at);
                    way.ready.insert((at, *next));
                }
                Some(_) => {}
                None => {
                    self.lanes.remove(&key);
                }
            }
        }
        if way.under_way == 0 && way.ready.is_empty() {
            self.routes.remove(&delivery.route);
        }
        Some(delivery)
    }

    /// It is not under way any more.
    fn settle(&mut self, route: &str, number: u64) {
        if self.under_way.remove(&number)
            && let Some(way) = self.routes.get_mut(route)
        {
            way.under_way -= 1;
        }
    }

    fn remember(&mut self, id: String) {
        self.is_done.insert(id.clone());
        self.done.push_back(id);
        while self.done.len() > self.limits.remembered {
            if let Some(oldest) = self.done.pop_front() {
                self.is_done.remove(&oldest);
            }
        }
    }
}

fn lane(delivery: &Delivery) -> Lane {
    (delivery.route.clone(), delivery.message.incident.clone())
}

/// How long to wait after so many failures, in milliseconds: from half of 5 s, 10 s, 20 s … 10 min to all of it, and not
/// less than what the receiver asks for.
fn wait(attempts: u32, asked: Option<Duration>, chance: f64) -> i64 {
    let doubled = FIRST_WAIT << attempts.saturating_sub(1).min(16);
    let most = doubled.min(LONGEST_WAIT);
    let wait = most / 2 + (most as f64 / 2.0 * chance.clamp(0.0, 1.0)) as i64;
    let asked = asked.map_or(0, |asked| i64::try_from(asked.as_millis()).unwrap_or(i64::MAX));
    wait.max(asked.min(LONGEST_ASKED_WAIT))
}

#[cfg(test)]
mod tests;
