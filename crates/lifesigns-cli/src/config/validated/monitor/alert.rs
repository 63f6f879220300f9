//! Who is told, and when nobody is.

use lifesigns_monitor::alerts::Channel;
use lifesigns_monitor::alerts::rules::{Maintenance, Pattern, Route};
use lifesigns_monitor::service::Letter;

use super::{channel, quiet, service};
use crate::config::fault::Fault;
use crate::config::reader::unknown_word;
use crate::config::reference::monitor::channels;
use crate::config::tree::At;
use crate::config::validated::{Checks, text, values};
use crate::config::wire;

/// The alerts that were written and are right.
pub(super) fn routes(document: &wire::Document, checks: &mut Checks<'_>) -> Vec<(Route, Channel)> {
    let mut routes: Vec<(Route, Channel)> = Vec::with_capacity(document.alerts.len());
    for (index, alert) in document.alerts.iter().enumerate() {
        if alert.name.is_none() {
            checks.missing(
                alert.whole,
                Fault::new(&alert.place, "the alert has no `name`")
                    .hint("what was told is remembered by it, for example `name = \"ops\"`"),
            );
        }
        let channel = one_channel(alert, checks);
        let services = patterns(alert.services.as_deref(), document, checks);
        let quiet = quiet_times(alert, checks);
        let Some(name) = &alert.name else { continue };
        let is_same =
            |other: &wire::monitor::Alert| other.name.as_ref().is_some_and(|other| other.value == name.value);
        if document.alerts[..index].iter().any(is_same) {
            checks.fault(
                Fault::new(&name.place, format!("there are two alerts named `{}`", name.value))
                    .hint("give each a name of its own: what it was told is remembered by it"),
            );
        }
        let milliseconds =
            |written: &Option<At<u64>>, default| values::number(written.as_ref(), default) as i64 * 1000;
        let remind = milliseconds(&alert.remind_minutes, 240) * 60;
        let route = Route {
            services,
            environments: alert.environments.iter().flatten().map(|at| at.value.clone()).collect(),
            light: if alert.light.as_ref().is_some_and(|at| at.value == "amber") {
                Letter::A
            } else {
                Letter::R
            },
            after: milliseconds(&alert.after_seconds, 0),
            group_wait: milliseconds(&alert.group_wait_seconds, 30),
            group_interval: milliseconds(&alert.group_interval_seconds, 300),
            remind: (remind > 0).then_some(remind),
            quiet,
            ..Route::new(&name.value)
        };
        routes.extend(channel.map(|channel| (route, channel)));
    }
    routes
}

fn one_channel(alert: &wire::monitor::Alert, checks: &mut Checks<'_>) -> Option<Channel> {
    let kinds = || channels().map(|(kind, _)| kind).collect::<Vec<_>>().join(", ");
    match alert.channels.as_slice() {
        [] => {
            checks.missing(
                alert.whole,
                Fault::new(&alert.place, "nothing says how people are told")
                    .hint(format!("add a table such as [alert.webhook]; the channels are {}", kinds())),
            );
            None
        }
        [(place, channel)] => channel::channel(place, channel, checks),
        [_, (place, _), ..] => {
            checks.fault(
                Fault::new(place, "one alert cannot go two ways")
                    .hint("begin another [[alert]] before this table"),
            );
            None
        }
    }
}

/// Names of services, and patterns of names.
fn patterns(
    written: Option<&[At<String>]>,
    document: &wire::Document,
    checks: &mut Checks<'_>,
) -> Vec<Pattern> {
    let known: Vec<&str> = service::named(document).collect();
    let mut patterns = Vec::new();
    for at in written.unwrap_or_default() {
        let pattern = Pattern::new(&at.value);
        // One that fits nobody may be for those that are to come, or for nobody, since it was misspelt.
        let is_name = !at.value.contains('*');
        if is_name && !known.is_empty() && !known.iter().any(|name| pattern.fits(name)) {
            checks.missing(document.whole, unknown_word(&at.value, &at.place, "`services`", &known));
        }
        patterns.push(pattern);
    }
    patterns
}

fn quiet_times(
    alert: &wire::monitor::Alert,
    checks: &mut Checks<'_>,
) -> Vec<lifesigns_monitor::alerts::rules::Quiet> {
    let mut times = Vec::new();
    for at in alert.quiet.iter().flatten() {
        match quiet::read(&at.value) {
            Some(quiet) => times.push(quiet),
            None => checks.fault(
                Fault::new(&at.place, format!("`quiet` holds {}, which is no time of the day", at.value)).hint(
                    "write \"22:00-07:00\", or with days \"sat 00:00-24:00\", \"mon-fri 12:00-13:00\"; times are UTC",
                ),
            ),
        }
    }
    times
}

/// The times of maintenance that were written and are right.
pub(super) fn maintenance(document: &wire::Document, checks: &mut Checks<'_>) -> Vec<Maintenance> {
    let mut times = Vec::with_capacity(document.maintenances.len());
    for written in &document.maintenances {
        for (key, is_there) in [("from", written.from.is_some()), ("to", written.to.is_some())] {
            if !is_there {
                checks.missing(
                    written.whole,
                    Fault::new(&written.place, format!("the maintenance has no `{key}`"))
                        .hint(format!("for example `{key} = 2026-03-16T22:00:00Z`")),
                );
            }
        }
        let services = patterns(written.services.as_deref(), document, checks);
        let (Some(from), Some(to)) = (&written.from, &written.to) else { continue };
        if to.value <= from.value {
            checks.fault(
                Fault::new(&to.place, "`to` is not after `from`, so the maintenance would never be")
                    .hint("one that goes past midnight ends on the next day"),
            );
        }
        times.push(Maintenance {
            services,
            from: from.value.as_millisecond(),
            to: to.value.as_millisecond(),
            reason: text(written.reason.as_ref()).unwrap_or_default(),
        });
    }
    times
}
