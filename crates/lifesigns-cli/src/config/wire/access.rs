//! `[access]`, `[[token]]`, `[oauth]`, `[[app]]` and `[[issuer]]`.

use super::Optional;
use crate::config::fault::{Fault, Place};
use crate::config::reader::Reader;
use crate::config::tree::At;

type List = Option<Vec<At<String>>>;

/// `[access]`
#[derive(Debug, Default)]
pub struct Access {
    pub failed_attempts_per_minute: Optional<u64>,
}

/// A secret's hash, in exactly one of three ways.
#[derive(Debug, Default)]
pub struct Hash {
    pub here: Optional<String>,
    pub file: Optional<String>,
    pub variable: Optional<String>,
}

/// `[[token]]`
#[derive(Debug)]
pub struct Token {
    pub place: Place,
    /// Whether all of it could be read.
    pub whole: bool,
    pub name: Optional<String>,
    pub hash: Hash,
    pub scopes: List,
    pub organizations: List,
    pub environments: List,
}

/// `[oauth]`
#[derive(Debug, Default)]
pub struct Oauth {
    pub issuer: Optional<String>,
    pub audience: Optional<String>,
    pub lifetime_minutes: Optional<u64>,
    pub key_rotation_hours: Optional<u64>,
    pub signing_keys_file: Optional<String>,
    pub signing_keys_env: Optional<String>,
}

/// `[[app]]`
#[derive(Debug)]
pub struct App {
    pub place: Place,
    /// Whether all of it could be read.
    pub whole: bool,
    pub client_id: Optional<String>,
    pub hash: Hash,
    pub scopes: List,
    pub organizations: List,
    pub environments: List,
}

/// `[[issuer]]`
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "the fields are called as the keys are")]
pub struct Issuer {
    pub place: Place,
    /// Whether all of it could be read.
    pub whole: bool,
    pub name: Optional<String>,
    pub issuer: Optional<String>,
    pub jwks_url: Optional<String>,
    pub audiences: List,
    pub algorithms: List,
    pub scopes: List,
    pub organizations: List,
    pub environments: List,
    pub organizations_claim: Optional<String>,
    pub environments_claim: Optional<String>,
    pub ca_file: Optional<String>,
    pub refresh_minutes: Optional<u64>,
    pub keep_minutes: Optional<u64>,
}

pub(super) fn access(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Access {
    let access = Access { failed_attempts_per_minute: reader.integer("failed_attempts_per_minute", faults) };
    reader.finish(faults);
    access
}

pub(super) fn token(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Token {
    let before = faults.len();
    let mut token = Token {
        place: reader.place.clone(),
        whole: false,
        name: reader.text("name", faults),
        hash: Hash {
            here: reader.text("hash", faults),
            file: reader.text("hash_file", faults),
            variable: reader.text("hash_env", faults),
        },
        scopes: reader.list("scopes", faults),
        organizations: reader.list("organizations", faults),
        environments: reader.list("environments", faults),
    };
    reader.finish(faults);
    token.whole = faults.len() == before;
    token
}

pub(super) fn oauth(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Oauth {
    let oauth = Oauth {
        issuer: reader.text("issuer", faults),
        audience: reader.text("audience", faults),
        lifetime_minutes: reader.integer("lifetime_minutes", faults),
        key_rotation_hours: reader.integer("key_rotation_hours", faults),
        signing_keys_file: reader.text("signing_keys_file", faults),
        signing_keys_env: reader.text("signing_keys_env", faults),
    };
    reader.finish(faults);
    oauth
}

pub(super) fn app(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> App {
    let before = faults.len();
    let mut app = App {
        place: reader.place.clone(),
        whole: false,
        client_id: reader.text("client_id", faults),
        hash: Hash {
            here: reader.text("secret_hash", faults),
            file: reader.text("secret_hash_file", faults),
            variable: reader.text("secret_hash_env", faults),
        },
        scopes: reader.list("scopes", faults),
        organizations: reader.list("organizations", faults),
        environments: reader.list("environments", faults),
    };
    reader.finish(faults);
    app.whole = faults.len() == before;
    app
}

pub(super) fn issuer(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Issuer {
    let before = faults.len();
    let mut issuer = Issuer {
        place: reader.place.clone(),
        whole: false,
        name: reader.text("name", faults),
        issuer: reader.text("issuer", faults),
        jwks_url: reader.text("jwks_url", faults),
        audiences: reader.list("audiences", faults),
        algorithms: reader.list("algorithms", faults),
        scopes: reader.list("scopes", faults),
        organizations: reader.list("organizations", faults),
        environments: reader.list("environments", faults),
        organizations_claim: reader.text("organizations_claim", faults),
        environments_claim: reader.text("environments_claim", faults),
        ca_file: reader.text("ca_file", faults),
        refresh_minutes: reader.integer("refresh_minutes", faults),
        keep_minutes: reader.integer("keep_minutes", faults),
    };
    reader.finish(faults);
    issuer.whole = faults.len() == before;
    issuer
}
