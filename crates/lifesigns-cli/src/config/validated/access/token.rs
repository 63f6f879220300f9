//! Static tokens: each with a name and a hash of its own.

use lifesigns::{Token, TokenHash};

use super::{Checks, Entry, names};
use crate::config::fault::Fault;
use crate::config::wire;

/// The tokens that were written and are right.
pub(super) fn tokens(written: &[wire::Token], checks: &mut Checks<'_>) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::with_capacity(written.len());
    for token in written {
        let entry = Entry { what: "token", place: &token.place, whole: token.whole };
        if token.name.is_none() {
            entry.missing("name", "say who holds it, for example `name = \"dashboard\"`", checks);
        }
        let hash = hash(entry, &token.hash, checks);
        let scopes = entry.scopes(token.scopes.as_ref(), checks);
        let (Some(name), Some(hash), Some(scopes)) = (&token.name, hash, scopes) else { continue };
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
            let mut new = Token::new(&name.value, hash, scopes);
            if let Some(organizations) = &token.organizations {
                new = new.organizations(names(organizations));
            }
            if let Some(environments) = &token.environments {
                new = new.environments(names(environments));
            }
            tokens.push(new);
        }
    }
    tokens
}

fn hash(entry: Entry<'_>, written: &wire::Hash, checks: &mut Checks<'_>) -> Option<TokenHash> {
    let keys = ["hash", "hash_file", "hash_env"];
    let (written, place) =
        entry.hash(written, keys, "`lifesigns token new` makes a token and prints its hash", checks)?;
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
