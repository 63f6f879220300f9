//! The time: of day, to be shown and kept, and yet only going forward.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use jiff::Timestamp;
use tokio::time::Instant;

/// The machine's clock may differ from this one by so many milliseconds before it is believed: it has been put right,
/// or the machine has slept.
const LARGEST_DRIFT: i64 = 5_000;

/// A clock that was put right once, when the monitor was started, and goes on from there.
#[derive(Debug)]
pub(crate) struct Clock {
    began: Instant,
    /// Milliseconds since 1970 when it began.
    offset: AtomicI64,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock { began: Instant::now(), offset: AtomicI64::new(wall()) }
    }

    /// When it was started, in milliseconds since 1970.
    pub(crate) fn began(&self) -> i64 {
        self.at(self.began)
    }

    /// Milliseconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        self.at(Instant::now())
    }

    /// When that was, in milliseconds since 1970.
    pub(crate) fn at(&self, instant: Instant) -> i64 {
        let elapsed = instant.saturating_duration_since(self.began).as_millis();
        self.offset.load(Relaxed) + i64::try_from(elapsed).unwrap_or(i64::MAX / 2)
    }

    /// Follows the machine's clock if that says something else. Gives by how many milliseconds it has gone forward, or
    /// back.
    pub(crate) fn put_right(&self) -> Option<i64> {
        let drift = wall() - self.now();
        if drift.abs() < LARGEST_DRIFT {
            return None;
        }
        self.offset.fetch_add(drift, Relaxed);
        Some(drift)
    }
}

fn wall() -> i64 {
    Timestamp::now().as_millisecond()
}
