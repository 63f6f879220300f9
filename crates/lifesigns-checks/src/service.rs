//! What checks of databases and brokers have in common: where the server is and who asks, a fresh connection for each
//! run, and words for what went wrong.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use lifesigns::{Check, Report};
use lifesigns_fetch::Failure;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::network::Address;
use crate::{BadOption, Secret};

mod bounded;
mod url;

pub(crate) use bounded::Bounded;
pub use url::ServerUrl;

/// What is said of a failure is cut here, in characters.
const LONGEST_OUTPUT: usize = 400;

/// Where a server is, and who asks it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Server {
    /// `scheme://user@host:port/path`; each check says which schemes it knows and what the path means. A password may
    /// stand in it, its special characters percent-encoded.
    pub url: ServerUrl,
    /// The password, if it does not stand in the URL.
    pub password: Option<Secret>,
    /// Whether to insist on TLS. Default: if the URL's scheme says so, as `rediss`, `amqps`, `mqtts` and `https` do.
    pub tls: bool,
    /// PEM file of certificate authorities to trust besides the system's. Only with TLS.
    pub ca_file: Option<PathBuf>,
}

impl Server {
    /// A server at this URL, with everything else as the URL says.
    pub fn at(url: impl Into<ServerUrl>) -> Server {
        Server { url: url.into(), password: None, tls: false, ca_file: None }
    }

    /// With this password.
    #[must_use]
    pub fn password(mut self, password: Secret) -> Server {
        self.password = Some(password);
        self
    }
}

impl<U: Into<ServerUrl>> From<U> for Server {
    fn from(url: U) -> Server {
        Server::at(url)
    }
}

/// What to ask a database, and where it is.
#[cfg(any(feature = "clickhouse", feature = "mysql", feature = "postgres"))]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QueryOptions {
    /// Where it is, and who asks; the module of the check says what its URL looks like.
    pub server: Server,
    /// A statement that must not fail; what it answers is not looked at. Default: `SELECT 1`.
    pub query: String,
}

#[cfg(any(feature = "clickhouse", feature = "mysql", feature = "postgres"))]
impl QueryOptions {
    /// What is asked unless something else is wanted.
    pub(crate) const QUERY: &str = "SELECT 1";

    /// Asks this server for `SELECT 1`.
    pub fn new(server: impl Into<Server>) -> QueryOptions {
        QueryOptions { server: server.into(), query: QueryOptions::QUERY.to_owned() }
    }
}

/// What the URLs of one kind of server look like.
pub(crate) struct Protocol {
    /// A URL to learn from.
    pub(crate) example: &'static str,
    /// Schemes without TLS and with it, and the ports that go with them.
    pub(crate) plain: (&'static [&'static str], u16),
    pub(crate) encrypted: (&'static [&'static str], u16),
    /// The query parameter that asks for TLS, if there is a customary one.
    pub(crate) tls_parameter: Option<&'static str>,
}

/// A server whose options have been found good.
pub(crate) struct Endpoint {
    pub(crate) scheme: &'static str,
    pub(crate) address: Address,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    /// Decoded, without the slash that it begins with.
    pub(crate) path: String,
    pub(crate) tls: Option<Encryption>,
}

/// TLS with one server.
#[derive(Clone)]
pub(crate) struct Encryption {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

impl Encryption {
    pub(crate) async fn handshake<S>(self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        TlsConnector::from(self.config).connect(self.name, stream).await
    }
}

/// A connection, with TLS or without.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<C: AsyncRead + AsyncWrite + Send + Unpin> Connection for C {}

impl Endpoint {
    /// A connection, with TLS from its first byte where that is asked for.
    pub(crate) async fn open(&self) -> Result<Box<dyn Connection>, Failure> {
        let stream = self.address.connect().await?;
        let Some(tls) = self.tls.clone() else { return Ok(Box::new(stream)) };
        let stream = tls.handshake(stream).await.map_err(|error| Failure::of_tls(&error))?;
        Ok(Box::new(stream))
    }

    /// The password's text, empty if there is none.
    pub(crate) fn secret(&self) -> &str {
        self.password.as_ref().map_or("", Secret::reveal)
    }

    /// Scheme, host and port.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Refuses a path where the protocol has no use for one.
    pub(crate) fn no_path(&self, protocol: &Protocol) -> Result<(), BadOption> {
        if self.path.is_empty() {
            return Ok(());
        }
        Err(BadOption::new(
            "url",
            format!("has a path, which means nothing here; it looks like `{}`", protocol.example),
        ))
    }

    /// The report of a run that failed. The password is taken out of whatever the server or its client said.
    fn report(&self, failure: &Failure) -> Report {
        let mut message = failure.message.clone();
        if !self.secret().is_empty() {
            message = message.replace(self.secret(), "…");
        }
        let message: String = message
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .take(LONGEST_OUTPUT)
            .collect();
        Report::fail(failure.kind, format_args!("{}: {}", self.url(), message.trim()))
    }
}

/// A check that runs `probe` against `endpoint`.
pub(crate) fn check<F, Fut>(name: &str, component_type: &'static str, endpoint: Endpoint, probe: F) -> Check
where
    F: Fn(Arc<Endpoint>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Report, Failure>> + Send + 'static,
{
    let endpoint = Arc::new(endpoint);
    let run = move || {
        let endpoint = Arc::clone(&endpoint);
        let run = probe(Arc::clone(&endpoint));
        async move { run.await.unwrap_or_else(|failure| endpoint.report(&failure)) }
    };
    Check::new(name, run).component_type(component_type)
}

/// A statement to be sent.
#[cfg(any(feature = "clickhouse", feature = "mysql", feature = "postgres"))]
pub(crate) fn query(query: String) -> Result<Arc<str>, BadOption> {
    if query.trim().is_empty() {
        return Err(BadOption::new("query", "is empty; leave it out, or write one such as `SELECT 1`"));
    }
    Ok(query.into())
}
