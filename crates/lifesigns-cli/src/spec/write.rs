//! A file in the place of another one, whole or not at all.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::printer::Problem;

/// Puts the text where `path` leads, through links, with the mode that the file had.
///
/// # Errors
/// When the folder cannot be written, or the file is read-only.
pub fn replace(path: &Path, text: &str) -> Result<(), Problem> {
    let problem =
        |error: &std::io::Error| Problem::new(format!("{} cannot be written", path.display())).because(error);
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mode = fs::metadata(&target).map(|known| known.permissions());
    // A rename would get by, but whoever took the right to write away meant it.
    if mode.as_ref().is_ok_and(fs::Permissions::readonly) {
        let problem = Problem::new(format!("{} is read-only", path.display()));
        return Err(problem.hint("make it writable, or name another file with -o"));
    }
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // What is new gets the usual mode, less what the process leaves out.
    builder.prefix(".lifesigns-").permissions(fs::Permissions::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).map_err(|error| problem(&error))?;
    file.write_all(text.as_bytes()).map_err(|error| problem(&error))?;
    if let Ok(mode) = mode {
        file.as_file().set_permissions(mode).map_err(|error| problem(&error))?;
    }
    file.as_file().sync_all().map_err(|error| problem(&error))?;
    file.persist(&target).map_err(|error| problem(&error.error))?;
    Ok(())
}
