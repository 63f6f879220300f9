//! How often a fault that comes with every request is told.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Shortest time from one line of the log to the next about the same API.
const PAUSE: Duration = Duration::from_secs(1);

/// What is complained about one API, by all workers together. A log is written one line at a time while all workers
/// wait for it, so a dead upstream must not make one of each request.
#[derive(Debug)]
pub(crate) struct Complaints {
    since: Instant,
    /// Milliseconds from `since` to when the next may be told.
    next: AtomicU64,
    untold: AtomicU64,
}

impl Complaints {
    pub(crate) fn new() -> Complaints {
        Complaints { since: Instant::now(), next: AtomicU64::new(0), untold: AtomicU64::new(0) }
    }

    /// Notes one more. `None` if it is too early to tell; otherwise how many were left untold since the last.
    pub(crate) fn note(&self) -> Option<u64> {
        self.note_at(self.since.elapsed())
    }

    fn note_at(&self, now: Duration) -> Option<u64> {
        let next = self.next.load(Relaxed);
        let following = (now + PAUSE).as_millis() as u64;
        let is_time = now.as_millis() as u64 >= next;
        // Of several workers that come at once, one tells.
        if is_time && self.next.compare_exchange(next, following, Relaxed, Relaxed).is_ok() {
            return Some(self.untold.swap(0, Relaxed));
        }
        self.untold.fetch_add(1, Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_told_each_second_with_the_number_of_the_others() {
        let complaints = Complaints::new();
        let told: Vec<Option<u64>> = [0, 1, 500, 999, 1000, 1001, 5000, 5999, 6000]
            .map(|milliseconds| complaints.note_at(Duration::from_millis(milliseconds)))
            .into();
        let none = None;
        assert_eq!(told, [Some(0), none, none, none, Some(3), none, Some(1), none, Some(1)]);
    }
}
