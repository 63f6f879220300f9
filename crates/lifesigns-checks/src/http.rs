//! Does an HTTP server answer as it should, or is another service healthy by its own account?
//!
//! ```
//! use lifesigns_checks::{Secret, http};
//!
//! let shop = http::check("shop", http::Options::new("https://shop.example/ping"))?;
//! let polls = http::check("polls", http::Options {
//!     bearer_token: Some(Secret::new("…")),
//!     expect: http::Expect::Health(None),
//!     ..http::Options::new("https://polls.example/actuator/health")
//! })?;
//! # Ok::<(), lifesigns_checks::BadOption>(())
//! ```

use std::fmt::{self, Write as _};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Uri};
use lifesigns::model::dialect::{self, Dialect, Reading};
use lifesigns::model::light::Light;
use lifesigns::{Check, FailureKind, Report};
use lifesigns_fetch::{AddressPolicy, Answer, Body, Fetcher, Redirects, Request};
use serde_json::Value;
use url::Url;

use crate::network::shown;
use crate::{BadOption, Secret};
use lifesigns::Redaction;

/// Of an answer's body, so many characters are told.
const SHOWN: usize = 120;

/// What may be asked for as a health answer, most telling first.
const HEALTH: &str = "application/health+json, application/vnd.spring-boot.actuator.v3+json;q=0.9, \
                      application/json;q=0.8, text/plain;q=0.5, */*;q=0.1";

/// What is sent, and what the answer must be.
#[derive(Clone, PartialEq)]
pub struct Options {
    /// `http://` or `https://`, without user and password: those belong into `headers`.
    pub url: String,
    /// Default `GET`. `HEAD` is answered without a body, so that nothing can be expected of one.
    pub method: String,
    /// Sent as they are, besides `Host`, `User-Agent` and `Accept`; one of the same name takes their place.
    pub headers: Vec<(String, Secret)>,
    /// Sent as `Authorization: Bearer …`.
    pub bearer_token: Option<Secret>,
    /// Sent as the request's body, if there is one.
    pub body: Option<String>,
    /// What the answer must be.
    pub expect: Expect,
    /// How many redirects are followed, on the same scheme, host and port only. 0 to 10, default 0: an answer of 302
    /// is an answer of 302.
    pub redirects: u8,
    /// A longer body of the answer is not read to its end, in bytes. Default and at most 1 MiB.
    pub longest_body: usize,
    /// A file of certificate authorities in PEM, which are trusted besides those of the system.
    pub ca_file: Option<PathBuf>,
}

impl Options {
    /// `GET`, and any answer of 200 to 299.
    pub fn new(url: impl Into<String>) -> Options {
        Options {
            url: url.into(),
            method: "GET".into(),
            headers: Vec::new(),
            bearer_token: None,
            body: None,
            expect: Expect::Answer(AnswerWanted::default()),
            redirects: 0,
            longest_body: dialect::LONGEST_BODY,
            ca_file: None,
        }
    }
}

/// Without what is secret or may be: the values of headers, the request's body, and most of the URL.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { url, method, headers, bearer_token, body, expect, redirects, longest_body, ca_file } =
            self;
        f.debug_struct("Options")
            .field("url", &format_args!("{}", without_secrets(url)))
            .field("method", method)
            .field("headers", headers)
            .field("bearer_token", bearer_token)
            .field("body", &body.as_ref().map(|_| format_args!("…")))
            .field("expect", expect)
            .field("redirects", redirects)
            .field("longest_body", longest_body)
            .field("ca_file", ca_file)
            .finish()
    }
}

/// Scheme, host, port and path of a URL, which may not have been looked at yet.
fn without_secrets(url: &str) -> String {
    let Ok(url) = Url::parse(url) else { return "…".to_owned() };
    let Some(host) = url.host_str() else { return "…".to_owned() };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let query = if url.query().is_some() { "?…" } else { "" };
    format!("{}://{host}{port}{}{query}", url.scheme(), url.path())
}

/// What the answer must be.
#[derive(Clone, Debug, PartialEq)]
pub enum Expect {
    /// An answer like this one.
    Answer(AnswerWanted),
    /// What a service says of its own health, in this dialect, or in the one that it turns out to be. Green passes,
    /// amber warns, red fails.
    Health(Option<Dialect>),
}

/// An answer that passes. All of it must be true.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerWanted {
    /// The status codes, as ranges. Default: 200 to 299.
    pub status: Vec<RangeInclusive<u16>>,
    /// The body holds this text.
    pub contains: Option<String>,
    /// The body is JSON, and has this value at this JSON pointer (RFC 6901).
    pub json: Vec<(String, Value)>,
}

impl Default for AnswerWanted {
    fn default() -> AnswerWanted {
        AnswerWanted { status: vec![200..=299], contains: None, json: Vec::new() }
    }
}

/// A check that sends a request over a new connection.
pub fn check(name: &str, options: Options) -> Result<Check, BadOption> {
    let url = url(&options.url)?;
    let request = request(&options)?;
    validate(&options.expect)?;
    if request.method == Method::HEAD {
        without_body(&options.expect)?;
    }
    if options.redirects > 10 {
        return Err(BadOption::new("redirects", "is more than 10"));
    }
    if !(1..=dialect::LONGEST_BODY).contains(&options.longest_body) {
        let message = format!("is not between 1 and {} bytes", dialect::LONGEST_BODY);
        return Err(BadOption::new("longest_body", message));
    }
    if url.scheme() != "https" && options.ca_file.is_some() {
        return Err(BadOption::new("ca_file", "is of no use without https in `url`"));
    }
    let needs_body = match &options.expect {
        Expect::Answer(wanted) => wanted.contains.is_some() || !wanted.json.is_empty(),
        Expect::Health(form) => !matches!(form, Some(Dialect::TrafficLight | Dialect::Code)),
    };
    let fetcher = Fetcher::new(lifesigns_fetch::Options {
        longest_body: if needs_body { options.longest_body } else { 0 },
        redirects: Redirects::SameOrigin(options.redirects),
        // Whoever wrote the URL runs the service that asks: it may well be about a gateway on a link.
        addresses: AddressPolicy::Any,
        ca_file: options.ca_file,
        decompress: false,
        body_of_success: true,
    })?;
    if url.scheme() == "https" {
        fetcher.prepare_tls()?;
    }
    let secrets = options.headers.iter().map(|(_, value)| value).chain(&options.bearer_token);
    let redaction = Redaction::of(secrets.map(Secret::reveal));
    let asked = Arc::new((fetcher, url, request, Judge { redaction, expect: options.expect }));
    Ok(Check::new(name, move || {
        let asked = Arc::clone(&asked);
        async move {
            let (fetcher, url, request, judge) = &*asked;
            match fetcher.fetch(url, request).await {
                Ok(answer) => judge.judge(&answer),
                Err(failure) => failure.into(),
            }
        }
    }))
}

fn url(text: &str) -> Result<Url, BadOption> {
    // The URL itself is not told: it may hold a password, or what was meant to be one.
    let url = Url::parse(text).map_err(|error| {
        BadOption::new("url", format!("is no URL ({error}); write it as `https://shop.example/health`"))
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(BadOption::new("url", "begins with neither `http://` nor `https://`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BadOption::new(
            "url",
            "holds a user or a password; send them in `headers`, as `Authorization`",
        ));
    }
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    path.parse::<Uri>().map_err(|error| BadOption::new("url", format!("cannot be sent: {error}")))?;
    Ok(url)
}

fn request(options: &Options) -> Result<Request, BadOption> {
    let method = Method::from_bytes(options.method.as_bytes())
        .ok()
        .filter(|method| *method != Method::CONNECT)
        .ok_or_else(|| {
            BadOption::new("method", format!("{:?} is not one that can be sent", options.method))
        })?;
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static("lifesigns"));
    let accept = if matches!(options.expect, Expect::Health(_)) { HEALTH } else { "*/*" };
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    for (name, value) in &options.headers {
        let bad = |what: &str| BadOption::new("headers", format!("{name:?} {what}"));
        let known = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("is no name of a header"))?;
        if matches!(
            known.as_str(),
            "content-length" | "transfer-encoding" | "connection" | "expect" | "upgrade"
        ) {
            return Err(bad("is about the connection, which is not yours to set"));
        }
        headers.insert(known, sensitive(value).map_err(|()| bad("has a value that cannot be sent"))?);
    }
    if let Some(token) = &options.bearer_token {
        if headers.contains_key(AUTHORIZATION) {
            return Err(BadOption::new(
                "bearer_token",
                "and a header `Authorization` are there; one of them is enough",
            ));
        }
        let value = Secret::new(format!("Bearer {}", token.reveal()));
        let is_empty = token.reveal().trim().is_empty();
        let value = sensitive(&value).ok().filter(|_| !is_empty);
        let value =
            value.ok_or_else(|| BadOption::new("bearer_token", "is empty, or holds what cannot be sent"))?;
        headers.insert(AUTHORIZATION, value);
    }
    Ok(Request { method, headers, body: options.body.clone().unwrap_or_default().into() })
}

fn sensitive(value: &Secret) -> Result<HeaderValue, ()> {
    let mut value = HeaderValue::from_str(value.reveal()).map_err(|_| ())?;
    value.set_sensitive(true);
    Ok(value)
}

fn validate(expect: &Expect) -> Result<(), BadOption> {
    let Expect::Answer(wanted) = expect else { return Ok(()) };
    if wanted.status.is_empty() {
        return Err(BadOption::new("status", "is empty, so that no answer would do; `200` is the usual one"));
    }
    for range in &wanted.status {
        if range.is_empty() || *range.start() < 200 || *range.end() > 599 {
            let (start, end) = (range.start(), range.end());
            return Err(BadOption::new("status", format!("{start} to {end} is not within 200 to 599")));
        }
    }
    if wanted.contains.as_deref() == Some("") {
        return Err(BadOption::new("contains", "is empty, and so is in every body; leave it out"));
    }
    for (pointer, _) in &wanted.json {
        if !pointer.is_empty() && !pointer.starts_with('/') {
            let message = format!("{pointer:?} is no JSON pointer: those begin with `/`, as in `/status`");
            return Err(BadOption::new("json", message));
        }
    }
    Ok(())
}

/// Refuses what can only be found in a body.
fn without_body(expect: &Expect) -> Result<(), BadOption> {
    let looked_for = match expect {
        Expect::Answer(wanted) if wanted.contains.is_some() => "what `contains` looks for",
        Expect::Answer(wanted) if !wanted.json.is_empty() => "what `json` looks for",
        Expect::Health(Some(form)) if !matches!(form, Dialect::TrafficLight | Dialect::Code) => {
            "what `health` reads"
        }
        Expect::Answer(_) | Expect::Health(_) => return Ok(()),
    };
    let message =
        format!("is `HEAD`, which is answered without a body, and so never with {looked_for}; use `GET`");
    Err(BadOption::new("method", message))
}

/// From an answer to a report.
struct Judge {
    expect: Expect,
    /// A server may say again what was said to it.
    redaction: Redaction,
}

impl Judge {
    fn judge(&self, answer: &Answer) -> Report {
        let verdict = match &self.expect {
            Expect::Answer(wanted) => self.compare(wanted, answer).map(|()| Report::pass()),
            Expect::Health(form) => read(*form, answer).map(|reading| self.report(&reading, answer.status)),
        };
        // An answer that will not do; where it is 401 or 403, this is why.
        let is_denied = matches!(answer.status, 401 | 403);
        let kind = if is_denied { FailureKind::Denied } else { FailureKind::UnexpectedAnswer };
        verdict.unwrap_or_else(|output| Report::fail(kind, output))
    }

    fn compare(&self, wanted: &AnswerWanted, answer: &Answer) -> Result<(), String> {
        let status = answer.status;
        if !wanted.status.iter().any(|range| range.contains(&status)) {
            return Err(format!("answers {status}, which is not expected"));
        }
        if wanted.contains.is_none() && wanted.json.is_empty() {
            return Ok(());
        }
        let body = whole(answer)?;
        if let Some(text) = &wanted.contains {
            let is_there = body.windows(text.len()).any(|window| window == text.as_bytes());
            if !is_there {
                let said = self.excerpt(body);
                return Err(format!("answers {status}, without the text that is expected: {said}"));
            }
        }
        if wanted.json.is_empty() {
            return Ok(());
        }
        let json: Value = serde_json::from_slice(body).map_err(|error| {
            format!("answers {status}, with what is no JSON ({error}): {}", self.excerpt(body))
        })?;
        for (pointer, value) in &wanted.json {
            match json.pointer(pointer) {
                Some(found) if found == value => {}
                Some(found) => {
                    let found = self.excerpt(found.to_string().as_bytes());
                    return Err(format!("answers {status}, with {found} at `{pointer}`"));
                }
                None => return Err(format!("answers {status}, with nothing at `{pointer}`")),
            }
        }
        Ok(())
    }

    fn report(&self, reading: &Reading, status: u16) -> Report {
        if reading.light == Light::Green {
            return Report::pass();
        }
        let mut output = format!("answers {status}, which means {} as `{}`", reading.light, reading.dialect);
        let ill = reading.parts.iter().filter(|part| part.light != Light::Green);
        for (number, part) in ill.take(5).enumerate() {
            let before = if number == 0 { ": " } else { ", " };
            let name = self.excerpt(part.name.as_bytes());
            let _ = write!(output, "{before}{name} is {}", part.light);
        }
        match reading.light {
            Light::Red => Report::fail(FailureKind::UnexpectedAnswer, output),
            Light::Green | Light::Amber => Report::warn(output),
        }
    }

    /// The beginning of what was said.
    fn excerpt(&self, bytes: &[u8]) -> String {
        shown(self.redaction.hide(&String::from_utf8_lossy(bytes)).as_bytes(), SHOWN)
    }
}

fn read(form: Option<Dialect>, answer: &Answer) -> Result<Reading, String> {
    let status = answer.status;
    // What refuses us is often not the service, and says nothing of it.
    let is_refusal = matches!(status, 401 | 403) && form != Some(Dialect::TrafficLight);
    if is_refusal {
        return Err(format!("answers {status}: it takes other credentials to ask for its health"));
    }
    let body = match form {
        Some(Dialect::TrafficLight | Dialect::Code) => &[],
        // A 5xx says enough by itself.
        _ if status >= 500 => whole(answer).unwrap_or_default(),
        _ => whole(answer)?,
    };
    let content_type = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    dialect::read(form, status, content_type, body).map_err(|error| format!("answers {status}, and {error}"))
}

/// The whole body, or why there is none to be read.
fn whole(answer: &Answer) -> Result<&[u8], String> {
    let status = answer.status;
    match &answer.body {
        Body::Whole(body) => Ok(body),
        Body::TooLong(_) => Err(format!("answers {status}, with a body that is longer than `longest_body`")),
        Body::Unreadable(why) => Err(format!("answers {status}, with a body that {why}")),
    }
}
