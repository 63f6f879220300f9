//! `[monitor]`, `[[service]]`, `[[alert]]` and `[[maintenance]]`.

use jiff::Timestamp;

use super::Optional;
use super::program::{Program, program};
use crate::config::fault::{Fault, Place};
use crate::config::reader::Reader;
use crate::config::reference::monitor::channels;
use crate::config::tree::At;

type List = Option<Vec<At<String>>>;

/// `[monitor]`
#[derive(Debug, Default)]
pub struct Monitor {
    pub listen: Optional<String>,
    pub agent_listen: Optional<String>,
    pub data: Optional<String>,
    pub retention_days: Optional<u64>,
    pub title: Optional<String>,
    pub link: Optional<String>,
    pub interval_seconds: Optional<u64>,
    pub deadline_seconds: Optional<u64>,
    pub failures: Optional<u64>,
    pub recoveries: Optional<u64>,
    pub red_interval_seconds: Optional<u64>,
    pub full_every: Optional<u64>,
    pub cascade_seconds: Optional<u64>,
    pub references: List,
    pub any_address: Optional<bool>,
    pub ca_file: Optional<String>,
    pub user_header: Optional<String>,
    pub decisions: Optional<&'static str>,
}

/// `[[service]]`
#[derive(Debug)]
pub struct Service {
    pub place: Place,
    /// Whether all of it could be read.
    pub whole: bool,
    pub name: Optional<String>,
    pub url: Optional<String>,
    pub dialect: Optional<&'static str>,
    pub environment: Optional<String>,
    pub depends_on: List,
    pub interval_seconds: Optional<u64>,
    pub deadline_seconds: Optional<u64>,
    pub failures: Optional<u64>,
    pub recoveries: Optional<u64>,
    pub authorization_file: Optional<String>,
    pub authorization_env: Optional<String>,
    pub public: Optional<bool>,
}

/// `[[alert]]`
#[derive(Debug)]
pub struct Alert {
    pub place: Place,
    /// Whether all of it could be read.
    pub whole: bool,
    pub name: Optional<String>,
    pub services: List,
    pub environments: List,
    pub light: Optional<&'static str>,
    pub after_seconds: Optional<u64>,
    pub group_wait_seconds: Optional<u64>,
    pub group_interval_seconds: Optional<u64>,
    pub remind_minutes: Optional<u64>,
    pub quiet: List,
    /// The tables that say how people are told; one is right.
    pub channels: Vec<(Place, Channel)>,
}

/// How people are told.
#[derive(Debug)]
pub enum Channel {
    Webhook(Box<Webhook>),
    Slack {
        url: Secret,
        ca_file: Optional<String>,
        deadline_seconds: Optional<u64>,
    },
    PagerDuty {
        routing_key: Secret,
        url: Optional<String>,
        ca_file: Optional<String>,
        deadline_seconds: Optional<u64>,
    },
    Email(Box<Email>),
    Command(Command),
}

/// A secret, in one of two ways.
#[derive(Debug)]
pub struct Secret {
    pub file: Optional<String>,
    pub variable: Optional<String>,
}

/// `[alert.webhook]`
#[derive(Debug)]
pub struct Webhook {
    pub url: Optional<String>,
    pub secret_url: Secret,
    pub template_file: Optional<String>,
    pub content_type: Optional<String>,
    pub headers: List,
    pub headers_file: Optional<String>,
    pub token: Secret,
    pub secret: Secret,
    pub ca_file: Optional<String>,
    pub deadline_seconds: Optional<u64>,
}

/// `[alert.email]`
#[derive(Debug)]
pub struct Email {
    pub host: Optional<String>,
    pub port: Optional<u64>,
    pub encryption: Optional<&'static str>,
    pub user: Optional<String>,
    pub password: Secret,
    pub from: Optional<String>,
    pub to: List,
    pub ca_file: Optional<String>,
    pub deadline_seconds: Optional<u64>,
}

/// `[alert.command]`
#[derive(Debug)]
pub struct Command {
    pub program: Program,
    pub deadline_seconds: Optional<u64>,
}

/// `[[maintenance]]`
#[derive(Debug)]
pub struct Maintenance {
    pub place: Place,
    /// Whether all of it could be read.
    pub whole: bool,
    pub services: List,
    pub from: Optional<Timestamp>,
    pub to: Optional<Timestamp>,
    pub reason: Optional<String>,
}

pub(super) fn monitor(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Monitor {
    let monitor = Monitor {
        listen: reader.text("listen", faults),
        agent_listen: reader.text("agent_listen", faults),
        data: reader.text("data", faults),
        retention_days: reader.integer("retention_days", faults),
        title: reader.text("title", faults),
        link: reader.text("link", faults),
        interval_seconds: reader.integer("interval_seconds", faults),
        deadline_seconds: reader.integer("deadline_seconds", faults),
        failures: reader.integer("failures", faults),
        recoveries: reader.integer("recoveries", faults),
        red_interval_seconds: reader.integer("red_interval_seconds", faults),
        full_every: reader.integer("full_every", faults),
        cascade_seconds: reader.integer("cascade_seconds", faults),
        references: reader.list("references", faults),
        any_address: reader.switch("any_address", faults),
        ca_file: reader.text("ca_file", faults),
        user_header: reader.text("user_header", faults),
        decisions: reader.choice("decisions", faults),
    };
    reader.finish(faults);
    monitor
}

pub(super) fn service(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Service {
    let before = faults.len();
    let mut service = Service {
        place: reader.place.clone(),
        whole: false,
        name: reader.text("name", faults),
        url: reader.text("url", faults),
        dialect: reader.choice("dialect", faults),
        environment: reader.text("environment", faults),
        depends_on: reader.list("depends_on", faults),
        interval_seconds: reader.integer("interval_seconds", faults),
        deadline_seconds: reader.integer("deadline_seconds", faults),
        failures: reader.integer("failures", faults),
        recoveries: reader.integer("recoveries", faults),
        authorization_file: reader.text("authorization_file", faults),
        authorization_env: reader.text("authorization_env", faults),
        public: reader.switch("public", faults),
    };
    reader.finish(faults);
    service.whole = faults.len() == before;
    service
}

pub(super) fn alert(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Alert {
    let before = faults.len();
    let mut alert = Alert {
        place: reader.place.clone(),
        whole: false,
        name: reader.text("name", faults),
        services: reader.list("services", faults),
        environments: reader.list("environments", faults),
        light: reader.choice("light", faults),
        after_seconds: reader.integer("after_seconds", faults),
        group_wait_seconds: reader.integer("group_wait_seconds", faults),
        group_interval_seconds: reader.integer("group_interval_seconds", faults),
        remind_minutes: reader.integer("remind_minutes", faults),
        quiet: reader.list("quiet", faults),
        channels: Vec::new(),
    };
    for (kind, _) in channels() {
        if let Some(table) = reader.table(kind, faults) {
            alert.channels.push((table.place.clone(), channel(kind, table, faults)));
        }
    }
    reader.finish(faults);
    alert.whole = faults.len() == before;
    alert
}

fn channel(kind: &'static str, mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Channel {
    let channel = match kind {
        "webhook" => Channel::Webhook(Box::new(webhook(&mut reader, faults))),
        "slack" => Channel::Slack {
            url: secret(&mut reader, ["url_file", "url_env"], faults),
            ca_file: reader.text("ca_file", faults),
            deadline_seconds: reader.integer("deadline_seconds", faults),
        },
        "pagerduty" => Channel::PagerDuty {
            routing_key: secret(&mut reader, ["routing_key_file", "routing_key_env"], faults),
            url: reader.text("url", faults),
            ca_file: reader.text("ca_file", faults),
            deadline_seconds: reader.integer("deadline_seconds", faults),
        },
        "email" => Channel::Email(Box::new(email(&mut reader, faults))),
        "command" => Channel::Command(Command {
            program: program(&mut reader, faults),
            deadline_seconds: reader.integer("deadline_seconds", faults),
        }),
        other => unreachable!("{other} is documented as a channel and is none"),
    };
    reader.finish(faults);
    channel
}

fn webhook(reader: &mut Reader<'_>, faults: &mut Vec<Fault>) -> Webhook {
    Webhook {
        url: reader.text("url", faults),
        secret_url: secret(reader, ["url_file", "url_env"], faults),
        template_file: reader.text("template_file", faults),
        content_type: reader.text("content_type", faults),
        headers: reader.list("headers", faults),
        headers_file: reader.text("headers_file", faults),
        token: secret(reader, ["token_file", "token_env"], faults),
        secret: secret(reader, ["secret_file", "secret_env"], faults),
        ca_file: reader.text("ca_file", faults),
        deadline_seconds: reader.integer("deadline_seconds", faults),
    }
}

fn email(reader: &mut Reader<'_>, faults: &mut Vec<Fault>) -> Email {
    Email {
        host: reader.text("host", faults),
        port: reader.integer("port", faults),
        encryption: reader.choice("encryption", faults),
        user: reader.text("user", faults),
        password: secret(reader, ["password_file", "password_env"], faults),
        from: reader.text("from", faults),
        to: reader.list("to", faults),
        ca_file: reader.text("ca_file", faults),
        deadline_seconds: reader.integer("deadline_seconds", faults),
    }
}

fn secret(reader: &mut Reader<'_>, [file, variable]: [&'static str; 2], faults: &mut Vec<Fault>) -> Secret {
    Secret { file: reader.text(file, faults), variable: reader.text(variable, faults) }
}

pub(super) fn maintenance(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Maintenance {
    let before = faults.len();
    let mut maintenance = Maintenance {
        place: reader.place.clone(),
        whole: false,
        services: reader.list("services", faults),
        from: reader.moment("from", faults),
        to: reader.moment("to", faults),
        reason: reader.text("reason", faults),
    };
    reader.finish(faults);
    maintenance.whole = faults.len() == before;
    maintenance
}
