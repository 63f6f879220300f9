//! What of a configuration is shown to whoever reads its faults: values can be secrets, and faults end in logs and
//! tickets.
//!
//! The value of a key that is not known is never shown: it may be `password`. Of the others it depends on the key, and
//! on what the value looks like.

mod layout;

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use super::tree::{At, Table, Value};

use self::layout::Keys;
pub use self::layout::hidden;

/// What stands for what is not shown.
pub const MASK: &str = "***";

/// How much of a key's value may be shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Treatment {
    /// What does not look like a secret.
    Plain,
    /// Nothing.
    Nothing,
    /// The name of a header, before its colon.
    Header,
    /// The name of an environment variable, before an equals sign.
    Variable,
    /// The same, in a list; what has no equals sign is the name of a variable.
    ListedVariable,
    /// The name of an environment variable that holds a secret. What is not in capitals may be the secret itself.
    NameOfVariable,
    /// The name of a file that holds a secret. What has no slash may be the secret itself.
    NameOfFile,
}

impl Treatment {
    /// The treatment of a known key.
    fn of_known(key: &str) -> Treatment {
        match key {
            "hash" | "secret_hash" | "arguments" => Treatment::Nothing,
            "headers" => Treatment::Header,
            "environment" => Treatment::Variable,
            "password_file" | "bearer_token_file" | "hash_file" | "secret_hash_file"
            | "signing_keys_file" | "headers_file" | "url_file" | "token_file" | "secret_file"
            | "routing_key_file" | "authorization_file" => Treatment::NameOfFile,
            _ if key.ends_with("_env") => Treatment::NameOfVariable,
            _ => Treatment::Plain,
        }
    }

    /// The treatment of a key below a key with this one.
    fn below(self, inner: Treatment) -> Treatment {
        if self == Treatment::Plain { inner } else { Treatment::Nothing }
    }

    /// The treatment of what stands in a list.
    fn listed(self) -> Treatment {
        if self == Treatment::Variable { Treatment::ListedVariable } else { self }
    }

    /// The parts of a value that are not shown, in order.
    fn hidden_in(self, value: &str) -> Vec<Range<usize>> {
        let whole: Vec<_> = std::iter::once(0..value.len()).collect();
        let after = |separator| value.find(separator).map(|at| at + 1..value.len());
        let is_word = |text: &str, more: &str| {
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.as_bytes().contains(&byte))
        };
        let is_variable =
            |text: &str| is_word(text, "_") && !text.bytes().any(|byte| byte.is_ascii_lowercase());
        let hidden = match self {
            Treatment::Nothing => return whole,
            Treatment::Header => match after(':') {
                Some(rest) if is_word(&value[..rest.start - 1], "-_") => rest,
                _ => return whole,
            },
            // The same key is a list of variables for a command, and one word elsewhere.
            Treatment::Variable | Treatment::ListedVariable => match after('=') {
                Some(rest) if is_word(&value[..rest.start - 1], "_") => rest,
                Some(_) => return whole,
                None if self == Treatment::ListedVariable && !is_variable(value) => return whole,
                None => return in_plain_text(value),
            },
            Treatment::NameOfVariable if !is_variable(value) => return whole,
            Treatment::NameOfFile if !value.contains('/') => return whole,
            Treatment::NameOfVariable | Treatment::NameOfFile | Treatment::Plain => {
                return in_plain_text(value);
            }
        };
        Vec::from([hidden])
    }
}

/// What looks like a secret in a text that need not be one.
fn in_plain_text(text: &str) -> Vec<Range<usize>> {
    let mut hidden: Vec<Range<usize>> = Vec::new();
    hidden.extend(credentials(text));
    hidden.extend(parameters(text));
    hidden.extend(hook(text));
    hidden.extend(after_telling_word(text));
    hidden.sort_unstable_by_key(|range| range.start);
    let mut apart: Vec<Range<usize>> = Vec::with_capacity(hidden.len());
    for range in hidden.into_iter().filter(|range| !range.is_empty()) {
        match apart.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => apart.push(range),
        }
    }
    apart
}

/// User and password of a URL. A password that was not percent-encoded may hold anything, also `@`, `/` and `#`.
fn credentials(text: &str) -> Option<Range<usize>> {
    let scheme = text.find("://");
    let authority = scheme.map_or(0, |at| at + 3);
    if let Some(at) = text.rfind('@') {
        let is_before = scheme.is_some_and(|scheme| text[..scheme].contains('@'));
        return match scheme {
            Some(_) if authority <= at && !is_before => Some(authority..at),
            _ => text[..at].contains(':').then_some(0..at),
        };
    }
    // Without a host behind it, a password stands where the port should.
    scheme?;
    let rest = &text[authority..];
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host_end = rest[..end].rfind(']').unwrap_or(0);
    let colon = host_end + rest[host_end..end].find(':')?;
    let is_port = colon > 0 && rest[colon + 1..end].bytes().all(|byte| byte.is_ascii_digit());
    (!is_port).then_some(authority + colon + 1..text.len())
}

/// The values of a URL's query, or all of it if it has none.
fn parameters(text: &str) -> Option<Range<usize>> {
    let authority = text.find("://")?;
    let query = authority + text[authority..].find('?')? + 1;
    Some(text[query..].find('=').map_or(query, |at| query + at + 1)..text.len())
}

/// The path of an incoming webhook: whoever knows it can post there.
fn hook(text: &str) -> Option<Range<usize>> {
    let host = text.find("://")? + 3;
    let path = host + text[host..].find('/')? + 1;
    let (host, path_text) = (&text[host..path], &text[path..]);
    let is_hook = ["hook", "services/"].iter().any(|word| path_text.contains(word)) || host.contains("hook");
    is_hook.then_some(path..text.len())
}

/// Words that tell what follows: behind a colon, an equals sign or, for the first two, a space.
const TELLING_WORDS: [&str; 12] = [
    "bearer",
    "basic",
    "authorization",
    "cookie",
    "password",
    "passwd",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api-key",
    "api_key",
];

fn after_telling_word(text: &str) -> Option<Range<usize>> {
    let lower = text.to_ascii_lowercase();
    let mut starts = Vec::new();
    for (index, word) in TELLING_WORDS.into_iter().enumerate() {
        let separators: &[char] = if index < 2 { &[':', '=', ' '] } else { &[':', '='] };
        for (at, _) in lower.match_indices(word) {
            let rest = &lower[at + word.len()..];
            let name =
                rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '"' | '\\'));
            let separator = name.filter(|end| rest[*end..].starts_with(separators));
            starts.extend(separator.map(|end| at + word.len() + end + 1));
        }
    }
    // A token of our own, wherever it was put.
    let own = lower.match_indices("ls_").map(|(at, _)| at).find(|at| {
        let is_in_word = lower[..*at].ends_with(|c: char| c.is_ascii_alphanumeric());
        let rest = lower[at + 3..].bytes().take_while(u8::is_ascii_alphanumeric).count();
        !is_in_word && rest >= 12
    });
    starts.extend(own);
    starts.into_iter().min().map(|start| start..text.len())
}

fn masked(text: &str, hidden: &[Range<usize>]) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut done = 0;
    for range in hidden.iter().filter(|range| !range.is_empty()) {
        shown.push_str(&text[done..range.start]);
        shown.push_str(MASK);
        done = range.end;
    }
    shown.push_str(&text[done..]);
    shown
}

/// Values of a configuration that messages may repeat and must not show whole.
#[derive(Debug, Default)]
pub struct Secrets {
    /// Each with what is shown instead.
    shown: HashMap<String, String>,
    /// How many bytes they have: messages are looked through once for each length, however many secrets there are.
    lengths: BTreeSet<usize>,
}

impl Secrets {
    /// The secrets in a configuration, wherever it comes from.
    pub fn of(root: &Table) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add_table(root, Treatment::Plain, &Keys::new());
        secrets
    }

    /// A message without what it repeats of them.
    pub fn mask(&self, message: String) -> String {
        let mut hidden: Vec<(Range<usize>, &str)> = Vec::new();
        for length in self.lengths.range(..=message.len()).rev() {
            for start in 0..=message.len() - length {
                let range = start..start + length;
                let Some(shown) = message.get(range.clone()).and_then(|part| self.shown.get(part)) else {
                    continue;
                };
                let part = &message[range.clone()];
                let is_in_word = message[..start].ends_with(char::is_alphanumeric)
                    && part.starts_with(char::is_alphanumeric)
                    || message[range.end..].starts_with(char::is_alphanumeric)
                        && part.ends_with(char::is_alphanumeric);
                let is_free =
                    hidden.iter().all(|(other, _)| other.end <= range.start || range.end <= other.start);
                if !is_in_word && is_free {
                    hidden.push((range, shown));
                }
            }
        }
        if hidden.is_empty() {
            return message;
        }
        hidden.sort_unstable_by_key(|(range, _)| range.start);
        let mut text = String::with_capacity(message.len());
        let mut done = 0;
        for (range, shown) in hidden {
            text.push_str(&message[done..range.start]);
            text.push_str(shown);
            done = range.end;
        }
        text.push_str(&message[done..]);
        text
    }

    fn add_table(&mut self, table: &Table, outer: Treatment, keys: &Keys) {
        for (key, value) in &table.entries {
            self.add_text(&key.value, Treatment::Plain);
            self.add_value(value, outer.below(keys.treatment(&key.value)), keys);
        }
    }

    fn add_value(&mut self, value: &At<Value>, treatment: Treatment, keys: &Keys) {
        match &value.value {
            Value::Text(text) => self.add_text(text, treatment),
            Value::List(list) => {
                list.iter().for_each(|value| self.add_value(value, treatment.listed(), keys));
            }
            Value::Table(table) => self.add_table(table, treatment, keys),
            _ => {}
        }
    }

    fn add_text(&mut self, text: &str, treatment: Treatment) {
        let hidden = treatment.hidden_in(text);
        // What is never shown is never repeated either, and may be a word that every message has.
        if hidden.is_empty() || treatment == Treatment::Nothing {
            return;
        }
        self.add(text, &masked(text, &hidden));
        if let Some(range) = credentials(text) {
            let with_at = if text[range.end..].starts_with('@') { range.end + 1 } else { range.end };
            self.add(&text[range.start..with_at], &format!("{MASK}{}", &text[range.end..with_at]));
        }
        // Messages repeat URLs without their scheme or their last slash, and headers without their value.
        let rest = text.find("://").map_or(text, |at| &text[at + 3..]);
        for part in [rest, rest.trim_end_matches('/'), text.trim_end_matches('/')] {
            self.add(part, &masked(part, &treatment.hidden_in(part)));
            if part.len() < text.len() {
                self.add(part, MASK);
            }
        }
        if treatment == Treatment::Header
            && let Some((name, _)) = text.split_once(':')
            && hidden[0].start == 0
        {
            self.add(name.trim(), MASK);
        }
    }

    fn add(&mut self, text: &str, shown: &str) {
        if text.is_empty() || text == shown {
            return;
        }
        let escaped: String = text.escape_debug().collect();
        for text in [text.to_owned(), escaped] {
            self.lengths.insert(text.len());
            self.shown.entry(text).or_insert_with(|| shown.to_owned());
        }
    }
}
