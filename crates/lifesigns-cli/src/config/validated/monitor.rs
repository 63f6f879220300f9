//! What is watched, and who is told of it.

mod alert;
mod channel;
mod quiet;
mod service;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hyper::header::HeaderName;
use lifesigns_fetch::AddressPolicy;
use lifesigns_monitor::{Options, Target};
use lifesigns_store::history::HistoryRetention;
use url::Url;

use super::{Access, Checks, Gateway, values};
use crate::config::fault::{Fault, Place};
use crate::config::tree::At;
use crate::config::wire;

/// A monitor.
#[derive(Debug)]
pub struct Monitor {
    /// Where its pages are.
    pub listen: SocketAddr,
    /// Where agent checks are answered, if anywhere.
    pub agent_listen: Option<SocketAddr>,
    /// The file that keeps the history; `None`: in memory alone.
    pub data: Option<PathBuf>,
    /// How long the history is kept.
    pub retention: HistoryRetention,
    /// What its pages are called.
    pub title: String,
    /// Whether everybody on this machine sees everything: it is on loopback, and there is no other way to be let in.
    pub is_open: bool,
    /// Where a proxy tells who has logged in.
    pub user_header: Option<HeaderName>,
    /// Whether strangers are told whether to call services that are not public.
    pub are_decisions_open: bool,
    /// What is watched, how, and who is told.
    pub options: Options,
}

/// Who is asked, and how.
#[derive(Debug)]
pub struct Services {
    /// The services, in the order of the file.
    pub targets: Vec<Target>,
    /// How they are fetched from.
    pub fetch: lifesigns_fetch::Options,
}

/// The services that were written and are right.
pub(super) fn services(document: &wire::Document, checks: &mut Checks<'_>) -> Services {
    let written = &document.monitor;
    let is_any_address = written.any_address.as_ref().is_some_and(|at| at.value);
    let fetch = lifesigns_fetch::Options {
        ca_file: written.ca_file.as_ref().map(|file| checks.path(file)),
        addresses: if is_any_address { AddressPolicy::Any } else { AddressPolicy::default() },
        ..lifesigns_fetch::Options::default()
    };
    Services { targets: service::targets(document, checks), fetch }
}

/// The monitor that was written; `None` if there is nothing to watch.
pub(super) fn monitor(
    document: &wire::Document,
    gateway: Option<&Gateway>,
    access: &Access,
    checks: &mut Checks<'_>,
) -> Option<Monitor> {
    let written = &document.monitor;
    let listen = match &written.listen {
        Some(listen) => values::address("listen", listen, checks),
        None => Some(SocketAddr::from(([127, 0, 0, 1], 8090))),
    };
    // Of those that are there, those that are right.
    let agent_listen = match &written.agent_listen {
        Some(address) => values::address("agent_listen", address, checks).map(Some),
        None => Some(None),
    };
    if !document.services.is_empty() {
        let gateway = gateway.filter(|_| !document.apis.is_empty());
        apart(written, listen, agent_listen.flatten(), gateway, checks);
    }
    let user_header = written.user_header.as_ref().and_then(|header| user_header(header, checks));
    let link = written.link.as_ref().and_then(|link| self::link(link, checks));
    let references = references(written.references.as_deref().unwrap_or_default(), checks);
    let Services { targets, fetch } = services(document, checks);
    let routes = alert::routes(document, checks);
    let maintenance = alert::maintenance(document, checks);
    let day = 24 * 3600;
    let kept = Duration::from_secs(values::number(written.retention_days.as_ref(), 400) * day);
    let seconds =
        |written: &Option<At<u64>>, default| Duration::from_secs(values::number(written.as_ref(), default));
    if document.services.is_empty() {
        return None;
    }
    let listen = listen?;
    let is_anybody_let_in = !access.tokens.is_empty() || access.others.is_some() || user_header.is_some();
    Some(Monitor {
        listen,
        agent_listen: agent_listen?,
        data: match &written.data {
            Some(file) if file.value == "memory" => None,
            Some(file) => Some(checks.path(file)),
            None => Some(PathBuf::from("lifesigns-monitor.db")),
        },
        retention: HistoryRetention { readings: kept, events: kept },
        title: super::text(written.title.as_ref()).unwrap_or_else(|| "Lifesigns".to_owned()),
        is_open: listen.ip().is_loopback() && !is_anybody_let_in,
        user_header,
        are_decisions_open: written.decisions.as_ref().is_some_and(|at| at.value == "everybody"),
        options: Options {
            targets,
            fetch,
            routes,
            maintenance,
            cascade: seconds(&written.cascade_seconds, 90),
            link,
            references,
            red_interval: seconds(&written.red_interval_seconds, 60),
            full_every: values::number(written.full_every.as_ref(), 10) as u32,
        },
    })
}

/// Every listener of the process has an address of its own.
fn apart(
    written: &wire::monitor::Monitor,
    listen: Option<SocketAddr>,
    agent_listen: Option<SocketAddr>,
    gateway: Option<&Gateway>,
    checks: &mut Checks<'_>,
) {
    let mut taken: Vec<(&str, SocketAddr)> = Vec::new();
    if let Some(gateway) = gateway {
        taken.push(("listen` of `[gateway]", gateway.listen));
        taken.extend(gateway.admin_listen.map(|address| ("admin_listen", address)));
        taken.extend(gateway.grpc_listen.map(|address| ("grpc_listen", address)));
    }
    let own = [("listen", &written.listen, listen), ("agent_listen", &written.agent_listen, agent_listen)];
    for (key, at, address) in own {
        let Some(address) = address else { continue };
        let same = taken.iter().find(|(_, other)| *other == address && address.port() != 0);
        if let Some((same, _)) = same {
            let place = at.as_ref().map_or(&Place::Nowhere, |at| &at.place);
            checks.fault(
                Fault::new(
                    place,
                    format!("`{key}` of `[monitor]` is the same address as `{same}`, {address}"),
                )
                .hint("give each a port of its own"),
            );
        }
        taken.push((if key == "listen" { "listen` of `[monitor]" } else { key }, address));
    }
}

fn user_header(written: &At<String>, checks: &mut Checks<'_>) -> Option<HeaderName> {
    let name = written.value.parse().ok();
    if name.is_none() {
        checks.fault(
            Fault::new(&written.place, format!("`user_header` is no name of a header: {}", written.value))
                .hint("write the name alone, such as \"X-Forwarded-User\""),
        );
    }
    name
}

/// An address that paths are put behind.
fn link(written: &At<String>, checks: &mut Checks<'_>) -> Option<String> {
    let url = web_address("link", written, checks)?;
    if url.query().is_some() || url.fragment().is_some() {
        checks.fault(
            Fault::new(&written.place, "`link` has a `?` or a `#`, and paths are put behind it")
                .hint("write it like \"https://status.example.com\""),
        );
        return None;
    }
    Some(url.as_str().trim_end_matches('/').to_owned())
}

/// A URL over HTTP, with TLS or without, that holds no secret.
fn web_address(key: &str, written: &At<String>, checks: &mut Checks<'_>) -> Option<Url> {
    let example = "write it like \"https://orders.example.com/health\"";
    let (what, hint) = match Url::parse(&written.value) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") || !url.has_host() => {
            ("begins with neither http:// nor https://", example)
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => (
            "holds a user or a password, which would end in lists and in histories",
            "leave them out; what a service wants to know is given by `authorization_env` or `authorization_file`",
        ),
        Ok(url) => return Some(url),
        Err(_) => ("is no URL", example),
    };
    checks.fault(Fault::new(&written.place, format!("`{key}` {what}")).hint(hint));
    None
}

fn references(written: &[At<String>], checks: &mut Checks<'_>) -> Vec<String> {
    let mut references = Vec::with_capacity(written.len());
    for reference in written {
        let text = &reference.value;
        let is_named = text.rsplit_once(':').is_some_and(|(host, port)| {
            values::is_host(host) && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        if is_named || text.parse::<SocketAddr>().is_ok_and(|address| address.port() > 0) {
            references.push(text.clone());
        } else {
            checks.fault(
                Fault::new(
                    &reference.place,
                    format!("`references` holds {text}, which is no address with a port"),
                )
                .hint("write host and port, such as \"192.0.2.1:53\" or \"[2001:db8::1]:443\""),
            );
        }
    }
    references
}
