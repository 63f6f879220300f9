//! Every state that can be told, told in every dialect and read again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lifesigns_model::check::{CheckState, FailureKind, Report, Run, Standing};
use lifesigns_model::dialect::{self, Dialect};
use lifesigns_model::moment::Moment;
use lifesigns_model::verdict::{Checked, Inputs, Maintenance, Phase, Scope, Traffic, Verdict, aged, judge};

use super::*;
use crate::checks::{Check, CheckSnapshot, RunCounts};
use crate::process::Lifesigns;
use crate::settings::RouteGroup;
use crate::snapshot::Snapshot;

pub(super) fn at(seconds: u64) -> Moment {
    let wall = Timestamp::from_second(1_700_000_000 + i64::try_from(seconds).unwrap()).unwrap();
    Moment { wall, elapsed: Duration::from_secs(seconds) }
}

/// A state to be told, 100 seconds after the start.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) name: &'static str,
    phase: Phase,
    traffic: Traffic,
    group: Traffic,
    scheduler_silent: Duration,
    maintenance: Option<Maintenance>,
    checks: Vec<CheckSnapshot>,
    /// How long ago it was judged.
    age: Duration,
}

impl Scene {
    fn new(name: &'static str) -> Scene {
        let traffic = Traffic { exchanges: 100, failures: 0, latency_ms: Some(12.5) };
        Scene {
            name,
            phase: Phase::Ready,
            traffic,
            group: traffic,
            scheduler_silent: Duration::ZERO,
            maintenance: None,
            checks: Vec::new(),
            age: Duration::ZERO,
        }
    }

    fn check(mut self, check: Check, report: Option<Report>) -> Scene {
        self.checks.push(checked(check, report));
        self
    }
}

/// A check whose last run was two seconds ago and said this.
pub(super) fn checked(check: Check, report: Option<Report>) -> CheckSnapshot {
    let check = check.thresholds(1, 1).affects(["/orders/{id}"]);
    let mut state = CheckState::default();
    if let Some(report) = report {
        state.finished(Run { ended: at(98), took: Duration::from_micros(1234), report }, check.policy());
    }
    CheckSnapshot {
        standing: state.standing(check.policy(), Duration::from_secs(100)),
        last: state.last().cloned(),
        counts: RunCounts::default(),
        check: Arc::new(check),
    }
}

pub(super) fn check(name: &str) -> Check {
    Check::new(name, async || ())
}

/// What a check must not tell strangers.
pub(super) const CANARY: &str = "canary at 10.1.2.3:5432";

pub(super) fn scenes() -> Vec<Scene> {
    let failing = || Some(Report::fail(FailureKind::Unreachable, CANARY));
    let failed = Traffic { exchanges: 100, failures: 100, latency_ms: Some(12.5) };
    let well = || Scene::new("well").check(check("db").critical(), Some(Report::pass()));
    let maintenance = Maintenance { reason: "new disks".into(), since: at(10), ends: at(200) };
    let stale = |critical| {
        let check = if critical { check("db").critical() } else { check("db") };
        let mut snapshot = checked(check.every(Duration::from_secs(1)), Some(Report::pass()));
        snapshot.standing = Standing {
            light: if critical { Light::Red } else { Light::Amber },
            finding: lifesigns_model::check::Finding::Stale { seconds: 70 },
        };
        Scene { name: "a check is stale", checks: vec![snapshot], ..Scene::new("") }
    };
    let many = (0..2000).map(|number| checked(check(&format!("c{number}")), Some(Report::pass())));
    let one_of_many = many.chain([checked(check("the last").critical(), failing())]);
    let observed =
        Report { output: Some(CANARY.to_owned()), ..Report::pass() }.observed("utilization", 81.5, "percent");
    vec![
        Scene::new("nothing but traffic"),
        well(),
        Scene { name: "starting", phase: Phase::Starting, ..well() },
        Scene { name: "draining", phase: Phase::Draining, ..well() },
        Scene { name: "stopped", phase: Phase::Stopped, ..well() },
        Scene { name: "failing traffic", traffic: failed, ..well() },
        Scene { name: "a failing group", group: failed, ..well() },
        Scene { name: "the scheduler is late", scheduler_silent: Duration::from_secs(6), ..well() },
        Scene { name: "the scheduler stands", scheduler_silent: Duration::from_mins(1), ..well() },
        Scene { name: "judged a while ago", age: Duration::from_secs(6), ..well() },
        Scene { name: "judged long ago", age: Duration::from_mins(1), ..well() },
        Scene { name: "maintenance", maintenance: Some(maintenance), ..well() },
        Scene::new("a lesser check fails").check(check("mail"), failing()),
        Scene::new("a critical check fails").check(check("db:main").critical(), failing()),
        Scene::new("a check warns").check(check("cert").critical(), Some(Report::warn(CANARY))),
        Scene::new("a check has not run")
            .check(check("slow").critical().every(Duration::from_hours(1)), None),
        Scene::new("a check has measured").check(check("disk").component_type("system"), Some(observed)),
        stale(false),
        stale(true),
        Scene { name: "thousands", checks: one_of_many.collect(), ..Scene::new("") },
    ]
}

pub(super) fn lifesigns() -> Lifesigns {
    let group = RouteGroup { name: "orders".to_owned(), ..RouteGroup::default() };
    Lifesigns::builder("items").route_group(group).start().unwrap()
}

/// The snapshot of a scene as it counts 100 seconds after the start.
pub(super) fn snapshot(scene: &Scene, lifesigns: &Lifesigns) -> Snapshot {
    let api = &lifesigns.process.apis[0];
    let name: Arc<str> = "orders".into();
    let traffic = [
        Scope { group: None, critical: true, traffic: &scene.traffic, thresholds: &api.thresholds },
        Scope { group: Some(&name), critical: false, traffic: &scene.group, thresholds: &api.thresholds },
    ];
    let checks: Vec<Checked<'_>> = scene
        .checks
        .iter()
        .map(|it| Checked { name: &it.check.name, standing: it.standing, powers: it.powers() })
        .collect();
    let inputs = Inputs {
        phase: scene.phase,
        scheduler_silent: scene.scheduler_silent,
        maintenance: scene.maintenance.as_ref(),
        traffic: &traffic,
        checks: &checks,
    };
    let judged = at(100 - scene.age.as_secs());
    let verdict = judge(&Verdict::starting(at(0)), &inputs, judged);
    Snapshot {
        judged,
        verdict: aged(&verdict, scene.age, at(100)),
        phase: scene.phase,
        traffic: scene.traffic,
        groups: [(Arc::clone(&name), scene.group)].into(),
        failing_routes: vec!["/orders/{id}".into()],
        checks: scene.checks.clone().into(),
        scheduler_silent: scene.scheduler_silent,
        maintenance: scene.maintenance.clone(),
        ..Snapshot::starting(at(0))
    }
}

pub(super) fn subject<'a>(snapshot: &'a Snapshot, lifesigns: &'a Lifesigns, sees_all: bool) -> Subject<'a> {
    let state = &lifesigns.process.apis[0];
    Subject { state, snapshot, sees_all, now: at(100), started: Some(at(0).wall) }
}

const FORMS: [(Form, Dialect); 7] = [
    (Form::Dialect(HealthDialect::Lifesigns), Dialect::Health),
    (Form::Dialect(HealthDialect::HealthJson), Dialect::HealthJson),
    (Form::Dialect(HealthDialect::Actuator), Dialect::Actuator),
    (Form::Actuator2, Dialect::Actuator),
    (Form::Dialect(HealthDialect::MicroProfile), Dialect::MicroProfile),
    (Form::Dialect(HealthDialect::Xabaril), Dialect::Xabaril),
    (Form::Dialect(HealthDialect::Text), Dialect::Word),
];

/// For each scene, each caller and each dialect.
fn for_each_answer(mut look: impl FnMut(&Scene, &Snapshot, bool, Dialect, (StatusCode, &str, &str))) {
    let lifesigns = lifesigns();
    for scene in scenes() {
        let snapshot = snapshot(&scene, &lifesigns);
        for sees_all in [false, true] {
            for (form, dialect) in FORMS {
                let (status, content_type, body) = told(&subject(&snapshot, &lifesigns, sees_all), form);
                look(&scene, &snapshot, sees_all, dialect, (status, content_type.to_str().unwrap(), &body));
            }
        }
    }
}

#[test]
fn the_scenes_show_every_light() {
    let lifesigns = lifesigns();
    let count =
        |light| scenes().iter().filter(|scene| snapshot(scene, &lifesigns).verdict.light == light).count();
    assert_eq!([Light::Green, Light::Amber, Light::Red].map(count), [3, 11, 6]);
}

#[test]
fn what_is_told_is_read_again_with_the_same_light() {
    for_each_answer(|scene, snapshot, _, dialect, (status, content_type, body)| {
        let light = snapshot.verdict.light;
        assert_eq!(status.as_u16(), if light == Light::Red { 503 } else { 200 }, "{}", scene.name);
        let has_no_amber = matches!(dialect, Dialect::Actuator | Dialect::MicroProfile);
        let expected = if has_no_amber && light == Light::Amber { Light::Green } else { light };
        for form in [None, Some(dialect)] {
            let reading = dialect::read(form, status.as_u16(), Some(content_type), body.as_bytes()).unwrap();
            assert_eq!((reading.light, reading.dialect), (expected, dialect), "{}: {body}", scene.name);
        }
    });
}

#[test]
fn each_check_is_a_part_that_others_find() {
    for_each_answer(|scene, _, _, dialect, (status, content_type, body)| {
        if matches!(dialect, Dialect::Health | Dialect::Word) || scene.checks.len() > component::MAX_CHECKS {
            return;
        }
        let reading = dialect::read(None, status.as_u16(), Some(content_type), body.as_bytes()).unwrap();
        for CheckSnapshot { check, .. } in &scene.checks {
            let name = if dialect == Dialect::HealthJson {
                let observes = scene.name == "a check has measured";
                let measurement = if observes { "utilization" } else { "responseTime" };
                format!("{}:{measurement}", check.name().replace(':', "_"))
            } else {
                check.name().to_owned()
            };
            assert!(reading.parts.iter().any(|part| part.name == name), "{name} in {body}");
        }
    });
}

#[test]
fn strangers_are_told_no_output_and_others_are() {
    for_each_answer(|scene, _, sees_all, dialect, (_, _, body)| {
        let is_short = matches!(dialect, Dialect::Health | Dialect::Word);
        let said = scene.checks.iter().any(|it| {
            let passes = it.standing.light == Light::Green;
            // The draft has no output for what passes.
            let is_told = !passes || dialect != Dialect::HealthJson;
            is_told && it.last.as_ref().is_some_and(|run| run.report.output.is_some())
        });
        assert_eq!(body.contains("canary"), sees_all && said && !is_short, "{}: {body}", scene.name);
        assert!(sees_all || !body.contains("unreachable"), "{}: {body}", scene.name);
    });
}

/// In these dialects the whole is what its worst part is.
#[test]
fn the_whole_is_as_bad_as_its_worst_part() {
    for_each_answer(|scene, snapshot, _, dialect, (status, content_type, body)| {
        if !matches!(dialect, Dialect::MicroProfile | Dialect::Xabaril) {
            return;
        }
        let reading = dialect::read(None, status.as_u16(), Some(content_type), body.as_bytes()).unwrap();
        // The reader gives up naming parts before we do.
        if reading.left_out > 0 {
            return;
        }
        let worst = Light::worst(reading.parts.iter().map(|part| part.light));
        assert_eq!(worst, reading.light, "{} {:?}: {body}", scene.name, snapshot.verdict.causes);
    });
}

#[test]
fn of_thousands_the_worst_are_told_and_the_others_counted() {
    let lifesigns = lifesigns();
    let scene = scenes().into_iter().find(|scene| scene.name == "thousands").unwrap();
    let snapshot = snapshot(&scene, &lifesigns);
    let components = subject(&snapshot, &lifesigns, false).components();
    let position = |name: &str| components.iter().position(|component| component.name == name);
    assert!(position("the last") < position("c0"), "the worst comes first");
    let others = components.last().unwrap();
    assert_eq!((&*others.name, others.light), ("_other_", Light::Green));
    assert_eq!(others.measures[0].value, Some(json!(1501)));
}

#[test]
fn parts_say_what_they_are() {
    let lifesigns = lifesigns();
    let word = |scene: &str, form: Form, pointer: &str| {
        let scene = scenes().into_iter().find(|candidate| candidate.name == scene).unwrap();
        let snapshot = snapshot(&scene, &lifesigns);
        let (_, _, body) = told(&subject(&snapshot, &lifesigns, true), form);
        let body: Value = serde_json::from_str(&body).unwrap();
        body.pointer(pointer).unwrap_or_else(|| panic!("{pointer} in {body}")).clone()
    };
    let actuator = |scene, pointer| word(scene, Form::Dialect(HealthDialect::Actuator), pointer);
    assert_eq!(actuator("draining", "/components/lifecycle/status"), "OUT_OF_SERVICE");
    assert_eq!(actuator("a lesser check fails", "/components/mail/status"), "DOWN");
    assert_eq!(actuator("a lesser check fails", "/status"), "UP");
    assert_eq!(actuator("a lesser check fails", "/components/mail/details/failure"), "unreachable");
    assert_eq!(actuator("a check has not run", "/components/slow/status"), "UNKNOWN");
    assert_eq!(actuator("a check warns", "/components/cert/status"), "UP");
    assert_eq!(actuator("a check has measured", "/components/disk/details/utilization"), 81.5);
    assert_eq!(actuator("failing traffic", "/components/traffic/status"), "DOWN");
    assert_eq!(actuator("the scheduler stands", "/components/scheduler/status"), "DOWN");
    assert_eq!(actuator("the scheduler stands", "/components/scheduler/details/age"), 60);
    assert_eq!(word("well", Form::Actuator2, "/details/db/details/age"), 2);

    let draft = |scene, pointer| word(scene, Form::Dialect(HealthDialect::HealthJson), pointer);
    assert_eq!(draft("a lesser check fails", "/checks/mail:responseTime/0/status"), "fail");
    assert_eq!(draft("a lesser check fails", "/checks/mail:responseTime/0/output"), CANARY);
    assert_eq!(draft("a lesser check fails", "/checks/mail:responseTime/0/observedValue"), 1.234);
    assert_eq!(draft("a critical check fails", "/checks/db_main:responseTime/0/componentId"), "db:main");
    assert_eq!(
        draft("a critical check fails", "/checks/db_main:responseTime/0/affectedEndpoints/0"),
        "/orders/{id}"
    );
    assert_eq!(draft("a critical check fails", "/notes/0"), "The check db:main fails");
    assert_eq!(
        draft("a critical check fails", "/output"),
        "The check db:main fails; db:main: cannot be reached: canary at 10.1.2.3:5432"
    );
    assert_eq!(draft("a failing group", "/checks/traffic:failures/1/status"), "warn");
    assert_eq!(draft("a failing group", "/checks/traffic:failures/1/componentId"), "traffic:orders");
    assert_eq!(draft("maintenance", "/checks/maintenance:remaining/0/observedValue"), 100);
    assert_eq!(draft("judged long ago", "/checks/judgement:age/0/observedValue"), 60);

    let microprofile = |scene, pointer| word(scene, Form::Dialect(HealthDialect::MicroProfile), pointer);
    assert_eq!(microprofile("a lesser check fails", "/checks/4/name"), "traffic:orders");
    assert_eq!(microprofile("a lesser check fails", "/checks/5/name"), "mail");
    assert_eq!(microprofile("a lesser check fails", "/checks/5/status"), "UP");
    assert_eq!(microprofile("a lesser check fails", "/checks/5/data/light"), "AMBER");

    let xabaril = |scene, pointer| word(scene, Form::Dialect(HealthDialect::Xabaril), pointer);
    assert_eq!(xabaril("a lesser check fails", "/totalDuration"), "00:00:00.0012340");
    assert_eq!(xabaril("a lesser check fails", "/entries/mail/status"), "Degraded");
    assert_eq!(xabaril("a lesser check fails", "/entries/mail/exception"), CANARY);
    assert_eq!(xabaril("well", "/entries/db/description"), "passes");
}
