//! The services that are watched.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use lifesigns_model::dialect::Dialect;
use lifesigns_monitor::Target;
use lifesigns_monitor::service::Patience;

use super::web_address;
use crate::config::fault::Fault;
use crate::config::reader::unknown_word;
use crate::config::tree::At;
use crate::config::validated::option::Told;
use crate::config::validated::{Checks, option, text, values};
use crate::config::wire;
use crate::monitor::names;

/// The services that were written and are right.
pub(super) fn targets(document: &wire::Document, checks: &mut Checks<'_>) -> Vec<Target> {
    let defaults = &document.monitor;
    too_long(defaults.deadline_seconds.as_ref(), defaults.interval_seconds.as_ref(), 60, checks);
    let mut seen = HashSet::with_capacity(document.services.len());
    let mut targets = Vec::with_capacity(document.services.len());
    for service in &document.services {
        let target = one(service, document, checks);
        if let Some(name) = &service.name
            && !seen.insert(name.value.as_str())
        {
            checks.fault(
                Fault::new(&name.place, format!("there are two services named `{}`", name.value))
                    .hint("give each a name of its own: their histories are kept by it"),
            );
            continue;
        }
        targets.extend(target);
    }
    dependencies(document, &seen, checks);
    targets
}

fn one(
    written: &wire::monitor::Service,
    document: &wire::Document,
    checks: &mut Checks<'_>,
) -> Option<Target> {
    let defaults = &document.monitor;
    if written.name.is_none() {
        checks.missing(
            written.whole,
            Fault::new(&written.place, "the service has no `name`")
                .hint("pages, messages and histories call it by one, for example `name = \"orders\"`"),
        );
    }
    if written.url.is_none() {
        checks.missing(
            written.whole,
            Fault::new(&written.place, "the service has no `url`").hint(
                "say where its health is asked for: `url = \"https://orders.example.com/health/status\"`",
            ),
        );
    }
    let name = written.name.as_ref().filter(|name| is_name(name, checks));
    let url = written.url.as_ref().and_then(|url| web_address("url", url, checks));
    let authorization = authorization(written, checks);
    let interval = written.interval_seconds.as_ref().or(defaults.interval_seconds.as_ref());
    let interval = values::number(interval, 60);
    too_long(written.deadline_seconds.as_ref(), written.interval_seconds.as_ref(), interval, checks);
    let deadline = written.deadline_seconds.as_ref().or(defaults.deadline_seconds.as_ref());
    let times = |own: &Option<At<u64>>, all: &Option<At<u64>>| {
        values::number(own.as_ref().or(all.as_ref()), 2) as u32
    };
    Some(Target {
        dialect: written.dialect.as_ref().and_then(|at| Dialect::named(at.value)),
        environment: text(written.environment.as_ref()),
        depends_on: written.depends_on.iter().flatten().map(|at| Arc::from(at.value.as_str())).collect(),
        interval: Duration::from_secs(interval),
        deadline: Duration::from_secs(values::number(deadline, 10).min(interval)),
        patience: Patience {
            failures: times(&written.failures, &defaults.failures),
            recoveries: times(&written.recoveries, &defaults.recoveries),
        },
        authorization: authorization.ok()?,
        is_public: written.public.as_ref().is_some_and(|at| at.value),
        ..Target::new(&name?.value, url?)
    })
}

/// Tells of a deadline that was written and would not be over when the next poll is due.
fn too_long(
    deadline: Option<&At<u64>>,
    own_interval: Option<&At<u64>>,
    interval: u64,
    checks: &mut Checks<'_>,
) {
    let interval = own_interval.map_or(interval, |at| at.value);
    if let Some(deadline) = deadline.filter(|deadline| deadline.value > interval) {
        let message =
            format!("`deadline_seconds` ({}) is longer than the interval ({interval})", deadline.value);
        checks.fault(
            Fault::new(&deadline.place, message)
                .hint("an answer is waited for until the next time to ask, at most"),
        );
    }
}

fn is_name(name: &At<String>, checks: &mut Checks<'_>) -> bool {
    let is_right = names::is_name(&name.value);
    if !is_right {
        checks.fault(
            Fault::new(&name.place, format!("`name` cannot stand in an address: {}", name.value))
                .hint("use letters, digits, `.`, `_` and `-`, beginning with a letter or a digit"),
        );
    }
    is_right
}

/// What it is sent, if anything.
///
/// # Errors
/// There is a fault, and it has been told.
fn authorization(
    written: &wire::monitor::Service,
    checks: &mut Checks<'_>,
) -> Result<Option<HeaderValue>, Told> {
    let (variable, file) = (written.authorization_env.as_ref(), written.authorization_file.as_ref());
    let secret = option::secret(["authorization_env", "authorization_file"], variable, file, checks)?;
    let Some(secret) = secret else { return Ok(None) };
    match HeaderValue::from_str(secret.trim()) {
        Ok(mut value) if !value.is_empty() => {
            value.set_sensitive(true);
            Ok(Some(value))
        }
        // It is a secret, so it is not repeated.
        _ => {
            let place = &variable.or(file).ok_or(Told)?.place;
            checks.fault(
                Fault::new(
                    place,
                    "what it holds cannot stand in a header: it is empty, or has several lines",
                )
                .hint("it is all that follows `Authorization:`, such as `Bearer …`"),
            );
            Err(Told)
        }
    }
}

/// Each service that another one needs is there, and none needs itself.
fn dependencies(document: &wire::Document, names: &HashSet<&str>, checks: &mut Checks<'_>) {
    let mut needs: HashMap<&str, Vec<&At<String>>> = HashMap::new();
    for service in &document.services {
        for needed in service.depends_on.iter().flatten() {
            if !names.contains(needed.value.as_str()) {
                let known: Vec<&str> = named(document).collect();
                let fault = unknown_word(&needed.value, &needed.place, "`depends_on`", &known);
                checks.missing(document.whole, fault);
            } else if let Some(name) = &service.name {
                needs.entry(&name.value).or_default().push(needed);
            }
        }
    }
    if let Some(way) = cycle(named(document), &needs) {
        let names: Vec<String> = way.iter().map(|at| format!("`{}`", at.value)).collect();
        let Some(last) = way.last() else { return };
        checks.fault(
            Fault::new(&last.place, format!("`depends_on` leads in a circle: {}", names.join(" needs ")))
                .hint("of two that need each other, leave out the one that can go on alone for a while"),
        );
    }
}

/// All that have a name.
pub(super) fn named(document: &wire::Document) -> impl Iterator<Item = &str> {
    document.services.iter().filter_map(|service| Some(service.name.as_ref()?.value.as_str()))
}

/// A way from one service to itself, if there is one: the last of them is the first one again.
fn cycle<'w>(
    names: impl Iterator<Item = &'w str>,
    needs: &HashMap<&'w str, Vec<&'w At<String>>>,
) -> Option<Vec<&'w At<String>>> {
    let of = |name: &str| needs.get(name).map_or(&[][..], Vec::as_slice).iter();
    let mut done: HashSet<&str> = HashSet::new();
    for start in names {
        if done.contains(start) {
            continue;
        }
        // The way from there, and what is still to be looked at from each place on it. It may be longer than a stack
        // of calls.
        let mut way: Vec<&'w At<String>> = Vec::new();
        let mut on_way = HashSet::from([start]);
        let mut open = vec![of(start)];
        while let Some(rest) = open.last_mut() {
            let Some(next) = rest.next() else {
                open.pop();
                let left = way.pop().map_or(start, |at| &at.value);
                on_way.remove(left);
                done.insert(left);
                continue;
            };
            let name = next.value.as_str();
            if on_way.contains(name) {
                let again = way.iter().position(|at| at.value == name);
                // The start itself is no step of the way.
                let circle =
                    again.map_or_else(|| [&[*next], &way[..]].concat(), |again| way[again..].to_vec());
                return Some([&circle[..], &[*next]].concat());
            }
            if !done.contains(name) {
                way.push(next);
                on_way.insert(name);
                open.push(of(name));
            }
        }
    }
    None
}
