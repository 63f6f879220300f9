use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::service::Letter;

fn message(id: &str, incident: &str, kind: MessageKind) -> Message {
    Message {
        id: id.to_owned(),
        first: None,
        incident: incident.to_owned(),
        kind,
        light: Letter::R,
        now: None,
        is_better: false,
        began: 0,
        at: 0,
        services: Vec::new(),
        shared: Vec::new(),
        endangered: Vec::new(),
        link: None,
    }
}

fn delivery(id: &str, route: &str, incident: &str, kind: MessageKind, now: i64) -> Delivery {
    Delivery::new(route, message(id, incident, kind), now)
}

fn opened(id: &str) -> Delivery {
    delivery(id, "ops", id, MessageKind::Opened, 0)
}

fn refused(is_final: bool) -> Undelivered {
    Undelivered { is_final, why: "503".to_owned(), retry_after: None }
}

fn ids(due: Vec<Delivery>) -> Vec<String> {
    due.into_iter().map(|delivery| delivery.id).collect()
}

/// When there will be something to deliver, unless something else happens before.
fn next_due(outbox: &Outbox) -> Option<i64> {
    let free = outbox.routes.values().filter(|way| way.under_way < outbox.limits.at_once.max(1));
    free.filter_map(|way| way.ready.first().map(|(at, _)| *at)).min()
}

#[test]
fn an_end_never_overtakes_its_beginning() {
    let mut outbox = Outbox::default();
    outbox.add(delivery("a", "ops", "1", MessageKind::Opened, 0));
    outbox.add(delivery("b", "ops", "1", MessageKind::Resolved, 1));
    outbox.add(delivery("c", "ops", "2", MessageKind::Opened, 2));
    outbox.add(delivery("d", "mail", "1", MessageKind::Resolved, 3));
    assert_eq!(ids(outbox.due(3)), ["a", "c", "d"]);
    assert_eq!(next_due(&outbox), None);
    let Some(Outcome::Again(again)) = outbox.failed("a", 10, &refused(false), 1.0) else {
        panic!("tried again")
    };
    assert_eq!((again.attempts, again.next_at, again.last_error.as_deref()), (1, 5_010, Some("503")));
    assert_eq!((next_due(&outbox), ids(outbox.due(5_009))), (Some(5_010), Vec::new()));
    assert_eq!(ids(outbox.due(5_010)), ["a"]);
    assert_eq!(outbox.delivered("a").map(|delivery| delivery.attempts), Some(1));
    assert_eq!(ids(outbox.due(5_010)), ["b"]);
}

#[test]
fn an_end_is_told_though_its_beginning_was_given_up() {
    let mut outbox = Outbox::default();
    outbox.add(delivery("a", "ops", "1", MessageKind::Opened, 0));
    outbox.add(delivery("b", "ops", "1", MessageKind::Resolved, 1));
    outbox.due(1);
    assert!(matches!(outbox.failed("a", 2, &refused(true), 0.5), Some(Outcome::GivenUp(_))));
    assert_eq!((ids(outbox.due(2)), outbox.given_up()), (vec!["b".to_owned()], 1));
}

#[test]
fn nothing_that_was_here_is_taken_again() {
    let mut outbox = Outbox::new(Limits { remembered: 2, ..Limits::default() });
    assert_eq!(outbox.add(opened("a")), Added::Kept);
    assert_eq!(outbox.add(opened("a")), Added::Known);
    outbox.due(0);
    outbox.delivered("a");
    assert_eq!(outbox.add(opened("a")), Added::Known);
    assert_eq!(outbox.delivered("a"), None);
    for id in ["b", "c"] {
        outbox.add(opened(id));
        outbox.delivered(id);
    }
    // It is forgotten by now.
    assert_eq!(outbox.add(opened("a")), Added::Kept);
}

#[test]
fn the_time_between_attempts_grows() {
    let check = |attempts, asked: Option<u64>, chance, expected| {
        assert_eq!(
            wait(attempts, asked.map(Duration::from_secs), chance),
            expected,
            "{attempts} {asked:?} {chance}"
        );
    };
    check(1, None, 1.0, 5_000);
    check(1, None, 0.0, 2_500);
    check(2, None, 0.5, 7_500);
    check(7, None, 1.0, 320_000);
    check(8, None, 1.0, 600_000);
    check(u32::MAX, None, f64::INFINITY, 600_000);
    check(1, None, f64::NAN, 2_500);
    check(1, Some(60), 1.0, 60_000);
    check(8, Some(60), 1.0, 600_000);
    check(1, Some(u64::MAX), 1.0, 3_600_000);
}

#[test]
fn after_a_day_a_message_is_given_up() {
    let mut outbox = Outbox::default();
    outbox.add(opened("a"));
    let (now, given_up) = loop {
        let now = next_due(&outbox).unwrap();
        assert_eq!(ids(outbox.due(now)), ["a"]);
        match outbox.failed("a", now, &refused(false), 1.0) {
            Some(Outcome::Again(_)) => {}
            Some(Outcome::GivenUp(delivery)) => break (now, delivery),
            None => panic!("it is there"),
        }
    };
    assert!((86_400_000..=87_000_000).contains(&now) && given_up.attempts > 140, "{now} {given_up:?}");
    assert!(outbox.is_empty() && next_due(&outbox).is_none());
}

#[test]
fn a_message_from_before_a_long_sleep_is_tried_for_a_while() {
    let mut outbox = Outbox::default();
    outbox.add(opened("a"));
    let now = 10 * 86_400_000;
    for attempt in 1..=20 {
        outbox.due(i64::MAX);
        let outcome = outbox.failed("a", now, &refused(false), 1.0);
        assert_eq!(matches!(outcome, Some(Outcome::GivenUp(_))), attempt == 20, "{attempt}");
    }
}

#[test]
fn a_clock_that_is_put_back_keeps_nothing_waiting() {
    let mut outbox = Outbox::default();
    let day = 86_400_000;
    outbox.add(delivery("a", "ops", "a", MessageKind::Opened, day));
    outbox.add(delivery("b", "ops", "b", MessageKind::Opened, 0));
    assert_eq!(ids(outbox.due(0)), ["a", "b"]);
    outbox.failed("a", 0, &refused(false), 1.0);
    assert_eq!(next_due(&outbox), Some(5_000));
}

#[test]
fn a_route_that_hangs_delays_no_other() {
    let mut outbox = Outbox::new(Limits { at_once: 2, ..Limits::default() });
    for number in 0..5 {
        outbox.add(opened(&number.to_string()));
    }
    outbox.add(delivery("other", "mail", "1", MessageKind::Opened, 0));
    assert_eq!(ids(outbox.due(0)), ["0", "1", "other"]);
    assert!(outbox.due(1_000_000).is_empty());
    outbox.delivered("1");
    assert_eq!(ids(outbox.due(0)), ["2"]);
}

#[test]
fn where_there_is_no_room_the_oldest_reminder_goes() {
    let mut outbox = Outbox::new(Limits { waiting: 3, ..Limits::default() });
    let add = |outbox: &mut Outbox, id: &str, kind| match outbox.add(delivery(id, "ops", id, kind, 0)) {
        Added::InPlaceOf(dropped) => dropped.id,
        Added::Refused(same) => format!("{} itself", same.id),
        Added::Kept | Added::Known => String::new(),
    };
    assert_eq!(add(&mut outbox, "a", MessageKind::Opened), "");
    assert_eq!(add(&mut outbox, "b", MessageKind::Reminder), "");
    assert_eq!(add(&mut outbox, "c", MessageKind::Updated), "");
    assert_eq!(add(&mut outbox, "d", MessageKind::Reminder), "b");
    assert_eq!(add(&mut outbox, "e", MessageKind::Resolved), "d");
    assert_eq!(add(&mut outbox, "f", MessageKind::Reminder), "f itself");
    assert_eq!(add(&mut outbox, "g", MessageKind::Opened), "c");
    assert_eq!(ids(outbox.due(0)), ["a", "e", "g"]);
    assert_eq!(add(&mut outbox, "h", MessageKind::Opened), "h itself", "what is under way stays");
    assert_eq!((outbox.len(), outbox.dropped()), (3, 5));
}

#[test]
fn what_was_left_is_put_in_its_order() {
    let mut left = vec![
        delivery("2", "ops", "1", MessageKind::Resolved, 7),
        delivery("3", "ops", "2", MessageKind::Opened, 9),
        delivery("1", "ops", "1", MessageKind::Updated, 7),
        delivery("0", "ops", "1", MessageKind::Opened, 7),
    ];
    left[3].next_at = 50;
    let (mut outbox, dropped) = Outbox::restored(Limits { waiting: 3, ..Limits::default() }, left);
    assert_eq!(ids(dropped), ["1"]);
    assert_eq!(ids(outbox.due(49)), ["3"]);
    assert_eq!(ids(outbox.due(50)), ["0"]);
    outbox.delivered("0");
    assert_eq!(ids(outbox.due(50)), ["2"]);
}

#[test]
fn a_delivery_is_kept_as_it_is() {
    let kept = Delivery { attempts: 3, last_error: Some("503".to_owned()), ..opened("a") };
    let text = serde_json::to_string(&kept).unwrap();
    assert_eq!(serde_json::from_str::<Delivery>(&text).unwrap(), kept);
}

#[derive(Clone, Debug)]
enum Step {
    Add { id: u8, route: u8, incident: u8, kind: MessageKind },
    Due,
    Arrived(u8),
    Failed { which: u8, is_final: bool, asked: u64 },
    Later(i64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let kinds = [MessageKind::Opened, MessageKind::Updated, MessageKind::Reminder, MessageKind::Resolved];
    prop_oneof![
        5 => (any::<u8>(), 0..3_u8, 0..3_u8, 0..4_usize)
            .prop_map(move |(id, route, incident, kind)| Step::Add { id, route, incident, kind: kinds[kind] }),
        3 => Just(Step::Due),
        3 => any::<u8>().prop_map(Step::Arrived),
        2 => (any::<u8>(), prop::bool::weighted(0.1), 0..100_u64)
            .prop_map(|(which, is_final, asked)| Step::Failed { which, is_final, asked }),
        2 => (0..40_000_i64).prop_map(Step::Later),
        1 => Just(Step::Restart),
    ]
}

/// What the outside sees of an outbox: what was added and not delivered, and what is under way.
#[derive(Default)]
struct Seen {
    /// In the order in which they were added.
    open: Vec<Delivery>,
    under_way: Vec<String>,
    added: HashSet<String>,
    delivered: HashSet<String>,
    gone: HashSet<String>,
}

impl Seen {
    fn begun(&mut self, due: Vec<Delivery>, now: i64) {
        for delivery in due {
            assert!(delivery.next_at <= now);
            assert!(!self.delivered.contains(&delivery.id), "{} was delivered", delivery.id);
            assert!(!self.under_way.contains(&delivery.id), "{} is under way", delivery.id);
            let first = self.open.iter().find(|one| lane(one) == lane(&delivery)).unwrap();
            assert_eq!(first.id, delivery.id, "something before it has not arrived");
            self.under_way.push(delivery.id);
        }
    }

    fn ended(&mut self, id: &str) {
        self.open.retain(|one| one.id != id);
        self.under_way.retain(|one| one != id);
    }
}

proptest! {
    #[test]
    fn nothing_is_delivered_twice_forgotten_or_out_of_order(
        steps in vec(step(), 1..120),
        waiting in 3..20_usize,
        at_once in 1..4_usize,
        chance in 0.0..1.0,
    ) {
        let limits = Limits { waiting, at_once, remembered: 1_000 };
        let mut outbox = Outbox::new(limits);
        let mut seen = Seen::default();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Add { id, route, incident, kind } => {
                    let new = delivery(&id.to_string(), &route.to_string(), &incident.to_string(), kind, now);
                    let is_new = seen.added.insert(new.id.clone());
                    match outbox.add(new.clone()) {
                        Added::Known => prop_assert!(!is_new),
                        Added::Kept => seen.open.push(new),
                        Added::Refused(same) => {
                            prop_assert_eq!(&same.id, &new.id);
                            seen.gone.insert(new.id);
                        }
                        Added::InPlaceOf(dropped) => {
                            prop_assert_ne!(&dropped.id, &new.id);
                            seen.open.push(new);
                            prop_assert!(!seen.under_way.contains(&dropped.id));
                            seen.ended(&dropped.id);
                            seen.gone.insert(dropped.id);
                        }
                    }
                    // Time goes on, so that what is restored is in order.
                    now += 1;
                }
                Step::Due => {
                    let due = outbox.due(now);
                    seen.begun(due, now);
                    prop_assert!(seen.under_way.len() <= at_once * 3);
                }
                Step::Arrived(which) => {
                    let Some(id) = pick(&seen.under_way, which) else { continue };
                    prop_assert!(outbox.delivered(&id).is_some());
                    seen.ended(&id);
                    seen.delivered.insert(id);
                }
                Step::Failed { which, is_final, asked } => {
                    let Some(id) = pick(&seen.under_way, which) else { continue };
                    let asked = Some(Duration::from_secs(asked));
                    let why = Undelivered { retry_after: asked, ..refused(is_final) };
                    match outbox.failed(&id, now, &why, chance) {
                        Some(Outcome::Again(again)) => {
                            prop_assert!(!is_final && again.next_at > now);
                            seen.under_way.retain(|one| *one != id);
                        }
                        Some(Outcome::GivenUp(_)) => {
                            seen.ended(&id);
                            seen.gone.insert(id);
                        }
                        None => prop_assert!(false, "{id} is under way"),
                    }
                }
                Step::Later(by) => now += by,
                Step::Restart => {
                    // Notes come back in the order of their keys.
                    let mut notes: Vec<Delivery> = outbox.waiting.values().cloned().collect();
                    notes.sort_by(|one, other| one.id.cmp(&other.id));
                    let (restored, dropped) = Outbox::restored(limits, notes);
                    prop_assert!(dropped.is_empty());
                    outbox = restored;
                    // Whoever remembers what was done is the caller, who has removed the notes.
                    for id in seen.delivered.iter().chain(&seen.gone) {
                        outbox.remember(id.clone());
                    }
                    seen.under_way.clear();
                }
            }
            prop_assert_eq!(outbox.len(), seen.open.len());
            prop_assert!(outbox.len() <= waiting);
        }
        for id in std::mem::take(&mut seen.under_way) {
            prop_assert!(outbox.delivered(&id).is_some());
            seen.ended(&id);
            seen.delivered.insert(id);
        }
        while let Some(at) = next_due(&outbox) {
            now = now.max(at);
            let due = outbox.due(now);
            prop_assert!(!due.is_empty());
            seen.begun(due, now);
            for id in std::mem::take(&mut seen.under_way) {
                prop_assert!(outbox.delivered(&id).is_some());
                seen.ended(&id);
                seen.delivered.insert(id);
            }
        }
        prop_assert!(outbox.is_empty() && seen.open.is_empty() && outbox.routes.is_empty());
        prop_assert!(outbox.lanes.is_empty() && outbox.under_way.is_empty() && outbox.by_id.is_empty());
        prop_assert_eq!(seen.delivered.len() + seen.gone.len(), seen.added.len());
    }
}

fn pick(ids: &[String], which: u8) -> Option<String> {
    ids.get(usize::from(which) % ids.len().max(1)).cloned()
}
