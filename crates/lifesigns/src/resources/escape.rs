//! Text made harmless for where it goes.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Text for the content or a quoted attribute of HTML and XML. Control characters that XML 1.0 does not allow
/// become U+FFFD.
pub(super) struct Markup<'a>(pub(super) &'a str);

impl fmt::Display for Markup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\t' | '\n' | '\r' => f.write_char(character)?,
                '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}')?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// Text for between the quotes of a string of JSON.
pub(super) fn in_quotes(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    // All bytes are looked at, because it is quicker than to stop early.
    if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        return Cow::Borrowed(text);
    }
    let quoted = serde_json::Value::from(text).to_string();
    Cow::Owned(quoted[1..quoted.len() - 1].to_owned())
}

/// Text for the value of a Prometheus label: backslash, quote and line feed are escaped.
pub(super) struct Label<'a>(pub(super) &'a str);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// Text for one line of plain text: control characters become U+FFFD.
pub(super) struct Line<'a>(pub(super) &'a str);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| {
            f.write_char(if character.is_control() { '\u{fffd}' } else { character })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_inert() {
        assert_eq!(Markup("<b a='\"'>&\x1b").to_string(), "&lt;b a=&#39;&quot;&#39;&gt;&amp;\u{fffd}");
        assert_eq!(Label("a\"b\\c\nd").to_string(), "a\\\"b\\\\c\\nd");
        assert_eq!(Line("a\x1b[31m\r\nb").to_string(), "a\u{fffd}[31m\u{fffd}\u{fffd}b");
    }

    #[test]
    fn strings_of_json_are_as_serde_writes_them() {
        for text in ["", "plain, é", "a\"b", "a\\b", "\x1f\n\x01", "\x7f\u{2028}"] {
            assert_eq!(format!("\"{}\"", in_quotes(text)), serde_json::Value::from(text).to_string());
        }
    }
}
