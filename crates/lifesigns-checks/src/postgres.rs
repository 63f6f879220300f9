//! PostgreSQL: logs in and lets the server answer a query.
//!
//! The URL is `postgres://user@host:5432/database`; without a database, the user's. `?sslmode=verify-full` asks for TLS.
//! A server that sends more than 1 MiB in one run fails.
//!
//! ```
//! use lifesigns_checks::{Secret, Server, postgres};
//!
//! let server = Server::at("postgres://polls@db.internal/polls").password(Secret::new("…"));
//! let check = postgres::check("database", postgres::Options::new(server))?.critical();
//! # Ok::<(), lifesigns_checks::BadOption>(())
//! ```

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use lifesigns::{Check, Report};
use lifesigns_fetch::{Failure, text};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{Config, NoTls};

use crate::BadOption;
pub use crate::service::QueryOptions as Options;
use crate::service::{self, Bounded, Encryption, Endpoint, Protocol};

const PROTOCOL: Protocol = Protocol {
    example: "postgres://user@host:5432/database",
    plain: (&["postgres", "postgresql"], 5432),
    encrypted: (&[], 5432),
    tls_parameter: Some("sslmode"),
};

/// A check of a PostgreSQL server.
pub fn check(name: &str, options: Options) -> Result<Check, BadOption> {
    let endpoint = Endpoint::new(options.server, &PROTOCOL)?;
    let mut config = Config::new();
    config.user(endpoint.required_user(&PROTOCOL)?).application_name("lifesigns");
    if !endpoint.path.is_empty() {
        config.dbname(&endpoint.path);
    }
    if endpoint.password.is_some() {
        config.password(endpoint.secret());
    }
    config.ssl_mode(if endpoint.tls.is_some() { SslMode::Require } else { SslMode::Disable });
    let query = service::query(options.query)?;
    Ok(service::check(name, "datastore", endpoint, move |endpoint| {
        run(endpoint, config.clone(), Arc::clone(&query))
    }))
}

async fn run(endpoint: Arc<Endpoint>, config: Config, query: Arc<str>) -> Result<Report, Failure> {
    let stream = Bounded::new(endpoint.address.connect().await?);
    match endpoint.tls.clone() {
        Some(tls) => ask(&config, stream, Upgrade(tls), &query).await,
        None => ask(&config, stream, NoTls, &query).await,
    }
    .map_err(|error| failure(&error, &endpoint))?;
    Ok(Report::pass())
}

/// The client would keep a message of any length.
type Stream = Bounded<TcpStream>;

/// The connection is driven by this very future and ends with it, whether it comes to its end or is dropped.
async fn ask<T>(config: &Config, stream: Stream, tls: T, query: &str) -> Result<(), tokio_postgres::Error>
where
    T: TlsConnect<Stream>,
{
    let (client, connection) = config.connect_raw(stream, tls).await?;
    let asking = async move {
        // Forgets each row as it comes.
        let answer = client.batch_execute(query).await;
        // Tells the connection to say goodbye and to end.
        drop(client);
        answer
    };
    let (answer, ended) = tokio::join!(asking, connection);
    answer.map_err(|error| match ended {
        // The question was not answered because of what happened to the connection.
        Err(cause) if error.is_closed() => cause,
        _ => error,
    })
}

fn failure(error: &tokio_postgres::Error, endpoint: &Endpoint) -> Failure {
    let text = text(error);
    if let Some(state) = error.code() {
        // Class 28: invalid authorization specification.
        let is_denied = state.code().starts_with("28") || *state == SqlState::INSUFFICIENT_PRIVILEGE;
        return if is_denied { Failure::denied(text) } else { Failure::failed(text) };
    }
    if let Some(failure) = Failure::of_sources(error) {
        return failure;
    }
    if error.is_closed() {
        return Failure::closed();
    }
    // The client has no other way to tell these from an answer that makes no sense.
    if text.starts_with("authentication error") {
        return Failure::denied(text);
    }
    if endpoint.password.is_none() && text.contains("password missing") {
        return Failure::denied("it asks for a password, and none is given");
    }
    Failure::unexpected(text)
}

/// TLS once the server has said that it speaks it.
struct Upgrade(Encryption);

impl TlsConnect<Stream> for Upgrade {
    type Stream = Upgraded;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Upgraded>> + Send>>;

    fn connect(self, stream: Stream) -> Self::Future {
        Box::pin(async move { self.0.handshake(stream).await.map(Upgraded) })
    }
}

struct Upgraded(tokio_rustls::client::TlsStream<Stream>);

impl TlsStream for Upgraded {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
