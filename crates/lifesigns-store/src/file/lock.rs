//! One process writes a file: an advisory lock on a `.lock` file beside it.
//!
//! SQLite's own locks would keep two writers from corrupting the file, but not from working against each other's
//! caches. The operating system lets go of the lock when the process dies, however it dies; the `.lock` file itself
//! stays, and means nothing by itself.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use lifesigns_model::store::StoreError;

use super::beside;

/// Held as long as this lives.
#[derive(Debug)]
pub(crate) struct WriterLock {
    path: PathBuf,
    _file: File,
}

impl WriterLock {
    /// Whether a file has been opened for writing before, and so is one of ours whatever is in it.
    pub(crate) fn was_there(database: &Path) -> bool {
        lock_path(database).exists()
    }

    pub(crate) fn acquire(database: &Path) -> Result<WriterLock, StoreError> {
        let path = lock_path(database);
        let failed = |what: &str, error: std::io::Error| {
            StoreError::because(
                format!(
                    "{} cannot be {what}. Its folder must exist and be writable for this user",
                    path.display()
                ),
                error,
            )
        };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|error| failed("opened", error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(database, &path)),
            Err(TryLockError::Error(error)) => return Err(failed("locked", error)),
        }
        name_the_holder(&file).map_err(|error| failed("written", error))?;
        Ok(WriterLock { path, _file: file })
    }

    /// Leaves no trace beside a file that is not for us.
    pub(crate) fn remove(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the lock file could not be removed");
        }
    }
}

/// Two names of one file share one lock.
fn lock_path(database: &Path) -> PathBuf {
    beside(&fs::canonicalize(database).unwrap_or_else(|_| database.to_owned()), ".lock")
}

fn name_the_holder(mut file: &File) -> std::io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

fn in_use(database: &Path, lock: &Path) -> StoreError {
    // The holder's number is a courtesy: where it cannot be read the message does without.
    let holder = fs::read_to_string(lock).ok().and_then(|text| text.trim().parse::<u32>().ok());
    let holder = holder.map(|id| format!(" (process {id})")).unwrap_or_default();
    StoreError::new(format!(
        "{} is already being written by another Lifesigns{holder}. Stop that one, or give this one a file of its own",
        database.display()
    ))
}
