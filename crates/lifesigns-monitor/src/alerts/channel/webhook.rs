//! A message for any program that takes one over HTTP.

mod template;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use lifesigns::BadOption;
use ring::hmac;

pub use self::template::Template;
use super::answer::Address;
use super::{DEADLINE, Undelivered};
use crate::alerts::outbox::Delivery;
use crate::alerts::payload::{Payload, hexadecimal};
use lifesigns::Secret;

/// The header with which receivers tell a message that they have had already.
pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The header that proves that the body is from whoever knows the secret.
const SIGNATURE: HeaderName = HeaderName::from_static("x-lifesigns-signature");

/// Headers that belong to the connection or are set here.
const OURS: [&str; 9] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "idempotency-key",
    "te",
    "transfer-encoding",
    "upgrade",
    "x-lifesigns-signature",
];

/// Where a webhook leads, and what it is sent.
#[derive(Clone, Eq, PartialEq)]
pub struct WebhookOptions {
    /// The address, `https://…` or `http://…`. Who knows it may be able to post to it, so it is never printed whole.
    pub url: Secret,
    /// What is sent. Default: all fields as JSON.
    pub template: Option<String>,
    /// The type of what is sent. It says how a template's values are escaped as well: as JSON, as HTML or XML, or not at
    /// all for every other type. Default `application/json`.
    pub content_type: String,
    /// Headers besides. Default: none.
    pub headers: Vec<(String, Secret)>,
    /// Sent as `Authorization: Bearer …`.
    pub token: Option<Secret>,
    /// What the body is signed with: HMAC-SHA-256, in the header `X-Lifesigns-Signature`.
    pub secret: Option<Secret>,
    /// A file of certificate authorities in PEM, which are trusted besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// How long an attempt may take. Default 10 s.
    pub deadline: Duration,
}

impl WebhookOptions {
    /// JSON for that address.
    pub fn new(url: impl Into<String>) -> WebhookOptions {
        WebhookOptions {
            url: Secret::new(url),
            template: None,
            content_type: "application/json".to_owned(),
            headers: Vec::new(),
            token: None,
            secret: None,
            ca_file: None,
            deadline: DEADLINE,
        }
    }
}

/// Without the template, which may hold a secret.
impl fmt::Debug for WebhookOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WebhookOptions { url, template, content_type, headers, token, secret, ca_file, deadline } = self;
        f.debug_struct("WebhookOptions")
            .field("url", url)
            .field("template", &template.as_ref().map(|_| "…"))
            .field("content_type", content_type)
            .field("headers", headers)
            .field("token", token)
            .field("secret", secret)
            .field("ca_file", ca_file)
            .field("deadline", deadline)
            .finish()
    }
}

/// A webhook.
#[derive(Clone, Debug)]
pub struct Webhook {
    address: Address,
    template: Option<Template>,
    headers: Headers,
    secret: Option<Secret>,
    deadline: Duration,
}

/// Headers, whose values are never printed.
#[derive(Clone)]
struct Headers(HeaderMap);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Webhook {
    /// Checks the options, and a template on messages of every kind.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn new(options: &WebhookOptions) -> Result<Webhook, BadOption> {
        let values = options.headers.iter().map(|(_, value)| value);
        let secrets: Vec<&Secret> = values.chain(&options.token).chain(&options.secret).collect();
        if options.secret.as_ref().is_some_and(|secret| secret.reveal().is_empty()) {
            return Err(BadOption::new("secret", "is empty, so anybody could sign with it"));
        }
        let template = options.template.as_ref();
        Ok(Webhook {
            address: Address::new(&options.url, options.ca_file.clone(), &secrets)?,
            template: template.map(|source| Template::new(source, &options.content_type)).transpose()?,
            headers: Headers(headers(options)?),
            secret: options.secret.clone(),
            deadline: deadline(options.deadline)?,
        })
    }

    pub(super) async fn send(&self, delivery: &Delivery) -> Result<(), Undelivered> {
        let payload = Payload::of(delivery);
        let body = match &self.template {
            None => payload.json(),
            Some(template) => template.render(&payload).map_err(|fault| {
                Undelivered::for_good(&format!("the template of {} {fault}", self.address.origin()))
            })?,
        };
        let mut headers = self.headers.0.clone();
        headers.insert(KEY, visible_value(payload.id()));
        if let Some(secret) = &self.secret {
            headers.insert(SIGNATURE, visible_value(&signature(secret, body.as_bytes())));
        }
        self.address.post(headers, body).await
    }

    pub(super) const fn deadline(&self) -> Duration {
        self.deadline
    }

    pub(super) fn receiver(&self) -> &str {
        self.address.origin()
    }
}

/// A value of which it is known that it is visible ASCII.
pub(super) fn visible_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// An attempt takes some time.
pub(super) fn deadline(deadline: Duration) -> Result<Duration, BadOption> {
    if deadline.is_zero() {
        return Err(BadOption::new(
            "deadline",
            "is 0, so that nothing would ever be sent; leave it out for 10 s",
        ));
    }
    Ok(deadline)
}

fn headers(options: &WebhookOptions) -> Result<HeaderMap, BadOption> {
    let mut headers = HeaderMap::new();
    let content_type = HeaderValue::from_str(&options.content_type)
        .map_err(|_| BadOption::new("content_type", "is none: it holds what no header may hold"))?;
    headers.insert(CONTENT_TYPE, content_type);
    for (name, value) in &options.headers {
        let bad = |fault: String| BadOption::new("headers", fault);
        let known: HeaderName =
            name.parse().map_err(|_| bad(format!("cannot hold {name:?}: that is no name of a header")))?;
        if OURS.contains(&known.as_str()) {
            return Err(bad(format!("must not hold `{known}`, which is set here")));
        }
        let mut value = HeaderValue::from_str(value.reveal()).map_err(|_| {
            bad(format!("hold a value for `{known}` with characters that no header may hold"))
        })?;
        value.set_sensitive(true);
        headers.append(known, value);
    }
    if let Some(token) = &options.token {
        if headers.contains_key(AUTHORIZATION) {
            return Err(BadOption::new(
                "token",
                "is set, and `headers` hold `Authorization` as well; leave out one",
            ));
        }
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.reveal()))
            .map_err(|_| BadOption::new("token", "holds characters that no header may hold"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

/// RFC 2104 with SHA-256, in hexadecimal.
fn signature(secret: &Secret, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes());
    format!("sha256={}", hexadecimal(hmac::sign(&key, body).as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_signed_as_others_do() {
        // RFC 4231 §4.3.
        let signed = signature(&Secret::new("Jefe"), b"what do ya want for nothing?");
        assert_eq!(signed, "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn what_cannot_be_used_is_told_without_secrets() {
        let check = |set: &dyn Fn(&mut WebhookOptions), words: &str| {
            let mut options = WebhookOptions::new("https://hooks.example/a");
            set(&mut options);
            let told = Webhook::new(&options).unwrap_err().to_string();
            assert!(told.contains(words) && !told.contains("opensesame"), "{told}");
        };
        let header = |name: &str, value: &str| vec![(name.to_owned(), Secret::new(value))];
        check(&|options| options.url = Secret::new("opensesame"), "`url` is no address");
        check(&|options| options.content_type = "a\nb".to_owned(), "`content_type` is none");
        check(&|options| options.headers = header("a b", "opensesame"), "\"a b\"");
        check(&|options| options.headers = header("X-A", "opensesame\r\nX-B: c"), "`x-a`");
        check(&|options| options.headers = header("Content-Length", "1"), "`content-length`");
        check(&|options| options.token = Some(Secret::new("opensesame\n")), "`token` holds");
        check(&|options| options.secret = Some(Secret::new("")), "`secret` is empty");
        check(&|options| options.deadline = Duration::ZERO, "`deadline` is 0");
        check(&|options| options.template = Some("{{ titel }}".to_owned()), "`template`");
        let both = |options: &mut WebhookOptions| {
            options.headers = header("Authorization", "Basic opensesame");
            options.token = Some(Secret::new("opensesame"));
        };
        check(&both, "leave out one");
    }

    #[test]
    fn no_secret_is_printed() {
        let options = WebhookOptions {
            headers: vec![("X-Key".to_owned(), Secret::new("opensesame"))],
            token: Some(Secret::new("opensesame")),
            secret: Some(Secret::new("opensesame")),
            template: Some("{\"key\": \"opensesame\"}".to_owned()),
            ..WebhookOptions::new("https://hooks.example/opensesame")
        };
        let webhook = Webhook::new(&options).unwrap();
        let printed = format!("{options:?} {webhook:?}");
        assert!(!printed.contains("opensesame") && printed.contains("x-key"), "{printed}");
    }
}
