//! Setting a damaged file aside, so that a new one can be begun in its place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use lifesigns_model::store::StoreError;

use super::beside;

/// Renames a file with its log and the log's index. Where it is now.
///
/// The log goes first: were it left beside a new file of the name, SQLite would take its pages into that. Whoever
/// still reads the file goes on with what it has open.
pub(crate) fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    // The log lies beside the file itself and not beside a link to it.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let aside = free_name(path, Timestamp::now());
    for suffix in ["-wal", "-shm", ""] {
        match fs::rename(beside(path, suffix), beside(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let text = format!(
                    "{}{suffix} is damaged and could not be set aside. Its folder must be writable for this user; \
                     rename it by hand",
                    path.display()
                );
                return Err(StoreError::because(text, error));
            }
            _ => {}
        }
    }
    Ok(aside)
}

/// What a person reads about it, once.
pub(crate) fn tell(path: &Path, aside: &Path, why: &str) {
    tracing::warn!(
        path = %path.display(),
        aside = %aside.display(),
        "the file of the store was damaged. It was set aside as {aside} and a new one begun; what is in it is no longer \
         part of any answer. What can be saved of it: sqlite3 {aside} .recover | sqlite3 NEW_FILE. What was found: {why}",
        aside = aside.display()
    );
}

/// A name beside the file that nobody has.
fn free_name(path: &Path, now: Timestamp) -> PathBuf {
    let named = beside(path, &format!(".damaged-{now:.0}"));
    let mut number = 1;
    let mut free = named.clone();
    while ["", "-wal", "-shm"].iter().any(|suffix| beside(&free, suffix).exists()) {
        number += 1;
        free = beside(&named, &format!(".{number}"));
    }
    free
}
