//! Does a program say that all is well, by its exit code?
//!
//! It runs without a shell and without our environment; what it has started ends with it.
//!
//! ```
//! use lifesigns_checks::command;
//!
//! let mut options = command::Options::new("/usr/bin/pg_isready");
//! options.program.arguments.push("--host=db.example".into());
//! options.warn_codes.push(1);
//! let postgres = command::check("postgres", options)?;
//! # Ok::<(), lifesigns_checks::BadOption>(())
//! ```

use std::io;
use std::path::PathBuf;

use lifesigns::{Check, FailureKind, Redaction, Report};
pub use lifesigns_program::Program;
use lifesigns_program::{Run, Runner};

use crate::BadOption;
use crate::path::failure_kind;

/// Of what the program prints, so many bytes are told.
const LONGEST_OUTPUT: usize = 1024;

/// Which program, and what its exit codes mean.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// The program.
    pub program: Program,
    /// Exit codes that warn; 0 always passes, and every other code fails. Default: none.
    pub warn_codes: Vec<u8>,
}

impl Options {
    /// A program without arguments.
    pub fn new(program: impl Into<PathBuf>) -> Options {
        Options { program: Program::new(program), warn_codes: Vec::new() }
    }
}

/// A check that runs a program.
pub fn check(name: &str, options: Options) -> Result<Check, BadOption> {
    let Options { program, warn_codes } = options;
    if warn_codes.contains(&0) {
        return Err(BadOption::new("warn_codes", "holds 0, which is how a program says that all is well"));
    }
    let runner = Runner::new(program)?;
    Ok(Check::new(name, move || {
        let (runner, warn_codes) = (runner.clone(), warn_codes.clone());
        async move {
            match runner.run(&[], None).await {
                Ok(run) => judge(runner.program(), &warn_codes, &run),
                Err(error) => broken(runner.program(), &error),
            }
        }
    }))
}

/// The system tells in the same words that a program is missing and that its folder is.
fn broken(program: &Program, error: &io::Error) -> Report {
    // The dot is there for whoever may enter the folder.
    if let Err(error) = program.folder.join(".").metadata() {
        let folder = program.folder.display();
        return Report::fail(failure_kind(&error), format_args!("the folder {folder}: {error}"));
    }
    Report::fail(failure_kind(error), format_args!("{}: {error}", program.file.display()))
}

fn judge(program: &Program, warn_codes: &[u8], run: &Run) -> Report {
    if run.status.success() {
        return Report::pass();
    }
    let mut words = run.said(&Redaction::of(program.environment.iter().map(|(_, value)| value.reveal())));
    words.truncate(words.floor_char_boundary(LONGEST_OUTPUT));
    let colon = if words.is_empty() { "" } else { ": " };
    let said = format!("{}: {}{colon}{}", program.file.display(), run.status, words.trim_end());
    let is_warning =
        run.status.code().is_some_and(|code| warn_codes.iter().any(|warns| i32::from(*warns) == code));
    if is_warning { Report::warn(said) } else { Report::fail(FailureKind::Failed, said) }
}
