//! The verdict, the checks and the last changes, as `/health/details` shows them.

use lifesigns_model::check::{CheckPolicy, FailureKind, Run};
use lifesigns_model::moment::Moment;
use lifesigns_model::verdict::{Cause, Transition, Verdict};
use serde_json::{Value, json};

use super::super::answer::time_text;
use super::super::health::component::milliseconds;
use crate::checks::CheckSnapshot;
use crate::snapshot::Snapshot;

/// The judgement, when it was made and how old it is.
pub(super) fn verdict(snapshot: &Snapshot, now: Moment) -> Value {
    let Verdict { light, causes, since, changed, fails_readiness, fails_liveness, .. } = &snapshot.verdict;
    json!({
        "light": light.name(),
        "since": time_text(since.wall),
        "causes": causes.iter().map(cause).collect::<Value>(),
        "changed": changed.as_ref().map(|change| json!({
            "time": time_text(change.at.wall),
            "source": change.source.to_string(),
            "from": change.from.name(),
            "to": change.to.name(),
        })),
        "fails_readiness": fails_readiness,
        "fails_liveness": fails_liveness,
        "phase": snapshot.phase.name(),
        "time": time_text(snapshot.judged.wall),
        "age_seconds": now.since(snapshot.judged).as_secs(),
    })
}

fn cause(cause: &Cause) -> Value {
    json!({"light": cause.light.name(), "source": cause.source.to_string(), "reason": cause.to_string()})
}

/// The last changes of the light, oldest first.
pub(super) fn transitions(transitions: &[Transition]) -> Value {
    let transition = |Transition { at, from, to, causes }: &Transition| {
        json!({
            "time": time_text(at.wall),
            "from": from.name(),
            "to": to.name(),
            "causes": causes.iter().map(cause).collect::<Value>(),
        })
    };
    transitions.iter().map(transition).collect()
}

/// All checks, in the order in which they were added. What their runs said is for those who may see it.
pub(super) fn checks(checks: &[CheckSnapshot], sees_all: bool, now: Moment) -> Value {
    checks.iter().map(|check| one(check, sees_all, now)).collect()
}

fn one(snapshot: &CheckSnapshot, sees_all: bool, now: Moment) -> Value {
    let CheckSnapshot { check, standing, last, counts } = snapshot;
    let CheckPolicy {
        interval,
        timeout,
        failure_threshold,
        recovery_threshold,
        grace,
        critical,
        shared,
        fails_readiness: _,
        fails_liveness: _,
    } = *check.policy();
    let powers = snapshot.powers();
    json!({
        "name": check.name(),
        "component_type": check.kind_of_component(),
        "light": standing.light.name(),
        "finding": standing.finding.to_string(),
        "last": last.as_ref().map(|run| last_run(run, sees_all, now)),
        "runs": {"pass": counts.passed, "warn": counts.warned, "fail": counts.failed},
        "critical": critical,
        "shared": shared,
        "fails_readiness": powers.fails_readiness_at.is_some(),
        "fails_liveness": powers.fails_liveness_at.is_some(),
        "interval_seconds": interval.as_secs_f64(),
        "timeout_seconds": timeout.as_secs_f64(),
        "grace_seconds": grace.as_secs_f64(),
        "failure_threshold": failure_threshold,
        "recovery_threshold": recovery_threshold,
        "affected_endpoints": check.affected_endpoints(),
    })
}

fn last_run(run: &Run, sees_all: bool, now: Moment) -> Value {
    let Run { ended, took, report } = run;
    let mut last = json!({
        "time": time_text(ended.wall),
        "age_seconds": now.since(*ended).as_secs(),
        "duration_ms": milliseconds(*took),
        "outcome": report.outcome.name(),
        "observed": report.observed.as_ref().map(|observed| json!({
            "measurement": observed.measurement,
            "value": observed.value,
            "unit": observed.unit,
        })),
    });
    if sees_all {
        last["failure"] = json!(report.failure.map(FailureKind::name));
        last["output"] = json!(report.output);
    }
    last
}
