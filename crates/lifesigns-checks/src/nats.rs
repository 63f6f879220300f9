//! NATS: logs in and waits for the answer to a `PING`.
//!
//! The greeting is read first, over a connection of its own: the client would read one without an end for as long as
//! it comes, and would tell its password to a server that insists on TLS.
//!
//! The client writes two lines at the level `info` for each connection, to the target `async_nats`; a log without them
//! has a filter such as `async_nats=warn`.
//!
//! ```
//! use lifesigns_checks::{Secret, Server, nats};
//!
//! let server = Server::at("nats://polls@nats.internal").password(Secret::new("…"));
//! let check = nats::check("events", nats::Options::new(server))?;
//! # Ok::<(), lifesigns_checks::BadOption>(())
//! ```

use std::sync::Arc;
use std::time::Duration;

use async_nats::{ConnectError, ConnectErrorKind, ConnectOptions};
use lifesigns::{Check, Report};
use lifesigns_fetch::{Failure, text};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use crate::BadOption;
use crate::service::{self, Endpoint, Protocol, Server};

const PROTOCOL: Protocol = Protocol {
    example: "nats://user@host:4222",
    plain: (&["nats"], 4222),
    encrypted: (&["tls"], 4222),
    tls_parameter: None,
};

/// The deadline is not the client's; it wants one, and gets one that is never met.
const NEVER: Duration = Duration::from_hours(24);

/// A greeting has no more bytes. It names all servers of its cluster.
const LONGEST_GREETING: u64 = 64 << 10;

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
    greet(&endpoint).await?;
    let mut options = ConnectOptions::new()
        .name("lifesigns")
        .connection_timeout(NEVER)
        .max_reconnects(1)
        .ignore_discovered_servers();
    options = match (&endpoint.user, &endpoint.password) {
        (Some(user), _) => options.user_and_password(user.clone(), endpoint.secret().to_owned()),
        (None, Some(token)) => options.token(token.reveal().to_owned()),
        (None, None) => options,
    };
    if let Some(tls) = &endpoint.tls {
        options = options.require_tls(true).tls_client_config((*tls.config).clone());
    }
    // A connection counts as one only when the first PING has been answered.
    let client = options.connect(endpoint.url()).await.map_err(|error| failure(&error))?;
    client.drain().await.map_err(|error| Failure::failed(text(&error)))?;
    Ok(Report::pass())
}

/// Looks whether it is NATS that greets, as this server is to be asked.
async fn greet(endpoint: &Endpoint) -> Result<(), Failure> {
    let stream = endpoint.address.connect().await?;
    let mut greeting = Vec::new();
    let read = BufReader::new(stream.take(LONGEST_GREETING)).read_until(b'\n', &mut greeting).await;
    if read.map_err(|error| Failure::of_io(&error))? == 0 {
        return Err(Failure::closed());
    }
    let greeting = greeting.strip_prefix(b"INFO ").filter(|greeting| greeting.ends_with(b"\r\n"));
    let greeting: Option<Value> = greeting.and_then(|greeting| serde_json::from_slice(greeting).ok());
    let greeting = greeting.ok_or_else(|| Failure::unexpected("it does not speak NATS"))?;
    if greeting["tls_required"] == true && endpoint.tls.is_none() {
        return Err(Failure::unexpected("it insists on TLS; begin the URL with `tls://`"));
    }
    Ok(())
}

fn failure(error: &ConnectError) -> Failure {
    let text = text(error);
    match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => Failure::denied(text),
        ConnectErrorKind::Dns => Failure::unreachable(text),
        _ => Failure::of_sources(error).unwrap_or_else(|| Failure::unexpected(text)),
    }
}
