//! What a route is told of an incident, and when.

use super::super::message::{Affected, Message, MessageKind};
use super::super::rules::Route;
use super::{Incident, Incidents, Member, Told};
use crate::service::Letter;

/// How long nobody has to join before the first message goes out, unless the route waits for less.
const SETTLED: i64 = 10_000;
/// The first message waits for joiners no longer than so many times what the route waits.
const LONGEST_WAIT: i64 = 4;
/// The longest that is waited from one reminder to the next.
const RAREST_REMINDER: i64 = 24 * 3_600_000;

impl Incidents {
    /// What a route is told next of an incident as it stands, and when.
    pub(super) fn next(&self, incident: &Incident, route: &Route, now: i64) -> Option<(MessageKind, i64)> {
        let members = || incident.members.iter();
        let told = incident.told.get(&route.name);
        let news = || members().filter(|member| route.is_for(&member.affected) && is_news(told, member));
        let first = news().filter_map(|member| self.ripe(member, route, now)).min();
        let quiet = |at: i64| route.quiet_until(at.max(now)).unwrap_or(at);
        let Some(told) = told.filter(|told| !told.is_over) else {
            let first = first?;
            let joined = news().map(|member| member.joined.max(member.turned)).max().unwrap_or(first);
            let settled = joined + SETTLED.min(route.group_wait);
            let at = (first + route.group_wait).max(settled).min(first + LONGEST_WAIT * route.group_wait);
            return Some((MessageKind::Opened, quiet(at)));
        };
        let told_out =
            || members().filter(|member| !told.is_news(&member.affected.name) && member.affected.is_out());
        // Who may not be told of now begins anew once it may be.
        let is_waited_for = first.is_some_and(|ripe| ripe <= now) && route.quiet_until(now).is_none();
        if told_out().next().is_none() && !is_waited_for {
            return Some((MessageKind::Resolved, now));
        }
        // Of those that are well one after the other the others soon follow.
        let better = members().filter(|member| told.is_better(&member.affected));
        let better = better.filter_map(|member| member.affected.ended).max();
        let better = better.map(|ended| ended + route.group_interval.max(SETTLED));
        let updated = first.into_iter().chain(better).min();
        let updated =
            updated.map(|at| (MessageKind::Updated, quiet(at.max(told.last + route.group_interval))));
        let remind = route.remind.filter(|_| incident.acknowledged.is_none());
        let reminded = remind.and_then(|first| {
            let wait = first.saturating_mul(1 << told.reminders.min(20)).min(RAREST_REMINDER.max(first));
            let due = (told.last + wait).max(now);
            // Somebody who works on it needs no reminder.
            let free = told_out().map(|member| self.maintained_until(&member.affected.name, due)).min()?;
            Some((MessageKind::Reminder, quiet(free.unwrap_or(told.last + wait))))
        });
        updated.into_iter().chain(reminded).min_by_key(|(_, at)| *at)
    }

    /// When an outage that goes on may be told of; `None` if it is over.
    fn ripe(&self, member: &Member, route: &Route, now: i64) -> Option<i64> {
        let ripe = ripe(member, route);
        let until = || self.maintained_until(&member.affected.name, ripe.max(now));
        member.affected.is_out().then(|| until().map_or(ripe, |end| ripe.max(end)))
    }

    /// Whether an outage is over that would have been told, had not something else been told just before.
    fn is_missed(&self, member: &Member, route: &Route, told: &Told) -> bool {
        let ripe = ripe(member, route);
        let is_late = |ended: i64| ended > ripe && told.opened.is_some_and(|opened| ended > opened);
        member.affected.ended.is_some_and(is_late)
            && self.maintained_until(&member.affected.name, ripe).is_none()
            && route.quiet_until(ripe).is_none()
    }

    /// Until when a service is under maintenance, if it is then.
    fn maintained_until(&self, name: &str, at: i64) -> Option<i64> {
        self.maintenance.iter().filter(|one| one.covers(name, at)).map(|one| one.to).max()
    }

    /// What a message of that kind says of a member, if it is named in it.
    fn named<'a>(
        &self,
        member: &'a Member,
        route: &Route,
        told: Option<&'a Told>,
        kind: MessageKind,
        now: i64,
    ) -> Option<&'a Affected> {
        let affected = &member.affected;
        let is_worked_on = affected.is_out() && self.maintained_until(&affected.name, now).is_some();
        if told.is_some_and(|told| !told.is_news(&affected.name)) {
            // Whoever was told of always is.
            return (kind != MessageKind::Reminder || !is_worked_on).then_some(affected);
        }
        let is_meant = route.is_for(affected)
            && match kind {
                MessageKind::Resolved => told.is_some_and(|told| self.is_missed(member, route, told)),
                _ => affected.is_out() && !is_worked_on,
            };
        // Otherwise what it was told of is over.
        if is_meant { Some(affected) } else { told?.anew.get(&affected.name) }
    }

    pub(super) fn message(&self, incident: &Incident, route: &Route, kind: MessageKind, now: i64) -> Message {
        let told = incident.told.get(&route.name);
        let members = incident.members.iter();
        let services: Vec<Affected> =
            members.filter_map(|member| self.named(member, route, told, kind, now)).cloned().collect();
        let is_new = |one: &Affected| one.is_out() && told.is_none_or(|told| told.is_news(&one.name));
        let before = told.and_then(|told| told.light);
        let light = services.iter().map(|affected| affected.light).chain(before).max().unwrap_or(Letter::G);
        let current = services.iter().map(Affected::current).max().unwrap_or(Letter::G);
        let count = told.map_or(0, |told| told.messages);
        let id = format!("{}/{}/{count}-{now}", incident.id, route.name);
        let began = services.iter().map(|affected| affected.began).chain(told.and_then(|told| told.began));
        Message {
            first: if count == 0 { Some(id.clone()) } else { told.and_then(|told| told.first.clone()) },
            id,
            incident: incident.id.clone(),
            kind,
            light,
            now: (kind != MessageKind::Resolved && current < light).then_some(current),
            is_better: kind == MessageKind::Updated && !services.iter().any(is_new),
            began: began.min().unwrap_or(incident.began),
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

fn is_news(told: Option<&Told>, member: &Member) -> bool {
    told.is_none_or(|told| told.is_news(&member.affected.name))
}

/// When an outage may be told of, unless somebody works on it.
fn ripe(member: &Member, route: &Route) -> i64 {
    member.joined.max(member.turned).max(member.affected.began + route.after)
}
