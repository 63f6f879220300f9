//! Where everything that has happened is written down, to be kept together: readings, events, and what is to be known
//! again after a restart.

mod sight;
mod waiting;

use std::collections::{BTreeMap, HashMap};

use lifesigns_model::history::{Entry, Event, EventKind, HistoryStore, Reading};
use lifesigns_model::store::{KeptNote, Note};
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::sight::Loss;
use self::waiting::Waiting;
use crate::alerts::incidents::{Incident, Incidents};
use crate::alerts::outbox::{Added, Delivery, Limits, Outbox, Outcome};
use crate::alerts::{Affected, Undelivered};
use crate::service::{Change, Deploy, Letter, Name, Outage, Service};
use crate::target::Target;

/// Notes of what is known of each service, by its name.
pub(crate) const SERVICES: &str = "service";
/// Notes of the incidents that go on, by their ids.
pub(crate) const INCIDENTS: &str = "incident";
/// Notes of what has not been delivered yet, by the ids of the messages.
pub(crate) const DELIVERIES: &str = "delivery";
/// Notes of the monitor about itself.
pub(crate) const MONITOR: &str = "monitor";
/// When the monitor was last seen, among those.
pub(crate) const ALIVE: &str = "alive";

/// Behind that, where it was stopped then.
const STOPPED: &str = "stopped";

/// A deploy is told of with an outage that begins no later than this after it, in milliseconds.
const DEPLOY_MATTERS: i64 = 24 * 3_600_000;
/// The monitor notes that it is there so often, in milliseconds, …
pub(crate) const ALIVE_EVERY: i64 = 10_000;
/// … and may be so late without that being a gap.
const ALIVE_SLACK: i64 = 5_000;
/// After an incident was written down that is not done again for so many milliseconds for each of its services, unless
/// somebody is told of it.
const REST_FOR_EACH: i64 = 1;

/// What is said of an outage in its event.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct OutageDetail {
    pub(crate) light: Letter,
    pub(crate) cause: String,
    pub(crate) failing: Option<String>,
    pub(crate) excerpt: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) traits: Vec<String>,
    pub(crate) deploy: Option<Deploy>,
    pub(crate) incident: String,
}

/// The desk.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) incidents: Incidents,
    pub(crate) outbox: Outbox,
    waiting: Waiting,
    /// Services that are not seen at the moment, if there are any.
    loss: Option<Loss>,
    /// Incidents that have changed since they were last written down, and whether somebody is to hear of that.
    changed: BTreeMap<String, bool>,
    /// When each incident may be written down again. One of many services changes often, and is written down as a whole.
    written: HashMap<String, i64>,
}

impl Desk {
    /// The desk as it was left.
    pub(crate) fn open(mut incidents: Incidents, kept: &[KeptNote], deliveries: &[KeptNote]) -> Desk {
        let mut written = HashMap::new();
        // They would be told of at every start, and nobody can make anything of them.
        let mut unreadable = Vec::new();
        for note in kept {
            match serde_json::from_str::<Incident>(&note.text) {
                Ok(incident) => {
                    written.insert(incident.id.clone(), i64::MIN);
                    incidents.restore(incident);
                }
                Err(error) => {
                    tracing::error!(id = &*note.key, %error, "an incident that was kept cannot be read; it is forgotten");
                    unreadable.push((INCIDENTS, note));
                }
            }
        }
        let mut left = Vec::new();
        for note in deliveries {
            match serde_json::from_str::<Delivery>(&note.text) {
                Ok(delivery) => left.push(delivery),
                Err(error) => {
                    tracing::error!(id = &*note.key, %error, "a message that was kept cannot be read; it is not sent");
                    unreadable.push((DELIVERIES, note));
                }
            }
        }
        let (outbox, given_up) = Outbox::restored(Limits::default(), left);
        let (waiting, changed) = (Waiting::default(), BTreeMap::new());
        let mut desk = Desk { incidents, outbox, waiting, loss: None, changed, written };
        for delivery in given_up {
            desk.forget(&delivery.id);
        }
        for (topic, note) in unreadable {
            desk.note(topic, &note.key, None);
        }
        desk
    }

    /// Ends what goes on and cannot end any more. `ended` says when the outage of a service was over; `None` while it is
    /// still watched, and out.
    pub(crate) fn close_lost(&mut self, ended: &dyn Fn(&str) -> Option<i64>) {
        let members = self.incidents.open().iter().flat_map(|incident| &incident.members);
        let out = members.map(|member| &member.affected).filter(|one| one.ended.is_none());
        let lost: Vec<(String, i64)> =
            out.filter_map(|one| Some((one.name.clone(), ended(&one.name)?.max(one.began)))).collect();
        for (name, at) in lost {
            if let Some(id) = self.incidents.ended(at, &name) {
                self.incident(&id);
            }
        }
    }

    /// A service is not watched any more: what is known of it is forgotten, and what went on has ended.
    pub(crate) fn taken_out(&mut self, now: i64, name: &Name, text: &str) {
        let known: Option<Service> = serde_json::from_str(text).ok();
        if let Some(outage) = known.as_ref().and_then(|service| service.outage.as_ref()) {
            let detail = json!({
                "light": outage.worst, "cause": outage.cause, "failing": outage.failing, "excerpt": outage.excerpt,
                "environment": null, "traits": [], "deploy": null, "incident": "",
            });
            let key = format!("{}-{name}", outage.began);
            self.event(EventKind::Outage, &key, Some(name), outage.began, Some(now), &detail);
        }
        self.note(SERVICES, name, None);
    }

    /// An outage of which no incident knows is told of as if it began now.
    pub(crate) fn take_up(&mut self, now: i64, target: &Target, service: &Service) {
        let mut members = self.incidents.open().iter().flat_map(|incident| &incident.members);
        let is_known = members.any(|one| one.affected.name == *target.name && one.affected.ended.is_none());
        if service.outage.is_some() && !is_known {
            self.change(now, target, service, &Change::OutageBegan);
        }
    }

    pub(crate) fn reading(&mut self, name: &Name, reading: Reading) {
        self.waiting.reading(name, reading);
    }

    /// Something about a service has changed.
    pub(crate) fn change(&mut self, now: i64, target: &Target, service: &Service, change: &Change) {
        match change {
            Change::OutageBegan => {
                let Some(outage) = &service.outage else { return };
                let affected = affected(target, service, outage);
                let id = self.incidents.began(now, affected, traits(target, service));
                self.outage(target, service, outage, None, &id);
                self.incident(&id);
            }
            Change::OutageChanged => {
                let Some(outage) = &service.outage else { return };
                if let Some(id) =
                    self.incidents.changed(now, &target.name, now_of(service, outage), &service.why)
                {
                    self.outage(target, service, outage, None, &id);
                    self.incident(&id);
                }
            }
            Change::OutageEnded(outage) => {
                let id = self.incidents.ended(service.since, &target.name);
                self.outage(target, service, outage, Some(service.since), id.as_deref().unwrap_or_default());
                if let Some(id) = id {
                    self.incident(&id);
                }
            }
            Change::Restarted(at) => self.happened(EventKind::Restart, target, *at, &json!({})),
            Change::Deployed(deploy) => {
                let detail = json!({"from": deploy.from, "to": deploy.to});
                self.happened(EventKind::Deploy, target, deploy.at, &detail);
            }
        }
    }

    /// What is known of a service is to be known again after a restart.
    pub(crate) fn remember(&mut self, name: &Name, service: &Service) {
        self.note(SERVICES, name, Some(to_json(service)));
    }

    /// The monitor is there.
    pub(crate) fn alive(&mut self, now: i64) {
        self.note(MONITOR, ALIVE, Some(now.to_string()));
    }

    /// The monitor is there again, after what its last note of that says.
    pub(crate) fn returned(&mut self, now: i64, note: Option<&str>) -> Option<i64> {
        let (alive, end) = note.map(|note| note.split_once(' ').unwrap_or((note, ""))).unwrap_or_default();
        let alive = alive.parse().ok().filter(|alive| now - alive > ALIVE_EVERY + ALIVE_SLACK);
        self.alive(now);
        // Whoever was killed may have run, and could write nothing of that.
        let why = match end {
            STOPPED => "the monitor was not running",
            _ => "the monitor was not running, or could not keep what happened",
        };
        self.gap(alive?, now, why);
        alive
    }

    /// The monitor saw nothing.
    pub(crate) fn gap(&mut self, began: i64, ended: i64, why: &str) {
        self.event(EventKind::Gap, &began.to_string(), None, began, Some(ended), &json!({"why": why}));
    }

    /// Puts what is due into the outbox.
    pub(crate) fn tell(&mut self, now: i64) {
        let due = self.incidents.due(now);
        for id in due.changed {
            self.changed.insert(id, true);
        }
        for (route, message) in due.messages {
            let delivery = Delivery::new(route, message, now);
            let text = to_json(&delivery);
            let id = delivery.id.clone();
            match self.outbox.add(delivery) {
                Added::Kept => self.begin_note(DELIVERIES, &id, text),
                Added::Known => {}
                Added::InPlaceOf(other) => {
                    tracing::error!(id = other.id, "too many messages wait; this one is not sent");
                    self.begin_note(DELIVERIES, &id, text);
                    self.forget(&other.id);
                }
                Added::Refused(_) => tracing::error!(id, "too many messages wait; this one is not sent"),
            }
        }
        for incident in due.closed {
            self.changed.remove(&incident.id);
            self.incident_event(&incident);
            if self.written.remove(&incident.id).is_some() {
                self.note(INCIDENTS, &incident.id, None);
            }
        }
    }

    /// A message has arrived.
    pub(crate) fn delivered(&mut self, id: &str, now: i64) {
        let Some(delivery) = self.outbox.delivered(id) else { return };
        self.forget(id);
        let detail = json!({
            "route": delivery.route, "incident": delivery.message.incident, "kind": delivery.message.kind,
            "attempts": delivery.attempts + 1, "services": delivery.message.services.len(),
        });
        self.event(EventKind::Delivery, id, None, now, Some(now), &detail);
    }

    /// A message has not arrived. `chance` from 0 to 1 spreads those who try again.
    pub(crate) fn not_delivered(&mut self, id: &str, now: i64, why: &Undelivered, chance: f64) {
        match self.outbox.failed(id, now, why, chance) {
            Some(Outcome::Again(delivery)) => self.note(DELIVERIES, id, Some(to_json(&*delivery))),
            Some(Outcome::GivenUp(delivery)) => {
                tracing::error!(id, route = delivery.route, why = why.why, "a message was given up");
                self.forget(id);
                let detail = json!({
                    "route": delivery.route, "incident": delivery.message.incident, "kind": delivery.message.kind,
                    "attempts": delivery.attempts, "given_up": why.why,
                });
                self.event(EventKind::Delivery, id, None, now, Some(now), &detail);
            }
            None => {}
        }
    }

    /// Somebody takes an incident up. False if there is none of that id that goes on.
    pub(crate) fn acknowledge(&mut self, id: &str, by: &str, now: i64) -> bool {
        let is_known = self.incidents.acknowledge(id, by, now);
        if is_known {
            self.changed.insert(id.to_owned(), true);
        }
        is_known
    }

    /// An incident has changed.
    fn incident(&mut self, id: &str) {
        self.changed.entry(id.to_owned()).or_default();
    }

    fn incident_event(&mut self, incident: &Incident) {
        let services: Vec<&str> = incident.members.iter().map(|member| &*member.affected.name).collect();
        let detail = json!({
            "light": incident.worst(), "services": services, "shared": incident.shared(),
            "cause": incident.members.first().map(|member| &member.affected.cause),
            "acknowledged": incident.acknowledged,
        });
        self.event(EventKind::Incident, &incident.id, None, incident.began, incident.ended(), &detail);
    }

    fn outage(
        &mut self,
        target: &Target,
        service: &Service,
        outage: &Outage,
        ended: Option<i64>,
        incident: &str,
    ) {
        let affected = affected(target, service, outage);
        let detail = OutageDetail {
            light: outage.worst,
            cause: outage.cause.clone(),
            failing: outage.failing.clone(),
            excerpt: outage.excerpt.clone(),
            environment: affected.environment,
            traits: traits(target, service),
            deploy: affected.deploy,
            incident: incident.to_owned(),
        };
        let key = format!("{}-{}", outage.began, target.name);
        let detail = serde_json::to_value(detail).unwrap_or_default();
        self.event(EventKind::Outage, &key, Some(&target.name), outage.began, ended, &detail);
    }

    fn happened(&mut self, kind: EventKind, target: &Target, at: i64, detail: &serde_json::Value) {
        self.event(kind, &format!("{at}-{}", target.name), Some(&target.name), at, Some(at), detail);
    }

    fn event(
        &mut self,
        kind: EventKind,
        key: &str,
        service: Option<&Name>,
        began: i64,
        ended: Option<i64>,
        detail: &serde_json::Value,
    ) {
        let (key, service, detail) = (key.into(), service.cloned(), detail.to_string().into());
        self.waiting.fact(Entry::Event(Event { kind, key, service, began, ended, detail }), false);
    }

    fn forget(&mut self, id: &str) {
        self.note(DELIVERIES, id, None);
    }

    fn note(&mut self, topic: &str, key: &str, text: Option<String>) {
        let text = text.map(Into::into);
        self.waiting.fact(Entry::Note(Note { topic: topic.into(), key: key.into(), text }), false);
    }

    /// A note of which there has never been one.
    fn begin_note(&mut self, topic: &str, key: &str, text: String) {
        let text = Some(text.into());
        self.waiting.fact(Entry::Note(Note { topic: topic.into(), key: key.into(), text }), true);
    }

    /// Takes everything that is to be kept together to the history; says how much that was. What the history does not
    /// take comes again the next time.
    pub(crate) fn keep(&mut self, now: i64, history: &dyn HistoryStore) -> Result<usize, ()> {
        self.write_incidents(now);
        if let Some((from, to)) = self.waiting.lost() {
            let key = format!("{}-lost", from * 1000);
            let detail = json!({"why": "the history took nothing, and readings had to be given up"});
            self.event(EventKind::Gap, &key, None, from * 1000, Some(to * 1000), &detail);
        }
        self.waiting.give(|entries| history.append(entries))
    }

    /// Nothing comes after this: whatever has changed is written down, and that the monitor was stopped.
    pub(crate) fn close(&mut self, now: i64) {
        self.note(MONITOR, ALIVE, Some(format!("{now} {STOPPED}")));
        self.changed.values_mut().for_each(|at_once| *at_once = true);
    }

    fn write_incidents(&mut self, now: i64) {
        for (id, at_once) in std::mem::take(&mut self.changed) {
            let Some(incident) = self.incidents.find(&id) else { continue };
            let rest = incident.members.len() as i64 * REST_FOR_EACH;
            let is_resting = |until: &i64| (1..=rest).contains(&until.saturating_sub(now));
            if !at_once && self.written.get(&id).is_some_and(is_resting) {
                self.changed.insert(id, false);
                continue;
            }
            let (incident, text) = (incident.clone(), to_json(incident));
            self.incident_event(&incident);
            match self.written.insert(id.clone(), now + rest) {
                Some(_) => self.note(INCIDENTS, &id, Some(text)),
                None => self.begin_note(INCIDENTS, &id, text),
            }
        }
    }

    /// Entries that the history has not been given yet.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Readings and events that were given up.
    pub(crate) const fn dropped(&self) -> (u64, u64) {
        (self.waiting.dropped_readings, self.waiting.dropped_events)
    }
}

/// JSON of what has no maps with keys other than text, and can therefore not fail.
fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn affected(target: &Target, service: &Service, outage: &Outage) -> Affected {
    let deploy = service.deploy.clone().filter(|deploy| outage.began - deploy.at <= DEPLOY_MATTERS);
    let now = now_of(service, outage);
    Affected {
        name: target.name.to_string(),
        environment: target.environment.clone().or_else(|| service.about.environment.clone()),
        light: outage.worst,
        now: (now < outage.worst).then_some(now),
        began: outage.began,
        ended: None,
        cause: outage.cause.clone(),
        failing: outage.failing.clone(),
        excerpt: outage.excerpt.clone(),
        deploy,
    }
}

/// How bad it is now, as far as that is known.
fn now_of(service: &Service, outage: &Outage) -> Letter {
    service.light.map_or(outage.worst, Letter::from)
}

/// What others may have in common with a service.
fn traits(target: &Target, service: &Service) -> Vec<String> {
    let host = target.host();
    let address = service.address.as_deref().filter(|address| *address != host);
    let failing = service.parts.iter().filter(|(_, light)| *light != Letter::G);
    let mut traits = vec![format!("host {host}")];
    traits.extend(address.map(|address| format!("address {address}")));
    traits.extend(failing.map(|(name, _)| format!("dependency {name}")));
    traits
}

#[cfg(test)]
mod tests;
