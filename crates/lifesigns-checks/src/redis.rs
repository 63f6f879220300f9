//! Redis and Valkey: logs in and sends `PING`.
//!
//! ```
//! use lifesigns_checks::redis;
//!
//! let check = redis::check("cache", redis::Options::new("redis://cache.internal/0"))?;
//! # Ok::<(), lifesigns_checks::BadOption>(())
//! ```

use std::sync::Arc;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, ErrorKind, RedisConnectionInfo, RedisError};
use lifesigns::{Check, Report};
use lifesigns_fetch::{Failure, text};
use tokio::io::AsyncReadExt;

use crate::BadOption;
use crate::service::{self, Endpoint, Protocol, Server};

const PROTOCOL: Protocol = Protocol {
    example: "redis://user@host:6379/0",
    plain: (&["redis", "valkey"], 6379),
    encrypted: (&["rediss", "valkeys"], 6379),
    tls_parameter: None,
};

/// Of what a server says no more is read, in bytes; the client would keep an answer of any length.
const LONGEST_TALK: u64 = 64 << 10;

/// Whom to ask.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// `redis://host:6379/0`, or `rediss` for TLS. The user may be left out; the path is the number of a database.
    pub server: Server,
}

impl Options {
    /// Asks this server.
    pub fn new(server: impl Into<Server>) -> Options {
        Options { server: server.into() }
    }
}

/// A check of a Redis server.
pub fn check(name: &str, options: Options) -> Result<Check, BadOption> {
    let endpoint = Endpoint::new(options.server, &PROTOCOL)?;
    let mut info = RedisConnectionInfo::default();
    if !endpoint.path.is_empty() {
        let number: Option<u32> = endpoint.path.parse().ok();
        let message =
            format!("has a path that is no database's number; it looks like `{}`", PROTOCOL.example);
        info = info.set_db(number.ok_or_else(|| BadOption::new("url", message))?.into());
    }
    if let Some(user) = &endpoint.user {
        if endpoint.password.is_none() {
            return Err(BadOption::new("password", "is missing: the URL names a user"));
        }
        info = info.set_username(user);
    }
    if endpoint.password.is_some() {
        info = info.set_password(endpoint.secret());
    }
    Ok(service::check(name, "datastore", endpoint, move |endpoint| run(endpoint, info.clone())))
}

/// The connection is driven by this very future and ends with it, whether it comes to its end or is dropped.
async fn run(endpoint: Arc<Endpoint>, info: RedisConnectionInfo) -> Result<Report, Failure> {
    let (read, write) = tokio::io::split(endpoint.open().await?);
    let stream = tokio::io::join(read.take(LONGEST_TALK), write);
    // The deadline is not the client's.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let opened = MultiplexedConnection::new_with_config(&info, stream, config).await;
    let (mut client, connection) = opened.map_err(|error| failure(&error))?;
    let ping = ::redis::cmd("PING");
    let answer: Result<String, RedisError> = tokio::select! {
        answer = ping.query_async(&mut client) => answer,
        () = connection => return Err(Failure::closed()),
    };
    match &*answer.map_err(|error| failure(&error))? {
        "PONG" => Ok(Report::pass()),
        other => Err(Failure::unexpected(format!("it answers PING with `{other}`"))),
    }
}

fn failure(error: &RedisError) -> Failure {
    let text = text(error);
    if matches!(error.code(), Some("NOAUTH" | "NOPERM" | "WRONGPASS"))
        || error.kind() == ErrorKind::AuthenticationFailed
    {
        return Failure::denied(text);
    }
    if let Some(failure) = Failure::of_sources(error) {
        return failure;
    }
    if error.is_connection_dropped() {
        return Failure::closed();
    }
    if matches!(error.kind(), ErrorKind::Parse | ErrorKind::UnexpectedReturnType) {
        // What its parser says of that is not for people.
        return Failure::unexpected("what it answers is not Redis' protocol");
    }
    Failure::failed(text)
}
