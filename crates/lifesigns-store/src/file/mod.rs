//! One SQLite file that one thread of one process writes: what the files of figures and of a history have in common.
//!
//! | module | question it answers |
//! |---|---|
//! | `opening` | is this file ours, and how is it opened and brought up to date? |
//! | `lock` | who writes it? |
//! | `queue` | what waits to be written, and who waits for it? |
//! | `pool` | who reads it? |
//! | `notes` | what does a process have to know again after a restart? |
//! | `shortening` | how does a file give back room? |
//! | `aside` | where does a damaged file go? |
//! | `error` | what does a person read when something fails? |

pub(crate) mod aside;
pub(crate) mod error;
pub(crate) mod lock;
pub(crate) mod notes;
pub(crate) mod opening;
pub(crate) mod pool;
pub(crate) mod queue;
pub(crate) mod shortening;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// What is said when the thread that writes has panicked.
pub(crate) const THREAD_GONE: &str = "the store's thread has ended, so nothing is written any more; restart the process, and report the \
     panic that the log shows before this";

/// The path with `suffix` at the end of its file name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.to_owned().into();
    name.push(suffix);
    name.into()
}

/// Bytes of a file and of its log.
pub(crate) fn bytes(path: &Path) -> u64 {
    let files = [path.to_owned(), beside(path, "-wal")];
    files.iter().filter_map(|path| fs::metadata(path).ok()).map(|file| file.len()).sum()
}
