//! The third step: what a configuration asks for, opened and ready to serve.

mod monitor;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lifesigns::{ApiOptions, Authority, Builder, Identity, Lifesigns, ProcessSource, Token};
use lifesigns_access::Gatekeeper;
use lifesigns_gateway::{Config, Drain, Route, Timeouts, Upstream};
use lifesigns_model::store::{RollupStore, StoreError};
use lifesigns_store::memory::MemoryStore;
use lifesigns_store::sqlite::{Options, SqliteStore};

pub use self::monitor::Watching;
use super::validated::{Access, Api, DependencyCheck, Others, Process, Settings, Store};
use crate::printer::Problem;

/// A process that is ready to serve.
pub struct Built {
    /// Who knows apps and issuers, and has to keep keys; there where there are any.
    pub gatekeeper: Option<Arc<Gatekeeper>>,
    /// What stands in front of APIs, if there is one.
    pub gateway: Option<Serving>,
    /// What watches services, if there are any.
    pub monitor: Option<Watching>,
}

/// A gateway that is ready to serve.
pub struct Serving {
    /// Recorder, judge and resources; still starting.
    pub lifesigns: Lifesigns,
    /// How it is to run.
    pub config: Config,
    /// Where `grpc.health.v1` is served, if anywhere.
    pub grpc: Option<SocketAddr>,
    /// APIs whose own `/status` tells of their process: name and address.
    pub status_urls: Vec<(String, Upstream)>,
}

/// Who is let in: the same at the gateway and at the monitor.
struct LetIn {
    failed_attempts_per_minute: u32,
    tokens: Vec<Token>,
    gatekeeper: Option<Arc<Gatekeeper>>,
}

impl LetIn {
    fn new(access: &mut Access) -> Result<LetIn, Problem> {
        Ok(LetIn {
            failed_attempts_per_minute: access.failed_attempts_per_minute,
            tokens: std::mem::take(&mut access.tokens),
            gatekeeper: access.others.take().map(gatekeeper).transpose()?,
        })
    }
}

/// Opens what is kept and starts to collect.
///
/// # Errors
/// When a store cannot be opened or the system gives no thread.
pub fn build(mut settings: Settings) -> Result<Built, Problem> {
    let let_in = LetIn::new(&mut settings.access)?;
    let watched = settings.monitor.take();
    let watched = watched.map(|monitor| monitor::build(monitor, &mut settings, &let_in)).transpose()?;
    let gateway = if settings.apis.is_empty() { None } else { Some(serving(settings, &let_in)?) };
    Ok(Built { gatekeeper: let_in.gatekeeper, gateway, monitor: watched })
}

/// What everything in a process has in common: who it is, and whom it lets in.
fn builder(name: &str, settings: &Settings, let_in: &LetIn) -> Builder {
    let own_identity = Identity { environment: settings.environment.clone(), ..lifesigns::build_identity!() };
    let mut builder = Lifesigns::builder(name)
        .identity(own_identity)
        .settings(settings.resources.clone())
        .thresholds(settings.thresholds)
        .max_series(settings.limits.series)
        .failed_attempts_per_minute(let_in.failed_attempts_per_minute);
    if let Some(instance) = &settings.instance {
        builder = builder.instance(instance);
    }
    if let Some(organization) = &settings.organization {
        builder = builder.organization(organization);
    }
    for token in &let_in.tokens {
        builder = builder.token(token.clone());
    }
    if let Some(gatekeeper) = &let_in.gatekeeper {
        builder = builder.authority(Arc::clone(gatekeeper) as Arc<dyn Authority>);
    }
    builder
}

fn serving(settings: Settings, let_in: &LetIn) -> Result<Serving, Problem> {
    let store = open(&settings.store)?;
    let mut builder = builder(&settings.name, &settings, let_in).starting().store(store);
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
    Ok(Serving { lifesigns, config: gateway, grpc: written.grpc_listen, status_urls })
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
