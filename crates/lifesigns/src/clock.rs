//! The two clocks and how they meet: durations come from the monotonic one, minutes from the wall.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use lifesigns_model::moment::Moment;

/// Tells moments by the time since the process began. Inside a runtime whose time is paused, by that one's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timekeeper {
    began: Instant,
}

impl Timekeeper {
    pub(crate) fn new() -> Timekeeper {
        Timekeeper { began: tokio::time::Instant::now().into_std() }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        tokio::time::Instant::now().into_std().saturating_duration_since(self.began)
    }

    pub(crate) fn now(&self) -> Moment {
        Moment { wall: Timestamp::now(), elapsed: self.elapsed() }
    }
}

/// Turns readings of the monotonic clock into wall time without reading the wall clock for each exchange.
#[derive(Debug)]
pub(crate) struct Clock {
    origin: Instant,
    /// Wall time of `origin` in microseconds since the epoch, set anew by each [`Clock::adjust`].
    origin_micros: AtomicI64,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        let origin = Instant::now();
        Clock { origin, origin_micros: AtomicI64::new(Timestamp::now().as_microsecond()) }
    }

    /// Follows the wall clock where it was set or slewed.
    pub(crate) fn adjust(&self) {
        let elapsed = self.origin.elapsed().as_micros() as i64;
        self.origin_micros.store(Timestamp::now().as_microsecond() - elapsed, Ordering::Relaxed);
    }

    /// Microseconds from the origin of this clock to `instant`.
    pub(crate) fn micros(&self, instant: Instant) -> i64 {
        instant.saturating_duration_since(self.origin).as_micros() as i64
    }

    /// Wall time so many microseconds after the origin, in microseconds since the epoch.
    pub(crate) fn wall_micros(&self, micros: i64) -> i64 {
        self.origin_micros.load(Ordering::Relaxed) + micros
    }
}
