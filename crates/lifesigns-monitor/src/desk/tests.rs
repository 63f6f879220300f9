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
    desk.close();
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
