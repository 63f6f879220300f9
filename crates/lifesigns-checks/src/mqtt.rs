//! MQTT brokers, version 3.1.1: logs in and sends `PINGREQ`; subscribes to a topic if there is one to be proved.
//!
//! The packets are those of rumqttc; its event loop is not used, since it has a task that outlives a run.
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

use bytes::BytesMut;
use lifesigns::{Check, Report};
use lifesigns_fetch::Failure;
use rumqttc::mqttbytes::v4::{Connect, ConnectReturnCode, Login, Packet, Subscribe, SubscribeReasonCode};
use rumqttc::mqttbytes::{self, QoS, valid_filter};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::BadOption;
use crate::service::{self, Connection, Endpoint, Protocol, Server};

const PROTOCOL: Protocol = Protocol {
    example: "mqtt://user@host:1883",
    plain: (&["mqtt"], 1883),
    encrypted: (&["mqtts"], 8883),
    tls_parameter: None,
};

/// A packet holds no more bytes: far more than any answer to what is sent here, but messages may come between them.
const LONGEST_PACKET: usize = 1 << 20;

/// A text holds no more bytes (1.5.3).
const LONGEST_TEXT: usize = 65_535;

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
    let mut session = Session { stream: endpoint.open().await?, received: BytesMut::new() };
    // A broker that sees the same name twice closes the older connection.
    let mut login =
        Connect::new(format!("lifesigns{:014x}", RandomState::new().build_hasher().finish() >> 8));
    if let Some(user) = &endpoint.user {
        login.login = Some(Login { username: user.clone(), password: endpoint.secret().to_owned() });
    }
    match session.ask(Packet::Connect(login)).await? {
        Packet::ConnAck(answer) => accepted(answer.code)?,
        other => return Err(out_of_turn(&other)),
    }
    match session.ask(Packet::PingReq).await? {
        Packet::PingResp => {}
        other => return Err(out_of_turn(&other)),
    }
    // Last: from here on, messages may come that are for others.
    if let Some(topic) = topic {
        let mut subscribe = Subscribe::new(&*topic, QoS::AtMostOnce);
        subscribe.pkid = 1;
        let mut answer = session.ask(Packet::Subscribe(subscribe)).await?;
        while matches!(answer, Packet::Publish(_)) {
            answer = session.receive().await?;
        }
        match answer {
            Packet::SubAck(answer) if answer.return_codes.contains(&SubscribeReasonCode::Failure) => {
                return Err(Failure::denied(format!("it refuses a subscription to `{topic}`")));
            }
            Packet::SubAck(_) => {}
            other => return Err(out_of_turn(&other)),
        }
    }
    session.send(&Packet::Disconnect).await?;
    session.stream.shutdown().await.map_err(|error| Failure::of_io(&error))?;
    Ok(Report::pass())
}

fn accepted(code: ConnectReturnCode) -> Result<(), Failure> {
    match code {
        ConnectReturnCode::Success => Ok(()),
        ConnectReturnCode::BadUserNamePassword => Err(Failure::denied("it refuses the user or the password")),
        ConnectReturnCode::NotAuthorized => Err(Failure::denied("it does not let this user in")),
        ConnectReturnCode::ServiceUnavailable => Err(Failure::failed("it says that it is not available")),
        ConnectReturnCode::RefusedProtocolVersion => Err(Failure::unexpected("it does not speak MQTT 3.1.1")),
        ConnectReturnCode::BadClientId => Err(Failure::unexpected("it refuses the client's name")),
    }
}

fn out_of_turn(packet: &Packet) -> Failure {
    let name = format!("{packet:?}");
    let name = name.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default();
    Failure::unexpected(format!("it sent {name} out of turn"))
}

/// Packets over a connection.
struct Session {
    stream: Box<dyn Connection>,
    received: BytesMut,
}

impl Session {
    async fn ask(&mut self, packet: Packet) -> Result<Packet, Failure> {
        self.send(&packet).await?;
        self.receive().await
    }

    async fn send(&mut self, packet: &Packet) -> Result<(), Failure> {
        let mut bytes = BytesMut::new();
        packet
            .write(&mut bytes, usize::MAX)
            .map_err(|error| Failure::failed(format!("cannot be asked: {error}")))?;
        self.stream.write_all(&bytes).await.map_err(|error| Failure::of_io(&error))?;
        self.stream.flush().await.map_err(|error| Failure::of_io(&error))
    }

    async fn receive(&mut self) -> Result<Packet, Failure> {
        loop {
            match Packet::read(&mut self.received, LONGEST_PACKET) {
                Ok(packet) => return Ok(packet),
                Err(mqttbytes::Error::InsufficientBytes(_)) => {}
                Err(error) => return Err(Failure::unexpected(format!("it does not speak MQTT: {error}"))),
            }
            let read = self.stream.read_buf(&mut self.received).await;
            if read.map_err(|error| Failure::of_io(&error))? == 0 {
                return Err(Failure::closed());
            }
        }
    }
}
