//! From outages to incidents, and from incidents to messages: one for what belongs together.
//!
//! Pure: outages come in with their times, and whoever has the time asks what is due. An incident that goes on is kept
//! as JSON and given to [`Incidents::restore`] after a restart.

mod telling;
mod told;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::told::Told;
use super::message::{Affected, Message};
use super::rules::{Maintenance, Route};
use crate::service::{Letter, Name};

/// Outages join one another for so many times the time of a cascade.
const LONGEST_CASCADE: i64 = 4;
/// Fewer outages than this show nothing by what they have in common.
const FEWEST_ALIKE: usize = 3;

/// Outages that belong together.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Incident {
    /// Unique for ever: when it began, and whom it began with.
    pub id: String,
    /// When it began, in milliseconds since 1970.
    pub began: i64,
    /// When the last service joined.
    pub joined: i64,
    /// The outages, in the order in which they joined.
    pub members: Vec<Member>,
    /// How bad outages of members got that have gone out anew since.
    #[serde(default)]
    pub before: Option<Letter>,
    /// Who has been told what, by the name of the route.
    pub told: BTreeMap<String, Told>,
    /// Who has taken it up, if somebody has.
    pub acknowledged: Option<Acknowledgement>,
}

/// One service of an incident.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Member {
    /// What happened to it.
    pub affected: Affected,
    /// When it joined, in milliseconds since 1970.
    pub joined: i64,
    /// When it got as bad as it has got.
    #[serde(default)]
    pub turned: i64,
    /// What others may have in common with it: `host 10.0.0.7`, `dependency db`.
    pub traits: Vec<String>,
}

/// Somebody has taken an incident up.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Acknowledgement {
    /// Who, as they call themselves.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub at: i64,
}

impl Incident {
    /// Whether every service is green again.
    pub fn is_over(&self) -> bool {
        self.members.iter().all(|member| member.affected.ended.is_some())
    }

    /// When the last service was green again; `None` while one is not.
    pub fn ended(&self) -> Option<i64> {
        let ends = self.members.iter().map(|member| member.affected.ended);
        ends.collect::<Option<Vec<i64>>>()?.into_iter().max()
    }

    /// How bad it got.
    pub fn worst(&self) -> Letter {
        let lights = self.members.iter().map(|member| member.affected.light);
        lights.chain(self.before).max().unwrap_or(Letter::G)
    }

    /// What at least four of five of its services, and two, have in common.
    pub fn shared(&self) -> Vec<String> {
        shared(self.members.iter())
    }
}

fn shared<'a>(members: impl Iterator<Item = &'a Member>) -> Vec<String> {
    let (mut counts, mut all) = (BTreeMap::<&str, usize>::new(), 0_usize);
    for member in members {
        let distinct: BTreeSet<&str> = member.traits.iter().map(String::as_str).collect();
        distinct.into_iter().for_each(|one| *counts.entry(one).or_default() += 1);
        all += 1;
    }
    let enough = (all * 4).div_ceil(5).max(2);
    counts.into_iter().filter(|(_, count)| *count >= enough).map(|(one, _)| one.to_owned()).collect()
}

/// What is set once.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Who is told of what.
    pub routes: Vec<Route>,
    /// What each service depends on, as declared.
    pub depends_on: HashMap<Name, Vec<Name>>,
    /// Outages that begin within so many milliseconds belong together. Default 90 s.
    pub cascade: i64,
    /// Where incidents can be looked at: `{link}/incidents/{id}`.
    pub link: Option<String>,
}

/// All incidents that go on, and who is to be told.
#[derive(Debug, Default)]
pub struct Incidents {
    setup: Setup,
    dependents: HashMap<Name, Vec<Name>>,
    open: Vec<Incident>,
    /// When somebody is not to be told of outages.
    pub maintenance: Vec<Maintenance>,
}

/// What has become due.
#[derive(Debug, Default, PartialEq)]
pub struct Due {
    /// Messages, each with the name of its route.
    pub messages: Vec<(String, Message)>,
    /// Incidents that have changed by that.
    pub changed: Vec<String>,
    /// Incidents that are over, and of which everybody knows it.
    pub closed: Vec<Incident>,
}

impl Incidents {
    /// None yet.
    pub fn new(setup: Setup) -> Incidents {
        let mut dependents: HashMap<Name, Vec<Name>> = HashMap::new();
        for (service, needed) in &setup.depends_on {
            for one in needed {
                dependents.entry(Arc::clone(one)).or_default().push(Arc::clone(service));
            }
        }
        Incidents { setup, dependents, open: Vec::new(), maintenance: Vec::new() }
    }

    /// Takes up an incident that went on when the process before this one ended.
    pub fn restore(&mut self, incident: Incident) {
        self.open.push(incident);
    }

    /// The incidents that go on.
    pub fn open(&self) -> &[Incident] {
        &self.open
    }

    /// How many outages have joined an incident since then, and go on.
    pub fn began_since(&self, at: i64) -> usize {
        let members = self.open.iter().flat_map(|incident| &incident.members);
        members.filter(|member| member.joined >= at && member.affected.ended.is_none()).count()
    }

    /// The incident of that id.
    pub fn find(&self, id: &str) -> Option<&Incident> {
        self.open.iter().find(|incident| incident.id == id)
    }

    /// A service is out. Gives the id of the incident that it is part of.
    pub fn began(&mut self, now: i64, affected: Affected, traits: Vec<String>) -> String {
        let found = self.place_for(now, &affected.name, &traits);
        let member = Member { affected, joined: now, turned: now, traits };
        if let Some(index) = found {
            let incident = &mut self.open[index];
            incident.joined = now;
            match incident.members.iter_mut().find(|one| one.affected.name == member.affected.name) {
                // It was out before, and is again.
                Some(known) => {
                    incident.before = incident.before.max(Some(known.affected.light));
                    incident.told.values_mut().for_each(|told| told.goes_out_anew(&known.affected));
                    *known = member;
                }
                None => incident.members.push(member),
            }
            return incident.id.clone();
        }
        let id = format!("{}-{}", member.affected.began, member.affected.name);
        let began = member.affected.began;
        let (told, acknowledged) = (BTreeMap::new(), None);
        self.open.push(Incident {
            id: id.clone(),
            began,
            joined: now,
            members: vec![member],
            before: None,
            told,
            acknowledged,
        });
        id
    }

    /// An outage is otherwise than before, better or worse. Gives the incident.
    pub fn changed(&mut self, at: i64, name: &str, now: Letter, cause: &str) -> Option<String> {
        let (id, member) = self.current(name)?;
        if now > member.affected.light {
            member.turned = at;
        }
        member.affected.turn(now);
        cause.clone_into(&mut member.affected.cause);
        Some(id)
    }

    /// A service is green again. Gives the incident.
    pub fn ended(&mut self, now: i64, name: &str) -> Option<String> {
        let (id, member) = self.current(name)?;
        (member.affected.ended, member.affected.now) = (Some(now), None);
        Some(id)
    }

    /// Somebody has taken an incident up: there are no reminders any more. False if there is none of that id.
    pub fn acknowledge(&mut self, id: &str, by: &str, now: i64) -> bool {
        let Some(incident) = self.open.iter_mut().find(|incident| incident.id == id) else { return false };
        incident.acknowledged = Some(Acknowledgement { by: by.to_owned(), at: now });
        true
    }

    fn current(&mut self, name: &str) -> Option<(String, &mut Member)> {
        self.open.iter_mut().rev().find_map(|incident| {
            let is_it = |member: &&mut Member| member.affected.name == name && member.affected.is_out();
            Some((incident.id.clone(), incident.members.iter_mut().find(is_it)?))
        })
    }

    /// Which incident a new outage is part of: one that began just now, one that it was part of just now, one of
    /// something that it depends on, or one that still grows and all of which has something in common with it.
    fn place_for(&self, now: i64, name: &str, traits: &[String]) -> Option<usize> {
        let needed = reach(&self.setup.depends_on, name);
        let lately = LONGEST_CASCADE * self.setup.cascade;
        let is_place = |incident: &Incident| {
            if incident.is_over() {
                return false;
            }
            let out = || incident.members.iter().filter(|member| member.affected.ended.is_none());
            // Each that joins lets others join, and not for ever.
            let is_near = now - incident.joined <= self.setup.cascade && now - incident.began <= lately;
            let is_known = || {
                let mut members = incident.members.iter().map(|member| &member.affected);
                let ended =
                    members.find(|affected| affected.name == name).and_then(|affected| affected.ended);
                ended.is_some_and(|ended| now - ended <= lately)
            };
            // What is out because of it would be out already.
            let is_declared = || out().any(|member| needed.contains(&*member.affected.name));
            let is_alike = || {
                now - incident.joined <= lately
                    && out().count() >= FEWEST_ALIKE
                    && shared(out()).iter().any(|shared| traits.contains(shared))
            };
            is_near || is_known() || is_declared() || is_alike()
        };
        self.open.iter().rposition(is_place)
    }

    /// Services that depend on these, and are not among them.
    fn endangered(&self, incident: &Incident) -> Vec<String> {
        let out: HashSet<&str> = incident.members.iter().map(|member| &*member.affected.name).collect();
        let all: BTreeSet<&str> = out.iter().flat_map(|name| reach(&self.dependents, name)).collect();
        all.into_iter().filter(|name| !out.contains(name)).map(str::to_owned).collect()
    }

    /// What is to be told now. What it gives is never given again.
    pub fn due(&mut self, now: i64) -> Due {
        let mut due = Due::default();
        let mut open = std::mem::take(&mut self.open);
        for incident in &mut open {
            let mut has_changed = false;
            for route in &self.setup.routes {
                let Some(kind) =
                    self.next(incident, route, now).filter(|(_, at)| *at <= now).map(|(kind, _)| kind)
                else {
                    continue;
                };
                let message = self.message(incident, route, kind, now);
                let told = incident.told.entry(route.name.clone()).or_default();
                told.tell(&message);
                due.messages.push((route.name.clone(), message));
                has_changed = true;
            }
            if has_changed {
                due.changed.push(incident.id.clone());
            }
        }
        for incident in open {
            let waits = self.setup.routes.iter().any(|route| self.next(&incident, route, now).is_some());
            if incident.is_over() && !waits { due.closed.push(incident) } else { self.open.push(incident) }
        }
        due
    }

    /// When there is something to be told next, in milliseconds since 1970.
    pub fn next_due(&self, now: i64) -> Option<i64> {
        let routes =
            |incident| self.setup.routes.iter().filter_map(move |route| self.next(incident, route, now));
        let closing = self.open.iter().filter(|incident| incident.is_over()).map(|_| now);
        self.open.iter().flat_map(routes).map(|(_, at)| at).chain(closing).min()
    }
}

fn reach<'a>(edges: &'a HashMap<Name, Vec<Name>>, from: &str) -> HashSet<&'a str> {
    let mut reached: HashSet<&str> = HashSet::new();
    let mut waiting: Vec<&str> = edges.get(from).into_iter().flatten().map(|name| &**name).collect();
    while let Some(name) = waiting.pop() {
        if reached.insert(name) {
            waiting.extend(edges.get(name).into_iter().flatten().map(|name| &**name));
        }
    }
    reached
}

#[cfg(test)]
mod tests;
