//! When each check runs, and what becomes of those that do not come back.
//!
//! One thread keeps the time and runs nothing of anybody else's, so that it cannot be held up. Its heartbeat is
//! watched by the collector: if it stands still, the light says so.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use lifesigns_model::check::{FailureKind, Report, Run};
use lifesigns_model::histogram::Histogram;
use tokio::runtime;

use super::slot::{RunNumber, Running, Slot};
use super::worker::{Job, Watched, Worker, blocked, run_isolated, timed_out};
use crate::clock::Timekeeper;
use crate::recorder::lock;

/// The scheduler looks after what is under way at least this often.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A check that keeps the common thread to itself for so long loses it.
const BLOCKED_AFTER: Duration = Duration::from_millis(500);

/// Beyond its deadline a run gets so long to notice that by itself.
const SLACK: Duration = Duration::from_millis(250);

/// Runs that have not come back, each with a thread of its own; with more of them, checks that would need another
/// are not run.
const MAX_ABANDONED: usize = 64;

/// Common threads that were left to a check, each to another. A number of its own, so that those who have one of their
/// own cannot take the others' last.
const MAX_STUCK: usize = 64;

/// All checks of a process.
#[derive(Debug)]
pub(crate) struct Checks {
    pub(crate) slots: Vec<Arc<Slot>>,
    pub(crate) time: Timekeeper,
    /// When the scheduler last looked, in milliseconds since the process began.
    heartbeat: AtomicU64,
    is_stopped: AtomicBool,
    /// From when runs were due to when they began.
    lateness: Mutex<Histogram>,
    /// Threads that checks keep to themselves.
    abandoned: AtomicU64,
}

impl Checks {
    pub(crate) fn new(slots: Vec<Arc<Slot>>, time: Timekeeper) -> Checks {
        Checks {
            slots,
            time,
            heartbeat: AtomicU64::new(0),
            is_stopped: AtomicBool::new(false),
            lateness: Mutex::default(),
            abandoned: AtomicU64::new(0),
        }
    }

    /// For how long the scheduler has not looked; zero without checks.
    pub(crate) fn silent_for(&self, elapsed: Duration) -> Duration {
        if self.slots.is_empty() {
            return Duration::ZERO;
        }
        elapsed.saturating_sub(Duration::from_millis(self.heartbeat.load(Ordering::Acquire)))
    }

    /// From when runs were due to when they began, in microseconds, since the process began.
    pub(crate) fn lateness(&self) -> Histogram {
        lock(&self.lateness).clone()
    }

    /// Threads that checks keep to themselves at this moment.
    pub(crate) fn abandoned(&self) -> u64 {
        self.abandoned.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Release);
    }

    /// Waits until the threads of a stopped scheduler have ended, at most `patience`: what a check has started is
    /// ended when its run is dropped. Blocks the thread.
    pub(crate) fn wait_for_end(self: &Arc<Checks>, patience: Duration) {
        let deadline = Instant::now() + patience;
        // Each of these threads holds the checks; the process itself is the last who does.
        while Arc::strong_count(self) > 1 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// A run begins now.
    pub(super) fn begin(&self, job: &Job) -> Running {
        let running = Running::new(Arc::clone(&job.slot), job.number, self.time);
        lock(&self.lateness).record(running.began.saturating_sub(job.due).as_micros() as u64);
        running
    }
}

/// Starts the scheduler's thread, if there is anything to run. It ends when [`Checks::stop`] is called.
pub(crate) fn start(checks: &Arc<Checks>, seed: u64) -> io::Result<()> {
    if checks.slots.is_empty() {
        return Ok(());
    }
    let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
    let crew = Crew::start(Arc::clone(checks))?;
    let checks = Arc::clone(checks);
    thread::Builder::new().name("lifesigns-scheduler".to_owned()).spawn(move || {
        let mut scheduler = Scheduler::new(checks, crew, seed);
        while catch_unwind(AssertUnwindSafe(|| runtime.block_on(scheduler.run()))).is_err() {
            tracing::error!("the scheduler of the checks panicked; it goes on");
            thread::sleep(Duration::from_secs(1));
        }
    })?;
    Ok(())
}

/// Keeps the time.
struct Scheduler {
    checks: Arc<Checks>,
    crew: Crew,
    /// What is due when, and the time that it is reckoned from: without the jitter.
    plan: BinaryHeap<Reverse<(Duration, usize, Duration)>>,
    random: Random,
}

impl Scheduler {
    fn new(checks: Arc<Checks>, crew: Crew, seed: u64) -> Scheduler {
        let mut random = Random(seed | 1);
        let now = checks.time.elapsed();
        // All at once would be a burst; one after the other and a millisecond apart is none.
        let spread = Duration::from_millis(checks.slots.len().max(50) as u64);
        let first = |(index, slot): (usize, &Arc<Slot>)| {
            let due = now + spread.min(slot.check.policy.interval).mul_f64(random.share());
            Reverse((due, index, due))
        };
        let plan = checks.slots.iter().enumerate().map(first).collect();
        Scheduler { checks, crew, plan, random }
    }

    async fn run(&mut self) {
        while !self.checks.is_stopped.load(Ordering::Acquire) {
            let now = self.checks.time.elapsed();
            self.checks.heartbeat.store(now.as_millis() as u64, Ordering::Release);
            self.crew.look(now);
            while let Some(Reverse((due, index, reckoned))) =
                self.plan.peek().copied().filter(|Reverse((due, ..))| *due <= now)
            {
                self.plan.pop();
                self.crew.launch(index, due);
                let interval = self.checks.slots[index].check.policy.interval;
                // Rounds that were slept through are not made up for.
                let reckoned = (reckoned + interval).max(now.saturating_sub(interval));
                let jitter = interval.mul_f64(0.2 * self.random.share());
                let jittered = (reckoned + jitter).saturating_sub(interval / 10);
                self.plan.push(Reverse((jittered, index, reckoned)));
            }
            let next = self.plan.peek().map_or(LOOK_EVERY, |Reverse((due, ..))| due.saturating_sub(now));
            tokio::time::sleep(next.min(LOOK_EVERY)).await;
        }
    }
}

/// Those who carry out the runs, and what is under way.
struct Crew {
    checks: Arc<Checks>,
    place: Place,
    under_way: Vec<UnderWay>,
    /// Given up, and not back yet.
    given_up: Vec<(Arc<Slot>, RunNumber)>,
    /// Threads that used to be common, and that a check keeps to itself.
    stuck: Vec<Arc<Watched>>,
}

/// Where runs are carried out that share a thread.
enum Place {
    Thread(Worker),
    /// In the scheduler's own runtime, whose time can be paused.
    #[cfg(test)]
    Here,
}

struct UnderWay {
    index: usize,
    number: RunNumber,
    due: Duration,
    /// When it has to be back.
    deadline: Duration,
}

impl Crew {
    fn start(checks: Arc<Checks>) -> io::Result<Crew> {
        let place = Place::Thread(Worker::start(&checks)?);
        Ok(Crew { checks, place, under_way: Vec::new(), given_up: Vec::new(), stuck: Vec::new() })
    }

    fn launch(&mut self, index: usize, due: Duration) {
        let slot = Arc::clone(&self.checks.slots[index]);
        let Some(number) = slot.begin() else {
            // A run may take longer than the interval. One that was given up is in the way.
            if slot.is_given_up() {
                slot.not_started(
                    self.ended(Report::fail(FailureKind::Blocked, "an earlier run has not come back")),
                );
            }
            return;
        };
        self.carry_out(Job { slot, index, number, due });
    }

    fn carry_out(&mut self, job: Job) {
        let Job { index, number, due, .. } = job;
        let slot = Arc::clone(&job.slot);
        let policy = &slot.check.policy;
        let slack = if slot.check.is_blocking() { Duration::ZERO } else { SLACK };
        let deadline = self.checks.time.elapsed() + policy.timeout + slack;
        let refused = if slot.is_isolated() {
            self.isolate(job)
        } else {
            match &self.place {
                Place::Thread(worker) => worker.take(job).err().map(|_job| blocked()),
                #[cfg(test)]
                Place::Here => {
                    tokio::spawn(super::worker::run_shared(job, Arc::clone(&self.checks), None));
                    None
                }
            }
        };
        match refused {
            Some(report) => slot.finish(number, self.ended(report)),
            None => self.under_way.push(UnderWay { index, number, due, deadline }),
        }
    }

    fn isolate(&mut self, job: Job) -> Option<Report> {
        if self.given_up.len() >= MAX_ABANDONED {
            let text = format!("{MAX_ABANDONED} runs of checks have not come back; no more are started");
            return Some(Report::fail(FailureKind::Blocked, text));
        }
        let error = run_isolated(job, Arc::clone(&self.checks)).err()?;
        Some(Report::fail(FailureKind::Failed, format!("the system gave no thread: {error}")))
    }

    /// Looks after what is under way: deadlines that have passed, and a thread that somebody keeps to himself.
    fn look(&mut self, now: Duration) {
        let hog = self.hog(now);
        self.give_up_late(now, hog);
        if let Some(hog) = hog {
            self.leave_thread_to(hog);
        }
        self.given_up.retain(|(slot, _)| slot.is_given_up());
        self.stuck.retain(|thread| !thread.has_ended());
        let abandoned = self.given_up.len() + self.stuck.len();
        self.checks.abandoned.store(abandoned as u64, Ordering::Relaxed);
    }

    /// The check that keeps the common thread to itself.
    fn hog(&self, now: Duration) -> Option<usize> {
        match &self.place {
            Place::Thread(worker) => {
                let (index, held) = worker.watched.polled(now)?;
                (held >= BLOCKED_AFTER).then_some(index)
            }
            #[cfg(test)]
            Place::Here => None,
        }
    }

    fn give_up_late(&mut self, now: Duration, hog: Option<usize>) {
        let mut late = Vec::new();
        self.under_way.retain(|run| {
            let is_awaited = self.checks.slots[run.index].is_awaited(run.number);
            if is_awaited && now >= run.deadline {
                late.push((run.index, run.number));
            }
            is_awaited && now < run.deadline
        });
        for (index, number) in late {
            let slot = Arc::clone(&self.checks.slots[index]);
            // What is polled notices its deadline by itself, unless it does not let go of its thread.
            let is_to_blame = !slot.check.is_blocking() && (hog == Some(index) || slot.is_isolated());
            let report = if is_to_blame { blocked() } else { timed_out(slot.check.policy.timeout) };
            let timeout = slot.check.policy.timeout;
            if slot.give_up(number, Run { took: timeout, ..self.ended(report) }) {
                self.given_up.push((slot, number));
            }
        }
    }

    /// Moves everybody else to a fresh thread.
    fn leave_thread_to(&mut self, hog: usize) {
        self.checks.slots[hog].isolate();
        if self.stuck.len() >= MAX_STUCK {
            return;
        }
        let fresh = match Worker::start(&self.checks) {
            Ok(worker) => worker,
            Err(error) => return tracing::error!(%error, "the system gave no thread for the checks"),
        };
        let name = &*self.checks.slots[hog].check.name;
        tracing::warn!(check = name, "a check blocks the thread that it runs in; it gets one of its own");
        match std::mem::replace(&mut self.place, Place::Thread(fresh)) {
            Place::Thread(worker) => {
                worker.watched.abandon();
                self.stuck.push(worker.watched);
            }
            #[cfg(test)]
            Place::Here => {}
        }
        // Those who were given up while they waited for the thread will never come back from it.
        let innocent = self.given_up.iter().filter(|(slot, _)| !slot.is_isolated());
        innocent.for_each(|(slot, number)| slot.came_back(*number));
        let is_moved = |run: &mut UnderWay| !self.checks.slots[run.index].is_isolated();
        let moved: Vec<UnderWay> = self.under_way.extract_if(.., is_moved).collect();
        for run in moved {
            let slot = Arc::clone(&self.checks.slots[run.index]);
            if let Some(number) = slot.begin_again(run.number) {
                self.carry_out(Job { slot, index: run.index, number, due: run.due });
            }
        }
    }

    fn ended(&self, report: Report) -> Run {
        Run { ended: self.checks.time.now(), took: Duration::ZERO, report }
    }
}

/// Spreads runs; nothing depends on its being hard to guess. Xorshift with shifts by Marsaglia.
struct Random(u64);

impl Random {
    /// At least 0 and under 1.
    fn share(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests;
