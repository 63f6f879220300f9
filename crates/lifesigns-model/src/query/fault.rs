//! What is wrong with a query, where, and how to mend it.

use std::error::Error;
use std::fmt;

use serde_json::{Value, json};

use crate::store::StoreError;

/// The first thing that is wrong with a query. All of it may be shown to the caller who sent it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    code: FaultCode,
    message: String,
    path: String,
}

/// The kinds of [`Fault`], for programs.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FaultCode {
    /// The body is no JSON.
    MalformedJson,
    /// A value has another JSON type than its place wants.
    WrongType,
    /// A key that is not in the language.
    UnknownKey,
    /// Something is left out that has no default.
    Missing,
    /// Two things that exclude each other.
    Conflict,
    /// A name that is not one of those known in its place.
    UnknownValue,
    /// A text that cannot be read as what its place wants.
    BadValue,
    /// A number or a length outside its bounds.
    OutOfRange,
    /// More elements than a query may have, or more groups than an answer may have.
    TooMany,
    /// Aggregators nested deeper than a query may nest them.
    TooDeep,
}

impl FaultCode {
    /// All codes.
    pub const ALL: [FaultCode; 10] = [
        FaultCode::MalformedJson,
        FaultCode::WrongType,
        FaultCode::UnknownKey,
        FaultCode::Missing,
        FaultCode::Conflict,
        FaultCode::UnknownValue,
        FaultCode::BadValue,
        FaultCode::OutOfRange,
        FaultCode::TooMany,
        FaultCode::TooDeep,
    ];

    /// The code on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            FaultCode::MalformedJson => "malformed_json",
            FaultCode::WrongType => "wrong_type",
            FaultCode::UnknownKey => "unknown_key",
            FaultCode::Missing => "missing",
            FaultCode::Conflict => "conflict",
            FaultCode::UnknownValue => "unknown_value",
            FaultCode::BadValue => "bad_value",
            FaultCode::OutOfRange => "out_of_range",
            FaultCode::TooMany => "too_many",
            FaultCode::TooDeep => "too_deep",
        }
    }
}

impl Fault {
    pub(super) fn new(code: FaultCode, path: impl Into<String>, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into(), path: path.into() }
    }

    /// The fault of a query whose answer would have more groups than an answer may hold, which shows only when it
    /// is answered. `path` is the innermost element that makes the groups.
    pub fn too_many_groups(path: impl Into<String>) -> Fault {
        let message = "makes more groups than an answer may hold; use a shorter duration or a wider time interval, \
                       filter, or split by fewer dimensions";
        Fault::new(FaultCode::TooMany, path, message)
    }

    /// The fault of a query for whose answer more rows would have to be read than one may cost.
    pub fn too_many_rows() -> Fault {
        let message =
            "would have more rows read than an answer may cost; use a shorter duration, or filter by api_id";
        Fault::new(FaultCode::TooMany, "body", message)
    }

    /// The fault that made a store refuse to answer; `None` when the store itself failed. Its path is known when
    /// the selection was one of a [`Plan`](super::Plan), and `body` otherwise.
    pub fn of_store_error(error: &StoreError) -> Option<Fault> {
        if error.is_too_many_rows() {
            return Some(Fault::too_many_rows());
        }
        let known = error.source().and_then(|source| source.downcast_ref::<Fault>());
        error.is_too_many_groups().then(|| known.cloned().unwrap_or_else(|| Fault::too_many_groups("body")))
    }

    /// What kind of fault it is.
    pub const fn code(&self) -> FaultCode {
        self.code
    }

    /// What is wrong and how to mend it, for a person.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The element, such as `aggregators[0].dimension`; `body` when it is the whole.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The whole answer to a bad query.
    pub fn answer(&self) -> Value {
        json!({
            "success": false,
            "error": {"code": self.code.name(), "message": self.message, "path": self.path},
            "response": [],
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl Error for Fault {}

/// A caller's text, quoted and short enough for a message.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text))
}

pub(super) fn shortened(text: &str) -> String {
    const KEPT_CHARACTERS: usize = 40;
    match text.char_indices().nth(KEPT_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// "did you mean …" where one of `known` is near, else all of them.
pub(super) fn suggestion(text: &str, known: &[&str]) -> String {
    if let Some(name) = nearest(text, known) {
        return format!("did you mean `{name}`?");
    }
    let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    format!("use one of {}", names.join(", "))
}

fn nearest<'a>(text: &str, known: &[&'a str]) -> Option<&'a str> {
    if text.len() > 64 {
        return None;
    }
    let text = text.to_lowercase();
    let (edits, name) = known.iter().map(|name| (edits_between(&text, name), *name)).min()?;
    (edits <= 1 + name.len() / 5).then_some(name)
}

/// Levenshtein distance, in characters.
fn edits_between(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, letter) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (column, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_no_far_one() {
        let known = ["status_code", "method", "client_id"];
        let check = |text, expected| assert_eq!(nearest(text, &known), expected, "{text}");
        check("statuscode", Some("status_code"));
        check("StatusCode", Some("status_code"));
        check("client", None);
        check("client_ids", Some("client_id"));
        check("metod", Some("method"));
        check("", None);
        check("latitude", None);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(shortened(&"ü".repeat(41)), format!("{}…", "ü".repeat(40)));
        assert_eq!(shortened("short"), "short");
    }
}
