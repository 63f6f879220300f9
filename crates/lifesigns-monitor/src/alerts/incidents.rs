//! From outages to incidents, and from incidents to messages: one for what belongs together.
//!
//! Pure: outages come in with their times, and whoever has the time asks what is due. An incident that goes on is kept
//! as JSON and given to [`Incidents::restore`] after a restart.

mod told;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::told::Told;
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
                    let name = &known.affected.name;
                    for told in incident.told.values_mut().filter(|told| told.names.contains(name)) {
                        told.well.remove(name);
                        told.anew.insert(name.clone());
                    }
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

    /// What a route is told next of an incident as it stands, and when.
    fn next(&self, incident: &Incident, route: &Route, now: i64) -> Option<(MessageKind, i64)> {
        let told = incident.told.get(&route.name);
        let concerned = || incident.members.iter().filter(|member| route.is_for(&member.affected));
        if let Some(told) = told.filter(|told| !told.is_over) {
            if concerned().all(|member| member.affected.ended.is_some()) {
                return Some((MessageKind::Resolved, now));
            }
            let quiet = |at: i64| route.quiet_until(at.max(now)).unwrap_or(at);
            let more = concerned().filter(|member| told.is_news(&member.affected.name));
            let more = more.filter_map(|member| self.ripe(member, route, now)).min();
            // Of those that are well one after the other the others soon follow.
            let better = concerned().filter(|member| told.is_better(&member.affected));
            let better = better.filter_map(|member| member.affected.ended).max();
            let better = better.map(|ended| ended + route.group_interval.max(SETTLED));
            let updated = more.into_iter().chain(better).min();
            let updated =
                updated.map(|at| (MessageKind::Updated, quiet(at.max(told.last + route.group_interval))));
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
        let ripe = concerned().filter(|member| told.is_none_or(|told| told.is_news(&member.affected.name)));
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
        let ripe = ripe(member, route);
        Some(self.maintained_until(&affected.name, ripe.max(now)).map_or(ripe, |end| ripe.max(end)))
    }

    /// Whether an outage is over that would have been told, had not something else been told just before.
    fn is_missed(&self, member: &Member, route: &Route, opened: i64) -> bool {
        let ripe = ripe(member, route);
        member.affected.ended.is_some_and(|ended| ended > ripe && ended > opened)
            && self.maintained_until(&member.affected.name, ripe).is_none()
            && route.quiet_until(ripe).is_none()
    }

    /// Until when a service is under maintenance, if it is then.
    fn maintained_until(&self, name: &str, at: i64) -> Option<i64> {
        self.maintenance.iter().filter(|one| one.covers(name, at)).map(|one| one.to).max()
    }

    fn message(&self, incident: &Incident, route: &Route, kind: MessageKind, now: i64) -> Message {
        let told = incident.told.get(&route.name);
        let concerned = || incident.members.iter().filter(|member| route.is_for(&member.affected));
        let is_worked_on = |affected: &Affected| {
            affected.ended.is_none() && self.maintained_until(&affected.name, now).is_some()
        };
        let is_meant = |member: &&Member| {
            let affected = &member.affected;
            let is_told = told.is_some_and(|told| told.names.contains(&affected.name));
            match kind {
                MessageKind::Reminder if is_worked_on(affected) => false,
                // Whoever was told of always is.
                _ if is_told => true,
                MessageKind::Resolved => told
                    .and_then(|told| told.opened)
                    .is_some_and(|opened| self.is_missed(member, route, opened)),
                _ => affected.ended.is_none() && !is_worked_on(affected),
            }
        };
        let services: Vec<Affected> =
            concerned().filter(is_meant).map(|member| member.affected.clone()).collect();
        let is_more =
            services.iter().any(|one| one.ended.is_none() && told.is_none_or(|told| told.is_news(&one.name)));
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
            is_better: kind == MessageKind::Updated && !is_more,
            began: services
                .iter()
                .map(|affected| affected.began)
                .chain(told.and_then(|told| told.began))
                .min()
                .unwrap_or(incident.began),
            at: match kind {
                // Also of those that were well again before anybody was told.
                MessageKind::Resolved => {
                    concerned().filter_map(|one| one.affected.ended).max().unwrap_or(now)
                }
                _ => now,
            },
            services,
            shared: incident.shared(),
            endangered: self.endangered(incident),
            link: self.setup.link.as_ref().map(|link| format!("{link}/incidents/{}", incident.id)),
        }
    }
}

/// When an outage may be told of, unless somebody works on it.
fn ripe(member: &Member, route: &Route) -> i64 {
    member.joined.max(member.affected.began + route.after)
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
