//! The third step: what a configuration asks for, opened and ready to serve.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lifesigns::{ApiOptions, Authority, Identity, Lifesigns, ProcessSource};
use lifesigns_access::Gatekeeper;
use lifesigns_gateway::{Config, Drain, Route, Timeouts, Upstream};
use lifesigns_model::store::{RollupStore, StoreError};
use lifesigns_store::memory::MemoryStore;
use lifesigns_store::sqlite::{Options, SqliteStore};

use super::validated::{Api, DependencyCheck, Others, Process, Settings, Store};
use crate::printer::Problem;

/// A process that is ready to serve.
pub struct Built {
    /// Recorder, judge and resources; still starting.
    pub lifesigns: Lifesigns,
    /// Who knows apps and issuers, and has to keep keys; there where there are any.
    pub gatekeeper: Option<Arc<Gatekeeper>>,
    /// How the gateway is to run.
    pub gateway: Config,
    /// Where `grpc.health.v1` is served, if anywhere.
    pub grpc: Option<SocketAddr>,
    /// APIs whose own `/status` tells of their process: name and address.
    pub status_urls: Vec<(String, Upstream)>,
}

/// Opens the store and starts to collect.
///
/// # Errors
/// When the store cannot be opened or the system gives no thread.
pub fn build(settings: Settings) -> Result<Built, Problem> {
    let store = open(&settings.store)?;
    let own_identity = Identity { environment: settings.environment.clone(), ..lifesigns::build_identity!() };
    let mut builder = Lifesigns::builder(&settings.name)
        .starting()
        .store(store)
        .identity(own_identity)
        .settings(settings.resources)
        .thresholds(settings.thresholds)
        .max_series(settings.limits.series);
    if let Some(instance) = &settings.instance {
        builder = builder.instance(instance);
    }
    if let Some(organization) = &settings.organization {
        builder = builder.organization(organization);
    }
    builder = builder.failed_attempts_per_minute(settings.access.failed_attempts_per_minute);
    for token in settings.access.tokens {
        builder = builder.token(token);
    }
    let gatekeeper = settings.access.others.map(gatekeeper).transpose()?;
    if let Some(gatekeeper) = &gatekeeper {
        builder = builder.authority(Arc::clone(gatekeeper) as Arc<dyn Authority>);
    }
    let mut routes = Vec::with_capacity(settings.apis.len());
    let mut status_urls = Vec::new();
    for api in settings.apis {
        routes.push(route(&api));
        let process = match api.process {
            Process::Local(source) => source,
            Process::StatusUrl(url) => {
                status_urls.push((api.name.clone(), url));
                ProcessSource::Reported
            }
        };
        builder = builder.api(ApiOptions {
            name: api.name,
            version: api.version,
            identity: api.identity,
            settings: api.resources,
            thresholds: api.thresholds,
            groups: api.groups,
            objective: api.objective,
            process,
            max_routes: Some(settings.limits.routes),
            max_clients: Some(settings.limits.clients),
        });
    }
    for DependencyCheck { check, apis } in settings.checks {
        builder = match apis {
            None => builder.check(check),
            Some(apis) => builder.check_for(apis, check),
        };
    }
    let lifesigns =
        builder.start().map_err(|error| Problem::new("health cannot be watched").because(&error))?;
    let written = settings.gateway;
    let mut gateway = Config::new(written.listen, routes);
    gateway.admin = written.admin_listen;
    gateway.workers = written.workers.and_then(NonZeroUsize::new);
    gateway.trust_forwarded = written.trust_forwarded;
    gateway.timeouts = Timeouts {
        connect: written.connect_timeout,
        response_head: written.response_timeout,
        body_idle: written.idle_timeout,
        request_head: written.header_timeout,
        upstream_idle: written.upstream_idle_timeout,
        ..Timeouts::default()
    };
    gateway.drain = Drain {
        notice: written.readiness_delay,
        delay: written.drain_delay,
        patience: written.drain_timeout,
    };
    Ok(Built { lifesigns, gatekeeper, gateway, grpc: written.grpc_listen, status_urls })
}

fn gatekeeper(others: Others) -> Result<Arc<Gatekeeper>, Problem> {
    let gatekeeper = Gatekeeper::new(others.options, others.apps, others.issuers);
    gatekeeper.map(Arc::new).map_err(|error| Problem::new("nobody could be let in").because(&error))
}

fn open(store: &Store) -> Result<Arc<dyn RollupStore>, Problem> {
    let Some(file) = &store.file else { return Ok(Arc::new(MemoryStore::new(store.retention))) };
    let options = Options { retention: store.retention, ..Options::default() };
    match SqliteStore::open(file, options) {
        Ok(store) => Ok(Arc::new(store)),
        Err(error) => Err(not_opened(&error).hint(
            "the file is named by `path` of `[store]`, LIFESIGNS_DATA or --data; `memory` does without one",
        )),
    }
}

fn not_opened(error: &StoreError) -> Problem {
    Problem::new("the figures cannot be kept").because(error)
}

fn route(api: &Api) -> Route {
    let mut route = Route::new(api.name.as_str(), api.upstream.clone());
    route.host.clone_from(&api.mount.host);
    if !api.mount.path.is_empty() {
        route.prefix.clone_from(&api.mount.path);
    }
    route.strip_prefix = api.strip_prefix;
    route.preserve_host = api.keep_host;
    route.templates.clone_from(&api.routes);
    route
}
