//! What the figures were measured on.

use std::{fs, process::Command, thread};

/// The machine and the versions of the others, each told by a program and its argument, as a list in Markdown.
pub(crate) fn describe(peers: &[(&str, &str)]) -> String {
    let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = file("/proc/cpuinfo")
        .lines()
        .find_map(|line| {
            line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_owned())
        })
        .unwrap_or_else(|| "unknown processor".to_owned());
    let cores = thread::available_parallelism().map_or(0, std::num::NonZeroUsize::get);
    let kernel = file("/proc/sys/kernel/osrelease");
    let memory = file("/proc/meminfo")
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok())
        .map_or_else(|| "unknown".to_owned(), |kilobytes| format!("{:.1} GiB", kilobytes / 1024.0 / 1024.0));
    let load = file("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("unknown");
    let peers: String =
        peers.iter().map(|(program, argument)| format!("- {}\n", first_line(program, argument))).collect();
    format!(
        "- {cores} cores of {cpu}, {memory} of memory, Linux {}\n- load average before: {load}\n{peers}",
        kernel.trim(),
    )
}

fn first_line(program: &str, argument: &str) -> String {
    let Ok(output) = Command::new(program).arg(argument).output() else { return format!("no {program}") };
    // nginx tells its version on the other channel.
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}
