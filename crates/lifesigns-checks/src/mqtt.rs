//! MQTT brokers, version 3.1.1: logs in and sends `PINGREQ`; subscribes to a topic if there is one to be proved.
//!
//! Three questions and their answers take fewer lines than a client does, and leave nothing behind.
//!
//! ```
//! use lifesigns_checks::{Secret, Server, mqtt};
//!
//! let server = Server::at("mqtts://meter@broker.internal").password(Secret::new("…"));
//! let check = mqtt::check("telemetry", mqtt::Options::new(server))?;
//! # Ok::<(), lifesigns_checks::BadOption>(())
//! ```

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use lifesigns::{Check, Report};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::failure::Failure;
use crate::service::{self, Connection, Endpoint, Protocol, Server};
use crate::{BadOption, Secret};

const PROTOCOL: Protocol = Protocol {
    example: "mqtt://user@host:1883",
    plain: (&["mqtt"], 1883),
    encrypted: (&["mqtts"], 8883),
    tls_parameter: None,
};

/// Kinds of packets (MQTT 3.1.1, 2.2.1).
const CONNECT: u8 = 1;
const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const SUBSCRIBE: u8 = 8;
const SUBACK: u8 = 9;
const PINGREQ: u8 = 12;
const PINGRESP: u8 = 13;
const DISCONNECT: u8 = 14;

/// Far more than any answer to what is sent here, in bytes.
const LONGEST_ANSWER: usize = 16;

/// A text holds no more bytes (1.5.3).
const LONGEST_TEXT: usize = 65_535;

/// Longer than any run, in seconds: the broker need not wonder whether anybody is there.
const KEEP_ALIVE: u16 = 60;

/// Whom to ask, and for what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// `mqtt://user@host:1883`, or `mqtts` for TLS. The user may be left out; there is no path.
    pub server: Server,
    /// A topic filter to which one must be allowed to subscribe. Nothing is ever published.
    pub topic: Option<String>,
}

impl Options {
    /// Asks this broker, and for no topic.
    pub fn new(server: impl Into<Server>) -> Options {
        Options { server: server.into(), topic: None }
    }
}

/// A check of an MQTT broker.
pub fn check(name: &str, options: Options) -> Result<Check, BadOption> {
    let endpoint = Endpoint::new(options.server, &PROTOCOL)?;
    endpoint.no_path(&PROTOCOL)?;
    if endpoint.user.is_none() && endpoint.password.is_some() {
        return Err(BadOption::new("url", "names no user, and MQTT has no password without one"));
    }
    let texts = [("url", endpoint.user.as_deref()), ("password", Some(endpoint.secret()))];
    for (option, text) in texts.into_iter().chain([("topic", options.topic.as_deref())]) {
        if text.is_some_and(|text| text.len() > LONGEST_TEXT) {
            return Err(BadOption::new(option, format!("holds a text of more than {LONGEST_TEXT} bytes")));
        }
    }
    if options.topic.as_ref().is_some_and(|topic| !valid_filter(topic)) {
        let message = "is no topic filter; it looks like `plant/+/temperature` or `plant/#`";
        return Err(BadOption::new("topic", message));
    }
    let topic: Option<Arc<str>> = options.topic.map(Into::into);
    Ok(service::check(name, "component", endpoint, move |endpoint| run(endpoint, topic.clone())))
}

async fn run(endpoint: Arc<Endpoint>, topic: Option<Arc<str>>) -> Result<Report, Failure> {
    let mut session = Session { stream: endpoint.open().await? };
    session.send(CONNECT << 4, &login(&endpoint)).await?;
    accepted(session.receive(CONNACK).await?.get(1).copied())?;
    session.send(PINGREQ << 4, &[]).await?;
    session.receive(PINGRESP).await?;
    // Last: from here on, messages may come that are for others.
    if let Some(topic) = topic {
        // The number of the packet, the topic filter, and quality of service 0.
        let mut subscription = vec![0, 1];
        put(&mut subscription, &topic);
        subscription.push(0);
        session.send(SUBSCRIBE << 4 | 0b10, &subscription).await?;
        let answer = session.receive(SUBACK).await?;
        if answer.get(2).is_none_or(|code| *code > 2) {
            return Err(Failure::denied(format!("it refuses a subscription to `{topic}`")));
        }
    }
    session.send(DISCONNECT << 4, &[]).await?;
    session.stream.shutdown().await.map_err(|error| Failure::of_io(&error))?;
    Ok(Report::pass())
}

/// Who asks (3.1), in a session that ends with the connection.
fn login(endpoint: &Endpoint) -> Vec<u8> {
    const CLEAN_SESSION: u8 = 0b10;
    let with = |text: Option<_>, flag: u8| if text.is_some() { flag } else { 0 };
    let password = endpoint.password.as_ref().map(Secret::reveal);
    let flags = CLEAN_SESSION | with(endpoint.user.as_deref(), 0x80) | with(password, 0x40);
    let mut bytes = b"\0\x04MQTT\x04".to_vec();
    bytes.push(flags);
    bytes.extend_from_slice(&KEEP_ALIVE.to_be_bytes());
    // A broker that sees the same name twice closes the older connection.
    put(&mut bytes, &format!("lifesigns{:014x}", RandomState::new().build_hasher().finish() >> 8));
    for text in [endpoint.user.as_deref(), password].into_iter().flatten() {
        put(&mut bytes, text);
    }
    bytes
}

/// What a broker says to a login (3.2.2.3).
fn accepted(code: Option<u8>) -> Result<(), Failure> {
    match code {
        Some(0) => Ok(()),
        Some(1) => Err(Failure::unexpected("it does not speak MQTT 3.1.1")),
        Some(2) => Err(Failure::unexpected("it refuses the client's name")),
        Some(3) => Err(Failure::failed("it says that it is not available")),
        Some(4) => Err(Failure::denied("it refuses the user or the password")),
        Some(5) => Err(Failure::denied("it does not let this user in")),
        _ => Err(is_no_mqtt()),
    }
}

/// Whether one can subscribe to this (4.7): `#` is the whole last level, `+` a whole one.
fn valid_filter(filter: &str) -> bool {
    let (before, last) = filter.rsplit_once('/').map_or(("", filter), |(before, last)| (before, last));
    let is_level = |level: &str| level == "+" || !level.contains(['+', '#', '\0']);
    !filter.is_empty() && before.split('/').all(is_level) && (last == "#" || is_level(last))
}

fn is_no_mqtt() -> Failure {
    Failure::unexpected("it does not speak MQTT")
}

/// Adds a text with its length before it.
fn put(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u16).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// Packets over a connection.
struct Session {
    stream: Box<dyn Connection>,
}

impl Session {
    async fn send(&mut self, first: u8, content: &[u8]) -> Result<(), Failure> {
        let mut bytes = vec![first];
        let mut length = content.len();
        while length >= 0x80 {
            bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend_from_slice(content);
        self.stream.write_all(&bytes).await.map_err(|error| Failure::of_io(&error))?;
        self.stream.flush().await.map_err(|error| Failure::of_io(&error))
    }

    /// What the next packet holds, which must be of this kind.
    async fn receive(&mut self, kind: u8) -> Result<Vec<u8>, Failure> {
        loop {
            let found = self.read_byte().await? >> 4;
            // Retained messages may come before the answer to a subscription, and be of any length.
            let is_message = found == PUBLISH && kind == SUBACK;
            if found != kind && !is_message {
                return Err(Failure::unexpected(format!("it sent a packet of kind {found} out of turn")));
            }
            let length = self.read_length().await?;
            if !is_message && length > LONGEST_ANSWER {
                return Err(is_no_mqtt());
            }
            let mut packet = (&mut self.stream).take(length as u64);
            let mut content = Vec::new();
            let read = if is_message {
                tokio::io::copy(&mut packet, &mut tokio::io::sink()).await
            } else {
                packet.read_to_end(&mut content).await.map(|read| read as u64)
            };
            if read.map_err(|error| Failure::of_io(&error))? < length as u64 {
                return Err(Failure::closed());
            }
            if !is_message {
                return Ok(content);
            }
        }
    }

    /// How long the rest of a packet is (2.2.3).
    async fn read_length(&mut self) -> Result<usize, Failure> {
        let mut length = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.read_byte().await?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(length);
            }
        }
        Err(is_no_mqtt())
    }

    async fn read_byte(&mut self) -> Result<u8, Failure> {
        self.stream.read_u8().await.map_err(|error| Failure::of_io(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_those_of_the_standard() {
        let check = |filter: &str, expected| assert_eq!(valid_filter(filter), expected, "{filter:?}");
        for filter in
            ["#", "+", "/", "a", "a/b", "a/#", "+/tennis/#", "sport/+/player1", "/finance", "$SYS/#", "a//b"]
        {
            check(filter, true);
        }
        for filter in ["", "a#", "a/b#", "#/a", "a/#/b", "a+", "a/+b", "a/b\0"] {
            check(filter, false);
        }
    }
}
