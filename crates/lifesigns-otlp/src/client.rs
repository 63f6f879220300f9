//! One request over one new connection, with a deadline over all of it.
//!
//! Pushes are rare; a connection kept between them would mostly be one that the collector has closed meanwhile.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use lifesigns::BadOption;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};

use crate::options::Options;
use crate::{deadline, retry};

/// Of an answer no more is read.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Of an answer's head no more is read.
const LONGEST_HEAD: usize = 32 * 1024;

/// Sends requests to one place.
pub(crate) struct Client {
    host: Host<String>,
    port: u16,
    target: Uri,
    headers: HeaderMap,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    timeout: Duration,
    gzip: bool,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// Empty if it is too long or did not come in time.
    pub(crate) body: Bytes,
}

/// Why nothing came back.
#[derive(Debug)]
pub(crate) enum Failure {
    TimedOut(Duration),
    /// No connection, or one that broke.
    Broken(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::TimedOut(timeout) => write!(f, "no answer within {} ms", timeout.as_millis()),
            Failure::Broken(what) => f.write_str(what),
        }
    }
}

impl Client {
    pub(crate) fn new(options: &Options) -> Result<Client, BadOption> {
        let url = &options.url;
        let bad_url = |fault: &str| BadOption::new("endpoint", fault);
        let host = url.host().ok_or_else(|| bad_url("names no host"))?.to_owned();
        let port = url.port_or_known_default().ok_or_else(|| bad_url("names no port"))?;
        let path = &url[Position::BeforePath..Position::AfterQuery];
        let target = path.parse().map_err(|_| bad_url("has a path that cannot be asked for"))?;
        let authority = &url[Position::BeforeHost..Position::AfterPort];
        let authority =
            HeaderValue::from_str(authority).map_err(|_| bad_url("names a host that cannot be asked for"))?;
        let mut headers = HeaderMap::new();
        let agent = concat!("lifesigns-otlp/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        headers.extend(options.headers.clone());
        headers.insert(HOST, authority);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if options.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let tls = if url.scheme() == "https" { Some(tls(url, options)?) } else { None };
        let (timeout, gzip) = (options.timeout, options.gzip);
        Ok(Client { host, port, target, headers, tls, timeout, gzip })
    }

    /// The body as it goes over the wire.
    pub(crate) fn pack(&self, body: Vec<u8>) -> io::Result<Bytes> {
        if !self.gzip {
            return Ok(body.into());
        }
        let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
        encoder.write_all(&body)?;
        Ok(encoder.finish()?.into())
    }

    /// Sends one body that [`Client::pack`] has packed.
    pub(crate) async fn post(&self, body: Bytes) -> Result<Answer, Failure> {
        let deadline = deadline::after(Instant::now(), self.timeout);
        let exchange = async {
            let broken = |error: &(dyn Error + 'static)| Failure::Broken(chain(error));
            let stream = match &self.host {
                Host::Domain(name) => TcpStream::connect((name.as_str(), self.port)).await,
                Host::Ipv4(ip) => TcpStream::connect((IpAddr::from(*ip), self.port)).await,
                Host::Ipv6(ip) => TcpStream::connect((IpAddr::from(*ip), self.port)).await,
            }
            .map_err(|error| broken(&error))?;
            match &self.tls {
                None => self.send(stream, body, deadline).await.map_err(|error| broken(&error)),
                Some((connector, name)) => {
                    let stream =
                        connector.connect(name.clone(), stream).await.map_err(|error| broken(&error))?;
                    self.send(stream, body, deadline).await.map_err(|error| broken(&error))
                }
            }
        };
        timeout_at(deadline, exchange).await.unwrap_or(Err(Failure::TimedOut(self.timeout)))
    }

    async fn send<S>(&self, stream: S, body: Bytes, deadline: Instant) -> Result<Answer, hyper::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut sender, connection) =
            http1::Builder::new().max_buf_size(LONGEST_HEAD).handshake(TokioIo::new(stream)).await?;
        let mut request =
            Request::post(self.target.clone()).body(Full::new(body)).expect("a target is a URI");
        request.headers_mut().clone_from(&self.headers);
        let exchange = async {
            let response = sender.send_request(request).await?;
            let (head, body) = response.into_parts();
            let header = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let retry_after = header.and_then(|value| retry::retry_after(value, Timestamp::now()));
            // The status says whether it was taken. A body that does not come changes nothing about that.
            let read = timeout_at(deadline.checked_sub(READING).unwrap_or(deadline), read(body));
            let body = read.await.ok().flatten().unwrap_or_default();
            Ok(Answer { status: head.status.as_u16(), retry_after, body })
        };
        let (mut exchange, connection) = (pin!(exchange), pin!(connection));
        tokio::select! {
            answer = &mut exchange => answer,
            // What it has read is still handed over, and an error ends the exchange as well.
            _ = connection => exchange.await,
        }
    }
}

/// So much before the deadline of the whole exchange, an answer that has begun is taken as it is.
const READING: Duration = Duration::from_millis(20);

/// The whole body; nothing if it is too long or breaks off.
async fn read(mut body: Incoming) -> Option<Bytes> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        if read.len() + data.len() > LONGEST_ANSWER {
            return None;
        }
        read.extend_from_slice(&data);
    }
    Some(read.into())
}

fn tls(url: &Url, options: &Options) -> Result<(TlsConnector, ServerName<'static>), BadOption> {
    let name = match url.host() {
        Some(Host::Domain(name)) => ServerName::try_from(name.to_owned())
            .map_err(|_| BadOption::new("endpoint", "names a host that no certificate can be for"))?,
        Some(Host::Ipv4(ip)) => ServerName::from(IpAddr::from(ip)),
        Some(Host::Ipv6(ip)) => ServerName::from(IpAddr::from(ip)),
        None => return Err(BadOption::new("endpoint", "names no host")),
    };
    let config = lifesigns_tls::client_config(options.ca_file.as_deref())?;
    Ok((TlsConnector::from(config), name))
}

/// An error and its causes: hyper tells the interesting part in the cause.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
