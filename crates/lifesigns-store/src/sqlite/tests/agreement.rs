//! Whatever comes in whatever order: the file answers what plain addition answers, and what memory answers.

use lifesigns_model::bucket::Calendar;
use lifesigns_model::rollup::Rollup;
use lifesigns_model::series::Dimension;
use lifesigns_model::store::{Condition, Figures, Filter, GroupKey, RollupRow, Selected};
use proptest::prelude::*;

use super::*;
use crate::memory::MemoryStore;
use crate::packed::Packed;

const DAY: i64 = 1440;

fn rows(minutes: std::ops::Range<i64>) -> impl Strategy<Value = Vec<RollupRow>> {
    let row = (
        minutes,
        prop::sample::select(vec!["a", "b", "c"]),
        prop::sample::select(vec![200u16, 404, 500]),
        1u64..9000,
    )
        .prop_map(|(minute, api, status, micros)| row(minute, api, status, micros));
    prop::collection::vec(row, 0..60)
}

fn selections(minutes: std::ops::Range<i64>) -> impl Strategy<Value = Selection> {
    let intervals = vec![1, 5, 60, 90, 180, DAY, 7 * DAY].into_iter().map(GroupBy::Interval);
    let intervals: Vec<_> = intervals.chain(Calendar::ALL.map(GroupBy::Calendar)).collect();
    let intervals = prop::option::of(prop::sample::select(intervals));
    let api = prop::option::of(prop::sample::select(vec!["a", "b", "z"]));
    (minutes.clone(), minutes, intervals, any::<bool>(), api).prop_map(
        |(start, end, interval, by_status, api)| {
            let by_status = by_status.then_some(GroupBy::Dimension(Dimension::StatusCode));
            let filter =
                api.map(|api| Filter::everything().and(Condition::Equals(Dimension::Api, api.into())));
            Selection {
                group_by: interval.into_iter().chain(by_status).collect(),
                filter: filter.unwrap_or_default(),
                ..everything(start.min(end), start.max(end))
            }
        },
    )
}

fn counts(selected: &Selected) -> Vec<(&[GroupKey], u64)> {
    selected.groups.iter().map(|group| (&*group.key, group.count)).collect()
}

fn sums(selected: &Selected) -> Vec<[u64; 5]> {
    let sums = selected.groups.iter().map(|group| &group.rollup).map(|rollup| {
        let Rollup { latency, first_byte_micros, request_bytes, response_bytes } = rollup;
        [latency.sum_micros(), latency.max_micros(), *first_byte_micros, *request_bytes, *response_bytes]
    });
    sums.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_order_of_rows_adds_up(
        batches in prop::collection::vec((rows(-DAY..3 * DAY), any::<bool>()), 1..12),
        selections in prop::collection::vec(selections(-DAY..3 * DAY), 8),
    ) {
        let place = place();
        let retention = Retention { minute_rows: 10 * DAY, ..Retention::default() };
        let options = Options { retention, ..Options::default() };
        let mut store = SqliteStore::open(&place.path, options).unwrap();
        let mut all = Vec::new();
        for (batch, reopen) in batches {
            append(&store, batch.clone());
            all.extend(batch);
            if reopen {
                drop(store);
                store = SqliteStore::open(&place.path, options).unwrap();
            }
        }
        for selection in selections {
            let selected = store.select(&selection).unwrap();
            prop_assert_eq!(selected.range, selection.range);
            prop_assert_eq!(&selected.groups, &added_up(&all, &selection), "{:?}", selection);
            for figures in [Figures::Counts, Figures::Sums] {
                let less = store.select(&Selection { figures, ..selection.clone() }).unwrap();
                prop_assert_eq!(counts(&less), counts(&selected), "{:?}", selection);
                if figures == Figures::Sums {
                    prop_assert_eq!(sums(&less), sums(&selected), "{:?}", selection);
                }
            }
        }
        drop(store);
        assert_sound(&place.path);
    }

    #[test]
    fn what_is_closed_in_many_steps_is_at_no_time_read_as_if_it_were_whole(
        batches in prop::collection::vec((rows(0..3 * DAY), any::<bool>(), selections(0..3 * DAY)), 1..10),
    ) {
        let place = place();
        let opened = || {
            let connection = schema::open_for_writing(&place.path, Duration::ZERO, true).unwrap();
            let retention = Retention { minute_rows: 10 * DAY, ..Retention::default() };
            let options = Options { retention, closing: Duration::ZERO, ..Options::default() };
            write::Database::new(connection, &options).unwrap()
        };
        let mut database = opened();
        let reader = SqliteReader::open(&place.path, Duration::ZERO).unwrap();
        let none = Notes::new();
        let (mut all, mut selections) = (Vec::new(), Vec::new());
        for (batch, reopen, selection) in batches {
            // Each in a transaction of its own, which sums up one API of whatever is being closed.
            for row in batch {
                let pending = [((row.minute, Arc::clone(&row.series)), Packed::of(&row.rollup))].into();
                database.write(&pending, &none).unwrap();
                all.push(row);
            }
            prop_assert_eq!(&reader.select(&selection).unwrap().groups, &added_up(&all, &selection), "{:?}", selection);
            selections.push(selection);
            if reopen {
                drop(database);
                database = opened();
            }
        }
        while database.is_closing() {
            database.write(&write::Pending::new(), &none).unwrap();
        }
        for selection in selections {
            prop_assert_eq!(&reader.select(&selection).unwrap().groups, &added_up(&all, &selection), "{:?}", selection);
        }
        drop(database);
        assert_sound(&place.path);
    }

    #[test]
    fn memory_and_file_answer_alike_when_rows_expire(
        batches in prop::collection::vec((rows(0..9 * DAY), any::<bool>()), 1..12),
        selections in prop::collection::vec(selections(-DAY..10 * DAY), 8),
        kept in [0i64..2 * DAY, 0i64..4 * DAY, 0i64..9 * DAY],
    ) {
        let place = place();
        let retention = Retention { minute_rows: kept[0], hour_rows: kept[1], day_rows: kept[2] };
        let options = keeping(retention);
        let memory = MemoryStore::new(retention);
        let mut file = SqliteStore::open(&place.path, options).unwrap();
        for (batch, reopen) in batches {
            append(&memory, batch.clone());
            append(&file, batch);
            if reopen {
                drop(file);
                file = SqliteStore::open(&place.path, options).unwrap();
            }
        }
        for selection in selections {
            prop_assert_eq!(file.select(&selection).unwrap(), memory.select(&selection).unwrap(), "{:?}", selection);
        }
    }
}
