//! Keeps rollups, and the history of a fleet, in memory or in one SQLite file.
//!
//! Both stores of rollups implement [`RollupStore`](lifesigns_model::store::RollupStore), answer alike and pass one and the
//! same suite, `conformance`. Neither knows HTTP. The minutes of the rows are the time: a clock is
//! read only for the name of a damaged file that is set aside. The same holds for the two of a history, which implement
//! [`HistoryStore`](lifesigns_model::history::HistoryStore).
//!
//! | module | question it answers |
//! |---|---|
//! | `file` | what do all files of ours have in common? |
//! | `timeline` | how far are hours and days closed, and what has gone past its retention? |
//! | `packed` | what does a kept row look like? |
//! | [`memory`] | the store for tests, for the demo, and for whoever wants no file |
//! | [`sqlite`] | the store in one file, described in `docs/storage-format.md` |
//! | [`history`] | what does a monitor remember, in memory or in a file of its own? |

pub mod history;
pub mod memory;
pub mod sqlite;

mod file;
mod packed;
mod timeline;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

pub use self::memory::MemoryStore;
pub use self::sqlite::{Options, SqliteStore};
