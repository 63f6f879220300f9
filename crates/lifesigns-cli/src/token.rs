//! `lifesigns token`: tokens for whoever will hold them, secrets of apps, their hashes for the configuration, and keys.

use std::io::{self, BufRead};

use lifesigns::{Scope, TokenHash};
use lifesigns_access::{BadOption, SecretHash, SigningKey};

use crate::config::overrides::TOKEN_SCOPES;
use crate::printer::{self, Problem, escaped};

/// What every token begins with, so that secret scanners and people can tell what they have found.
const PREFIX: &str = "ls_";

/// Why no token was made.
pub enum NotMade {
    /// The arguments are wrong.
    Arguments(Problem),
    /// The system gave no random bytes, or nothing could be read.
    Problem(Problem),
    /// It could not be printed.
    Output(io::Error),
}

/// Makes a token and prints both halves.
pub fn new(name: &str, scopes: &[String]) -> Result<(), NotMade> {
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return Err(NotMade::Arguments(
            Problem::new("--name must not be empty or hold control characters")
                .hint("say who will hold the token, such as `--name dashboard`"),
        ));
    }
    let scopes = known(scopes, &TOKEN_SCOPES)?;
    let secret = random()?;
    printer::result(&page(&token_of(&secret), name, &scopes)).map_err(NotMade::Output)
}

/// Scopes of an app that is to have no others.
const APP_SCOPES: [&str; 1] = ["analytics:read"];

/// No secret is longer than this, in bytes.
const LONGEST_SECRET: u64 = 4096;

/// Makes the secret of an app and prints both halves.
pub fn app(client_id: &str, scopes: &[String]) -> Result<(), NotMade> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    if client_id.is_empty() || client_id.len() > 100 || !client_id.chars().all(is_plain) {
        return Err(NotMade::Arguments(
            Problem::new("--client-id must be 1 to 100 letters, digits, `-`, `.`, `_` and `~`")
                .hint("it is the name of the app, such as `--client-id reports`"),
        ));
    }
    let scopes = known(scopes, &APP_SCOPES)?;
    let secret = token_of(&random()?);
    let hash = SecretHash::make(&secret).map_err(not_made)?;
    printer::result(&app_page(&secret, &hash, client_id, &scopes)).map_err(NotMade::Output)
}

/// Prints the hash of the secret in the first line.
pub fn hash(input: impl BufRead) -> Result<(), NotMade> {
    let mut secret = String::new();
    let read = input.take(LONGEST_SECRET + 1).read_line(&mut secret);
    read.map_err(|error| {
        NotMade::Problem(Problem::new("the secret cannot be read from standard input").because(&error))
    })?;
    let secret = secret.strip_suffix('\n').unwrap_or(&secret);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    if secret.is_empty() || secret.len() as u64 > LONGEST_SECRET {
        return Err(NotMade::Arguments(
            Problem::new(format!("standard input must begin with a line of 1 to {LONGEST_SECRET} bytes"))
                .hint("write it into a file and give that: `lifesigns token hash < secret`"),
        ));
    }
    let hash = SecretHash::make(secret).map_err(not_made)?;
    printer::result(&hash).map_err(NotMade::Output)
}

/// Prints a new signing key.
pub fn key() -> Result<(), NotMade> {
    let pem = SigningKey::make_pem().map_err(not_made)?;
    printer::result(pem.trim_end()).map_err(NotMade::Output)
}

fn not_made(error: BadOption) -> NotMade {
    NotMade::Problem(Problem::new("it could not be made").because(&error))
}

/// The scopes that were asked for, all of which there must be, or else these.
fn known<'a>(asked: &'a [String], otherwise: &[&'a str]) -> Result<Vec<&'a str>, NotMade> {
    let scopes: Vec<&str> =
        if asked.is_empty() { otherwise.to_vec() } else { asked.iter().map(String::as_str).collect() };
    match scopes.iter().find(|scope| Scope::from_name(scope).is_none()) {
        None => Ok(scopes),
        Some(unknown) => Err(NotMade::Arguments(
            Problem::new(format!("there is no scope `{unknown}`"))
                .hint(format!("choose from {}", Scope::ALL.map(Scope::name).join(", "))),
        )),
    }
}

fn random() -> Result<[u8; 32], NotMade> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| {
        NotMade::Problem(Problem::new("the system gave no random bytes to make a token of").because(&error))
    })?;
    Ok(secret)
}

/// Both halves, as for a token.
fn app_page(secret: &str, hash: &str, client_id: &str, scopes: &[&str]) -> String {
    format!(
        "# The secret, shown this once. The app asks for tokens with it:\n\
         # curl -u {client_id}:SECRET -d grant_type=client_credentials http://127.0.0.1:8080/oauth2/token\n\
         {secret}\n\n\
         # What lets it have tokens, as lines for lifesigns.toml:\n\
         [[app]]\nclient_id = \"{client_id}\"\nsecret_hash = \"{hash}\"\nscopes = [{}]",
        quoted(scopes)
    )
}

/// The token that these random bytes make.
pub fn token_of(secret: &[u8; 32]) -> String {
    secret.iter().fold(PREFIX.to_owned(), |token, byte| format!("{token}{byte:02x}"))
}

/// Both halves, with what each is for: comments to a shell and to TOML alike, so that a file of it can be read.
fn page(token: &str, name: &str, scopes: &[&str]) -> String {
    let hash = TokenHash::of(token);
    let snippet = snippet(hash, name, scopes);
    // The variable opens all of these; a token that was to open less is not let in by it.
    let is_for_the_shell = TOKEN_SCOPES.iter().all(|scope| scopes.contains(scope));
    let what_lets_it_in = if is_for_the_shell {
        format!(
            "as a line for the shell:\nexport LIFESIGNS_TOKEN_HASH={hash}\n\n# or as lines for lifesigns.toml:\n{snippet}"
        )
    } else {
        format!("as lines for lifesigns.toml:\n{snippet}")
    };
    format!(
        "# The token, shown this once. Callers send it as `Authorization: Bearer TOKEN`:\n{token}\n\n\
         # What lets it in, {what_lets_it_in}"
    )
}

fn snippet(hash: TokenHash, name: &str, scopes: &[&str]) -> String {
    let name = toml::Value::String(escaped(name));
    format!("[[token]]\nname = {name}\nhash = \"{hash}\"\nscopes = [{}]", quoted(scopes))
}

fn quoted(scopes: &[&str]) -> String {
    scopes.iter().map(|scope| format!("\"{scope}\"")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_snippet_holds_the_hash_and_not_the_token() {
        let token = token_of(&[7; 32]);
        assert_eq!(token, format!("ls_{}", "07".repeat(32)));
        let snippet = snippet(TokenHash::of(&token), "a \"b\"", &["analytics:read", "metrics:read"]);
        let table: toml::Table = snippet.parse().unwrap();
        let entry = &table["token"][0];
        assert_eq!(entry["name"].as_str(), Some("a \"b\""));
        assert_eq!(entry["hash"].as_str(), Some(TokenHash::of(&token).to_string().as_str()));
        assert_eq!(entry["scopes"].as_array().unwrap().len(), 2);
        assert!(!snippet.contains(&token));
    }

    #[test]
    fn the_lines_of_an_app_hold_the_hash_and_not_the_secret() {
        let hash = SecretHash::make("ls_x").unwrap();
        let page = app_page("ls_x", &hash, "reports", &["analytics:read", "health:details"]);
        let lines: Vec<&str> = page.lines().filter(|line| *line != "ls_x").collect();
        let table: toml::Table = lines.join("\n").parse().unwrap();
        let entry = &table["app"][0];
        assert_eq!(entry["client_id"].as_str(), Some("reports"));
        assert!(entry["secret_hash"].as_str().unwrap().parse::<SecretHash>().is_ok());
        assert_eq!(entry["scopes"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn the_line_for_the_shell_is_there_unless_it_would_open_more_than_was_asked_for() {
        let line = format!("\nexport LIFESIGNS_TOKEN_HASH={}\n", TokenHash::of("ls_x"));
        assert!(page("ls_x", "ops", &TOKEN_SCOPES).contains(&line));
        assert!(page("ls_x", "ops", &["metrics:read", "health:details", "analytics:read"]).contains(&line));
        assert!(!page("ls_x", "ops", &["metrics:read"]).contains("export"));
    }
}
