//! A monitor, opened and ready to watch.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use lifesigns::{Lifesigns, ResourceKind, Scope};
use lifesigns_model::history::HistoryStore;
use lifesigns_monitor::{AccessOptions, Fleet, ServeOptions};
use lifesigns_store::history::{HistoryOptions, MemoryHistory, SqliteHistory};

use super::{LetIn, builder};
use crate::config::validated::{Monitor, Settings};
use crate::printer::Problem;

/// What it is called beside a gateway in the same process.
const BESIDE_A_GATEWAY: &str = "lifesigns-monitor";

/// A monitor that is ready to watch.
pub struct Watching {
    /// What is watched.
    pub fleet: Fleet,
    /// Where its history is.
    pub store: Arc<dyn HistoryStore>,
    /// Its own health.
    pub lifesigns: Lifesigns,
    /// Its pages and resources.
    pub router: Router,
    /// Where they are.
    pub listen: SocketAddr,
    /// Where agent checks are answered, if anywhere.
    pub agent_listen: Option<SocketAddr>,
    /// Whether nobody can see its pages, since nobody is let in.
    pub is_closed: bool,
}

/// Opens the history and takes up what was left.
///
/// # Errors
/// When the history cannot be opened, an option cannot be used, or the system gives no thread.
pub(super) fn build(monitor: Monitor, settings: &mut Settings, let_in: &LetIn) -> Result<Watching, Problem> {
    let store: Arc<dyn HistoryStore> = match &monitor.data {
        Some(file) => {
            let options = HistoryOptions { retention: monitor.retention, ..HistoryOptions::default() };
            Arc::new(SqliteHistory::open(file, options).map_err(|error| {
                Problem::new("the history cannot be kept").because(&error).hint(
                    "the file is named by `data` of `[monitor]`, LIFESIGNS_MONITOR_DATA or --data; `memory` does \
                     without one",
                )
            })?)
        }
        None => Arc::new(MemoryHistory::new(monitor.retention)),
    };
    let not_started = |error: &dyn std::error::Error| Problem::new("the monitor cannot start").because(error);
    let fleet = Fleet::open(monitor.options, Arc::clone(&store)).map_err(|error| not_started(&error))?;
    let is_alone = settings.apis.is_empty();
    let name = if is_alone { settings.name.as_str() } else { BESIDE_A_GATEWAY };
    // Figures of the fleet stand at that path.
    let mut resources = settings.resources.clone();
    resources.resource_mut(ResourceKind::Metrics).enabled = false;
    let access = AccessOptions {
        is_open_to_this_machine: monitor.is_open,
        user_header: monitor.user_header,
        are_decisions_open: monitor.are_decisions_open,
    };
    let mut builder = builder(name, settings, let_in)
        .settings(resources)
        .fleet(fleet.status(&access))
        .check(fleet.history_check());
    if is_alone {
        // There is nothing else that they could count for.
        for check in std::mem::take(&mut settings.checks) {
            builder = builder.check(check.check);
        }
    }
    let lifesigns = builder.start().map_err(|error| not_started(&error))?;
    let opens = |token: &lifesigns::Token| token.grant().scopes.contains(&Scope::FleetRead);
    let is_anybody_let_in = monitor.is_open
        || access.user_header.is_some()
        || let_in.gatekeeper.is_some()
        || let_in.tokens.iter().any(opens);
    let router = fleet.router(&lifesigns, ServeOptions { title: monitor.title, access });
    let (listen, agent_listen) = (monitor.listen, monitor.agent_listen);
    Ok(Watching { fleet, store, lifesigns, router, listen, agent_listen, is_closed: !is_anybody_let_in })
}
