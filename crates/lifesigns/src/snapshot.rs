//! What the cheap resources are answered from: made once a tick, swapped in whole, read without a lock.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lifesigns_model::moment::Moment;
use lifesigns_model::verdict::{AMBER_AFTER, Maintenance, Phase, Traffic, Verdict, aged};

use crate::checks::CheckSnapshot;
use crate::proc::ProcessFigures;
use crate::resources::prepared::PreparedHead;
use crate::startup::OpenStartTask;

/// An API as it was at the last tick, at most half a second ago.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it was made.
    pub judged: Moment,
    /// The judgement, with its reasons and its age.
    pub verdict: Verdict,
    /// Where the process is in its life.
    pub phase: Phase,
    /// What passed in the sliding window.
    pub traffic: Traffic,
    /// What passed in the sliding windows of the route groups, in the order in which they were added.
    pub groups: Arc<[(Arc<str>, Traffic)]>,
    /// Route templates with failures in the window, most failures first, at most ten.
    pub failing_routes: Vec<Arc<str>>,
    /// The checks that count for the API, in the order in which they were added.
    pub checks: Arc<[CheckSnapshot]>,
    /// For how long nothing had run the checks.
    pub scheduler_silent: Duration,
    /// Maintenance that is on.
    pub maintenance: Option<Maintenance>,
    /// Exchanges that had begun and not ended; for a gateway itself, those of all its APIs.
    pub in_flight: u64,
    /// What start-up waits for besides [`crate::Lifesigns::ready`].
    pub start_tasks: Arc<[OpenStartTask]>,
    /// The process that serves the API.
    pub process: ProcessFigures,
    /// What the usual probe gets.
    pub(crate) head: PreparedHead,
}

impl Snapshot {
    pub(crate) fn starting(now: Moment) -> Snapshot {
        Snapshot {
            judged: now,
            verdict: Verdict::starting(now),
            phase: Phase::Starting,
            traffic: Traffic::default(),
            groups: Arc::default(),
            failing_routes: Vec::new(),
            checks: Arc::default(),
            scheduler_silent: Duration::ZERO,
            maintenance: None,
            in_flight: 0,
            start_tasks: Arc::default(),
            process: ProcessFigures::default(),
            head: PreparedHead::default(),
        }
    }

    /// This snapshot as it counts now: what is old counts as amber, then as red, whatever it said.
    pub(crate) fn at(self: Arc<Snapshot>, elapsed: Duration) -> Arc<Snapshot> {
        let age = self.judged.age(elapsed);
        if age < AMBER_AFTER {
            return self;
        }
        let now = Moment { wall: Timestamp::now(), elapsed };
        Arc::new(Snapshot { verdict: aged(&self.verdict, age, now), ..Snapshot::clone(&self) })
    }
}
