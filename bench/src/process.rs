//! What is measured, in processes of its own, and the CPU time that they have used.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::Outcome;

/// How long one may take to listen, and to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A started server. It is killed, with its children, when this is dropped.
pub(crate) struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts a command and waits until it listens.
    pub(crate) fn start(command: &mut Command, listens: SocketAddr, log: &Path) -> Outcome<Process> {
        let name = command.get_program().to_string_lossy().into_owned();
        let output = fs::File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        let mut process = Process { child, name };
        let begin = Instant::now();
        while TcpStream::connect(listens).is_err() {
            let ended = process.child.try_wait()?.is_some();
            if ended || begin.elapsed() > PATIENCE {
                let said = fs::read_to_string(log).unwrap_or_default();
                return Err(format!("{} does not listen on {listens}; it said:\n{said}", process.name).into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(process)
    }

    /// CPU time of the living threads of the process and all its descendants so far, in microseconds, user and kernel
    /// together. `/proc/PID/stat` has it for ended threads, too, but counts in hundredths of a second.
    pub(crate) fn cpu_micros(&self) -> Outcome<f64> {
        let mut nanos = 0;
        for pid in self.family()? {
            for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
                let said = fs::read_to_string(thread?.path().join("schedstat"))?;
                nanos += said.split(' ').next().unwrap_or_default().parse::<u64>()?;
            }
        }
        Ok(nanos as f64 / 1000.0)
    }

    /// The most memory that the process has ever had resident, in megabytes.
    pub(crate) fn most_memory(&self) -> Outcome<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        Ok(most.ok_or("the system does not tell its memory")?.parse::<f64>()? * 1024.0 / 1e6)
    }

    fn family(&self) -> Outcome<Vec<u32>> {
        let all: Vec<Stat> = fs::read_dir("/proc")?
            .filter_map(|entry| Stat::read(entry.ok()?.file_name().to_str()?.parse().ok()?))
            .collect();
        let mut family = vec![self.child.id()];
        let mut next = 0;
        while let Some(parent) = family.get(next).copied() {
            family.extend(all.iter().filter(|stat| stat.parent == parent).map(|stat| stat.pid));
            next += 1;
        }
        Ok(family)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Asked first, so that a master can end its workers.
        let asked = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        let begin = Instant::now();
        while asked.is_ok() && begin.elapsed() < PATIENCE {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            crate::complain(&format!("{} could not be ended: {error}", self.name));
        }
    }
}

/// What `/proc/PID/stat` says.
struct Stat {
    pid: u32,
    parent: u32,
}

impl Stat {
    fn read(pid: u32) -> Option<Stat> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name of the command stands in brackets and may contain anything.
        let (_, rest) = text.rsplit_once(") ")?;
        let parent = rest.split(' ').nth(1)?.parse().ok()?;
        Some(Stat { pid, parent })
    }
}

/// An address that nobody listens on at the moment.
pub(crate) fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
