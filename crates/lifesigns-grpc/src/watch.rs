//! A stream that tells how a service stands, and again whenever that changes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use lifesigns::model::verdict::Phase;
use lifesigns::{Api, Subscription};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_stream::Stream;
use tonic::Status;

use crate::message::{ServingStatus, Told};
use crate::presence::Busy;
use crate::service::{ENDING, serving_status};

/// How often a watcher looks without having been told that a light has changed: readiness may change without it, and
/// a snapshot may have grown too old.
const LOOK: Duration = Duration::from_millis(500);

/// What one caller is told. It looks only when the caller takes what it says, so that whoever is slow is told how
/// things stand by then, and nothing piles up for him.
pub(crate) struct Watcher {
    /// `None`: there is no such service.
    api: Option<Api>,
    told: Option<ServingStatus>,
    has_ended: bool,
    changes: Subscription,
    looks: Interval,
    closed: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
    _busy: Option<Busy>,
}

impl Watcher {
    pub(crate) fn new(
        api: Option<Api>,
        changes: Subscription,
        closed: watch::Receiver<bool>,
        place: OwnedSemaphorePermit,
        busy: Option<Busy>,
    ) -> Watcher {
        let mut looks = interval_at(Instant::now() + LOOK, LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Watcher { api, told: None, has_ended: false, changes, looks, closed, _place: place, _busy: busy }
    }

    /// Waits until there is something to tell.
    async fn next(&mut self) -> Option<Result<Told, Status>> {
        loop {
            if self.has_ended {
                return None;
            }
            let snapshot = self.api.as_ref().map(Api::snapshot);
            let status = snapshot.as_deref().map_or(ServingStatus::ServiceUnknown, serving_status);
            if self.told.replace(status) != Some(status) {
                return Some(Ok(Told::Status(status)));
            }
            let has_stopped = snapshot.is_some_and(|snapshot| snapshot.phase == Phase::Stopped);
            if has_stopped || *self.closed.borrow_and_update() {
                self.has_ended = true;
                return Some(Err(Status::unavailable(ENDING)));
            }
            // What has changed, and how often, is all the same: the snapshot is looked at anew.
            tokio::select! {
                Some(_) = self.changes.next() => {}
                _ = self.looks.tick() => {}
                Ok(()) = self.closed.changed() => {}
            }
        }
    }
}

type Step = Pin<Box<dyn Future<Output = Option<(Result<Told, Status>, Watcher)>> + Send>>;

/// A watcher as a stream.
pub(crate) struct Watching {
    /// `None`: it has ended.
    step: Option<Step>,
}

impl Watching {
    pub(crate) fn new(watcher: Watcher) -> Watching {
        Watching { step: Some(step(watcher)) }
    }
}

fn step(mut watcher: Watcher) -> Step {
    Box::pin(async move {
        let told = watcher.next().await?;
        Some((told, watcher))
    })
}

impl Stream for Watching {
    type Item = Result<Told, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(current) = &mut self.step else { return Poll::Ready(None) };
        let next = ready!(current.as_mut().poll(cx));
        let (told, watcher) = next.unzip();
        self.step = watcher.map(step);
        Poll::Ready(told)
    }
}
