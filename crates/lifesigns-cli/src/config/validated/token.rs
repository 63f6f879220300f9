//! Tokens: exactly one way to their hash, and scopes that exist.

use lifesigns::{Scope, Token, TokenHash};

use super::Checks;
use crate::config::fault::Fault;
use crate::config::reader::unknown_word;
use crate::config::tree::At;
use crate::config::wire;

/// The tokens that were written and are right.
pub(super) fn tokens(written: &[wire::Token], checks: &mut Checks<'_>) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::with_capacity(written.len());
    for token in written {
        let name = name(token, checks);
        let hash = hash(token, checks);
        let scopes = scopes(token, checks);
        let (Some(name), Some(hash), Some(scopes)) = (name, hash, scopes) else { continue };
        if tokens.iter().any(|other| other.grant().name == name.value) {
            checks.fault(
                Fault::new(&name.place, format!("there are two tokens named `{}`", name.value))
                    .hint("names tell the holders apart in the log"),
            );
        } else if let Some(other) = tokens.iter().find(|other| other.hash() == hash) {
            let message = format!("`{}` and `{}` are the same token", other.grant().name, name.value);
            checks.fault(
                Fault::new(&name.place, message).hint("make one for each holder with `lifesigns token new`"),
            );
        } else {
            tokens.push(Token::new(&name.value, hash, scopes));
        }
    }
    tokens
}

fn name<'t>(token: &'t wire::Token, checks: &mut Checks<'_>) -> Option<&'t At<String>> {
    if token.name.is_none() {
        checks.missing(
            token.whole,
            Fault::new(&token.place, "the token has no `name`")
                .hint("say who holds it, for example `name = \"dashboard\"`"),
        );
    }
    token.name.as_ref()
}

fn hash(token: &wire::Token, checks: &mut Checks<'_>) -> Option<TokenHash> {
    let (written, place) = match (&token.hash, &token.hash_file, &token.hash_env) {
        (Some(hash), None, None) => (hash.value.clone(), &hash.place),
        (None, Some(file), None) => (checks.read("hash_file", file)?, &file.place),
        (None, None, Some(variable)) => {
            let Some(hash) = checks.surroundings.variable(&variable.value) else {
                checks.fault(Fault::new(
                    &variable.place,
                    format!("`hash_env`: the environment variable {} is not set", variable.value),
                ));
                return None;
            };
            (hash, &variable.place)
        }
        (None, None, None) => {
            checks.missing(
                token.whole,
                Fault::new(&token.place, "the token has no `hash`, `hash_file` or `hash_env`")
                    .hint("`lifesigns token new` makes a token and prints its hash"),
            );
            return None;
        }
        _ => {
            checks.fault(
                Fault::new(&token.place, "the token has more than one of `hash`, `hash_file` and `hash_env`")
                    .hint("keep one of them"),
            );
            return None;
        }
    };
    let written = written.trim();
    match written.parse() {
        Ok(hash) => Some(hash),
        Err(error) => {
            // What was written may be the token itself, so it is not repeated.
            let fault = Fault::new(place, error.to_string());
            checks.fault(if written.starts_with("ls_") {
                fault.hint("this looks like the token itself; make a new one with `lifesigns token new` and write down its hash")
            } else {
                fault
            });
            None
        }
    }
}

fn scopes(token: &wire::Token, checks: &mut Checks<'_>) -> Option<Vec<Scope>> {
    let known = Scope::ALL.map(Scope::name);
    let Some(written) = token.scopes.as_ref() else {
        checks.missing(
            token.whole,
            Fault::new(&token.place, "the token has no `scopes`, so it would open nothing")
                .hint(format!("choose from {}", known.join(", "))),
        );
        return None;
    };
    if written.is_empty() {
        checks.fault(
            Fault::new(&token.place, "the list `scopes` is empty, so the token would open nothing")
                .hint(format!("choose from {}", known.join(", "))),
        );
    }
    let mut scopes = Vec::with_capacity(written.len());
    for scope in written {
        match Scope::from_name(&scope.value) {
            Some(scope) if scopes.contains(&scope) => {}
            Some(scope) => scopes.push(scope),
            None => checks.fault(unknown_word(&scope.value, &scope.place, "`scopes`", &known)),
        }
    }
    Some(scopes)
}
