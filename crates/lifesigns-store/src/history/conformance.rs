//! What every history must do, whatever it is kept in.
//!
//! A history passes when [`check`] returns. Each part opens one of its own.

use std::sync::Arc;
use std::time::Duration;

use lifesigns_model::history::{Entry, Event, EventKind, EventSelection, HistoryStore, Reading, Span};
use lifesigns_model::light::Light;
use lifesigns_model::store::Note;

use super::HistoryRetention;

/// Long enough for any flush of a history that works.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// All the time that there is.
pub const ALWAYS: Span = Span { from: i64::MIN, to: i64::MAX };

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// How the suite gets its histories.
pub trait Harness {
    /// A new, empty history.
    fn open(&self, retention: HistoryRetention) -> Box<dyn HistoryStore>;

    /// The same history after its process has ended and begun again. One that cannot do that is given back.
    fn reopened(&self, history: Box<dyn HistoryStore>, retention: HistoryRetention) -> Box<dyn HistoryStore>;
}

/// Checks everything.
///
/// # Panics
/// At the first thing that a history must do and this one does not.
pub fn check(harness: &dyn Harness) {
    nothing_kept_answers_nothing(harness);
    readings_come_in_the_order_of_their_times(harness);
    one_second_has_one_reading(harness);
    readings_of_any_kind_come_back(harness);
    late_readings_find_their_place(harness);
    latencies_are_within_one_percent(harness);
    events_take_the_place_of_their_like(harness);
    events_are_selected_by_each_part_of_a_selection(harness);
    events_that_began_at_once_have_an_order(harness);
    notes_are_kept_by_topic_and_key(harness);
    names_may_be_any_text(harness);
    expired_entries_are_gone(harness);
    a_time_from_far_ahead_expires_nothing(harness);
    what_was_flushed_is_there_after_reopening(harness);
}

/// A reading of a service that is well.
pub fn reading(at: i64) -> Reading {
    Reading { at, light: Some(Light::Green), code: 200, latency_us: Some(100), memory_mb: Some(64) }
}

/// A reading as an entry.
pub fn entry(service: &str, reading: Reading) -> Entry {
    Entry::Reading(service.into(), reading)
}

/// An event between two milliseconds.
pub fn event(kind: EventKind, key: &str, service: Option<&str>, began: i64, ended: Option<i64>) -> Event {
    Event { kind, key: key.into(), service: service.map(Arc::from), began, ended, detail: "{}".into() }
}

/// A note as an entry.
pub fn note(topic: &str, key: &str, text: Option<&str>) -> Entry {
    Entry::Note(Note { topic: topic.into(), key: key.into(), text: text.map(Arc::from) })
}

/// What the files in `tests/fixtures` hold: three services over two days, events and notes. Never changed.
pub fn fixture_entries() -> Vec<Entry> {
    let first = 1_767_225_600;
    let mut entries = Vec::new();
    for number in 0..2 * 24 * 12 {
        let at = first + number * 300;
        for (service, name) in (1u32..).zip(["orders", "polls", "übrige"]) {
            let code = if number % 37 == 0 { 503 } else { 200 };
            let light = if code == 503 { Some(Light::Red) } else { Some(Light::Green) };
            let latency_us = (number % 41 != 0).then_some(service * 1000 + number as u32 * 7);
            let memory_mb = (service != 2).then_some(100 + number as u32 / 9);
            entries.push(entry(name, Reading { at, light, code, latency_us, memory_mb }));
        }
    }
    for (number, kind) in (0..).zip(EventKind::ALL) {
        let began = (first + number * 3600) * 1000;
        entries.push(Entry::Event(event(kind, "one", Some("orders"), began, Some(began + 5))));
        entries.push(Entry::Event(event(kind, "two", None, began, None)));
    }
    entries.push(note("outbox", "one", Some("{}")));
    entries
}

/// All events of a span.
pub fn events_of(span: Span) -> EventSelection {
    EventSelection { kinds: Vec::new(), service: None, span, limit: usize::MAX }
}

/// Appends entries and waits until they are safe.
///
/// # Panics
/// If the history refuses them or cannot make them safe.
pub fn append(history: &dyn HistoryStore, entries: Vec<Entry>) {
    history.append(entries).expect("room in the queue of a history that has nothing else to do");
    history.flush(PATIENCE).expect("a flush");
}

/// What a history has of a service.
///
/// # Panics
/// If it fails.
pub fn readings(history: &dyn HistoryStore, service: &str, span: Span) -> Vec<Reading> {
    history.readings(service, span).expect("readings")
}

/// Fails unless what is kept is what is expected, but for the rounding of latencies.
///
/// # Panics
/// Then.
pub fn assert_alike(kept: &[Reading], expected: &[Reading]) {
    assert_eq!(kept.len(), expected.len(), "as many readings\nkept {kept:?}\nexpected {expected:?}");
    for (kept, expected) in kept.iter().zip(expected) {
        assert_eq!(Reading { latency_us: expected.latency_us, ..*kept }, *expected);
        let is_near = match (kept.latency_us, expected.latency_us) {
            (Some(kept), Some(expected)) => u64::from(kept.abs_diff(expected)) * 100 <= u64::from(expected),
            (kept, expected) => kept == expected,
        };
        assert!(is_near, "{kept:?} is further than 1 % from {expected:?}");
    }
}

fn keys(history: &dyn HistoryStore, selection: &EventSelection) -> Vec<String> {
    let events = history.events(selection).expect("events");
    events.iter().map(|event| event.key.to_string()).collect()
}

fn texts(history: &dyn HistoryStore, topic: &str) -> Vec<(String, String)> {
    let notes = history.recall(topic).expect("notes");
    notes.iter().map(|note| (note.key.to_string(), note.text.to_string())).collect()
}

fn nothing_kept_answers_nothing(harness: &dyn Harness) {
    let history = harness.open(HistoryRetention::default());
    history.flush(Duration::ZERO).expect("there is nothing to wait for");
    append(&*history, Vec::new());
    assert_eq!(readings(&*history, "orders", ALWAYS), []);
    assert_eq!(keys(&*history, &events_of(ALWAYS)), [""; 0]);
    assert_eq!(texts(&*history, "outbox"), []);
}

fn readings_come_in_the_order_of_their_times(harness: &dyn Harness) {
    let history = harness.open(HistoryRetention::default());
    for at in [30, -10, 0, 20, 10] {
        append(&*history, vec![entry("orders", reading(at)), entry("polls", reading(at + 1))]);
    }
    let of = |from, to| readings(&*history, "orders", Span { from, to });
    assert_eq!(of(i64::MIN, i64::MAX), [-10, 0, 10, 20, 30].map(reading));
    assert_eq!(of(0, 20), [0, 10].map(reading), "the end of a span is not part of it");
    assert_eq!(of(1, 10), []);
    assert_eq!(of(20, 0), [], "a span that ends before it begins is empty");
    assert_eq!(readings(&*history, "polls", Span { from: 0, to: 12 }), [1, 11].map(reading));
    assert_eq!(readings(&*history, "order", ALWAYS), []);
}

fn one_second_has_one_reading(harness: &dyn Harness) {
    let history = harness.open(HistoryRetention::default());
    let of_code = |at, code| Reading { code, ..reading(at) };
    append(&*history, vec![entry("orders", of_code(5, 1)), entry("orders", of_code(5, 2))]);
    assert_eq!(readings(&*history, "orders", ALWAYS), [of_code(5, 2)]);
    append(&*history, vec![entry("orders", of_code(5, 3)), entry("orders", of_code(6, 4))]);
    append(&*history, vec![entry("orders", of_code(3 * DAY, 5))]);
    append(&*history, vec![entry("orders", of_code(6, 6))]);
    let expected = [of_code(5, 3), of_code(6, 6), of_code(3 * DAY, 5)];
    assert_eq!(readings(&*history, "orders", ALWAYS), expected);
}

fn readings_of_any_kind_come_back(harness: &dyn Harness) {
    let lights = [None, Some(Light::Green), Some(Light::Amber), Some(Light::Red)];
    let numbers = [None, Some(0), Some(1), Some(127), Some(128), Some(70_000), Some(u32::MAX)];
    let mut all = Vec::new();
    for light in lights {
        for latency_us in numbers {
            for memory_mb in numbers {
                for code in [0, 200, u16::MAX] {
                    let at = all.len() as i64 * 7;
                    all.push(Reading { at, light, code, latency_us, memory_mb });
                }
            }
        }
    }
    let history = harness.open(HistoryRetention::default());
    append(&*history, all.iter().map(|reading| entry("orders", *reading)).collect());
    assert_alike(&readings(&*history, "orders", ALWAYS), &all);
    append(&*history, vec![entry("orders", reading(2 * DAY)), entry("orders", reading(4 * DAY))]);
    assert_alike(&readings(&*history, "orders", Span { from: 0, to: DAY }), &all);
}

fn late_readings_find_their_place(harness: &dyn Harness) {
    let history = harness.open(HistoryRetention::default());
    let even: Vec<i64> = (0..3 * 24 * 6).map(|number| number * 600).collect();
    for hour in even.chunks(6) {
        append(&*history, hour.iter().map(|at| entry("orders", reading(*at))).collect());
    }
    append(&*history, even.iter().map(|at| entry("orders", reading(at + 300))).collect());
    append(&*history, vec![entry("orders", reading(-DAY))]);
    let mut all: Vec<i64> = even.iter().flat_map(|at| [*at, at + 300]).collect();
    all.insert(0, -DAY);
    let expected: Vec<Reading> = all.into_iter().map(reading).collect();
    assert_eq!(readings(&*history, "orders", ALWAYS), expected);
}

fn latencies_are_within_one_percent(harness: &dyn Harness) {
    let history = harness.open(HistoryRetention::default());
    let latencies = (0..u32::BITS).flat_map(|bit| {
        [0, 1, 2].map(|part| ((1u64 << bit) + (1u64 << bit) * part / 3).min(u64::from(u32::MAX)) as u32)
    });
    let all: Vec<Reading> = latencies
        .zip(0..)
        .map(|(latency, at)| Reading { latency_us: Some(latency), ..reading(at) })
        .collect();
    append(&*history, all.iter().map(|reading| entry("orders", *reading)).collect());
    append(&*history, vec![entry("orders", reading(2 * DAY)), entry("orders", reading(4 * DAY))]);
    assert_alike(&readings(&*history, "orders", Span { from: 0, to: DAY }), &all);
}

fn events_take_the_place_of_their_like(harness: &dyn Harness) {
    let history = harness.open(HistoryRetention::default());
    let begun = event(EventKind::Outage, "one", Some("orders"), 5000, None);
    let ended = Event { ended: Some(9000), service: None, detail: r#"{"a":"é\n"}"#.into(), ..begun.clone() };
    let other = event(EventKind::Incident, "one", Some("orders"), 4000, None);
    append(&*history, vec![Entry::Event(begun.clone()), Entry::Event(other.clone())]);
    assert_eq!(history.events(&events_of(ALWAYS)).expect("events"), [begun.clone(), other.clone()]);
    append(&*history, vec![Entry::Event(ended.clone())]);
    assert_eq!(history.events(&events_of(ALWAYS)).expect("events"), [ended.clone(), other.clone()]);
    append(
        &*history,
        vec![Entry::Event(Event { began: 3000, ..ended.clone() }), Entry::Event(ended.clone())],
    );
    append(&*history, vec![Entry::Event(Event { began: 3000, ..ended.clone() })]);
    assert_eq!(history.events(&events_of(ALWAYS)).expect("events"), [other, Event { began: 3000, ..ended }]);
}

fn events_are_selected_by_each_part_of_a_selection(harness: &dyn Harness) {
    let history = harness.open(HistoryRetention::default());
    let events = [
        event(EventKind::Outage, "long", Some("orders"), 0, Some(50_000)),
        event(EventKind::Outage, "short", Some("orders"), 10_000, Some(12_000)),
        event(EventKind::Deploy, "point", Some("polls"), 20_000, Some(20_000)),
        event(EventKind::Gap, "fleet", None, 30_000, Some(31_000)),
        event(EventKind::Outage, "open", Some("polls"), 40_000, None),
    ];
    append(&*history, events.into_iter().map(Entry::Event).collect());
    let check = |selection: EventSelection, expected: &[&str]| {
        assert_eq!(keys(&*history, &selection), expected, "{selection:?}");
    };
    let span = |from, to| Span { from, to };
    let of_service = |name: &str| EventSelection { service: Some(name.into()), ..events_of(ALWAYS) };
    check(events_of(ALWAYS), &["open", "fleet", "point", "short", "long"]);
    check(events_of(span(0, 50)), &["open", "fleet", "point", "short", "long"]);
    check(events_of(span(20, 21)), &["point", "long"]);
    check(events_of(span(19, 20)), &["long"]);
    check(events_of(span(12, 13)), &["short", "long"]);
    check(events_of(span(13, 40)), &["fleet", "point", "long"]);
    check(events_of(span(51, i64::MAX)), &["open"]);
    check(events_of(span(-9, 0)), &[]);
    check(EventSelection { limit: 2, ..events_of(ALWAYS) }, &["open", "fleet"]);
    check(EventSelection { limit: 4, ..events_of(span(15, 60)) }, &["open", "fleet", "point", "long"]);
    check(EventSelection { limit: 3, ..events_of(span(15, 60)) }, &["open", "fleet", "point"]);
    check(EventSelection { limit: 0, ..events_of(ALWAYS) }, &[]);
    check(of_service("polls"), &["open", "point"]);
    check(of_service("orders"), &["short", "long"]);
    check(of_service("nobody"), &[]);
    check(EventSelection { span: span(15, 60), ..of_service("orders") }, &["long"]);
    let of_kinds = |kinds: &[EventKind]| EventSelection { kinds: kinds.to_vec(), ..events_of(ALWAYS) };
    check(of_kinds(&[EventKind::Outage]), &["open", "short", "long"]);
    check(of_kinds(&[EventKind::Gap, EventKind::Deploy]), &["fleet", "point"]);
    check(of_kinds(&[EventKind::Restart]), &[]);
    check(EventSelection { limit: 1, ..of_kinds(&[EventKind::Deploy]) }, &["point"]);
    check(EventSelection { kinds: vec![EventKind::Outage], ..of_service("polls") }, &["open"]);
}

fn events_that_began_at_once_have_an_order(harness: &dyn Harness) {
    let history = harness.open(HistoryRetention::default());
    let at_once = [(EventKind::Gap, "a"), (EventKind::Outage, "c"), (EventKind::Outage, "b")];
    for (kind, key) in at_once {
        append(&*history, vec![Entry::Event(event(kind, key, None, 7000, Some(8000)))]);
    }
    for limit in 0..4 {
        let selection = EventSelection { limit, ..events_of(ALWAYS) };
        assert_eq!(keys(&*history, &selection), ["b", "c", "a"][..limit]);
        let selection = EventSelection { limit, ..events_of(Span { from: 8, to: 9 }) };
        assert_eq!(keys(&*history, &selection), ["b", "c", "a"][..limit]);
    }
}

fn notes_are_kept_by_topic_and_key(harness: &dyn Harness) {
    let history = harness.open(HistoryRetention::default());
    let own = |texts: &[(&str, &str)]| -> Vec<(String, String)> {
        texts.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
    };
    append(
        &*history,
        vec![note("outbox", "b", Some("1")), note("outbox", "a", Some("2")), note("state", "a", Some("3"))],
    );
    assert_eq!(texts(&*history, "outbox"), own(&[("a", "2"), ("b", "1")]));
    assert_eq!(texts(&*history, "state"), own(&[("a", "3")]));
    append(
        &*history,
        vec![note("outbox", "b", None), note("outbox", "b", Some("4")), note("outbox", "a", Some("5"))],
    );
    append(&*history, vec![note("outbox", "a", None), note("outbox", "c", None)]);
    assert_eq!(texts(&*history, "outbox"), own(&[("b", "4")]));
    assert_eq!(texts(&*history, "outbo"), own(&[]));
}

fn names_may_be_any_text(harness: &dyn Harness) {
    let history = harness.open(HistoryRetention::default());
    let names = ["", "a\0b", "a\0", "a", "A", "é", "e\u{301}", "'; DROP TABLE note; --", "%", "\u{1f600}\n"];
    for (name, number) in names.into_iter().zip(0..) {
        let began = number * 1000;
        let event = Event { detail: name.into(), ..event(EventKind::Outage, name, Some(name), began, None) };
        append(
            &*history,
            vec![entry(name, reading(number)), Entry::Event(event), note(name, name, Some(name))],
        );
    }
    append(&*history, vec![entry("later", reading(DAY)), entry("later", reading(3 * DAY))]);
    for (name, number) in names.into_iter().zip(0..) {
        assert_eq!(readings(&*history, name, ALWAYS), [reading(number)], "{name:?}");
        assert_eq!(texts(&*history, name), [(name.to_owned(), name.to_owned())]);
        let selection = EventSelection { service: Some(name.into()), ..events_of(ALWAYS) };
        let events = history.events(&selection).expect("events");
        assert_eq!(events.len(), 1, "{name:?}");
        assert_eq!(
            (&*events[0].key, &*events[0].detail, events[0].service.as_deref()),
            (name, name, Some(name))
        );
    }
}

fn expired_entries_are_gone(harness: &dyn Harness) {
    let days = |days: u64| Duration::from_hours(24 * days);
    let retention = HistoryRetention { readings: days(2), events: days(3) };
    let history = harness.open(retention);
    // An hour, so that the beginning is believed.
    append(&*history, (0..=60).map(|minute| entry("gone", reading(minute * 60))).collect());
    append(
        &*history,
        vec![
            Entry::Event(event(EventKind::Outage, "over", Some("gone"), 0, Some(1000))),
            Entry::Event(event(EventKind::Outage, "goes on", Some("gone"), 0, None)),
        ],
    );
    for day in 1..5 {
        append(&*history, (0..24).map(|hour| entry("orders", reading(day * DAY + hour * HOUR))).collect());
        append(
            &*history,
            vec![Entry::Event(event(
                EventKind::Deploy,
                &day.to_string(),
                None,
                day * DAY * 1000,
                Some(day * DAY * 1000),
            ))],
        );
    }
    // The newest reading is of 23:00 on day 4.
    assert_eq!(readings(&*history, "gone", ALWAYS), []);
    let kept: Vec<Reading> = (2 * 24..5 * 24).map(|hour| reading(hour * HOUR)).collect();
    assert_eq!(readings(&*history, "orders", ALWAYS), kept);
    assert_eq!(keys(&*history, &events_of(ALWAYS)), ["4", "3", "2", "1", "goes on"]);
    append(
        &*history,
        vec![
            entry("orders", reading(DAY)),
            Entry::Event(event(EventKind::Outage, "too late", None, 5, Some(6))),
            note("t", "k", Some("kept")),
        ],
    );
    assert_eq!(readings(&*history, "orders", ALWAYS), kept, "too late to be kept");
    assert_eq!(keys(&*history, &events_of(ALWAYS)), ["4", "3", "2", "1", "goes on"]);
    assert_eq!(texts(&*history, "t"), [("k".to_owned(), "kept".to_owned())]);
    append(&*history, vec![entry("orders", reading(5 * DAY))]);
    assert_eq!(keys(&*history, &events_of(ALWAYS)), ["4", "3", "2", "goes on"]);
    let history = harness.reopened(history, retention);
    assert_eq!(readings(&*history, "orders", ALWAYS).first(), Some(&reading(3 * DAY)));
    assert_eq!(keys(&*history, &events_of(ALWAYS)), ["4", "3", "2", "goes on"]);
}

fn a_time_from_far_ahead_expires_nothing(harness: &dyn Harness) {
    let history = harness.open(HistoryRetention::default());
    append(&*history, (0..120).map(|minute| entry("orders", reading(minute * 60))).collect());
    append(&*history, vec![entry("orders", reading(900 * DAY))]);
    append(&*history, (120..130).map(|minute| entry("orders", reading(minute * 60))).collect());
    assert_eq!(readings(&*history, "orders", ALWAYS).len(), 131);
    for extreme in [i64::MIN, i64::MIN + 1, i64::MAX - 1] {
        append(
            &*history,
            vec![
                entry("orders", reading(extreme)),
                Entry::Event(event(EventKind::Gap, &extreme.to_string(), None, extreme, Some(extreme))),
            ],
        );
    }
    append(&*history, vec![entry("orders", reading(131 * 60))]);
    // Those from before all time are too old.
    assert_eq!(readings(&*history, "orders", ALWAYS).len(), 133);
    assert_eq!(keys(&*history, &events_of(ALWAYS)).len(), 1);
}

fn what_was_flushed_is_there_after_reopening(harness: &dyn Harness) {
    let retention = HistoryRetention::default();
    let mut history = harness.open(retention);
    let mut expected = Vec::new();
    for part in 0..6 {
        let times: Vec<i64> = (part * 20..part * 20 + 20).map(|number| number * 613).collect();
        append(&*history, times.iter().map(|at| entry("orders", reading(*at))).collect());
        let key = part.to_string();
        append(
            &*history,
            vec![
                Entry::Event(event(EventKind::Restart, &key, Some("orders"), part, Some(part))),
                note("t", &key, Some("x")),
            ],
        );
        expected.extend(times);
        history = harness.reopened(history, retention);
        let expected: Vec<Reading> = expected.iter().copied().map(reading).collect();
        assert_eq!(readings(&*history, "orders", ALWAYS), expected);
        assert_eq!(history.events(&events_of(ALWAYS)).expect("events").len() as i64, part + 1);
        assert_eq!(texts(&*history, "t").len() as i64, part + 1);
    }
}
