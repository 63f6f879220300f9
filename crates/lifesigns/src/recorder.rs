//! Counts exchanges without ever making one wait.
//!
//! Each thread writes what has ended into a ring of its own, which is read twice a second by the collector, and by the
//! thread itself when it is full: counting many at once is cheaper than one by one. Labels become small numbers on the
//! way in and text again on the way out.

pub(crate) mod accumulator;
pub(crate) mod flight;
pub(crate) mod labels;
pub(crate) mod recent;
pub(crate) mod ring;

use std::cell::RefCell;
use std::num::NonZeroU128;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use lifesigns_model::bucket::Minute;
use lifesigns_model::exchange::Measurement;

use self::accumulator::{Accumulator, Drained, SeriesKey};
use self::flight::{Flights, Landed};
use self::labels::Labels;
use self::recent::Recent;
use self::ring::{Ended, Ring};
use crate::clock::Clock;
use crate::exemplar::Traced;

/// Methods that have a label of their own: those of RFC 9110 and PATCH of RFC 5789. The first is for all others.
pub(crate) const METHODS: [&str; 10] = [
    lifesigns_model::series::OTHER,
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "CONNECT",
    "OPTIONS",
    "TRACE",
    "PATCH",
];

/// The number of a method in [`METHODS`].
pub(crate) fn method_number(method: &http::Method) -> u8 {
    METHODS.iter().position(|name| *name == method.as_str()).unwrap_or(0) as u8
}

/// Policies that are told apart.
const MAX_POLICIES: u16 = 100;

static NEXT_RECORDER: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// What this thread counts into, for each recorder that it has counted for: nearly always one.
    static MINE: RefCell<Vec<(u64, Arc<Counts>)>> = const { RefCell::new(Vec::new()) };
}

/// What one thread counts into. On cache lines of its own: a neighbour's counting must not slow it down.
///
/// An exchange holds on to this and not to the process, whose count of references all threads would write.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Counts {
    flights: Flights,
    /// Written by the thread, read under the lock of the accumulator.
    ended: Ring,
    accumulator: Mutex<Accumulator>,
    pub(crate) subjects: Arc<Subjects>,
}

impl Counts {
    /// Counts an exchange on its thread.
    fn end(&self, ended: &Ended) {
        if !self.ended.push(ended) {
            self.fold(&mut lock(&self.accumulator));
            // There is room now: nobody else writes.
            self.ended.push(ended);
        }
        self.flights.end(ended.key.api);
    }

    /// Keeps the trace of an exchange, whichever thread it ends on.
    pub(crate) fn keep_trace(&self, key: SeriesKey, trace_id: NonZeroU128, ended: Instant, micros: u64) {
        let at_micros = self.subjects.clock.micros(ended);
        lock(&self.accumulator).traced.add(Traced { key, trace_id, micros, at_micros });
    }

    /// Counts what has ended into the accumulator, which must be that of this.
    fn fold(&self, accumulator: &mut Accumulator) {
        self.ended.drain(|ended| {
            let at_micros = self.subjects.clock.wall_micros(ended.at_micros);
            let minute = Minute::new(at_micros.div_euclid(60_000_000));
            accumulator.record(ended.key, minute, &ended.measured, self.subjects.max_series);
            accumulator.recent.add(Ended { at_micros, ..ended });
        });
    }
}

/// Whose exchanges are recorded, and how.
#[derive(Debug)]
pub(crate) struct Subjects {
    /// Of the recorder.
    id: u64,
    clock: Clock,
    max_series: usize,
    /// The routes of each API.
    pub(crate) routes: Vec<Arc<Labels>>,
    pub(crate) policies: Labels,
    /// Whether the process ends what is under way.
    pub(crate) cuts_off: AtomicBool,
    threads: Mutex<Threads>,
}

/// The threads that count.
#[derive(Debug)]
struct Threads {
    counts: Vec<Arc<Counts>>,
    /// Begun and ended exchanges of those that are no more.
    landed: Landed,
}

/// Where finished exchanges go.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) subjects: Arc<Subjects>,
    /// Drained and empty, to be swapped in for a full one.
    spares: Mutex<Vec<Accumulator>>,
    capped: AtomicU64,
    recent: Mutex<Recent>,
}

impl Subjects {
    /// What this thread counts into.
    fn mine(self: &Arc<Subjects>) -> Arc<Counts> {
        let mine = MINE.try_with(|mine| {
            let mut mine = mine.borrow_mut();
            if let Some((_, counts)) = mine.iter().find(|(id, _)| *id == self.id) {
                return Arc::clone(counts);
            }
            mine.retain(|(_, counts)| Arc::strong_count(counts) > 1);
            let counts = self.register();
            mine.push((self.id, Arc::clone(&counts)));
            counts
        });
        // A thread that is ending has none of its own any more.
        mine.unwrap_or_else(|_| self.register())
    }

    fn register(self: &Arc<Subjects>) -> Arc<Counts> {
        let counts = Arc::new(Counts {
            flights: Flights::new(self.routes.len()),
            ended: Ring::default(),
            accumulator: Mutex::default(),
            subjects: Arc::clone(self),
        });
        lock(&self.threads).counts.push(Arc::clone(&counts));
        counts
    }

    /// Counts an exchange that ended at `ended`, on whatever thread this is.
    pub(crate) fn record(self: &Arc<Subjects>, key: SeriesKey, ended: Instant, measured: &Measurement) {
        let ended = Ended { key, at_micros: self.clock.micros(ended), measured: *measured };
        let counted = MINE.try_with(|mine| {
            let mine = mine.borrow();
            let counts = mine.iter().find(|(id, _)| *id == self.id);
            counts.map(|(_, counts)| counts.end(&ended)).is_some()
        });
        if counted != Ok(true) {
            self.mine().end(&ended);
        }
    }
}

impl Recorder {
    /// A recorder for APIs with these routes, whose threads each keep at most `max_series` series.
    pub(crate) fn new(routes: Vec<Arc<Labels>>, max_series: usize) -> Recorder {
        let threads = Threads { counts: Vec::new(), landed: Landed::new(routes.len()) };
        let subjects = Subjects {
            id: NEXT_RECORDER.fetch_add(1, Ordering::Relaxed),
            clock: Clock::new(),
            max_series,
            routes,
            policies: Labels::new(MAX_POLICIES),
            cuts_off: AtomicBool::new(false),
            threads: Mutex::new(threads),
        };
        Recorder {
            subjects: Arc::new(subjects),
            spares: Mutex::default(),
            capped: AtomicU64::new(0),
            recent: Mutex::default(),
        }
    }

    /// Notes that an exchange of an API has begun. Exactly one [`Subjects::record`] has to follow, from any thread.
    pub(crate) fn begin(&self, api: u16) -> Arc<Counts> {
        let counts = self.subjects.mine();
        counts.flights.begin(api);
        counts
    }

    /// How many exchanges of each API have begun and not ended. Never fewer than there are.
    pub(crate) fn in_flight(&self) -> Vec<u64> {
        let threads = lock(&self.subjects.threads);
        threads.landed.in_flight(threads.counts.iter().map(|counts| &counts.flights))
    }

    /// Hands over everything that was counted since the last time, and returns some of what was traced, by wall time.
    pub(crate) fn drain(&self, mut take: impl FnMut(Drained)) -> Vec<Traced> {
        let Subjects { clock, max_series, threads, .. } = &*self.subjects;
        clock.adjust();
        let mut threads = lock(threads);
        let Threads { counts, landed } = &mut *threads;
        let mut spares = lock(&self.spares);
        let (mut recent, mut left_out, mut traced) = (Vec::new(), 0, Vec::new());
        counts.retain(|shared| {
            // Asked before the swap: whoever is alone now cannot be joined any more.
            let thread_has_ended = Arc::strong_count(shared) == 1;
            let mut full = {
                let mut accumulator = lock(&shared.accumulator);
                shared.fold(&mut accumulator);
                std::mem::replace(&mut *accumulator, spares.pop().unwrap_or_default())
            };
            full.drain(*max_series, &mut take);
            self.capped.fetch_add(full.take_capped(), Ordering::Relaxed);
            left_out += full.recent.take(&mut recent);
            full.traced.take(&mut traced);
            spares.push(full);
            if thread_has_ended {
                landed.add(&shared.flights);
            }
            !thread_has_ended
        });
        spares.truncate(counts.len());
        lock(&self.recent).add(recent, left_out);
        for traced in &mut traced {
            traced.at_micros = clock.wall_micros(traced.at_micros);
        }
        traced
    }

    /// The last exchanges up to the last drain: a copy, so that nobody who counts waits for whoever reads it.
    pub(crate) fn recent(&self) -> Recent {
        lock(&self.recent).clone()
    }

    /// How many exchanges lost route and client because there were too many series.
    pub(crate) fn capped(&self) -> u64 {
        self.capped.load(Ordering::Relaxed)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // They hold their subjects, which hold them.
        lock(&self.subjects.threads).counts.clear();
    }
}

/// Locks, and goes on with what is there if a thread panicked while it held the lock: counting is additions only,
/// so nothing half-done can be seen.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder(apis: usize, max_series: usize) -> Recorder {
        Recorder::new((0..apis).map(|_| Arc::new(Labels::new(10))).collect(), max_series)
    }

    fn drained(recorder: &Recorder) -> u64 {
        let mut count = 0;
        recorder.drain(|drained| count += drained.rollup.count());
        count
    }

    #[test]
    fn nothing_is_lost_between_threads_that_come_and_go_and_a_drain_in_the_middle() {
        let recorder = recorder(1, 100);
        let mut seen = 0;
        for _round in 0..20 {
            std::thread::scope(|scope| {
                let threads = [(); 4].map(|()| {
                    scope.spawn(|| {
                        for _ in 0..1_000 {
                            recorder.begin(0);
                            recorder.subjects.record(
                                SeriesKey::SOME,
                                Instant::now(),
                                &Measurement::default(),
                            );
                        }
                    })
                });
                seen += drained(&recorder);
                // Joined one by one: only then are the thread's own accumulators gone.
                threads.into_iter().for_each(|thread| thread.join().unwrap());
            });
        }
        seen += drained(&recorder);
        assert_eq!(seen, 20 * 4 * 1_000);
        assert_eq!(drained(&recorder), 0);
        assert!(lock(&recorder.subjects.threads).counts.is_empty(), "counts of ended threads are let go");
        assert_eq!(recorder.in_flight(), [0], "and what they had begun has ended");
    }

    #[test]
    fn two_recorders_in_one_thread_do_not_mix() {
        let (one, other) = (recorder(1, 10), recorder(1, 10));
        one.subjects.record(SeriesKey::SOME, Instant::now(), &Measurement::default());
        other.subjects.record(SeriesKey::SOME, Instant::now(), &Measurement::default());
        other.subjects.record(SeriesKey::SOME, Instant::now(), &Measurement::default());
        assert_eq!((drained(&one), drained(&other)), (1, 2));
    }

    #[test]
    fn what_begins_on_one_thread_may_end_on_another() {
        let recorder = recorder(2, 10);
        let end = |api| {
            recorder.subjects.record(
                SeriesKey { api, ..SeriesKey::SOME },
                Instant::now(),
                &Measurement::default(),
            );
        };
        std::thread::scope(|scope| {
            scope.spawn(|| [0, 1, 1].map(|api| drop(recorder.begin(api)))).join().unwrap();
        });
        assert_eq!(recorder.in_flight(), [1, 2]);
        drained(&recorder);
        assert_eq!(recorder.in_flight(), [1, 2], "the thread that began them has gone");
        end(1);
        assert_eq!(recorder.in_flight(), [1, 1]);
        end(0);
        end(1);
        assert_eq!(recorder.in_flight(), [0, 0]);
    }

    #[test]
    fn methods_nobody_knows_share_one_number() {
        assert_eq!(METHODS[usize::from(method_number(&http::Method::PATCH))], "PATCH");
        assert_eq!(method_number(&http::Method::from_bytes(b"BREW").unwrap()), 0);
    }
}
