//! Is there room on a disk?
//!
//! ```
//! use lifesigns_checks::disk;
//!
//! let data = disk::check("disk", disk::Options::new("/var/lib/polls"))?;
//! # Ok::<(), lifesigns_checks::BadOption>(())
//! ```

use std::path::PathBuf;

use lifesigns::{Check, FailureKind, Report};
use rustix::fs::{StatVfs, statvfs};

use crate::BadOption;
use crate::path::{absolute, failure_kind};

/// Which disk, and how much of it has to be free. What is reserved for the superuser counts as used.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Any file or folder on that disk, from the root.
    pub path: PathBuf,
    /// With less free than this share, it warns. Of space and of inodes. 0 to 100, default 10.
    pub warn_free_percent: f64,
    /// With less free than this share, it fails. 0 to 100, default 5.
    pub fail_free_percent: f64,
    /// With fewer bytes free, it warns. Default 0.
    pub warn_free_bytes: u64,
    /// With fewer bytes free, it fails. Default 0.
    pub fail_free_bytes: u64,
}

impl Options {
    /// Warns under 10 percent, fails under 5.
    pub fn new(path: impl Into<PathBuf>) -> Options {
        Options {
            path: path.into(),
            warn_free_percent: 10.0,
            fail_free_percent: 5.0,
            warn_free_bytes: 0,
            fail_free_bytes: 0,
        }
    }
}

/// A check that looks at what is free. It observes `utilization` in percent.
pub fn check(name: &str, options: Options) -> Result<Check, BadOption> {
    absolute("path", &options.path)?;
    for (option, percent) in
        [("warn_free_percent", options.warn_free_percent), ("fail_free_percent", options.fail_free_percent)]
    {
        if !(0.0..=100.0).contains(&percent) {
            return Err(BadOption::new(option, format!("{percent} is not between 0 and 100")));
        }
    }
    if options.warn_free_percent < options.fail_free_percent {
        return Err(BadOption::new(
            "warn_free_percent",
            "is less than `fail_free_percent`: it would never warn",
        ));
    }
    if options.warn_free_bytes < options.fail_free_bytes && options.warn_free_bytes != 0 {
        return Err(BadOption::new("warn_free_bytes", "is less than `fail_free_bytes`: it would never warn"));
    }
    Ok(Check::blocking(name, move || run(&options)).of_this_process().component_type("system"))
}

fn run(options: &Options) -> Report {
    match statvfs(&options.path) {
        Ok(figures) => judge(options, &Room::of(&figures)),
        Err(error) => {
            let path = options.path.display();
            Report::fail(failure_kind(&error.into()), format_args!("{path}: {error}"))
        }
    }
}

/// What there is on a disk, and what is free for everyone.
#[derive(Clone, Copy, Debug)]
struct Room {
    bytes: u64,
    free_bytes: u64,
    /// 0 where the file system has no fixed number of inodes.
    inodes: u64,
    free_inodes: u64,
}

impl Room {
    fn of(figures: &StatVfs) -> Room {
        // As `df` counts: what only the superuser may use is neither free nor there.
        let reserved = figures.f_bfree.saturating_sub(figures.f_bavail);
        Room {
            bytes: figures.f_blocks.saturating_sub(reserved).saturating_mul(figures.f_frsize),
            free_bytes: figures.f_bavail.saturating_mul(figures.f_frsize),
            inodes: figures.f_files,
            free_inodes: figures.f_favail,
        }
    }
}

fn judge(options: &Options, room: &Room) -> Report {
    let share = |free: u64, all: u64| if all == 0 { 100.0 } else { free as f64 * 100.0 / all as f64 };
    let bytes_free = share(room.free_bytes, room.bytes);
    let inodes_free = share(room.free_inodes, room.inodes);
    let least = bytes_free.min(inodes_free);
    let output = format!(
        "{}: {:.0} MiB free, that is {bytes_free:.1} %; {inodes_free:.1} % of the inodes",
        options.path.display(),
        room.free_bytes as f64 / 1_048_576.0,
    );
    let report = if least < options.fail_free_percent || room.free_bytes < options.fail_free_bytes {
        Report::fail(FailureKind::Failed, output)
    } else if least < options.warn_free_percent || room.free_bytes < options.warn_free_bytes {
        Report::warn(output)
    } else {
        Report::pass()
    };
    report.observed("utilization", 100.0 - bytes_free, "percent")
}

#[cfg(test)]
mod tests {
    use lifesigns::model::check::Outcome;

    use super::*;

    const ROOM: Room = Room { bytes: 1000, free_bytes: 500, inodes: 100, free_inodes: 50 };

    #[test]
    fn thresholds_are_those_of_free_space() {
        let options = Options { warn_free_bytes: 80, fail_free_bytes: 30, ..Options::new("/x") };
        let check = |free_bytes, expected| {
            assert_eq!(judge(&options, &Room { free_bytes, ..ROOM }).outcome, expected, "{free_bytes}");
        };
        check(500, Outcome::Pass);
        check(100, Outcome::Pass);
        check(99, Outcome::Warn);
        check(50, Outcome::Warn);
        check(49, Outcome::Fail);
        let large = |free_bytes| judge(&options, &Room { bytes: free_bytes, free_bytes, ..ROOM }).outcome;
        assert_eq!([large(80), large(79), large(29)], [Outcome::Pass, Outcome::Warn, Outcome::Fail]);
    }

    #[test]
    fn a_disk_without_inodes_left_is_full() {
        let options = Options::new("/x");
        let report = judge(&options, &Room { free_inodes: 4, ..ROOM });
        assert_eq!(report.outcome, Outcome::Fail);
        assert_eq!(report.observed.map(|seen| seen.value), Some(50.0));
        let unlimited = Room { inodes: 0, free_inodes: 0, ..ROOM };
        assert_eq!(judge(&options, &unlimited).outcome, Outcome::Pass);
    }
}
