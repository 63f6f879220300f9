//! What rules would have sent of outages that there were.
//!
//! Pure, as the rules are: the events of a history come in, messages with their times come out. A history knows when an
//! outage began and ended and how bad it got. So each is told of as if it had been so bad from its beginning, a little
//! earlier than it would be believed, and as if nobody had taken it up.

use lifesigns_model::history::{Event, EventKind};

use super::incidents::{Due, Incidents, Setup};
use super::message::{Affected, Message};
use super::rules::Maintenance;
use crate::desk::OutageDetail;

/// A message that would have been sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// By which route.
    pub route: String,
    /// What.
    pub message: Message,
}

/// What would have been sent from one time until another, both in milliseconds since 1970, in the order of time. Events
/// other than outages are left out, and outages of which too little is known are, too.
pub fn replay(
    setup: Setup,
    maintenance: Vec<Maintenance>,
    events: &[Event],
    from: i64,
    until: i64,
) -> Vec<Replayed> {
    let mut incidents = Incidents::new(setup);
    incidents.maintenance = maintenance;
    let mut play = Play { incidents, now: i64::MIN, told: Vec::new() };
    for step in steps(events) {
        if step.at() > until {
            break;
        }
        play.until(step.at());
        match step {
            Step::Ends(at, name) => {
                play.incidents.ended(at, &name);
            }
            Step::Begins(affected, traits) => {
                play.incidents.began(affected.began, affected, traits);
            }
        }
    }
    play.until(until);
    play.told.retain(|told| (from..=until).contains(&told.at));
    play.told
}

/// The rules, and how far they have been played.
struct Play {
    incidents: Incidents,
    now: i64,
    told: Vec<Replayed>,
}

impl Play {
    /// Tells all that is due until then, each at its time.
    fn until(&mut self, end: i64) {
        while let Some(at) = self.incidents.next_due(self.now).filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let due = self.incidents.due(self.now);
            if due == Due::default() && self.incidents.next_due(self.now).is_none_or(|at| at <= self.now) {
                break;
            }
            let at = self.now;
            let told = due.messages.into_iter();
            self.told.extend(told.map(|(route, message)| Replayed { at, route, message }));
        }
        self.now = self.now.max(end);
    }
}

/// Something that happened to a service.
enum Step {
    Ends(i64, String),
    Begins(Affected, Vec<String>),
}

impl Step {
    fn at(&self) -> i64 {
        match self {
            Step::Ends(at, _) => *at,
            Step::Begins(affected, _) => affected.began,
        }
    }
}

/// Beginnings and ends in the order of time. What ends when something begins ends first.
fn steps(events: &[Event]) -> Vec<Step> {
    let mut steps = Vec::with_capacity(events.len() * 2);
    for event in events.iter().filter(|event| event.kind == EventKind::Outage) {
        let detail = serde_json::from_str::<OutageDetail>(&event.detail);
        let (Some(name), Ok(detail)) = (&event.service, detail) else { continue };
        // One without a length is over before anybody could be told.
        if event.ended.is_some_and(|ended| ended <= event.began) {
            continue;
        }
        let OutageDetail { light, cause, failing, excerpt, environment, traits, deploy, incident: _ } =
            detail;
        let (name, began, ended) = (name.to_string(), event.began, None);
        steps.extend(event.ended.map(|at| Step::Ends(at, name.clone())));
        let now = None;
        let affected =
            Affected { name, environment, light, now, began, ended, cause, failing, excerpt, deploy };
        steps.push(Step::Begins(affected, traits));
    }
    steps.sort_by_key(|step| (step.at(), matches!(step, Step::Begins(..))));
    steps
}

#[cfg(test)]
mod tests {
    use super::super::message::MessageKind::{self, Opened, Reminder, Resolved, Updated};
    use super::super::rules::{Pattern, Route};
    use super::*;
    use crate::service::Letter;

    const MINUTE: i64 = 60_000;

    fn outage(name: &str, light: Letter, began: i64, ended: Option<i64>) -> Event {
        let detail = OutageDetail {
            light,
            cause: "does not answer".to_owned(),
            failing: None,
            excerpt: None,
            environment: None,
            traits: Vec::new(),
            deploy: None,
            incident: "x".to_owned(),
        };
        Event {
            kind: EventKind::Outage,
            key: format!("{began}-{name}").into(),
            service: Some(name.into()),
            began,
            ended,
            detail: serde_json::to_string(&detail).unwrap().into(),
        }
    }

    fn played(routes: Vec<Route>, events: &[Event], from: i64) -> Vec<(i64, String, MessageKind, usize)> {
        let setup = Setup { routes, cascade: 90_000, ..Setup::default() };
        let told = replay(setup, Vec::new(), events, from, 600 * MINUTE);
        told.into_iter()
            .map(|one| (one.at, one.route, one.message.kind, one.message.services.len()))
            .collect()
    }

    #[test]
    fn what_there_was_is_told_as_it_would_have_been() {
        // The newest first, as a history gives them; one is amber, one shorter than the route waits.
        let events = [
            outage("c", Letter::R, 300 * MINUTE, Some(300 * MINUTE + 10_000)),
            outage("d", Letter::A, 200 * MINUTE, Some(210 * MINUTE)),
            outage("b", Letter::R, 10 * MINUTE + 20_000, Some(70 * MINUTE)),
            outage("a", Letter::R, 10 * MINUTE, Some(60 * MINUTE)),
        ];
        let ops = Route { remind: Some(30 * MINUTE), ..Route::new("ops") };
        let opened = 10 * MINUTE + 30_000;
        let told = |at, kind, services| (at, "ops".to_owned(), kind, services);
        let expected = [
            told(opened, Opened, 2),
            told(opened + 30 * MINUTE, Reminder, 2),
            told(65 * MINUTE, Updated, 2),
            told(70 * MINUTE, Resolved, 2),
        ];
        assert_eq!(played(vec![ops.clone()], &events, 0), expected);
        assert_eq!(played(vec![ops], &events, 60 * MINUTE), expected[2..]);
        let d = Route { services: vec![Pattern::new("d")], light: Letter::A, ..Route::new("d") };
        let expected =
            [(200 * MINUTE + 30_000, "d".to_owned(), Opened, 1), (210 * MINUTE, "d".to_owned(), Resolved, 1)];
        assert_eq!(played(vec![d], &events, 0), expected);
    }

    #[test]
    fn what_goes_on_is_reminded_of_until_the_end() {
        let events = [outage("a", Letter::R, 0, None)];
        let kinds: Vec<MessageKind> =
            played(vec![Route::new("ops")], &events, 0).into_iter().map(|told| told.2).collect();
        // After four hours, and the next time after eight.
        assert_eq!(kinds, [Opened, Reminder]);
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let broken = Event { detail: "{}".into(), ..outage("a", Letter::R, 0, None) };
        let nobody = Event { service: None, ..outage("a", Letter::R, 0, None) };
        let moment = outage("a", Letter::R, MINUTE, Some(MINUTE));
        let other = Event { kind: EventKind::Restart, ..outage("a", Letter::R, 0, None) };
        assert!(played(vec![Route::new("ops")], &[broken, nobody, moment, other], 0).is_empty());
    }
}
