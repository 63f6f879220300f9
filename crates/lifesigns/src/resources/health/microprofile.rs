//! Eclipse `MicroProfile` Health: a list of checks that are `UP` or `DOWN`.
//!
//! There the whole is up when all of its checks are. So a check is only down here where it makes the light red; what
//! it is otherwise, its `data` says.

use lifesigns_model::light::Light;
use serde_json::{Value, json};

use super::component::{Component, Subject};

pub(super) fn body(subject: &Subject<'_>) -> Value {
    let checks: Vec<Value> = subject.components().iter().map(|component| check(subject, component)).collect();
    json!({"status": status(subject.light()), "checks": checks})
}

fn check(subject: &Subject<'_>, component: &Component<'_>) -> Value {
    let mut data = component.data(subject.now);
    data.insert("light".to_owned(), json!(component.light.name()));
    data.insert("description".to_owned(), json!(component.says));
    if let Some(failure) = component.failure {
        data.insert("failure".to_owned(), json!(failure.name()));
    }
    if let Some(output) = &component.output {
        data.insert("output".to_owned(), json!(output));
    }
    json!({"name": component.name, "status": status(component.light), "data": data})
}

fn status(light: Light) -> &'static str {
    if light == Light::Red { "DOWN" } else { "UP" }
}
