//! What a gateway is told before it starts.

use std::{fmt, net::SocketAddr, num::NonZeroUsize, str::FromStr, time::Duration};

use http::{HeaderValue, Uri, uri::Authority};
use lifesigns::{Mount, resources::normalize_path};
use lifesigns_model::route::Templates;

/// How a gateway listens, what it has behind it, and how long it waits for whom.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the APIs' callers come in. Port 0 takes a free one, see [`crate::Gateway::local_addr`].
    pub listen: SocketAddr,
    /// Where operators come in, as a rule on loopback. Default: nowhere.
    pub admin: Option<SocketAddr>,
    /// Threads that serve, each with a listener of its own. Default: one for each core.
    pub workers: Option<NonZeroUsize>,
    /// The APIs behind the gateway, in any order; the most specific one that fits gets the request.
    pub routes: Vec<Route>,
    /// How long to wait for whom.
    pub timeouts: Timeouts,
    /// How much to take from whom.
    pub limits: Limits,
    /// How to end.
    pub drain: Drain,
    /// Whether `X-Forwarded-Proto`, `X-Forwarded-Host` and `Forwarded` of a client are believed and passed on,
    /// because there is a trusted proxy in front. Default false: they are replaced, `Forwarded` is removed.
    /// `X-Forwarded-For` is appended to in both cases.
    pub trust_forwarded: bool,
    /// Name under which the gateway adds itself to `Via` (RFC 9110 §7.6.3). Default: it does not.
    pub via: Option<String>,
}

impl Config {
    /// A gateway that listens there, has these APIs behind it, and the defaults for all else.
    pub fn new(listen: SocketAddr, routes: Vec<Route>) -> Config {
        Config {
            listen,
            admin: None,
            workers: None,
            routes,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            drain: Drain::default(),
            trust_forwarded: false,
            via: None,
        }
    }
}

/// Which requests go to one API, and where it is.
#[derive(Clone, Debug)]
pub struct Route {
    /// Name of the API, one of those that the `Lifesigns` of the process knows.
    pub api: String,
    /// Where it is.
    pub upstream: Upstream,
    /// Only requests for this host, with or without a port, in any case. Default: any host.
    pub host: Option<String>,
    /// Only paths under this one, by whole segments: `/users` covers `/users` and `/users/1`, not `/users2`.
    /// Default `/`.
    pub prefix: String,
    /// Whether the prefix is taken off before the request goes on. Default true.
    pub strip_prefix: bool,
    /// Whether the upstream gets the `Host` that the client sent, or its own address as `Host`. Default true.
    pub preserve_host: bool,
    /// The route templates that the API itself declares, of paths as the API sees them. Default: they are guessed.
    pub templates: Option<Templates>,
}

impl Route {
    /// All requests go to this API, unless another route is more specific.
    pub fn new(api: impl Into<String>, upstream: Upstream) -> Route {
        Route {
            api: api.into(),
            upstream,
            host: None,
            prefix: "/".to_owned(),
            strip_prefix: true,
            preserve_host: true,
            templates: None,
        }
    }

    /// Where its requests come in.
    pub fn mount(&self) -> Mount {
        Mount::new(self.host.as_deref(), &normalize_path(&self.prefix))
    }
}

/// The address of an API: `http://host[:port][/base]`.
///
/// ```
/// use lifesigns_gateway::Upstream;
///
/// let upstream: Upstream = "http://127.0.0.1:3000".parse()?;
/// assert_eq!(upstream.to_string(), "http://127.0.0.1:3000");
/// assert!("https://127.0.0.1:3000".parse::<Upstream>().is_err());
/// # Ok::<(), lifesigns_gateway::UpstreamError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Upstream {
    authority: Authority,
    host_header: HeaderValue,
    base: String,
}

impl Upstream {
    /// Name or address of the host, without brackets.
    pub fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// Port, 80 unless given.
    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(80)
    }

    /// What comes before every path: empty, or beginning with `/` and not ending with it.
    pub fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.base)
    }
}

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Upstream, UpstreamError> {
        let fault = |reason| UpstreamError { text: text.to_owned(), reason };
        let uri: Uri = text.parse().map_err(|_| fault("it is not a URL"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(fault("upstreams over TLS are not supported, only http://")),
            Some(_) => return Err(fault("its scheme is not http")),
            None => return Err(fault("it does not begin with http://")),
        }
        let authority = uri.authority().ok_or_else(|| fault("it names no host"))?.clone();
        if authority.as_str().contains('@') {
            return Err(fault("it holds user information; leave out what is before the @"));
        }
        if uri.query().is_some() {
            return Err(fault("it holds a query; leave out what is behind the ?"));
        }
        let host_header =
            HeaderValue::from_str(authority.as_str()).map_err(|_| fault("its host is not visible ASCII"))?;
        let base = uri.path().trim_end_matches('/').to_owned();
        Ok(Upstream { authority, host_header, base })
    }
}

/// Text that is no address of an upstream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UpstreamError {
    text: String,
    reason: &'static str,
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no upstream: {}. Write it like http://127.0.0.1:3000", self.text, self.reason)
    }
}

impl std::error::Error for UpstreamError {}

/// How long to wait for whom. All but `connect` are watched by a coarse clock and may take two of its ticks longer; a
/// tick is a quarter of the shortest of them, and of a second at most.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// For a connection to the upstream. Default 5 s; then 504.
    pub connect: Duration,
    /// For the head of the upstream's response, from the last byte of the request that it took. Default 60 s;
    /// then 504.
    pub response_head: Duration,
    /// Between two pieces of a body, in both directions and on both sides. Default 60 s; then 408 where the answer
    /// has not begun, otherwise a broken connection.
    pub body_idle: Duration,
    /// For the head of a request, and between two requests of a connection. Default 30 s.
    pub request_head: Duration,
    /// How long a request body is held back for an upstream that was asked for `100 Continue`. Default 1 s; then it
    /// is sent all the same (RFC 9110 §10.1.1).
    pub expect_continue: Duration,
    /// How long a connection to the upstream is kept for the next request. Default 4 s: it has to be shorter than
    /// what the upstream does, and 5 s are customary there.
    pub upstream_idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(5),
            response_head: Duration::from_mins(1),
            body_idle: Duration::from_mins(1),
            request_head: Duration::from_secs(30),
            expect_continue: Duration::from_secs(1),
            upstream_idle: Duration::from_secs(4),
        }
    }
}

/// How much to take from whom.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of a request's head, request line included, at least 8192. Default 32 KiB; then 431 (or 414).
    pub request_head_bytes: usize,
    /// Fields of a head, in both directions. Default 100; then 431, or 502 for an upstream's.
    pub headers: usize,
    /// Bytes of a response's head, at least 8192. Default 64 KiB; then 502.
    pub response_head_bytes: usize,
    /// Idle connections kept for each upstream by each worker. Default 128.
    pub idle_connections: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            request_head_bytes: 32 * 1024,
            headers: 100,
            response_head_bytes: 64 * 1024,
            idle_connections: 128,
        }
    }
}

/// How to end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Drain {
    /// How long everything goes on as before, readiness included, for balancers that stop sending by themselves.
    /// Default 0.
    pub notice: Duration,
    /// How long everything is still served after that while readiness is already red, so that balancers notice.
    /// Answers close their connections. Default 0.
    pub delay: Duration,
    /// How long exchanges under way may take after that. Default 30 s; then they are cut off.
    pub patience: Duration,
}

impl Default for Drain {
    fn default() -> Drain {
        Drain { notice: Duration::ZERO, delay: Duration::ZERO, patience: Duration::from_secs(30) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_are_read_and_printed() {
        for (text, host, port, base) in [
            ("http://127.0.0.1:3000", "127.0.0.1", 3000, ""),
            ("http://localhost", "localhost", 80, ""),
            ("http://[::1]:8080/", "::1", 8080, ""),
            ("http://api.example.com/v1/", "api.example.com", 80, "/v1"),
        ] {
            let upstream: Upstream = text.parse().unwrap();
            assert_eq!((upstream.host(), upstream.port(), upstream.base()), (host, port, base), "{text}");
            assert_eq!(upstream.to_string(), text.trim_end_matches('/'));
        }
    }

    #[test]
    fn what_is_no_upstream_is_refused_with_a_reason() {
        for (text, reason) in [
            ("https://x", "TLS"),
            ("ftp://x", "scheme"),
            ("127.0.0.1:3000", "begin with http://"),
            ("http://user:pw@x", "@"),
            ("http://x/?a=1", "query"),
            ("", "not a URL"),
        ] {
            let error = text.parse::<Upstream>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
