//! A message for Slack, or for what takes the same from an incoming webhook.

use std::path::PathBuf;
use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use lifesigns::BadOption;
use serde_json::{Value, json};

use super::answer::Address;
use super::webhook::{KEY, deadline, visible_value};
use super::{DEADLINE, Undelivered};
use crate::alerts::outbox::Delivery;
use crate::alerts::payload::Payload;
use lifesigns::Secret;

/// The longest text of one attachment, in bytes; a longer one is cut off by some.
const LONGEST_TEXT: usize = 3_000;
/// What is more is left out: Slack takes no more.
const MOST_ATTACHMENTS: usize = 20;

/// Which webhook.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SlackOptions {
    /// The address of the incoming webhook. Who knows it can post to it, so it is never printed.
    pub url: Secret,
    /// A file of certificate authorities in PEM, which are trusted besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// How long an attempt may take. Default 10 s.
    pub deadline: Duration,
}

impl SlackOptions {
    /// That address.
    pub fn new(url: impl Into<String>) -> SlackOptions {
        SlackOptions { url: Secret::new(url), ca_file: None, deadline: DEADLINE }
    }
}

/// An incoming webhook of Slack.
#[derive(Clone, Debug)]
pub struct Slack {
    address: Address,
    deadline: Duration,
}

impl Slack {
    /// Checks the options.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn new(options: &SlackOptions) -> Result<Slack, BadOption> {
        Ok(Slack {
            address: Address::new(&options.url, options.ca_file.clone(), &[])?,
            deadline: deadline(options.deadline)?,
        })
    }

    pub(super) async fn send(&self, delivery: &Delivery) -> Result<(), Undelivered> {
        let payload = Payload::of(delivery);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(KEY, visible_value(payload.id()));
        self.address.post(headers, written(&payload).to_string()).await
    }

    pub(super) const fn deadline(&self) -> Duration {
        self.deadline
    }

    pub(super) fn receiver(&self) -> &str {
        self.address.origin()
    }
}

fn written(payload: &Payload) -> Value {
    let color = match payload.now() {
        "green" => "#2e9e5b",
        "amber" => "#e0a100",
        _ => "#d1242f",
    };
    let title = harmless(payload.title());
    let mut attachments: Vec<Value> = pieces(payload.text())
        .into_iter()
        .map(|text| json!({"color": color, "text": format!("```\n{text}```"), "mrkdwn_in": ["text"]}))
        .collect();
    if let Some(first) = attachments.first_mut() {
        first["fallback"] = title.clone().into();
        if let Some(link) = payload.link() {
            first["title"] = "Incident".into();
            first["title_link"] = link.into();
        }
    }
    json!({"text": title, "attachments": attachments})
}

/// The text in pieces that are not cut off, between lines where that can be; escaped, and with nothing that ends the
/// block in which it stands.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for line in text.replace("```", "'''").split_inclusive('\n') {
        let escaped: Vec<String> = line.chars().map(|character| escape(character).into()).collect();
        let length: usize = escaped.iter().map(String::len).sum();
        if length <= LONGEST_TEXT && pieces.last().is_some_and(|piece| piece.len() + length > LONGEST_TEXT) {
            pieces.push(String::new());
        }
        for character in escaped {
            if pieces.last().is_some_and(|piece| piece.len() + character.len() > LONGEST_TEXT) {
                pieces.push(String::new());
            }
            if let Some(piece) = pieces.last_mut() {
                piece.push_str(&character);
            }
        }
    }
    if pieces.len() > MOST_ATTACHMENTS {
        pieces.truncate(MOST_ATTACHMENTS);
        if let Some(last) = pieces.last_mut() {
            last.push_str("…\n");
        }
    }
    pieces
}

/// Text outside of a block: it calls nobody. What reads `@all` in it is kept from that by a space without width.
fn harmless(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '@' => "@\u{200b}".to_owned(),
            other => escape(other).into(),
        })
        .collect()
}

/// The three characters that mean something there.
fn escape(character: char) -> Box<str> {
    match character {
        '&' => "&amp;".into(),
        '<' => "&lt;".into(),
        '>' => "&gt;".into(),
        other => other.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_calls_nobody_and_leads_nowhere() {
        assert_eq!(harmless("<!channel> @all a&b"), "&lt;!channel&gt; @\u{200b}all a&amp;b");
        assert_eq!(pieces("<@U1>\n```\n@here"), ["&lt;@U1&gt;\n'''\n@here"]);
    }

    #[test]
    fn a_long_text_is_in_pieces_between_lines() {
        let lines: String = (0..500).map(|number| format!("line {number}\n")).collect();
        let parts = pieces(&lines);
        assert_eq!(parts.concat(), lines);
        assert!(
            parts.len() > 1 && parts.iter().all(|part| part.len() <= LONGEST_TEXT && part.ends_with('\n'))
        );
        let parts = pieces(&"<".repeat(2_000));
        assert!(parts.iter().all(|part| part.len() <= LONGEST_TEXT && part.ends_with("&lt;")));
        assert_eq!(parts.concat().len(), 8_000);
        let parts = pieces(&"a\n".repeat(100_000));
        assert_eq!(parts.len(), MOST_ATTACHMENTS);
        assert!(parts.concat().ends_with("a\n…\n"));
    }
}
