use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::bucket::{Minute, MinuteRange};
use crate::rollup::Rollup;
use crate::series::Series;
use crate::store::{GroupBy, Grouping, Selected};

const DAY: i64 = 1440;
const YEAR: i64 = 365 * DAY;
/// 2026-03-16T18:30Z.
const NOW: i64 = 29_561_430;

fn minute(number: i64) -> Minute {
    Minute::new(number)
}

fn counts(good: u64, bad: u64) -> Counts {
    Counts { good, total: good + bad }
}

fn three_nines() -> Objective {
    Objective::new(0.999).unwrap()
}

fn rate_of(report: &ObjectiveReport, window: &str) -> f64 {
    report.burn_rates.iter().find(|burn| burn.window.name == window).unwrap().rate
}

fn firing(report: &ObjectiveReport) -> Vec<(Severity, &'static str)> {
    let firing = report.alerts.iter().filter(|alert| alert.is_firing);
    firing.map(|alert| (alert.severity, alert.long.name)).collect()
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * one.abs().max(other.abs()).max(1.0)
}

#[test]
fn only_what_makes_sense_is_an_objective() {
    for share in [0.0, -0.5, 1.0, 1.5, f64::NAN, f64::INFINITY, 1.0 - 1e-12] {
        assert_eq!(Objective::new(share), Err(BadObjective::GoodShare), "{share}");
    }
    for bound in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(three_nines().with_latency_bound_ms(bound), Err(BadObjective::LatencyBound), "{bound}");
    }
    for days in [0, 91, u32::MAX] {
        assert_eq!(three_nines().with_period_days(days), Err(BadObjective::Period), "{days}");
    }
    for (share, bad) in [(0.999, 0.001), (0.9, 0.1), (0.99999, 0.00001), (MAX_GOOD_SHARE, 1e-9)] {
        assert!(near(Objective::new(share).unwrap().bad_share() / bad, 1.0), "{share}");
    }
}

#[test]
fn clients_cannot_use_up_the_budget() {
    let mut latency = Histogram::default();
    [1_000, 99_000, 200_000].into_iter().for_each(|micros| latency.record(micros));
    let bounded = three_nines().with_latency_bound_ms(100.0).unwrap();
    let check = |failed_by, status, unbounded: Counts, with_bound: Counts| {
        assert_eq!(three_nines().count(failed_by, status, 3, &latency), unbounded, "{failed_by} {status}");
        assert_eq!(bounded.count(failed_by, status, 3, &latency), with_bound, "{failed_by} {status}");
    };
    check(FailedBy::Nobody, 200, counts(3, 0), counts(2, 1));
    check(FailedBy::Upstream, 500, counts(0, 3), counts(0, 3));
    check(FailedBy::Upstream, 200, counts(0, 3), counts(0, 3));
    check(FailedBy::Gateway, 502, counts(0, 3), counts(0, 3));
    check(FailedBy::Client, 404, counts(3, 0), counts(3, 0));
    check(FailedBy::Client, 429, counts(3, 0), counts(3, 0));
    check(FailedBy::Client, CLIENT_CLOSED_REQUEST, counts(0, 0), counts(0, 0));
    check(FailedBy::Client, 200, counts(0, 0), counts(0, 0));
}

#[test]
fn nothing_counted_is_a_whole_budget() {
    let report = Ledger::new(three_nines()).report(minute(NOW));
    assert_eq!((report.total, report.share, report.budget_left), (0, None, 1.0));
    assert!(report.burn_rates.iter().all(|burn| burn.rate == 0.0));
    assert_eq!((firing(&report), report.severity()), (vec![], None));
}

#[test]
fn the_figures_are_those_of_the_workbook() {
    let mut ledger = Ledger::new(three_nines());
    // Well for 30 days, then for the last hour 1.5 % fail: 15 times what may.
    for hour in (1..720).rev() {
        ledger.add(minute(NOW - hour * 60), counts(1000, 0));
    }
    for ago in (0..60).rev() {
        ledger.add(minute(NOW - ago), counts(985, 15));
    }
    let report = ledger.report(minute(NOW));
    assert_eq!((report.total, report.budget_used), (719_000 + 60_000, 900));
    assert!(near(report.budget_total, 779.0));
    assert!(near(report.budget_left, 1.0 - 900.0 / 779.0), "more was used than there was");
    assert!(near(rate_of(&report, "5m"), 15.0));
    assert!(near(rate_of(&report, "1h"), 900.0 / 61_000.0 / 0.001), "the hour before is cut by a minute");
    assert!(near(rate_of(&report, "6h"), 900.0 / 66_000.0 / 0.001));
    assert!(near(rate_of(&report, "3d"), 900.0 / 132_000.0 / 0.001));
    assert_eq!(firing(&report), [(Severity::Page, "1h"), (Severity::Page, "6h"), (Severity::Ticket, "3d")]);
    // Ten minutes after it has ended nobody is paged for the last hour any more.
    ledger.add(minute(NOW + 10), counts(1000, 0));
    let report = ledger.report(minute(NOW + 10));
    assert!(near(rate_of(&report, "5m"), 0.0));
    assert_eq!(firing(&report), [(Severity::Page, "6h"), (Severity::Ticket, "3d")]);
    assert_eq!(report.severity(), Some(Severity::Page));
}

#[test]
fn factors_grow_and_shrink_with_the_period_but_not_below_one() {
    let factors = |days| {
        let objective = three_nines().with_period_days(days).unwrap();
        let report = Ledger::new(objective).report(minute(NOW));
        let factors = report.alerts.iter().map(|alert| (alert.factor * 1000.0).round() / 1000.0);
        (factors.collect::<Vec<_>>(), report.burn_rates.len())
    };
    assert_eq!(factors(30), (vec![14.4, 6.0, 1.0], 5));
    assert_eq!(factors(90), (vec![43.2, 18.0, 3.0], 5));
    assert_eq!(factors(7), (vec![3.36, 1.4, 1.0], 5));
    assert_eq!(factors(2), (vec![1.0, 1.0], 4), "three days do not fit into two");
}

#[test]
fn an_alert_takes_more_than_its_factor_in_both_windows() {
    let objective = Objective::new(0.5).unwrap().with_period_days(1).unwrap();
    let mut ledger = Ledger::new(objective);
    ledger.add(minute(NOW), counts(50, 50));
    assert_eq!(firing(&ledger.report(minute(NOW))), [], "exactly the factor lasts for the period");
    ledger.add(minute(NOW), counts(0, 1));
    assert_eq!(firing(&ledger.report(minute(NOW))).len(), 2);
}

#[test]
fn a_clock_that_is_put_back_by_seconds_changes_nothing() {
    let mut ledger = Ledger::new(three_nines());
    ledger.add(minute(NOW - 1), counts(10, 10));
    ledger.add(minute(NOW), counts(10, 10));
    let (before, after) = (ledger.report(minute(NOW)), ledger.report(minute(NOW - 1)));
    assert_eq!(before, after);
    ledger.add(minute(NOW - 1), counts(5, 5));
    assert_eq!(ledger.report(minute(NOW)).total, 50);
}

#[test]
fn a_year_forward_and_back_costs_no_more_than_the_cells_of_that_time() {
    let mut ledger = Ledger::new(three_nines());
    for ago in (0..30 * DAY).rev() {
        ledger.add(minute(NOW - ago), counts(9, 1));
    }
    let before = ledger.report(minute(NOW));
    // Wrong for ten minutes.
    for wrong in 0..10 {
        ledger.add(minute(NOW + YEAR + wrong), counts(9, 1));
        let report = ledger.report(minute(NOW + YEAR + wrong));
        assert_eq!(report.total, 10 * (wrong as u64 + 1), "what was a year ago is past the period");
    }
    let after = ledger.report(minute(NOW));
    let lost = before.total - after.total;
    assert!(lost <= 2 * 600, "at most two hours of 600: {lost}");
    for (before, after) in before.burn_rates.iter().zip(&after.burn_rates) {
        let cells = if before.window.minutes > 360 { 2 * 60 } else { 10 };
        assert!(before.counts.total - after.counts.total <= cells * 10, "{}", before.window.name);
    }
    // Counting goes on, and what was counted in the wrong year stays out.
    ledger.add(minute(NOW), counts(9, 1));
    assert_eq!(ledger.report(minute(NOW)).total, after.total + 10);
}

#[test]
fn a_clock_that_began_a_year_ahead_does_not_stop_the_counting() {
    let mut ledger = Ledger::new(three_nines());
    for wrong in 0..500 {
        ledger.add(minute(NOW + YEAR + wrong), counts(9, 1));
    }
    for right in 0..400 {
        ledger.add(minute(NOW + right), counts(9, 1));
    }
    let report = ledger.report(minute(NOW + 399));
    assert_eq!(report.total, 4000);
    assert_eq!(report.burn_rates[2].counts.total, 610);
}

#[test]
fn the_ends_of_time_are_no_place_to_panic() {
    let mut ledger = Ledger::new(three_nines().with_period_days(90).unwrap());
    for number in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX] {
        ledger.add(minute(number), Counts { good: u64::MAX, total: u64::MAX });
        ledger.restore(minute(number), Counts { good: 2, total: 1 });
        ledger.report(minute(number)).to_json();
        HistoryPart::of(ledger.objective(), minute(number));
    }
}

#[test]
fn what_is_restored_never_takes_the_place_of_what_is_newer() {
    let mut ledger = Ledger::new(three_nines());
    ledger.add(minute(NOW), counts(1, 0));
    let before = ledger.clone();
    for back in 1..200 {
        ledger.restore(minute(NOW - back * 362 * 722 * 60), counts(100, 100));
    }
    assert_eq!(ledger, before);
    ledger.restore(minute(NOW), counts(0, 1));
    assert_eq!(ledger.report(minute(NOW)).total, 2);
}

#[test]
fn json_has_every_figure() {
    let mut ledger = Ledger::new(three_nines().with_latency_bound_ms(250.0).unwrap());
    ledger.add(minute(NOW), counts(9_985, 15));
    let json = ledger.report(minute(NOW)).to_json();
    let expected = serde_json::json!({
        "good_share": 0.999, "latency_ms": 250.0, "period_days": 30,
        "good": 9985, "total": 10000, "share": 0.9985,
        "error_budget": {"total": 10.0, "used": 15, "left": -0.5},
        "burn_rates": {"5m": 1.5, "30m": 1.5, "1h": 1.5, "6h": 1.5, "3d": 1.5},
        "severity": "ticket",
        "alerts": [
            {"severity": "page", "long_window": "1h", "short_window": "5m", "factor": 14.4, "firing": false},
            {"severity": "page", "long_window": "6h", "short_window": "30m", "factor": 6.0, "firing": false},
            {"severity": "ticket", "long_window": "3d", "short_window": "6h", "factor": 1.0, "firing": true},
        ],
    });
    assert_eq!(json, expected);
}

#[test]
fn history_is_asked_for_newest_first_without_gap_or_overlap() {
    for days in [1, 2, 30, 90] {
        let objective = three_nines().with_period_days(days).unwrap();
        for now in NOW - 70..NOW + 1400 {
            let parts = HistoryPart::of(&objective, minute(now));
            let mut until = minute(now + 1);
            for part in &parts {
                let MinuteRange { start, end } = part.selection(&objective, &"polls".into()).range;
                assert_eq!(end, until);
                assert!(start < end && end.number() - start.number() <= DAY);
                until = start;
            }
            assert_eq!(until, minute(now - i64::from(days) * DAY).floor(60));
        }
    }
}

/// Rows of a store that keeps minutes, answered as any store does.
fn select(rows: &[(i64, u16, FailedBy)], selection: &crate::store::Selection) -> Selected {
    let mut grouping = Grouping::new(selection);
    for (number, status, failed_by) in rows {
        let series = Series {
            api: "polls".into(),
            api_version: "1".into(),
            route: "/".into(),
            method: "GET".into(),
            status: *status,
            client_id: "app".into(),
            policy: None,
            failed_by: *failed_by,
            instance: "one".into(),
        };
        if selection.range.contains(minute(*number)) && selection.filter.matches(&series) {
            let (count, rollup) = grouping.group(minute(*number), &series).unwrap();
            let mut one = Rollup::default();
            one.latency.record(if number % 2 == 0 { 1_000 } else { 1_000_000 });
            rollup.merge(&one);
            *count += 1;
        }
    }
    Selected { groups: grouping.finish(), range: selection.range }
}

/// Sums over raw counts, as anybody would write them.
fn slow(raw: &[(i64, Counts)], objective: &Objective, now: i64, minutes: i64) -> Counts {
    let width = if minutes <= 360 { 1 } else { 60 };
    let from = (now - minutes).div_euclid(width) * width;
    let mut sum = Counts::default();
    for (_, counts) in raw.iter().filter(|(number, _)| from <= *number && *number <= now) {
        sum.good += counts.good;
        sum.total += counts.total;
    }
    assert!(minutes <= i64::from(objective.period_days()).max(3) * DAY);
    sum
}

fn objectives() -> impl Strategy<Value = Objective> {
    (prop::sample::select(vec![0.5, 0.9, 0.99, 0.999, 0.99999]), 1u32..=90)
        .prop_map(|(share, days)| Objective::new(share).unwrap().with_period_days(days).unwrap())
}

/// Steps of time and what was counted at each: mostly minutes, sometimes hours or days.
fn traffic() -> impl Strategy<Value = Vec<(i64, Counts)>> {
    let step = prop_oneof![4 => 0i64..3, 2 => 0i64..200, 1 => 0i64..5 * DAY];
    prop::collection::vec((step, 0u64..1000, 0u64..50), 1..300).prop_map(|steps| {
        let mut now = NOW;
        let mut taken = |(step, good, bad)| {
            now += step;
            (now, counts(good, bad))
        };
        steps.into_iter().map(&mut taken).collect()
    })
}

fn check_against_slow(ledger: &Ledger, raw: &[(i64, Counts)], now: i64) -> Result<(), TestCaseError> {
    let objective = ledger.objective();
    let report = ledger.report(minute(now));
    let period = slow(raw, objective, now, i64::from(objective.period_days()) * DAY);
    prop_assert_eq!((report.good, report.total), (period.good, period.total));
    prop_assert_eq!(report.budget_used, period.total - period.good);
    let allowed = period.total as f64 * (1.0 - objective.good_share());
    prop_assert!(near(report.budget_total, allowed));
    if period.total > 0 {
        prop_assert!(near(report.budget_left, (allowed - period.bad() as f64) / allowed));
    }
    for burn in &report.burn_rates {
        let expected = slow(raw, objective, now, burn.window.minutes);
        prop_assert_eq!(burn.counts, expected, "{}", burn.window.name);
        if expected.total > 0 {
            let failed = expected.bad() as f64 / expected.total as f64;
            prop_assert!(near(burn.rate, failed / (1.0 - objective.good_share())));
        }
    }
    for alert in &report.alerts {
        let both =
            [alert.long, alert.short].iter().all(|window| rate_of(&report, window.name) > alert.factor);
        prop_assert_eq!(alert.is_firing, both);
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_report_is_what_raw_counts_give(objective in objectives(), raw in traffic(), later in 0i64..400) {
        let mut ledger = Ledger::new(objective);
        for (index, (number, counts)) in raw.iter().enumerate() {
            ledger.add(minute(*number), *counts);
            if index % 50 == 0 {
                check_against_slow(&ledger, &raw[..=index], *number)?;
            }
        }
        let last = raw.last().unwrap().0;
        check_against_slow(&ledger, &raw, last + later)?;
    }

    #[test]
    fn merging_is_adding(raw in traffic(), pieces in 1u64..5) {
        let (mut whole, mut pieced) = (Ledger::new(three_nines()), Ledger::new(three_nines()));
        for (number, counts) in &raw {
            whole.add(minute(*number), *counts);
            for piece in 0..pieces {
                let part = |count: u64| count / pieces + u64::from(piece < count % pieces);
                pieced.add(minute(*number), super::tests::counts(part(counts.good), part(counts.bad())));
            }
        }
        prop_assert_eq!(whole, pieced);
    }

    #[test]
    fn what_is_restored_in_any_order_is_what_would_have_been_added(
        objective in objectives(), raw in traffic(), split in any::<prop::sample::Index>(),
    ) {
        let split = split.index(raw.len());
        let mut restored = Ledger::new(objective);
        let (before, after) = raw.split_at(split);
        for (number, counts) in after {
            restored.add(minute(*number), *counts);
        }
        for (number, counts) in before.iter().rev() {
            restored.restore(minute(*number), *counts);
        }
        check_against_slow(&restored, &raw, raw.last().unwrap().0)?;
    }

    #[test]
    fn no_clock_makes_counts_up(
        jumps in prop::collection::vec((prop::sample::select(
            vec![-10 * YEAR, -YEAR, -DAY, -362, -60, -1, 0, 1, 60, 362, DAY, YEAR]), 0u64..100, 0u64..100), 1..200),
    ) {
        let mut ledger = Ledger::new(three_nines());
        let (mut now, mut added) = (NOW, Counts::default());
        for (jump, good, bad) in jumps {
            now += jump;
            ledger.add(minute(now), counts(good, bad));
            added.merge(counts(good, bad));
            let report = ledger.report(minute(now));
            prop_assert!(report.good <= report.total && report.total <= added.total);
            prop_assert!(report.budget_used <= added.bad() && report.budget_left <= 1.0);
            for burn in &report.burn_rates {
                prop_assert!(burn.counts.good <= burn.counts.total && burn.counts.total <= added.total);
                prop_assert!(burn.rate >= 0.0);
            }
            let just_now = report.burn_rates[0].counts;
            prop_assert!(just_now.total >= good + bad, "what has just been counted is in every window");
        }
    }

    #[test]
    fn history_counts_every_exchange_once(
        rows in prop::collection::vec((0i64..3 * DAY, prop::sample::select(vec![
            (200, FailedBy::Nobody), (404, FailedBy::Client), (499, FailedBy::Client), (200, FailedBy::Client),
            (502, FailedBy::Gateway), (500, FailedBy::Upstream)])), 0..100),
        bound in any::<bool>(),
    ) {
        let mut objective = three_nines().with_period_days(2).unwrap();
        if bound {
            objective = objective.with_latency_bound_ms(100.0).unwrap();
        }
        let rows: Vec<_> = rows.into_iter().map(|(ago, (status, by))| (NOW - ago, status, by)).collect();
        let api: Arc<str> = "polls".into();
        let (mut restored, mut raw) = (Ledger::new(objective), Vec::new());
        for part in HistoryPart::of(&objective, minute(NOW)) {
            let selection = part.selection(&objective, &api);
            let has_minutes = selection.group_by[0] == GroupBy::Interval(1);
            prop_assert_eq!(has_minutes, selection.range.end.number() > NOW - 360);
            for (start, counts) in part.counts(&objective, &select(&rows, &selection)) {
                restored.restore(start, counts);
            }
        }
        for (number, status, failed_by) in &rows {
            let mut latency = Histogram::default();
            latency.record(if number % 2 == 0 { 1_000 } else { 1_000_000 });
            raw.push((*number, objective.count(*failed_by, *status, 1, &latency)));
        }
        check_against_slow(&restored, &raw, NOW)?;
    }
}
