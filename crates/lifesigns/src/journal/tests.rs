use std::io;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use lifesigns_model::check::{FailureKind, Report, Run, Standing};
use lifesigns_model::light::Light;
use lifesigns_model::moment::Moment;
use lifesigns_model::verdict::{Cause, Inputs, Phase, Reason, Scope, Thresholds, Traffic, judge};
use serde_json::{Value, json};

use super::*;
use crate::checks::{Check, RunCounts};
use crate::recorder::lock;

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines that are logged meanwhile.
fn logged(work: impl FnOnce()) -> Vec<Value> {
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(move || writer.clone())
        .without_time()
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let bytes = lock(&written.0).clone();
    String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn at(milliseconds: u64) -> Moment {
    let elapsed = Duration::from_millis(milliseconds);
    Moment { wall: Timestamp::from_second(1_700_000_000).unwrap() + elapsed, elapsed }
}

fn judged(previous: &Verdict, phase: Phase, failures: u64, now: Moment) -> Verdict {
    let traffic = Traffic { exchanges: 100, failures, latency_ms: Some(1.0) };
    let scope = Scope { group: None, critical: true, traffic: &traffic, thresholds: &Thresholds::default() };
    judge(previous, &Inputs { phase, traffic: &[scope], ..Inputs::default() }, now)
}

fn said(journal: &mut Journal, before: &Verdict, after: &Verdict) {
    journal.light("polls", before, after, &after.transition_from(before).unwrap());
}

#[test]
fn a_light_that_turns_is_one_line_with_its_story() {
    let green = judged(&Verdict::starting(at(0)), Phase::Ready, 0, at(1000));
    let red = judged(&green, Phase::Ready, 100, at(3500));
    let recovering = judged(&red, Phase::Ready, 0, at(9000));
    let recovered = judged(&recovering, Phase::Ready, 0, at(24_000));
    let lines = logged(|| {
        let mut journal = Journal::default();
        said(&mut journal, &green, &red);
        said(&mut journal, &red, &recovered);
    });
    let reason = "100.0 % of the requests in the last 60 seconds failed";
    let expected = json!({
        "level": "WARN", "target": "lifesigns::changes", "message": "the light has changed", "api": "polls",
        "from": "GREEN", "to": "RED", "source": "traffic", "reason": reason, "causes": reason,
        "lasted_seconds": 2.5,
    });
    assert_eq!(lines[0], expected);
    assert_eq!(lines[1]["level"], "INFO");
    assert_eq!((&lines[1]["to"], &lines[1]["lasted_seconds"]), (&json!("GREEN"), &json!(20.5)));
    assert_eq!(lines.len(), 2);
}

#[test]
fn what_was_planned_is_no_warning() {
    let green = judged(&Verdict::starting(at(0)), Phase::Ready, 0, at(1000));
    let draining = judged(&green, Phase::Draining, 0, at(2000));
    let lines = logged(|| said(&mut Journal::default(), &green, &draining));
    assert_eq!((&lines[0]["level"], &lines[0]["source"]), (&json!("INFO"), &json!("lifecycle")));
}

#[test]
fn long_reasons_are_cut() {
    let green = judged(&Verdict::starting(at(0)), Phase::Ready, 0, at(1000));
    let reason = Reason::Maintenance { reason: "ä".repeat(5000).into(), ends: at(0).wall };
    let cause = Cause { light: Light::Amber, source: Source::Maintenance, reason };
    let mut amber = green.clone();
    (amber.light, amber.causes) = (Light::Amber, Arc::new([cause]));
    let lines = logged(|| said(&mut Journal::default(), &green, &amber));
    assert_eq!(lines[0]["reason"].as_str().unwrap().chars().count(), MAX_CHARACTERS + 1);
}

fn check(finding: Finding, report: Report) -> CheckSnapshot {
    CheckSnapshot {
        check: Arc::new(Check::new("db", || async {})),
        standing: Standing { light: Light::Green, finding },
        last: Some(Arc::new(Run { ended: at(0), took: Duration::ZERO, report })),
        counts: RunCounts::default(),
    }
}

#[test]
fn a_check_is_told_of_when_its_level_changes_and_not_when_it_runs() {
    let failed = || Report::fail(FailureKind::Unreachable, "10.0.0.7:5432 refused the connection");
    let lines = logged(|| {
        let mut journal = Journal::default();
        journal.check(0, &check(Finding::Passing, Report::pass()));
        journal.check(0, &check(Finding::Passing, failed()));
        journal.check(0, &check(Finding::Failing, failed()));
        journal.check(0, &check(Finding::Stale { seconds: 31 }, failed()));
        journal.check(0, &check(Finding::Stale { seconds: 32 }, failed()));
        journal.check(0, &check(Finding::Warning, Report::warn("soon")));
        journal.check(0, &check(Finding::Passing, Report::pass()));
        journal.check(0, &check(Finding::Warning, Report::warn("soon")));
    });
    let said: Vec<_> = lines
        .iter()
        .map(|line| ["level", "from", "to"].map(|field| line[field].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(
        said,
        [
            ["INFO", "pending", "passing"],
            ["WARN", "passing", "failing"],
            ["WARN", "failing", "stale"],
            ["INFO", "stale", "warning"],
            ["INFO", "warning", "passing"],
            ["WARN", "passing", "warning"],
        ]
    );
    assert_eq!(
        (&lines[1]["check"], &lines[1]["kind"], &lines[1]["output"]),
        (&json!("db"), &json!("unreachable"), &json!("10.0.0.7:5432 refused the connection"))
    );
    assert_eq!(lines[0].get("output"), None);
}

#[test]
fn however_much_flaps_the_log_stays_short_and_says_what_it_lacks() {
    let green = judged(&Verdict::starting(at(0)), Phase::Ready, 0, at(1000));
    let red = judged(&green, Phase::Ready, 100, at(2000));
    let lines = logged(|| {
        let mut journal = Journal::default();
        for tick in 0..4 {
            journal.turn(Duration::from_millis(10_000 + tick * 500));
            (0..50).for_each(|_| said(&mut journal, &green, &red));
            for number in 0..1000 {
                let finding = if tick % 2 == 0 { Finding::Passing } else { Finding::Failing };
                journal.check(number, &check(finding, Report::pass()));
            }
        }
        journal.turn(Duration::from_secs(12));
    });
    let summaries: Vec<_> = lines.iter().filter(|line| line.get("lights").is_some()).collect();
    assert_eq!(summaries.len(), 2);
    for summary in summaries {
        assert_eq!((&summary["lights"], &summary["checks"]), (&json!(80), &json!(1980)));
    }
    assert_eq!(lines.len(), 2 + 2 * 2 * LINES_A_SECOND as usize);
}
