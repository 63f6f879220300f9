//! Connected apps: each with an id and the hash of its secret.

use lifesigns::Token;
use lifesigns_access::{App, SecretHash};

use super::{Checks, Entry, names};
use crate::config::fault::Fault;
use crate::config::tree::At;
use crate::config::wire;

/// The apps that were written and are right.
pub(super) fn apps(written: &[wire::App], tokens: &[Token], checks: &mut Checks<'_>) -> Vec<App> {
    let mut apps: Vec<App> = Vec::with_capacity(written.len());
    for app in written {
        let entry = Entry { what: "app", place: &app.place, whole: app.whole };
        if app.client_id.is_none() {
            entry.missing("client_id", "give it a name, for example `client_id = \"reports\"`", checks);
        }
        let client_id = app.client_id.as_ref().filter(|at| is_plain(at, checks));
        let hash = hash(entry, &app.hash, checks);
        let scopes = entry.scopes(app.scopes.as_ref(), checks);
        let (Some(id), Some(hash), Some(scopes)) = (client_id, hash, scopes) else { continue };
        if apps.iter().any(|other| other.client_id() == id.value) {
            checks.fault(
                Fault::new(&id.place, format!("there are two apps with the id `{}`", id.value))
                    .hint("an app is known by its id, so each needs one of its own"),
            );
        } else if tokens.iter().any(|token| token.grant().name == id.value) {
            checks.fault(
                Fault::new(&id.place, format!("there is a token named `{}` as well", id.value))
                    .hint("both are names in the log, and limits count by them; choose another one"),
            );
        } else {
            let mut new = App::new(&id.value, hash, scopes);
            if let Some(organizations) = &app.organizations {
                new = new.organizations(names(organizations));
            }
            if let Some(environments) = &app.environments {
                new = new.environments(names(environments));
            }
            apps.push(new);
        }
    }
    apps
}

/// Whether an id is the same however it is encoded, so that no app fails for that.
fn is_plain(id: &At<String>, checks: &mut Checks<'_>) -> bool {
    let odd = id.value.chars().find(|c| !c.is_ascii_alphanumeric() && !"-._~".contains(*c));
    if let Some(odd) = odd {
        let message = format!("`client_id` holds a character that must be encoded on its way: `{odd}`");
        checks.fault(Fault::new(&id.place, message).hint("use letters, digits, `-`, `.`, `_` and `~`"));
    }
    odd.is_none()
}

fn hash(entry: Entry<'_>, written: &wire::Hash, checks: &mut Checks<'_>) -> Option<SecretHash> {
    let keys = ["secret_hash", "secret_hash_file", "secret_hash_env"];
    let (written, place) =
        entry.hash(written, keys, "`lifesigns token app` makes a secret and prints its hash", checks)?;
    match written.parse() {
        Ok(hash) => Some(hash),
        Err(error) => {
            // What was written may be the secret itself, so it is not repeated.
            let fault = Fault::new(place, error.to_string());
            checks.fault(if written.starts_with('$') {
                fault
            } else {
                fault.hint("`lifesigns token hash` makes the hash of a secret that is there, `lifesigns token app` a new one")
            });
            None
        }
    }
}
