//! What the cheap resources are answered from: made once a tick, swapped in whole, read without a lock.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use lifesigns_model::verdict::{AMBER_AFTER, Phase, RED_AFTER, Traffic, Verdict, aged};

use crate::proc::ProcessFigures;

/// An API as it was at the last tick, at most half a second ago.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it was made.
    pub judged: Instant,
    /// The judgement, with its reason and its age.
    pub verdict: Verdict,
    /// Where the process is in its life.
    pub phase: Phase,
    /// What passed in the sliding window.
    pub traffic: Traffic,
    /// Route templates with failures in the window, most failures first, at most ten.
    pub failing_routes: Vec<Arc<str>>,
    /// The process that serves the API.
    pub process: ProcessFigures,
}

impl Snapshot {
    pub(crate) fn starting(now: Timestamp) -> Snapshot {
        Snapshot {
            judged: Instant::now(),
            verdict: Verdict::starting(now),
            phase: Phase::Starting,
            traffic: Traffic::default(),
            failing_routes: Vec::new(),
            process: ProcessFigures::default(),
        }
    }

    /// This snapshot as it counts now: what is old counts as amber, then as red, whatever it said.
    pub(crate) fn at(self: Arc<Snapshot>, now: Timestamp) -> Arc<Snapshot> {
        let age = self.judged.elapsed();
        if age < AMBER_AFTER {
            return self;
        }
        Arc::new(Snapshot { verdict: aged(self.verdict, age, now), ..Snapshot::clone(&self) })
    }

    /// Whether it is so old that whoever makes it must have died.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.judged.elapsed() >= RED_AFTER
    }
}
