//! From outages to incidents, and from incidents to messages: one for what belongs together.
//!
//! Pure: outages come in with their times, and whoever has the time asks what is due. An incident that goes on is kept
//! as JSON and given to [`Incidents::restore`] after a restart.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::message::{Affected, Message, MessageKind};
use super::rules::{Maintenance, Route};
use crate::service::{Letter, Name};

const DAY: i64 = 24 * 3_600_000;
/// How long nobody has to join before the first message goes out, unless the route waits for less.
const SETTLED: i64 = 10_000;
/// The first message waits for joiners no longer than so many times what the route waits.
const LONGEST_WAIT: i64 = 4;
/// Outages join one another for so many times the time of a cascade.
const LONGEST_CASCADE: i64 = 4;
/// Fewer outages than this show nothing by what they have in common.
const FEWEST_ALIKE: usize = 3;
/// The longest that is waited from one reminder to the next.
const RAREST_REMINDER: i64 = DAY;

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
    /// What others may have in common with it: `host 10.0.0.7`, `dependency db`.
    pub traits: Vec<String>,
}

/// What one route has been told.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Told {
    /// Messages so far.
    pub messages: u32,
    /// The id of the first one.
    #[serde(default)]
    pub first: Option<String>,
    /// Of whom.
    pub names: BTreeSet<String>,
    /// When there was the last message, in milliseconds since 1970.
    pub last: i64,
    /// Reminders since something new was said.
    pub reminders: u32,
    /// Whether it has been told that it is over.
    pub is_over: bool,
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
        self.members.iter().map(|member| member.affected.light).max().unwrap_or(Letter::G)
    }

    /// What at least four of five of its services, and two, have in common.
    pub fn shared(&self) -> Vec<String> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for member in &self.members {
            let distinct: BTreeSet<&str> = member.traits.iter().map(String::as_str).collect();
            distinct.into_iter().for_each(|one| *counts.entry(one).or_default() += 1);
        }
        let enough = (self.members.len() * 4).div_ceil(5).max(2);
        counts.into_iter().filter(|(_, count)| *count >= enough).map(|(one, _)| one.to_owned()).collect()
    }
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
        let member = Member { affected, joined: now, traits };
        if let Some(index) = found {
            let incident = &mut self.open[index];
            incident.joined = now;
            match incident.members.iter_mut().find(|one| one.affected.name == member.affected.name) {
                // It was out before, and is again.
                Some(known) => {
                    let (before, now) = (known.affected.light, member.affected.current());
                    *known = member;
                    known.affected.light = before.max(known.affected.light);
                    known.affected.turn(now);
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
            told,
            acknowledged,
        });
        id
    }

    /// An outage is otherwise than before, better or worse. Gives the incident.
    pub fn changed(&mut self, name: &str, now: Letter, cause: &str) -> Option<String> {
        let (id, affected) = self.current(name)?;
        affected.turn(now);
        cause.clone_into(&mut affected.cause);
        Some(id)
    }

    /// A service is green again. Gives the incident.
    pub fn ended(&mut self, now: i64, name: &str) -> Option<String> {
        let (id, affected) = self.current(name)?;
        (affected.ended, affected.now) = (Some(now), None);
        Some(id)
    }

    /// Somebody has taken an incident up: there are no reminders any more. False if there is none of that id.
    pub fn acknowledge(&mut self, id: &str, by: &str, now: i64) -> bool {
        let Some(incident) = self.open.iter_mut().find(|incident| incident.id == id) else { return false };
        incident.acknowledged = Some(Acknowledgement { by: by.to_owned(), at: now });
        true
    }

    fn current(&mut self, name: &str) -> Option<(String, &mut Affected)> {
        self.open.iter_mut().rev().find_map(|incident| {
            let id = &incident.id;
            let mut members = incident.members.iter_mut().map(|member| &mut member.affected);
            let found = members.find(|affected| affected.name == name && affected.ended.is_none())?;
            Some((id.clone(), found))
        })
    }

    /// Which incident a new outage is part of: the one that began just now, one that it depends on or that depends on
    /// it, or one all of which has something in common with it.
    fn place_for(&self, now: i64, name: &str, traits: &[String]) -> Option<usize> {
        let related = self.related(name);
        let is_place = |incident: &Incident| {
            if incident.is_over() {
                return false;
            }
            let is_known = || incident.members.iter().any(|member| member.affected.name == name);
            // Each that joins lets others join, and not for ever.
            let is_near = now - incident.joined <= self.setup.cascade
                && now - incident.began <= LONGEST_CASCADE * self.setup.cascade;
            let is_declared = || {
                let mut out = incident.members.iter().filter(|member| member.affected.ended.is_none());
                !related.is_empty() && out.any(|member| related.contains(&*member.affected.name))
            };
            let is_alike = || {
                incident.members.len() >= FEWEST_ALIKE
                    && incident.shared().iter().any(|shared| traits.contains(shared))
            };
            is_near || is_known() || is_declared() || is_alike()
        };
        self.open.iter().rposition(is_place)
    }

    /// What a service depends on, and what depends on it, however far.
    fn related(&self, name: &str) -> HashSet<&str> {
        let mut related = reach(&self.setup.depends_on, name);
        related.extend(reach(&self.dependents, name));
        related
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

    /// What a route is told next of an incident as it stands, and when.
    fn next(&self, incident: &Incident, route: &Route, now: i64) -> Option<(MessageKind, i64)> {
        let told = incident.told.get(&route.name);
        let concerned = || incident.members.iter().filter(|member| route.is_for(&member.affected));
        if let Some(told) = told.filter(|told| !told.is_over) {
            if concerned().all(|member| member.affected.ended.is_some()) {
                return Some((MessageKind::Resolved, now));
            }
            let quiet = |at: i64| route.quiet_until(at.max(now)).unwrap_or(at);
            let more = concerned().filter(|member| !told.names.contains(&member.affected.name));
            let more = more.filter_map(|member| self.ripe(member, route, now)).min();
            let updated =
                more.map(|ripe| (MessageKind::Updated, quiet(ripe.max(told.last + route.group_interval))));
            let remind = route.remind.filter(|_| incident.acknowledged.is_none());
            let reminded = remind.and_then(|first| {
                let wait = first.saturating_mul(1 << told.reminders.min(20)).min(RAREST_REMINDER.max(first));
                let due = (told.last + wait).max(now);
                // Somebody who works on it needs no reminder.
                let out = concerned().filter(|member| member.affected.ended.is_none());
                let free = out.map(|member| self.maintained_until(&member.affected.name, due)).min()?;
                Some((MessageKind::Reminder, quiet(free.unwrap_or(told.last + wait))))
            });
            return updated.into_iter().chain(reminded).min_by_key(|(_, at)| *at);
        }
        let ripe =
            concerned().filter(|member| !told.is_some_and(|told| told.names.contains(&member.affected.name)));
        let first = ripe.filter_map(|member| self.ripe(member, route, now)).min()?;
        let settled = incident.joined + SETTLED.min(route.group_wait);
        let at = (first + route.group_wait).max(settled).min(first + LONGEST_WAIT * route.group_wait);
        Some((MessageKind::Opened, route.quiet_until(at.max(now)).unwrap_or(at)))
    }

    /// When an outage that goes on may be told of; `None` if it is over.
    fn ripe(&self, member: &Member, route: &Route, now: i64) -> Option<i64> {
        let affected = &member.affected;
        if affected.ended.is_some() {
            return None;
        }
        let ripe = member.joined.max(affected.began + route.after);
        Some(self.maintained_until(&affected.name, ripe.max(now)).map_or(ripe, |end| ripe.max(end)))
    }

    /// Until when a service is under maintenance, if it is then.
    fn maintained_until(&self, name: &str, at: i64) -> Option<i64> {
        self.maintenance.iter().filter(|one| one.covers(name, at)).map(|one| one.to).max()
    }

    fn message(&self, incident: &Incident, route: &Route, kind: MessageKind, now: i64) -> Message {
        let told = incident.told.get(&route.name);
        let names = |affected: &Affected| told.is_some_and(|told| told.names.contains(&affected.name));
        // Whoever was well again before anybody was told is not told of; whoever was told of always is.
        let is_worked_on = |affected: &Affected| {
            kind == MessageKind::Reminder
                && affected.ended.is_none()
                && self.maintained_until(&affected.name, now).is_some()
        };
        let is_meant = |affected: &&Affected| {
            route.is_for(affected)
                && !is_worked_on(affected)
                && (names(affected) || (kind != MessageKind::Resolved && affected.ended.is_none()))
        };
        let services: Vec<Affected> =
            incident.members.iter().map(|member| &member.affected).filter(is_meant).cloned().collect();
        let light = services.iter().map(|affected| affected.light).max().unwrap_or(Letter::G);
        let current = services.iter().map(Affected::current).max().unwrap_or(Letter::G);
        let count = told.map_or(0, |told| told.messages);
        let id = format!("{}/{}/{count}-{now}", incident.id, route.name);
        Message {
            first: if count == 0 { Some(id.clone()) } else { told.and_then(|told| told.first.clone()) },
            id,
            incident: incident.id.clone(),
            kind,
            light,
            now: (kind != MessageKind::Resolved && current < light).then_some(current),
            began: services.iter().map(|affected| affected.began).min().unwrap_or(incident.began),
            at: match kind {
                MessageKind::Resolved => services.iter().filter_map(|one| one.ended).max().unwrap_or(now),
                _ => now,
            },
            services,
            shared: incident.shared(),
            endangered: self.endangered(incident),
            link: self.setup.link.as_ref().map(|link| format!("{link}/incidents/{}", incident.id)),
        }
    }
}

impl Told {
    fn tell(&mut self, message: &Message) {
        self.messages += 1;
        self.first.clone_from(&message.first);
        self.last = message.at;
        match message.kind {
            MessageKind::Reminder => self.reminders += 1,
            MessageKind::Opened | MessageKind::Updated => self.reminders = 0,
            MessageKind::Resolved => {}
        }
        self.is_over = message.kind == MessageKind::Resolved;
        if self.is_over {
            // Whoever of them is out again is news.
            self.names.clear();
        } else {
            self.names.extend(message.services.iter().map(|affected| affected.name.clone()));
        }
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
