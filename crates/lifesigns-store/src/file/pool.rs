//! Connections that read.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::error::Fault;

/// Connections kept for the next answer; more are opened when more are needed at once.
const IDLE_CONNECTIONS: usize = 4;

/// `R` is a connection, and what is remembered with it.
#[derive(Debug)]
pub(crate) struct Pool<R> {
    path: PathBuf,
    busy_timeout: Duration,
    open: fn(&Path, Duration) -> Result<R, Fault>,
    idle: Mutex<Vec<R>>,
    /// How many files have stood at the path before this one.
    file: AtomicU64,
}

impl<R> Pool<R> {
    pub(crate) fn open(
        path: &Path,
        busy_timeout: Duration,
        open: fn(&Path, Duration) -> Result<R, Fault>,
    ) -> Result<Pool<R>, Fault> {
        let first = open(path, busy_timeout)?;
        let (path, idle) = (path.to_owned(), Mutex::new(vec![first]));
        Ok(Pool { path, busy_timeout, open, idle, file: AtomicU64::new(0) })
    }

    /// The number of the file that stands at the path, counted from the first one.
    pub(crate) fn file(&self) -> u64 {
        self.file.load(Relaxed)
    }

    /// Another file stands at the path now.
    pub(crate) fn turn_to_new_file(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        self.file.fetch_add(1, Relaxed);
        idle.clear();
    }

    /// Besides what went wrong, which file it was.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&mut R) -> rusqlite::Result<T>,
    ) -> Result<T, (u64, Fault)> {
        let file = self.file();
        // The lock is held only to take a connection and to give it back, so readers run side by side.
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => (self.open)(&self.path, self.busy_timeout).map_err(|fault| (file, fault))?,
        };
        let found = read(&mut reader)
            .map_err(|error| (file, Fault::of(&self.path, "the store could not be read", error)))?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_CONNECTIONS && self.file() == file {
            idle.push(reader);
        }
        Ok(found)
    }

    /// Closes the connections that are not in use.
    pub(crate) fn disconnect(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
