//! A moment by two clocks: one to judge by, one to show.

use std::time::Duration;

use jiff::Timestamp;

/// When something happened. Ages and orders are taken from `elapsed`, which nobody can set; people are shown `wall`,
/// which jumps when the machine's clock is put right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Moment {
    /// Time of day by the machine's clock.
    pub wall: Timestamp,
    /// Time since the process began, by a clock that only goes forward.
    pub elapsed: Duration,
}

impl Moment {
    /// How long ago `earlier` was; zero if it was not.
    pub fn since(&self, earlier: Moment) -> Duration {
        earlier.age(self.elapsed)
    }

    /// How long ago it is when so much time has gone since the process began; zero if it is still to come.
    pub fn age(&self, elapsed: Duration) -> Duration {
        elapsed.saturating_sub(self.elapsed)
    }
}
