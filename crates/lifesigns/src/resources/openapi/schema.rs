//! Short ways to write JSON Schema (2020-12), the dialect of OpenAPI 3.1.

use serde_json::{Map, Value, json};

pub(super) fn text() -> Value {
    json!({"type": "string"})
}

/// One of these words.
pub(super) fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Value {
    let words: Vec<&str> = words.into_iter().collect();
    json!({"type": "string", "enum": words})
}

/// RFC 3339.
pub(super) fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

/// A whole number, 0 or more.
pub(super) fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

/// A number, 0 or more.
pub(super) fn amount() -> Value {
    json!({"type": "number", "minimum": 0})
}

pub(super) fn boolean() -> Value {
    json!({"type": "boolean"})
}

pub(super) fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

/// An object whose names are data.
pub(super) fn map(values: Value) -> Value {
    json!({"type": "object", "additionalProperties": values})
}

/// The schema, or null.
pub(super) fn nullable(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

/// A schema of `components`.
pub(super) fn named(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// The schema with a few words about it.
pub(super) fn about(mut schema: Value, description: impl Into<String>) -> Value {
    schema["description"] = json!(description.into());
    schema
}

/// An object with these members, all of which are there.
pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    object_of(members, [])
}

/// An object with members that are always there and others that may be.
pub(super) fn object_of<const N: usize, const M: usize>(
    always: [(&str, Value); N],
    sometimes: [(&str, Value); M],
) -> Value {
    let required: Vec<String> = always.iter().map(|(name, _)| (*name).to_owned()).collect();
    let members = always.into_iter().chain(sometimes);
    let properties: Map<String, Value> = members.map(|(name, schema)| (name.to_owned(), schema)).collect();
    let mut object = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

/// The object, in which nothing else is taken.
pub(super) fn closed(mut object: Value) -> Value {
    object["additionalProperties"] = json!(false);
    object
}

/// A regular expression for the whole numbers from 1 to `highest`, with or without zeros before them.
pub(super) fn digits_up_to(highest: u64) -> String {
    let digits = highest.to_string();
    let mut forms = Vec::new();
    if digits.len() > 1 {
        forms.push(format!("[1-9][0-9]{{0,{}}}", digits.len() - 2));
    }
    // As many digits, the same up to one that is lower; then the number itself.
    for (index, digit) in digits.char_indices() {
        let lowest = if index == 0 { '1' } else { '0' };
        let rest = match digits.len() - index - 1 {
            0 => String::new(),
            rest => format!("[0-9]{{{rest}}}"),
        };
        if digit > lowest {
            let below = char::from(digit as u8 - 1);
            let before = &digits[..index];
            let range = if below == lowest { lowest.to_string() } else { format!("[{lowest}-{below}]") };
            forms.push(format!("{before}{range}{rest}"));
        }
    }
    forms.push(digits);
    format!("0*({})", forms.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_up_to_one_are_written_as_expressions() {
        let check = |highest, expected: &str| assert_eq!(digits_up_to(highest), expected);
        check(1, "0*(1)");
        check(7, "0*([1-6]|7)");
        check(30, "0*([1-9][0-9]{0,0}|[1-2][0-9]{1}|30)");
        check(1830, "0*([1-9][0-9]{0,2}|1[0-7][0-9]{2}|18[0-2][0-9]{1}|1830)");
    }
}
