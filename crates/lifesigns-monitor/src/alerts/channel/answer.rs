//! Posting over HTTP, and what an answer says of it.

use std::fmt;
use std::path::PathBuf;

use hyper::Method;
use hyper::header::{HeaderMap, HeaderValue, USER_AGENT};
use jiff::Timestamp;
use lifesigns::BadOption;
use lifesigns_fetch::{Answer, Body, Fetcher, Options, Redirects, Request};
use url::{Host, Url};

use super::Undelivered;
use crate::alerts::text::visible;
use lifesigns::{Redaction, Secret};

/// Some receivers take nothing from whoever does not say who they are.
const OUR_NAME: HeaderValue = HeaderValue::from_static(concat!("lifesigns/", env!("CARGO_PKG_VERSION")));
/// Of an answer so much is read, in bytes: it tells why a message was refused, in words if at all.
const LONGEST_ANSWER: usize = 64 * 1024;
/// Of those words so many characters are told.
const LONGEST_WORDS: usize = 200;
/// A part of an address that is as long may be what lets one in.
const SECRET_FROM: usize = 16;

/// An address that is posted to. Redirects are never followed: neither the message nor a secret goes elsewhere.
#[derive(Clone, Debug)]
pub(super) struct Address {
    url: Hidden,
    /// Scheme, host and port.
    origin: String,
    fetcher: Fetcher,
    redaction: Redaction,
}

/// An address that is never printed.
#[derive(Clone)]
struct Hidden(Url);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Url(…)")
    }
}

impl Address {
    /// Checks an address, and what is trusted besides the system's authorities. `secrets` are what is never told, like
    /// the address itself.
    pub(super) fn new(
        url: &Secret,
        ca_file: Option<PathBuf>,
        secrets: &[&Secret],
    ) -> Result<Address, BadOption> {
        let parsed = Url::parse(url.reveal()).map_err(|error| {
            BadOption::new("url", format!("is no address: {error}; it should look like https://host/path"))
        })?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(BadOption::new("url", "has to begin with https:// or http://"));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            let fault = "must not hold a user or password; put an `Authorization` header into `headers`";
            return Err(BadOption::new("url", fault));
        }
        let options = Options {
            longest_body: LONGEST_ANSWER,
            redirects: Redirects::Never,
            ca_file,
            decompress: false,
            // Once it has taken the message, nothing that it says may make us send it again.
            body_of_success: false,
            ..Options::default()
        };
        let fetcher = Fetcher::new(options)?;
        let origin = origin(&parsed);
        let path: Vec<&str> = parsed.path_segments().into_iter().flatten().collect();
        let query: Vec<String> = parsed.query_pairs().map(|(_, value)| value.into_owned()).collect();
        let parts = path.into_iter().filter(|part| part.len() >= SECRET_FROM);
        let whole = [parsed.as_str(), url.reveal()].into_iter().filter(|_| parsed.path() != "/");
        let secrets = secrets.iter().map(|secret| secret.reveal());
        let redaction = Redaction::of(
            parts.chain(whole).chain(query.iter().map(String::as_str)).chain(parsed.query()).chain(secrets),
        );
        Ok(Address { url: Hidden(parsed), origin, fetcher, redaction })
    }

    /// Scheme, host and port: no secret.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Posts, and says whether it was taken.
    pub(super) async fn post(&self, mut headers: HeaderMap, body: String) -> Result<(), Undelivered> {
        headers.entry(USER_AGENT).or_insert(OUR_NAME);
        let request = Request { method: Method::POST, headers, body: body.into() };
        match self.fetcher.fetch(&self.url.0, &request).await {
            Ok(answer) => self.judge(&answer, Timestamp::now()),
            Err(failure) => {
                let why = self.redaction.hide(&failure.message);
                let why = if why.contains(&self.origin) { why } else { format!("{}: {why}", self.origin) };
                Err(Undelivered::for_now(&why))
            }
        }
    }

    fn judge(&self, answer: &Answer, now: Timestamp) -> Result<(), Undelivered> {
        let status = answer.status;
        if (200..300).contains(&status) {
            return Ok(());
        }
        let said = String::from_utf8_lossy(answer.body.beginning());
        let said = match answer.body {
            Body::Whole(_) => self.redaction.hide(&said),
            Body::TooLong(_) | Body::Unreadable(_) => self.redaction.hide_in_beginning(&said),
        };
        let said = visible(said.trim(), LONGEST_WORDS);
        let colon = if said.is_empty() { "" } else { ": " };
        let origin = &self.origin;
        if (300..400).contains(&status) {
            let why = format!(
                "{origin} answers {status} and leads elsewhere; redirects are not followed, so that no secret goes \
                 elsewhere: set the address that it leads to"
            );
            return Err(Undelivered::for_good(&why));
        }
        let why = format!("{origin} answers {status}{colon}{said}");
        if is_final(status) {
            return Err(Undelivered::for_good(&why));
        }
        Err(Undelivered { retry_after: answer.retry_after(now), ..Undelivered::for_now(&why) })
    }
}

/// The request is at fault, and will be the next time (RFC 9110 §15.5). Those that are not: the request came too slowly,
/// too early (RFC 8470), too often.
const fn is_final(status: u16) -> bool {
    matches!(status, 400..=499) && !matches!(status, 408 | 425 | 429)
}

fn origin(url: &Url) -> String {
    let host = url.host().map(|host| match host {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(ip) => ip.to_string(),
        Host::Ipv6(ip) => format!("[{ip}]"),
    });
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), host.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_final_is_the_fault_of_the_request() {
        let last: Vec<u16> = (100..600).filter(|status| is_final(*status)).collect();
        assert_eq!(last.len(), 97);
        for status in [408, 425, 429, 500, 503] {
            assert!(!last.contains(&status), "{status}");
        }
    }

    #[test]
    fn an_address_is_told_by_its_origin_alone() {
        let url =
            Secret::new("https://hooks.example:8443/services/T0/B0/abcdefghijklmnopqrstuvwx?key=opensesame");
        let address = Address::new(&url, None, &[&Secret::new("Bearer hunter2hunter2")]).unwrap();
        assert_eq!(address.origin(), "https://hooks.example:8443");
        let printed = format!("{address:?}");
        for secret in ["services", "abcdefghijkl", "opensesame", "hunter2"] {
            assert!(!printed.contains(secret), "{printed}");
        }
        let said = "no abcdefghijklmnopqrstuvwx for opensesame at hunter2hunter2";
        assert_eq!(address.redaction.hide(said), "no … for … at …");
    }

    #[test]
    fn an_address_that_cannot_be_posted_to_is_told() {
        let check = |url: &str, words: &str| {
            let told = Address::new(&Secret::new(url), None, &[]).unwrap_err().to_string();
            assert!(told.contains(words) && !told.contains("opensesame"), "{told}");
        };
        check("opensesame", "is no address");
        check("ftp://opensesame/", "has to begin with");
        check("https://user:opensesame@host/", "must not hold");
    }
}
