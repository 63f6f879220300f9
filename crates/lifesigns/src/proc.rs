//! Memory and start of a process, from Linux' `/proc` and its control group. Elsewhere they are not known.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// Clock ticks a second in `/proc`. The kernel's interface fixes it at 100 on every common architecture.
const TICKS_PER_SECOND: i64 = 100;

/// What is known of a process that serves an API.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ProcessFigures {
    /// Resident memory in bytes.
    pub memory_used: Option<u64>,
    /// What it may use at most, in bytes: the limit of its control group, otherwise the machine's memory.
    pub memory_total: Option<u64>,
    /// When it started.
    pub started: Option<Timestamp>,
}

/// Which process serves an API.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum ProcessSource {
    /// This very process.
    #[default]
    Own,
    /// The process with this number.
    Pid(u32),
    /// The process whose number stands in this file.
    PidFile(PathBuf),
    /// Somebody tells us, through [`crate::Api::report_process`].
    Reported,
}

impl ProcessSource {
    /// The figures as they are now, from files of the system that never block for long. `None` where the process
    /// cannot be seen.
    pub fn read(&self) -> Option<ProcessFigures> {
        match self {
            ProcessSource::Own => read_process("self"),
            ProcessSource::Pid(pid) => read_process(&pid.to_string()),
            ProcessSource::PidFile(path) => {
                let pid: u32 = fs::read_to_string(path).ok()?.trim().parse().ok()?;
                read_process(&pid.to_string())
            }
            ProcessSource::Reported => None,
        }
    }
}

impl ProcessFigures {
    /// These with the memory that this process has in use now. Its limit and its start hardly ever change and take
    /// several times longer to read.
    pub(crate) fn with_own_memory(self) -> ProcessFigures {
        let status = fs::read_to_string("/proc/self/status");
        let memory_used = status.ok().and_then(|status| kilobytes(&status, "VmRSS:"));
        // A limit that was lowered under what is in use must not make more used than there is.
        let memory_total = self.memory_total.map(|total| total.max(memory_used.unwrap_or(0)));
        ProcessFigures { memory_used, memory_total, ..self }
    }
}

fn read_process(pid: &str) -> Option<ProcessFigures> {
    let folder = Path::new("/proc").join(pid);
    let status = fs::read_to_string(folder.join("status")).ok()?;
    let memory_used = kilobytes(&status, "VmRSS:");
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|info| kilobytes(&info, "MemTotal:"));
    let limit = fs::read_to_string(folder.join("cgroup")).ok().and_then(|groups| cgroup_limit(&groups));
    let memory_total = [machine, limit].into_iter().flatten().min();
    Some(ProcessFigures {
        memory_used,
        memory_total: memory_total.map(|total| total.max(memory_used.unwrap_or(0))),
        started: started(&folder),
    })
}

fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    number.checked_mul(1024)
}

/// The smallest limit of the process' control group and those above it, version 2 or 1.
fn cgroup_limit(groups: &str) -> Option<u64> {
    let of_version_2 = groups.lines().find_map(|line| line.strip_prefix("0::"));
    let of_version_1 = groups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|name| name == "memory").then_some(path)
    });
    let limits = |root: &'static str, path: Option<&str>, file: &'static str| {
        let group = path.map(|path| Path::new(root).join(path.trim_start_matches('/')));
        let groups =
            group.map(|group| group.ancestors().map(PathBuf::from).collect::<Vec<_>>()).unwrap_or_default();
        groups
            .into_iter()
            .filter(move |folder| folder.starts_with(root))
            .filter_map(move |folder| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok())
    };
    limits("/sys/fs/cgroup", of_version_2, "memory.max")
        .chain(limits("/sys/fs/cgroup/memory", of_version_1, "memory.limit_in_bytes"))
        .min()
}

fn started(folder: &Path) -> Option<Timestamp> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    // The command's name is in parentheses and may hold anything; the fields after it are plain. The start is the
    // 22nd field of all, the 20th after the name.
    let ticks: i64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let boot = fs::read_to_string("/proc/stat").ok()?;
    let boot: i64 = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Timestamp::from_millisecond(boot * 1000 + ticks * 1000 / TICKS_PER_SECOND).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen() {
        let figures = ProcessSource::Own.read().unwrap();
        let (used, total) = (figures.memory_used.unwrap(), figures.memory_total.unwrap());
        assert!(used > 100_000 && used <= total, "{figures:?}");
        let age = Timestamp::now().duration_since(figures.started.unwrap()).as_secs();
        assert!((-2..3600).contains(&age), "started {age} s ago");
    }

    #[test]
    fn a_process_that_is_not_there_is_not_known() {
        assert_eq!(ProcessSource::PidFile("/no/such/file".into()).read(), None);
        assert_eq!(ProcessSource::Pid(u32::MAX).read(), None);
    }
}
