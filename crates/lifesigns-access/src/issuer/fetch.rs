//! Fetching the keys: one request over one new connection, within bounds.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};

use crate::BadOption;

/// How long it may take, from the name of the host to the last byte.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// No set of keys has so many bytes.
const LONGEST_BODY: usize = 256 * 1024;

/// Why there are no keys, in words for the log; neither the URL nor what was answered is in them.
pub(super) type Failure = String;

/// Where keys are fetched.
#[derive(Debug)]
pub(super) struct Source {
    url: Url,
    tls: Option<Arc<ClientConfig>>,
}

impl Source {
    /// # Errors
    /// When the authorities that are to be trusted cannot be read.
    pub(super) fn new(url: Url, ca_file: Option<&Path>) -> Result<Source, BadOption> {
        let tls = (url.scheme() == "https").then(|| lifesigns_tls::client_config(ca_file)).transpose()?;
        Ok(Source { url, tls })
    }

    /// What is answered.
    ///
    /// # Errors
    /// When it is not an answer with 200 of at most 256 KiB within five seconds. A redirect leads nowhere: it could lead
    /// to where no keys were to be taken from.
    pub(super) async fn fetch(&self) -> Result<Vec<u8>, Failure> {
        let late = |_| format!("there was no answer within {} s", PATIENCE.as_secs());
        tokio::time::timeout(PATIENCE, self.exchange()).await.map_err(late)?
    }

    async fn exchange(&self) -> Result<Vec<u8>, Failure> {
        let port = self.url.port_or_known_default().ok_or("the URL has no port")?;
        let (host, name) = match self.url.host().ok_or("the URL has no host")? {
            Host::Domain(domain) => {
                let name = ServerName::try_from(domain.to_owned()).map_err(|error| error.to_string())?;
                (domain.to_owned(), name)
            }
            Host::Ipv4(address) => (address.to_string(), ServerName::from(std::net::IpAddr::from(address))),
            Host::Ipv6(address) => (address.to_string(), ServerName::from(std::net::IpAddr::from(address))),
        };
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(|error| told(&error))?;
        match &self.tls {
            None => self.ask(stream).await,
            Some(tls) => {
                let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
                self.ask(stream.map_err(|error| told(&error))?).await
            }
        }
    }

    async fn ask<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> Result<Vec<u8>, Failure> {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| told(&error))?;
        let request = Request::get(&self.url[Position::BeforePath..Position::AfterQuery])
            .header(HOST, &self.url[Position::BeforeHost..Position::AfterPort])
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .header(USER_AGENT, concat!("lifesigns/", env!("CARGO_PKG_VERSION")))
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|error| told(&error))?;
            if response.status() != StatusCode::OK {
                return Err(format!("the answer was {}", response.status().as_u16()));
            }
            read(response.into_body()).await
        };
        let (mut exchange, connection) = (pin!(exchange), pin!(connection));
        tokio::select! {
            answer = &mut exchange => answer,
            // What it has read is still handed over, and an error ends the exchange as well.
            _ = connection => exchange.await,
        }
    }
}

async fn read(mut body: Incoming) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| told(&error))?.into_data() else { continue };
        if bytes.len() + data.len() > LONGEST_BODY {
            return Err(format!("the answer has more than {LONGEST_BODY} bytes"));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// An error with what caused it.
fn told(error: &dyn std::error::Error) -> Failure {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    text
}
