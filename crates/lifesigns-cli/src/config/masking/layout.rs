//! Where keys and values stand in a text that may be no TOML at all: what cannot be made out is not shown.

use std::collections::HashMap;
use std::ops::Range;

use super::{Treatment, in_plain_text};
use crate::config::reference::sections;

/// The keys that a configuration knows, in whichever table.
pub(super) struct Keys(HashMap<&'static str, Treatment>);

impl Keys {
    pub(super) fn new() -> Keys {
        let known = sections().into_iter().flat_map(|section| section.keys);
        Keys(known.map(|key| (key.name, Treatment::of_known(key.name))).collect())
    }

    pub(super) fn treatment(&self, key: &str) -> Treatment {
        self.0.get(key).copied().unwrap_or(Treatment::Nothing)
    }
}

/// The parts of a configuration file that are not shown, in order and apart from each other.
pub fn hidden(text: &str) -> Vec<Range<usize>> {
    let mut layout = Layout {
        text,
        keys: Keys::new(),
        at: 0,
        line_end: 0,
        section: Treatment::Plain,
        mode: Mode::Key(Treatment::Plain),
        open: Vec::new(),
        hidden: Vec::new(),
    };
    while layout.at < text.len() {
        layout.step();
    }
    layout.hidden
}

/// What is expected next.
#[derive(Clone, Copy, Debug)]
enum Mode {
    /// A key, or a table's header; the parts of a dotted key so far are treated so.
    Key(Treatment),
    /// A value, of a key with this treatment.
    Value(Treatment),
}

/// A list or an inline table that is not closed yet, and how what is in it is treated.
struct Open {
    is_table: bool,
    treatment: Treatment,
}

struct Layout<'t> {
    text: &'t str,
    keys: Keys,
    at: usize,
    /// Where the line ends that was last asked for: a line may be as long as the file.
    line_end: usize,
    /// How all values of the present table are treated.
    section: Treatment,
    mode: Mode,
    open: Vec<Open>,
    hidden: Vec<Range<usize>>,
}

impl Layout<'_> {
    fn step(&mut self) {
        match self.text.as_bytes()[self.at] {
            b'\n' => {
                self.at += 1;
                if self.open.is_empty() {
                    self.mode = Mode::Key(self.section);
                }
            }
            b' ' | b'\t' | b'\r' => self.at += 1,
            b'#' => {
                let end = self.line_end();
                self.hide(self.at + 1..end);
                self.at = end;
            }
            b'"' | b'\'' => self.string(),
            b'[' if matches!(self.mode, Mode::Key(_)) && self.open.is_empty() => self.header(),
            opening @ (b'[' | b'{') => self.enter(opening == b'{'),
            b']' | b'}' => {
                self.at += 1;
                if let Some(closed) = self.open.pop() {
                    self.mode = Mode::Value(closed.treatment);
                }
            }
            b',' => {
                self.at += 1;
                self.mode = match self.open.last() {
                    Some(open) if open.is_table => Mode::Key(open.treatment),
                    Some(open) => Mode::Value(open.treatment),
                    None => self.mode,
                };
            }
            b'=' => {
                self.at += 1;
                match self.mode {
                    Mode::Key(treatment) => self.mode = Mode::Value(treatment),
                    // There is a line end missing, or a bracket: whatever it is the value of, it is another key.
                    Mode::Value(_) => self.hide_rest(),
                }
            }
            b'.' if matches!(self.mode, Mode::Key(_)) => self.at += 1,
            _ => self.bare(),
        }
    }

    fn enter(&mut self, is_table: bool) {
        self.at += 1;
        let (Mode::Key(treatment) | Mode::Value(treatment)) = self.mode;
        let treatment = if is_table { treatment } else { treatment.listed() };
        self.open.push(Open { is_table, treatment });
        self.mode = if is_table { Mode::Key(treatment) } else { Mode::Value(treatment) };
    }

    /// `[table]` or `[[table]]`
    fn header(&mut self) {
        let end = self.line_end();
        let line = &self.text[self.at..end];
        let is_header = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.[] \t\r".contains(&byte);
        // A comment behind it, a quoted key or a list that has lost its key.
        let shown = line.bytes().position(|byte| !is_header(byte)).unwrap_or(line.len());
        let names = line[..shown].trim_matches(|c: char| "[] \t\r".contains(c)).split('.');
        let nothing = |name: &str| self.keys.treatment(name.trim()) != Treatment::Plain;
        self.section = if names.into_iter().any(nothing) { Treatment::Nothing } else { Treatment::Plain };
        self.hide(self.at + shown..end);
        self.at = end;
    }

    fn string(&mut self) {
        let rest = &self.text[self.at..];
        let quote = &rest[..1];
        let triple = quote.repeat(3);
        if rest.starts_with(&triple) {
            // Nothing that a configuration knows takes several lines.
            let content = rest[3..].find(&triple).unwrap_or(rest.len() - 3);
            self.hide(self.at + 3..self.at + 3 + content);
            self.at += rest.len().min(content + 6);
            return;
        }
        let length = content_length(rest);
        let content = self.at + 1..self.at + 1 + length;
        let is_closed = self.text[content.end..].starts_with(quote);
        self.at = content.end + usize::from(is_closed);
        let is_key = self.text[self.at..].trim_start_matches([' ', '\t']).starts_with(['=', '.']);
        let treatment = match self.mode {
            Mode::Key(outer) if is_key => {
                self.mode = Mode::Key(outer.below(self.keys.treatment(&self.text[content.clone()])));
                Treatment::Plain
            }
            Mode::Key(_) => Treatment::Nothing,
            Mode::Value(treatment) => treatment,
        };
        self.hide_in(content, treatment);
    }

    /// A key, a number, a switch, or a word that should have been in quotes.
    fn bare(&mut self) {
        let end = self.line_end();
        let text = self.text;
        let rest = &text[self.at..end];
        let is_key = matches!(self.mode, Mode::Key(_));
        let is_end = |c: char| c.is_ascii_whitespace() || "=,[]{}\"'#".contains(c) || (is_key && c == '.');
        let length = rest.find(is_end).unwrap_or(rest.len()).max(1);
        match self.mode {
            Mode::Key(outer) => {
                let word = self.at..self.at + length;
                let treatment = self.keys.treatment(&self.text[word.clone()]);
                let is_key = rest[length..].trim_start_matches([' ', '\t']).starts_with(['=', '.']);
                self.mode = Mode::Key(outer.below(treatment));
                self.at = word.end;
                if !is_key && !self.keys.0.contains_key(&self.text[word.clone()]) {
                    self.hide(word);
                }
            }
            Mode::Value(Treatment::Plain) => {
                let end = rest.find([',', ']', '}', '#']).unwrap_or(rest.len());
                if is_plain_word(rest[..end].trim_end()) {
                    self.at += length;
                } else {
                    self.hide_rest();
                }
            }
            Mode::Value(_) => {
                let word = self.at..self.at + length;
                self.at = word.end;
                self.hide(word);
            }
        }
    }

    fn line_end(&mut self) -> usize {
        if self.line_end <= self.at {
            self.line_end =
                self.text[self.at..].find('\n').map_or(self.text.len(), |length| self.at + length);
        }
        self.line_end
    }

    fn hide_rest(&mut self) {
        let end = self.line_end();
        self.hide(self.at..end);
        self.at = end;
    }

    fn hide_in(&mut self, content: Range<usize>, treatment: Treatment) {
        let text = &self.text[content.clone()];
        // An escaped character may be the `@` or the colon by which a secret is known.
        let is_escaped = ["\\u", "\\U", "\\x"].iter().any(|escape| text.contains(escape));
        let treatment = if is_escaped { Treatment::Nothing } else { treatment };
        for part in treatment.hidden_in(text) {
            self.hide(content.start + part.start..content.start + part.end);
        }
    }

    fn hide(&mut self, range: Range<usize>) {
        let text = &self.text[range.clone()];
        let start = range.start + (text.len() - text.trim_start().len());
        let end = start + text.trim().len();
        if start < end {
            self.hidden.push(start..end);
        }
    }
}

/// The bytes of a string's content, which begins behind its quote and ends with the line at the latest.
fn content_length(string: &str) -> usize {
    let quote = string.as_bytes()[0];
    let mut escaped = false;
    let content = &string.as_bytes()[1..];
    let end = content.iter().position(|byte| match *byte {
        b'\n' => true,
        _ if escaped => {
            escaped = false;
            false
        }
        b'\\' if quote == b'"' => {
            escaped = true;
            false
        }
        byte => byte == quote,
    });
    end.unwrap_or(content.len())
}

/// A word, a number or an address that was written without quotes, and looks like no secret.
fn is_plain_word(text: &str) -> bool {
    let is_word = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-+.".contains(&byte));
    let is_address = text.bytes().all(|byte| byte.is_ascii_digit() || b"_-+.:".contains(&byte));
    (is_word || is_address) && in_plain_text(text).is_empty()
}
