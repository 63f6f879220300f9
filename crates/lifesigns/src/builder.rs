//! Setting up.

use std::env;
use std::io;
use std::sync::Arc;
use std::sync::{Mutex, atomic::AtomicU64};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use lifesigns_model::identity::Identity;
use lifesigns_model::moment::Moment;
use lifesigns_model::objective::Objective;
use lifesigns_model::policy;
use lifesigns_model::series::NOT_APPLICABLE;
use lifesigns_model::store::RollupStore;
use lifesigns_model::verdict::Thresholds;
use rustc_hash::FxHashSet;

use crate::access::{Authority, Scope, Token, TokenHash};
use crate::checks::Check;
use crate::checks::slot::Slot;
use crate::limit::Limiter;
use crate::objective::ObjectiveState;
use crate::proc::ProcessSource;
use crate::process::{ApiState, Lifesigns, StoreHandle};
use crate::recorder::labels::Labels;
use crate::resources::FleetStatus;
use crate::settings::{ResourceKind, RouteGroup, Settings};
use crate::snapshot::Snapshot;

/// Environment variables that override the identity of a process: name, and what it sets.
pub const IDENTITY_VARIABLES: [(&str, &str); 8] = [
    ("LIFESIGNS_REPO", "repo"),
    ("LIFESIGNS_REVISION", "revision"),
    ("LIFESIGNS_VERSION", "version"),
    ("LIFESIGNS_DEPLOYED_AT", "deployed_at"),
    ("LIFESIGNS_BUILD_TYPE", "build_type"),
    ("LIFESIGNS_BUILD_DATE", "build_date"),
    ("LIFESIGNS_LANGUAGE", "language"),
    ("LIFESIGNS_ENVIRONMENT", "environment"),
];

/// One API of a gateway.
#[derive(Clone, Debug, Default)]
pub struct ApiOptions {
    /// Name, unique in the process.
    pub name: String,
    /// Version as its callers know it; the label `api_version_id`.
    pub version: Option<String>,
    /// Who it is.
    pub identity: Identity,
    /// Its health resources.
    pub settings: Settings,
    /// When its traffic turns a light.
    pub thresholds: Thresholds,
    /// Routes whose traffic is judged by itself as well.
    pub groups: Vec<RouteGroup>,
    /// Which share of its exchanges is to be good. Default: there is no objective.
    pub objective: Option<Objective>,
    /// Which process serves it.
    pub process: ProcessSource,
    /// Route templates told apart, at most 65,000. Default 500.
    pub max_routes: Option<u16>,
    /// Client apps told apart, at most 65,000. Default 1000.
    pub max_clients: Option<u16>,
}

impl ApiOptions {
    /// An API with this name and defaults for everything else.
    pub fn new(name: &str) -> ApiOptions {
        ApiOptions { name: name.to_owned(), ..ApiOptions::default() }
    }
}

/// Sets up a [`Lifesigns`].
#[derive(Debug)]
pub struct Builder {
    pub(crate) instance: String,
    pub(crate) organization: Option<String>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) authority: Option<Arc<dyn Authority>>,
    pub(crate) fleet: Option<Arc<dyn FleetStatus>>,
    pub(crate) failed_attempts_per_minute: u32,
    pub(crate) store: Option<StoreHandle>,
    pub(crate) max_series: usize,
    pub(crate) ready: bool,
    pub(crate) start_tasks: Vec<String>,
    own: ApiOptions,
    apis: Vec<ApiOptions>,
    checks: Vec<(Check, Option<Vec<String>>)>,
}

impl Builder {
    pub(crate) fn new(name: &str) -> Builder {
        Builder {
            instance: default_instance(),
            organization: None,
            tokens: Vec::new(),
            authority: None,
            fleet: None,
            failed_attempts_per_minute: 10,
            store: None,
            max_series: 10_000,
            ready: true,
            start_tasks: Vec::new(),
            own: ApiOptions::new(name),
            apis: Vec::new(),
            checks: Vec::new(),
        }
    }

    /// Who the service is. [`crate::build_identity`] gives what is known since it was built.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Builder {
        self.own.identity = identity;
        self
    }

    /// How the health resources are set up.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Builder {
        self.own.settings = settings;
        self
    }

    /// When traffic turns a light.
    #[must_use]
    pub fn thresholds(mut self, thresholds: Thresholds) -> Builder {
        self.own.thresholds = thresholds;
        self
    }

    /// Routes whose traffic is judged by itself, besides that of the whole API.
    #[must_use]
    pub fn route_group(mut self, group: RouteGroup) -> Builder {
        self.own.groups.push(group);
        self
    }

    /// Runs a check in the background. It counts for the process' own API; in a gateway for all of its APIs.
    #[must_use]
    pub fn check(mut self, check: Check) -> Builder {
        self.checks.push((check, None));
        self
    }

    /// Runs a check in the background that counts for some of a gateway's APIs only, by their names.
    #[must_use]
    pub fn check_for<S: Into<String>>(mut self, apis: impl IntoIterator<Item = S>, check: Check) -> Builder {
        self.checks.push((check, Some(apis.into_iter().map(Into::into).collect())));
        self
    }

    /// Which share of exchanges is to be good. With a store a restart does not forget what was counted: starting then
    /// waits for its answer, for at most a second.
    #[must_use]
    pub fn objective(mut self, objective: Objective) -> Builder {
        self.own.objective = Some(objective);
        self
    }

    /// Where history is kept. Without a store there are no `/health/details` and no analytics.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn RollupStore>) -> Builder {
        self.store = Some(StoreHandle(store));
        self
    }

    /// Lets the holder of a token in. Without one, protected resources stay closed.
    #[must_use]
    pub fn token(mut self, token: Token) -> Builder {
        self.tokens.push(token);
        self
    }

    /// Who is asked about bearer tokens that are no static ones, and for tokens at `/oauth2/token`.
    #[must_use]
    pub fn authority(mut self, authority: Arc<dyn Authority>) -> Builder {
        self.authority = Some(authority);
        self
    }

    /// Answers `/status` for a whole fleet, as `all-services`, and not for this process.
    #[must_use]
    pub fn fleet(mut self, fleet: Arc<dyn FleetStatus>) -> Builder {
        self.fleet = Some(fleet);
        self
    }

    /// How many failed attempts to get in a client has in a minute, at least 1. Past it, an app has to wait before its
    /// secret is looked at, and a token that is not known is answered with 429. Default 10.
    #[must_use]
    pub fn failed_attempts_per_minute(mut self, failed_attempts_per_minute: u32) -> Builder {
        self.failed_attempts_per_minute = failed_attempts_per_minute.max(1);
        self
    }

    /// Name of this process among others that serve the same API; the label `instance`. Default: the host's name.
    #[must_use]
    pub fn instance(mut self, instance: &str) -> Builder {
        instance.clone_into(&mut self.instance);
        self
    }

    /// Organisation that the path of an analytics query must name. Default: any.
    #[must_use]
    pub fn organization(mut self, organization: &str) -> Builder {
        self.organization = Some(organization.to_owned());
        self
    }

    /// Series that each thread tells apart; past it exchanges lose route and client. Default 10,000.
    #[must_use]
    pub fn max_series(mut self, max_series: usize) -> Builder {
        self.max_series = max_series.max(1);
        self
    }

    /// Leaves the process in the phase of starting until [`Lifesigns::ready`] is called.
    #[must_use]
    pub fn starting(mut self) -> Builder {
        self.ready = false;
        self
    }

    /// Names something that has to be done before the process is ready. It stays in the phase of starting until
    /// [`Lifesigns::starting_task`] has begun a task of this name and that is done.
    #[must_use]
    pub fn starting_task(mut self, name: &str) -> Builder {
        self.start_tasks.push(name.to_owned());
        self
    }

    /// Adds an API that this process serves for somebody else, as a gateway does. Without any, the process is its
    /// own API.
    #[must_use]
    pub fn api(mut self, api: ApiOptions) -> Builder {
        self.apis.push(api);
        self
    }

    /// Takes from the environment what it says about the identity of the process, and a token from
    /// `LIFESIGNS_TOKEN_HASH`, which may read analytics, details and metrics.
    ///
    /// # Errors
    /// A variable that cannot be understood, by name.
    pub fn from_environment(mut self) -> Result<Builder, BadVariable> {
        let variable = |name: &'static str| env::var(name).ok().filter(|value| !value.trim().is_empty());
        let deployed_at = variable("LIFESIGNS_DEPLOYED_AT").map(|text| text.parse::<Timestamp>()).transpose();
        let environment = Identity {
            repo: variable("LIFESIGNS_REPO"),
            revision: variable("LIFESIGNS_REVISION"),
            version: variable("LIFESIGNS_VERSION"),
            deployed_at: deployed_at
                .map_err(|_| BadVariable("LIFESIGNS_DEPLOYED_AT", "a time as RFC 3339 writes it"))?,
            build_type: variable("LIFESIGNS_BUILD_TYPE"),
            build_date: variable("LIFESIGNS_BUILD_DATE"),
            language: variable("LIFESIGNS_LANGUAGE"),
            environment: variable("LIFESIGNS_ENVIRONMENT"),
        };
        self.own.identity = environment.or(std::mem::take(&mut self.own.identity));
        if let Some(hash) = variable("LIFESIGNS_TOKEN_HASH") {
            let hash: TokenHash = hash
                .trim()
                .parse()
                .map_err(|_| BadVariable("LIFESIGNS_TOKEN_HASH", "`sha256:` and 64 hexadecimal digits"))?;
            let scopes = [Scope::AnalyticsRead, Scope::HealthDetails, Scope::MetricsRead];
            self.tokens.push(Token::new("environment", hash, scopes));
        }
        Ok(self)
    }

    /// Starts to collect. Everything works from now on; the process counts as ready unless
    /// [`Builder::starting`] was called.
    ///
    /// # Errors
    /// When no thread can be started; as [`io::ErrorKind::InvalidInput`] when a check is set up as it must not be:
    /// its name is taken, or it is shared and would fail liveness.
    pub fn start(self) -> io::Result<Lifesigns> {
        Lifesigns::start(self)
    }

    /// The APIs, and the process itself as the last one, if it is not an API itself.
    pub(crate) fn states(&self, now: Moment) -> Vec<ApiState> {
        let is_gateway = !self.apis.is_empty();
        let apis = self.apis.iter().map(|api| self.state(api, true, now));
        apis.chain([self.state(&self.own, !is_gateway, now)]).collect()
    }

    /// The checks, each with the APIs that it counts for.
    pub(crate) fn slots(&self, apis: &[ApiState]) -> Result<Vec<Arc<Slot>>, BadCheck> {
        let mut slots: Vec<Arc<Slot>> = Vec::with_capacity(self.checks.len());
        let mut taken = FxHashSet::default();
        for (check, names) in &self.checks {
            let fault = |fault: String| BadCheck { check: check.name.to_string(), fault };
            policy::validate(&check.policy).map_err(|miswired| fault(miswired.to_string()))?;
            Check::valid_name(&check.name).map_err(|bad| fault(format!("its name {bad}")))?;
            let counted: Vec<usize> = match names {
                None => (0..apis.len()).filter(|index| apis[*index].records).collect(),
                Some(names) => names
                    .iter()
                    .map(|name| apis.iter().position(|api| *api.name == **name).ok_or(name))
                    .collect::<Result<_, _>>()
                    .map_err(|name| fault(format!("there is no API {name}")))?,
            };
            if !counted.iter().all(|api| taken.insert((*api, Arc::clone(&check.name)))) {
                return Err(fault("its name is taken; give it another".to_owned()));
            }
            slots.push(Arc::new(Slot::new(Arc::new(check.clone()), counted)));
        }
        Ok(slots)
    }

    fn state(&self, api: &ApiOptions, records: bool, now: Moment) -> ApiState {
        let settings = api.settings.clone();
        let has_store = self.store.is_some();
        let reads_store = |kind| matches!(kind, ResourceKind::HealthDetails | ResourceKind::Analytics);
        let has_apps = self.authority.as_ref().is_some_and(|authority| authority.has_apps());
        let enabled = ResourceKind::ALL.into_iter().filter(|kind| {
            settings.resource(*kind).enabled
                && (has_store || !reads_store(*kind))
                && (has_apps || *kind != ResourceKind::Token)
        });
        let paths = enabled
            .map(|kind| (format!("{}{}", settings.prefix, settings.resource(kind).path), kind))
            .collect();
        let limiters = ResourceKind::ALL
            .map(|kind| settings.resource(kind).requests_per_minute.map(Limiter::new))
            .into();
        ApiState {
            name: api.name.as_str().into(),
            version: api.version.as_deref().unwrap_or(NOT_APPLICABLE).into(),
            identity: api.identity.clone(),
            thresholds: api.thresholds,
            groups: api.groups.clone(),
            mounts: Mutex::default(),
            routes: Arc::new(Labels::new(api.max_routes.unwrap_or(500))),
            clients: Labels::new(api.max_clients.unwrap_or(1000)),
            records,
            objective: api.objective.filter(|_| records).map(|objective| ObjectiveState::new(objective, now)),
            snapshot: ArcSwap::from_pointee(Snapshot::starting(now)),
            maintenance: Mutex::default(),
            transitions: Mutex::default(),
            light_changes: AtomicU64::new(0),
            changes: [const { AtomicU64::new(0) }; 3],
            source: api.process.clone(),
            reported: Mutex::default(),
            paths,
            limiters,
            resource_requests: [const { AtomicU64::new(0) }; ResourceKind::ALL.len()],
            forced_requests: AtomicU64::new(0),
            settings,
        }
    }
}

/// An environment variable whose value cannot be understood.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct BadVariable(&'static str, &'static str);

/// The sentence, since that is what a `main` that returns the error prints.
impl std::fmt::Debug for BadVariable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for BadVariable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the environment variable {} must be {}", self.0, self.1)
    }
}

impl std::error::Error for BadVariable {}

/// A check that is set up as it must not be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadCheck {
    check: String,
    fault: String,
}

impl std::fmt::Display for BadCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the check {}: {}", self.check, self.fault)
    }
}

impl std::error::Error for BadCheck {}

fn default_instance() -> String {
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    match name.trim() {
        "" => NOT_APPLICABLE.to_owned(),
        name => name.to_owned(),
    }
}
