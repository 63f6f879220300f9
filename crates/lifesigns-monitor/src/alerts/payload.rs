//! A message as fields, for programs: what a webhook is sent, what a command reads, and what templates may use.
//!
//! Texts of services are made visible and bounded as they are for people; JSON needs nothing more.

use std::fmt::Write;

use serde::Serialize;

use super::message::{Affected, MessageKind};
use super::outbox::Delivery;
use super::text::{self, LONGEST_CAUSE, LONGEST_EXCERPT, LONGEST_LINK, LONGEST_NAME, visible, visible_lines};
use crate::service::Letter;

/// More services than this are counted only: a receiver takes no more.
const MOST_SERVICES: usize = 5_000;

/// Answers of more services than this are left out: they are most of what there is to send.
const MOST_EXCERPTS: usize = 100;

/// The fields. Times are RFC 3339 in UTC, lengths of time are in seconds; every field is always there.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Payload {
    /// The same whenever this message is tried again.
    id: String,
    /// The same for all messages about it.
    incident: String,
    route: String,
    kind: MessageKind,
    /// `green`, `amber`, `red`: how bad it has got.
    light: &'static str,
    /// The same: how it is now.
    now: &'static str,
    title: String,
    text: String,
    began: String,
    at: String,
    lasted_seconds: i64,
    /// Of services; `services` may hold fewer.
    count: usize,
    services: Vec<Service>,
    shared: Vec<String>,
    endangered: Vec<String>,
    link: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Service {
    name: String,
    environment: Option<String>,
    light: &'static str,
    now: &'static str,
    began: String,
    ended: Option<String>,
    cause: String,
    failing: Option<String>,
    excerpt: Option<String>,
    deploy: Option<Deploy>,
}

#[derive(Clone, Debug, Serialize)]
struct Deploy {
    at: String,
    from: String,
    to: String,
}

impl Payload {
    pub(crate) fn of(delivery: &Delivery) -> Payload {
        let message = &delivery.message;
        let names = |names: &[String], longest| -> Vec<String> {
            names.iter().take(MOST_SERVICES).map(|name| visible(name, longest)).collect()
        };
        Payload {
            id: key(&delivery.id),
            incident: key(&message.incident),
            route: visible(&delivery.route, LONGEST_NAME),
            kind: message.kind,
            light: light(message.light),
            now: match message.kind {
                MessageKind::Resolved => light(Letter::G),
                _ => light(message.now.unwrap_or(message.light)),
            },
            title: text::title(message),
            text: text::body(message),
            began: time(message.began),
            at: time(message.at),
            lasted_seconds: message.lasted() / 1_000,
            count: message.services.len(),
            services: (0..MOST_SERVICES)
                .zip(&message.services)
                .map(|(place, one)| Service::of(place, one))
                .collect(),
            shared: names(&message.shared, LONGEST_CAUSE),
            endangered: names(&message.endangered, LONGEST_NAME),
            link: message.link.as_ref().map(|link| visible(link, LONGEST_LINK)),
        }
    }

    /// As JSON. It has no maps with keys other than text, and can therefore not fail.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn incident(&self) -> &str {
        &self.incident
    }

    pub(crate) fn route(&self) -> &str {
        &self.route
    }

    pub(crate) fn light(&self) -> &'static str {
        self.light
    }

    /// How it is now.
    pub(crate) const fn now(&self) -> &'static str {
        self.now
    }

    pub(crate) fn began(&self) -> &str {
        &self.began
    }

    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// The service that it began with.
    pub(crate) fn first(&self) -> Option<&Service> {
        self.services.first()
    }

    pub(crate) fn link(&self) -> Option<&str> {
        self.link.as_deref()
    }
}

impl Service {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn environment(&self) -> Option<&str> {
        self.environment.as_deref()
    }

    pub(crate) fn failing(&self) -> Option<&str> {
        self.failing.as_deref()
    }

    fn of(place: usize, one: &Affected) -> Service {
        let line = |text: &String| visible(text, LONGEST_NAME);
        Service {
            name: line(&one.name),
            environment: one.environment.as_ref().map(line),
            light: light(one.light),
            now: light(one.current()),
            began: time(one.began),
            ended: one.ended.map(time),
            cause: visible(&one.cause, LONGEST_CAUSE),
            failing: one.failing.as_ref().map(line),
            excerpt: one
                .excerpt
                .as_ref()
                .filter(|_| place < MOST_EXCERPTS)
                .map(|excerpt| visible_lines(excerpt, LONGEST_EXCERPT)),
            deploy: one.deploy.as_ref().map(|deploy| Deploy {
                at: time(deploy.at),
                from: line(&deploy.from),
                to: line(&deploy.to),
            }),
        }
    }
}

const fn light(letter: Letter) -> &'static str {
    match letter {
        Letter::G => "green",
        Letter::A => "amber",
        Letter::R => "red",
    }
}

fn time(at: i64) -> String {
    // Ten thousand years away no calendar has it.
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| format!("{at} ms"), |time| format!("{time:.3}"))
}

/// An id as it can stand in a header, in an address or in the name of a file: names of services are in it.
pub(crate) fn key(id: &str) -> String {
    let mut key = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/') {
            key.push(char::from(byte));
        } else {
            let _ = write!(key, "={byte:02X}");
        }
    }
    if key.len() <= LONGEST_KEY {
        return key;
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, id.as_bytes());
    key.truncate(LONGEST_KEY - 65);
    format!("{key}-{}", hexadecimal(digest.as_ref()))
}

/// In bytes. PagerDuty takes keys of 255, lines of mail are 998 long.
const LONGEST_KEY: usize = 200;

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_can_stand_anywhere_and_is_another_for_another_id() {
        let check = |id: &str, expected: &str| assert_eq!(key(id), expected);
        check("1773684000000-orders/ops/0", "1773684000000-orders/ops/0");
        check("1-a b.\r\nü", "1-a=20b=2E=0D=0A=C3=BC");
        let long = |end: &str| key(&format!("{}{end}", "ü".repeat(500)));
        assert_eq!(long("a").len(), LONGEST_KEY);
        assert_ne!(long("a"), long("b"));
        assert_ne!(key("a=20b"), key("a b"));
    }
}
