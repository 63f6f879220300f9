//! From a raw path to a bounded template.
//!
//! A raw path is never a label: whoever calls could make up as many as they like. Where the routes of an API are
//! known, [`Templates`] finds the one that a path belongs to. Where they are not, [`template_of`] replaces what is
//! surely an id and leaves the rest; the number of labels is bounded all the same by whoever counts.

mod normalise;
mod templates;

pub use self::normalise::template_of;
pub use self::templates::{TemplateError, Templates};

/// The path without query and fragment.
fn path_only(target: &str) -> &str {
    &target[..target.find(['?', '#']).unwrap_or(target.len())]
}
