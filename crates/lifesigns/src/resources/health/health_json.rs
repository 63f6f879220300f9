//! `application/health+json`: draft-inadarei-api-health-check-06.
//!
//! `output` is for those who may see details. What strangers may know of the reasons stands in `notes`.

use lifesigns_model::check::Outcome;
use lifesigns_model::identity::IdentityField;
use lifesigns_model::light::Light;
use lifesigns_model::series::NOT_APPLICABLE;
use serde_json::{Map, Value, json};

use super::component::{Component, Measure, Subject, outcome_of};
use super::plain;
use crate::resources::answer::time_text;

pub(super) fn body(subject: &Subject<'_>) -> Value {
    let light = subject.light();
    let identity = &subject.state.identity;
    let mut body = json!({"status": outcome_of(light).name()});
    if &*subject.state.version != NOT_APPLICABLE {
        body["version"] = json!(&*subject.state.version);
    }
    if let Some(version) = identity.version.as_ref().filter(|_| plain::shows(subject, IdentityField::Version))
    {
        body["releaseId"] = json!(version);
    }
    body["serviceId"] = json!(&*subject.state.name);
    body["description"] = json!(format!("Health of {}", subject.state.name));
    let components = subject.components();
    let notes = subject.notes();
    if !notes.is_empty() {
        body["notes"] = json!(notes);
    }
    if light != Light::Green && subject.sees_all {
        body["output"] = json!(output(subject, &components));
    }
    body["checks"] = Value::Object(checks(subject, &components));
    let repo = identity.repo.as_ref().filter(|_| plain::shows(subject, IdentityField::Repo));
    if let Some(repo) = repo.filter(|repo| repo.starts_with("https://") || repo.starts_with("http://")) {
        body["links"] = json!({"about": repo});
    }
    body
}

/// What those may read who may see details: the worst reason, and what the checks said that do not pass.
fn output(subject: &Subject<'_>, components: &[Component<'_>]) -> String {
    let said =
        components.iter().filter(|component| component.light == subject.light()).filter_map(|component| {
            let output = component.output.as_ref()?;
            let failure = component.failure.map(|failure| format!("{failure}: ")).unwrap_or_default();
            Some(format!("{}: {failure}{output}", component.name))
        });
    [subject.snapshot.verdict.summary().into_owned()]
        .into_iter()
        .chain(said.take(MAX_SAID))
        .collect::<Vec<_>>()
        .join("; ")
}

/// So many checks are quoted in the answer's own `output`; each has its own besides.
const MAX_SAID: usize = 5;

/// By `component:measurement`. What has the same key stands in the same list, told apart by `componentId`.
fn checks(subject: &Subject<'_>, components: &[Component<'_>]) -> Map<String, Value> {
    let mut checks = Map::new();
    let mut add = |key: String, details: Value| {
        if let Value::Array(list) = checks.entry(key).or_insert_with(|| json!([])) {
            list.push(details);
        }
    };
    for component in components {
        // A group of routes is an instance of what is called traffic.
        let name = component.name.strip_prefix("traffic:").map_or(&*component.name, |_group| "traffic");
        // A colon may stand in neither half of a key.
        let name = name.replace(':', "_");
        for measure in &component.measures {
            let key = format!("{name}:{}", measure.name.replace(':', "_"));
            add(key, details(subject, component, measure));
        }
    }
    if let Some(uptime) = subject.uptime() {
        let details = json!({
            "componentType": "system",
            "observedValue": uptime.as_secs(),
            "observedUnit": "s",
            "status": Outcome::Pass.name(),
            "time": time_text(subject.now.wall),
        });
        add("uptime".to_owned(), details);
    }
    checks
}

/// The draft's "component details"; `age` in seconds and `failure` are of our own, as the draft lets them be.
fn details(subject: &Subject<'_>, component: &Component<'_>, measure: &Measure) -> Value {
    let mut details = json!({"componentId": component.name, "componentType": component.kind});
    if let Some(value) = &measure.value {
        details["observedValue"] = value.clone();
        details["observedUnit"] = json!(measure.unit);
    }
    details["status"] = json!(measure.outcome.name());
    if measure.outcome != Outcome::Pass && !component.affected_endpoints.is_empty() {
        details["affectedEndpoints"] = json!(component.affected_endpoints);
    }
    if let Some(time) = component.time {
        details["time"] = json!(time_text(time.wall));
        details["age"] = json!(subject.now.since(time).as_secs());
    }
    if measure.outcome != Outcome::Pass {
        if let Some(output) = &component.output {
            details["output"] = json!(output);
        }
        if let Some(failure) = component.failure {
            details["failure"] = json!(failure.name());
        }
    }
    details
}
