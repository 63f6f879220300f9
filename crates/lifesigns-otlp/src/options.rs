//! What can be chosen: where to push, how often, with which headers.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use lifesigns::BadOption;
use url::{Position, Url};

/// Headers that are the exporter's own business.
const OWN_HEADERS: [&str; 6] =
    ["connection", "content-encoding", "content-length", "content-type", "host", "transfer-encoding"];

/// Where to push, how often, with which headers.
#[derive(Clone)]
pub struct Options {
    /// The whole URL that is pushed to. Its query may hold a secret.
    pub(crate) url: Url,
    /// Headers of each request. Their values are secrets.
    pub(crate) headers: HeaderMap,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) gzip: bool,
    pub(crate) ca_file: Option<PathBuf>,
    /// Attributes of the resource that stand over those that are known.
    pub(crate) resource: Vec<(String, String)>,
}

/// Without what is secret or may be: the values of headers, and the URL's query.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { url, headers, interval, timeout, gzip, ca_file, resource } = self;
        let query = if url.query().is_some() { "?…" } else { "" };
        f.debug_struct("Options")
            .field("url", &format_args!("{}{query}", &url[..Position::AfterPath]))
            .field("headers", headers)
            .field("interval", interval)
            .field("timeout", timeout)
            .field("gzip", gzip)
            .field("ca_file", ca_file)
            .field("resource", resource)
            .finish()
    }
}

impl Default for Options {
    /// A collector on this machine, at the port that is customary for it.
    fn default() -> Options {
        Options {
            url: Url::parse("http://localhost:4318/v1/metrics").expect("a constant is a URL"),
            headers: HeaderMap::new(),
            interval: Duration::from_mins(1),
            timeout: Duration::from_secs(10),
            gzip: false,
            ca_file: None,
            resource: Vec::new(),
        }
    }
}

impl Options {
    /// The collector's base URL, such as `https://collector.example:4318`; `/v1/metrics` is added unless it is there.
    ///
    /// # Errors
    /// When it is no `http://` or `https://` URL that can be pushed to.
    pub fn endpoint(mut self, base: &str) -> Result<Options, BadOption> {
        let mut url = parse(base).map_err(|fault| BadOption::new("endpoint", fault))?;
        let path = url.path().trim_end_matches('/');
        if !path.ends_with("/v1/metrics") {
            url.set_path(&format!("{path}/v1/metrics"));
        }
        self.url = url;
        Ok(self)
    }

    /// The URL that metrics are pushed to, as it is.
    ///
    /// # Errors
    /// When it is no `http://` or `https://` URL that can be pushed to.
    pub fn metrics_endpoint(mut self, url: &str) -> Result<Options, BadOption> {
        self.url = parse(url).map_err(|fault| BadOption::new("metrics_endpoint", fault))?;
        Ok(self)
    }

    /// From one push to the next, 100 ms or more, a hundred years at most. Default: 60 s.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Options {
        self.interval = interval;
        self
    }

    /// How long one request may take, from connecting to the end of its answer; more than zero. Default:
    /// 10 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Options {
        self.timeout = timeout;
        self
    }

    /// Whether requests are compressed. Default: no.
    #[must_use]
    pub fn gzip(mut self, gzip: bool) -> Options {
        self.gzip = gzip;
        self
    }

    /// PEM file with certificate authorities to trust besides the system's.
    #[must_use]
    pub fn ca_file(mut self, file: impl Into<PathBuf>) -> Options {
        self.ca_file = Some(file.into());
        self
    }

    /// With a header in each request, in the place of one of the same name. The value is taken for a secret.
    ///
    /// # Errors
    /// When name or value cannot stand in a request, or the header is one that the exporter sets itself.
    pub fn header(mut self, name: &str, value: &str) -> Result<Options, BadOption> {
        // The value is a secret, and what was taken for the name may be one.
        let fault = |fault: &str| BadOption::new("headers", fault);
        let name: HeaderName =
            name.trim().parse().map_err(|_| fault("hold a name that no header can have"))?;
        if OWN_HEADERS.contains(&name.as_str()) {
            return Err(BadOption::new("headers", format!("name `{name}`, which the exporter sets itself")));
        }
        let mut value =
            HeaderValue::from_str(value.trim()).map_err(|_| fault("hold a value that no header can have"))?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    /// With an attribute of the resource, in the place of one of the same name.
    #[must_use]
    pub fn resource_attribute(mut self, name: &str, value: &str) -> Options {
        self.resource.retain(|(other, _)| other != name);
        self.resource.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The URL that is pushed to, with its query, which may hold a secret.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }
}

fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|error| format!("is no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("does not begin with http:// or https:// and a host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user or password; send them in a header".to_owned());
    }
    if url.fragment().is_some() {
        return Err("has a fragment (`#`), which is never sent".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_metrics_is_added_once() {
        let check = |base: &str, expected: &str| {
            assert_eq!(Options::default().endpoint(base).unwrap().url(), expected);
        };
        check("http://collector:4318", "http://collector:4318/v1/metrics");
        check("https://example.com/otlp/", "https://example.com/otlp/v1/metrics");
        check("http://[::1]:4318/v1/metrics", "http://[::1]:4318/v1/metrics");
        let as_it_is = Options::default().metrics_endpoint("http://a/x").unwrap();
        assert_eq!(as_it_is.url(), "http://a/x");
    }

    #[test]
    fn what_cannot_be_pushed_to_is_refused() {
        let check = |url: &str, expected: &str| {
            let fault = Options::default().endpoint(url).unwrap_err().fault;
            assert!(fault.contains(expected), "{url}: {fault}");
            assert!(!fault.contains("secret"), "{fault}");
        };
        check("collector", "no URL");
        check("collector:4318", "http://");
        check("ftp://collector", "http://");
        check("http://me:secret@collector", "password");
        check("http://collector/#a", "fragment");
    }

    #[test]
    fn headers_are_secrets() {
        let options = Options::default().header("Authorization", "Bearer ls_secret").unwrap();
        let options = options.metrics_endpoint("http://collector/x?token=ls_secret").unwrap();
        let printed = format!("{options:?}");
        assert!(!printed.contains("ls_secret"), "{printed}");
        assert!(printed.contains("http://collector/x?…") && printed.contains("authorization"), "{printed}");
        for (name, value) in [("a b", "ls_secret"), ("a", "ls_secret\n"), ("host", "ls_secret")] {
            let options = Options::default();
            match options.header(name, value) {
                Err(bad) => assert!(!bad.to_string().contains("ls_secret"), "{bad}"),
                Ok(_) => assert_eq!(name, "a", "white space at the end is no part of a value"),
            }
        }
        assert!(Options::default().header("a", "x\ny").is_err());
    }
}
