//! Taking secrets out of what others say, before anybody reads it.

/// What stands for a secret.
const HIDDEN: &str = "…";

/// What is shorter is no secret, and would make holes in every text.
const SHORTEST: usize = 4;

/// Texts that must not be told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redaction {
    /// Longest first, so that none is hidden in part because another is its beginning.
    secrets: Vec<String>,
}

impl Redaction {
    pub(crate) fn of<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Redaction {
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

    /// The text without the secrets; nor does it end with the beginning of one, if something was cut off after it.
    pub(crate) fn hide(&self, text: &str, is_cut: bool) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret, HIDDEN);
        }
        if is_cut {
            // What was cut off may have begun in the middle of a character.
            text.truncate(text.trim_end_matches(char::REPLACEMENT_CHARACTER).len());
            let begun = |secret: &String| {
                let ends = secret.char_indices().map(|(end, _)| end).filter(|end| *end > 0);
                ends.filter(|end| text.ends_with(&secret[..*end])).max()
            };
            let length = self.secrets.iter().filter_map(begun).max().unwrap_or(0);
            text.truncate(text.len() - length);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_whole_and_in_part() {
        let redaction = Redaction::of(["Bearer opensesame", "open", "", "a"]);
        let check = |text: &str, is_cut, expected: &str| assert_eq!(redaction.hide(text, is_cut), expected);
        check("Bearer opensesame", false, "…");
        check("token=opensesame!", false, "token=…!");
        check("an open door", false, "an … door");
        check("a cat", false, "a cat");
        check("token=opense", true, "token=…se");
        check("x Bearer opens", true, "x Bearer …s");
        check("x Bear", true, "x ");
        check("x ope", true, "x ");
        check("x ope", false, "x ope");
        check("", true, "");
        check("x ope\u{fffd}", true, "x ");
        check("x ope\u{fffd}", false, "x ope\u{fffd}");
    }

    #[test]
    fn secrets_with_quotes_are_hidden_in_json_too() {
        let redaction = Redaction::of([r#"id="12\34""#]);
        assert_eq!(redaction.hide(r#"id="12\34" {"sent":"id=\"12\\34\""}"#, false), r#"… {"sent":"…"}"#);
    }
}
