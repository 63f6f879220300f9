//! `[[check]]`, its values read and not weighed.

use super::Optional;
use super::program::{Program, program};
use crate::config::fault::{Fault, Place};
use crate::config::reader::Reader;
use crate::config::reference::checks::kinds;
use crate::config::tree::At;

/// `[[check]]`
#[derive(Debug)]
pub struct Check {
    pub place: Place,
    /// Whether all of it could be read.
    pub whole: bool,
    pub name: Optional<String>,
    pub apis: Option<Vec<At<String>>>,
    pub critical: Optional<bool>,
    pub interval_seconds: Optional<u64>,
    pub timeout_seconds: Optional<u64>,
    pub failure_threshold: Optional<u64>,
    pub recovery_threshold: Optional<u64>,
    pub grace_seconds: Optional<u64>,
    pub shared: Optional<bool>,
    pub fails_readiness: Optional<bool>,
    pub fails_liveness: Optional<bool>,
    pub affected_endpoints: Option<Vec<At<String>>>,
    /// The tables that say what is checked; one is right.
    pub probes: Vec<(Place, Probe)>,
}

/// What is checked.
#[derive(Debug)]
pub enum Probe {
    Http(Box<Http>),
    Tcp {
        address: Optional<String>,
        banner: Optional<String>,
    },
    Dns {
        name: Optional<String>,
        record_type: Optional<&'static str>,
        expect: Optional<String>,
        server: Optional<String>,
    },
    Certificate(Certificate),
    /// A database or broker: which one, where, and the statement, queue or topic.
    Service(&'static str, Box<Service>),
    Sqlite {
        path: Optional<String>,
        quick_check: Optional<bool>,
        query: Optional<String>,
    },
    Disk(Disk),
    Memory {
        pid: Optional<u64>,
        pid_file: Optional<String>,
        warn_percent: Optional<u64>,
        fail_percent: Optional<u64>,
    },
    File {
        path: Optional<String>,
        max_age_seconds: Optional<u64>,
        min_size_bytes: Optional<u64>,
    },
    Command(Command),
}

/// `[check.http]`
#[derive(Debug)]
pub struct Http {
    pub url: Optional<String>,
    pub method: Optional<String>,
    pub headers: Option<Vec<At<String>>>,
    pub bearer_token_env: Optional<String>,
    pub bearer_token_file: Optional<String>,
    pub health: Optional<&'static str>,
    pub status: Option<Vec<At<String>>>,
    pub contains: Optional<String>,
    pub json: Option<Vec<At<String>>>,
    pub redirects: Optional<u64>,
    pub ca_file: Optional<String>,
}

/// `[check.certificate]`
#[derive(Debug)]
pub struct Certificate {
    pub address: Optional<String>,
    pub server_name: Optional<String>,
    pub file: Optional<String>,
    pub warn_days: Optional<u64>,
    pub fail_days: Optional<u64>,
    pub ca_file: Optional<String>,
}

/// `[check.postgres]` and its like
#[derive(Debug)]
pub struct Service {
    pub url: Optional<String>,
    pub password_env: Optional<String>,
    pub password_file: Optional<String>,
    pub tls: Optional<bool>,
    pub ca_file: Optional<String>,
    /// `query`, `queue` or `topic`.
    pub subject: Optional<String>,
}

/// `[check.disk]`
#[derive(Debug)]
pub struct Disk {
    pub path: Optional<String>,
    pub warn_free_percent: Optional<u64>,
    pub fail_free_percent: Optional<u64>,
    pub warn_free_mb: Optional<u64>,
    pub fail_free_mb: Optional<u64>,
}

/// `[check.command]`
#[derive(Debug)]
pub struct Command {
    pub program: Program,
    pub warn_codes: Option<Vec<At<String>>>,
}

/// Reads a `[[check]]`.
pub fn check(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Check {
    let before = faults.len();
    let mut check = Check {
        place: reader.place.clone(),
        whole: false,
        name: reader.text("name", faults),
        apis: reader.list("apis", faults),
        critical: reader.switch("critical", faults),
        interval_seconds: reader.integer("interval_seconds", faults),
        timeout_seconds: reader.integer("timeout_seconds", faults),
        failure_threshold: reader.integer("failure_threshold", faults),
        recovery_threshold: reader.integer("recovery_threshold", faults),
        grace_seconds: reader.integer("grace_seconds", faults),
        shared: reader.switch("shared", faults),
        fails_readiness: reader.switch("fails_readiness", faults),
        fails_liveness: reader.switch("fails_liveness", faults),
        affected_endpoints: reader.list("affected_endpoints", faults),
        probes: Vec::new(),
    };
    for (kind, _) in kinds() {
        if let Some(table) = reader.table(kind, faults) {
            check.probes.push((table.place.clone(), probe(kind, table, faults)));
        }
    }
    reader.finish(faults);
    check.whole = faults.len() == before;
    check
}

fn probe(kind: &'static str, mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Probe {
    let probe = match kind {
        "http" => Probe::Http(Box::new(http(&mut reader, faults))),
        "tcp" => {
            Probe::Tcp { address: reader.text("address", faults), banner: reader.text("banner", faults) }
        }
        "dns" => Probe::Dns {
            name: reader.text("name", faults),
            record_type: reader.choice("record_type", faults),
            expect: reader.text("expect", faults),
            server: reader.text("server", faults),
        },
        "certificate" => Probe::Certificate(Certificate {
            address: reader.text("address", faults),
            server_name: reader.text("server_name", faults),
            file: reader.text("file", faults),
            warn_days: reader.integer("warn_days", faults),
            fail_days: reader.integer("fail_days", faults),
            ca_file: reader.text("ca_file", faults),
        }),
        "sqlite" => Probe::Sqlite {
            path: reader.text("path", faults),
            quick_check: reader.switch("quick_check", faults),
            query: reader.text("query", faults),
        },
        "disk" => Probe::Disk(Disk {
            path: reader.text("path", faults),
            warn_free_percent: reader.integer("warn_free_percent", faults),
            fail_free_percent: reader.integer("fail_free_percent", faults),
            warn_free_mb: reader.integer("warn_free_mb", faults),
            fail_free_mb: reader.integer("fail_free_mb", faults),
        }),
        "memory" => Probe::Memory {
            pid: reader.integer("pid", faults),
            pid_file: reader.text("pid_file", faults),
            warn_percent: reader.integer("warn_percent", faults),
            fail_percent: reader.integer("fail_percent", faults),
        },
        "file" => Probe::File {
            path: reader.text("path", faults),
            max_age_seconds: reader.integer("max_age_seconds", faults),
            min_size_bytes: reader.integer("min_size_bytes", faults),
        },
        "command" => Probe::Command(Command {
            program: program(&mut reader, faults),
            warn_codes: reader.list("warn_codes", faults),
        }),
        service => Probe::Service(service, Box::new(self::service(service, &mut reader, faults))),
    };
    reader.finish(faults);
    probe
}

fn http(reader: &mut Reader<'_>, faults: &mut Vec<Fault>) -> Http {
    Http {
        url: reader.text("url", faults),
        method: reader.text("method", faults),
        headers: reader.list("headers", faults),
        bearer_token_env: reader.text("bearer_token_env", faults),
        bearer_token_file: reader.text("bearer_token_file", faults),
        health: reader.choice("health", faults),
        status: reader.list("status", faults),
        contains: reader.text("contains", faults),
        json: reader.list("json", faults),
        redirects: reader.integer("redirects", faults),
        ca_file: reader.text("ca_file", faults),
    }
}

fn service(kind: &str, reader: &mut Reader<'_>, faults: &mut Vec<Fault>) -> Service {
    let subject = match kind {
        "postgres" | "mysql" | "clickhouse" => Some("query"),
        "amqp" => Some("queue"),
        "mqtt" => Some("topic"),
        _ => None,
    };
    Service {
        url: reader.text("url", faults),
        password_env: reader.text("password_env", faults),
        password_file: reader.text("password_file", faults),
        tls: reader.switch("tls", faults),
        ca_file: reader.text("ca_file", faults),
        subject: subject.and_then(|subject| reader.text(subject, faults)),
    }
}
