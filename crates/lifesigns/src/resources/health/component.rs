//! What an answer about health is made of, before it is put into the words of a dialect.
//!
//! What only those may see who may see details is not gathered for others, so that no dialect can tell it by mistake.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use lifesigns_model::check::{FailureKind, Finding, Outcome};
use lifesigns_model::light::Light;
use lifesigns_model::moment::Moment;
use lifesigns_model::verdict::{AMBER_AFTER, Phase, RED_AFTER, Reason, Source, Traffic};
use serde_json::{Map, Value, json};

use crate::checks::CheckSnapshot;
use crate::process::ApiState;
use crate::resources::answer::time_text;
use crate::snapshot::Snapshot;

/// So many checks are told of one by one, the worst first; the others together. All of them are in the details.
pub(super) const MAX_CHECKS: usize = 500;

/// Name under which the others stand.
const OTHERS: &str = "_other_";

/// Whose health is told, to whom and when.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) state: &'a ApiState,
    pub(super) snapshot: &'a Snapshot,
    /// Whether the caller may see details.
    pub(super) sees_all: bool,
    pub(super) now: Moment,
    /// When the process behind the API started, where that is known.
    pub(super) started: Option<Timestamp>,
}

/// A part of what is told.
pub(super) struct Component<'a> {
    pub(super) name: Cow<'a, str>,
    /// `componentType` of the health+json draft.
    pub(super) kind: &'static str,
    /// What it makes of the whole.
    pub(super) light: Light,
    /// How it is itself: a check fails even if that does not make the whole fail.
    pub(super) outcome: Outcome,
    /// Whether anything is known about it.
    pub(super) is_known: bool,
    /// A few words about it, fit for strangers.
    pub(super) says: Cow<'a, str>,
    pub(super) measures: Vec<Measure>,
    /// When it was measured.
    pub(super) time: Option<Moment>,
    /// How long that took.
    pub(super) took: Option<Duration>,
    /// Route templates that do not work without it.
    pub(super) affected_endpoints: Vec<&'a str>,
    /// Only for those who may see details.
    pub(super) failure: Option<FailureKind>,
    /// Only for those who may see details.
    pub(super) output: Option<Cow<'a, str>>,
}

/// Something measured.
pub(super) struct Measure {
    pub(super) name: &'static str,
    /// `None`: not yet.
    pub(super) value: Option<Value>,
    pub(super) unit: &'static str,
    pub(super) outcome: Outcome,
}

impl Measure {
    fn new(name: &'static str, value: impl Into<Value>, unit: &'static str, light: Light) -> Measure {
        Measure { name, value: Some(value.into()), unit, outcome: outcome_of(light) }
    }
}

impl<'a> Component<'a> {
    fn new(name: impl Into<Cow<'a, str>>, kind: &'static str, light: Light) -> Component<'a> {
        Component {
            name: name.into(),
            kind,
            light,
            outcome: outcome_of(light),
            is_known: true,
            says: Cow::Borrowed(""),
            measures: Vec::new(),
            time: None,
            took: None,
            affected_endpoints: Vec::new(),
            failure: None,
            output: None,
        }
    }

    /// What was measured, by name, and when. A measurement of one of these two names, such as the age of a file, is told
    /// and not the other.
    pub(super) fn data(&self, now: Moment) -> Map<String, Value> {
        let measured = self.measures.iter().filter_map(|measure| {
            let value = measure.value.clone()?;
            Some((measure.name.to_owned(), value))
        });
        let mut data: Map<String, Value> = measured.collect();
        if let Some(time) = self.time {
            data.entry("time").or_insert_with(|| json!(time_text(time.wall)));
            data.entry("age").or_insert_with(|| json!(now.since(time).as_secs()));
        }
        data
    }
}

impl<'a> Subject<'a> {
    pub(super) fn light(&self) -> Light {
        self.snapshot.verdict.light
    }

    /// How long the process has been up, where that is known.
    pub(super) fn uptime(&self) -> Option<Duration> {
        Some(self.now.wall.duration_since(self.started?).try_into().unwrap_or_default())
    }

    /// The reasons behind the light, as sentences fit for strangers; none where nothing speaks against the service.
    pub(super) fn notes(&self) -> Vec<String> {
        let causes = self.snapshot.verdict.causes.iter();
        causes.filter(|cause| cause.light != Light::Green).map(ToString::to_string).collect()
    }

    /// All that the light is made of, in the order of the judge.
    pub(super) fn components(&self) -> Vec<Component<'a>> {
        let snapshot = self.snapshot;
        let mut components = vec![self.lifecycle(), self.judgement()];
        if !snapshot.checks.is_empty() {
            components.push(self.scheduler());
        }
        components.extend(self.maintenance());
        if self.state.records {
            let lights = snapshot.verdict.lights_of_traffic();
            let light = |scope: usize| lights.get(scope).copied().unwrap_or_default();
            components.push(self.traffic(None, &snapshot.traffic, light(0)));
            let groups = self.state.groups.iter().zip(snapshot.groups.iter()).zip(1..);
            components.extend(groups.map(|((group, (name, traffic)), scope)| {
                let worst = if group.critical { Light::Red } else { Light::Amber };
                self.traffic(Some(name), traffic, light(scope).min(worst))
            }));
        }
        let mut checks: Vec<&CheckSnapshot> = snapshot.checks.iter().collect();
        if checks.len() > MAX_CHECKS {
            checks.sort_by_key(|check| std::cmp::Reverse(check.standing.light));
        }
        let others = checks.split_off(checks.len().min(MAX_CHECKS));
        components.extend(checks.into_iter().map(|check| self.check(check)));
        if !others.is_empty() {
            let light = Light::worst(others.iter().map(|check| check.standing.light));
            components.push(Component {
                says: "checks that are not told of one by one".into(),
                measures: vec![Measure::new("checks", others.len(), "checks", light)],
                ..Component::new(OTHERS, "component", light)
            });
        }
        components
    }

    fn lifecycle(&self) -> Component<'a> {
        let phase = self.snapshot.phase;
        let light = if phase == Phase::Ready { Light::Green } else { Light::Amber };
        Component {
            says: phase.name().into(),
            measures: vec![Measure::new("phase", phase.name(), "phase", light)],
            time: Some(self.snapshot.judged),
            ..Component::new("lifecycle", "system", light)
        }
    }

    fn judgement(&self) -> Component<'a> {
        let age = self.now.since(self.snapshot.judged);
        let light = light_of_silence(age);
        Component {
            says: "how old the last judgement is".into(),
            measures: vec![Measure::new("age", age.as_secs(), "s", light)],
            time: Some(self.now),
            ..Component::new("judgement", "system", light)
        }
    }

    fn scheduler(&self) -> Component<'a> {
        let silent = self.snapshot.scheduler_silent;
        let light = light_of_silence(silent);
        Component {
            says: "how long nothing has looked after the checks".into(),
            measures: vec![Measure::new("age", silent.as_secs(), "s", light)],
            time: Some(self.snapshot.judged),
            ..Component::new("scheduler", "system", light)
        }
    }

    fn maintenance(&self) -> Option<Component<'a>> {
        let maintenance = self.snapshot.maintenance.as_ref().filter(|it| it.is_on(self.now))?;
        let left = maintenance.ends.since(self.now).as_secs();
        let ends = time_text(maintenance.ends.wall);
        Some(Component {
            says: format!("until {ends}: {}", maintenance.reason).into(),
            measures: vec![Measure::new("remaining", left, "s", Light::Amber)],
            time: Some(self.now),
            ..Component::new("maintenance", "system", Light::Amber)
        })
    }

    fn traffic(
        &self,
        group: Option<&'a std::sync::Arc<str>>,
        traffic: &Traffic,
        light: Light,
    ) -> Component<'a> {
        let source = Source::Traffic(group.cloned());
        let cause = self.snapshot.verdict.causes.iter().find(|cause| cause.source == source);
        let is_slow = cause.is_some_and(|cause| matches!(cause.reason, Reason::Slow { .. }));
        let (by_failures, by_latency) = if is_slow { (Light::Green, light) } else { (light, Light::Green) };
        let share = round(traffic.failed_share() * 100.0);
        let mut measures = vec![
            Measure::new("failures", share, "percent", by_failures),
            Measure::new("requests", traffic.exchanges, "requests", Light::Green),
        ];
        if let Some(latency_ms) = traffic.latency_ms {
            measures.push(Measure::new("responseTime", round(latency_ms), "ms", by_latency));
        }
        let failing = self.snapshot.failing_routes.iter().map(|route| &**route);
        let covers = |route: &str| match group {
            None => true,
            Some(name) => self.state.groups.iter().any(|group| *group.name == **name && group.covers(route)),
        };
        Component {
            says: match cause.filter(|_| light != Light::Green) {
                Some(cause) => cause.to_string().into(),
                None => "requests are served properly".into(),
            },
            measures,
            time: Some(self.snapshot.judged),
            affected_endpoints: failing
                .filter(|route| by_failures != Light::Green && covers(route))
                .collect(),
            ..Component::new(
                group.map_or("traffic".into(), |group| Cow::Owned(format!("traffic:{group}"))),
                "component",
                light,
            )
        }
    }

    fn check(&self, check: &'a CheckSnapshot) -> Component<'a> {
        let CheckSnapshot { check: set_up, standing, last, .. } = check;
        let (outcome, is_known) = match standing.finding {
            Finding::Passing => (Outcome::Pass, true),
            Finding::Warning => (Outcome::Warn, true),
            Finding::Failing => (Outcome::Fail, true),
            Finding::Pending | Finding::Stale { .. } => (outcome_of(standing.light), false),
        };
        let report = last.as_ref().map(|run| &run.report);
        let mut measures = vec![Measure {
            name: "responseTime",
            value: last.as_ref().map(|run| json!(milliseconds(run.took))),
            unit: "ms",
            outcome,
        }];
        if let Some(observed) = report.and_then(|report| report.observed.as_ref()) {
            measures.retain(|measure| measure.name != observed.measurement);
            let value = Some(json!(observed.value));
            measures.push(Measure { name: observed.measurement, value, unit: observed.unit, outcome });
        }
        let told = report.filter(|_| self.sees_all);
        let has_fault = outcome != Outcome::Pass;
        Component {
            outcome,
            is_known,
            says: standing.finding.to_string().into(),
            measures,
            time: last.as_ref().map(|run| run.ended),
            took: last.as_ref().map(|run| run.took),
            affected_endpoints: if has_fault {
                set_up.affected_endpoints().iter().map(String::as_str).collect()
            } else {
                Vec::new()
            },
            failure: told.and_then(|report| report.failure),
            output: told.and_then(|report| report.output.as_deref()).map(Cow::Borrowed),
            ..Component::new(set_up.name(), set_up.kind_of_component(), standing.light)
        }
    }
}

/// The word for a light.
pub(super) fn outcome_of(light: Light) -> Outcome {
    match light {
        Light::Green => Outcome::Pass,
        Light::Amber => Outcome::Warn,
        Light::Red => Outcome::Fail,
    }
}

fn light_of_silence(silence: Duration) -> Light {
    if silence >= RED_AFTER {
        Light::Red
    } else if silence >= AMBER_AFTER {
        Light::Amber
    } else {
        Light::Green
    }
}

/// In milliseconds, to the microsecond.
pub(in crate::resources) fn milliseconds(duration: Duration) -> f64 {
    round(duration.as_secs_f64() * 1000.0)
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
