use jiff::Timestamp;
use proptest::prelude::*;

use super::*;

const POLICY: CheckPolicy = CheckPolicy {
    interval: Duration::from_secs(10),
    timeout: Duration::from_secs(5),
    failure_threshold: 3,
    recovery_threshold: 2,
    grace: Duration::ZERO,
    critical: true,
    shared: true,
    fails_readiness: true,
    fails_liveness: false,
};

fn run(second: u64, outcome: Outcome) -> Run {
    let report = match outcome {
        Outcome::Pass => Report::pass(),
        Outcome::Warn => Report::warn("look at it"),
        Outcome::Fail => Report::fail(FailureKind::Failed, "broken"),
    };
    let ended = Moment { wall: Timestamp::UNIX_EPOCH, elapsed: Duration::from_secs(second) };
    Run { ended, took: Duration::from_millis(3), report }
}

/// One letter a run, ten seconds apart: `.` passes, `w` warns, `x` fails. The lights after each.
fn lights(policy: &CheckPolicy, runs: &str) -> String {
    let mut state = CheckState::default();
    let mut lights = String::new();
    for (number, letter) in (1..).zip(runs.chars()) {
        let outcome = match letter {
            '.' => Outcome::Pass,
            'w' => Outcome::Warn,
            _ => Outcome::Fail,
        };
        let second = number * 10;
        state.finished(run(second, outcome), policy);
        lights.push(match state.standing(policy, Duration::from_secs(second)).light {
            Light::Green => 'g',
            Light::Amber => 'a',
            Light::Red => 'r',
        });
    }
    lights
}

#[test]
fn it_takes_several_results_in_a_row() {
    let check = |runs, expected| assert_eq!(lights(&POLICY, runs), expected, "{runs}");
    check(".", "g");
    check("..xx.xx.", "gggggggg");
    check(".xxx", "gggr");
    check(".xxx.x..", "gggrrrrg");
    check("xxx", "aar");
    check("xx.", "aag");
    check(".www", "ggga");
    check(".wxw", "ggga");
    check(".xxx.w", "gggrra");
}

#[test]
fn what_is_not_critical_turns_amber() {
    let policy = CheckPolicy { critical: false, ..POLICY };
    assert_eq!(lights(&policy, ".xxxxx.."), "gggaaaag");
}

#[test]
fn failures_in_the_grace_of_start_up_do_not_count() {
    let policy = CheckPolicy { grace: Duration::from_secs(45), ..POLICY };
    assert_eq!(lights(&policy, "xxxxxxx"), "aaaaaar");
    assert_eq!(lights(&policy, "x.xxx"), "agggr", "a success ends it");
}

#[test]
fn an_old_result_turns_amber_then_red_whatever_it_said() {
    let standing = |policy: &CheckPolicy, outcome, second| {
        let mut state = CheckState::default();
        (0..3).for_each(|_| state.finished(run(0, outcome), policy));
        state.standing(policy, Duration::from_secs(second))
    };
    let stale = |light, seconds| Standing { light, finding: Finding::Stale { seconds } };
    assert_eq!(standing(&POLICY, Outcome::Pass, 30).light, Light::Green);
    assert_eq!(standing(&POLICY, Outcome::Pass, 31), stale(Light::Amber, 31));
    assert_eq!(standing(&POLICY, Outcome::Pass, 61), stale(Light::Red, 61));
    assert_eq!(standing(&POLICY, Outcome::Warn, 31), stale(Light::Amber, 31));
    assert_eq!(standing(&POLICY, Outcome::Fail, 61).finding, Finding::Failing);
    let lesser = CheckPolicy { critical: false, ..POLICY };
    assert_eq!(standing(&lesser, Outcome::Pass, 1000), stale(Light::Amber, 1000));
    let never_run = CheckState::default().standing(&POLICY, Duration::from_secs(61));
    assert_eq!(never_run, stale(Light::Red, 61));
    let slow = CheckPolicy { timeout: Duration::from_mins(1), ..POLICY };
    assert_eq!(standing(&slow, Outcome::Pass, 150).light, Light::Green, "a run may take its timeout");
}

#[test]
fn a_timeout_without_end_is_no_place_to_panic() {
    let patient = CheckPolicy { timeout: Duration::MAX, ..POLICY };
    let mut state = CheckState::default();
    state.finished(run(0, Outcome::Pass), &patient);
    assert_eq!(state.standing(&patient, Duration::from_hours(24_000)).light, Light::Green);
}

#[test]
fn reports_come_from_what_a_function_returns() {
    assert_eq!(Report::from(()), Report::pass());
    assert_eq!(Report::from(Ok::<(), String>(())), Report::pass());
    assert_eq!(Report::from(Err::<(), _>("no")), Report::fail(FailureKind::Failed, "no"));
    let warning = Report::warn("soon").observed("expiry", 6.0, "days");
    assert_eq!(Report::from(Ok::<_, String>(warning.clone())), warning);
}

proptest! {
    #[test]
    fn fewer_than_the_threshold_in_a_row_never_change_a_light(bursts in proptest::collection::vec(1usize..3, 1..30)) {
        let runs: String = bursts.iter().map(|length| format!("{}.", "x".repeat(*length))).collect();
        let lights = lights(&POLICY, &[".", &runs].concat());
        prop_assert!(!lights.contains(['a', 'r']));
    }

    #[test]
    fn a_standing_only_gets_worse_with_age(outcome in 0usize..3, younger in 0u64..200, older in 0u64..200) {
        let mut state = CheckState::default();
        let outcome = [Outcome::Pass, Outcome::Warn, Outcome::Fail][outcome];
        (0..3).for_each(|_| state.finished(run(0, outcome), &POLICY));
        let light = |second| state.standing(&POLICY, Duration::from_secs(second)).light;
        prop_assert!(light(younger.min(older)) <= light(younger.max(older)));
    }
}
