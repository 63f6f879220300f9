use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lifesigns_model::history::{EventSelection, Span};
use lifesigns_model::light::Light;
use lifesigns_model::store::StoreError;
use url::Url;

use super::*;
use crate::alerts::incidents::Setup;
use crate::alerts::rules::Route;

/// What a history was given, batch by batch, or refuses.
#[derive(Default)]
struct Given {
    batches: Mutex<Vec<Vec<Entry>>>,
    refuses: AtomicBool,
}

impl HistoryStore for Given {
    fn append(&self, entries: Vec<Entry>) -> Result<(), Vec<Entry>> {
        if self.refuses.load(Relaxed) {
            return Err(entries);
        }
        self.batches.lock().unwrap().push(entries);
        Ok(())
    }

    fn flush(&self, _: Duration) -> Result<(), StoreError> {
        Ok(())
    }

    fn readings(&self, _: &str, _: Span) -> Result<Vec<Reading>, StoreError> {
        Ok(Vec::new())
    }

    fn events(&self, _: &EventSelection) -> Result<Vec<Event>, StoreError> {
        Ok(Vec::new())
    }

    fn recall(&self, _: &str) -> Result<Vec<KeptNote>, StoreError> {
        Ok(Vec::new())
    }
}

impl Given {
    /// The notes under a topic, as they were given.
    fn notes(&self, topic: &str) -> Vec<Note> {
        let batches = self.batches.lock().unwrap();
        let notes = batches.iter().flatten().filter_map(|entry| match entry {
            Entry::Note(note) if &*note.topic == topic => Some(note.clone()),
            _ => None,
        });
        notes.collect()
    }
}

fn desk() -> Desk {
    let routes = vec![Route { group_wait: 0, ..Route::new("ops") }];
    let setup = Setup { routes, cascade: 90_000, ..Setup::default() };
    Desk::open(Incidents::new(setup), &[], &[])
}

fn target(name: &str) -> Target {
    Target::new(name, Url::parse("http://10.0.0.7/status").unwrap())
}

fn red(began: i64) -> Service {
    let cause = "answers 503".to_owned();
    let outage = Outage { began, worst: Letter::R, cause, failing: None, excerpt: None };
    let mut service = Service::default();
    (service.light, service.since, service.outage) = (Some(Light::Red), began, Some(outage));
    service
}

#[test]
fn what_came_and_went_while_the_history_refused_left_its_notes_in_memory() {
    let (mut desk, history) = (desk(), Given::default());
    history.refuses.store(true, Relaxed);
    let target = target("shop");
    for round in 1..=500 {
        let began = round * 1_000_000;
        let service = red(began);
        desk.change(began, &target, &service, &Change::OutageBegan);
        desk.tell(began);
        let mut well = Service::default();
        well.since = began + 60_000;
        desk.change(well.since, &target, &well, &Change::OutageEnded(service.outage.unwrap()));
        for now in [began + 60_000, began + 61_000] {
            desk.tell(now);
            for delivery in desk.outbox.due(now) {
                desk.delivered(&delivery.id, now);
            }
        }
        assert_eq!(desk.keep(began + 62_000, &history), Err(()));
    }
    // An outage, an incident and two deliveries each time, and no note.
    assert_eq!(desk.waiting(), 500 * 4);
    history.refuses.store(false, Relaxed);
    desk.keep(600 * 1_000_000, &history).unwrap();
    assert_eq!((history.notes(INCIDENTS), history.notes(DELIVERIES)), (Vec::new(), Vec::new()));
}

#[test]
fn an_incident_of_thousands_was_written_anew_for_each_of_them() {
    let (mut desk, history) = (desk(), Given::default());
    let began = 1_000_000;
    let members = 3_000;
    for number in 0..members {
        let now = began + number;
        desk.change(now, &target(&format!("service-{number}")), &red(now), &Change::OutageBegan);
        desk.keep(now, &history).unwrap();
    }
    let written = history.notes(INCIDENTS).len();
    assert!((2..20).contains(&written), "written {written} times");
    // Whatever has been decided is there before anybody hears of it.
    let now = began + members;
    desk.tell(now);
    desk.keep(now, &history).unwrap();
    let told: HashSet<String> =
        desk.outbox.due(now).remove(0).message.services.into_iter().map(|one| one.name).collect();
    let last = history.notes(INCIDENTS).pop().unwrap();
    let kept: Incident = serde_json::from_str(&last.text.unwrap()).unwrap();
    assert_eq!(kept.told["ops"].names.iter().cloned().collect::<HashSet<String>>(), told);
    assert_eq!((told.len(), kept.members.len()), (members as usize, members as usize));
    // And what has changed since is there at the end.
    desk.change(now + 1, &target("late"), &red(now + 1), &Change::OutageBegan);
    desk.keep(now + 1, &history).unwrap();
    assert_eq!(history.notes(INCIDENTS).len(), written + 1);
    desk.close(now + 2);
    desk.keep(now + 2, &history).unwrap();
    assert!(history.notes(INCIDENTS).pop().unwrap().text.unwrap().contains("late"));
}

#[test]
fn an_acknowledgement_is_written_at_once() {
    let (mut desk, history) = (desk(), Given::default());
    for number in 0..100 {
        let target = target(&format!("service-{number}"));
        desk.change(1_000_000, &target, &red(1_000_000), &Change::OutageBegan);
        desk.keep(1_000_000, &history).unwrap();
    }
    let id = desk.incidents.open()[0].id.clone();
    assert!(desk.acknowledge(&id, "kim", 1_000_001) && !desk.acknowledge("another", "kim", 1_000_001));
    desk.keep(1_000_001, &history).unwrap();
    let last: Arc<str> = history.notes(INCIDENTS).pop().unwrap().text.unwrap();
    assert!(last.contains("kim"), "{last}");
}

#[test]
fn readings_that_are_given_up_are_a_gap() {
    let (mut desk, history) = (desk(), Given::default());
    history.refuses.store(true, Relaxed);
    let reading =
        |at| Reading { at, light: Some(Light::Green), code: 200, latency_us: None, memory_mb: None };
    for at in 1..=200_010 {
        desk.reading(&"shop".into(), reading(at));
    }
    assert_eq!((desk.waiting(), desk.dropped()), (200_000, (10, 0)));
    assert_eq!(desk.keep(1, &history), Err(()));
    history.refuses.store(false, Relaxed);
    desk.keep(1, &history).unwrap();
    let batch = history.batches.lock().unwrap().remove(0);
    let Entry::Event(gap) = &batch[0] else { panic!("{:?}", batch[0]) };
    assert_eq!((gap.kind, gap.began, gap.ended), (EventKind::Gap, 1_000, Some(11_000)));
    // The event took the place of one reading more.
    assert_eq!((batch.len(), desk.dropped()), (200_000, (11, 0)));
}

/// The desk of the process after this one, with what the history was given.
fn after(history: &Given) -> Desk {
    let last = |topic| {
        let mut last = BTreeMap::new();
        for note in history.notes(topic) {
            match note.text {
                Some(text) => last.insert(note.key, text),
                None => last.remove(&note.key),
            };
        }
        last.into_iter().map(|(key, text)| KeptNote { key, text }).collect::<Vec<_>>()
    };
    let routes = vec![Route { group_wait: 0, remind: Some(60_000), ..Route::new("ops") }];
    let setup = Setup { routes, cascade: 90_000, ..Setup::default() };
    Desk::open(Incidents::new(setup), &last(INCIDENTS), &last(DELIVERIES))
}

#[test]
fn what_was_sent_and_not_kept_lent_its_id_to_another_message() {
    let (history, target) = (Given::default(), target("shop"));
    let mut desk = after(&history);
    let service = red(1_000_000);
    desk.change(1_000_000, &target, &service, &Change::OutageBegan);
    desk.tell(1_000_000);
    let opened = desk.outbox.due(1_000_000).remove(0);
    desk.delivered(&opened.id, 1_000_100);
    desk.keep(1_000_200, &history).unwrap();
    // The reminder is sent all the same, and the monitor is killed.
    history.refuses.store(true, Relaxed);
    desk.tell(1_060_000);
    let reminder = desk.outbox.due(1_060_000).remove(0);
    assert_eq!(desk.keep(1_060_000, &history), Err(()));

    let mut desk = after(&history);
    let mut well = Service::default();
    well.since = 1_050_000;
    desk.change(1_070_000, &target, &well, &Change::OutageEnded(service.outage.unwrap()));
    desk.tell(1_070_000);
    let resolved = desk.outbox.due(1_070_000).remove(0);
    assert_eq!(resolved.message.kind, crate::alerts::MessageKind::Resolved);
    assert_ne!(resolved.id, reminder.id, "a receiver that compares ids would not take the end");
    for delivery in [&reminder, &resolved] {
        assert_eq!(delivery.message.first_id("ops"), opened.id);
    }
}

#[test]
fn what_is_sent_again_after_a_kill_is_the_same() {
    let (history, target) = (Given::default(), target("shop"));
    let mut desk = after(&history);
    desk.change(1_000_000, &target, &red(1_000_000), &Change::OutageBegan);
    desk.tell(1_000_000);
    desk.keep(1_000_000, &history).unwrap();
    let sent = desk.outbox.due(1_000_000).remove(0);
    let mut worse = red(1_000_000);
    "another cause".clone_into(&mut worse.why);
    desk.change(1_001_000, &target, &worse, &Change::OutageChanged);
    desk.keep(1_001_000, &history).unwrap();
    let mut desk = after(&history);
    desk.tell(1_002_000);
    let again = desk.outbox.due(1_002_000).remove(0);
    assert_eq!(again, sent);
}

#[test]
fn an_end_that_was_not_written_down_yet_is_when_it_was() {
    let (history, shop) = (Given::default(), target("shop"));
    let mut desk = after(&history);
    desk.change(1_000_000, &shop, &red(1_000_000), &Change::OutageBegan);
    desk.change(1_000_000, &target("stock"), &red(1_000_000), &Change::OutageBegan);
    desk.keep(1_000_000, &history).unwrap();
    let mut desk = after(&history);
    desk.close_lost(&|name| (name == "shop").then_some(1_030_000));
    let ends: Vec<Option<i64>> =
        desk.incidents.open()[0].members.iter().map(|member| member.affected.ended).collect();
    assert_eq!(ends, [Some(1_030_000), None]);
}

#[test]
fn a_monitor_that_was_killed_does_not_know_that_it_did_not_run() {
    let check = |note: Option<&str>, expected: Option<&str>| {
        let (mut desk, history) = (desk(), Given::default());
        let gap = desk.returned(100_000, note);
        desk.keep(100_000, &history).unwrap();
        let batch = history.batches.lock().unwrap().remove(0);
        let why = batch.iter().find_map(|entry| match entry {
            Entry::Event(event) => {
                Some(serde_json::from_str::<serde_json::Value>(&event.detail).unwrap()["why"].to_string())
            }
            _ => None,
        });
        assert_eq!((gap.is_some(), why.is_some()), (expected.is_some(), expected.is_some()), "{note:?}");
        assert!(
            expected.is_none_or(|expected| why.unwrap().trim_matches('"').ends_with(expected)),
            "{note:?}"
        );
    };
    check(None, None);
    check(Some("90000"), None);
    check(Some("90000 stopped"), None);
    check(Some("50000 stopped"), Some("was not running"));
    check(Some("50000"), Some("or could not keep what happened"));
}

/// Gaps as the history was given them last.
fn gaps(history: &Given) -> Vec<(i64, Option<i64>, serde_json::Value)> {
    let mut gaps = BTreeMap::new();
    for entry in history.batches.lock().unwrap().iter().flatten() {
        if let Entry::Event(event) = entry {
            let detail = serde_json::from_str(&event.detail).unwrap();
            gaps.insert(Arc::clone(&event.key), (event.began, event.ended, detail));
        }
    }
    gaps.into_values().collect()
}

#[test]
fn a_loss_of_the_network_was_no_event() {
    let (mut desk, history) = (desk(), Given::default());
    let [shop, stock]: [Name; 2] = ["shop".into(), "stock".into()];
    desk.lost_sight(1_000, &shop, "no network");
    desk.lost_sight(2_000, &stock, "no route");
    desk.keep(2_000, &history).unwrap();
    let detail = json!({"why": "no network", "services": ["shop", "stock"], "count": 2});
    assert_eq!(gaps(&history), [(1_000, None, detail.clone())]);
    desk.sees_again(3_000, &shop);
    desk.lost_sight(3_500, &shop, "no network");
    desk.sees_again(4_000, &stock);
    desk.sees_again(5_000, &shop);
    desk.sees_again(6_000, &shop);
    desk.keep(6_000, &history).unwrap();
    assert_eq!(gaps(&history), [(1_000, Some(5_000), detail)]);
    desk.lost_sight(7_000, &stock, "no network");
    desk.keep(7_000, &history).unwrap();
    assert_eq!(gaps(&history).len(), 2);
}

#[test]
fn a_loss_that_outlasts_the_monitor_is_one_gap() {
    let (mut first, history) = (desk(), Given::default());
    let [shop, stock]: [Name; 2] = ["shop".into(), "stock".into()];
    first.lost_sight(1_000, &shop, "no network");
    first.lost_sight(2_000, &stock, "no network");
    first.sees_again(3_000, &shop);
    first.keep(3_000, &history).unwrap();
    let left: Vec<Event> = history.batches.lock().unwrap()[0]
        .iter()
        .filter_map(|entry| if let Entry::Event(event) = entry { Some(event.clone()) } else { None })
        .collect();

    let mut second = desk();
    second.restore_sight(9_000, left.clone(), vec![(2_000, Arc::clone(&stock), "no network".to_owned())]);
    second.sees_again(10_000, &stock);
    second.keep(10_000, &history).unwrap();
    let detail = json!({"why": "no network", "services": ["shop", "stock"], "count": 2});
    assert_eq!(gaps(&history), [(1_000, Some(10_000), detail)]);

    // Whoever was not seen is not watched any more.
    let mut third = desk();
    third.restore_sight(9_000, left, Vec::new());
    third.keep(9_000, &history).unwrap();
    assert_eq!(gaps(&history)[0].1, Some(9_000));
}

#[test]
fn services_beyond_those_that_are_named_were_counted_again_when_they_flickered_or_the_monitor_was_restarted()
{
    let (mut first, history) = (desk(), Given::default());
    let names: Vec<Name> = (0..80).map(|number| format!("service-{number}").into()).collect();
    let lose = |desk: &mut Desk| names.iter().for_each(|name| desk.lost_sight(1_000, name, "no network"));
    lose(&mut first);
    names[1..].iter().for_each(|name| first.sees_again(2_000, name));
    lose(&mut first);
    first.sees_again(3_000, &names[79]);
    first.keep(3_000, &history).unwrap();
    let told = |history: &Given| {
        let detail = gaps(history).remove(0).2;
        (detail["count"].clone(), detail["services"].as_array().unwrap().len())
    };
    assert_eq!(told(&history), (json!(80), 50));

    let left = history.batches.lock().unwrap()[0]
        .iter()
        .filter_map(|entry| if let Entry::Event(event) = entry { Some(event.clone()) } else { None })
        .collect();
    let lost = names[..79].iter().map(|name| (1_000, Name::clone(name), "no network".to_owned())).collect();
    let mut second = desk();
    second.restore_sight(9_000, left, lost);
    second.sees_again(10_000, &names[60]);
    second.lost_sight(11_000, &names[60], "no network");
    second.keep(11_000, &history).unwrap();
    assert_eq!(told(&history), (json!(80), 50));
}

#[test]
fn what_could_not_be_read_was_told_of_at_every_start() {
    let history = Given::default();
    let unreadable = |key: &str| [KeptNote { key: key.into(), text: "{".into() }];
    let mut desk = Desk::open(Incidents::new(Setup::default()), &unreadable("17"), &unreadable("17-opened"));
    desk.keep(1_000, &history).unwrap();
    let removed = |topic: &str, key: &str| Note { topic: topic.into(), key: key.into(), text: None };
    assert_eq!(history.notes(INCIDENTS), [removed(INCIDENTS, "17")]);
    assert_eq!(history.notes(DELIVERIES), [removed(DELIVERIES, "17-opened")]);
}
