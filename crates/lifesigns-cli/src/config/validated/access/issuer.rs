//! Issuers elsewhere: each with a name, a URL, keys, and what its tokens open.

use std::time::Duration;

use lifesigns_access::{Algorithm, Issuer};

use super::super::values;
use super::{Checks, Entry, names, scope};
use crate::config::fault::Fault;
use crate::config::reader::unknown_word;
use crate::config::tree::At;
use crate::config::wire;

/// The issuers that were written and are right. `own` is who issues tokens here.
pub(super) fn issuers(written: &[wire::Issuer], own: &str, checks: &mut Checks<'_>) -> Vec<Issuer> {
    let mut issuers = Vec::with_capacity(written.len());
    for (index, issuer) in written.iter().enumerate() {
        no_two_alike(issuer, &written[..index], own, checks);
        issuers.extend(one(issuer, checks));
    }
    issuers
}

fn no_two_alike(issuer: &wire::Issuer, others: &[wire::Issuer], own: &str, checks: &mut Checks<'_>) {
    let is_same = |one: &Option<At<String>>, other: &Option<At<String>>| matches!((one, other), (Some(one), Some(other)) if one.value == other.value);
    if let Some(name) = &issuer.name
        && others.iter().any(|other| is_same(&other.name, &issuer.name))
    {
        let message = format!("there are two issuers named `{}`", name.value);
        checks.fault(Fault::new(&name.place, message).hint("names tell their holders apart in the log"));
    }
    if let Some(url) = &issuer.issuer {
        let hint = "tokens are told apart by their `iss`; put what belongs to one issuer together";
        if others.iter().any(|other| is_same(&other.issuer, &issuer.issuer)) {
            let message = format!("there are two issuers with `issuer = \"{}\"`", url.value);
            checks.fault(Fault::new(&url.place, message).hint(hint));
        } else if url.value == own {
            let message = format!("`issuer` is what tokens of this process say, too: {own}");
            checks.fault(Fault::new(&url.place, message).hint("give `issuer` of `[oauth]` another value"));
        }
    }
}

fn one(written: &wire::Issuer, checks: &mut Checks<'_>) -> Option<Issuer> {
    let entry = Entry { what: "issuer", place: &written.place, whole: written.whole };
    let name = written.name.as_ref().filter(|at| is_plain(at, checks));
    if written.name.is_none() {
        entry.missing("name", "give it a name for the log, for example `name = \"login\"`", checks);
    }
    if written.issuer.is_none() {
        entry.missing("issuer", "copy it from the claim `iss` of one of its tokens", checks);
    }
    if written.jwks_url.is_none() {
        entry.missing(
            "jwks_url",
            "its `/.well-known/openid-configuration` says where its keys are, as `jwks_uri`",
            checks,
        );
    }
    let audiences = written.audiences.as_deref().unwrap_or_default();
    if audiences.is_empty() {
        entry.missing("audiences", "say what its tokens call this process in their claim `aud`", checks);
    }
    let algorithms = algorithms(written, checks);
    let scopes = entry.written_scopes(written.scopes.as_ref(), checks);
    let (name, url, jwks_url) = (name?, written.issuer.as_ref()?, written.jwks_url.as_ref()?);
    let mut issuer = match Issuer::new(&name.value, &url.value, &jwks_url.value) {
        Ok(issuer) => issuer,
        Err(error) => {
            checks.fault(
                Fault::new(&jwks_url.place, error.to_string())
                    .hint("write it like \"https://login.example.com/keys\""),
            );
            return None;
        }
    };
    for audience in audiences {
        issuer = issuer.audience(&audience.value);
    }
    for at in scopes? {
        let (theirs, ours) = at.value.rsplit_once('=').unwrap_or((&at.value, &at.value));
        if let Some(scope) = scope(ours, &at.place, checks) {
            issuer = issuer.scope(theirs, scope);
        }
    }
    if let Some(algorithms) = algorithms {
        issuer = issuer.algorithms(algorithms);
    }
    if let Some(organizations) = &written.organizations {
        issuer = issuer.organizations(names(organizations));
    }
    if let Some(environments) = &written.environments {
        issuer = issuer.environments(names(environments));
    }
    if let Some(claim) = &written.organizations_claim {
        issuer = issuer.organizations_claim(&claim.value);
    }
    if let Some(claim) = &written.environments_claim {
        issuer = issuer.environments_claim(&claim.value);
    }
    if let Some(file) = &written.ca_file {
        issuer = issuer.ca_file(&checks.path(file));
    }
    let minutes =
        |written: &Option<At<u64>>, default| Duration::from_mins(values::number(written.as_ref(), default));
    Some(issuer.refresh(minutes(&written.refresh_minutes, 10)).keep(minutes(&written.keep_minutes, 360)))
}

/// Whether a name can stand before a holder's, with a slash between them.
fn is_plain(name: &At<String>, checks: &mut Checks<'_>) -> bool {
    let has_slash = name.value.contains('/');
    if has_slash {
        checks.fault(
            Fault::new(&name.place, "`name` holds a slash, which stands between it and its holders' names")
                .hint("choose a name without one, such as \"login\""),
        );
    }
    !has_slash
}

fn algorithms(written: &wire::Issuer, checks: &mut Checks<'_>) -> Option<Vec<Algorithm>> {
    let written = written.algorithms.as_ref()?;
    let known = Algorithm::ALL.map(Algorithm::name);
    let mut algorithms = Vec::with_capacity(written.len());
    for at in written {
        match Algorithm::from_name(&at.value) {
            Some(algorithm) => algorithms.push(algorithm),
            None if at.value.starts_with("HS") || at.value.eq_ignore_ascii_case("none") => checks.fault(
                Fault::new(&at.place, format!("`algorithms`: {} would let anybody in", at.value))
                    .hint("whoever knows the public keys could sign tokens; leave it out"),
            ),
            None => checks.fault(unknown_word(&at.value, &at.place, "`algorithms`", &known)),
        }
    }
    Some(algorithms)
}
