//! The first step: a configuration with every value of the right kind, and none of them weighed.

mod access;
pub mod check;
pub mod monitor;
pub mod program;
mod push;

use jiff::Timestamp;

use super::fault::{Fault, Place};
use super::reader::Reader;
use super::reference;
use super::tree::{At, Table};

pub use self::access::{Access, App, Hash, Issuer, Oauth, Token};
pub use self::push::{Log, Otlp};

type Optional<T> = Option<At<T>>;

/// A whole configuration. What was not written is `None`.
#[derive(Debug, Default)]
pub struct Document {
    /// Whether all of it could be read: only then is what is missing certainly missing.
    pub whole: bool,
    pub name: Optional<String>,
    pub organization: Optional<String>,
    pub environment: Optional<String>,
    pub instance: Optional<String>,
    pub gateway: Gateway,
    pub store: Store,
    pub limits: Limits,
    pub verdict: Verdict,
    pub objective: Objective,
    pub log: Log,
    pub otlp: Otlp,
    pub resources: Resources,
    pub access: Access,
    pub tokens: Vec<Token>,
    pub oauth: Oauth,
    pub apps: Vec<App>,
    pub issuers: Vec<Issuer>,
    pub apis: Vec<Api>,
    pub checks: Vec<check::Check>,
    pub monitor: monitor::Monitor,
    pub services: Vec<monitor::Service>,
    pub alerts: Vec<monitor::Alert>,
    pub maintenances: Vec<monitor::Maintenance>,
}

/// `[gateway]`
#[derive(Debug, Default)]
pub struct Gateway {
    pub listen: Optional<String>,
    pub admin_listen: Optional<String>,
    pub grpc_listen: Optional<String>,
    pub workers: Optional<u64>,
    pub connect_timeout_seconds: Optional<u64>,
    pub response_timeout_seconds: Optional<u64>,
    pub header_timeout_seconds: Optional<u64>,
    pub idle_timeout_seconds: Optional<u64>,
    pub upstream_idle_timeout_seconds: Optional<u64>,
    pub trust_forwarded: Optional<bool>,
    pub readiness_delay_seconds: Optional<u64>,
    pub drain_delay_seconds: Optional<u64>,
    pub drain_timeout_seconds: Optional<u64>,
}

/// `[store]`
#[derive(Debug, Default)]
pub struct Store {
    pub path: Optional<String>,
    pub retention_minute_rows_hours: Optional<u64>,
    pub retention_hour_rows_days: Optional<u64>,
    pub retention_day_rows_days: Optional<u64>,
}

/// `[limits]`
#[derive(Debug, Default)]
#[expect(clippy::struct_field_names, reason = "the fields are called as the keys are")]
pub struct Limits {
    pub max_routes: Optional<u64>,
    pub max_clients: Optional<u64>,
    pub max_series: Optional<u64>,
}

/// `[verdict]` and `[api.verdict]`
#[derive(Debug, Default)]
pub struct Verdict {
    pub window_seconds: Optional<u64>,
    pub minimum_exchanges: Optional<u64>,
    pub amber_failed_share: Optional<f64>,
    pub red_failed_share: Optional<f64>,
    pub latency_percentile: Optional<u64>,
    pub amber_latency_ms: Optional<u64>,
    pub red_latency_ms: Optional<u64>,
    pub prolonged_red_seconds: Optional<u64>,
    pub retry_after_seconds: Optional<u64>,
}

/// `[objective]` and `[api.objective]`
#[derive(Debug, Default)]
pub struct Objective {
    /// Where it was written; `None` if it was not.
    pub place: Option<Place>,
    /// Whether all of it could be read.
    pub whole: bool,
    pub good_share: Optional<f64>,
    pub latency_ms: Optional<u64>,
    pub period_days: Optional<u64>,
}

/// `[resources]` and `[api.resources]`
#[derive(Debug, Default)]
pub struct Resources {
    pub prefix: Optional<String>,
    pub forced_answers: Optional<bool>,
    pub dialect: Optional<&'static str>,
    pub public_identity: Option<Vec<At<String>>>,
    pub allowed_origins: Option<Vec<At<String>>>,
    pub client_id_headers: Option<Vec<At<String>>>,
    /// In the order of [`reference::RESOURCE_NAMES`].
    pub each: [Resource; reference::RESOURCE_NAMES.len()],
}

/// `[resources.RESOURCE]`
#[derive(Debug, Default)]
pub struct Resource {
    /// Where it was written; `None` if it was not.
    pub place: Option<Place>,
    pub enabled: Optional<bool>,
    pub path: Optional<String>,
    pub listener: Optional<&'static str>,
    pub requests_per_minute: Optional<u64>,
    pub protected: Optional<bool>,
}

/// `[[api]]`
#[derive(Debug)]
pub struct Api {
    pub place: Place,
    /// Whether all of it could be read.
    pub whole: bool,
    pub name: Optional<String>,
    pub version: Optional<String>,
    pub upstream: Optional<String>,
    pub path: Optional<String>,
    pub host: Optional<String>,
    pub strip_prefix: Optional<bool>,
    pub keep_host: Optional<bool>,
    pub openapi: Optional<String>,
    pub identity: Identity,
    pub process: Process,
    pub verdict: Verdict,
    pub objective: Objective,
    pub route_groups: Vec<RouteGroup>,
    pub resources: Resources,
}

/// `[[api.route_group]]`
#[derive(Debug)]
pub struct RouteGroup {
    pub place: Place,
    /// Whether all of it could be read.
    pub whole: bool,
    pub name: Optional<String>,
    pub routes: Option<Vec<At<String>>>,
    pub critical: Optional<bool>,
    pub verdict: Verdict,
}

/// `[api.identity]`
#[derive(Debug, Default)]
pub struct Identity {
    pub repo: Optional<String>,
    pub revision: Optional<String>,
    pub version: Optional<String>,
    pub deployed_at: Optional<Timestamp>,
    pub build_type: Optional<String>,
    pub build_date: Optional<String>,
    pub language: Optional<String>,
    pub environment: Optional<String>,
}

/// `[api.process]`
#[derive(Debug, Default)]
pub struct Process {
    pub pid: Optional<u64>,
    pub pid_file: Optional<String>,
    pub status_url: Optional<String>,
}

/// Reads a whole configuration, telling every fault.
pub fn read(root: &At<Table>, faults: &mut Vec<Fault>) -> Document {
    let before = faults.len();
    let mut top = Reader::new(&reference::TOP, &root.value, &root.place);
    let mut document = Document {
        whole: false,
        name: top.text("name", faults),
        organization: top.text("organization", faults),
        environment: top.text("environment", faults),
        instance: top.text("instance", faults),
        gateway: top.table("gateway", faults).map(|r| gateway(r, faults)).unwrap_or_default(),
        store: top.table("store", faults).map(|r| store(r, faults)).unwrap_or_default(),
        limits: top.table("limits", faults).map(|r| limits(r, faults)).unwrap_or_default(),
        verdict: top.table("verdict", faults).map(|r| verdict(r, faults)).unwrap_or_default(),
        objective: top.table("objective", faults).map(|r| objective(r, faults)).unwrap_or_default(),
        log: top.table("log", faults).map(|r| push::log(r, faults)).unwrap_or_default(),
        otlp: top.table("otlp", faults).map(|r| push::otlp(r, faults)).unwrap_or_default(),
        resources: top.table("resources", faults).map(|r| resources(r, faults)).unwrap_or_default(),
        access: top.table("access", faults).map(|r| access::access(r, faults)).unwrap_or_default(),
        tokens: top.tables("token", faults).into_iter().map(|r| access::token(r, faults)).collect(),
        oauth: top.table("oauth", faults).map(|r| access::oauth(r, faults)).unwrap_or_default(),
        apps: top.tables("app", faults).into_iter().map(|r| access::app(r, faults)).collect(),
        issuers: top.tables("issuer", faults).into_iter().map(|r| access::issuer(r, faults)).collect(),
        apis: top.tables("api", faults).into_iter().map(|reader| api(reader, faults)).collect(),
        checks: top.tables("check", faults).into_iter().map(|reader| check::check(reader, faults)).collect(),
        monitor: top.table("monitor", faults).map(|r| monitor::monitor(r, faults)).unwrap_or_default(),
        services: top.tables("service", faults).into_iter().map(|r| monitor::service(r, faults)).collect(),
        alerts: top.tables("alert", faults).into_iter().map(|r| monitor::alert(r, faults)).collect(),
        maintenances: top
            .tables("maintenance", faults)
            .into_iter()
            .map(|r| monitor::maintenance(r, faults))
            .collect(),
    };
    top.finish(faults);
    document.whole = faults.len() == before;
    document
}

fn gateway(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Gateway {
    let gateway = Gateway {
        listen: reader.text("listen", faults),
        admin_listen: reader.text("admin_listen", faults),
        grpc_listen: reader.text("grpc_listen", faults),
        workers: reader.integer("workers", faults),
        connect_timeout_seconds: reader.integer("connect_timeout_seconds", faults),
        response_timeout_seconds: reader.integer("response_timeout_seconds", faults),
        header_timeout_seconds: reader.integer("header_timeout_seconds", faults),
        idle_timeout_seconds: reader.integer("idle_timeout_seconds", faults),
        upstream_idle_timeout_seconds: reader.integer("upstream_idle_timeout_seconds", faults),
        trust_forwarded: reader.switch("trust_forwarded", faults),
        readiness_delay_seconds: reader.integer("readiness_delay_seconds", faults),
        drain_delay_seconds: reader.integer("drain_delay_seconds", faults),
        drain_timeout_seconds: reader.integer("drain_timeout_seconds", faults),
    };
    reader.finish(faults);
    gateway
}

fn store(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Store {
    let store = Store {
        path: reader.text("path", faults),
        retention_minute_rows_hours: reader.integer("retention_minute_rows_hours", faults),
        retention_hour_rows_days: reader.integer("retention_hour_rows_days", faults),
        retention_day_rows_days: reader.integer("retention_day_rows_days", faults),
    };
    reader.finish(faults);
    store
}

fn limits(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Limits {
    let limits = Limits {
        max_routes: reader.integer("max_routes", faults),
        max_clients: reader.integer("max_clients", faults),
        max_series: reader.integer("max_series", faults),
    };
    reader.finish(faults);
    limits
}

fn verdict(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Verdict {
    let verdict = Verdict {
        prolonged_red_seconds: reader.integer("prolonged_red_seconds", faults),
        retry_after_seconds: reader.integer("retry_after_seconds", faults),
        ..thresholds(&mut reader, faults)
    };
    reader.finish(faults);
    verdict
}

fn thresholds(reader: &mut Reader<'_>, faults: &mut Vec<Fault>) -> Verdict {
    Verdict {
        window_seconds: reader.integer("window_seconds", faults),
        minimum_exchanges: reader.integer("minimum_exchanges", faults),
        amber_failed_share: reader.share("amber_failed_share", faults),
        red_failed_share: reader.share("red_failed_share", faults),
        latency_percentile: reader.integer("latency_percentile", faults),
        amber_latency_ms: reader.integer("amber_latency_ms", faults),
        red_latency_ms: reader.integer("red_latency_ms", faults),
        ..Verdict::default()
    }
}

fn objective(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Objective {
    let before = faults.len();
    let mut objective = Objective {
        place: Some(reader.place.clone()),
        whole: false,
        good_share: reader.share("good_share", faults),
        latency_ms: reader.integer("latency_ms", faults),
        period_days: reader.integer("period_days", faults),
    };
    reader.finish(faults);
    objective.whole = faults.len() == before;
    objective
}

fn resources(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Resources {
    let resources = Resources {
        prefix: reader.text("prefix", faults),
        forced_answers: reader.switch("forced_answers", faults),
        dialect: reader.choice("dialect", faults),
        public_identity: reader.list("public_identity", faults),
        allowed_origins: reader.list("allowed_origins", faults),
        client_id_headers: reader.list("client_id_headers", faults),
        each: reference::RESOURCE_NAMES.map(|name| {
            reader.table(name, faults).map(|reader| resource(reader, faults)).unwrap_or_default()
        }),
    };
    reader.finish(faults);
    resources
}

fn resource(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Resource {
    let resource = Resource {
        place: Some(reader.place.clone()),
        enabled: reader.switch("enabled", faults),
        path: reader.text("path", faults),
        listener: reader.choice("listener", faults),
        requests_per_minute: reader.integer("requests_per_minute", faults),
        protected: reader.switch("protected", faults),
    };
    reader.finish(faults);
    resource
}

fn api(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Api {
    let before = faults.len();
    let mut api = Api {
        place: reader.place.clone(),
        whole: false,
        name: reader.text("name", faults),
        version: reader.text("version", faults),
        upstream: reader.text("upstream", faults),
        path: reader.text("path", faults),
        host: reader.text("host", faults),
        strip_prefix: reader.switch("strip_prefix", faults),
        keep_host: reader.switch("keep_host", faults),
        openapi: reader.text("openapi", faults),
        identity: reader.table("identity", faults).map(|r| identity(r, faults)).unwrap_or_default(),
        process: reader.table("process", faults).map(|r| process(r, faults)).unwrap_or_default(),
        verdict: reader.table("verdict", faults).map(|r| verdict(r, faults)).unwrap_or_default(),
        objective: reader.table("objective", faults).map(|r| objective(r, faults)).unwrap_or_default(),
        route_groups: reader
            .tables("route_group", faults)
            .into_iter()
            .map(|reader| route_group(reader, faults))
            .collect(),
        resources: reader.table("resources", faults).map(|r| resources(r, faults)).unwrap_or_default(),
    };
    reader.finish(faults);
    api.whole = faults.len() == before;
    api
}

fn route_group(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> RouteGroup {
    let before = faults.len();
    let mut group = RouteGroup {
        place: reader.place.clone(),
        whole: false,
        name: reader.text("name", faults),
        routes: reader.list("routes", faults),
        critical: reader.switch("critical", faults),
        verdict: reader
            .table("verdict", faults)
            .map(|mut reader| {
                let verdict = thresholds(&mut reader, faults);
                reader.finish(faults);
                verdict
            })
            .unwrap_or_default(),
    };
    reader.finish(faults);
    group.whole = faults.len() == before;
    group
}

fn identity(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Identity {
    let identity = Identity {
        repo: reader.text("repo", faults),
        revision: reader.text("revision", faults),
        version: reader.text("version", faults),
        deployed_at: reader.moment("deployed_at", faults),
        build_type: reader.text("build_type", faults),
        build_date: reader.text("build_date", faults),
        language: reader.text("language", faults),
        environment: reader.text("environment", faults),
    };
    reader.finish(faults);
    identity
}

fn process(mut reader: Reader<'_>, faults: &mut Vec<Fault>) -> Process {
    let process = Process {
        pid: reader.integer("pid", faults),
        pid_file: reader.text("pid_file", faults),
        status_url: reader.text("status_url", faults),
    };
    reader.finish(faults);
    process
}
