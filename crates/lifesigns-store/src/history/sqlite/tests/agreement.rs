//! Whatever comes in whatever order, and whenever it is asked for: the file answers what memory answers.

use lifesigns_model::history::EventSelection;
use proptest::prelude::*;

use super::*;
use crate::history::MemoryHistory;

const DAY: i64 = 24 * HOUR;

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Entry>),
    /// So many seconds of one service.
    Run(&'static str, i64, i64),
    Reopen,
    Ask(Span, EventSelection),
}

fn any_reading() -> impl Strategy<Value = Reading> {
    let light = prop::sample::select(vec![None, Some(Light::Green), Some(Light::Amber), Some(Light::Red)]);
    let number = || prop::option::of(prop_oneof![0u32..300, any::<u32>()]);
    // Some seconds are met several times.
    let at = prop_oneof![(-DAY..6 * DAY), (0i64..30).prop_map(|at| at * 7001)];
    (at, light, prop::sample::select(vec![0u16, 200, 503]), number(), number()).prop_map(
        |(at, light, code, latency_us, memory_mb)| Reading { at, light, code, latency_us, memory_mb },
    )
}

fn service() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c"])
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let key = || prop::sample::select(vec!["1", "2", "3", "4", "5", "6"]);
    let kind = prop::sample::select(EventKind::ALL.to_vec());
    let parts =
        (kind, key(), prop::option::of(service()), -DAY..6 * DAY, prop::option::of(0..DAY), 0..1000i64);
    let events = parts.prop_map(|(kind, key, service, began, length, millis)| {
        let began = began / 600 * 600_000;
        Entry::Event(event(
            kind,
            key,
            service,
            began,
            length.map(|length| began + length / 99 * 99_000 + millis % 2),
        ))
    });
    prop_oneof![
        4 => (service(), any_reading()).prop_map(|(service, reading)| entry(service, reading)),
        2 => events,
        1 => (key(), prop::option::of(key())).prop_map(|(key, text)| note("topic", key, text)),
    ]
}

fn span() -> impl Strategy<Value = Span> {
    prop_oneof![
        (-DAY..6 * DAY, -DAY..6 * DAY)
            .prop_map(|(one, other)| Span { from: one.min(other), to: one.max(other) }),
        (-DAY..6 * DAY, 0..2 * HOUR).prop_map(|(from, length)| Span { from, to: from + length }),
        Just(ALWAYS),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let kinds = prop::sample::subsequence(EventKind::ALL.to_vec(), 0..4);
    let limit = prop_oneof![0usize..6, Just(usize::MAX)];
    let selection =
        (kinds, prop::option::of(service()), span(), limit).prop_map(|(kinds, service, span, limit)| {
            EventSelection { kinds, service: service.map(Arc::from), span, limit }
        });
    prop_oneof![
        4 => prop::collection::vec(any_entry(), 0..30).prop_map(Step::Append),
        2 => (service(), -DAY..6 * DAY, 1i64..300).prop_map(|(service, from, length)| Step::Run(service, from, length)),
        1 => Just(Step::Reopen),
        3 => (span(), selection).prop_map(|(span, selection)| Step::Ask(span, selection)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn memory_and_file_answer_alike(
        steps in prop::collection::vec(step(), 1..24),
        kept in (prop::sample::select(vec![1u64, 2, 400]), prop::sample::select(vec![1u64, 3, 400])),
        folding in prop::sample::select(vec![Duration::ZERO, Duration::from_mins(1)]),
    ) {
        let place = place();
        let days = |days: u64| Duration::from_hours(24 * days);
        let retention = HistoryRetention { readings: days(kept.0), events: days(kept.1) };
        let options = HistoryOptions { retention, folding, ..HistoryOptions::default() };
        let memory = MemoryHistory::new(retention);
        let mut file = SqliteHistory::open(&place.path, options.clone()).unwrap();
        let everything = Step::Ask(ALWAYS, events_of(ALWAYS));
        for step in steps.into_iter().chain([everything.clone(), Step::Reopen, everything]) {
            match step {
                Step::Append(entries) => {
                    memory.append(entries.clone()).unwrap();
                    file.append(entries).unwrap();
                }
                Step::Run(service, from, length) => {
                    let entries: Vec<Entry> =
                        (0..length).map(|number| entry(service, reading(from + number * 60))).collect();
                    memory.append(entries.clone()).unwrap();
                    file.append(entries).unwrap();
                }
                Step::Reopen => {
                    drop(file);
                    file = SqliteHistory::open(&place.path, options.clone()).unwrap();
                }
                Step::Ask(span, selection) => {
                    file.flush(PATIENCE).unwrap();
                    let reader = SqliteHistoryReader::open(&place.path).unwrap();
                    for service in ["a", "b", "c", "d"] {
                        let expected = memory.readings(service, span).unwrap();
                        assert_alike(&file.readings(service, span).unwrap(), &expected);
                        assert_alike(&reader.readings(service, span).unwrap(), &expected);
                    }
                    prop_assert_eq!(file.events(&selection).unwrap(), memory.events(&selection).unwrap(), "{:?}", &selection);
                    prop_assert_eq!(reader.events(&selection).unwrap(), memory.events(&selection).unwrap());
                    prop_assert_eq!(file.recall("topic").unwrap(), memory.recall("topic").unwrap());
                }
            }
        }
        drop(file);
        assert_sound(&place.path);
    }
}
