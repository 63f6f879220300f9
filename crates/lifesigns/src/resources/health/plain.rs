//! The dialect of our own: a word, and who I am.

use lifesigns_model::identity::{IdentityField, UNKNOWN, uptime_text};
use serde_json::{Map, Value, json};

use super::component::Subject;
use crate::resources::answer::time_text;

/// `status` and the identity, as far as the caller may see it.
pub(super) fn body(subject: &Subject<'_>) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("status".to_owned(), json!(["OK", "DEGRADED", "UNAVAILABLE"][subject.light() as usize]));
    for field in IdentityField::ALL.into_iter().filter(|field| shows(subject, *field)) {
        if let Some(value) = identity_value(subject, field) {
            body.insert(field.name().to_owned(), json!(value));
        }
    }
    body
}

/// One word, and the end of its line.
pub(super) fn text(subject: &Subject<'_>) -> String {
    let word = ["Healthy", "Degraded", "Unhealthy"][subject.light() as usize];
    format!("{word}\n")
}

/// Whether the caller may see this field.
pub(super) fn shows(subject: &Subject<'_>, field: IdentityField) -> bool {
    subject.sees_all || subject.state.settings.public_identity.contains(&field)
}

/// The value of an identity field. What everybody may expect to find says that it is unknown; the rest is left out.
fn identity_value(subject: &Subject<'_>, field: IdentityField) -> Option<String> {
    let identity = &subject.state.identity;
    let or_unknown = |value: &Option<String>| Some(value.clone().unwrap_or_else(|| UNKNOWN.to_owned()));
    match field {
        IdentityField::Repo => or_unknown(&identity.repo),
        IdentityField::Revision => or_unknown(&identity.revision),
        IdentityField::Version => or_unknown(&identity.version),
        IdentityField::DeployedAt => or_unknown(&identity.deployed_at.or(subject.started).map(time_text)),
        IdentityField::Uptime => or_unknown(&subject.uptime().map(uptime_text)),
        IdentityField::BuildType => identity.build_type.clone(),
        IdentityField::BuildDate => identity.build_date.clone(),
        IdentityField::Language => identity.language.clone(),
        IdentityField::Environment => identity.environment.clone(),
    }
}
