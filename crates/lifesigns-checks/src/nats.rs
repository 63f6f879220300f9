//! NATS: logs in and waits for the answer to a `PING`.
//!
//! Three lines and their answers take no client, which would have tasks that outlive a run.
//!
//! ```
//! use lifesigns_checks::{Secret, Server, nats};
//!
//! let server = Server::at("nats://polls@nats.internal").password(Secret::new("…"));
//! let check = nats::check("events", nats::Options::new(server))?;
//! # Ok::<(), lifesigns_checks::BadOption>(())
//! ```

use std::sync::Arc;

use lifesigns::{Check, Report};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::BadOption;
use crate::failure::Failure;
use crate::service::{self, Connection, Endpoint, Protocol, Server};

const PROTOCOL: Protocol = Protocol {
    example: "nats://user@host:4222",
    plain: (&["nats"], 4222),
    encrypted: (&["tls"], 4222),
    tls_parameter: None,
};

/// Of what a server says no more is read, in bytes. Its greeting names all servers of its cluster.
const LONGEST_TALK: u64 = 64 << 10;

/// Errors that refuse whoever asks, in lower case, as they begin.
const DENIED: [&str; 3] = ["authorization violation", "user authentication", "account authentication"];

/// Whom to ask.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// `nats://user@host:4222`, or `tls` for TLS. A password without a user is a token; there is no path.
    pub server: Server,
}

impl Options {
    /// Asks this server.
    pub fn new(server: impl Into<Server>) -> Options {
        Options { server: server.into() }
    }
}

/// A check of a NATS server.
pub fn check(name: &str, options: Options) -> Result<Check, BadOption> {
    let endpoint = Endpoint::new(options.server, &PROTOCOL)?;
    endpoint.no_path(&PROTOCOL)?;
    if endpoint.user.is_some() && endpoint.password.is_none() {
        let message = "is missing: the URL names a user; a token is a password without a user";
        return Err(BadOption::new("password", message));
    }
    Ok(service::check(name, "component", endpoint, run))
}

async fn run(endpoint: Arc<Endpoint>) -> Result<Report, Failure> {
    // The server greets in the clear, and speaks TLS afterwards.
    let mut session = Session::over(endpoint.address.connect().await?);
    let greeting = session.line().await?;
    let greeting: Value = greeting
        .strip_prefix("INFO ")
        .and_then(|greeting| serde_json::from_str(greeting).ok())
        .ok_or_else(is_no_nats)?;
    match endpoint.tls.clone() {
        None if greeting["tls_required"] == true => {
            Err(Failure::unexpected("it insists on TLS; begin the URL with `tls://`"))
        }
        None => session.ask(&endpoint).await,
        Some(tls) => {
            let stream = tls.handshake(session.into_stream()).await;
            Session::over(stream.map_err(|error| Failure::of_tls(&error))?).ask(&endpoint).await
        }
    }
}

/// Lines over a connection.
struct Session<C>(tokio::io::Take<BufReader<C>>);

impl<C: Connection> Session<C> {
    fn over(stream: C) -> Session<C> {
        Session(BufReader::new(stream).take(LONGEST_TALK))
    }

    /// The connection. What has been read and not been looked at is lost: nobody had a right to say it.
    fn into_stream(self) -> C {
        self.0.into_inner().into_inner()
    }

    async fn ask(mut self, endpoint: &Endpoint) -> Result<Report, Failure> {
        let login = format!("CONNECT {}\r\nPING\r\n", login(endpoint));
        let stream = self.0.get_mut();
        stream.write_all(login.as_bytes()).await.map_err(|error| Failure::of_io(&error))?;
        stream.flush().await.map_err(|error| Failure::of_io(&error))?;
        loop {
            let line = self.line().await?;
            match line.split_once(' ').map_or((&*line, ""), |(word, rest)| (word, rest.trim())) {
                ("PONG", _) => return Ok(Report::pass()),
                ("-ERR", what) => return Err(refusal(what.trim_matches('\''))),
                ("+OK" | "PING" | "INFO", _) => {}
                _ => return Err(is_no_nats()),
            }
        }
    }

    async fn line(&mut self) -> Result<String, Failure> {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).await.map_err(|error| Failure::of_io(&error))?;
        if line.is_empty() && self.0.limit() > 0 {
            return Err(Failure::closed());
        }
        let line = String::from_utf8(line).map_err(|_| is_no_nats())?;
        line.strip_suffix("\r\n").map(str::to_owned).ok_or_else(is_no_nats)
    }
}

fn login(endpoint: &Endpoint) -> Value {
    let mut login = json!({
        "verbose": false,
        "pedantic": false,
        "tls_required": endpoint.tls.is_some(),
        "name": "lifesigns",
        "lang": "rust",
        "version": env!("CARGO_PKG_VERSION"),
    });
    match (&endpoint.user, &endpoint.password) {
        (Some(user), _) => {
            login["user"] = user.as_str().into();
            login["pass"] = endpoint.secret().into();
        }
        (None, Some(token)) => login["auth_token"] = token.reveal().into(),
        (None, None) => {}
    }
    login
}

fn refusal(what: &str) -> Failure {
    let message = format!("it says {what}");
    let lower = what.to_ascii_lowercase();
    let is_denied = DENIED.iter().any(|denied| lower.starts_with(denied));
    if is_denied { Failure::denied(message) } else { Failure::failed(message) }
}

fn is_no_nats() -> Failure {
    Failure::unexpected("it does not speak NATS")
}
