//! RabbitMQ and other brokers that speak AMQP 0-9-1: logs in and opens a channel; looks for a queue if there is one to
//! be proved.
//!
//! ```
//! use lifesigns_checks::{Secret, Server, amqp};
//!
//! let server = Server::at("amqp://polls@broker.internal").password(Secret::new("…"));
//! let options = amqp::Options { queue: Some("votes".to_owned()), ..amqp::Options::new(server) };
//! let check = amqp::check("broker", options)?;
//! # Ok::<(), lifesigns_checks::BadOption>(())
//! ```

use std::sync::Arc;

use amq_protocol::frame::{AMQPFrame, ProtocolVersion, WriteContext, gen_frame};
use amq_protocol::protocol::constants::{FRAME_END, FRAME_HEARTBEAT, FRAME_METHOD};
use amq_protocol::protocol::{AMQPClass, channel, connection, parse_class, queue};
use amq_protocol::types::{AMQPValue, FieldTable, ShortString};
use lifesigns::{Check, Report};
use lifesigns_fetch::Failure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::BadOption;
use crate::service::{self, Connection, Endpoint, Protocol, Server};

const PROTOCOL: Protocol = Protocol {
    example: "amqp://user@host:5672/vhost",
    plain: (&["amqp"], 5672),
    encrypted: (&["amqps"], 5671),
    tls_parameter: None,
};

/// The least that every broker offers for a frame (AMQP 0-9-1, 4.2.3), and far more than is sent here.
const FRAME_MAX: u32 = 4096;

/// The greeting, before sizes are agreed on, may be longer; this is more than any.
const LONGEST_FRAME: u32 = 1 << 17;

/// The greeting, by the numbers of its class and method.
const START: (u16, u16) = (10, 10);

/// What may be answered besides. None of these holds a table: tables stand in tables as deep as a server likes, and
/// reading them would use up the stack.
const ANSWERS: [(u16, u16); 7] = [
    (10, 30), // connection.tune
    (10, 41), // connection.open-ok
    (10, 50), // connection.close
    (10, 51), // connection.close-ok
    (20, 11), // channel.open-ok
    (20, 40), // channel.close
    (50, 11), // queue.declare-ok
];

/// Reply codes of AMQP 0-9-1: access-refused, and not-allowed, which stands for a virtual host.
const DENIED: [u16; 2] = [403, 530];

/// A short string holds no more bytes (AMQP 0-9-1, 4.2.5.3).
const SHORT: usize = 255;

/// Whom to ask, and for what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// `amqp://user@host:5672/vhost`, or `amqps` for TLS. Without a path the virtual host is `/`; without a user it is
    /// `guest` with the password `guest`, as everywhere with AMQP.
    pub server: Server,
    /// A queue that must be there and be ours to see. It is never declared; its length is reported.
    pub queue: Option<String>,
}

impl Options {
    /// Asks this broker, and for no queue.
    pub fn new(server: impl Into<Server>) -> Options {
        Options { server: server.into(), queue: None }
    }
}

/// A check of an AMQP broker.
pub fn check(name: &str, options: Options) -> Result<Check, BadOption> {
    let mut endpoint = Endpoint::new(options.server, &PROTOCOL)?;
    match (&endpoint.user, &endpoint.password) {
        (None, None) => {
            endpoint.user = Some("guest".to_owned());
            endpoint.password = Some(crate::Secret::new("guest"));
        }
        (None, Some(_)) => return Err(BadOption::new("url", "names no user to whom the password belongs")),
        (Some(_), None) => return Err(BadOption::new("password", "is missing: the URL names a user")),
        (Some(_), Some(_)) => {}
    }
    if endpoint.path.is_empty() {
        "/".clone_into(&mut endpoint.path);
    }
    if endpoint.path.len() > SHORT {
        return Err(BadOption::new("url", "has a path that is too long for a virtual host"));
    }
    if options.queue.as_ref().is_some_and(|queue| queue.is_empty() || queue.len() > SHORT) {
        return Err(BadOption::new("queue", format!("is empty or longer than {SHORT} bytes")));
    }
    let queue: Option<Arc<str>> = options.queue.map(Into::into);
    Ok(service::check(name, "component", endpoint, move |endpoint| run(endpoint, queue.clone())))
}

async fn run(endpoint: Arc<Endpoint>, queue: Option<Arc<str>>) -> Result<Report, Failure> {
    let mut session = Session { stream: endpoint.open().await? };
    session.log_in(&endpoint).await?;
    match session.ask(1, AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {}))).await? {
        AMQPClass::Channel(channel::AMQPMethod::OpenOk(_)) => {}
        other => return Err(out_of_turn(&other)),
    }
    let mut report = Report::pass();
    if let Some(queue) = queue {
        let declare = queue::Declare {
            queue: short(&queue),
            passive: true,
            durable: false,
            exclusive: false,
            auto_delete: false,
            nowait: false,
            arguments: FieldTable::default(),
        };
        match session.ask(1, AMQPClass::Queue(queue::AMQPMethod::Declare(declare))).await? {
            AMQPClass::Queue(queue::AMQPMethod::DeclareOk(answer)) => {
                report = report.observed("queueLength", f64::from(answer.message_count), "messages");
            }
            other => return Err(out_of_turn(&other)),
        }
    }
    let goodbye = connection::Close { reply_code: 200, reply_text: short("OK"), class_id: 0, method_id: 0 };
    match session.ask(0, AMQPClass::Connection(connection::AMQPMethod::Close(goodbye))).await? {
        AMQPClass::Connection(connection::AMQPMethod::CloseOk(_)) => Ok(report),
        other => Err(out_of_turn(&other)),
    }
}

/// Frames over a connection.
struct Session {
    stream: Box<dyn Connection>,
}

/// A method as it came.
struct Method {
    /// Numbers of its class and of itself.
    ids: (u16, u16),
    /// All of it, with these numbers.
    bytes: Vec<u8>,
}

impl Session {
    /// From the first byte to the virtual host (AMQP 0-9-1, 2.2.4).
    async fn log_in(&mut self, endpoint: &Endpoint) -> Result<(), Failure> {
        self.send(AMQPFrame::ProtocolHeader(ProtocolVersion::amqp_0_9_1())).await?;
        let greeting = self.receive_method().await?;
        if greeting.ids != START {
            return Err(unexpected(greeting.ids));
        }
        let mechanisms = mechanisms(&greeting.bytes).ok_or_else(is_no_amqp)?;
        if !mechanisms.split(' ').any(|mechanism| mechanism == "PLAIN") {
            return Err(Failure::denied(format!("it takes no passwords, but: {mechanisms}")));
        }
        let user = endpoint.user.as_deref().unwrap_or_default();
        let answer = connection::StartOk {
            client_properties: client_properties(),
            mechanism: short("PLAIN"),
            // RFC 4616.
            response: format!("\0{user}\0{}", endpoint.secret()).into(),
            locale: short("en_US"),
        };
        let tune = match self.ask(0, AMQPClass::Connection(connection::AMQPMethod::StartOk(answer))).await? {
            AMQPClass::Connection(connection::AMQPMethod::Tune(tune)) => tune,
            other => return Err(out_of_turn(&other)),
        };
        let tuned = connection::TuneOk { channel_max: tune.channel_max, frame_max: FRAME_MAX, heartbeat: 0 };
        self.send(method(0, AMQPClass::Connection(connection::AMQPMethod::TuneOk(tuned)))).await?;
        let open = connection::Open { virtual_host: short(&endpoint.path) };
        match self.ask(0, AMQPClass::Connection(connection::AMQPMethod::Open(open))).await? {
            AMQPClass::Connection(connection::AMQPMethod::OpenOk(_)) => Ok(()),
            other => Err(out_of_turn(&other)),
        }
    }

    async fn ask(&mut self, channel: u16, class: AMQPClass) -> Result<AMQPClass, Failure> {
        self.send(method(channel, class)).await?;
        self.receive().await
    }

    async fn send(&mut self, frame: AMQPFrame) -> Result<(), Failure> {
        let written = gen_frame(&frame)(WriteContext::from(Vec::new()));
        let (bytes, _) =
            written.map_err(|error| Failure::failed(format!("cannot be asked: {error}")))?.into_inner();
        self.stream.write_all(&bytes).await.map_err(|error| Failure::of_io(&error))?;
        self.stream.flush().await.map_err(|error| Failure::of_io(&error))
    }

    /// The next answer. One that closes the channel or the connection is a failure.
    async fn receive(&mut self) -> Result<AMQPClass, Failure> {
        let method = self.receive_method().await?;
        if !ANSWERS.contains(&method.ids) {
            return Err(unexpected(method.ids));
        }
        match parse_class(&*method.bytes) {
            Ok((_, AMQPClass::Connection(connection::AMQPMethod::Close(close)))) => {
                Err(refusal(close.reply_code, close.reply_text.as_str()))
            }
            Ok((_, AMQPClass::Channel(channel::AMQPMethod::Close(close)))) => {
                Err(refusal(close.reply_code, close.reply_text.as_str()))
            }
            Ok((_, class)) => Ok(class),
            Err(_) => Err(is_no_amqp()),
        }
    }

    /// The next method, whichever it is. Heartbeats are passed over.
    async fn receive_method(&mut self) -> Result<Method, Failure> {
        loop {
            let head = self.read_array::<7>().await?;
            if let [b'A', b'M', b'Q', b'P', _, major, minor] = head {
                let [revision] = self.read_array().await?;
                let version = format!("{major}-{minor}-{revision}");
                return Err(Failure::unexpected(format!("it speaks AMQP {version}, not 0-9-1")));
            }
            let [kind, _, _, size @ ..] = head;
            let size = u32::from_be_bytes(size);
            if size > LONGEST_FRAME {
                return Err(is_no_amqp());
            }
            let mut bytes = vec![0; size as usize];
            self.stream.read_exact(&mut bytes).await.map_err(|error| Failure::of_io(&error))?;
            if self.read_array().await? != [FRAME_END] {
                return Err(is_no_amqp());
            }
            match (kind, bytes.first_chunk()) {
                (FRAME_HEARTBEAT, _) => {}
                (FRAME_METHOD, Some(&[a, b, c, d])) => {
                    let ids = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                    return Ok(Method { ids, bytes });
                }
                _ => return Err(is_no_amqp()),
            }
        }
    }

    async fn read_array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Failure> {
        let mut bytes = [0; LENGTH];
        self.stream.read_exact(&mut bytes).await.map_err(|error| Failure::of_io(&error))?;
        Ok(bytes)
    }
}

/// What a greeting says of how one may log in. What the server says of itself is a table, and passed over unread.
fn mechanisms(greeting: &[u8]) -> Option<String> {
    // Class, method and version.
    let (_, rest) = greeting.split_at_checked(6)?;
    let (_, rest) = split_long(rest)?;
    let (mechanisms, _) = split_long(rest)?;
    Some(String::from_utf8_lossy(mechanisms).into_owned())
}

/// What has its length before it, and what comes after.
fn split_long(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

fn method(channel: u16, class: AMQPClass) -> AMQPFrame {
    AMQPFrame::Method(channel, class)
}

/// Says who is there, and that a refused password is to be answered and not just hung up on.
fn client_properties() -> FieldTable {
    let mut capabilities = FieldTable::default();
    capabilities.insert(short("authentication_failure_close"), AMQPValue::Boolean(true));
    let mut properties = FieldTable::default();
    properties.insert(short("product"), AMQPValue::LongString("lifesigns".into()));
    properties.insert(short("capabilities"), AMQPValue::FieldTable(capabilities));
    properties
}

fn refusal(code: u16, text: &str) -> Failure {
    let message = format!("it says {code} {text}");
    if DENIED.contains(&code) { Failure::denied(message) } else { Failure::failed(message) }
}

fn is_no_amqp() -> Failure {
    Failure::unexpected("it does not speak AMQP")
}

fn out_of_turn(class: &AMQPClass) -> Failure {
    unexpected((class.get_amqp_class_id(), class.get_amqp_method_id()))
}

fn unexpected((class, method): (u16, u16)) -> Failure {
    Failure::unexpected(format!("it answered out of turn, with method {method} of class {class}"))
}

fn short(text: &str) -> ShortString {
    text.into()
}
