//! Checks of what a service depends on, in the background and never while a probe waits.
//!
//! A check is one async function; what it returns becomes a [`Report`]. It runs on threads of its own: one that
//! panics, hangs or loops harms neither the API nor the other checks.
//!
//! ```
//! use std::time::Duration;
//! use lifesigns::{Check, Lifesigns};
//!
//! async fn queue_length() -> Result<u32, std::io::Error> { Ok(3) }
//!
//! let queue = Check::new("queue", || async {
//!     let length = queue_length().await?;
//!     if length > 1000 { Err(std::io::Error::other("the queue is too long")) } else { Ok(()) }
//! });
//! let lifesigns = Lifesigns::builder("polls")
//!     .check(queue.critical().every(Duration::from_secs(5)))
//!     .start()?;
//! # Ok::<(), std::io::Error>(())
//! ```

pub(crate) mod scheduler;
pub(crate) mod slot;
mod worker;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use lifesigns_model::check::{CheckPolicy, FailureKind, Report};

pub use self::slot::{CheckSnapshot, RunCounts};

/// What a check does in one run.
pub(crate) type Probe = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Report> + Send>> + Send + Sync>;

/// Names under which answers list what is not a check. Route groups have `traffic:` before theirs.
const RESERVED_NAMES: [&str; 10] = [
    "startup",
    "shutdown",
    "traffic",
    "lifecycle",
    "judgement",
    "scheduler",
    "collector",
    "maintenance",
    "uptime",
    "_other_",
];

/// What is to be found out again and again, how, and what it means.
#[derive(Clone)]
pub struct Check {
    pub(crate) name: Arc<str>,
    pub(crate) component_type: &'static str,
    pub(crate) policy: CheckPolicy,
    pub(crate) affected_endpoints: Arc<[String]>,
    pub(crate) work: Work,
}

/// How a run is carried out.
#[derive(Clone)]
pub(crate) enum Work {
    /// A future, polled on a thread that many checks share.
    Async(Probe),
    /// A function that may block, on a thread of its own while it runs.
    Blocking(Arc<dyn Fn() -> Report + Send + Sync>),
}

impl Check {
    /// A check by an async function. It is called for each run; its future is dropped when the deadline is over.
    ///
    /// The name is public: it stands in the answers of probes.
    pub fn new<F, Fut, R>(name: &str, probe: F) -> Check
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = R> + Send + 'static,
        R: Into<Report>,
    {
        let probe = move || -> Pin<Box<dyn Future<Output = Report> + Send>> {
            let run = probe();
            Box::pin(async move { run.await.into() })
        };
        Check::of(name, Work::Async(Arc::new(probe)))
    }

    /// A check by a function that may block: of files, of a library without async. One that does not come back by
    /// its deadline has failed, and is not run again until it does.
    pub fn blocking<F, R>(name: &str, probe: F) -> Check
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Into<Report>,
    {
        Check::of(name, Work::Blocking(Arc::new(move || probe().into())))
    }

    /// Runs it once and now, without a deadline: to try out what was configured, and in tests. A function that may
    /// block goes on in the background when the future is dropped.
    ///
    /// Call it within a tokio runtime that has its drivers enabled. A panic becomes a report.
    pub async fn run_once(&self) -> Report {
        match &self.work {
            Work::Async(probe) => match slot::guarded(|| probe()) {
                Err(panicked) => panicked,
                Ok(mut run) => {
                    let poll = |context: &mut Context<'_>| match slot::guarded(|| run.as_mut().poll(context))
                    {
                        Ok(poll) => poll,
                        Err(panicked) => Poll::Ready(panicked),
                    };
                    std::future::poll_fn(poll).await
                }
            },
            Work::Blocking(function) => {
                let function = Arc::clone(function);
                let run = move || slot::guarded(|| function()).unwrap_or_else(|panicked| panicked);
                // A run that was cancelled never began: the runtime is shutting down.
                tokio::task::spawn_blocking(run)
                    .await
                    .unwrap_or_else(|error| Report::fail(FailureKind::Failed, error))
            }
        }
    }

    fn of(name: &str, work: Work) -> Check {
        Check {
            name: name.into(),
            component_type: "component",
            policy: CheckPolicy::default(),
            affected_endpoints: Arc::default(),
            work,
        }
    }

    /// Whether a check may have this name: printable, without commas, and not what probes call something else.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn valid_name(name: &str) -> Result<(), &'static str> {
        if name.is_empty() || name.chars().any(|letter| letter.is_control() || letter == ',') {
            Err("must be printable, without commas, and not empty")
        } else if RESERVED_NAMES.contains(&name)
            || ["traffic:", "startup:"].iter().any(|of| name.starts_with(of))
        {
            Err("is what probes call something else; take another")
        } else {
            Ok(())
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `componentType` of the health+json draft.
    pub fn kind_of_component(&self) -> &'static str {
        self.component_type
    }

    /// Route templates that do not work without what it checks.
    pub fn affected_endpoints(&self) -> &[String] {
        &self.affected_endpoints
    }

    pub(crate) fn is_blocking(&self) -> bool {
        matches!(self.work, Work::Blocking(_))
    }

    /// When it runs and what its results mean.
    pub fn policy(&self) -> &CheckPolicy {
        &self.policy
    }

    /// Sets all of [`CheckPolicy`] at once.
    #[must_use]
    pub fn with_policy(mut self, policy: CheckPolicy) -> Check {
        self.policy = policy;
        self
    }

    /// Its failing turns the light red. Otherwise it turns amber.
    #[must_use]
    pub fn critical(mut self) -> Check {
        self.policy.critical = true;
        self
    }

    /// How often it runs. Default: every 10 seconds.
    #[must_use]
    pub fn every(mut self, interval: Duration) -> Check {
        self.policy.interval = interval;
        self
    }

    /// How long a run may take. Default: 5 seconds.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Check {
        self.policy.timeout = timeout;
        self
    }

    /// How many bad results in a row make it fail, and how many good ones well again. Default: 3 and 2.
    #[must_use]
    pub fn thresholds(mut self, failure: u32, recovery: u32) -> Check {
        self.policy.failure_threshold = failure;
        self.policy.recovery_threshold = recovery;
        self
    }

    /// For so long after the start, failures before the first success do not count. Default: not at all.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Check {
        self.policy.grace = grace;
        self
    }

    /// What it checks belongs to this process alone: a lock, a folder, memory. Only such a check may fail liveness.
    #[must_use]
    pub fn of_this_process(mut self) -> Check {
        self.policy.shared = false;
        self
    }

    /// Its failing fails liveness, so that the process is restarted. Refused at the start for what is shared.
    #[must_use]
    pub fn fails_liveness(mut self) -> Check {
        self.policy.fails_liveness = true;
        self
    }

    /// Its failing does not fail readiness, whatever the light.
    #[must_use]
    pub fn spares_readiness(mut self) -> Check {
        self.policy.fails_readiness = false;
        self
    }

    /// `componentType` of the health+json draft: `component` (default), `datastore` or `system`.
    #[must_use]
    pub fn component_type(mut self, component_type: &'static str) -> Check {
        self.component_type = component_type;
        self
    }

    /// Route templates that do not work without what it checks: `affectedEndpoints` of the health+json draft.
    #[must_use]
    pub fn affects<S: Into<String>>(mut self, endpoints: impl IntoIterator<Item = S>) -> Check {
        self.affected_endpoints = endpoints.into_iter().map(Into::into).collect();
        self
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("name", &self.name)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
