//! The threads that checks run on.
//!
//! All async checks share one thread. One that keeps this thread to itself for too long is found out from outside:
//! the thread is left to it, the others begin anew on a fresh one, and from then on the offender gets a thread of its
//! own for each run, as functions that may block do from the start.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use lifesigns_model::check::{FailureKind, Report};
use tokio::runtime;
use tokio::sync::mpsc::{self, error::TrySendError};

use super::Work;
use super::scheduler::Checks;
use super::slot::{RunNumber, Running, Slot, guarded};
use crate::clock::Timekeeper;

/// A run to be carried out.
pub(crate) struct Job {
    pub(crate) slot: Arc<Slot>,
    /// Of the slot.
    pub(crate) index: usize,
    pub(crate) number: RunNumber,
    /// When it should have begun.
    pub(crate) due: Duration,
}

/// A thread that many checks share.
pub(crate) struct Worker {
    pub(crate) watched: Arc<Watched>,
    jobs: mpsc::Sender<Job>,
}

/// What can be seen of a worker from outside.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// One more than the index of the check that is being polled; 0: none is.
    polled: AtomicU64,
    /// Since when, in milliseconds since the process began.
    since: AtomicU64,
    /// Whether others have taken over: whatever is still here must end.
    is_abandoned: AtomicBool,
    has_ended: AtomicBool,
}

impl Watched {
    /// The check that keeps the thread to itself, and for how long it has.
    pub(crate) fn polled(&self, elapsed: Duration) -> Option<(usize, Duration)> {
        // In this order: the time is then that of this check or of a later one, never that of one before it.
        let polled = self.polled.load(Ordering::Acquire);
        let since = Duration::from_millis(self.since.load(Ordering::Acquire));
        (polled > 0).then(|| (polled as usize - 1, elapsed.saturating_sub(since)))
    }

    pub(crate) fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Release);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }
}

impl Worker {
    /// Starts a thread. It ends when the worker is dropped and nothing keeps the thread to itself.
    pub(crate) fn start(checks: &Arc<Checks>) -> io::Result<Worker> {
        let (sender, mut jobs) = mpsc::channel::<Job>(checks.slots.len() + 1);
        let watched = Arc::new(Watched::default());
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (seen, checks) = (Arc::clone(&watched), Arc::clone(checks));
        thread::Builder::new().name("lifesigns-checks".to_owned()).spawn(move || {
            runtime.block_on(async {
                while let Some(job) = jobs.recv().await {
                    tokio::spawn(run_shared(job, Arc::clone(&checks), Some(Arc::clone(&seen))));
                }
            });
            runtime.shutdown_background();
            seen.has_ended.store(true, Ordering::Release);
        })?;
        Ok(Worker { watched, jobs: sender })
    }

    /// Hands over a run. Each check has at most one under way, so that there is always room.
    pub(crate) fn take(&self, job: Job) -> Result<(), Job> {
        self.jobs.try_send(job).map_err(TrySendError::into_inner)
    }
}

/// Carries out a run on a thread of its own.
pub(crate) fn run_isolated(job: Job, checks: Arc<Checks>) -> io::Result<()> {
    thread::Builder::new().name("lifesigns-check".to_owned()).spawn(move || {
        let Work::Blocking(function) = &job.slot.check.work else {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            return match runtime {
                Ok(runtime) => {
                    runtime.block_on(run_shared(job, checks, None));
                    runtime.shutdown_background();
                }
                Err(error) => Running::new(job.slot, job.number, checks.time)
                    .ends(Report::fail(FailureKind::Failed, format!("no runtime for the check: {error}"))),
            };
        };
        let function = Arc::clone(function);
        let running = checks.begin(&job);
        let report = guarded(|| function());
        running.ends(report.unwrap_or_else(|panicked| panicked));
    })?;
    Ok(())
}

/// Carries out a run of an async check, and drops it when its time is over.
pub(crate) async fn run_shared(job: Job, checks: Arc<Checks>, watched: Option<Arc<Watched>>) {
    let running = checks.begin(&job);
    let check = Arc::clone(&job.slot.check);
    let Work::Async(probe) = &check.work else { return running.ends(super::slot::panicked()) };
    let mark = Mark { watched, time: checks.time, number: job.index as u64 + 1 };
    let made = mark.during(|| guarded(|| probe()));
    let report = match made {
        Err(panicked) => panicked,
        Ok(future) => {
            let run = Contained { future: Some(future), mark };
            let timeout = check.policy.timeout;
            tokio::time::timeout(timeout, run).await.unwrap_or_else(|_elapsed| timed_out(timeout))
        }
    };
    running.ends(report);
}

pub(crate) fn timed_out(timeout: Duration) -> Report {
    Report::fail(FailureKind::TimedOut, format!("no result within {timeout:?}"))
}

/// Says from outside which check a thread is busy with.
struct Mark {
    watched: Option<Arc<Watched>>,
    time: Timekeeper,
    number: u64,
}

impl Mark {
    fn during<T>(&self, call: impl FnOnce() -> T) -> T {
        let Some(watched) = &self.watched else { return call() };
        watched.since.store(self.time.elapsed().as_millis() as u64, Ordering::Release);
        watched.polled.store(self.number, Ordering::Release);
        let result = call();
        watched.polled.store(0, Ordering::Release);
        result
    }

    fn is_abandoned(&self) -> bool {
        self.watched.as_ref().is_some_and(|watched| watched.is_abandoned.load(Ordering::Acquire))
    }
}

/// A future of somebody else's: it is marked while it is busy, and its panics end here.
struct Contained {
    future: Option<Pin<Box<dyn Future<Output = Report> + Send>>>,
    mark: Mark,
}

impl Future for Contained {
    type Output = Report;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Report> {
        let this = self.get_mut();
        if this.mark.is_abandoned() {
            return Poll::Ready(blocked());
        }
        let Some(future) = &mut this.future else { return Poll::Pending };
        match this.mark.during(|| guarded(|| future.as_mut().poll(context))) {
            Ok(poll) => poll,
            Err(panicked) => Poll::Ready(panicked),
        }
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        let future = self.future.take();
        if self.mark.during(|| guarded(|| drop(future))).is_err() {
            tracing::warn!("a check panicked while it was dropped");
        }
    }
}

pub(crate) fn blocked() -> Report {
    Report::fail(FailureKind::Blocked, "the check blocks the thread that it runs in")
}
