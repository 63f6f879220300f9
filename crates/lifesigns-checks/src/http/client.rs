//! One request over one new connection. Whatever there is of it ends when the future is dropped.

use std::pin::pin;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, LOCATION};
use hyper::{Method, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};

use crate::failure::{Failure, text};
use crate::network::Address;

pub(super) struct Client {
    pub(super) url: Url,
    pub(super) request: Request,
    /// There where https may be needed.
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) redirects: u8,
    /// In bytes.
    pub(super) longest_body: usize,
}

pub(super) struct Request {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    body: Result<Bytes, &'static str>,
    location: Option<String>,
}

impl Answer {
    /// The whole body, or why there is none to be read.
    pub(super) fn body(&self) -> Result<&[u8], String> {
        self.body.as_deref().map_err(|why| format!("answers {}, {why}", self.status))
    }
}

impl Client {
    pub(super) async fn ask(&self, needs_body: bool) -> Result<Answer, Failure> {
        let mut url = self.url.clone();
        let mut left = self.redirects;
        loop {
            let answer = self.exchange(&url, needs_body).await?;
            let is_redirect = matches!(answer.status, 301 | 302 | 303 | 307 | 308);
            let next = answer.location.as_deref().and_then(|location| url.join(location).ok());
            match next {
                // Nowhere else: the headers hold what only this server may know.
                Some(next) if is_redirect && left > 0 && next.origin() == url.origin() => url = next,
                _ => return Ok(answer),
            }
            left -= 1;
        }
    }

    async fn exchange(&self, url: &Url, needs_body: bool) -> Result<Answer, Failure> {
        let Some((host, port)) = url.host().zip(url.port_or_known_default()) else {
            return Err(Failure::failed("the URL has no host"));
        };
        let (host, name) = match host {
            Host::Domain(domain) => {
                let name = ServerName::try_from(domain.to_owned());
                (domain.to_owned(), name.map_err(|error| Failure::failed(error.to_string()))?)
            }
            Host::Ipv4(ip) => (ip.to_string(), ServerName::from(std::net::IpAddr::from(ip))),
            Host::Ipv6(ip) => (ip.to_string(), ServerName::from(std::net::IpAddr::from(ip))),
        };
        let address = Address { host, port };
        let stream = address.connect().await?;
        if url.scheme() != "https" {
            return self.send(url, stream, needs_body).await;
        }
        let Some(tls) = &self.tls else {
            return Err(Failure::failed("there is no TLS for this URL"));
        };
        match TlsConnector::from(Arc::clone(tls)).connect(name, stream).await {
            Ok(stream) => self.send(url, stream, needs_body).await,
            Err(error) => {
                let failure = Failure::of_tls(&error);
                Err(Failure { message: format!("{address}: {}", failure.message), ..failure })
            }
        }
    }

    async fn send<S>(&self, url: &Url, stream: S, needs_body: bool) -> Result<Answer, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let at = |failure: Failure| Failure {
            message: format!("{}: {}", &url[..Position::AfterPort], failure.message),
            ..failure
        };
        let opened = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = opened.map_err(|error| at(Failure::of_http(&error)))?;
        let mut request = hyper::Request::new(Full::new(Bytes::from(self.request.body.clone())));
        *request.method_mut() = self.request.method.clone();
        let target = url[Position::BeforePath..Position::AfterQuery].parse::<Uri>();
        *request.uri_mut() = target.map_err(|error| Failure::failed(error.to_string()))?;
        *request.headers_mut() = self.request.headers.clone();
        if !self.request.headers.contains_key(HOST) {
            let host = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]);
            request.headers_mut().insert(HOST, host.map_err(|error| Failure::failed(error.to_string()))?);
        }
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|error| Failure::of_http(&error))?;
            // It has answered, so that whatever happens now has happened to the body.
            let received = self.receive(response, needs_body).await;
            received.map_err(|error| Failure::unexpected(text(&error)))
        };
        let (mut exchange, connection) = (pin!(exchange), pin!(connection));
        let answer = tokio::select! {
            answer = &mut exchange => answer,
            // What it has read is still handed over, and an error ends the exchange as well.
            _ = connection => exchange.await,
        };
        answer.map_err(at)
    }

    async fn receive(&self, response: Response<Incoming>, needs_body: bool) -> Result<Answer, hyper::Error> {
        let header = |name| response.headers().get(name)?.to_str().ok().map(str::to_owned);
        let status = response.status().as_u16();
        let (content_type, location) = (header(CONTENT_TYPE), header(LOCATION));
        let is_encoded =
            header(CONTENT_ENCODING).is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"));
        let body = if is_encoded {
            Err("with a compressed body, which was not asked for")
        } else if needs_body {
            self.read(response.into_body()).await?.ok_or("with a body that is longer than `longest_body`")
        } else {
            Ok(Bytes::new())
        };
        Ok(Answer { status, content_type, body, location })
    }

    /// The whole body; nothing if it is too long.
    async fn read(&self, mut body: Incoming) -> Result<Option<Bytes>, hyper::Error> {
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            if read.len() + data.len() > self.longest_body {
                return Ok(None);
            }
            read.extend_from_slice(&data);
        }
        Ok(Some(read.into()))
    }
}
