//! Keeps what a monitor remembers of a fleet, in memory or in one SQLite file.
//!
//! Both implement [`HistoryStore`](lifesigns_model::history::HistoryStore), answer alike and pass one and the same
//! suite, `conformance`. As with figures the times of the entries are the time: what has expired is told by them and
//! not by a clock.
//!
//! | module | question it answers |
//! |---|---|
//! | `horizon` | what is believed to be the newest time, and what has gone past its retention? |
//! | [`memory`] | the history for tests, for the demo, and for whoever wants no file |
//! | [`sqlite`] | the history in one file, described in `docs/storage-format.md` |

pub mod memory;
pub mod sqlite;

mod horizon;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

use std::time::Duration;

pub use self::memory::MemoryHistory;
pub use self::sqlite::{HistoryOptions, SqliteHistory, SqliteHistoryReader};

/// How long a history is kept, by the day: what is left of the oldest day stays.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HistoryRetention {
    /// Readings. Default 400 days, so that a year can be compared with the same weeks of the year before.
    pub readings: Duration,
    /// Events, from their end on; those that go on stay. Default 400 days.
    pub events: Duration,
}

impl Default for HistoryRetention {
    fn default() -> HistoryRetention {
        let year_and_more = Duration::from_hours(400 * 24);
        HistoryRetention { readings: year_and_more, events: year_and_more }
    }
}

/// Figures about a history itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HistoryStatus {
    /// Entries taken and not yet safe.
    pub pending_entries: u64,
    /// Entries that were taken and are not kept: older than anything that is, or the history was closed while it could
    /// not be written. Those that were given back at once are not among them.
    pub dropped_entries: u64,
    /// Text of the last failure, for operators only; `None` while writing works.
    pub last_error: Option<String>,
    /// Bytes on disk; 0 without a file.
    pub bytes: u64,
}

#[cfg(test)]
mod tests;
