//! From SQLite's error codes to what a person can do about them.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use lifesigns_model::store::StoreError;
use rusqlite::ErrorCode;

/// An error, and whether the file itself is to blame: it holds what no version of this store has written.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) error: StoreError,
    pub(crate) is_damage: bool,
}

impl Fault {
    /// As [`explain`] says it.
    pub(crate) fn of(path: &Path, what: &str, error: rusqlite::Error) -> Fault {
        Fault { is_damage: is_damage(&error), error: explain(path, what, error) }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        Fault { error, is_damage: false }
    }
}

/// An error that says what could not be done with which file, and how to mend it.
pub(crate) fn explain(path: &Path, what: &str, error: rusqlite::Error) -> StoreError {
    let path = path.display();
    let text = match error.sqlite_error_code() {
        _ if is_damage(&error) => format!("{what}: {path} is damaged"),
        Some(ErrorCode::DiskFull) => format!(
            "{what}: there is no room for {path}. Free some space on its disk, or raise the size limit if one is set"
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => format!(
            "{what}: another program holds {path} locked. End its transaction, perhaps an open sqlite3 shell"
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => format!(
            "{what}: {path} cannot be opened or written. Its folder must exist, and folder, file and what lies beside \
             it ({path}-wal, {path}-shm) must be writable for this user"
        ),
        Some(ErrorCode::SystemIoFailure) => {
            format!("{what}: the disk of {path} failed to read or write. See the system's log for the disk")
        }
        _ => format!("{what}: {path}"),
    };
    StoreError::because(text, error)
}

/// The error and everything that caused it, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

/// The error for bytes in `column` that no version of this store has written.
pub(crate) fn damaged(column: usize, error: impl Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, Box::new(error))
}

pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        || matches!(
            error,
            rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::QueryReturnedNoRows
        )
}
