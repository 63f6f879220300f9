//! What every store must do, whatever it keeps its rows in.
//!
//! A store passes when [`check`] returns. Each part opens a store of its own.

mod fixture;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lifesigns_model::bucket::{Minute, MinuteRange};
use lifesigns_model::exchange::{FailedBy, Measurement};
use lifesigns_model::query::MAX_GROUPS;
use lifesigns_model::rollup::Rollup;
use lifesigns_model::series::{Dimension, NOT_APPLICABLE, Series};
use lifesigns_model::store::{
    AnyOf, Bounded, Condition, Effort, Figures, Filter, Group, GroupBy, GroupKey, KeptNote, MAX_NOTE_BYTES,
    Note, Retention, RollupRow, RollupStore, Selected, Selection,
};

pub use self::fixture::{fixture_notes, fixture_rows};

/// Long enough for any flush of a store that works.
pub const PATIENCE: Duration = Duration::from_secs(30);

const HOUR: i64 = 60;
const DAY: i64 = 1440;

/// How the suite gets its stores.
pub trait Harness {
    /// A new, empty store.
    fn open(&self, retention: Retention) -> Box<dyn RollupStore>;

    /// The same store after its process has ended and begun again. A store that cannot do that is given back.
    fn reopened(&self, store: Box<dyn RollupStore>, retention: Retention) -> Box<dyn RollupStore>;
}

/// Checks everything.
///
/// # Panics
/// At the first thing that a store must do and this one does not.
pub fn check(harness: &dyn Harness) {
    nothing_kept_answers_nothing(harness);
    rows_of_the_same_series_and_minute_add_up(harness);
    groups_come_in_the_order_of_their_keys(harness);
    every_dimension_groups(harness);
    every_condition_filters(harness);
    labels_may_be_any_text(harness);
    more_groups_than_the_most_are_refused(harness);
    questions_that_cost_too_much_or_are_called_off_end(harness);
    what_was_not_wanted_may_be_missing(harness);
    counts_add_up_across_levels(harness);
    late_rows_are_added_to_closed_hours_and_days(harness);
    expired_rows_widen_the_answer(harness);
    rows_past_every_retention_are_counted_as_dropped(harness);
    a_row_from_far_ahead_expires_nothing(harness);
    minutes_before_the_epoch_count(harness);
    what_was_flushed_is_there_after_reopening(harness);
    notes_are_kept_by_topic_and_key(harness);
    notes_that_are_too_long_are_refused(harness);
}

/// A series of `api` that answered with `status`.
pub fn series(api: &str, status: u16) -> Series {
    Series {
        api: api.into(),
        api_version: NOT_APPLICABLE.into(),
        route: "/things/{id}".into(),
        method: "GET".into(),
        status,
        client_id: NOT_APPLICABLE.into(),
        policy: None,
        failed_by: FailedBy::of_status(status),
        instance: "one".into(),
    }
}

/// A row of one exchange that took `micros` microseconds.
pub fn row(minute: i64, api: &str, status: u16, micros: u64) -> RollupRow {
    row_of(minute, series(api, status), micros)
}

/// A row of one exchange of `series` that took `micros` microseconds.
pub fn row_of(minute: i64, series: Series, micros: u64) -> RollupRow {
    let mut rollup = Rollup::default();
    rollup.record(&Measurement {
        total_micros: micros,
        first_byte_micros: micros / 2,
        request_bytes: 10,
        response_bytes: micros + 1,
    });
    RollupRow { minute: Minute::new(minute), series: Arc::new(series), rollup }
}

/// One group for all that was counted from `start` up to `end`, with percentiles.
pub fn everything(start: i64, end: i64) -> Selection {
    Selection {
        range: MinuteRange::new(Minute::new(start), Minute::new(end)),
        group_by: Vec::new(),
        filter: Filter::everything(),
        figures: Figures::Percentiles,
        max_groups: MAX_GROUPS,
    }
}

/// Appends rows and waits until they are safe.
///
/// # Panics
/// If the store refuses them or cannot make them safe.
pub fn append(store: &dyn RollupStore, rows: Vec<RollupRow>) {
    store.append(rows).expect("room in the queue of a store that has nothing else to do");
    store.flush(PATIENCE).expect("a flush");
}

/// What a selection answers.
///
/// # Panics
/// If the store fails.
pub fn select(store: &dyn RollupStore, selection: &Selection) -> Selected {
    store.select(selection).expect("an answer")
}

/// The groups and the sums that `rows` add up to, by plain addition: what a selection must answer as long as
/// nothing has expired.
pub fn added_up(rows: &[RollupRow], selection: &Selection) -> Vec<Group> {
    let mut groups: BTreeMap<Vec<GroupKey>, Rollup> = BTreeMap::new();
    for row in rows {
        if selection.range.contains(row.minute) && selection.filter.matches(&row.series) {
            let key = selection.group_by.iter().map(|by| match by {
                GroupBy::Interval(width) => GroupKey::Bucket(row.minute.floor(*width)),
                GroupBy::Calendar(calendar) => GroupKey::Bucket(calendar.floor(row.minute)),
                GroupBy::Dimension(dimension) => GroupKey::Label((*row.series.label(*dimension)).into()),
            });
            groups.entry(key.collect()).or_default().merge(&row.rollup);
        }
    }
    groups.into_iter().map(|(key, rollup)| Group { key, count: rollup.count(), rollup }).collect()
}

fn total(store: &dyn RollupStore, start: i64, end: i64) -> u64 {
    select(store, &everything(start, end)).groups.first().map_or(0, |group| group.count)
}

fn nothing_kept_answers_nothing(harness: &dyn Harness) {
    let store = harness.open(Retention::default());
    let selected = select(&*store, &everything(0, DAY));
    assert_eq!(selected, Selected { groups: vec![], range: everything(0, DAY).range });
    append(&*store, vec![]);
    append(&*store, vec![row(5, "orders", 200, 1)]);
    assert_eq!(select(&*store, &everything(5, 5)).groups, vec![], "an empty range");
    assert_eq!(select(&*store, &everything(9, 2)).groups, vec![], "a range that ends before it starts");
    assert_eq!(total(&*store, i64::MIN, i64::MAX), 1, "all of time");
}

fn rows_of_the_same_series_and_minute_add_up(harness: &dyn Harness) {
    let store = harness.open(Retention::default());
    let rows: Vec<_> = (1..=6).map(|micros| row(5, "orders", 200, micros * 1000)).collect();
    append(&*store, rows[..2].to_vec());
    append(&*store, rows[2..3].to_vec());
    append(&*store, rows[3..].to_vec());
    assert_eq!(select(&*store, &everything(0, 10)).groups, added_up(&rows, &everything(0, 10)));
}

fn groups_come_in_the_order_of_their_keys(harness: &dyn Harness) {
    let store = harness.open(Retention::default());
    let rows: Vec<_> = [(61, "b", 404), (3, "a", 200), (61, "a", 200), (2, "b", 200), (200, "a", 500)]
        .map(|(minute, api, status)| row(minute, api, status, 10))
        .to_vec();
    append(&*store, rows.clone());
    let (api, status, hour) = (
        GroupBy::Dimension(Dimension::Api),
        GroupBy::Dimension(Dimension::StatusCode),
        GroupBy::Interval(HOUR),
    );
    for group_by in
        [vec![hour, api], vec![api, hour], vec![status, api, hour], vec![GroupBy::Interval(7), hour]]
    {
        let selection = Selection { group_by, ..everything(0, 300) };
        assert_eq!(
            select(&*store, &selection).groups,
            added_up(&rows, &selection),
            "{:?}",
            selection.group_by
        );
    }
}

/// Series that differ in one label each.
fn varied() -> Vec<Series> {
    let plain = series("orders", 200);
    vec![
        plain.clone(),
        Series { api: "stock".into(), ..plain.clone() },
        Series { api_version: "v2".into(), ..plain.clone() },
        Series { route: "/other".into(), ..plain.clone() },
        Series { method: "POST".into(), ..plain.clone() },
        Series { status: 429, ..plain.clone() },
        Series { client_id: "app".into(), ..plain.clone() },
        Series { policy: Some("rate-limit".into()), ..plain.clone() },
        Series { policy: Some("".into()), ..plain.clone() },
        Series { failed_by: FailedBy::Gateway, ..plain.clone() },
        Series { instance: "two".into(), ..plain },
    ]
}

fn every_dimension_groups(harness: &dyn Harness) {
    let store = harness.open(Retention::default());
    let rows: Vec<_> =
        varied().into_iter().zip(1..).map(|(series, micros)| row_of(1, series, micros)).collect();
    append(&*store, rows.clone());
    for dimension in Dimension::ALL {
        let selection = Selection { group_by: vec![GroupBy::Dimension(dimension)], ..everything(0, 2) };
        assert_eq!(select(&*store, &selection).groups, added_up(&rows, &selection), "{dimension}");
    }
    let all = Dimension::ALL.map(GroupBy::Dimension).to_vec();
    let selection = Selection { group_by: all, ..everything(0, 2) };
    let groups = select(&*store, &selection).groups;
    assert_eq!(groups, added_up(&rows, &selection));
    assert_eq!(groups.len(), varied().len(), "every label tells series apart");
}

fn every_condition_filters(harness: &dyn Harness) {
    let store = harness.open(Retention::default());
    let rows: Vec<_> = varied().into_iter().map(|series| row_of(1, series, 5)).collect();
    append(&*store, rows.clone());
    let is = |dimension, text: &str| Condition::Equals(dimension, text.into());
    let any = |any: Vec<Condition>| Filter { all: vec![AnyOf { any }] };
    let filters = [
        Filter::everything().and(is(Dimension::Api, "orders")),
        Filter::everything().and(is(Dimension::Api, "no such api")),
        Filter::everything().and(is(Dimension::Api, "stock")).and(is(Dimension::Api, "orders")),
        any(vec![is(Dimension::Api, "stock"), is(Dimension::Method, "POST")]),
        any(vec![is(Dimension::Api, "stock"), is(Dimension::Api, "orders"), is(Dimension::Api, "stock")]),
        any(vec![]),
        Filter::everything().and(Condition::In(Dimension::Api, vec!["stock".into(), "none".into()])),
        Filter::everything().and(Condition::In(Dimension::Instance, vec![])),
        Filter::everything()
            .and(Condition::NotEquals(Dimension::RequestDisposition, "policy_violation".into())),
        Filter::everything().and(Condition::Range(Dimension::StatusCode, Some(400), Some(499))),
        Filter::everything().and(Condition::Range(Dimension::StatusCode, None, Some(200))),
        Filter::everything().and(Condition::Range(Dimension::Method, None, None)),
        Filter::everything().and(is(Dimension::Policy, NOT_APPLICABLE)),
    ];
    for filter in filters {
        let selection = Selection { filter, ..everything(0, 2) };
        assert_eq!(select(&*store, &selection).groups, added_up(&rows, &selection), "{:?}", selection.filter);
    }
}

fn labels_may_be_any_text(harness: &dyn Harness) {
    let store = harness.open(Retention::default());
    let texts = ["", " ", "'; DROP TABLE series; --", "a\"b", "Zürich 東京 🚲", "a\nb", "a\0b", "%", "NULL"];
    let rows: Vec<_> = texts
        .iter()
        .flat_map(|text| {
            let mut odd = series(text, 200);
            odd.client_id = (*text).into();
            odd.policy = Some((*text).into());
            [row_of(1, odd, 5), row(1, text, 200, 7)]
        })
        .collect();
    append(&*store, rows.clone());
    let group_by = [Dimension::Api, Dimension::ClientId, Dimension::Policy].map(GroupBy::Dimension).to_vec();
    let selection = Selection { group_by, ..everything(0, 2) };
    assert_eq!(select(&*store, &selection).groups, added_up(&rows, &selection));
    for text in texts {
        let filter = Filter::everything().and(Condition::Equals(Dimension::Api, text.into()));
        let selection = Selection { filter, ..everything(0, 2) };
        assert_eq!(select(&*store, &selection).groups, added_up(&rows, &selection), "{text:?}");
    }
}

fn more_groups_than_the_most_are_refused(harness: &dyn Harness) {
    let store = harness.open(Retention::default());
    let rows: Vec<_> =
        (0..24).flat_map(|minute| [200, 404].map(|status| row(minute, "orders", status, 5))).collect();
    append(&*store, rows.clone());
    let status = GroupBy::Dimension(Dimension::StatusCode);
    for (group_by, groups) in [
        (vec![], 1),
        (vec![status], 2),
        (vec![GroupBy::Interval(2)], 12),
        (vec![GroupBy::Interval(4), status], 12),
        // The buckets of both intervals change in 16 of the 24 minutes.
        (vec![GroupBy::Interval(2), GroupBy::Interval(3)], 16),
        (vec![GroupBy::Interval(1), status], 48),
    ] {
        let enough = Selection { group_by, max_groups: groups, ..everything(0, 24) };
        assert_eq!(select(&*store, &enough).groups, added_up(&rows, &enough), "{:?}", enough.group_by);
        let too_few = Selection { max_groups: groups - 1, ..enough };
        let error = store.select(&too_few).expect_err("a refusal");
        assert!(error.is_too_many_groups(), "{error}");
    }
    let filtered = Filter::everything().and(Condition::Equals(Dimension::StatusCode, "404".into()));
    let one = Selection { group_by: vec![status], filter: filtered, max_groups: 1, ..everything(0, 24) };
    assert_eq!(select(&*store, &one).groups, added_up(&rows, &one), "what is left out makes no group");
}

fn questions_that_cost_too_much_or_are_called_off_end(harness: &dyn Harness) {
    let store = harness.open(Retention::default());
    append(&*store, (0..5000).map(|number| row(number % 30, &format!("api-{number}"), 200, 100)).collect());
    let wanted = Selection { group_by: Vec::new(), ..everything(0, 30) };
    let enough = Effort::of_rows(20_000);
    let bounded = Bounded::new(&*store, &enough);
    assert_eq!(bounded.select(&wanted).expect("an answer").groups[0].count, 5000);
    let mut refused = (0..10).filter_map(|_| bounded.select(&wanted).err());
    let error = refused.next().expect("a refusal when all selections together have cost too much");
    assert!(error.is_too_many_rows(), "{error}");
    let little = store.select_within(&wanted, &Effort::of_rows(3000)).expect_err("a refusal");
    assert!(little.is_too_many_rows(), "{little}");
    let off = Effort::unlimited();
    off.call_off();
    let error = store.select_within(&wanted, &off).expect_err("an end");
    assert!(error.is_called_off(), "{error}");
    assert_eq!(select(&*store, &wanted).groups[0].count, 5000, "others go on");
}

fn what_was_not_wanted_may_be_missing(harness: &dyn Harness) {
    let store = harness.open(Retention::default());
    let rows: Vec<_> = (1..=500).map(|number| row(number % 7, "orders", 200, number as u64 * 100)).collect();
    append(&*store, rows);
    let with = &select(&*store, &everything(0, 7)).groups[0];
    let p90 = with.rollup.latency.percentile_micros(90.0).expect("a percentile");
    assert!((44_550.0..=45_450.0).contains(&p90), "{p90}");
    let without = &select(&*store, &Selection { figures: Figures::Sums, ..everything(0, 7) }).groups[0];
    assert_eq!(without.count, 500);
    assert_eq!(without.rollup.latency.sum_micros(), with.rollup.latency.sum_micros());
    assert_eq!(without.rollup.latency.max_micros(), 50_000);
    assert_eq!(without.rollup.response_bytes, with.rollup.response_bytes);
    let counts = Selection { figures: Figures::Counts, ..everything(0, 7) };
    assert_eq!(select(&*store, &counts).groups[0].count, 500);
}

/// One exchange every 10 minutes for `days` days, and two of another API every hour.
fn steady(days: i64) -> Vec<RollupRow> {
    (0..days * DAY)
        .step_by(10)
        .flat_map(|minute| {
            let other = (minute % HOUR == 0).then(|| row(minute, "stock", 503, 9));
            [Some(row(minute, "orders", 200, minute as u64)), other.clone(), other]
        })
        .flatten()
        .collect()
}

fn counts_add_up_across_levels(harness: &dyn Harness) {
    let forever = Retention { minute_rows: 90 * DAY, ..Retention::default() };
    let mut store = harness.open(forever);
    let rows = steady(3);
    for some in rows.chunks(97) {
        append(&*store, some.to_vec());
    }
    store = harness.reopened(store, forever);
    for (start, end) in
        [(0, 3 * DAY), (7, 2 * DAY + 61), (DAY, 2 * DAY), (HOUR, 2 * HOUR), (DAY - 1, DAY + 1)]
    {
        for interval in [1, 15, HOUR, 90, 3 * HOUR, DAY, 7 * DAY] {
            let group_by = vec![GroupBy::Interval(interval), GroupBy::Dimension(Dimension::Api)];
            let selection = Selection { group_by, ..everything(start, end) };
            let selected = select(&*store, &selection);
            assert_eq!(selected.groups, added_up(&rows, &selection), "{start}..{end} by {interval} minutes");
            assert_eq!(selected.range, selection.range);
        }
    }
}

fn late_rows_are_added_to_closed_hours_and_days(harness: &dyn Harness) {
    let store = harness.open(Retention::default());
    let mut rows = steady(2);
    append(&*store, rows.clone());
    let late = [row(5, "orders", 200, 77), row(5, "late", 404, 78), row(DAY + 5, "late", 404, 79)];
    for late in late {
        append(&*store, vec![late.clone()]);
        rows.push(late);
    }
    for interval in [1, HOUR, DAY] {
        let selection = Selection { group_by: vec![GroupBy::Interval(interval)], ..everything(0, 2 * DAY) };
        assert_eq!(select(&*store, &selection).groups, added_up(&rows, &selection), "by {interval} minutes");
    }
}

fn expired_rows_widen_the_answer(harness: &dyn Harness) {
    let retention = Retention { minute_rows: DAY, hour_rows: 3 * DAY, day_rows: 100 * DAY };
    let mut store = harness.open(retention);
    let rows = steady(10);
    for some in rows.chunks(200) {
        append(&*store, some.to_vec());
    }
    store = harness.reopened(store, retention);
    assert_eq!(total(&*store, 0, 10 * DAY), rows.len() as u64, "days still count everything");

    let selected = select(&*store, &everything(7 * DAY + 70, 7 * DAY + 80));
    assert_eq!(selected.range, everything(7 * DAY + HOUR, 7 * DAY + 2 * HOUR).range);
    assert_eq!(selected.groups, added_up(&rows, &everything(7 * DAY + HOUR, 7 * DAY + 2 * HOUR)));

    let selected = select(&*store, &everything(2 * DAY + 70, 9 * DAY + 5));
    assert_eq!(selected.range, everything(2 * DAY, 9 * DAY + 5).range);
    assert_eq!(selected.groups, added_up(&rows, &everything(2 * DAY, 9 * DAY + 5)));

    append(&*store, vec![row(2 * DAY + 3, "late", 200, 1), row(7 * DAY + 3, "late", 200, 1)]);
    assert_eq!(
        total(&*store, 0, 10 * DAY),
        rows.len() as u64 + 2,
        "late rows count where levels still keep them"
    );
    assert_eq!(total(&*store, 7 * DAY, 7 * DAY + HOUR), 9);
    assert_eq!(store.status().dropped_exchanges, 0);
}

fn rows_past_every_retention_are_counted_as_dropped(harness: &dyn Harness) {
    let retention = Retention { minute_rows: DAY, hour_rows: 2 * DAY, day_rows: 3 * DAY };
    let store = harness.open(retention);
    append(&*store, steady(6));
    assert_eq!(total(&*store, 0, 2 * DAY), 0);
    append(&*store, vec![row(5, "orders", 200, 1), row(5, "orders", 200, 2)]);
    assert_eq!(total(&*store, 0, 2 * DAY), 0);
    assert_eq!(store.status().dropped_exchanges, 2);
}

fn a_row_from_far_ahead_expires_nothing(harness: &dyn Harness) {
    let mut store = harness.open(Retention::default());
    let rows = steady(1);
    append(&*store, rows.clone());
    let year_2100 = 68_374_080;
    append(&*store, vec![row(year_2100, "orders", 200, 1)]);
    store = harness.reopened(store, Retention::default());
    append(&*store, vec![row(DAY + 1, "orders", 200, 1)]);
    let by_minute = Selection { group_by: vec![GroupBy::Interval(1)], ..everything(0, DAY) };
    assert_eq!(select(&*store, &by_minute).groups, added_up(&rows, &by_minute));
    assert_eq!(total(&*store, year_2100, year_2100 + 1), 1);
}

fn minutes_before_the_epoch_count(harness: &dyn Harness) {
    let store = harness.open(Retention::default());
    let rows: Vec<_> = (-2 * DAY..0).step_by(30).map(|minute| row(minute, "orders", 200, 3)).collect();
    append(&*store, rows.clone());
    for interval in [1, HOUR, DAY] {
        let group_by = vec![GroupBy::Interval(interval)];
        let selection = Selection { group_by, ..everything(-2 * DAY + 7, 5) };
        assert_eq!(select(&*store, &selection).groups, added_up(&rows, &selection), "by {interval} minutes");
    }
}

fn what_was_flushed_is_there_after_reopening(harness: &dyn Harness) {
    let mut store = harness.open(Retention::default());
    let mut rows = Vec::new();
    for round in 0..4 {
        let more: Vec<_> = (0..90).map(|minute| row(round * 50 + minute, "orders", 200, 40)).collect();
        append(&*store, more.clone());
        rows.extend(more);
        store = harness.reopened(store, Retention::default());
        let selection = Selection { group_by: vec![GroupBy::Interval(HOUR)], ..everything(0, 300) };
        assert_eq!(select(&*store, &selection).groups, added_up(&rows, &selection), "round {round}");
    }
}

/// A note that is to be remembered, or with `None` forgotten.
pub fn note(topic: &str, key: &str, text: Option<&str>) -> Note {
    Note { topic: topic.into(), key: key.into(), text: text.map(Into::into) }
}

fn notes_are_kept_by_topic_and_key(harness: &dyn Harness) {
    let store = harness.open(Retention::default());
    assert_eq!(store.recall("maintenance").expect("notes"), []);
    for (topic, key, text) in [
        ("maintenance", "zebra", Some("1")),
        ("maintenance", "Café \u{1f980}", Some("")),
        ("maintenance", "gone", Some("2")),
        ("maintenance", "", Some("3")),
        ("incident", "zebra", Some("another topic")),
        ("maintenance", "zebra", Some("newer")),
        ("maintenance", "gone", None),
        ("maintenance", "never there", None),
    ] {
        store.remember(note(topic, key, text)).expect("room for a note");
    }
    // Rows and notes go the same way.
    append(&*store, vec![row(1, "orders", 200, 5)]);
    let expected = [("", "3"), ("Café \u{1f980}", ""), ("zebra", "newer")];
    let expected = expected.map(|(key, text)| KeptNote { key: key.into(), text: text.into() });
    assert_eq!(store.recall("maintenance").expect("notes"), expected);
    let store = harness.reopened(store, Retention::default());
    assert_eq!(store.recall("maintenance").expect("notes"), expected);
    assert_eq!(store.recall("incident").expect("notes").len(), 1);
    assert_eq!(store.recall("Maintenance").expect("notes"), []);
}

fn notes_that_are_too_long_are_refused(harness: &dyn Harness) {
    let store = harness.open(Retention::default());
    let text = "x".repeat(MAX_NOTE_BYTES - 2);
    store.remember(note("t", "k", Some(&text))).expect("as long as a note may be");
    store.remember(note("t", "key", Some(&text))).expect_err("longer than that");
    store.flush(PATIENCE).expect("a flush");
    assert_eq!(store.recall("t").expect("notes").len(), 1);
}
