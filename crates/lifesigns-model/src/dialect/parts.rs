//! The parts that an answer names.

use serde_json::{Map, Value};

use super::{Dialect, MOST_PARTS, Part, words};
use crate::light::Light;

/// Deeper nested parts are not looked for.
const DEEPEST_PART: usize = 8;

const LONGEST_NAME: usize = 200;

/// The parts in the order of the answer, and how many more there are.
pub(super) fn of(dialect: Dialect, json: &Value) -> (Vec<Part>, usize) {
    let mut found = Found { dialect, parts: Vec::new(), left_out: 0 };
    match dialect {
        Dialect::HealthJson => found.measurements(json),
        Dialect::Actuator => found.components("", json, 0),
        Dialect::MicroProfile => found.named(json),
        Dialect::Xabaril => found.entries(json),
        Dialect::Health | Dialect::Status | Dialect::TrafficLight | Dialect::Word | Dialect::Code => {}
    }
    (found.parts, found.left_out)
}

struct Found {
    dialect: Dialect,
    parts: Vec<Part>,
    left_out: usize,
}

impl Found {
    /// Adds what has a status. One that the dialect does not know is amber: it says something, and not that all is
    /// well.
    fn add(&mut self, name: &str, part: &Value) {
        let Some(status) = part.get("status").and_then(Value::as_str) else { return };
        if self.parts.len() == MOST_PARTS {
            self.left_out += 1;
            return;
        }
        let light = words::status(self.dialect, status).unwrap_or(Light::Amber);
        self.parts.push(Part { name: clipped(name).to_owned(), light });
    }

    /// `checks` of health+json: for each `component:measurement` a list, one element for each node.
    fn measurements(&mut self, json: &Value) {
        for (key, value) in object(json, "checks").into_iter().flatten() {
            match value.as_array().map(Vec::as_slice) {
                None => self.add(key, value),
                Some([only]) => self.add(key, only),
                Some(several) => {
                    for (number, node) in (1..).zip(several) {
                        self.add(&format!("{}/{number}", clipped(key)), node);
                    }
                }
            }
        }
    }

    /// Version 3 has `components`, version 2 `details`, and version 1 writes the parts beside the status.
    fn components(&mut self, whole: &str, json: &Value, depth: usize) {
        let containers = [object(json, "components"), object(json, "details")];
        let beside = json.as_object().into_iter().flatten();
        let beside = beside.filter(|(key, _)| !matches!(key.as_str(), "components" | "details"));
        for (key, part) in containers.into_iter().flatten().flatten().chain(beside) {
            if part.get("status").is_some_and(Value::is_string) {
                let name = if whole.is_empty() {
                    clipped(key).to_owned()
                } else {
                    format!("{whole}/{}", clipped(key))
                };
                self.add(&name, part);
                if depth < DEEPEST_PART {
                    self.components(clipped(&name), part, depth + 1);
                }
            }
        }
    }

    /// `checks` of `MicroProfile`: a list of named ones.
    fn named(&mut self, json: &Value) {
        for check in json.get("checks").and_then(Value::as_array).into_iter().flatten() {
            self.add(check.get("name").and_then(Value::as_str).unwrap_or("_unnamed_"), check);
        }
    }

    /// `entries` of the UI's writer; `results` of the one in the framework's manual.
    fn entries(&mut self, json: &Value) {
        let containers = [object(json, "entries"), object(json, "results")];
        for (key, entry) in containers.into_iter().flatten().flatten() {
            self.add(key, entry);
        }
    }
}

fn object<'a>(json: &'a Value, key: &str) -> Option<&'a Map<String, Value>> {
    json.get(key)?.as_object()
}

/// Names are cut before they are put together: many parts under one name of a megabyte would take gigabytes.
fn clipped(name: &str) -> &str {
    name.char_indices().nth(LONGEST_NAME).map_or(name, |(end, _)| &name[..end])
}
