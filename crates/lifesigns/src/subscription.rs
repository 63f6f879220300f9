//! Being told when a light changes.

use std::sync::Arc;

use lifesigns_model::verdict::Transition;
use tokio::sync::broadcast::{self, error::RecvError};

/// Changes that are kept for a subscriber who is slow.
const KEPT_CHANGES: usize = 256;

/// The light of an API has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct LightChange {
    /// Name of the API, or of the process itself.
    pub api: Arc<str>,
    /// When, from what, to what and why.
    pub transition: Transition,
}

/// What a subscriber is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A light has changed.
    Changed(LightChange),
    /// The subscriber was too slow, and so many changes are lost to him. Snapshots say how things stand.
    Missed(u64),
}

/// Changes of lights from the moment of [`crate::Lifesigns::subscribe`] on.
#[derive(Debug)]
pub struct Subscription {
    changes: broadcast::Receiver<LightChange>,
}

impl Subscription {
    /// Waits for the next change; `None` when the process' health is watched no more. Safe to be cancelled: nothing
    /// is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        match self.changes.recv().await {
            Ok(change) => Some(Event::Changed(change)),
            Err(RecvError::Lagged(missed)) => Some(Event::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

/// Where changes come from.
#[derive(Debug)]
pub(crate) struct Changes(broadcast::Sender<LightChange>);

impl Changes {
    pub(crate) fn new() -> Changes {
        Changes(broadcast::Sender::new(KEPT_CHANGES))
    }

    pub(crate) fn subscribe(&self) -> Subscription {
        Subscription { changes: self.0.subscribe() }
    }

    /// Tells all subscribers, if there are any.
    pub(crate) fn tell(&self, change: LightChange) {
        // The only failure there is: nobody listens.
        let _nobody = self.0.send(change);
    }
}
