//! How many exchanges are under way, without a number that all threads write.
//!
//! Each thread counts by itself what it has begun and what it has ended; the difference of the sums is what is under
//! way. Ends are read before beginnings, so an exchange that passes while somebody reads may count as under way, but
//! one that is under way is never overlooked.

use std::sync::atomic::{AtomicU64, Ordering};

/// What one thread has begun and ended, for each API. Only that thread writes it.
#[derive(Debug)]
pub(crate) struct Flights(Box<[Flight]>);

#[derive(Debug, Default)]
struct Flight {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Flights {
    pub(crate) fn new(apis: usize) -> Flights {
        Flights((0..apis).map(|_| Flight::default()).collect())
    }

    pub(crate) fn begin(&self, api: u16) {
        raise(&self.0[usize::from(api)].begun);
    }

    pub(crate) fn end(&self, api: u16) {
        raise(&self.0[usize::from(api)].ended);
    }
}

/// One more. Reading and writing are two steps because nobody else writes; whoever sees it sees what was before, too.
fn raise(count: &AtomicU64) {
    count.store(count.load(Ordering::Relaxed) + 1, Ordering::Release);
}

/// What was begun and ended on threads that are no more, for each API.
#[derive(Debug)]
pub(crate) struct Landed(Vec<(u64, u64)>);

impl Landed {
    pub(crate) fn new(apis: usize) -> Landed {
        Landed(vec![(0, 0); apis])
    }

    /// Takes over the counts of a thread that has ended.
    pub(crate) fn add(&mut self, flights: &Flights) {
        for ((begun, ended), flight) in self.0.iter_mut().zip(&flights.0) {
            *ended += flight.ended.load(Ordering::Acquire);
            *begun += flight.begun.load(Ordering::Acquire);
        }
    }

    /// What is under way for each API, with these threads counted in.
    pub(crate) fn in_flight<'a>(&self, threads: impl Iterator<Item = &'a Flights> + Clone) -> Vec<u64> {
        let of_api = |(api, (begun, ended)): (usize, &(u64, u64))| {
            let sum = |count: fn(&Flight) -> &AtomicU64| -> u64 {
                threads.clone().map(|flights| count(&flights.0[api]).load(Ordering::Acquire)).sum()
            };
            let ended = ended + sum(|flight| &flight.ended);
            let begun = begun + sum(|flight| &flight.begun);
            begun.saturating_sub(ended)
        };
        self.0.iter().enumerate().map(of_api).collect()
    }
}
