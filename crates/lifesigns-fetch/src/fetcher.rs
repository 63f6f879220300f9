//! One request over one new connection. Whatever there is of it ends when the future is dropped.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT_ENCODING, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use hyper::{Method, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use lifesigns::BadOption;
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::Decode;

use crate::body::{self, Body};
use crate::failure::Failure;
use crate::network::{connect, resolve};
use crate::policy::AddressPolicy;
use crate::redirect::Redirects;

/// So many interim answers (RFC 9110 §15.2) may come before the one that counts.
const MOST_INTERIM: u32 = 16;
/// What is read and not taken yet, in bytes: so long may the head of an answer be.
const LONGEST_HEAD: usize = 64 * 1024;

/// How answers are fetched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// A body is read so far and no further, in bytes, encoded and decoded. Default 1 MiB. With 0 no body is read, nor
    /// waited for.
    pub longest_body: usize,
    /// Which redirects are followed. Default: three on the same origin.
    pub redirects: Redirects,
    /// Which addresses are spoken to. Default: those where a service may be.
    pub addresses: AddressPolicy,
    /// A file of certificate authorities in PEM, which are trusted besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// Whether compressed bodies are asked for, and decoded. Default yes.
    pub decompress: bool,
    /// Whether the body of an answer is read even if its status is one of success, 2xx. Default yes. For whom the status
    /// says it all, there is nothing to wait for then.
    pub body_of_success: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            longest_body: 1024 * 1024,
            redirects: Redirects::SameOrigin(3),
            addresses: AddressPolicy::default(),
            ca_file: None,
            decompress: true,
            body_of_success: true,
        }
    }
}

/// What is sent.
#[derive(Clone, Eq, PartialEq)]
pub struct Request {
    /// Any but `CONNECT`.
    pub method: Method,
    /// `Host` and `Accept-Encoding` are added where they are missing; `Connection` is always `close`.
    pub headers: HeaderMap,
    /// Nothing is sent for an empty one.
    pub body: Bytes,
}

impl Request {
    /// `GET` without headers.
    pub fn get() -> Request {
        Request { method: Method::GET, headers: HeaderMap::new(), body: Bytes::new() }
    }
}

/// Without what is secret or may be: the values of headers and the body.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Request { method, headers, body } = self;
        f.debug_struct("Request")
            .field("method", method)
            .field("headers", &headers.keys().collect::<Vec<_>>())
            .field("body", &format_args!("{} bytes", body.len()))
            .finish()
    }
}

/// What came back. All of it is a stranger's.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code, 200 to 999 (RFC 9110 §15 knows those up to 599).
    pub status: u16,
    /// The headers, as they came: `Content-Encoding` and `Content-Length` are those of the encoded body.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
    /// Who answered in the end, after redirects.
    pub url: Url,
    /// The address of whoever answered.
    pub address: SocketAddr,
    /// Over TLS, until when the certificate of whoever answered is valid.
    pub certificate_expires: Option<Timestamp>,
    /// From the beginning, with names, connections, TLS and redirects, to the head of this answer.
    pub first_byte: Duration,
}

impl Answer {
    /// After which time it wants to be asked again (RFC 9110 §10.2.3), in seconds or until a date; zero where that is over.
    /// Whoever waits for it has a bound of his own.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        wait(self.text(RETRY_AFTER)?.trim(), now)
    }

    /// Where it leads, if it is a redirect: one that was not followed.
    pub fn leads_to(&self) -> Option<&str> {
        self.text(LOCATION).filter(|_| (300..400).contains(&self.status))
    }

    fn text(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

fn wait(text: &str, now: Timestamp) -> Option<Duration> {
    static DATES: DateTimeParser = DateTimeParser::new();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds are more than anybody waits for.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = DATES.parse_timestamp(text).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO))
}

/// How far a fetch has come. What it says of one that is dropped stays as it was then.
#[derive(Debug, Default)]
pub struct Progress {
    is_resolving: AtomicBool,
}

impl Progress {
    /// Whether it waits for this machine's resolver: whoever gives up then has learnt nothing of the server.
    pub fn is_resolving(&self) -> bool {
        self.is_resolving.load(Ordering::Relaxed)
    }

    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        self.is_resolving.store(true, Ordering::Relaxed);
        let found = resolve(host, port).await;
        self.is_resolving.store(false, Ordering::Relaxed);
        found
    }
}

/// Fetches answers. Cheap to clone.
#[derive(Clone)]
pub struct Fetcher {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    /// Made at the first https URL: reading the system's authorities takes longer than many a whole answer.
    tls: OnceLock<Result<Arc<ClientConfig>, BadOption>>,
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

impl Fetcher {
    /// Fetches answers in this way.
    ///
    /// # Errors
    /// When `ca_file` cannot be used, or `redirects` are more than 20.
    pub fn new(options: Options) -> Result<Fetcher, BadOption> {
        if options.redirects.most() > 20 {
            return Err(BadOption::new("redirects", "are more than 20, and so hardly lead anywhere"));
        }
        if let Some(path) = &options.ca_file {
            lifesigns_tls::authorities(path)?;
        }
        Ok(Fetcher { inner: Arc::new(Inner { options, tls: OnceLock::new() }) })
    }

    /// Makes what https takes now, where it would be made at the first https URL otherwise.
    ///
    /// # Errors
    /// When this machine has no certificate authorities.
    pub fn prepare_tls(&self) -> Result<(), BadOption> {
        self.inner.tls().map(drop).map_err(Clone::clone)
    }

    /// Sends the request to `url`, which begins with `http://` or `https://` and holds neither user nor password. There
    /// is no deadline but the caller's.
    ///
    /// # Errors
    /// When there is no answer. An answer whose body is of no use is one nevertheless.
    pub async fn fetch(&self, url: &Url, request: &Request) -> Result<Answer, Failure> {
        self.fetch_telling(url, request, &Progress::default()).await
    }

    /// The same, and tells how far it has come, for whoever gives up waiting.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub async fn fetch_telling(
        &self,
        url: &Url,
        request: &Request,
        progress: &Progress,
    ) -> Result<Answer, Failure> {
        let begun = Instant::now();
        let mut left = self.inner.options.redirects.most();
        let (mut url, mut request) = (Cow::Borrowed(url), Cow::Borrowed(request));
        loop {
            let redirects = if left > 0 { self.inner.options.redirects } else { Redirects::Never };
            let exchange =
                Exchange { fetcher: &self.inner, url: &url, request: &request, redirects, begun, progress };
            match exchange.run().await? {
                Outcome::Answered(answer) => return Ok(answer),
                Outcome::Redirected(next, what) => (url, request) = (Cow::Owned(next), Cow::Owned(what)),
            }
            left -= 1;
        }
    }
}

impl Inner {
    fn tls(&self) -> Result<&Arc<ClientConfig>, &BadOption> {
        self.tls.get_or_init(|| lifesigns_tls::client_config(self.options.ca_file.as_deref())).as_ref()
    }
}

/// One request, and what is said to it.
struct Exchange<'a> {
    fetcher: &'a Inner,
    url: &'a Url,
    request: &'a Request,
    redirects: Redirects,
    begun: Instant,
    progress: &'a Progress,
}

enum Outcome {
    Answered(Answer),
    Redirected(Url, Request),
}

/// Whom a connection leads to.
struct Peer {
    address: SocketAddr,
    certificate_expires: Option<Timestamp>,
}

impl Exchange<'_> {
    async fn run(&self) -> Result<Outcome, Failure> {
        let url = self.url;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failure::failed("the URL begins with neither `http://` nor `https://`"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Failure::failed("the URL holds a user or a password, which are not sent from there"));
        }
        let Some((host, port)) = url.host().zip(url.port_or_known_default()) else {
            return Err(Failure::failed("the URL has no host"));
        };
        let (host, name) = match host {
            Host::Domain(domain) => {
                let name = ServerName::try_from(domain.to_owned());
                (domain.to_owned(), name.map_err(|error| self.failed(&error.to_string()))?)
            }
            Host::Ipv4(ip) => (ip.to_string(), ServerName::from(std::net::IpAddr::from(ip))),
            Host::Ipv6(ip) => (ip.to_string(), ServerName::from(std::net::IpAddr::from(ip))),
        };
        let found = self.progress.resolve(&host, port).await?;
        let (stream, address) = connect(self.fetcher.options.addresses.permitted(&host, found)?).await?;
        if url.scheme() == "https" {
            // On the heap, so that thousands of plain exchanges do not take the memory of as many over TLS.
            Box::pin(self.over_tls(name, stream, address)).await
        } else {
            self.send(stream, Peer { address, certificate_expires: None }).await
        }
    }

    async fn over_tls(
        &self,
        name: ServerName<'static>,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Result<Outcome, Failure> {
        let config = self
            .fetcher
            .tls()
            .map_err(|error| Failure { is_own: true, ..self.failed(&format!("there is no TLS: {error}")) })?;
        let handshake = TlsConnector::from(Arc::clone(config)).connect(name, stream).await;
        let stream = handshake.map_err(|error| self.at(Failure::of_tls(&error)))?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let certificate_expires = chain.first().and_then(expires);
        self.send(stream, Peer { address, certificate_expires }).await
    }

    async fn send<S>(&self, stream: S, peer: Peer) -> Result<Outcome, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let opened = http1::Builder::new()
            .max_buf_size(LONGEST_HEAD)
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake(TokioIo::new(stream))
            .await;
        let (mut sender, connection) = opened.map_err(|error| self.at(Failure::of_http(&error)))?;
        let mut request = self.request()?;
        let too_many_interim = too_many_interim(&mut request);
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|error| Failure::of_http(&error))?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                return Err(Failure::unexpected("it switches to another protocol, which was not asked for"));
            }
            Ok(self.receive(response, peer).await)
        };
        let (mut exchange, connection) = (pin!(exchange), pin!(connection));
        let outcome = tokio::select! {
            outcome = &mut exchange => outcome,
            // What it has read is still handed over, and an error ends the exchange as well.
            _ = connection => exchange.await,
            () = too_many_interim.notified() => {
                Err(Failure::unexpected(format!("it sends more than {MOST_INTERIM} interim answers")))
            }
        };
        outcome.map_err(|failure| self.at(failure))
    }

    fn request(&self) -> Result<hyper::Request<Full<Bytes>>, Failure> {
        let Request { method, headers, body } = self.request;
        if *method == Method::CONNECT {
            return Err(Failure::failed("`CONNECT` cannot be sent"));
        }
        let mut request = hyper::Request::new(Full::new(body.clone()));
        *request.method_mut() = method.clone();
        let target = self.url[Position::BeforePath..Position::AfterQuery].parse::<Uri>();
        *request.uri_mut() = target.map_err(|error| self.failed(&error.to_string()))?;
        *request.headers_mut() = headers.clone();
        let headers = request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if self.fetcher.options.decompress {
            headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static(body::ACCEPTED));
        }
        if !headers.contains_key(HOST) {
            let host = HeaderValue::from_str(&self.url[Position::BeforeHost..Position::AfterPort]);
            headers.insert(HOST, host.map_err(|error| self.failed(&error.to_string()))?);
        }
        Ok(request)
    }

    async fn receive(&self, response: Response<Incoming>, peer: Peer) -> Outcome {
        let first_byte = self.begun.elapsed();
        let (head, body) = response.into_parts();
        if let Some((next, request)) = self.redirects.next(self.url, self.request, head.status, &head.headers)
        {
            return Outcome::Redirected(next, request);
        }
        let Options { longest_body, decompress, body_of_success, .. } = self.fetcher.options;
        let longest_body = if body_of_success || !head.status.is_success() { longest_body } else { 0 };
        Outcome::Answered(Answer {
            status: head.status.as_u16(),
            body: body::read(&head.headers, body, longest_body, decompress).await,
            headers: head.headers,
            url: self.url.clone(),
            address: peer.address,
            certificate_expires: peer.certificate_expires,
            first_byte,
        })
    }

    /// With the server that it is about: of the URL no more, since the rest may be secret.
    fn at(&self, failure: Failure) -> Failure {
        let message = format!("{}: {}", &self.url[..Position::AfterPort], failure.message);
        Failure { message, ..failure }
    }

    fn failed(&self, message: &str) -> Failure {
        self.at(Failure::failed(message))
    }
}

/// Told when more interim answers have come to this request than there may be: the client passes over them for ever.
fn too_many_interim(request: &mut hyper::Request<Full<Bytes>>) -> Arc<Notify> {
    let (too_many, count) = (Arc::new(Notify::new()), AtomicU32::new(0));
    let told = Arc::clone(&too_many);
    hyper::ext::on_informational(request, move |_| {
        if count.fetch_add(1, Ordering::Relaxed) == MOST_INTERIM {
            told.notify_one();
        }
    });
    too_many
}

/// The end of a certificate that was found to be good.
fn expires(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    // The lenient reading: serial numbers that break the rules are common, and no concern of ours.
    let certificate = CertificateInner::<Raw>::from_der(certificate).ok()?;
    let ends = certificate.tbs_certificate().validity().not_after.to_unix_duration();
    Timestamp::from_second(ends.as_secs().try_into().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fetch_that_waited_for_its_server_was_taken_for_one_that_waited_for_the_resolver() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = Url::parse(&format!("http://localhost:{port}/")).unwrap();
        let fetcher = Fetcher::new(Options::default()).unwrap();
        let (request, progress) = (Request::get(), Progress::default());
        {
            let mut fetch = pin!(fetcher.fetch_telling(&url, &request, &progress));
            tokio::select! {
                biased;
                _ = &mut fetch => panic!("nobody answers"),
                () = std::future::ready(()) => {}
            }
            assert!(progress.is_resolving());
            tokio::select! {
                _ = &mut fetch => panic!("nobody answers"),
                taken = listener.accept() => drop(taken.unwrap()),
            }
        }
        assert!(!progress.is_resolving());
    }

    #[test]
    fn a_server_asks_for_time_in_seconds_or_until_a_date() {
        let now = "2026-03-16T18:00:00Z".parse().unwrap();
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(wait(text, now), expected.map(Duration::from_secs), "{text}");
        };
        check("30", Some(30));
        check("0", Some(0));
        check("99999999999999999999", Some(u64::MAX));
        check("Mon, 16 Mar 2026 18:00:20 GMT", Some(20));
        check("Mon, 16 Mar 2026 17:00:00 GMT", Some(0));
        check("-1", None);
        check("soon", None);
        check("", None);
    }
}
