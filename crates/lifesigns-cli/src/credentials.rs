//! What the one who asks a gateway or a monitor shows of themselves.

use std::env::{self, VarError};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use hyper::header::HeaderValue;

use crate::printer::Problem;

/// No token has so many bytes.
const MAX_TOKEN_BYTES: u64 = 8192;

/// The header with the token that is in the file, or else in `LIFESIGNS_TOKEN`; `None` if there is none.
///
/// # Errors
/// When the file cannot be read, or holds no token.
pub fn authorization(token_file: Option<&Path>) -> Result<Option<HeaderValue>, Problem> {
    let (token, from) = match token_file {
        Some(file) => {
            let mut token = String::new();
            File::open(file).and_then(|file| file.take(MAX_TOKEN_BYTES).read_to_string(&mut token)).map_err(
                |error| {
                    Problem::new(format!("--token-file: {} cannot be read", file.display())).because(&error)
                },
            )?;
            (token, format!("--token-file: {}", file.display()))
        }
        None => match env::var("LIFESIGNS_TOKEN") {
            Ok(token) if token.trim().is_empty() => return Ok(None),
            Err(VarError::NotPresent) => return Ok(None),
            // What is no text is no token either, which is told below.
            token => (token.unwrap_or_default(), "LIFESIGNS_TOKEN".to_owned()),
        },
    };
    let token = token.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        // What stands there is a secret, or was meant to be.
        return Err(Problem::new(format!("{from} holds no token, or more than one"))
            .hint("keep the token alone there, in visible ASCII characters and without comments"));
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|error| Problem::new(format!("{from} holds no token")).because(&error))?;
    value.set_sensitive(true);
    Ok(Some(value))
}
