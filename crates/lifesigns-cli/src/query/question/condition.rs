//! Conditions in short form: `status_code=429,500..599`.

use serde_json::{Map, Value, json};

use crate::printer::Problem;

/// The filters of `DIMENSION=VALUES` or `DIMENSION!=VALUES`. `flag` is what a fault is told at.
pub(super) fn filters(text: &str, flag: &str) -> Result<Vec<Value>, Problem> {
    let (name, values) = text.split_once('=').ok_or_else(|| {
        Problem::new(format!("{flag}: must be a dimension, `=` or `!=`, and a value"))
            .hint("such as --where status_code=500..599")
    })?;
    let Some(name) = name.trim().strip_suffix('!') else {
        return Ok(vec![is_one_of(name.trim(), values, flag)?]);
    };
    let name = name.trim();
    // Each `or` lets through what any of its conditions does, so that none may hold takes a filter for each.
    split(values, flag)?
        .map(|value| match range(value) {
            Some(_) => Err(Problem::new(format!("{flag}: a range cannot be left out"))
                .hint("name the ranges that are wanted, such as status_code=..499,600..")),
            None => Ok(json!({"or": [{"not": member(name, json!(value))}]})),
        })
        .collect()
}

/// The filter that lets the values through: labels, and ranges such as `500..599`.
pub(super) fn is_one_of(name: &str, values: &str, flag: &str) -> Result<Value, Problem> {
    let (mut labels, mut any) = (Vec::new(), Vec::new());
    for value in split(values, flag)? {
        match range(value) {
            Some(range) => any.push(json!({"range": member(name, range)})),
            None => labels.push(value),
        }
    }
    match labels[..] {
        [] => {}
        [label] => any.insert(0, json!({"equals": member(name, json!(label))})),
        _ => any.insert(0, json!({"in": member(name, json!(labels))})),
    }
    Ok(json!({ "or": any }))
}

fn split<'a>(values: &'a str, flag: &str) -> Result<impl Iterator<Item = &'a str>, Problem> {
    let values = values.split(',').map(str::trim);
    if values.clone().any(str::is_empty) {
        return Err(Problem::new(format!("{flag}: a value is missing")));
    }
    Ok(values)
}

fn member(name: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value)]))
}

/// The bounds of `500..599`, `500..` or `..599`.
fn range(value: &str) -> Option<Value> {
    let (from, to) = value.split_once("..")?;
    let mut bounds = Map::new();
    for (name, bound) in [("from", from), ("to", to)] {
        if !bound.is_empty() {
            bounds.insert(name.to_owned(), json!(bound.parse::<i64>().ok()?));
        }
    }
    (!bounds.is_empty()).then_some(Value::Object(bounds))
}
