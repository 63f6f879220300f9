//! Ten thousand checks in one process: are they on time, and what do they take?

use std::{
    fmt::Write,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Outcome, USAGE, complain,
    dependency::{self, State},
    load, machine,
    probes::server,
};

const LATENESS: &str = "lifesigns_check_lateness_seconds";

/// For how long to look.
pub(crate) struct Options {
    duration: Duration,
}

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Outcome<Options> {
        let mut options = Options { duration: Duration::from_secs(90) };
        while let Some(flag) = arguments.next() {
            let value = arguments.next().ok_or(USAGE)?;
            match flag.as_str() {
                "--seconds" => options.duration = Duration::from_secs_f64(value.parse()?),
                _ => return Err(USAGE.into()),
            }
        }
        Ok(options)
    }
}

/// Lets them run and returns what the process tells of itself, and the system of it.
pub(crate) fn observe(options: &Options) -> Outcome<String> {
    let directory = tempfile::tempdir()?;
    let mut text = machine::describe(&[]);
    let [well, hung] = [State::Well, State::Hung].map(|state| dependency::start(1, state));
    let (process, address) = server("many", &[well?[0], hung?[0]], directory.path())?;
    complain(&format!("ten thousand checks run for {} s", options.duration.as_secs_f64()));
    let (begin, cpu) = (Instant::now(), process.cpu_micros()?);
    thread::sleep(options.duration);
    let elapsed = begin.elapsed().as_secs_f64();
    let cpu = (process.cpu_micros()? - cpu) / 1e6 / elapsed;
    let most_before = process.most_memory()?;
    let metrics = Metrics::of(address)?;
    let runs = metrics.value(&format!("{LATENESS}_count"))?;
    let mean = metrics.value(&format!("{LATENESS}_sum"))? / runs;
    // Writing into a string cannot fail.
    let _ = write!(
        text,
        "\n| 10,000 checks, each every 10 s, for {elapsed:.0} s | |\n|---|---|\n\
         | runs a second | {:.0} |\n| mean lateness | {:.1} ms |\n| 99 of 100 runs began within | {} s |\n\
         | 999 of 1000 runs began within | {} s |\n| runs that began within a second | {:.3} % |\n\
         | most resident memory | {:.1} MB |\n| the same, after `/metrics` has told of all | {:.1} MB |\n\
         | CPU | {:.1} % of a core |\n",
        runs / elapsed,
        mean * 1e3,
        metrics.within(0.99)?,
        metrics.within(0.999)?,
        metrics.value(&format!("{LATENESS}_bucket{{le=\"1.0\"}}"))? / runs * 100.0,
        most_before,
        process.most_memory()?,
        cpu * 100.0,
    );
    for outcome in ["pass", "warn", "fail"] {
        let _ = writeln!(text, "| runs that ended with \"{outcome}\" | {:.0} |", metrics.runs(outcome));
    }
    Ok(text)
}

/// What `/metrics` says.
struct Metrics(String);

impl Metrics {
    fn of(address: SocketAddr) -> Outcome<Metrics> {
        match load::get(address, "/metrics")? {
            (200, text) => Ok(Metrics(text)),
            (status, text) => Err(format!("/metrics answers {status}: {text}").into()),
        }
    }

    /// The value of one series.
    fn value(&self, series: &str) -> Outcome<f64> {
        let line = self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        Ok(line.ok_or_else(|| format!("there is no {series} in /metrics"))?.parse()?)
    }

    /// The bound of the bucket that holds this share of the runs.
    fn within(&self, share: f64) -> Outcome<&str> {
        let runs = self.value(&format!("{LATENESS}_count"))?;
        let prefix = format!("{LATENESS}_bucket{{le=\"");
        for line in self.0.lines().filter_map(|line| line.strip_prefix(&prefix)) {
            let (bound, count) = line.split_once("\"} ").ok_or("a bucket has no bound")?;
            if count.parse::<f64>()? >= runs * share {
                return Ok(bound);
            }
        }
        Err("the buckets do not hold all runs".into())
    }

    fn runs(&self, outcome: &str) -> f64 {
        let of_outcome = |line: &str| {
            let (labels, count) = line.strip_prefix("lifesigns_check_runs_total{")?.split_once("} ")?;
            labels.contains(&format!("outcome=\"{outcome}\"")).then(|| count.parse::<f64>().ok())?
        };
        self.0.lines().filter_map(of_outcome).sum()
    }
}
