//! Checks of what the APIs depend on: one kind each, for APIs that exist, wired as they may be.

mod http;
mod probe;

use std::collections::HashSet;
use std::time::Duration;

use lifesigns_checks::Check;
use lifesigns_model::check::CheckPolicy;
use lifesigns_model::policy;

use super::{Checks, api, values};
use crate::config::fault::Fault;
use crate::config::reader::unknown_word;
use crate::config::reference::checks::kinds;
use crate::config::tree::At;
use crate::config::wire;

/// A check, and what it counts for.
#[derive(Debug)]
pub struct DependencyCheck {
    /// What is checked, how and how often.
    pub check: Check,
    /// Names of the APIs; `None`: all of them.
    pub apis: Option<Vec<String>>,
}

/// The checks that were written and are right.
pub(super) fn checks(document: &wire::Document, weigh: &mut Checks<'_>) -> Vec<DependencyCheck> {
    let apis: HashSet<&str> = document.apis.iter().map(|api| api::called(api, document)).collect();
    let mut names = HashSet::with_capacity(document.checks.len());
    let mut checks = Vec::with_capacity(document.checks.len());
    for entry in &document.checks {
        let name = name(entry, weigh);
        let counted = counted(entry, document, &apis, weigh);
        let check = one(entry, name.map_or("check", |name| name.value.as_str()), weigh);
        let (Some(name), Some(check)) = (name, check) else { continue };
        let check = wired(entry, check, weigh);
        if !names.insert(name.value.as_str()) {
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

fn name<'c>(entry: &'c wire::check::Check, weigh: &mut Checks<'_>) -> Option<&'c At<String>> {
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

/// The APIs that it counts for.
fn counted(
    entry: &wire::check::Check,
    document: &wire::Document,
    apis: &HashSet<&str>,
    weigh: &mut Checks<'_>,
) -> Option<Vec<String>> {
    let names = entry.apis.as_ref()?;
    if names.is_empty() {
        weigh.fault(
            Fault::new(&entry.place, "the list `apis` is empty, so the check would count for nothing")
                .hint("leave `apis` out: then it counts for all"),
        );
    }
    for name in names.iter().filter(|name| !apis.contains(name.value.as_str())) {
        let known: Vec<&str> = document.apis.iter().map(|api| api::called(api, document)).collect();
        weigh.missing(document.whole, unknown_word(&name.value, &name.place, "`apis`", &known));
    }
    Some(names.iter().map(|name| name.value.clone()).collect())
}

fn one(entry: &wire::check::Check, name: &str, weigh: &mut Checks<'_>) -> Option<Check> {
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
        [(place, probe)] => probe::check(name, place, probe, weigh),
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
fn wired(entry: &wire::check::Check, check: Check, weigh: &mut Checks<'_>) -> Check {
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
