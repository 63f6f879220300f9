//! Spring Boot Actuator, versions 2 and 3 of its media type: `UP`, `DOWN`, `OUT_OF_SERVICE` and `UNKNOWN`.
//!
//! As there, `details` are for those who may see them.

use lifesigns_model::check::Outcome;
use lifesigns_model::light::Light;
use serde_json::{Map, Value, json};

use super::component::{Component, Subject};

/// What the parts are called that an answer is made of.
#[derive(Clone, Copy)]
pub(super) enum Version {
    /// `details`
    Two,
    /// `components`
    Three,
}

pub(super) fn body(subject: &Subject<'_>, version: Version) -> Value {
    let components = subject.components();
    let parts = components.iter().map(|component| (component.name.to_string(), part(subject, component)));
    let parts: Map<String, Value> = parts.collect();
    let container = match version {
        Version::Two => "details",
        Version::Three => "components",
    };
    json!({"status": if subject.light() == Light::Red { "DOWN" } else { "UP" }, container: parts})
}

fn part(subject: &Subject<'_>, component: &Component<'_>) -> Value {
    let mut part = json!({"status": status(component)});
    if subject.sees_all {
        let mut details = component.data(subject.now);
        details.insert("description".to_owned(), json!(component.says));
        if let Some(failure) = component.failure {
            details.insert("failure".to_owned(), json!(failure.name()));
        }
        if let Some(output) = &component.output {
            details.insert("output".to_owned(), json!(output));
        }
        part["details"] = Value::Object(details);
    }
    part
}

fn status(component: &Component<'_>) -> &'static str {
    let is_up = component.light == Light::Green;
    match component.outcome {
        Outcome::Fail => "DOWN",
        _ if component.name == "lifecycle" && !is_up => "OUT_OF_SERVICE",
        _ if !component.is_known => "UNKNOWN",
        _ => "UP",
    }
}
