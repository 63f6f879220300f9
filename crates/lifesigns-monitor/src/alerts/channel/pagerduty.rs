//! A message for PagerDuty, by its Events API version 2.

use std::path::PathBuf;
use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use lifesigns::BadOption;
use serde_json::{Value, json};

use super::answer::Address;
use super::webhook::{KEY, deadline, visible_value};
use super::{DEADLINE, Undelivered};
use crate::alerts::message::MessageKind;
use crate::alerts::outbox::Delivery;
use crate::alerts::payload::{Payload, key};
use lifesigns::Secret;

/// The longest summary that it takes, in characters.
const LONGEST_SUMMARY: usize = 1_024;
/// The longest text, in bytes: a whole event may have 512 KB.
const LONGEST_TEXT: usize = 128 * 1024;

/// Which service of PagerDuty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PagerDutyOptions {
    /// The integration key of an Events API v2 integration.
    pub routing_key: Secret,
    /// Where events go. Default: PagerDuty in the United States; in Europe it is
    /// `https://events.eu.pagerduty.com/v2/enqueue`.
    pub url: String,
    /// A file of certificate authorities in PEM, which are trusted besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// How long an attempt may take. Default 10 s.
    pub deadline: Duration,
}

impl PagerDutyOptions {
    /// The service with that integration key.
    pub fn new(routing_key: impl Into<String>) -> PagerDutyOptions {
        PagerDutyOptions {
            routing_key: Secret::new(routing_key),
            url: "https://events.pagerduty.com/v2/enqueue".to_owned(),
            ca_file: None,
            deadline: DEADLINE,
        }
    }
}

/// A service of PagerDuty.
#[derive(Clone, Debug)]
pub struct PagerDuty {
    address: Address,
    routing_key: Secret,
    deadline: Duration,
}

impl PagerDuty {
    /// Checks the options.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn new(options: &PagerDutyOptions) -> Result<PagerDuty, BadOption> {
        if options.routing_key.reveal().trim().is_empty() {
            let fault = "is empty; it is the integration key of an Events API v2 integration";
            return Err(BadOption::new("routing_key", fault));
        }
        let url = Secret::new(options.url.as_str());
        Ok(PagerDuty {
            address: Address::new(&url, options.ca_file.clone(), &[&options.routing_key])?,
            routing_key: options.routing_key.clone(),
            deadline: deadline(options.deadline)?,
        })
    }

    pub(super) async fn send(&self, delivery: &Delivery) -> Result<(), Undelivered> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(KEY, visible_value(&key(&delivery.id)));
        self.address.post(headers, self.written(delivery).to_string()).await
    }

    pub(super) const fn deadline(&self) -> Duration {
        self.deadline
    }

    pub(super) fn receiver(&self) -> &str {
        self.address.origin()
    }

    fn written(&self, delivery: &Delivery) -> Value {
        let payload = Payload::of(delivery);
        let message = &delivery.message;
        // One alert for all messages that a route is sent of an incident, whatever they say.
        let dedup_key = key(&format!("{}/{}", message.incident, delivery.route));
        let routing_key = self.routing_key.reveal();
        if message.kind == MessageKind::Resolved {
            return json!({"routing_key": routing_key, "event_action": "resolve", "dedup_key": dedup_key});
        }
        let first = payload.first();
        let summary: String = payload.title().chars().take(LONGEST_SUMMARY).collect();
        let text = payload.text();
        let mut event = json!({
            "routing_key": routing_key,
            "event_action": "trigger",
            "dedup_key": dedup_key,
            "client": "Lifesigns",
            "payload": {
                "summary": summary,
                "source": first.map_or("Lifesigns", |first| first.name()),
                "severity": if payload.now() == "red" { "critical" } else { "warning" },
                "timestamp": payload.began(),
                "component": first.and_then(|first| first.failing()),
                "group": first.and_then(|first| first.environment()),
                "custom_details": {
                    "text": &text[..text.floor_char_boundary(LONGEST_TEXT)],
                    "message": payload.id(),
                    "services": payload.count(),
                },
            },
        });
        if let Some(link) = payload.link() {
            event["client_url"] = link.into();
            event["links"] = json!([{"href": link, "text": "Incident"}]);
        }
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_is_told_and_no_secret_is_printed() {
        let told = PagerDuty::new(&PagerDutyOptions::new(" ")).unwrap_err().to_string();
        assert!(told.starts_with("`routing_key` is empty"), "{told}");
        let options = PagerDutyOptions::new("opensesame");
        let printed = format!("{options:?} {:?}", PagerDuty::new(&options).unwrap());
        assert!(!printed.contains("opensesame"), "{printed}");
    }
}
