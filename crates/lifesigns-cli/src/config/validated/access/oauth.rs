//! How tokens are issued.

use std::time::Duration;

use lifesigns_access::{SigningKey, TokenOptions};

use super::super::values;
use super::Checks;
use crate::config::fault::{Fault, Place};
use crate::config::wire;

/// The claim `iss` where nothing else is said.
pub(super) const DEFAULT_NAME: &str = "lifesigns";

pub(super) fn options(written: &wire::Oauth, checks: &mut Checks<'_>) -> TokenOptions {
    let mut options = TokenOptions::default();
    if let Some(issuer) = &written.issuer {
        options = options.issuer(&issuer.value);
    }
    if let Some(audience) = &written.audience {
        options = options.audience(&audience.value);
    }
    // The reference has the same bounds, so that neither can be a fault.
    let minutes = Duration::from_mins(values::number(written.lifetime_minutes.as_ref(), 10));
    let hours = Duration::from_hours(values::number(written.key_rotation_hours.as_ref(), 12));
    let timed = options.lifetime(minutes).and_then(|options| options.rotation(hours));
    let options = timed.unwrap_or_else(|error| {
        let place = written.lifetime_minutes.as_ref().map_or(Place::Nowhere, |at| at.place.clone());
        checks.fault(Fault::new(&place, error.to_string()));
        TokenOptions::default()
    });
    options.signing_keys(keys(written, checks).unwrap_or_default())
}

fn keys(written: &wire::Oauth, checks: &mut Checks<'_>) -> Option<Vec<SigningKey>> {
    let (text, place) = match (&written.signing_keys_file, &written.signing_keys_env) {
        (None, None) => return None,
        (Some(file), None) => (checks.read("signing_keys_file", file)?, &file.place),
        (None, Some(variable)) => (checks.variable("signing_keys_env", variable)?, &variable.place),
        (Some(_), Some(variable)) => {
            let message = "there are both `signing_keys_file` and `signing_keys_env`";
            checks.fault(Fault::new(&variable.place, message).hint("keep one of them"));
            return None;
        }
    };
    match SigningKey::from_pem(&text) {
        Ok(keys) => Some(keys),
        Err(error) => {
            // What was read is secret, so it is not repeated.
            checks.fault(
                Fault::new(place, format!("the signing keys {}", error.fault))
                    .hint("`lifesigns token key` makes one"),
            );
            None
        }
    }
}
