//! The second step: a configuration that makes sense. Pure but for what it reads through [`Surroundings`].

mod access;
mod api;
mod check;
mod monitor;
mod objective;
mod option;
mod otlp;
mod resources;
mod values;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lifesigns::{ProcessSource, ResourceKind, RouteGroup, Settings as ResourceSettings};
use lifesigns_gateway::Upstream;
use lifesigns_model::identity::Identity;
use lifesigns_model::objective::Objective;
use lifesigns_model::route::Templates;
use lifesigns_model::store::Retention;
use lifesigns_model::verdict::Thresholds;

pub use self::access::{Access, Others};
pub use self::check::DependencyCheck;
pub use self::monitor::{Monitor, Services};
use super::fault::{Fault, Place};
use super::tree::At;
use super::wire;
use crate::logging;

/// Everything that a process is to do.
#[derive(Debug)]
pub struct Settings {
    /// Name of the process.
    pub name: String,
    /// Organization in the paths of the analytics query; `None`: any.
    pub organization: Option<String>,
    /// Environment; `None`: not known.
    pub environment: Option<String>,
    /// Name of this process among those that count for the same APIs; `None`: the machine's.
    pub instance: Option<String>,
    /// Listening and waiting.
    pub gateway: Gateway,
    /// Where figures are kept.
    pub store: Store,
    /// How many labels are told apart.
    pub limits: Limits,
    /// When the light of the process itself turns.
    pub thresholds: Thresholds,
    /// The resources of the process itself and those that span all APIs.
    pub resources: ResourceSettings,
    /// How the log looks.
    pub log_format: logging::Format,
    /// How to push to a collector; `None`: not at all.
    pub otlp: Option<lifesigns_otlp::Options>,
    /// Who may see protected resources.
    pub access: Access,
    /// The APIs, in the order of the file; at least one where there is no monitor.
    pub apis: Vec<Api>,
    /// What they depend on.
    pub checks: Vec<DependencyCheck>,
    /// What is watched and who is told of it; `None` where there is nothing to watch.
    pub monitor: Option<Monitor>,
}

/// Where the gateway listens and how long it waits.
#[derive(Debug, PartialEq)]
pub struct Gateway {
    /// Where callers connect.
    pub listen: SocketAddr,
    /// Where operators connect.
    pub admin_listen: Option<SocketAddr>,
    /// Where `grpc.health.v1` is served.
    pub grpc_listen: Option<SocketAddr>,
    /// Number of threads that carry traffic; `None`: one for each processor.
    pub workers: Option<usize>,
    /// For a connection to an upstream.
    pub connect_timeout: Duration,
    /// For the head of an upstream's response.
    pub response_timeout: Duration,
    /// For the head of a client's request, and for silence before it.
    pub header_timeout: Duration,
    /// For a body that stands still.
    pub idle_timeout: Duration,
    /// For a connection to an upstream without requests.
    pub upstream_idle_timeout: Duration,
    /// Whether forwarding headers of callers are believed.
    pub trust_forwarded: bool,
    /// After SIGTERM: how long everything goes on as before.
    pub readiness_delay: Duration,
    /// From SIGTERM until no more connections are accepted.
    pub drain_delay: Duration,
    /// From then on for requests in progress.
    pub drain_timeout: Duration,
}

/// Where figures are kept.
#[derive(Debug, PartialEq)]
pub struct Store {
    /// The file; `None`: in memory alone.
    pub file: Option<PathBuf>,
    /// How long each level is kept.
    pub retention: Retention,
}

/// How many labels are told apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Routes of each API.
    pub routes: u16,
    /// Client apps of each API.
    pub clients: u16,
    /// Combinations of labels, by each thread.
    pub series: usize,
}

/// An API behind the gateway.
#[derive(Debug)]
pub struct Api {
    /// Name that it is counted under.
    pub name: String,
    /// Version that it is counted under.
    pub version: Option<String>,
    /// Where it really is.
    pub upstream: Upstream,
    /// Which requests are for it.
    pub mount: Mount,
    /// Whether the upstream gets its requests without the path of the mount.
    pub strip_prefix: bool,
    /// Whether the upstream sees the host that the client asked for.
    pub keep_host: bool,
    /// Route templates; `None`: routes are guessed from paths.
    pub routes: Option<Templates>,
    /// Who it is.
    pub identity: Identity,
    /// Whose memory and uptime are shown.
    pub process: Process,
    /// When its light turns.
    pub thresholds: Thresholds,
    /// Which share of its exchanges is to be good.
    pub objective: Option<Objective>,
    /// Routes whose traffic is judged by itself as well.
    pub groups: Vec<RouteGroup>,
    /// Its health resources.
    pub resources: ResourceSettings,
}

/// Where memory and uptime of an API's process are seen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Process {
    /// On this machine.
    Local(ProcessSource),
    /// At the API's own `/status`.
    StatusUrl(Upstream),
}

/// Which requests are for an API: those that fit both.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Mount {
    /// Those to this host, in lower case and without a port; `None`: to any.
    pub host: Option<String>,
    /// Those under this path, which begins with `/` and does not end with it; empty: under any.
    pub path: String,
}

/// What a configuration refers to outside itself.
pub trait Surroundings {
    /// The text of a file.
    ///
    /// # Errors
    /// When it cannot be read or is no UTF-8.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// The value of an environment variable that is set and is UTF-8.
    fn variable(&self, name: &str) -> Option<String>;
}

/// A file that holds more than this is not what was meant; 16 MB.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The process' own surroundings.
#[derive(Clone, Copy, Debug)]
pub struct OfProcess;

impl Surroundings for OfProcess {
    fn read(&self, path: &Path) -> io::Result<String> {
        use io::Read as _;
        let mut text = String::new();
        let length = std::fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
        if length as u64 > MAX_FILE_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 16 MB"));
        }
        Ok(text)
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// What the checks need besides the document.
struct Checks<'a> {
    /// Folder that relative paths in the file are relative to.
    folder: &'a Path,
    surroundings: &'a dyn Surroundings,
    faults: &'a mut Vec<Fault>,
}

impl Checks<'_> {
    fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// A fault about something that is not there; in a table that could not be read whole it may only be hidden.
    fn missing(&mut self, table_is_whole: bool, fault: Fault) {
        if table_is_whole {
            self.fault(fault);
        }
    }

    /// The file that was meant: relative to the configuration file if it was named there.
    fn path(&self, named: &At<String>) -> PathBuf {
        match named.place {
            Place::File(_) => self.folder.join(&named.value),
            _ => PathBuf::from(&named.value),
        }
    }

    /// The value of an environment variable that the configuration names.
    fn variable(&mut self, key: &str, named: &At<String>) -> Option<String> {
        let value = self.surroundings.variable(&named.value);
        if value.is_none() {
            let message = format!("`{key}`: the environment variable {} is not set", named.value);
            self.fault(Fault::new(&named.place, message));
        }
        value
    }

    /// The text of a file that the configuration names.
    fn read(&mut self, key: &str, named: &At<String>) -> Option<String> {
        let path = self.path(named);
        match self.surroundings.read(&path) {
            Ok(text) => Some(text),
            Err(error) => {
                self.fault(Fault::new(
                    &named.place,
                    format!("`{key}`: {} cannot be read: {error}", path.display()),
                ));
                None
            }
        }
    }
}

/// What a process is called that was given no name.
const DEFAULT_NAME: &str = "lifesigns";

/// Weighs a document. `None` when there are faults.
pub fn validate(
    document: &wire::Document,
    folder: &Path,
    surroundings: &dyn Surroundings,
    faults: &mut Vec<Fault>,
) -> Option<Settings> {
    let mut checks = Checks { folder, surroundings, faults };
    let gateway = gateway(&document.gateway, &mut checks);
    let store = store(&document.store, &mut checks);
    let thresholds = values::thresholds(Thresholds::default(), &document.verdict, &mut checks);
    let mut resources = resources::apply(ResourceSettings::default(), &document.resources, &mut checks);
    values::answers(&mut resources, &document.verdict);
    let access = access::access(document, &mut checks);
    // Where it is not, its path is free for an API.
    resources.resource_mut(ResourceKind::Token).enabled &=
        access.others.as_ref().is_some_and(|others| !others.apps.is_empty());
    let otlp = otlp::otlp(&document.otlp, &mut checks);
    let objective = objective::objective(None, "[objective]", &document.objective, &mut checks);
    let apis = api::apis(document, thresholds, objective, &resources, &mut checks);
    let dependencies = check::checks(document, &mut checks);
    let monitor = monitor::monitor(document, gateway.as_ref(), &access, &mut checks);
    let settings = Settings {
        name: document.name.as_ref().map_or(DEFAULT_NAME, |name| &name.value).to_owned(),
        organization: text(document.organization.as_ref()),
        environment: text(document.environment.as_ref()),
        instance: text(document.instance.as_ref()),
        gateway: gateway?,
        store,
        limits: Limits {
            routes: values::number(document.limits.max_routes.as_ref(), 500) as u16,
            clients: values::number(document.limits.max_clients.as_ref(), 1000) as u16,
            series: values::number(document.limits.max_series.as_ref(), 10_000) as usize,
        },
        thresholds,
        resources,
        log_format: document
            .log
            .format
            .as_ref()
            .and_then(|at| logging::Format::from_name(at.value))
            .unwrap_or_default(),
        otlp,
        access,
        apis,
        checks: dependencies,
        monitor,
    };
    faults.is_empty().then_some(settings)
}

/// Weighs the services of a document, and nothing else: what all the rest needs may be there for others alone. `None` when
/// there are faults.
pub fn validate_services(
    document: &wire::Document,
    folder: &Path,
    surroundings: &dyn Surroundings,
    faults: &mut Vec<Fault>,
) -> Option<Services> {
    let services = monitor::services(document, &mut Checks { folder, surroundings, faults });
    faults.is_empty().then_some(services)
}

fn text(written: Option<&At<String>>) -> Option<String> {
    written.map(|written| written.value.clone())
}

fn gateway(written: &wire::Gateway, checks: &mut Checks<'_>) -> Option<Gateway> {
    let listen = match &written.listen {
        Some(listen) => values::address("listen", listen, checks),
        None => Some(SocketAddr::from(([127, 0, 0, 1], 8080))),
    };
    let mut taken = vec![("listen", listen)];
    let mut other = |key, written: &Option<At<String>>, hint| {
        let Some(written) = written else { return Some(None) };
        let address = values::address(key, written, checks)?;
        let same = taken.iter().find(|(_, other)| *other == Some(address) && address.port() != 0);
        if let Some((same, _)) = same {
            let text = format!("`{key}` is the same address as `{same}`, {address}");
            checks.fault(Fault::new(&written.place, text).hint(hint));
        }
        taken.push((key, Some(address)));
        Some(Some(address))
    };
    let admin_listen = other(
        "admin_listen",
        &written.admin_listen,
        "give operators a port of their own, or leave `admin_listen` out",
    );
    let grpc_listen =
        other("grpc_listen", &written.grpc_listen, "give gRPC a port of its own, or leave `grpc_listen` out");
    let seconds =
        |written: &Option<At<u64>>, default| Duration::from_secs(values::number(written.as_ref(), default));
    Some(Gateway {
        listen: listen?,
        admin_listen: admin_listen?,
        grpc_listen: grpc_listen?,
        workers: written.workers.as_ref().map(|workers| workers.value as usize),
        connect_timeout: seconds(&written.connect_timeout_seconds, 5),
        response_timeout: seconds(&written.response_timeout_seconds, 60),
        header_timeout: seconds(&written.header_timeout_seconds, 30),
        idle_timeout: seconds(&written.idle_timeout_seconds, 60),
        upstream_idle_timeout: seconds(&written.upstream_idle_timeout_seconds, 4),
        trust_forwarded: written.trust_forwarded.as_ref().is_some_and(|at| at.value),
        readiness_delay: seconds(&written.readiness_delay_seconds, 0),
        drain_delay: seconds(&written.drain_delay_seconds, 0),
        drain_timeout: seconds(&written.drain_timeout_seconds, 30),
    })
}

fn store(written: &wire::Store, checks: &mut Checks<'_>) -> Store {
    let file = match &written.path {
        Some(path) if path.value == "memory" => None,
        Some(path) => Some(checks.path(path)),
        None => Some(PathBuf::from("lifesigns.db")),
    };
    let (minute, hour, day) = (
        written.retention_minute_rows_hours.as_ref(),
        written.retention_hour_rows_days.as_ref(),
        written.retention_day_rows_days.as_ref(),
    );
    let retention = Retention {
        minute_rows: values::number(minute, 48) as i64 * 60,
        hour_rows: values::number(hour, 90) as i64 * 1440,
        day_rows: values::number(day, 1825) as i64 * 1440,
    };
    let mut at_least = |[coarser, finer]: [i64; 2], names: [&str; 2], places: [Option<&At<u64>>; 2]| {
        if coarser < finer {
            let place = places.into_iter().flatten().next().map_or(&Place::Nowhere, |at| &at.place);
            checks.fault(
                Fault::new(place, format!("`{}` is shorter than `{}`", names[0], names[1]))
                    .hint("coarser rows are made of finer ones, so they must be kept at least as long"),
            );
        }
    };
    at_least(
        [retention.hour_rows, retention.minute_rows],
        ["retention_hour_rows_days", "retention_minute_rows_hours"],
        [hour, minute],
    );
    at_least(
        [retention.day_rows, retention.hour_rows],
        ["retention_day_rows_days", "retention_hour_rows_days"],
        [day, hour],
    );
    Store { file, retention }
}
