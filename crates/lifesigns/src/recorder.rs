//! Counts exchanges without ever making one wait.
//!
//! Each thread counts into an accumulator of its own, behind a lock that nobody else takes but the collector, for
//! the moment of a swap. Labels become small numbers on the way in and text again on the way out.

pub(crate) mod accumulator;
pub(crate) mod labels;

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use lifesigns_model::exchange::Measurement;

use self::accumulator::{Accumulator, Drained, SeriesKey};
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
    /// This thread's accumulators, one for each recorder that it has counted for: nearly always one.
    static MINE: RefCell<Vec<(u64, Arc<Mutex<Accumulator>>)>> = const { RefCell::new(Vec::new()) };
}

/// Where finished exchanges go.
#[derive(Debug)]
pub(crate) struct Recorder {
    id: u64,
    clock: Clock,
    max_series: usize,
    accumulators: Mutex<Vec<Arc<Mutex<Accumulator>>>>,
    /// Drained and empty, to be swapped in for a full one.
    spares: Mutex<Vec<Accumulator>>,
    capped: AtomicU64,
}

impl Recorder {
    /// A recorder whose threads each keep at most `max_series` series.
    pub(crate) fn new(max_series: usize) -> Recorder {
        Recorder {
            id: NEXT_RECORDER.fetch_add(1, Ordering::Relaxed),
            clock: Clock::new(),
            max_series,
            accumulators: Mutex::default(),
            spares: Mutex::default(),
            capped: AtomicU64::new(0),
        }
    }

    /// Counts an exchange that ended at `ended`.
    pub(crate) fn record(&self, key: SeriesKey, ended: Instant, measured: &Measurement) {
        let minute = self.clock.minute(ended);
        let counted = MINE.try_with(|mine| {
            let mut mine = mine.borrow_mut();
            let index = mine.iter().position(|(id, _)| *id == self.id).unwrap_or_else(|| {
                mine.retain(|(_, accumulator)| Arc::strong_count(accumulator) > 1);
                mine.push((self.id, self.register()));
                mine.len() - 1
            });
            lock(&mine[index].1).record(key, minute, measured, self.max_series);
        });
        if counted.is_err() {
            // The thread is ending and its own accumulator is gone already.
            lock(&self.register()).record(key, minute, measured, self.max_series);
        }
    }

    /// Hands over everything that was counted since the last time.
    pub(crate) fn drain(&self, mut take: impl FnMut(Drained)) {
        self.clock.adjust();
        let mut accumulators = lock(&self.accumulators);
        let mut spares = lock(&self.spares);
        accumulators.retain(|shared| {
            // Asked before the swap: whoever is alone now cannot be joined any more.
            let thread_has_ended = Arc::strong_count(shared) == 1;
            let mut full = std::mem::replace(&mut *lock(shared), spares.pop().unwrap_or_default());
            full.drain(self.max_series, &mut take);
            self.capped.fetch_add(full.take_capped(), Ordering::Relaxed);
            spares.push(full);
            !thread_has_ended
        });
        spares.truncate(accumulators.len());
    }

    /// How many exchanges lost route and client because there were too many series.
    pub(crate) fn capped(&self) -> u64 {
        self.capped.load(Ordering::Relaxed)
    }

    fn register(&self) -> Arc<Mutex<Accumulator>> {
        let accumulator = Arc::default();
        lock(&self.accumulators).push(Arc::clone(&accumulator));
        accumulator
    }
}

/// Locks, and goes on with what is there if a thread panicked while it held the lock: counting is additions only,
/// so nothing half-done can be seen.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use lifesigns_model::exchange::FailedBy;

    use super::*;

    const KEY: SeriesKey = SeriesKey {
        api: 0,
        route: 0,
        client: 0,
        status: 200,
        policy: 0,
        method: 1,
        failed_by: FailedBy::Nobody,
    };

    fn drained(recorder: &Recorder) -> u64 {
        let mut count = 0;
        recorder.drain(|drained| count += drained.rollup.count());
        count
    }

    #[test]
    fn nothing_is_lost_between_threads_that_come_and_go_and_a_drain_in_the_middle() {
        let recorder = Recorder::new(100);
        let mut seen = 0;
        for _round in 0..20 {
            std::thread::scope(|scope| {
                let threads = [(); 4].map(|()| {
                    scope.spawn(|| {
                        for _ in 0..1_000 {
                            recorder.record(KEY, Instant::now(), &Measurement::default());
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
        assert!(lock(&recorder.accumulators).is_empty(), "accumulators of ended threads are let go");
    }

    #[test]
    fn two_recorders_in_one_thread_do_not_mix() {
        let (one, other) = (Recorder::new(10), Recorder::new(10));
        one.record(KEY, Instant::now(), &Measurement::default());
        other.record(KEY, Instant::now(), &Measurement::default());
        other.record(KEY, Instant::now(), &Measurement::default());
        assert_eq!((drained(&one), drained(&other)), (1, 2));
    }

    #[test]
    fn methods_nobody_knows_share_one_number() {
        assert_eq!(METHODS[usize::from(method_number(&http::Method::PATCH))], "PATCH");
        assert_eq!(method_number(&http::Method::from_bytes(b"BREW").unwrap()), 0);
    }
}
