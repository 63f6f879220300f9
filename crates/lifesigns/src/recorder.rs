//! Counts exchanges without ever making one wait.
//!
//! Each thread counts into an accumulator of its own, behind a lock that nobody else takes but the collector, for
//! the moment of a swap. Labels become small numbers on the way in and text again on the way out.

pub(crate) mod accumulator;
pub(crate) mod flight;
pub(crate) mod labels;
pub(crate) mod recent;

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use lifesigns_model::bucket::Minute;
use lifesigns_model::exchange::Measurement;

use self::accumulator::{Accumulator, Drained, SeriesKey};
use self::flight::{Flights, Landed};
use self::recent::{Ended, Recent};
use crate::clock::Clock;

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

static NEXT_RECORDER: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// What this thread counts into, for each recorder that it has counted for: nearly always one.
    static MINE: RefCell<Vec<(u64, Arc<Counts>)>> = const { RefCell::new(Vec::new()) };
}

/// What one thread counts into. On cache lines of its own: a neighbour's counting must not slow it down.
#[derive(Debug)]
#[repr(align(128))]
struct Counts {
    flights: Flights,
    accumulator: Mutex<Accumulator>,
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
    id: u64,
    clock: Clock,
    max_series: usize,
    apis: usize,
    threads: Mutex<Threads>,
    /// Drained and empty, to be swapped in for a full one.
    spares: Mutex<Vec<Accumulator>>,
    capped: AtomicU64,
    recent: Mutex<Recent>,
}

impl Recorder {
    /// A recorder for so many APIs whose threads each keep at most `max_series` series.
    pub(crate) fn new(apis: usize, max_series: usize) -> Recorder {
        Recorder {
            id: NEXT_RECORDER.fetch_add(1, Ordering::Relaxed),
            clock: Clock::new(),
            max_series,
            apis,
            threads: Mutex::new(Threads { counts: Vec::new(), landed: Landed::new(apis) }),
            spares: Mutex::default(),
            capped: AtomicU64::new(0),
            recent: Mutex::default(),
        }
    }

    /// Notes that an exchange of an API has begun. Exactly one [`Recorder::record`] has to follow, from any thread.
    pub(crate) fn begin(&self, api: u16) {
        self.count(|counts| counts.flights.begin(api));
    }

    /// Counts an exchange that ended at `ended`.
    pub(crate) fn record(&self, key: SeriesKey, ended: Instant, measured: &Measurement) {
        let at_micros = self.clock.micros(ended);
        let minute = Minute::new(at_micros.div_euclid(60_000_000));
        self.count(|counts| {
            let mut accumulator = lock(&counts.accumulator);
            accumulator.record(key, minute, measured, self.max_series);
            accumulator.recent.add(Ended { key, at_micros, measured: *measured });
            drop(accumulator);
            counts.flights.end(key.api);
        });
    }

    fn count(&self, count: impl Fn(&Counts)) {
        let counted = MINE.try_with(|mine| {
            let mut mine = mine.borrow_mut();
            let index = mine.iter().position(|(id, _)| *id == self.id).unwrap_or_else(|| {
                mine.retain(|(_, counts)| Arc::strong_count(counts) > 1);
                mine.push((self.id, self.register()));
                mine.len() - 1
            });
            count(&mine[index].1);
        });
        if counted.is_err() {
            // The thread is ending and its own counts are gone already.
            count(&self.register());
        }
    }

    /// How many exchanges of each API have begun and not ended. Never fewer than there are.
    pub(crate) fn in_flight(&self) -> Vec<u64> {
        let threads = lock(&self.threads);
        threads.landed.in_flight(threads.counts.iter().map(|counts| &counts.flights))
    }

    /// Hands over everything that was counted since the last time.
    pub(crate) fn drain(&self, mut take: impl FnMut(Drained)) {
        self.clock.adjust();
        let mut threads = lock(&self.threads);
        let Threads { counts, landed } = &mut *threads;
        let mut spares = lock(&self.spares);
        let (mut recent, mut left_out) = (Vec::new(), 0);
        counts.retain(|shared| {
            // Asked before the swap: whoever is alone now cannot be joined any more.
            let thread_has_ended = Arc::strong_count(shared) == 1;
            let mut full =
                std::mem::replace(&mut *lock(&shared.accumulator), spares.pop().unwrap_or_default());
            full.drain(self.max_series, &mut take);
            self.capped.fetch_add(full.take_capped(), Ordering::Relaxed);
            left_out += full.recent.take(&mut recent);
            spares.push(full);
            if thread_has_ended {
                landed.add(&shared.flights);
            }
            !thread_has_ended
        });
        spares.truncate(counts.len());
        lock(&self.recent).add(recent, left_out);
    }

    /// The last exchanges up to the last drain: a copy, so that nobody who counts waits for whoever reads it.
    pub(crate) fn recent(&self) -> Recent {
        lock(&self.recent).clone()
    }

    /// How many exchanges lost route and client because there were too many series.
    pub(crate) fn capped(&self) -> u64 {
        self.capped.load(Ordering::Relaxed)
    }

    fn register(&self) -> Arc<Counts> {
        let counts = Arc::new(Counts { flights: Flights::new(self.apis), accumulator: Mutex::default() });
        lock(&self.threads).counts.push(Arc::clone(&counts));
        counts
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

    fn drained(recorder: &Recorder) -> u64 {
        let mut count = 0;
        recorder.drain(|drained| count += drained.rollup.count());
        count
    }

    #[test]
    fn nothing_is_lost_between_threads_that_come_and_go_and_a_drain_in_the_middle() {
        let recorder = Recorder::new(1, 100);
        let mut seen = 0;
        for _round in 0..20 {
            std::thread::scope(|scope| {
                let threads = [(); 4].map(|()| {
                    scope.spawn(|| {
                        for _ in 0..1_000 {
                            recorder.begin(0);
                            recorder.record(SeriesKey::SOME, Instant::now(), &Measurement::default());
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
        assert!(lock(&recorder.threads).counts.is_empty(), "counts of ended threads are let go");
        assert_eq!(recorder.in_flight(), [0], "and what they had begun has ended");
    }

    #[test]
    fn two_recorders_in_one_thread_do_not_mix() {
        let (one, other) = (Recorder::new(1, 10), Recorder::new(1, 10));
        one.record(SeriesKey::SOME, Instant::now(), &Measurement::default());
        other.record(SeriesKey::SOME, Instant::now(), &Measurement::default());
        other.record(SeriesKey::SOME, Instant::now(), &Measurement::default());
        assert_eq!((drained(&one), drained(&other)), (1, 2));
    }

    #[test]
    fn what_begins_on_one_thread_may_end_on_another() {
        let recorder = Recorder::new(2, 10);
        let end = |api| {
            recorder.record(SeriesKey { api, ..SeriesKey::SOME }, Instant::now(), &Measurement::default());
        };
        std::thread::scope(|scope| {
            scope.spawn(|| [0, 1, 1].map(|api| recorder.begin(api))).join().unwrap();
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
