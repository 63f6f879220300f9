//! Paths of files that checks look at.

use std::io;
use std::path::Path;

use lifesigns::FailureKind;

use crate::BadOption;

/// A path must not depend on where the process was started.
pub(crate) fn absolute(option: &'static str, path: &Path) -> Result<(), BadOption> {
    if path.is_absolute() {
        return Ok(());
    }
    let message = format!("{} is not a whole path; let it begin with `/`", path.display());
    Err(BadOption::new(option, message))
}

/// How an error of a file counts.
pub(crate) fn failure_kind(error: &io::Error) -> FailureKind {
    match error.kind() {
        io::ErrorKind::PermissionDenied => FailureKind::Denied,
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FailureKind::Unreachable,
        _ => FailureKind::Failed,
    }
}
