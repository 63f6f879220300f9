//! How people are told: from what was written to a channel that checks its options itself.

use std::time::Duration;

use lifesigns::BadOption;
use lifesigns_monitor::alerts::channel::{
    Command, CommandOptions, Email, EmailOptions, Encryption, PagerDuty, PagerDutyOptions, Slack,
    SlackOptions, Webhook, WebhookOptions,
};
use lifesigns_monitor::alerts::{Channel, Secret};

use crate::config::fault::{Fault, Place};
use crate::config::tree::At;
use crate::config::validated::option::{self, Told, Written, needed};
use crate::config::validated::{Checks, text, values};
use crate::config::wire::monitor as wire;

/// The channel that was written, if it is right.
pub(super) fn channel(place: &Place, written: &wire::Channel, checks: &mut Checks<'_>) -> Option<Channel> {
    let mut places = Written::default();
    let made = match written {
        wire::Channel::Webhook(written) => webhook(place, written, &mut places, checks)?,
        wire::Channel::Slack { url, ca_file, deadline_seconds } => {
            let url = needed_secret("url", url, ["url_env", "url_file"], place, &mut places, checks)?;
            let mut options = SlackOptions::new(url);
            common(&mut options.ca_file, ca_file.as_ref(), &mut places, checks);
            options.deadline = deadline(deadline_seconds.as_ref(), &mut places);
            Slack::new(&options).map(Channel::Slack)
        }
        wire::Channel::PagerDuty { routing_key, url, ca_file, deadline_seconds } => {
            let keys = ["routing_key_env", "routing_key_file"];
            let key = needed_secret("routing_key", routing_key, keys, place, &mut places, checks)?;
            let mut options = PagerDutyOptions::new(key);
            if let Some(url) = url {
                options.url.clone_from(&url.value);
            }
            places.at("url", url.as_ref());
            common(&mut options.ca_file, ca_file.as_ref(), &mut places, checks);
            options.deadline = deadline(deadline_seconds.as_ref(), &mut places);
            PagerDuty::new(&options).map(Channel::PagerDuty)
        }
        wire::Channel::Email(written) => email(place, written, &mut places, checks)?,
        wire::Channel::Command(written) => command(place, written, &mut places, checks)?,
    };
    match made {
        Ok(channel) => Some(channel),
        Err(bad) => {
            checks.fault(places.fault(&bad, place));
            None
        }
    }
}

/// A channel, or what it finds wrong with its own options.
type Made = Result<Channel, BadOption>;

fn webhook(
    place: &Place,
    written: &wire::Webhook,
    places: &mut Written,
    checks: &mut Checks<'_>,
) -> Option<Made> {
    let keys = ["url_env", "url_file"];
    let url = match &written.url {
        Some(url) => {
            let others = [&written.secret_url.variable, &written.secret_url.file];
            if let Some(other) = others.into_iter().flatten().next() {
                checks.fault(
                    Fault::new(&other.place, "`url` says the same")
                        .hint("keep one of `url`, `url_file` and `url_env`"),
                );
                return None;
            }
            places.at("url", Some(url));
            url.value.clone()
        }
        None => needed_secret("url", &written.secret_url, keys, place, places, checks)?,
    };
    let mut options = WebhookOptions::new(url);
    if let Some(file) = &written.template_file {
        options.template = Some(checks.read("template_file", file)?);
    }
    places.under("template", "template_file", written.template_file.as_ref());
    if let Some(content_type) = &written.content_type {
        options.content_type.clone_from(&content_type.value);
    }
    places.at("content_type", written.content_type.as_ref());
    for header in written.headers.iter().flatten() {
        options.headers.push(header_line(&header.value, &header.place, checks)?);
    }
    if let Some(file) = &written.headers_file {
        let lines = checks.read("headers_file", file)?;
        for line in lines.lines().filter(|line| !line.trim().is_empty()) {
            options.headers.push(header_line(line, &file.place, checks)?);
        }
    }
    places.at("headers", written.headers.iter().flatten().next());
    places.under("headers", "headers_file", written.headers_file.as_ref());
    options.token = secret(&written.token, "token", ["token_env", "token_file"], places, checks).ok()?;
    options.secret = secret(&written.secret, "secret", ["secret_env", "secret_file"], places, checks).ok()?;
    common(&mut options.ca_file, written.ca_file.as_ref(), places, checks);
    options.deadline = deadline(written.deadline_seconds.as_ref(), places);
    Some(Webhook::new(&options).map(Channel::Webhook))
}

fn email(
    place: &Place,
    written: &wire::Email,
    places: &mut Written,
    checks: &mut Checks<'_>,
) -> Option<Made> {
    let host = needed("host", written.host.as_ref(), place, checks);
    let from = needed("from", written.from.as_ref(), place, checks);
    if written.to.is_none() {
        checks.fault(Fault::new(place, "`to` is missing"));
    }
    let to = written.to.as_ref()?.iter().map(|at| at.value.clone()).collect();
    let mut options = EmailOptions::new(host?.value.as_str(), from?.value.as_str(), to);
    places.at("host", written.host.as_ref());
    places.at("from", written.from.as_ref());
    places.at("to", written.to.iter().flatten().next());
    places.at("user", written.user.as_ref());
    // Between 1 and 65535, as the reference has it.
    options.port = written.port.as_ref().and_then(|port| u16::try_from(port.value).ok());
    options.encryption = match written.encryption.as_ref().map(|at| at.value) {
        Some("tls") => Encryption::Tls,
        Some("none") => Encryption::Plain,
        _ => Encryption::StartTls,
    };
    places.at("encryption", written.encryption.as_ref());
    options.user = text(written.user.as_ref());
    options.password =
        secret(&written.password, "password", ["password_env", "password_file"], places, checks).ok()?;
    common(&mut options.ca_file, written.ca_file.as_ref(), places, checks);
    options.deadline = deadline(written.deadline_seconds.as_ref(), places);
    Some(Email::new(&options).map(Channel::Email))
}

fn command(
    place: &Place,
    written: &wire::Command,
    places: &mut Written,
    checks: &mut Checks<'_>,
) -> Option<Made> {
    let program = option::program(place, &written.program, places, checks)?;
    let deadline = deadline(written.deadline_seconds.as_ref(), places);
    Some(Command::new(CommandOptions { program, deadline }).map(Channel::Command))
}

fn common(
    ca_file: &mut Option<std::path::PathBuf>,
    written: Option<&At<String>>,
    places: &mut Written,
    checks: &Checks<'_>,
) {
    *ca_file = written.map(|file| checks.path(file));
    places.at("ca_file", written);
}

fn deadline(written: Option<&At<u64>>, places: &mut Written) -> Duration {
    places.under("deadline", "deadline_seconds", written);
    Duration::from_secs(values::number(written, 10))
}

/// A secret, if there is one.
///
/// # Errors
/// There is a fault, and it has been told.
fn secret(
    written: &wire::Secret,
    option: &'static str,
    keys: [&'static str; 2],
    places: &mut Written,
    checks: &mut Checks<'_>,
) -> Result<Option<Secret>, Told> {
    Ok(secret_text(written, option, keys, places, checks)?.map(Secret::new))
}

fn secret_text(
    written: &wire::Secret,
    option: &'static str,
    [env_key, file_key]: [&'static str; 2],
    places: &mut Written,
    checks: &mut Checks<'_>,
) -> Result<Option<String>, Told> {
    places.under(option, env_key, written.variable.as_ref());
    places.under(option, file_key, written.file.as_ref());
    option::secret([env_key, file_key], written.variable.as_ref(), written.file.as_ref(), checks)
}

/// A secret that must be there.
fn needed_secret(
    option: &'static str,
    written: &wire::Secret,
    keys: [&'static str; 2],
    place: &Place,
    places: &mut Written,
    checks: &mut Checks<'_>,
) -> Option<String> {
    let secret = secret_text(written, option, keys, places, checks).ok()?;
    if secret.is_none() {
        let [env_key, file_key] = keys;
        checks.fault(
            Fault::new(place, format!("`{file_key}` or `{env_key}` is missing"))
                .hint("a secret stands in a file of its own or in the environment, and never in this file"),
        );
    }
    secret
}

/// A header as it is written in a request. It may be a secret, so it is not repeated.
fn header_line(line: &str, place: &Place, checks: &mut Checks<'_>) -> Option<(String, Secret)> {
    let Some((name, value)) = line.split_once(':') else {
        checks.fault(
            Fault::new(place, "a header has no colon").hint("write name, colon, value: `x-team: ops`"),
        );
        return None;
    };
    Some((name.trim().to_owned(), Secret::new(value.trim())))
}
