use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::check::CheckPolicy;

fn at(second: u64) -> Moment {
    Moment {
        wall: Timestamp::from_second(1_700_000_000 + second as i64).unwrap(),
        elapsed: Duration::from_secs(second),
    }
}

fn traffic(exchanges: u64, failures: u64) -> Traffic {
    Traffic { exchanges, failures, latency_ms: Some(10.0) }
}

/// A verdict with these figures for the whole API and nothing else.
fn after(
    previous: &Verdict,
    phase: Phase,
    traffic: Traffic,
    thresholds: &Thresholds,
    second: u64,
) -> Verdict {
    let scope = Scope { group: None, critical: true, traffic: &traffic, thresholds };
    judge(previous, &Inputs { phase, traffic: &[scope], ..Inputs::default() }, at(second))
}

/// A verdict whose traffic asked for this light.
fn standing_at(light: Light) -> Verdict {
    let failures = [0, 100, 1000][light as usize];
    let verdict =
        after(&Verdict::starting(at(0)), Phase::Ready, traffic(1000, failures), &Thresholds::default(), 0);
    assert_eq!(verdict.light, light);
    verdict
}

/// The light once it has settled: a better one has to be asked for for a quarter of the window.
fn settled(previous: &Verdict, phase: Phase, traffic: Traffic, thresholds: &Thresholds) -> Verdict {
    let began = previous.since.elapsed.as_secs() + 1;
    (began..began + 17)
        .fold(previous.clone(), |verdict, second| after(&verdict, phase, traffic, thresholds, second))
}

fn light_after(previous: Light, phase: Phase, traffic: Traffic) -> Light {
    settled(&standing_at(previous), phase, traffic, &Thresholds::default()).light
}

fn check(name: &str, policy: &CheckPolicy, light: Light, finding: Finding) -> (Arc<str>, Standing, Powers) {
    (name.into(), Standing { light, finding }, Powers::of_check(policy))
}

fn judge_checks(previous: &Verdict, checks: &[(Arc<str>, Standing, Powers)], second: u64) -> Verdict {
    let checks: Vec<Checked<'_>> = checks
        .iter()
        .map(|(name, standing, powers)| Checked { name, standing: *standing, powers: *powers })
        .collect();
    judge(previous, &Inputs { phase: Phase::Ready, checks: &checks, ..Inputs::default() }, at(second))
}

#[test]
fn shares_turn_lights_and_let_go_of_them_late() {
    let check = |previous, failures, expected| {
        let light = light_after(previous, Phase::Ready, traffic(1000, failures));
        assert_eq!(light, expected, "{previous} {failures}");
    };
    check(Light::Green, 49, Light::Green);
    check(Light::Green, 50, Light::Amber);
    check(Light::Amber, 40, Light::Amber);
    check(Light::Amber, 39, Light::Green);
    check(Light::Amber, 499, Light::Amber);
    check(Light::Amber, 500, Light::Red);
    check(Light::Red, 400, Light::Red);
    check(Light::Red, 399, Light::Amber);
    check(Light::Red, 0, Light::Green);
}

#[test]
fn latency_turns_lights_and_lets_go_of_them_late() {
    let thresholds =
        Thresholds { amber_latency_ms: Some(250.0), red_latency_ms: Some(1000.0), ..Thresholds::default() };
    let check = |previous, latency_ms, expected| {
        let traffic = Traffic { exchanges: 100, failures: 0, latency_ms: Some(latency_ms) };
        let light = settled(&standing_at(previous), Phase::Ready, traffic, &thresholds).light;
        assert_eq!(light, expected, "{previous} {latency_ms}");
    };
    check(Light::Green, 249.0, Light::Green);
    check(Light::Green, 250.0, Light::Amber);
    check(Light::Amber, 200.0, Light::Amber);
    check(Light::Amber, 199.0, Light::Green);
    check(Light::Amber, 1000.0, Light::Red);
    check(Light::Red, 800.0, Light::Red);
    check(Light::Red, 799.0, Light::Amber);
}

#[test]
fn the_reason_says_which_figure_it_was() {
    let thresholds =
        Thresholds { latency_percentile: 99.9, amber_latency_ms: Some(250.0), ..Thresholds::default() };
    let slow = Traffic { exchanges: 100, failures: 0, latency_ms: Some(251.0) };
    let verdict = after(&Verdict::starting(at(0)), Phase::Ready, slow, &thresholds, 1);
    assert_eq!(
        verdict.causes[0].to_string(),
        "0.1 % of the requests in the last 60 seconds took 251 ms or longer"
    );
    let failing = after(&verdict, Phase::Ready, Traffic { failures: 80, ..slow }, &thresholds, 2);
    assert_eq!(failing.causes[0].to_string(), "80.0 % of the requests in the last 60 seconds failed");
}

#[test]
fn little_traffic_makes_no_light_worse() {
    assert_eq!(light_after(Light::Green, Phase::Ready, traffic(19, 19)), Light::Green);
    assert_eq!(light_after(Light::Green, Phase::Ready, traffic(20, 20)), Light::Red);
    assert_eq!(light_after(Light::Amber, Phase::Ready, traffic(19, 19)), Light::Amber);
    assert_eq!(light_after(Light::Red, Phase::Ready, traffic(19, 19)), Light::Red);
    assert_eq!(light_after(Light::Red, Phase::Ready, traffic(1, 0)), Light::Green);
}

#[test]
fn silence_turns_no_light_green() {
    let mut verdict = standing_at(Light::Red);
    for second in 1..100 {
        verdict = after(&verdict, Phase::Ready, Traffic::default(), &Thresholds::default(), second);
        assert_eq!(verdict.light, if second <= 15 { Light::Red } else { Light::Amber });
    }
    assert_eq!(verdict.reason(), &Reason::Unproven);
    let failed_once = after(&verdict, Phase::Ready, traffic(1, 1), &Thresholds::default(), 100);
    assert_eq!(failed_once.light, Light::Amber);
    let succeeded = (101..117).fold(failed_once, |it, second| {
        after(&it, Phase::Ready, traffic(2, 0), &Thresholds::default(), second)
    });
    assert_eq!((succeeded.light, succeeded.reason()), (Light::Green, &Reason::LittleTraffic));
    assert_eq!(light_after(Light::Green, Phase::Ready, Traffic::default()), Light::Green);
}

#[test]
fn traffic_around_the_least_that_is_judged_does_not_flap() {
    let mut verdict = standing_at(Light::Red);
    for second in 1..50 {
        let exchanges = if second % 2 == 0 { 19 } else { 21 };
        verdict =
            after(&verdict, Phase::Ready, traffic(exchanges, exchanges), &Thresholds::default(), second);
        assert_eq!(verdict.light, Light::Red);
    }
    assert_eq!(verdict.since, at(0));
}

#[test]
fn a_light_that_comes_back_again_and_again_is_kept_longer_each_time() {
    let thresholds = Thresholds::default();
    let mut verdict = standing_at(Light::Green);
    let mut amber_seconds = Vec::new();
    // A share that is over the threshold for one second in thirty.
    for second in 1..3600 {
        let failures = if second % 30 == 0 { 50 } else { 10 };
        verdict = after(&verdict, Phase::Ready, traffic(1000, failures), &thresholds, second);
        amber_seconds.extend((verdict.light == Light::Amber).then_some(second));
    }
    let changes = amber_seconds.windows(2).filter(|pair| pair[1] > pair[0] + 1).count();
    assert_eq!(changes, 1, "amber at once, longer after one relapse, and then as long as it goes on");
    assert_eq!((verdict.light, verdict.reason()), (Light::Amber, &Reason::Recovering { seconds: 2 }));
    let well = after(&verdict, Phase::Ready, traffic(1000, 10), &thresholds, 3601);
    assert_eq!(well.light, Light::Green, "half a window after the second recovery");
}

#[test]
fn a_group_turns_the_light_as_far_as_it_may() {
    let thresholds = Thresholds::default();
    let (well, broken) = (traffic(1000, 10), traffic(30, 30));
    let name: Arc<str> = "checkout".into();
    let light = |critical| {
        let whole = Scope { group: None, critical: true, traffic: &well, thresholds: &thresholds };
        let group = Scope { group: Some(&name), critical, traffic: &broken, thresholds: &thresholds };
        let inputs = Inputs { phase: Phase::Ready, traffic: &[whole, group], ..Inputs::default() };
        judge(&Verdict::starting(at(0)), &inputs, at(1))
    };
    let critical = light(true);
    assert_eq!((critical.light, critical.fails_readiness), (Light::Red, true));
    assert_eq!(
        critical.causes[0].to_string(),
        "100.0 % of the requests to checkout in the last 60 seconds failed"
    );
    let lesser = light(false);
    assert_eq!((lesser.light, lesser.fails_readiness), (Light::Amber, false));
}

#[test]
fn checks_turn_the_light_and_say_which() {
    let critical = CheckPolicy { critical: true, ..CheckPolicy::default() };
    let lesser = CheckPolicy::default();
    let well = [
        check("db", &critical, Light::Green, Finding::Passing),
        check("mail", &lesser, Light::Green, Finding::Passing),
    ];
    let green = judge_checks(&Verdict::starting(at(0)), &well, 1);
    assert_eq!((green.light, green.reason(), green.fails_readiness), (Light::Green, &Reason::Normal, false));
    let failing = [
        check("db", &critical, Light::Red, Finding::Failing),
        check("mail", &lesser, Light::Amber, Finding::Failing),
    ];
    let red = judge_checks(&green, &failing, 2);
    assert_eq!((red.light, red.fails_readiness, red.fails_liveness), (Light::Red, true, false));
    let said: Vec<String> = red.causes.iter().map(Cause::to_string).collect();
    assert_eq!(said, ["The check db fails", "The check mail fails"]);
    let changed = red.changed.clone().unwrap();
    assert_eq!(
        (changed.source, changed.from, changed.to),
        (Source::Check("mail".into()), Light::Green, Light::Amber)
    );
    let unchanged = judge_checks(&red, &failing, 3);
    assert_eq!((&unchanged.changed, unchanged.since), (&red.changed, at(2)));
    assert_eq!(unchanged.transition_from(&red), None);
    let transition = red.transition_from(&green).unwrap();
    assert_eq!((transition.at, transition.from, transition.to), (at(2), Light::Green, Light::Red));
}

#[test]
fn a_check_fails_liveness_only_when_it_fails_and_is_of_this_process() {
    let own = CheckPolicy { shared: false, fails_liveness: true, critical: true, ..CheckPolicy::default() };
    let fails = |policy: &CheckPolicy, light, finding| {
        judge_checks(&Verdict::starting(at(0)), &[check("x", policy, light, finding)], 1).fails_liveness
    };
    assert!(fails(&own, Light::Red, Finding::Failing));
    assert!(!fails(&own, Light::Red, Finding::Stale { seconds: 100 }));
    assert!(!fails(&CheckPolicy { shared: true, ..own }, Light::Red, Finding::Failing));
}

#[test]
fn a_scheduler_that_stands_still_cannot_look_green() {
    let verdict = |seconds| {
        let inputs = Inputs {
            phase: Phase::Ready,
            scheduler_silent: Duration::from_secs(seconds),
            ..Inputs::default()
        };
        judge(&Verdict::starting(at(0)), &inputs, at(100))
    };
    assert_eq!(
        [0, 4, 5, 14, 15].map(|seconds| verdict(seconds).light),
        [Light::Green, Light::Green, Light::Amber, Light::Amber, Light::Red]
    );
    assert!(!verdict(5).fails_liveness && verdict(15).fails_liveness && verdict(15).fails_readiness);
}

#[test]
fn maintenance_is_amber_until_it_ends() {
    let maintenance = Maintenance { reason: "new disks".into(), since: at(10), ends: at(20) };
    let verdict = |second| {
        let inputs = Inputs { phase: Phase::Ready, maintenance: Some(&maintenance), ..Inputs::default() };
        judge(&Verdict::starting(at(0)), &inputs, at(second))
    };
    let during = verdict(19);
    assert_eq!((during.light, during.fails_readiness), (Light::Amber, false));
    assert_eq!(during.causes[0].to_string(), "Maintenance until 2023-11-14T22:13:40Z: new disks");
    assert_eq!(verdict(20).light, Light::Green);
}

#[test]
fn an_old_green_is_not_green() {
    let green = standing_at(Light::Green);
    let light_after = |verdict, seconds| aged(verdict, Duration::from_secs(seconds), at(100)).light;
    let lights = [0, 4, 5, 14, 15, 1000].map(|seconds| light_after(&green, seconds));
    assert_eq!(lights, [Light::Green, Light::Green, Light::Amber, Light::Amber, Light::Red, Light::Red]);
    let red = standing_at(Light::Red);
    let old = aged(&red, Duration::from_secs(1000), at(1000));
    assert_eq!((old.light, old.since, old.reason()), (Light::Red, red.since, red.reason()));
    assert!(old.fails_liveness, "nobody judges any more");
}

#[test]
fn starting_and_draining_are_amber_at_best_and_not_ready() {
    for phase in [Phase::Starting, Phase::Draining, Phase::Stopped] {
        let verdict = |failures| {
            after(&standing_at(Light::Green), phase, traffic(100, failures), &Thresholds::default(), 1)
        };
        assert_eq!((verdict(0).light, verdict(0).fails_readiness), (Light::Amber, true));
        assert_eq!(verdict(100).light, Light::Red);
    }
}

#[test]
fn thousands_of_causes_are_counted_and_not_listed() {
    let policy = CheckPolicy::default();
    let failing: Vec<_> = (0..1000)
        .map(|number| check(&format!("c{number}"), &policy, Light::Amber, Finding::Failing))
        .collect();
    let verdict = judge_checks(&Verdict::starting(at(0)), &failing, 1);
    assert_eq!(verdict.causes.len(), MAX_CAUSES + 1);
    assert_eq!(verdict.causes.last().unwrap().to_string(), "And 980 more");
    assert_eq!(aged(&verdict, RED_AFTER, at(100)).causes.len(), MAX_CAUSES + 2);
}

#[test]
fn the_causes_that_are_counted_have_the_light_of_the_worst_among_them() {
    let critical = CheckPolicy { critical: true, ..CheckPolicy::default() };
    let light_of_rest = |reds: usize| {
        let light = |number| if number < reds { Light::Red } else { Light::Amber };
        let failing: Vec<_> = (0..MAX_CAUSES + 5)
            .map(|number| check(&format!("c{number}"), &critical, light(number), Finding::Failing))
            .collect();
        let verdict = judge_checks(&Verdict::starting(at(0)), &failing, 1);
        let rest = verdict.causes.last().unwrap();
        assert_eq!(rest.reason, Reason::More { causes: 5 });
        rest.light
    };
    assert_eq!(light_of_rest(MAX_CAUSES), Light::Amber);
    assert_eq!(light_of_rest(MAX_CAUSES + 1), Light::Red);
}

#[test]
fn setting_the_clock_changes_no_light_and_no_age() {
    let thresholds = Thresholds::default();
    let traffic = traffic(1000, 100);
    let scope = Scope { group: None, critical: true, traffic: &traffic, thresholds: &thresholds };
    let maintenance = Maintenance { reason: "x".into(), since: at(0), ends: at(1000) };
    let inputs = Inputs {
        phase: Phase::Ready,
        traffic: &[scope],
        maintenance: Some(&maintenance),
        ..Inputs::default()
    };
    let first = judge(&Verdict::starting(at(0)), &inputs, at(1));
    for seconds in [-1, 31_536_000] {
        let set = Moment { wall: Timestamp::from_second(1_700_000_002 + seconds).unwrap(), ..at(2) };
        let second = judge(&first, &inputs, set);
        assert_eq!(second, first);
        assert_eq!(set.since(second.since), Duration::from_secs(2));
    }
}

proptest! {
    #[test]
    fn more_failures_never_make_a_better_light(exchanges in 1u64..10_000, fewer in 0u64..10_000, more in 0u64..10_000) {
        let (fewer, more) = (fewer.min(more).min(exchanges), fewer.max(more).min(exchanges));
        for previous in [Light::Green, Light::Amber, Light::Red] {
            let better = light_after(previous, Phase::Ready, traffic(exchanges, fewer));
            prop_assert!(light_after(previous, Phase::Ready, traffic(exchanges, more)) >= better);
        }
    }

    /// The whole light is the worst of what each source may ask for, and there is always a cause for it.
    #[test]
    fn the_light_is_the_worst_cause(lights in proptest::collection::vec((0usize..3, any::<bool>()), 0..30), failures in 0u64..100) {
        let checks: Vec<_> = lights
            .iter()
            .enumerate()
            .map(|(number, (light, critical))| {
                let policy = CheckPolicy { critical: *critical, ..CheckPolicy::default() };
                let light = [Light::Green, Light::Amber, Light::Red][*light];
                let light = if *critical { light } else { light.min(Light::Amber) };
                check(&number.to_string(), &policy, light, Finding::Failing)
            })
            .collect();
        let checked: Vec<Checked<'_>> = checks
            .iter()
            .map(|(name, standing, powers)| Checked { name, standing: *standing, powers: *powers })
            .collect();
        let (figures, thresholds) = (traffic(100, failures), Thresholds::default());
        let scope = Scope { group: None, critical: true, traffic: &figures, thresholds: &thresholds };
        let inputs = Inputs { phase: Phase::Ready, traffic: &[scope], checks: &checked, ..Inputs::default() };
        let verdict = judge(&Verdict::starting(at(0)), &inputs, at(1));
        let by_traffic = if failures >= 50 { Light::Red } else if failures >= 5 { Light::Amber } else { Light::Green };
        let worst = Light::worst(checks.iter().map(|(_, standing, _)| standing.light).chain([by_traffic]));
        prop_assert_eq!(verdict.light, worst);
        prop_assert_eq!(verdict.causes[0].light, worst);
        prop_assert_eq!(verdict.fails_readiness, worst == Light::Red);
        prop_assert!(!verdict.fails_liveness);
    }
}
