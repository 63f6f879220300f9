//! How much of its memory does a process use?
//!
//! Resident memory against the limit of the process' control group, or against the machine's where there is none.
//! On Linux alone; elsewhere the check fails and says so.
//!
//! ```
//! use lifesigns_checks::memory;
//!
//! let memory = memory::check("memory", memory::Options::default())?;
//! # Ok::<(), lifesigns_checks::BadOption>(())
//! ```

use lifesigns::{Check, FailureKind, ProcessFigures, ProcessSource, Report};

use crate::BadOption;

/// Which process, and how much it may use.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Default: this process.
    pub process: ProcessSource,
    /// With more than this share in use, it warns. 0 to 100, default 80.
    pub warn_percent: f64,
    /// With more than this share in use, it fails. 0 to 100, default 95.
    pub fail_percent: f64,
}

impl Default for Options {
    fn default() -> Options {
        Options { process: ProcessSource::Own, warn_percent: 80.0, fail_percent: 95.0 }
    }
}

/// A check that looks at memory. It observes `utilization` in percent.
pub fn check(name: &str, options: Options) -> Result<Check, BadOption> {
    for (option, percent) in [("warn_percent", options.warn_percent), ("fail_percent", options.fail_percent)]
    {
        if !(0.0..=100.0).contains(&percent) {
            return Err(BadOption::new(option, format!("{percent} is not between 0 and 100")));
        }
    }
    if options.warn_percent > options.fail_percent {
        return Err(BadOption::new("warn_percent", "is more than `fail_percent`: it would never warn"));
    }
    if options.process == ProcessSource::Reported {
        let message = "cannot be one whose figures somebody else reports; name its number or its file";
        return Err(BadOption::new("process", message));
    }
    Ok(Check::blocking(name, move || run(&options)).of_this_process().component_type("system"))
}

fn run(options: &Options) -> Report {
    match options.process.read() {
        Some(ProcessFigures { memory_used: Some(used), memory_total: Some(total), .. }) if total > 0 => {
            judge(options, used, total)
        }
        Some(_) => Report::fail(FailureKind::Failed, "the memory of the process is not known here"),
        None => {
            let process = match &options.process {
                ProcessSource::Own | ProcessSource::Reported => "this process".to_owned(),
                ProcessSource::Pid(pid) => format!("process {pid}"),
                ProcessSource::PidFile(path) => format!("the process whose number is in {}", path.display()),
            };
            Report::fail(FailureKind::Unreachable, format_args!("{process} is not there, or cannot be seen"))
        }
    }
}

fn judge(options: &Options, used: u64, total: u64) -> Report {
    let share = used as f64 * 100.0 / total as f64;
    let mebibytes = |bytes: u64| bytes as f64 / 1_048_576.0;
    let output = format!("uses {:.0} of {:.0} MiB, that is {share:.1} %", mebibytes(used), mebibytes(total));
    let report = if share > options.fail_percent {
        Report::fail(FailureKind::Failed, output)
    } else if share > options.warn_percent {
        Report::warn(output)
    } else {
        Report::pass()
    };
    report.observed("utilization", share, "percent")
}

#[cfg(test)]
mod tests {
    use lifesigns::model::check::Outcome;

    use super::*;

    #[test]
    fn more_than_a_threshold_counts() {
        let check = |used, expected| {
            let report = judge(&Options::default(), used, 1000);
            assert_eq!((report.outcome, report.observed.unwrap().value), (expected, used as f64 / 10.0));
        };
        check(0, Outcome::Pass);
        check(800, Outcome::Pass);
        check(801, Outcome::Warn);
        check(950, Outcome::Warn);
        check(951, Outcome::Fail);
        check(1000, Outcome::Fail);
    }
}
