//! Prometheus from Debian, back-filled with counters, as if it had scraped them each minute.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    io::{BufWriter, Write},
    net::SocketAddr,
    path::Path,
    process::Command,
};

use lifesigns_model::{
    bucket::{Minute, MinuteRange},
    series::Series,
};

use super::{
    client::Client,
    world::{SERIES, World},
};
use crate::{
    Outcome, complain,
    process::{Process, free_address},
};

/// Minutes of a block: one of the spans into which Prometheus itself merges its blocks.
const BLOCK: i64 = 54 * 60;

/// The bounds that its client libraries use unless told otherwise, in seconds, each with its name.
const BOUNDS: [(&str, u64); 11] = [
    ("0.005", 5_000),
    ("0.01", 10_000),
    ("0.025", 25_000),
    ("0.05", 50_000),
    ("0.1", 100_000),
    ("0.25", 250_000),
    ("0.5", 500_000),
    ("1.0", 1_000_000),
    ("2.5", 2_500_000),
    ("5.0", 5_000_000),
    ("10.0", 10_000_000),
];

/// The running server.
pub(super) struct Prometheus {
    pub(super) address: SocketAddr,
    pub(super) client: Client,
    _process: Process,
}

impl Prometheus {
    /// Starts a server over a folder that was filled.
    pub(super) fn start(folder: &Path) -> Outcome<Prometheus> {
        let listen = free_address()?;
        fs::write(folder.join("prometheus.yml"), "global: {}\n")?;
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg("--storage.tsdb.retention.time=10y")
            .arg("--query.max-samples=500000000")
            .arg(format!("--web.listen-address={listen}"));
        let process = Process::start(&mut command, listen, &folder.join("log"))?;
        let mut client = Client::connect(listen, None)?;
        let begin = std::time::Instant::now();
        // It listens before it is ready.
        while client.ask("/-/ready", None).is_err() {
            if begin.elapsed().as_secs() > 60 {
                return Err("Prometheus does not become ready".into());
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Ok(Prometheus { address: listen, client, _process: process })
    }
}

/// Writes the counters of a world, block by block, and lets `promtool` make blocks of them.
pub(super) fn fill(world: &World, folder: &Path) -> Outcome<()> {
    fs::create_dir_all(folder)?;
    let text = folder.join("samples.txt");
    let mut counters = Counters::new(world);
    let mut start = world.range.start;
    while start < world.range.end {
        let span = MinuteRange::new(start, start.plus(1).ceil(BLOCK).min(world.range.end));
        let mut file = BufWriter::new(File::create(&text)?);
        counters.write(&mut file, span)?;
        file.write_all(b"# EOF\n")?;
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        let output = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics", "--quiet", "--max-block-duration=54h"])
            .arg(&text)
            .arg(folder.join("data"))
            .output()?;
        if !output.status.success() {
            return Err(format!("promtool: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        start = span.end;
    }
    fs::remove_file(&text)?;
    complain("Prometheus has its blocks");
    Ok(())
}

/// What has been counted so far.
struct Counters<'a> {
    world: &'a World,
    requests: Vec<u64>,
    /// Cumulative counts of the buckets by route of the API that is asked for.
    buckets: BTreeMap<&'a str, [u64; BOUNDS.len() + 1]>,
}

impl<'a> Counters<'a> {
    fn new(world: &'a World) -> Counters<'a> {
        Counters { world, requests: vec![0; SERIES], buckets: BTreeMap::new() }
    }

    fn write(&mut self, file: &mut impl Write, span: MinuteRange) -> Outcome<()> {
        let world = self.world;
        writeln!(file, "# TYPE http_requests counter")?;
        for (series, (kind, sum)) in world.series.iter().zip(&mut self.requests).enumerate() {
            let Series { api, route, method, status, client_id, .. } = &*kind.labels;
            let name = format!(
                "http_requests_total{{api=\"{api}\",resource_path=\"{route}\",method=\"{method}\",status=\"{status}\",\
                 client_id=\"{client_id}\",instance=\"one\"}}"
            );
            if span.start == world.range.start {
                writeln!(file, "{name} 0 {}", span.start.number() * 60)?;
            }
            for minute in minutes(span) {
                *sum += world.count(series, minute);
                // At its end.
                writeln!(file, "{name} {sum} {}", minute.plus(1).number() * 60)?;
            }
        }
        self.write_recorded(file, span)?;
        let week = world.range.end.plus(-7 * 1440 - 1);
        let histograms = MinuteRange::new(span.start.max(week), span.end);
        if !histograms.is_empty() {
            self.write_histograms(file, histograms)?;
        }
        Ok(())
    }

    /// What the recording rules `sum by (api, status) (increase(http_requests_total[1h]))` and the same by client would
    /// have recorded each hour.
    fn write_recorded(&self, file: &mut impl Write, span: MinuteRange) -> Outcome<()> {
        let mut lines = BTreeMap::<String, Vec<(i64, u64)>>::new();
        for hour in recorded(self.world, span) {
            let mut sums = BTreeMap::<String, u64>::new();
            for (series, kind) in self.world.series.iter().enumerate() {
                let count: u64 = minutes(hour).map(|minute| self.world.count(series, minute)).sum();
                let Series { api, status, client_id, .. } = &*kind.labels;
                for name in [
                    format!("api_status:http_requests:increase1h{{api=\"{api}\",status=\"{status}\"}}"),
                    format!("api_client:http_requests:increase1h{{api=\"{api}\",client_id=\"{client_id}\"}}"),
                ] {
                    *sums.entry(name).or_default() += count;
                }
            }
            for (name, sum) in sums {
                lines.entry(name).or_default().push((hour.end.number() * 60, sum));
            }
        }
        write_lines(file, &lines)
    }

    fn write_histograms(&mut self, file: &mut impl Write, span: MinuteRange) -> Outcome<()> {
        let world = self.world;
        let mut lines = BTreeMap::<String, Vec<(i64, u64)>>::new();
        let mut recorded_lines = BTreeMap::<String, Vec<(i64, u64)>>::new();
        let hours: Vec<Minute> = recorded(world, span).map(|hour| hour.end).collect();
        let mut name = String::new();
        for minute in minutes(span) {
            let own =
                world.series.iter().enumerate().filter(|(_, kind)| *kind.labels.api == *world.largest_api());
            for (series, kind) in own {
                let rollup = world.rollup(series, MinuteRange::new(minute, minute.plus(1)));
                let sums = self.buckets.entry(&kind.labels.route).or_default();
                for (sum, (_, bound)) in sums.iter_mut().zip(BOUNDS) {
                    *sum += rollup.latency.count_up_to(bound);
                }
                sums[BOUNDS.len()] += rollup.count();
            }
            let time = minute.plus(1).number() * 60;
            for (route, sums) in &self.buckets {
                let bounds = BOUNDS.iter().map(|(bound, _)| *bound).chain(["+Inf"]);
                for (bound, sum) in bounds.zip(sums) {
                    name.clear();
                    let labels = format!(
                        "{{api=\"{}\",resource_path=\"{route}\",le=\"{bound}\"}}",
                        world.largest_api()
                    );
                    // Writing into a string cannot fail.
                    let _ = write!(name, "http_request_duration_seconds_bucket{labels}");
                    match lines.get_mut(&name) {
                        Some(samples) => samples.push((time, *sum)),
                        None => drop(lines.insert(name.clone(), vec![(time, *sum)])),
                    }
                    if hours.contains(&minute.plus(1)) {
                        let name = format!("api_route:http_request_duration_seconds_bucket:sum{labels}");
                        recorded_lines.entry(name).or_default().push((time, *sum));
                    }
                }
            }
        }
        write_lines(file, &lines)?;
        write_lines(file, &recorded_lines)
    }
}

/// The hours that end within a span, counted back from the time of the question.
fn recorded(world: &World, span: MinuteRange) -> impl Iterator<Item = MinuteRange> + use<> {
    let (begin, end) = (world.range.start, world.range.end);
    minutes(span)
        .map(|minute| minute.plus(1))
        .filter(move |minute| (end.number() - minute.number()) % 60 == 0)
        .map(|end| MinuteRange::new(end.plus(-60), end))
        .filter(move |hour| hour.start >= begin)
}

fn minutes(span: MinuteRange) -> impl Iterator<Item = Minute> {
    (span.start.number()..span.end.number()).map(Minute::new)
}

fn write_lines(file: &mut impl Write, lines: &BTreeMap<String, Vec<(i64, u64)>>) -> Outcome<()> {
    for (name, samples) in lines {
        for (time, value) in samples {
            writeln!(file, "{name} {value} {time}")?;
        }
    }
    Ok(())
}
