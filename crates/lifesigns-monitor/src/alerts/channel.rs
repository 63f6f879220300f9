//! Ways for a message to get to people.
//!
//! Each makes one attempt at a delivery, within its deadline, and says what came of it; what is tried again, and when, is
//! for the [outbox](super::outbox).

mod answer;
mod command;
mod email;
mod pagerduty;
mod slack;
mod webhook;

use std::time::Duration;

pub use lifesigns_program::Program;
use tokio::time::timeout;

pub use self::command::{Command, CommandOptions};
pub use self::email::{Email, EmailOptions, Encryption};
pub use self::pagerduty::{PagerDuty, PagerDutyOptions};
pub use self::slack::{Slack, SlackOptions};
pub use self::webhook::{Template, Webhook, WebhookOptions};
use super::outbox::Delivery;
use super::text::visible;

/// How long an attempt may take unless it is said otherwise.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// The longest reason that is told, in characters.
const LONGEST_REASON: usize = 500;

/// Where messages go.
#[derive(Clone, Debug)]
pub enum Channel {
    /// Any program that takes JSON, or what a template makes, over HTTP.
    Webhook(Webhook),
    /// Slack, or what takes the same.
    Slack(Slack),
    /// PagerDuty, or what takes the same.
    PagerDuty(PagerDuty),
    /// Electronic mail.
    Email(Email),
    /// A program on this machine.
    Command(Command),
}

/// A delivery that was not made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Undelivered {
    /// Whether the receiver will never take it, however often it is tried.
    pub is_final: bool,
    /// Why, in words on one line. Holds no secret.
    pub why: String,
    /// When the receiver wants it to be tried again.
    pub retry_after: Option<Duration>,
}

impl Undelivered {
    /// What may go better the next time.
    fn for_now(why: &str) -> Undelivered {
        Undelivered { is_final: false, why: visible(why, LONGEST_REASON), retry_after: None }
    }

    /// What will not go better.
    fn for_good(why: &str) -> Undelivered {
        Undelivered { is_final: true, ..Undelivered::for_now(why) }
    }
}

impl Channel {
    /// Delivers a message, or says why it could not be delivered.
    ///
    /// That it is delivered is certain. That it is not is not: the receiver may have taken it before the line was cut. It
    /// can tell by the id, which is the same each time.
    ///
    /// # Errors
    /// When the receiver has not said that it takes the message.
    pub async fn send(&self, delivery: &Delivery) -> Result<(), Undelivered> {
        let deadline = self.deadline();
        let attempt = async {
            match self {
                Channel::Webhook(webhook) => webhook.send(delivery).await,
                Channel::Slack(slack) => slack.send(delivery).await,
                Channel::PagerDuty(pagerduty) => pagerduty.send(delivery).await,
                Channel::Email(email) => email.send(delivery).await,
                Channel::Command(command) => command.send(delivery).await,
            }
        };
        match timeout(deadline, attempt).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Undelivered::for_now(&format!(
                "{} has not taken it within {:?}",
                self.receiver(),
                deadline
            ))),
        }
    }

    /// How long an attempt may take.
    pub const fn deadline(&self) -> Duration {
        match self {
            Channel::Webhook(webhook) => webhook.deadline(),
            Channel::Slack(slack) => slack.deadline(),
            Channel::PagerDuty(pagerduty) => pagerduty.deadline(),
            Channel::Email(email) => email.deadline(),
            Channel::Command(command) => command.deadline(),
        }
    }

    /// Who takes it, in words without a secret.
    pub fn receiver(&self) -> &str {
        match self {
            Channel::Webhook(webhook) => webhook.receiver(),
            Channel::Slack(slack) => slack.receiver(),
            Channel::PagerDuty(pagerduty) => pagerduty.receiver(),
            Channel::Email(email) => email.receiver(),
            Channel::Command(command) => command.receiver(),
        }
    }
}
