//! What the cheap resources are answered from: made once a tick, swapped in whole, read without a lock.

use std::sync::Arc;

use jiff::Timestamp;
use lifesigns_model::verdict::{Phase, Traffic, Verdict};

use crate::proc::ProcessFigures;

/// An API as it was at the last tick, at most half a second ago.
#[derive(Clone, Debug)]
pub struct Snapshot {
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
            verdict: Verdict::starting(now),
            phase: Phase::Starting,
            traffic: Traffic::default(),
            failing_routes: Vec::new(),
            process: ProcessFigures::default(),
        }
    }
}
