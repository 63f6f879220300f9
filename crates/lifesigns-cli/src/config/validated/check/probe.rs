//! What a check looks at, for each kind: from what was written to the options of the ready-made check.

use std::time::Duration;

use lifesigns_checks::{
    BadOption, Check, Secret, Server, amqp, certificate, clickhouse, command, disk, dns, file, memory, mqtt,
    mysql, nats, postgres, redis, sqlite, tcp,
};

use super::http;
use crate::config::fault::{Fault, Place};
use crate::config::tree::At;
use crate::config::validated::option::{self, Told, Written, needed, needed_path};
use crate::config::validated::{Checks, text, values};
use crate::config::wire::check::{self as wire, Probe, Service};

/// The check that was written, if it is right.
pub(super) fn check(name: &str, place: &Place, probe: &Probe, weigh: &mut Checks<'_>) -> Option<Check> {
    let mut places = Written::default();
    let made = match probe {
        Probe::Http(written) => http::check(name, place, written, &mut places, weigh)?,
        Probe::Tcp { address, banner } => {
            let address = needed("address", address.as_ref(), place, weigh)?;
            places.at("address", Some(address));
            places.at("banner", banner.as_ref());
            let mut options = tcp::Options::new(address.value.as_str());
            options.banner = text(banner.as_ref());
            tcp::check(name, options)
        }
        Probe::Dns { name: asked, record_type, expect, server } => {
            let asked = needed("name", asked.as_ref(), place, weigh)?;
            places.at("name", Some(asked));
            places.at("record_type", record_type.as_ref());
            places.at("expect", expect.as_ref());
            places.at("server", server.as_ref());
            let mut options = dns::Options::new(asked.value.as_str());
            if let Some(record_type) = record_type {
                record_type.value.clone_into(&mut options.record_type);
            }
            options.expect = text(expect.as_ref());
            options.server = text(server.as_ref());
            dns::check(name, options)
        }
        Probe::Certificate(written) => certificate_check(name, place, written, &mut places, weigh)?,
        Probe::Service(kind, written) => service_check(name, kind, place, written, &mut places, weigh)?,
        Probe::Sqlite { path, quick_check, query } => {
            let mut options = sqlite::Options::new(needed_path("path", path.as_ref(), place, weigh)?);
            options.quick_check = quick_check.as_ref().is_some_and(|at| at.value);
            options.query = text(query.as_ref());
            places.at("path", path.as_ref());
            places.at("query", query.as_ref());
            sqlite::check(name, options)
        }
        Probe::Disk(written) => {
            let mut options = disk::Options::new(needed_path("path", written.path.as_ref(), place, weigh)?);
            let percent =
                |written: &Option<At<u64>>, default| written.as_ref().map_or(default, |at| at.value as f64);
            options.warn_free_percent = percent(&written.warn_free_percent, options.warn_free_percent);
            options.fail_free_percent = percent(&written.fail_free_percent, options.fail_free_percent);
            options.warn_free_bytes = values::number(written.warn_free_mb.as_ref(), 0) << 20;
            options.fail_free_bytes = values::number(written.fail_free_mb.as_ref(), 0) << 20;
            places.at("path", written.path.as_ref());
            places.at("warn_free_percent", written.warn_free_percent.as_ref());
            places.at("fail_free_percent", written.fail_free_percent.as_ref());
            places.under("warn_free_bytes", "warn_free_mb", written.warn_free_mb.as_ref());
            places.under("fail_free_bytes", "fail_free_mb", written.fail_free_mb.as_ref());
            disk::check(name, options)
        }
        Probe::Memory { pid, pid_file, warn_percent, fail_percent } => {
            let mut options = memory::Options::default();
            options.process = match (pid, pid_file) {
                (None, None) => options.process,
                (Some(pid), None) => lifesigns::ProcessSource::Pid(pid.value as u32),
                (None, Some(file)) => lifesigns::ProcessSource::PidFile(weigh.path(file)),
                (Some(_), Some(file)) => {
                    weigh.fault(Fault::new(
                        &file.place,
                        "`pid` and `pid_file` say the same; keep one of them",
                    ));
                    return None;
                }
            };
            options.warn_percent = warn_percent.as_ref().map_or(options.warn_percent, |at| at.value as f64);
            options.fail_percent = fail_percent.as_ref().map_or(options.fail_percent, |at| at.value as f64);
            places.at("warn_percent", warn_percent.as_ref());
            places.at("fail_percent", fail_percent.as_ref());
            places.under("process", "pid", pid.as_ref());
            places.under("process", "pid_file", pid_file.as_ref());
            memory::check(name, options)
        }
        Probe::File { path, max_age_seconds, min_size_bytes } => {
            let mut options = file::Options::new(needed_path("path", path.as_ref(), place, weigh)?);
            options.max_age = max_age_seconds.as_ref().map(|at| Duration::from_secs(at.value));
            options.min_size = values::number(min_size_bytes.as_ref(), 0);
            places.at("path", path.as_ref());
            places.under("max_age", "max_age_seconds", max_age_seconds.as_ref());
            places.under("min_size", "min_size_bytes", min_size_bytes.as_ref());
            file::check(name, options)
        }
        Probe::Command(written) => command_check(name, place, written, &mut places, weigh)?,
    };
    match made {
        Ok(check) => Some(check),
        Err(bad) => {
            weigh.fault(places.fault(&bad, place));
            None
        }
    }
}

/// A check, or what it finds wrong with its own options.
pub(super) type Made = Result<Check, BadOption>;

fn certificate_check(
    name: &str,
    place: &Place,
    written: &wire::Certificate,
    places: &mut Written,
    weigh: &mut Checks<'_>,
) -> Option<Made> {
    let mut options = match (&written.address, &written.file) {
        (Some(address), None) => certificate::Options::of_server(address.value.as_str()),
        (None, Some(file)) => certificate::Options::of_file(weigh.path(file)),
        _ => {
            weigh.fault(
                Fault::new(place, "a certificate is either shown by a server or stands in a file")
                    .hint("give `address` or `file`"),
            );
            return None;
        }
    };
    match &mut options.source {
        certificate::Source::Server { server_name, ca_file, .. } => {
            *server_name = text(written.server_name.as_ref());
            *ca_file = written.ca_file.as_ref().map(|file| weigh.path(file));
        }
        certificate::Source::File(_) => {
            if let Some(place) = written
                .server_name
                .as_ref()
                .map(|at| &at.place)
                .or(written.ca_file.as_ref().map(|at| &at.place))
            {
                let message = "`server_name` and `ca_file` are of no use for a certificate in a file";
                weigh.fault(Fault::new(place, message));
            }
        }
    }
    places.at("address", written.address.as_ref());
    places.at("server_name", written.server_name.as_ref());
    places.under("path", "file", written.file.as_ref());
    places.at("warn_days", written.warn_days.as_ref());
    places.at("fail_days", written.fail_days.as_ref());
    places.at("ca_file", written.ca_file.as_ref());
    options.warn_days = values::number(written.warn_days.as_ref(), options.warn_days.into()) as u32;
    options.fail_days = values::number(written.fail_days.as_ref(), options.fail_days.into()) as u32;
    Some(certificate::check(name, options))
}

fn service_check(
    name: &str,
    kind: &str,
    place: &Place,
    written: &Service,
    places: &mut Written,
    weigh: &mut Checks<'_>,
) -> Option<Made> {
    let url = needed("url", written.url.as_ref(), place, weigh)?;
    places.at("url", Some(url));
    let mut server = Server::at(url.value.as_str());
    let names = ["password_env", "password_file"];
    server.password =
        secret(names, written.password_env.as_ref(), written.password_file.as_ref(), weigh).ok()?;
    server.tls = written.tls.as_ref().is_some_and(|at| at.value);
    server.ca_file = written.ca_file.as_ref().map(|file| weigh.path(file));
    places.under("password", "password_env", written.password_env.as_ref());
    places.under("password", "password_file", written.password_file.as_ref());
    places.at("tls", written.tls.as_ref());
    places.at("ca_file", written.ca_file.as_ref());
    let subject = text(written.subject.as_ref());
    for option in ["query", "queue", "topic"] {
        places.at(option, written.subject.as_ref());
    }
    Some(match kind {
        "postgres" => {
            let mut options = postgres::Options::new(server);
            options.query = subject.unwrap_or(options.query);
            postgres::check(name, options)
        }
        "mysql" => {
            let mut options = mysql::Options::new(server);
            options.query = subject.unwrap_or(options.query);
            mysql::check(name, options)
        }
        "clickhouse" => {
            let mut options = clickhouse::Options::new(server);
            options.query = subject.unwrap_or(options.query);
            clickhouse::check(name, options)
        }
        "redis" => redis::check(name, redis::Options::new(server)),
        "nats" => nats::check(name, nats::Options::new(server)),
        "amqp" => {
            let mut options = amqp::Options::new(server);
            options.queue = subject;
            amqp::check(name, options)
        }
        "mqtt" => {
            let mut options = mqtt::Options::new(server);
            options.topic = subject;
            mqtt::check(name, options)
        }
        other => unreachable!("{other} is read as a service and is none"),
    })
}

fn command_check(
    name: &str,
    place: &Place,
    written: &wire::Command,
    places: &mut Written,
    weigh: &mut Checks<'_>,
) -> Option<Made> {
    let program = option::program(place, &written.program, places, weigh)?;
    places.at("warn_codes", written.warn_codes.iter().flatten().next());
    let mut options = command::Options { program, warn_codes: Vec::new() };
    for code in written.warn_codes.iter().flatten() {
        let Some(number) = code.value.trim().parse::<u8>().ok().filter(|number| *number > 0) else {
            weigh.fault(
                Fault::new(&code.place, format!("`warn_codes` does not know {}", code.value))
                    .hint("exit codes are from 1 to 255"),
            );
            return None;
        };
        options.warn_codes.push(number);
    }
    Some(command::check(name, options))
}

/// A secret from the environment or a file, if there is one.
///
/// # Errors
/// There is a fault, and it has been told.
pub(super) fn secret(
    keys: [&str; 2],
    variable: Option<&At<String>>,
    file: Option<&At<String>>,
    weigh: &mut Checks<'_>,
) -> Result<Option<Secret>, Told> {
    Ok(option::secret(keys, variable, file, weigh)?.map(Secret::new))
}
