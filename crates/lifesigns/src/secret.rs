//! Keeping passwords, tokens and addresses that are secrets out of everything that is read: for whoever asks and tells
//! other services on behalf of an API.

use std::fmt;

/// What stands for a secret.
const HIDDEN: &str = "…";

/// What is shorter is no secret, and would make holes in every text.
const SHORTEST: usize = 4;

/// A password, a token, or an address whose knowledge lets one in. It is never printed.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret's text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text, to be handed to whom it is for and to nobody else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Texts that must not be told, even if a server sends them back.
#[derive(Clone, Default)]
pub struct Redaction {
    /// Longest first, so that none is hidden in part because another is its beginning.
    secrets: Vec<String>,
}

impl Redaction {
    /// Hides these, as they stand and as they stand in JSON; of `Bearer …` and `Basic …` the credentials alone as well.
    /// What is shorter than four bytes is no secret.
    pub fn of<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Redaction {
        let mut secrets: Vec<String> = secrets
            .into_iter()
            // The credentials of `Bearer …` and `Basic …` are as secret without the word before them.
            .flat_map(|secret| [secret, secret.rsplit(' ').next().unwrap_or_default()])
            .filter(|secret| secret.len() >= SHORTEST)
            // As it stands, and as it stands in a text of JSON.
            .flat_map(|secret| [secret.to_owned(), secret.replace('\\', "\\\\").replace('"', "\\\"")])
            .collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Redaction { secrets }
    }

    /// The text without the secrets.
    pub fn hide(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN))
    }

    /// The same for a text of which the rest was cut off: it does not end with the beginning of a secret either.
    pub fn hide_in_beginning(&self, text: &str) -> String {
        let hidden = self.hide(text);
        // What was cut off may have begun in the middle of a character.
        let text = hidden.trim_end_matches(char::REPLACEMENT_CHARACTER);
        let begun = |secret: &String| {
            let ends = secret.char_indices().map(|(end, _)| end).filter(|end| *end > 0);
            ends.filter(|end| text.ends_with(&secret[..*end])).max()
        };
        let length = self.secrets.iter().filter_map(begun).max().unwrap_or(0);
        text[..text.len() - length].to_owned()
    }
}

/// How many there are, and none of them.
impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redaction({})", self.secrets.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let redaction = Redaction::of(["Bearer opensesame", r#"12"34\"#, "open", "", "a"]);
        let check = |text: &str, expected: &str| assert_eq!(redaction.hide(text), expected);
        check("Bearer opensesame", "…");
        check("token=opensesame!", "token=…!");
        check("an open door", "an … door");
        check(r#"{"sent":"12\"34\\"}"#, r#"{"sent":"…"}"#);
        check("a cat", "a cat");
        let check = |text: &str, expected: &str| assert_eq!(redaction.hide_in_beginning(text), expected);
        check("token=opensesame", "token=…");
        check("token=opense", "token=…se");
        check("x Bearer opens", "x Bearer …s");
        check("x Bear", "x ");
        check("x ope\u{fffd}", "x ");
        check("", "");
    }

    #[test]
    fn nothing_that_is_printed_holds_a_secret() {
        let secret = Secret::new("opensesame");
        let printed = format!("{secret:?} {:?}", Redaction::of([secret.reveal()]));
        assert_eq!(printed, "Secret(…) Redaction(1)");
    }
}
