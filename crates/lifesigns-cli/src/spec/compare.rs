//! Whether two parts say the same.

use serde_json::Value;

use super::Finding;
use super::tree::{Entry, Kind, Node};
use super::wanted::Wanted;

/// What a path that is there says to a resource. Whatever it says beyond is its own affair.
pub fn compare(entry: &Entry, wanted: &Wanted) -> Finding {
    let item = &entry.value;
    // What is written elsewhere is believed.
    if matches!(item.kind, Kind::Alias) || item.get("$ref").is_some() {
        return Finding::There;
    }
    let other = |difference: &str| Finding::Other {
        line: entry.line,
        differences: vec![difference.to_owned()],
        is_conflict: true,
    };
    let Some(get) = item.get("get") else { return other("it has no `get`") };
    if matches!(get.value.kind, Kind::Alias) {
        return Finding::There;
    }
    let Some(responses) = get.value.get("responses") else { return other("its `get` has no `responses`") };
    let responses = &responses.value;
    let described = |status: &str| {
        let range = format!("{}XX", &status[..status.len().min(1)]);
        [status, range.as_str(), "default"].into_iter().find_map(|key| responses.get(key))
    };
    let Some(success) = described("200") else { return other("its `get` has no response 200") };
    let known: Vec<&str> = wanted.get["responses"]["200"]["content"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    let bodies = success.value.get("content").or_else(|| success.value.get("body"));
    let bodies = bodies.map_or(&[][..], |bodies| bodies.value.entries());
    if !bodies.is_empty() && !bodies.iter().any(|body| known.contains(&body.key.as_str())) {
        return other(&format!("its response 200 is none of {}", known.join(", ")));
    }
    let statuses = wanted.get["responses"].as_object().into_iter().flatten().map(|(status, _)| status);
    let differences: Vec<String> = statuses
        .filter(|status| described(status).is_none())
        .map(|status| format!("its `get` has no response {status}"))
        .collect();
    if differences.is_empty() {
        return Finding::There;
    }
    Finding::Other { line: entry.line, differences, is_conflict: false }
}

/// Whether two parts are alike, wherever they stand and however they are written.
pub fn is_same(left: &Node, right: &Node) -> bool {
    match (&left.kind, &right.kind) {
        (Kind::Text(left), Kind::Text(right)) => left == right,
        (Kind::Alias, Kind::Alias) => true,
        (Kind::List(left), Kind::List(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| is_same(left, right))
        }
        (Kind::Map(left), Kind::Map(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| left.key == right.key && is_same(&left.value, &right.value))
        }
        _ => false,
    }
}

/// Whether a part is this value.
pub fn says(node: &Node, value: &Value) -> bool {
    match (&node.kind, value) {
        (Kind::Text(text), Value::String(expected)) => text == expected,
        (Kind::Text(text), Value::Bool(_) | Value::Number(_) | Value::Null) => {
            let written = value.to_string();
            *text == written
        }
        (Kind::List(items), Value::Array(expected)) => {
            items.len() == expected.len()
                && items.iter().zip(expected).all(|(item, expected)| says(item, expected))
        }
        (Kind::Map(entries), Value::Object(expected)) => {
            entries.len() == expected.len()
                && entries
                    .iter()
                    .zip(expected)
                    .all(|(entry, (name, expected))| entry.key == *name && says(&entry.value, expected))
        }
        _ => false,
    }
}
