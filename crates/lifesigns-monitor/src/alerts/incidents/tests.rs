use proptest::prelude::*;

use super::super::message::MessageKind::{self, Opened, Reminder, Resolved, Updated};
use super::super::rules::{Pattern, Quiet};
use super::*;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

fn affected(name: &str, light: Letter, began: i64) -> Affected {
    Affected {
        name: name.to_owned(),
        environment: Some("production".to_owned()),
        light,
        now: None,
        began,
        ended: None,
        cause: "does not answer".to_owned(),
        failing: None,
        excerpt: None,
        deploy: None,
    }
}

/// Incidents, and everything that was told with the time at which it was.
struct Played {
    incidents: Incidents,
    told: Vec<(i64, String, Message)>,
    now: i64,
}

impl Played {
    fn new(setup: Setup) -> Played {
        Played { incidents: Incidents::new(setup), told: Vec::new(), now: 0 }
    }

    fn with_routes(routes: Vec<Route>) -> Played {
        Played::new(Setup { routes, cascade: 90 * SECOND, ..Setup::default() })
    }

    /// Goes on to that time, telling everything when it is due.
    fn until(&mut self, end: i64) {
        while let Some(next) = self.incidents.next_due(self.now).filter(|next| *next <= end) {
            self.now = self.now.max(next);
            let due = self.incidents.due(self.now);
            let is_idle =
                due == Due::default() && self.incidents.next_due(self.now).is_none_or(|at| at <= self.now);
            assert!(!is_idle, "something was due at {} and nothing came", self.now);
            let now = self.now;
            self.told.extend(due.messages.into_iter().map(|(route, message)| (now, route, message)));
        }
        self.now = end;
    }

    fn out(&mut self, name: &str) {
        self.incidents.began(self.now, affected(name, Letter::R, self.now), vec!["host 10.0.0.7".to_owned()]);
    }

    fn well(&mut self, name: &str) {
        self.incidents.ended(self.now, name);
    }

    /// Time, what, and of whom.
    fn story(&self) -> Vec<(i64, MessageKind, Vec<&str>)> {
        let names = |message: &'_ Message| -> usize { message.services.len() };
        assert!(self.told.iter().all(|(_, _, message)| names(message) > 0));
        self.told
            .iter()
            .map(|(at, _, message)| {
                (*at, message.kind, message.services.iter().map(|affected| &*affected.name).collect())
            })
            .collect()
    }
}

#[test]
fn two_hundred_outages_at_once_are_one_message_and_one_at_the_end() {
    let mut played = Played::with_routes(vec![Route::new("ops")]);
    let names: Vec<String> = (0..200).map(|index| format!("service-{index}")).collect();
    for name in &names {
        played.out(name);
        played.until(played.now + 100);
    }
    played.until(10 * MINUTE);
    for name in &names {
        played.well(name);
        played.until(played.now + 100);
    }
    played.until(20 * MINUTE);
    let story = played.story();
    let kinds: Vec<MessageKind> = story.iter().map(|(_, kind, _)| *kind).collect();
    assert_eq!(kinds, [MessageKind::Opened, MessageKind::Resolved]);
    assert_eq!((story[0].2.len(), story[1].2.len()), (200, 200));
    assert_eq!(story[0].0, 30 * SECOND);
    assert_eq!(played.told[0].2.shared, ["host 10.0.0.7"]);
    assert_eq!(played.incidents.open(), []);
}

#[test]
fn those_who_join_while_it_is_waited_for_are_in_the_first_message() {
    let mut played = Played::with_routes(vec![Route::new("ops")]);
    played.out("a");
    played.until(29 * SECOND);
    played.out("b");
    played.until(60 * SECOND);
    played.out("c");
    played.until(5 * MINUTE + 38 * SECOND);
    assert_eq!(played.story(), [(39 * SECOND, MessageKind::Opened, vec!["a", "b"])]);
    played.until(6 * MINUTE);
    assert_eq!(played.story()[1], (5 * MINUTE + 39 * SECOND, MessageKind::Updated, vec!["a", "b", "c"]));
}

#[test]
fn what_is_over_before_it_was_told_is_never_told() {
    let mut played = Played::with_routes(vec![Route::new("ops")]);
    played.out("a");
    played.until(20 * SECOND);
    played.well("a");
    played.until(MINUTE);
    assert_eq!(played.told, []);
    assert_eq!(played.incidents.open(), []);
}

#[test]
fn outages_far_apart_are_incidents_of_their_own_unless_they_are_related() {
    let setup = Setup {
        routes: vec![Route { remind: None, ..Route::new("ops") }],
        depends_on: HashMap::from([
            ("shop".into(), vec!["orders".into()]),
            ("orders".into(), vec!["db".into()]),
        ]),
        cascade: 90 * SECOND,
        link: None,
    };
    let mut played = Played::new(setup);
    let mut out = |name: &str, minute: i64| {
        played.until(minute * MINUTE);
        played.incidents.began(played.now, affected(name, Letter::R, played.now), Vec::new())
    };
    let first = out("db", 0);
    assert_ne!(out("mail", 10), first);
    assert_eq!(out("shop", 20), first);
    played.until(40 * MINUTE);
    assert_eq!(played.told[0].2.endangered, ["orders", "shop"]);
}

#[test]
fn who_is_out_again_while_others_are_still_out_is_told_again() {
    let route = Route { group_wait: 0, group_interval: 0, remind: None, ..Route::new("ops") };
    let mut played = Played::with_routes(vec![route]);
    played.out("old");
    played.out("base");
    played.until(7 * SECOND);
    played.well("base");
    played.until(14 * SECOND);
    played.out("base");
    played.until(21 * SECOND);
    played.well("base");
    played.until(MINUTE);
    assert_eq!(
        played.story(),
        [
            (0, Opened, vec!["old", "base"]),
            (14 * SECOND, Updated, vec!["old", "base"]),
            (31 * SECOND, Updated, vec!["old", "base"]),
        ]
    );
    let is_better: Vec<bool> = played.told.iter().map(|(_, _, message)| message.is_better).collect();
    assert_eq!(is_better, [false, false, true]);
    // Long after that it is an outage of its own.
    played.until(30 * MINUTE);
    played.out("base");
    played.until(31 * MINUTE);
    assert_eq!(played.story()[3..], [(30 * MINUTE, Opened, vec!["base"])]);
}

#[test]
fn it_is_over_when_nobody_is_out_and_who_was_out_in_between_is_named() {
    let mut played = Played::with_routes(vec![Route::new("mail")]);
    played.incidents.began(0, affected("stock", Letter::A, 0), Vec::new());
    played.out("red");
    played.until(MINUTE);
    played.out("brief");
    played.until(MINUTE + 15 * SECOND);
    played.well("red");
    played.until(2 * MINUTE);
    played.well("brief");
    played.until(3 * MINUTE);
    // The route is not for amber, which goes on.
    assert_eq!(
        played.story(),
        [(30 * SECOND, Opened, vec!["red"]), (2 * MINUTE, Resolved, vec!["red", "brief"])]
    );
    assert_eq!(played.told[1].2.at, 2 * MINUTE);
    played.out("red");
    played.until(10 * MINUTE);
    played.well("red");
    played.until(11 * MINUTE);
    let again = [(3 * MINUTE + 30 * SECOND, Opened, vec!["red"]), (10 * MINUTE, Resolved, vec!["red"])];
    assert_eq!(played.story()[2..], again);
}

#[test]
fn what_goes_on_for_long_takes_no_strangers_in() {
    let mut played = Played::with_routes(vec![Route { remind: None, ..Route::new("ops") }]);
    for name in ["ill", "a", "b"] {
        played.out(name);
    }
    played.until(2 * MINUTE);
    played.well("a");
    played.well("b");
    played.until(5 * MINUTE);
    played.out("c");
    // Who is out because of something else is out after it, and not before.
    assert_eq!(
        played.incidents.open().len(),
        2,
        "nothing but its host is the same, and one alone shows nothing"
    );
    let setup = Setup {
        depends_on: HashMap::from([("shop".into(), vec!["db".into()])]),
        cascade: 90 * SECOND,
        ..Setup::default()
    };
    let mut played = Played::new(setup);
    played.out("shop");
    played.until(10 * MINUTE);
    played.out("db");
    assert_eq!(played.incidents.open().len(), 2);
}

#[test]
fn who_is_worked_on_is_not_told_of_with_others() {
    let mut played = Played::with_routes(vec![Route { group_wait: 0, ..Route::new("ops") }]);
    played.incidents.maintenance = vec![Maintenance {
        services: vec![Pattern::new("worked-on")],
        from: 0,
        to: 60 * MINUTE,
        reason: "a new disk".to_owned(),
    }];
    played.out("worked-on");
    played.until(SECOND);
    played.out("shop");
    played.until(MINUTE);
    assert_eq!(played.story(), [(SECOND, Opened, vec!["shop"])]);
}

#[test]
fn an_end_waits_for_nobody_who_may_not_be_told_of() {
    let route = Route { group_wait: 0, remind: None, ..Route::new("ops") };
    let mut played = Played::with_routes(vec![route]);
    played.incidents.maintenance = vec![Maintenance {
        services: vec![Pattern::new("worked-on")],
        from: 0,
        to: 60 * MINUTE,
        reason: "a new disk".to_owned(),
    }];
    played.out("a");
    played.until(MINUTE);
    played.out("worked-on");
    played.until(10 * MINUTE);
    played.well("a");
    played.until(90 * MINUTE);
    played.well("worked-on");
    played.until(91 * MINUTE);
    let expected = [
        (0, Opened, vec!["a"]),
        (10 * MINUTE, Resolved, vec!["a"]),
        (60 * MINUTE, Opened, vec!["worked-on"]),
        (90 * MINUTE, Resolved, vec!["worked-on"]),
    ];
    assert_eq!(played.story(), expected);
}

#[test]
fn who_goes_out_anew_while_it_is_worked_on_stays_as_it_was_told() {
    let mut played = Played::with_routes(vec![Route { group_wait: 0, remind: None, ..Route::new("ops") }]);
    played.out("a");
    played.out("b");
    played.until(MINUTE);
    played.well("b");
    played.incidents.maintenance = vec![Maintenance {
        services: vec![Pattern::new("b")],
        from: 2 * MINUTE,
        to: 60 * MINUTE,
        reason: "a new disk".to_owned(),
    }];
    played.until(3 * MINUTE);
    played.out("b");
    played.until(20 * MINUTE);
    played.well("a");
    played.until(21 * MINUTE);
    assert_eq!(played.story(), [(0, Opened, vec!["a", "b"]), (20 * MINUTE, Resolved, vec!["a", "b"])]);
    let ends: Vec<Option<i64>> = played.told[1].2.services.iter().map(|one| one.ended).collect();
    assert_eq!(ends, [Some(20 * MINUTE), Some(MINUTE)]);
    played.until(61 * MINUTE);
    assert_eq!(played.story()[2..], [(60 * MINUTE, Opened, vec!["b"])]);
}

#[test]
fn a_route_for_red_is_not_told_of_amber_since_it_was_red_before() {
    let mut played = Played::with_routes(vec![Route { group_wait: 0, remind: None, ..Route::new("ops") }]);
    played.incidents.began(0, affected("stock", Letter::A, 0), Vec::new());
    played.out("base");
    played.until(MINUTE);
    played.well("base");
    played.until(2 * MINUTE);
    played.incidents.began(played.now, affected("base", Letter::A, played.now), Vec::new());
    played.until(10 * MINUTE);
    assert_eq!(played.story(), [(0, Opened, vec!["base"]), (MINUTE, Resolved, vec!["base"])]);
    assert_eq!((played.incidents.open()[0].worst(), played.incidents.open().len()), (Letter::R, 1));
}

#[test]
fn whoever_was_told_is_told_the_end_although_the_route_has_changed() {
    let mut played = Played::with_routes(vec![Route::new("ops")]);
    played.out("a");
    played.until(MINUTE);
    let kept = serde_json::to_string(&played.incidents.open()[0]).unwrap();
    let narrowed = Route { services: vec![Pattern::new("b")], ..Route::new("ops") };
    let mut again = Played::with_routes(vec![narrowed]);
    again.incidents.restore(serde_json::from_str(&kept).unwrap());
    again.until(2 * MINUTE);
    assert_eq!(again.told, []);
    again.well("a");
    again.until(3 * MINUTE);
    assert_eq!(again.story(), [(2 * MINUTE, Resolved, vec!["a"])]);
}

#[test]
fn those_that_turn_red_one_after_the_other_are_one_message() {
    let mut played = Played::with_routes(vec![Route { remind: None, ..Route::new("ops") }]);
    let names = ["a", "b", "c", "d"];
    for name in names {
        played.incidents.began(0, affected(name, Letter::A, 0), Vec::new());
    }
    for (index, name) in (0..).zip(names) {
        played.until(60 * MINUTE + index * 5 * SECOND);
        played.incidents.changed(played.now, name, Letter::R, "is down");
    }
    played.until(70 * MINUTE);
    assert_eq!(played.story(), [(60 * MINUTE + 30 * SECOND, Opened, names.to_vec())]);
}

#[test]
fn reminders_come_ever_more_rarely_and_end_when_somebody_takes_it_up() {
    let mut played = Played::with_routes(vec![Route::new("ops")]);
    played.out("a");
    played.until(13 * 60 * MINUTE);
    let id = played.incidents.open()[0].id.clone();
    assert!(played.incidents.acknowledge(&id, "kim", played.now));
    assert!(!played.incidents.acknowledge("another", "kim", played.now));
    played.until(90 * 60 * MINUTE);
    played.well("a");
    played.until(91 * 60 * MINUTE);
    let hours: Vec<(i64, MessageKind)> =
        played.story().iter().map(|(at, kind, _)| (at / (60 * MINUTE), *kind)).collect();
    assert_eq!(hours, [(0, Opened), (4, Reminder), (12, Reminder), (90, Resolved)]);
}

#[test]
fn quiet_hours_hold_back_what_begins_and_never_what_ends() {
    // From 00:00 to 07:00 of each day.
    let quiet = vec![Quiet { days: Vec::new(), from: 0, to: 7 * 60 }];
    let mut played = Played::with_routes(vec![Route { quiet, remind: None, ..Route::new("ops") }]);
    played.until(MINUTE);
    played.out("short");
    played.out("long");
    played.until(10 * MINUTE);
    played.well("short");
    played.until(30 * 60 * MINUTE);
    played.well("long");
    played.until(40 * 60 * MINUTE);
    let story = played.story();
    assert_eq!(story[0], (7 * 60 * MINUTE, MessageKind::Opened, vec!["long"]));
    assert_eq!(story[1], (30 * 60 * MINUTE, MessageKind::Resolved, vec!["long"]));
    assert_eq!(story.len(), 2);
}

#[test]
fn maintenance_holds_back_what_is_over_by_its_end() {
    let mut played = Played::with_routes(vec![Route { group_wait: 0, remind: None, ..Route::new("ops") }]);
    let services = vec![Pattern::new("a*")];
    played.incidents.maintenance.push(Maintenance {
        services,
        from: 0,
        to: 60 * MINUTE,
        reason: "move".to_owned(),
    });
    played.out("a1");
    played.out("a2");
    played.until(30 * MINUTE);
    played.well("a1");
    played.until(90 * MINUTE);
    assert_eq!(played.story(), [(60 * MINUTE, MessageKind::Opened, vec!["a2"])]);
}

#[test]
fn who_is_worked_on_was_reminded_of() {
    let hour = 60 * MINUTE;
    let mut played = Played::with_routes(vec![Route { remind: Some(hour), ..Route::new("ops") }]);
    played.out("a");
    played.out("b");
    played.until(10 * MINUTE);
    let window = |services: &[&str], from: i64, to: i64| Maintenance {
        services: services.iter().map(|name| Pattern::new(name)).collect(),
        from: from * hour,
        to: to * hour,
        reason: "move".to_owned(),
    };
    played.incidents.maintenance = vec![window(&["a"], 0, 2), window(&["*"], 2, 5), window(&["b"], 4, 6)];
    played.until(8 * hour);
    played.incidents.maintenance.push(window(&[], 8, 10));
    played.well("a");
    played.well("b");
    played.until(9 * hour);
    let told: Vec<(i64, MessageKind, Vec<&str>)> =
        played.story().into_iter().map(|(at, kind, names)| (at / hour, kind, names)).collect();
    let expected = [
        (0, Opened, vec!["a", "b"]),
        (1, Reminder, vec!["b"]),
        (5, Reminder, vec!["a"]),
        (8, Resolved, vec!["a", "b"]),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_reminder_said_the_worst_there_was() {
    let mut played = Played::with_routes(vec![Route { remind: Some(60 * MINUTE), ..Route::new("ops") }]);
    played.out("a");
    played.out("b");
    played.until(10 * MINUTE);
    played.incidents.changed(played.now, "a", Letter::A, "is slow");
    played.until(70 * MINUTE);
    played.well("b");
    played.until(200 * MINUTE);
    played.incidents.changed(played.now, "a", Letter::R, "is down");
    played.until(500 * MINUTE);
    played.well("a");
    played.until(600 * MINUTE);
    let lights: Vec<(MessageKind, Letter, Option<Letter>)> =
        played.told.iter().map(|(_, _, message)| (message.kind, message.light, message.now)).collect();
    let expected = [
        (Opened, Letter::R, None),
        (Reminder, Letter::R, None),
        (Updated, Letter::R, Some(Letter::A)),
        (Reminder, Letter::R, Some(Letter::A)),
        (Reminder, Letter::R, None),
        (Resolved, Letter::R, None),
    ];
    assert_eq!(lights, expected);
    let now = |index: usize| -> Vec<Letter> {
        played.told[index].2.services.iter().map(Affected::current).collect()
    };
    assert_eq!(
        [now(1), now(2), now(4)],
        [[Letter::A, Letter::R], [Letter::A, Letter::G], [Letter::R, Letter::G]]
    );
}

#[test]
fn each_route_is_told_of_what_it_is_for() {
    let pages = Route { services: vec![Pattern::new("orders")], group_wait: 0, ..Route::new("page") };
    let mails = Route { light: Letter::A, group_wait: 0, ..Route::new("mail") };
    let late = Route { after: 10 * MINUTE, group_wait: 0, ..Route::new("late") };
    let mut played = Played::with_routes(vec![pages, mails, late]);
    played.incidents.began(0, affected("stock", Letter::A, 0), Vec::new());
    played.until(MINUTE);
    played.out("orders");
    played.incidents.changed(played.now, "stock", Letter::R, "is worse");
    played.until(15 * MINUTE);
    let told: Vec<(&str, MessageKind, usize)> = played
        .told
        .iter()
        .map(|(_, route, message)| (&**route, message.kind, message.services.len()))
        .collect();
    assert_eq!(told, [("mail", Opened, 1), ("page", Opened, 1), ("mail", Updated, 2), ("late", Opened, 2),]);
}

#[test]
fn what_is_kept_is_told_on_after_a_restart() {
    let mut played = Played::with_routes(vec![Route::new("ops")]);
    played.out("a");
    played.until(MINUTE);
    let kept = serde_json::to_string(&played.incidents.open()[0]).unwrap();
    let mut again = Played::with_routes(vec![Route::new("ops")]);
    again.incidents.restore(serde_json::from_str(&kept).unwrap());
    again.until(2 * MINUTE);
    assert_eq!(again.told, []);
    again.well("a");
    again.until(3 * MINUTE);
    assert_eq!(again.story(), [(2 * MINUTE, MessageKind::Resolved, vec!["a"])]);
    assert_ne!(again.told[0].2.id, played.told[0].2.id);
}

proptest! {
    /// Whatever happens, a route is told of the end of each outage it was told of; each message once; and of every
    /// outage that is for it and lasts.
    #[test]
    fn openings_and_ends_come_in_pairs(
        steps in proptest::collection::vec((0_usize..6, 0_usize..3, 0_i64..1500), 1..80),
        worked_on in (0_i64..200, 1_i64..200),
    ) {
        let quiet = vec![Quiet { days: Vec::new(), from: 60, to: 300 }];
        let mut played = Played::with_routes(vec![
            Route::new("ops"),
            Route { after: MINUTE, light: Letter::A, ..Route::new("late") },
            Route { quiet, ..Route::new("day") },
        ]);
        let from = worked_on.0 * MINUTE;
        let (to, reason) = (from + worked_on.1 * MINUTE, String::new());
        played.incidents.maintenance = vec![Maintenance { services: vec![Pattern::new("f")], from, to, reason }];
        let names = ["a", "b", "c", "d", "e", "f"];
        let mut lights = [Letter::G; 6];
        let mut red = [None; 6];
        for (index, light, wait) in steps {
            let (name, now) = (names[index], played.now);
            let light = [Letter::G, Letter::A, Letter::R][light];
            match (lights[index], light) {
                (before, after) if before == after => {}
                (Letter::G, after) => {
                    played.incidents.began(now, affected(name, after, now), Vec::new());
                }
                (_, Letter::G) => {
                    played.incidents.ended(now, name);
                }
                (_, after) => {
                    played.incidents.changed(now, name, after, "is otherwise");
                }
            }
            lights[index] = light;
            match light {
                Letter::R => {
                    red[index].get_or_insert(now);
                }
                _ => red[index] = None,
            }
            played.until(played.now + wait * SECOND);
            for (name, since) in names.iter().zip(red).take(5) {
                let Some(since) = since.filter(|since| played.now - since > 10 * MINUTE) else { continue };
                // In the last message of one of its incidents it is out.
                let mut last: HashMap<&str, &Message> = HashMap::new();
                for (_, route, message) in &played.told {
                    if route == "ops" {
                        last.insert(&message.incident, message);
                    }
                }
                let is_known = last.values().any(|message| {
                    message.services.iter().any(|one| one.name == *name && one.is_out())
                });
                prop_assert!(is_known, "{name} is red since {since}, now {}", played.now);
            }
        }
        for (name, light) in names.iter().zip(lights) {
            if light != Letter::G {
                played.well(name);
            }
        }
        played.until(played.now + 24 * 60 * MINUTE);
        prop_assert_eq!(played.incidents.open(), &[]);
        let ids: HashSet<&str> = played.told.iter().map(|(_, _, message)| &*message.id).collect();
        prop_assert_eq!(ids.len(), played.told.len());
        let mut open: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
        for (at, route, message) in &played.told {
            let key = (&**route, &*message.incident);
            let names: BTreeSet<&str> = message.services.iter().map(|affected| &*affected.name).collect();
            let is_quiet = route == "day" && (HOUR..5 * HOUR).contains(&at.rem_euclid(24 * HOUR));
            prop_assert!(!is_quiet || message.kind == Resolved, "{at}");
            match message.kind {
                Opened => {
                    prop_assert!(open.insert(key, names).is_none());
                }
                Updated | Reminder => {
                    open.get_mut(&key).unwrap().extend(names);
                }
                Resolved => {
                    // Those that were out and well again after its opening are named as well.
                    let told = open.remove(&key).unwrap();
                    prop_assert!(told.is_subset(&names), "{told:?} {names:?}");
                    prop_assert!(message.services.iter().all(|one| one.ended.is_some_and(|end| end <= message.at)));
                }
            }
        }
        prop_assert!(open.is_empty(), "{open:?}");
    }
}
