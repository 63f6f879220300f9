//! Checks of what the APIs depend on: one kind each, for APIs that exist, wired as they may be.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use lifesigns_checks::{
    BadOption, Check, Secret, Server, amqp, certificate, clickhouse, command, disk, dns, file, http, memory,
    mqtt, mysql, nats, postgres, redis, sqlite, tcp,
};
use lifesigns_model::check::CheckPolicy;
use lifesigns_model::dialect::Dialect;
use lifesigns_model::policy;

use super::{Api, Checks, text, values};
use crate::config::fault::{Fault, Place};
use crate::config::reader::unknown_word;
use crate::config::reference::checks::kinds;
use crate::config::tree::At;
use crate::config::wire::check::{self as wire, Probe, Service};

/// A check, and what it counts for.
#[derive(Debug)]
pub struct DependencyCheck {
    /// What is checked, how and how often.
    pub check: Check,
    /// Names of the APIs; `None`: all of them.
    pub apis: Option<Vec<String>>,
}

/// The checks that were written and are right.
pub(super) fn checks(written: &[wire::Check], apis: &[Api], weigh: &mut Checks<'_>) -> Vec<DependencyCheck> {
    let mut checks: Vec<DependencyCheck> = Vec::with_capacity(written.len());
    for entry in written {
        let name = name(entry, weigh);
        let counted = counted(entry, apis, weigh);
        let check = one(entry, name.map_or("check", |name| name.value.as_str()), weigh);
        let (Some(name), Some(check)) = (name, check) else { continue };
        let check = wired(entry, check, weigh);
        let is_same = |other: &DependencyCheck| other.check.name() == name.value;
        if checks.iter().any(is_same) {
            weigh.fault(
                Fault::new(&name.place, format!("there are two checks named `{}`", name.value))
                    .hint("give each a name of its own; one check can count for several APIs, with `apis`"),
            );
            continue;
        }
        checks.push(DependencyCheck { check, apis: counted });
    }
    checks
}

fn name<'c>(entry: &'c wire::Check, weigh: &mut Checks<'_>) -> Option<&'c At<String>> {
    if entry.name.is_none() {
        weigh.missing(
            entry.whole,
            Fault::new(&entry.place, "the check has no `name`")
                .hint("probes list checks by their names, for example `name = \"orders-db\"`"),
        );
    }
    let name = entry.name.as_ref()?;
    if let Err(fault) = lifesigns::Check::valid_name(&name.value) {
        weigh.fault(Fault::new(&name.place, format!("`name`: {fault}")));
        return None;
    }
    Some(name)
}

/// The APIs that it counts for. With faults in an API's own table that one may be missing here: then all would be said
/// twice, so only names that no API bears are faults.
fn counted(entry: &wire::Check, apis: &[Api], weigh: &mut Checks<'_>) -> Option<Vec<String>> {
    let names = entry.apis.as_ref()?;
    if names.is_empty() {
        weigh.fault(
            Fault::new(&entry.place, "the list `apis` is empty, so the check would count for nothing")
                .hint("leave `apis` out: then it counts for all"),
        );
    }
    let known: Vec<&str> = apis.iter().map(|api| api.name.as_str()).collect();
    for name in names {
        if !known.contains(&name.value.as_str()) && weigh.faults.is_empty() {
            weigh.fault(unknown_word(&name.value, &name.place, "`apis`", &known));
        }
    }
    Some(names.iter().map(|name| name.value.clone()).collect())
}

fn one(entry: &wire::Check, name: &str, weigh: &mut Checks<'_>) -> Option<Check> {
    let kinds = kinds().map(|(kind, _)| kind).collect::<Vec<_>>().join(", ");
    match entry.probes.as_slice() {
        [] => {
            weigh.missing(
                entry.whole,
                Fault::new(&entry.place, "nothing says what is to be checked")
                    .hint(format!("add a table such as [check.http]; the kinds are {kinds}")),
            );
            None
        }
        [(place, probe)] => of_kind(name, place, probe, weigh),
        [_, (place, _), ..] => {
            weigh.fault(
                Fault::new(place, "one check cannot check two things")
                    .hint("begin another [[check]] before this table"),
            );
            None
        }
    }
}

/// How it runs and what it may do, over what the kind of check brings along.
fn wired(entry: &wire::Check, check: Check, weigh: &mut Checks<'_>) -> Check {
    let brought = *check.policy();
    let seconds = |written: &Option<At<u64>>, default: Duration| {
        written.as_ref().map_or(default, |at| Duration::from_secs(at.value))
    };
    let switch = |written: &Option<At<bool>>, default: bool| written.as_ref().map_or(default, |at| at.value);
    let threshold =
        |written: &Option<At<u64>>, default: u32| values::number(written.as_ref(), default.into()) as u32;
    let policy = CheckPolicy {
        interval: seconds(&entry.interval_seconds, brought.interval),
        timeout: seconds(&entry.timeout_seconds, brought.timeout),
        failure_threshold: threshold(&entry.failure_threshold, brought.failure_threshold),
        recovery_threshold: threshold(&entry.recovery_threshold, brought.recovery_threshold),
        grace: seconds(&entry.grace_seconds, brought.grace),
        critical: switch(&entry.critical, brought.critical),
        shared: switch(&entry.shared, brought.shared),
        fails_readiness: switch(&entry.fails_readiness, brought.fails_readiness),
        fails_liveness: switch(&entry.fails_liveness, brought.fails_liveness),
    };
    if let Err(miswired) = policy::validate(&policy) {
        let place = entry.fails_liveness.as_ref().map_or(&entry.place, |at| &at.place);
        let name = check.name().to_owned();
        weigh.fault(Fault::new(place, format!("the check `{name}` {miswired}")).hint(
            "leave `fails_liveness` out, or write `shared = false` if only this process depends on it",
        ));
    }
    let endpoints = entry.affected_endpoints.iter().flatten().map(|route| route.value.clone());
    check.with_policy(policy).affects(endpoints)
}

fn of_kind(name: &str, place: &Place, probe: &Probe, weigh: &mut Checks<'_>) -> Option<Check> {
    // Where each option was written, for what the check itself finds wrong with it.
    let mut places: Vec<(&'static str, Place)> = Vec::new();
    let made = match probe {
        Probe::Http(written) => http_check(name, place, written, &mut places, weigh)?,
        Probe::Tcp { address, banner } => {
            let address = needed("address", address.as_ref(), place, weigh)?;
            places.push(("address", address.place.clone()));
            let mut options = tcp::Options::new(address.value.as_str());
            options.banner = text(banner.as_ref());
            tcp::check(name, options)
        }
        Probe::Dns { name: asked, record_type, expect, server } => {
            let asked = needed("name", asked.as_ref(), place, weigh)?;
            places.push(("name", asked.place.clone()));
            let mut options = dns::Options::new(asked.value.as_str());
            if let Some(record_type) = record_type {
                record_type.value.clone_into(&mut options.record_type);
            }
            options.expect = text(expect.as_ref());
            options.server = text(server.as_ref());
            dns::check(name, options)
        }
        Probe::Certificate(written) => certificate_check(name, place, written, weigh)?,
        Probe::Service(kind, written) => service_check(name, kind, place, written, &mut places, weigh)?,
        Probe::Sqlite { path, quick_check, query } => {
            let mut options = sqlite::Options::new(needed_path("path", path.as_ref(), place, weigh)?);
            options.quick_check = quick_check.as_ref().is_some_and(|at| at.value);
            options.query = text(query.as_ref());
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
            memory::check(name, options)
        }
        Probe::File { path, max_age_seconds, min_size_bytes } => {
            let mut options = file::Options::new(needed_path("path", path.as_ref(), place, weigh)?);
            options.max_age = max_age_seconds.as_ref().map(|at| Duration::from_secs(at.value));
            options.min_size = values::number(min_size_bytes.as_ref(), 0);
            file::check(name, options)
        }
        Probe::Command(written) => command_check(name, place, written, weigh)?,
    };
    match made {
        Ok(check) => Some(check),
        Err(BadOption { option, message }) => {
            let place = places.iter().find(|(name, _)| *name == option).map_or(place, |(_, place)| place);
            weigh.fault(Fault::new(place, format!("`{option}` {message}")));
            None
        }
    }
}

type Made = Result<Check, BadOption>;

fn http_check(
    name: &str,
    place: &Place,
    written: &wire::Http,
    places: &mut Vec<(&'static str, Place)>,
    weigh: &mut Checks<'_>,
) -> Option<Made> {
    let url = needed("url", written.url.as_ref(), place, weigh)?;
    places.push(("url", url.place.clone()));
    let mut options = http::Options::new(url.value.as_str());
    if let Some(method) = &written.method {
        options.method.clone_from(&method.value);
        places.push(("method", method.place.clone()));
    }
    for header in written.headers.iter().flatten() {
        let Some((field, value)) = header.value.split_once(':') else {
            weigh.fault(
                Fault::new(&header.place, "a header field is written with a colon")
                    .hint("for example \"X-Tenant: health\""),
            );
            return None;
        };
        options.headers.push((field.trim().to_owned(), Secret::new(value.trim())));
        places.push(("headers", header.place.clone()));
    }
    let names = ["bearer_token_env", "bearer_token_file"];
    options.bearer_token =
        secret(names, written.bearer_token_env.as_ref(), written.bearer_token_file.as_ref(), weigh).ok()?;
    options.redirects = values::number(written.redirects.as_ref(), 0) as u8;
    options.ca_file = written.ca_file.as_ref().map(|file| weigh.path(file));
    places.extend(written.ca_file.as_ref().map(|file| ("ca_file", file.place.clone())));
    let wants_answer = written.status.is_some() || written.contains.is_some() || written.json.is_some();
    options.expect = match &written.health {
        Some(health) if wants_answer => {
            weigh.fault(
                Fault::new(&health.place, "`health` says already what the answer must be")
                    .hint("leave out `status`, `contains` and `json`, or `health`"),
            );
            return None;
        }
        Some(health) => http::Expect::Health(Dialect::named(health.value)),
        None => {
            let mut answer = http::AnswerWanted::default();
            if let Some(codes) = &written.status {
                answer.status = codes.iter().map(|code| status_range(code, weigh)).collect::<Option<_>>()?;
            }
            answer.contains = text(written.contains.as_ref());
            let pairs = written.json.iter().flatten();
            answer.json = pairs.map(|pair| json_pair(pair, weigh)).collect::<Option<_>>()?;
            http::Expect::Answer(answer)
        }
    };
    Some(http::check(name, options))
}

/// `200` or `200-299`.
fn status_range(written: &At<String>, weigh: &mut Checks<'_>) -> Option<RangeInclusive<u16>> {
    let (first, last) = written.value.split_once('-').unwrap_or((&written.value, &written.value));
    let code = |text: &str| text.trim().parse::<u16>().ok().filter(|code| (100..=599).contains(code));
    match (code(first), code(last)) {
        (Some(first), Some(last)) if first <= last => Some(first..=last),
        _ => {
            weigh.fault(
                Fault::new(&written.place, format!("`status` does not know {}", written.value))
                    .hint("write a code or a range from 100 to 599: \"200\" or \"200-299\""),
            );
            None
        }
    }
}

/// `/pointer = value`
fn json_pair(written: &At<String>, weigh: &mut Checks<'_>) -> Option<(String, serde_json::Value)> {
    let pair = written.value.split_once('=').and_then(|(pointer, value)| {
        Some((pointer.trim().to_owned(), serde_json::from_str(value.trim()).ok()?))
    });
    if pair.is_none() {
        weigh.fault(
            Fault::new(&written.place, "`json` is a pointer, an equals sign and a value as JSON")
                .hint("for example \"/database/up = true\" or \"/name = \\\"polls\\\"\""),
        );
    }
    pair
}

fn certificate_check(
    name: &str,
    place: &Place,
    written: &wire::Certificate,
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
    options.warn_days = values::number(written.warn_days.as_ref(), options.warn_days.into()) as u32;
    options.fail_days = values::number(written.fail_days.as_ref(), options.fail_days.into()) as u32;
    Some(certificate::check(name, options))
}

fn service_check(
    name: &str,
    kind: &str,
    place: &Place,
    written: &Service,
    places: &mut Vec<(&'static str, Place)>,
    weigh: &mut Checks<'_>,
) -> Option<Made> {
    let url = needed("url", written.url.as_ref(), place, weigh)?;
    places.push(("url", url.place.clone()));
    let mut server = Server::at(url.value.as_str());
    let names = ["password_env", "password_file"];
    server.password =
        secret(names, written.password_env.as_ref(), written.password_file.as_ref(), weigh).ok()?;
    server.tls = written.tls.as_ref().is_some_and(|at| at.value);
    places.extend(written.tls.as_ref().map(|tls| ("tls", tls.place.clone())));
    server.ca_file = written.ca_file.as_ref().map(|file| weigh.path(file));
    places.extend(written.ca_file.as_ref().map(|file| ("ca_file", file.place.clone())));
    let subject = text(written.subject.as_ref());
    if let Some(at) = &written.subject {
        places.extend(["query", "queue", "topic"].map(|option| (option, at.place.clone())));
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

fn command_check(name: &str, place: &Place, written: &wire::Command, weigh: &mut Checks<'_>) -> Option<Made> {
    let mut options = command::Options::new(needed_path("program", written.program.as_ref(), place, weigh)?);
    options.arguments = written.arguments.iter().flatten().map(|at| at.value.clone()).collect();
    for variable in written.environment.iter().flatten() {
        let (name, value) = match variable.value.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => match weigh.surroundings.variable(&variable.value) {
                Some(value) => (variable.value.clone(), value),
                None => {
                    let message = format!("`environment`: the variable {} is not set", variable.value);
                    weigh.fault(Fault::new(&variable.place, message));
                    return None;
                }
            },
        };
        options.environment.push((name, Secret::new(value)));
    }
    if let Some(folder) = &written.folder {
        options.folder = weigh.path(folder);
    }
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

/// There is a fault, and it is among the others already.
struct Told;

/// A secret from the environment or a file, if there is one.
///
/// # Errors
/// There is a fault, and it has been told.
fn secret(
    [env_key, file_key]: [&str; 2],
    variable: Option<&At<String>>,
    file: Option<&At<String>>,
    weigh: &mut Checks<'_>,
) -> Result<Option<Secret>, Told> {
    match (variable, file) {
        (None, None) => Ok(None),
        (Some(variable), None) => {
            let value = weigh.surroundings.variable(&variable.value);
            if value.is_none() {
                weigh.fault(Fault::new(
                    &variable.place,
                    format!("`{env_key}`: the environment variable {} is not set", variable.value),
                ));
            }
            value.map(|value| Some(Secret::new(value))).ok_or(Told)
        }
        // An editor's line end is no part of a secret.
        (None, Some(file)) => {
            let text = weigh.read(file_key, file).ok_or(Told)?;
            Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']))))
        }
        (Some(_), Some(file)) => {
            weigh.fault(
                Fault::new(&file.place, format!("`{env_key}` and `{file_key}` say the same"))
                    .hint("keep one of them"),
            );
            Err(Told)
        }
    }
}

fn needed<'w, T>(
    key: &str,
    written: Option<&'w At<T>>,
    place: &Place,
    weigh: &mut Checks<'_>,
) -> Option<&'w At<T>> {
    if written.is_none() {
        weigh.fault(Fault::new(place, format!("`{key}` is missing")));
    }
    written
}

fn needed_path(
    key: &str,
    written: Option<&At<String>>,
    place: &Place,
    weigh: &mut Checks<'_>,
) -> Option<PathBuf> {
    needed(key, written, place, weigh).map(|path| weigh.path(path))
}
