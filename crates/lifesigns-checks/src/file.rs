//! Is a file there, and was it written lately? For backups, exports, and whatever a job leaves behind.
//!
//! A run looks at the file's metadata and never opens it: not even a database file that the process has open is
//! disturbed.
//!
//! ```
//! use std::time::Duration;
//! use lifesigns_checks::file;
//!
//! let day = Duration::from_secs(86_400);
//! let backup = file::check("backup", file::Options { max_age: Some(day), ..file::Options::new("/backup/polls.tar") })?;
//! # Ok::<(), lifesigns_checks::BadOption>(())
//! ```

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use lifesigns::{Check, FailureKind, Report};

use crate::BadOption;
use crate::path::{absolute, failure_kind};

/// Clocks of file servers may be ahead of ours by so much.
const AHEAD: Duration = Duration::from_mins(1);

/// What is asked of the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// Where it is, from the root. It may be a folder: that of a spool, whose time changes with what is in it.
    pub path: PathBuf,
    /// It must have been written within so long. Default: no matter when.
    pub max_age: Option<Duration>,
    /// It must have so many bytes. Default: it may be empty.
    pub min_size: u64,
}

impl Options {
    /// That the file is there is enough.
    pub fn new(path: impl Into<PathBuf>) -> Options {
        Options { path: path.into(), max_age: None, min_size: 0 }
    }
}

/// A check that looks at a file's age and size. It observes `age` in seconds.
pub fn check(name: &str, options: Options) -> Result<Check, BadOption> {
    absolute("path", &options.path)?;
    if options.max_age == Some(Duration::ZERO) {
        return Err(BadOption::new(
            "max_age",
            "is 0, so that no file would ever be fresh; leave it out, or give it time",
        ));
    }
    Ok(Check::blocking(name, move || run(&options)).of_this_process().component_type("system"))
}

fn run(options: &Options) -> Report {
    let path = options.path.display();
    let found = options.path.metadata().and_then(|metadata| Ok((metadata.len(), metadata.modified()?)));
    let (size, written) = match found {
        Ok(found) => found,
        Err(error) => return Report::fail(failure_kind(&error), format_args!("{path}: {error}")),
    };
    let age = SystemTime::now().duration_since(written);
    judge(options, size, age.map_err(|ahead| ahead.duration()))
}

/// The age is an error where the file was written in the future.
fn judge(options: &Options, size: u64, age: Result<Duration, Duration>) -> Report {
    let path = options.path.display();
    let report = if size < options.min_size {
        let wanted = options.min_size;
        Report::fail(FailureKind::Failed, format_args!("{path}: has {size} bytes, fewer than {wanted}"))
    } else {
        match (options.max_age, age) {
            (Some(limit), Ok(age)) if age > limit => {
                let (age, limit) = (age.as_secs(), limit.as_secs());
                let output = format!("{path}: was written {age} s ago, longer than {limit} s");
                Report::fail(FailureKind::Failed, output)
            }
            // It would be fresh for ever.
            (Some(_), Err(ahead)) if ahead > AHEAD => {
                Report::warn(format_args!("{path}: was written {} s in the future", ahead.as_secs()))
            }
            _ => Report::pass(),
        }
    };
    report.observed("age", age.unwrap_or_default().as_secs_f64(), "s")
}

#[cfg(test)]
mod tests {
    use lifesigns::model::check::Outcome;

    use super::*;

    #[test]
    fn age_and_size_are_judged() {
        let seconds = Duration::from_secs;
        let options = Options { max_age: Some(seconds(60)), min_size: 10, ..Options::new("/x") };
        let check =
            |size, age, expected| assert_eq!(judge(&options, size, age).outcome, expected, "{size} {age:?}");
        check(10, Ok(seconds(0)), Outcome::Pass);
        check(10, Ok(seconds(60)), Outcome::Pass);
        check(10, Ok(seconds(61)), Outcome::Fail);
        check(9, Ok(seconds(0)), Outcome::Fail);
        check(10, Err(seconds(60)), Outcome::Pass);
        check(10, Err(seconds(61)), Outcome::Warn);
        let any_age = Options { max_age: None, ..options.clone() };
        assert_eq!(judge(&any_age, 10, Ok(Duration::MAX)).outcome, Outcome::Pass);
        let observed = judge(&options, 10, Ok(seconds(61))).observed.unwrap();
        assert_eq!((observed.measurement, observed.value, observed.unit), ("age", 61.0, "s"));
    }
}
