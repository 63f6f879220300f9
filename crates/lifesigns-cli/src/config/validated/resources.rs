//! How the health resources are set up.

use hyper::http::{HeaderName, Uri};
use lifesigns::{Exposure, HealthDialect, ResourceKind, Settings};
use lifesigns_model::identity::IdentityField;

use super::{Checks, values};
use crate::config::fault::Fault;
use crate::config::reader::unknown_word;
use crate::config::reference::RESOURCE_NAMES;
use crate::config::tree::At;
use crate::config::wire;

/// The settings of `base`, changed as was written.
pub(super) fn apply(base: Settings, written: &wire::Resources, checks: &mut Checks<'_>) -> Settings {
    let mut settings = base;
    if let Some(prefix) = &written.prefix
        && let Some(path) = values::path("prefix", prefix, checks)
    {
        settings.prefix = path;
    }
    if let Some(forced) = &written.forced_answers {
        settings.forced_answers = forced.value;
    }
    if let Some(dialect) = written.dialect.as_ref().and_then(|at| HealthDialect::from_name(at.value)) {
        settings.health_dialect = dialect;
    }
    if let Some(fields) = &written.public_identity {
        settings.public_identity = identity_fields(fields, checks);
    }
    if let Some(origins) = &written.allowed_origins {
        settings.allowed_origins = origins.iter().filter_map(|at| origin(at, checks)).collect();
    }
    if let Some(headers) = &written.client_id_headers {
        settings.client_id_headers = headers.iter().filter_map(|at| header(at, checks)).collect();
    }
    for (name, resource) in RESOURCE_NAMES.into_iter().zip(&written.each) {
        if let Some(kind) = ResourceKind::from_name(name) {
            one(&mut settings, kind, resource, checks);
        }
    }
    no_two_at_one_path(&settings, written, checks);
    settings
}

/// Refuses what spans all APIs where it is written for a single one.
pub(super) fn only_of_one_api(written: &wire::Resources, checks: &mut Checks<'_>) {
    for (name, resource) in RESOURCE_NAMES.into_iter().zip(&written.each) {
        if ResourceKind::from_name(name).is_some_and(ResourceKind::is_shared)
            && let Some(place) = &resource.place
        {
            checks.fault(
                Fault::new(place, format!("`{name}` spans all APIs, so it cannot be set for one of them"))
                    .hint(format!("set it once for all, in [resources.{name}]")),
            );
        }
    }
}

fn one(settings: &mut Settings, kind: ResourceKind, written: &wire::Resource, checks: &mut Checks<'_>) {
    let resource = settings.resource_mut(kind);
    if let Some(enabled) = &written.enabled {
        resource.enabled = enabled.value;
    }
    if let Some(path) = &written.path {
        match values::path("path", path, checks) {
            Some(text) if text.is_empty() => checks.fault(
                Fault::new(&path.place, "a resource cannot stand at /")
                    .hint(format!("its usual path is {}", kind.default_path())),
            ),
            Some(text) => resource.path = text,
            None => {}
        }
    }
    if let Some(listener) = &written.listener {
        resource.exposure = match listener.value {
            "public" => Exposure::Public,
            "admin" => Exposure::Admin,
            _ => Exposure::Both,
        };
    }
    if let Some(limit) = &written.requests_per_minute {
        resource.requests_per_minute = Some(limit.value as u32);
    }
    if let Some(protected) = &written.protected {
        if kind == ResourceKind::Token && protected.value {
            checks.fault(
                Fault::new(&protected.place, "`token` is where tokens are asked for, so it cannot take one")
                    .hint("leave `protected` out; apps prove themselves with their secrets"),
            );
        }
        resource.protected = protected.value;
    }
}

fn no_two_at_one_path(settings: &Settings, written: &wire::Resources, checks: &mut Checks<'_>) {
    for (name, resource) in RESOURCE_NAMES.into_iter().zip(&written.each) {
        let (Some(path), Some(kind)) = (&resource.path, ResourceKind::from_name(name)) else { continue };
        let own = settings.resource(kind);
        let other = ResourceKind::ALL.into_iter().find(|other| {
            let settings = settings.resource(*other);
            *other != kind && settings.enabled && settings.path == own.path
        });
        if let Some(other) = other.filter(|_| own.enabled) {
            checks.fault(
                Fault::new(
                    &path.place,
                    format!("`{name}` and `{}` would both stand at {}", other.name(), own.path),
                )
                .hint("give one of them another path, or switch it off with `enabled = false`"),
            );
        }
    }
}

fn identity_fields(written: &[At<String>], checks: &mut Checks<'_>) -> Vec<IdentityField> {
    let known = IdentityField::ALL.map(IdentityField::name);
    let mut fields = Vec::with_capacity(written.len());
    for at in written {
        match IdentityField::from_name(&at.value) {
            Some(field) if fields.contains(&field) => {}
            Some(field) => fields.push(field),
            None => checks.fault(unknown_word(&at.value, &at.place, "`public_identity`", &known)),
        }
    }
    fields
}

/// An origin as browsers send it: scheme, host and port (RFC 6454 §6.2).
fn origin(at: &At<String>, checks: &mut Checks<'_>) -> Option<String> {
    let text = at.value.trim_end_matches('/');
    if text == "*" {
        return Some(text.to_owned());
    }
    let is_origin = text.parse::<Uri>().is_ok_and(|uri| {
        uri.scheme().is_some() && uri.authority().is_some_and(|host| !host.as_str().contains('@'))
    }) && text.matches('/').count() == 2
        && !text.contains(['?', '#']);
    if is_origin {
        return Some(text.to_ascii_lowercase());
    }
    checks.fault(
        Fault::new(&at.place, format!("`allowed_origins`: {text} is no origin")).hint(
            "write scheme, host and port alone, such as \"https://status.example.com\", or \"*\" for all",
        ),
    );
    None
}

fn header(at: &At<String>, checks: &mut Checks<'_>) -> Option<HeaderName> {
    if let Ok(name) = HeaderName::from_bytes(at.value.as_bytes()) {
        if name == hyper::header::AUTHORIZATION || name == hyper::header::COOKIE {
            checks.fault(
                Fault::new(
                    &at.place,
                    format!("`client_id_headers`: {name} holds a secret, and ids are kept and shown"),
                )
                .hint("name a header that holds an id, such as \"x-client-id\""),
            );
            return None;
        }
        return Some(name);
    }
    checks.fault(
        Fault::new(&at.place, format!("`client_id_headers`: {} is no name of a header", at.value))
            .hint("such a name has letters, digits and dashes, such as \"x-client-id\""),
    );
    None
}
