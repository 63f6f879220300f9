//! Health resources for any API, fed by its real traffic.
//!
//! A handler that answers "OK" proves that the handler runs. This library records every exchange of an API when its
//! response has ended, judges from them whether the API is serving properly, and answers the health resources that
//! callers, load balancers and operators already know. In an API on axum or tower it takes two lines:
//!
//! ```
//! use axum::{Router, routing::get};
//! use lifesigns::Lifesigns;
//!
//! let lifesigns = Lifesigns::builder("polls").identity(lifesigns::build_identity!()).start()?;
//! let app: Router = Router::new().route("/questions", get(|| async { "[]" })).layer(lifesigns.layer());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! | resource | answers |
//! |---|---|
//! | `/status` | status, version, uptime and memory of the process |
//! | `/health` | OK, DEGRADED or UNAVAILABLE, and which revision of which repository runs since when |
//! | `/health/status` | the traffic light as a status code; `/health/status/{code}` forces one |
//! | `/livez`, `/readyz`, `/startupz` | probes |
//! | `/health/maintenance` | maintenance, switched on and off with a token |
//! | `/health/details` | requests by status over time, latency, top apps; takes a token and a store |
//! | `/analytics/1.0/…/query` | any question about the traffic; takes a token and a store |
//! | `/metrics` | Prometheus and OpenMetrics; takes a token |
//! | `/oauth2/token` | tokens for apps; takes an [`Authority`] that knows some |
//! | `/openapi.json` | all of these described, as OpenAPI 3.1 |
//!
//! What it does *not* do: it makes no HTTP connection and knows no SQL. It starts one thread, and two more where there are
//! checks, which sleep nearly all the time. A request for a cheap resource touches nothing but a snapshot in memory.

mod access;
#[cfg(feature = "axum")]
mod admin;
mod builder;
mod checks;
mod circuit_breaker;
mod clock;
mod collector;
mod exemplar;
mod journal;
mod layer;
mod limit;
mod maintenance;
mod mount;
mod objective;
mod option;
mod proc;
mod process;
mod record;
mod recorder;
pub mod resources;
mod secret;
mod settings;
mod snapshot;
mod startup;
mod subscription;
mod totals;
mod window;

pub use lifesigns_model as model;
pub use lifesigns_model::check::{CheckPolicy, FailureKind, Report};
pub use lifesigns_model::exchange::FailedBy;
pub use lifesigns_model::identity::{Identity, IdentityField};
pub use lifesigns_model::objective::{Objective, ObjectiveReport};

pub use self::access::{
    Authority, BadTokenHash, Grant, IssueError, IssueRequest, IssuedToken, NotLetIn, Pending, Refusal, Scope,
    Token, TokenHash,
};
pub use self::builder::{ApiOptions, BadCheck, BadVariable, Builder, IDENTITY_VARIABLES};
pub use self::checks::{Check, CheckSnapshot, RunCounts};
pub use self::circuit_breaker::{CircuitBreaker, HeldBack, Urgency};
pub use self::exemplar::Exemplar;
pub use self::layer::{HealthLayer, HealthService, ServiceBody, ServiceFuture};
pub use self::maintenance::BadMaintenance;
pub use self::mount::{Mount, behind};
pub use self::option::BadOption;
pub use self::proc::{ProcessFigures, ProcessSource};
pub use self::process::{Api, Lifesigns};
pub use self::record::{Exchange, RequestBody, ResponseBody};
pub use self::resources::{FleetStatus, Resource};
pub use self::secret::{Redaction, Secret};
pub use self::settings::{
    Exposure, HealthDialect, Listener, ResourceKind, ResourceSettings, RouteGroup, Settings,
};
pub use self::snapshot::Snapshot;
pub use self::startup::{OpenStartTask, StartTask};
pub use self::subscription::{Event, LightChange, Subscription};
pub use self::totals::{ExchangeTotals, Exemplars, LATENCY_BOUNDS};

/// The [`Identity`] that is known since the calling crate was built: its version and repository from its
/// `Cargo.toml`, and what `lifesigns_build::identity()` found out in its build script, if it has one that calls it.
///
/// ```
/// let identity = lifesigns::build_identity!();
/// assert_eq!(identity.version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
/// ```
#[macro_export]
macro_rules! build_identity {
    () => {
        $crate::Identity {
            repo: ::std::option::Option::or(
                $crate::__some_text(::std::option_env!("LIFESIGNS_BUILD_REPO")),
                $crate::__some_text(::std::option_env!("CARGO_PKG_REPOSITORY")),
            ),
            revision: $crate::__some_text(::std::option_env!("LIFESIGNS_BUILD_REVISION")),
            version: $crate::__some_text(::std::option_env!("CARGO_PKG_VERSION")),
            build_date: $crate::__some_text(::std::option_env!("LIFESIGNS_BUILD_DATE")),
            language: $crate::__some_text(::std::option_env!("LIFESIGNS_BUILD_LANGUAGE")),
            ..::std::default::Default::default()
        }
    };
}

#[doc(hidden)]
pub fn __some_text(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}
