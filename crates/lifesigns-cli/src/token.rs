//! `lifesigns token new`: a token for whoever will hold it, and its hash for the configuration.

use std::io;

use lifesigns::{Scope, TokenHash};

use crate::config::overrides::TOKEN_SCOPES;
use crate::printer::{self, Problem, escaped};

/// What every token begins with, so that secret scanners and people can tell what they have found.
const PREFIX: &str = "ls_";

/// Why no token was made.
pub enum NotMade {
    /// The arguments are wrong.
    Arguments(Problem),
    /// The system gave no random bytes.
    NoRandomness(Problem),
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
    let scopes: Vec<&str> =
        if scopes.is_empty() { TOKEN_SCOPES.to_vec() } else { scopes.iter().map(String::as_str).collect() };
    if let Some(unknown) = scopes.iter().find(|scope| Scope::from_name(scope).is_none()) {
        return Err(NotMade::Arguments(
            Problem::new(format!("there is no scope `{unknown}`"))
                .hint(format!("choose from {}", Scope::ALL.map(Scope::name).join(", "))),
        ));
    }
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| {
        NotMade::NoRandomness(
            Problem::new("the system gave no random bytes to make a token of").because(&error),
        )
    })?;
    printer::result(&page(&token_of(&secret), name, &scopes)).map_err(NotMade::Output)
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
    let scopes: Vec<String> = scopes.iter().map(|scope| format!("\"{scope}\"")).collect();
    format!("[[token]]\nname = {name}\nhash = \"{hash}\"\nscopes = [{}]", scopes.join(", "))
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
    fn the_line_for_the_shell_is_there_unless_it_would_open_more_than_was_asked_for() {
        let line = format!("\nexport LIFESIGNS_TOKEN_HASH={}\n", TokenHash::of("ls_x"));
        assert!(page("ls_x", "ops", &TOKEN_SCOPES).contains(&line));
        assert!(page("ls_x", "ops", &["metrics:read", "health:details", "analytics:read"]).contains(&line));
        assert!(!page("ls_x", "ops", &["metrics:read"]).contains("export"));
    }
}
