//! Who is let in: tokens, apps that are given some, issuers elsewhere.

mod app;
mod issuer;
mod oauth;
mod token;

use lifesigns::{Scope, Token};
use lifesigns_access::{App, Issuer, TokenOptions};

use super::{Checks, values};
use crate::config::fault::{Fault, Place};
use crate::config::reader::unknown_word;
use crate::config::tree::At;
use crate::config::wire;

/// Everyone who is let in.
#[derive(Debug)]
pub struct Access {
    /// How many failed attempts each client has in a minute.
    pub failed_attempts_per_minute: u32,
    /// Static tokens.
    pub tokens: Vec<Token>,
    /// Everyone else; `None` where there is nobody.
    pub others: Option<Others>,
}

/// Those who are let in by tokens that are signed.
#[derive(Debug)]
pub struct Others {
    /// How tokens are issued to apps.
    pub options: TokenOptions,
    /// The apps.
    pub apps: Vec<App>,
    /// Issuers elsewhere.
    pub issuers: Vec<Issuer>,
}

pub(super) fn access(document: &wire::Document, checks: &mut Checks<'_>) -> Access {
    let tokens = token::tokens(&document.tokens, checks);
    let options = oauth::options(&document.oauth, checks);
    let apps = app::apps(&document.apps, &tokens, checks);
    let own = document.oauth.issuer.as_ref().map_or(oauth::DEFAULT_NAME, |at| &at.value);
    let issuers = issuer::issuers(&document.issuers, own, checks);
    let attempts = values::number(document.access.failed_attempts_per_minute.as_ref(), 10);
    let has_others = !apps.is_empty() || !issuers.is_empty();
    let others = has_others.then_some(Others { options, apps, issuers });
    Access { failed_attempts_per_minute: attempts as u32, tokens, others }
}

/// One of those who are let in, for faults about it.
#[derive(Clone, Copy)]
struct Entry<'a> {
    /// What it is called in faults.
    what: &'static str,
    place: &'a Place,
    /// Whether all of it could be read.
    whole: bool,
}

impl Entry<'_> {
    /// The fault that a key is missing.
    fn missing(self, key: &str, hint: impl Into<String>, checks: &mut Checks<'_>) {
        let message = format!("the {} has no `{key}`", self.what);
        checks.missing(self.whole, Fault::new(self.place, message).hint(hint));
    }

    /// The text of a hash, from exactly one of the three places that it can be in, and which one that was.
    fn hash<'h>(
        self,
        hash: &'h wire::Hash,
        keys: [&'static str; 3],
        hint: &str,
        checks: &mut Checks<'_>,
    ) -> Option<(String, &'h Place)> {
        let [key, file_key, variable_key] = keys;
        match (&hash.here, &hash.file, &hash.variable) {
            (Some(hash), None, None) => Some((hash.value.trim().to_owned(), &hash.place)),
            (None, Some(file), None) => Some((checks.read(file_key, file)?.trim().to_owned(), &file.place)),
            (None, None, Some(variable)) => {
                Some((checks.variable(variable_key, variable)?.trim().to_owned(), &variable.place))
            }
            (None, None, None) => {
                let message = format!("the {} has no `{key}`, `{file_key}` or `{variable_key}`", self.what);
                checks.missing(self.whole, Fault::new(self.place, message).hint(hint));
                None
            }
            _ => {
                let what = self.what;
                let message =
                    format!("the {what} has more than one of `{key}`, `{file_key}` and `{variable_key}`");
                checks.fault(Fault::new(self.place, message).hint("keep one of them"));
                None
            }
        }
    }

    /// The scopes that were written, and are there.
    fn scopes(self, written: Option<&Vec<At<String>>>, checks: &mut Checks<'_>) -> Option<Vec<Scope>> {
        let mut scopes = Vec::new();
        for at in self.written_scopes(written, checks)? {
            match scope(&at.value, &at.place, checks) {
                Some(scope) if scopes.contains(&scope) => {}
                Some(scope) => scopes.push(scope),
                None => {}
            }
        }
        Some(scopes)
    }

    /// The list of scopes, which must be there, and not be empty.
    fn written_scopes<'w>(
        self,
        written: Option<&'w Vec<At<String>>>,
        checks: &mut Checks<'_>,
    ) -> Option<&'w Vec<At<String>>> {
        let what = self.what;
        let choose = format!("choose from {}", Scope::ALL.map(Scope::name).join(", "));
        let Some(written) = written else {
            let message = format!("the {what} has no `scopes`, so it would open nothing");
            checks.missing(self.whole, Fault::new(self.place, message).hint(choose));
            return None;
        };
        if written.is_empty() {
            let message = format!("the list `scopes` is empty, so the {what} would open nothing");
            checks.fault(Fault::new(self.place, message).hint(choose));
        }
        Some(written)
    }
}

fn scope(name: &str, place: &Place, checks: &mut Checks<'_>) -> Option<Scope> {
    let scope = Scope::from_name(name);
    if scope.is_none() {
        checks.fault(unknown_word(name, place, "`scopes`", &Scope::ALL.map(Scope::name)));
    }
    scope
}

/// The texts of a list.
fn names(written: &[At<String>]) -> impl Iterator<Item = String> + '_ {
    written.iter().map(|at| at.value.clone())
}
