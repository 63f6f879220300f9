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

    /// How far `instant` is from the origin of this clock.
    pub(crate) fn read(&self, instant: Instant) -> Reading {
        Reading(instant.saturating_duration_since(self.origin).as_nanos() as u64)
    }

    /// Wall time so many microseconds after the origin, in microseconds since the epoch.
    pub(crate) fn wall_micros(&self, micros: i64) -> i64 {
        self.origin_micros.load(Ordering::Relaxed) + micros
    }
}

/// A reading of the monotonic clock: nanoseconds since the origin of a [`Clock`], enough for 584 years.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading(u64);

impl Reading {
    /// Microseconds since the origin.
    pub(crate) fn micros(self) -> u64 {
        self.0 / 1000
    }

    /// Microseconds since an earlier reading.
    pub(crate) fn micros_since(self, earlier: Reading) -> u64 {
        self.0.saturating_sub(earlier.0) / 1000
    }
}
