//! A monitor of six, of a thousand and of twenty thousand services: is it on time, and what does it take?

use std::fmt::Write;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lifesigns_model::history::{Entry, HistoryStore, Reading};
use lifesigns_model::light::Light;
use lifesigns_store::history::{HistoryOptions, SqliteHistory};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::load;
use crate::process::{Process, free_address};
use crate::spread::Spread;
use crate::{Outcome, USAGE, complain, machine};

/// How often a page is asked for.
const PAGES: usize = 21;
/// How long a first sweep may take before it is given up.
const SWEEP_PATIENCE: Duration = Duration::from_mins(2);
/// After the first sweep, before anything is counted: what happens once is over.
const SETTLING: Duration = Duration::from_secs(12);

/// What to measure.
pub(crate) struct Options {
    lifesigns: PathBuf,
    duration: Duration,
    only: Option<Vec<String>>,
}

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Outcome<Options> {
        let mut options = Options {
            lifesigns: PathBuf::from("target/release/lifesigns"),
            duration: Duration::from_mins(1),
            only: None,
        };
        while let Some(flag) = arguments.next() {
            let value = arguments.next().ok_or(USAGE)?;
            match flag.as_str() {
                "--lifesigns" => options.lifesigns = PathBuf::from(value),
                "--seconds" => options.duration = Duration::from_secs_f64(value.parse()?),
                "--only" => options.only = Some(value.split(',').map(str::to_owned).collect()),
                _ => return Err(USAGE.into()),
            }
        }
        Ok(options)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|one| one == name))
    }
}

/// Runs them one after the other, and returns what came of it.
pub(crate) fn observe(options: &Options) -> Outcome<String> {
    let fleet = Services::start()?;
    let mut text = machine::describe(&[("prometheus-blackbox-exporter", "--version")]);
    text.push_str(
        "\n| | services | every | first sweep | checks a second | CPU a check | most resident memory | 99 of 100 begun within |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for (count, interval) in [(6, 10), (1_000, 10), (20_000, 60)] {
        if options.wants(&count.to_string()) {
            let duration = options.duration.max(Duration::from_secs(interval));
            let row = monitor(options, &fleet, count, interval, duration)?;
            complain(row.trim_end());
            text.push_str(&row);
        }
    }
    if options.wants("blackbox") {
        text.push_str(&blackbox(&fleet, options.duration)?);
    }
    if options.wants("pages") {
        text.push_str(&pages(options, &fleet)?);
    }
    Ok(text)
}

fn monitor(
    options: &Options,
    fleet: &Services,
    count: usize,
    interval: u64,
    duration: Duration,
) -> Outcome<String> {
    complain(&format!("{count} services every {interval} s"));
    let folder = tempfile::tempdir()?;
    fleet.forget();
    let begin = Instant::now();
    let (process, address) = start(options, fleet, count, interval, folder.path())?;
    while fleet.answered() < count as u64 {
        if begin.elapsed() > SWEEP_PATIENCE {
            return Err(format!("after {SWEEP_PATIENCE:?} {} of {count} were asked", fleet.answered()).into());
        }
        thread::sleep(Duration::from_millis(5));
    }
    let sweep = begin.elapsed();
    thread::sleep(SETTLING);
    let (polls, cpu, from) =
        (metric(address, "lifesigns_monitor_polls_total")?, process.cpu_micros()?, Instant::now());
    thread::sleep(duration);
    let elapsed = from.elapsed().as_secs_f64();
    let cpu = process.cpu_micros()? - cpu;
    let polls = metric(address, "lifesigns_monitor_polls_total")? - polls;
    let lateness = metric(address, "lifesigns_monitor_lateness_seconds{quantile=\"0.99\"}")?;
    Ok(format!(
        "| lifesigns | {count} | {interval} s | {:.2} s | {:.1} | {:.3} ms | {:.1} MB | {:.1} ms |\n",
        sweep.as_secs_f64(),
        polls / elapsed,
        cpu / polls / 1000.0,
        process.most_memory()?,
        lateness * 1000.0,
    ))
}

fn start(
    options: &Options,
    fleet: &Services,
    count: usize,
    interval: u64,
    folder: &Path,
) -> Outcome<(Process, SocketAddr)> {
    let address = free_address()?;
    let mut config =
        format!("[monitor]\nlisten = \"{address}\"\ndata = \"history.db\"\ninterval_seconds = {interval}\n");
    for number in 0..count {
        let url = format!("http://{}/{number}/health/status", fleet.address);
        write!(config, "\n[[service]]\nname = \"service-{number}\"\nurl = \"{url}\"\n")?;
    }
    let file = folder.join("monitor.toml");
    std::fs::write(&file, config)?;
    let mut command = Command::new(&options.lifesigns);
    command.arg("monitor").arg("--config").arg(&file).env("LIFESIGNS_LOG", "warn");
    Ok((Process::start(&mut command, address, &folder.join("log"))?, address))
}

fn metric(address: SocketAddr, series: &str) -> Outcome<f64> {
    let (status, text) = load::get(address, "/metrics")?;
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    Ok(line.ok_or_else(|| format!("/metrics answers {status} without {series}"))?.parse()?)
}

/// What a probe costs in the exporter, which is asked as Prometheus would for a thousand services every 10 s.
fn blackbox(fleet: &Services, duration: Duration) -> Outcome<String> {
    complain("the blackbox exporter");
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("blackbox.yml");
    std::fs::write(
        &config,
        "modules:\n  http:\n    prober: http\n    timeout: 5s\n    http:\n      method: HEAD\n",
    )?;
    let address = free_address()?;
    let mut command = Command::new("prometheus-blackbox-exporter");
    command.arg(format!("--config.file={}", config.display())).arg(format!("--web.listen-address={address}"));
    let process = Process::start(&mut command, address, &folder.path().join("log"))?;
    let path = format!("/probe?module=http&target=http://{}/1/health/status", fleet.address);
    probe(address, &path, Duration::from_secs(5))?;
    let (cpu, begin) = (process.cpu_micros()?, Instant::now());
    let probes = probe(address, &path, duration)?;
    let (cpu, elapsed) = (process.cpu_micros()? - cpu, begin.elapsed());
    Ok(format!(
        "| blackbox exporter, without Prometheus | 1000 | 10 s | | {:.1} | {:.3} ms | {:.1} MB | |\n",
        f64::from(probes) / elapsed.as_secs_f64(),
        cpu / f64::from(probes) / 1000.0,
        process.most_memory()?,
    ))
}

/// Has it probe a hundred times a second, and tells how often that was. Its answers have no length, which the clients of
/// [`load`] want.
fn probe(address: SocketAddr, path: &str, duration: Duration) -> Outcome<u32> {
    let begin = Instant::now();
    let mut probes = 0;
    while begin.elapsed() < duration {
        let (status, text) = load::get(address, path)?;
        if status != 200 || !unchunked(&text).contains("probe_success 1") {
            return Err(format!("the exporter answers {status}: {text}").into());
        }
        probes += 1;
        thread::sleep((Duration::from_millis(10) * probes).saturating_sub(begin.elapsed()));
    }
    Ok(probes)
}

/// A body that comes in chunks (RFC 9112 §7.1), without their lengths; whatever is no such body as it is.
fn unchunked(body: &str) -> String {
    let (mut whole, mut rest) = (String::new(), body);
    while let Some((length, more)) = rest.split_once("\r\n") {
        let Some((chunk, after)) =
            usize::from_str_radix(length, 16).ok().and_then(|length| more.split_at_checked(length))
        else {
            return body.to_owned();
        };
        whole.push_str(chunk);
        rest = after.trim_start_matches("\r\n");
    }
    whole
}

/// How long pages take that have much to show.
fn pages(options: &Options, fleet: &Services) -> Outcome<String> {
    complain("pages of a thousand services, and of a year");
    let folder = tempfile::tempdir()?;
    year(&folder.path().join("history.db"))?;
    fleet.forget();
    let (_process, address) = start(options, fleet, 1_000, 10, folder.path())?;
    while fleet.answered() < 1_000 {
        thread::sleep(Duration::from_millis(20));
    }
    thread::sleep(SETTLING);
    let mut text = String::from("\n| page | time to answer | bytes |\n|---|---|---|\n");
    for (name, path) in [
        ("overview of 1,000 services", "/"),
        ("service, a year", "/services/service-0?span=1y"),
        ("service, a day", "/services/service-0"),
    ] {
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..PAGES {
            let begin = Instant::now();
            let (status, body) = load::get(address, path)?;
            times.push(begin.elapsed().as_secs_f64() * 1000.0);
            if status != 200 {
                return Err(format!("{path} answers {status}: {body}").into());
            }
            bytes = body.len();
        }
        let spread = Spread::shown(times.into_iter(), 1);
        let _ = writeln!(text, "| {name} | {spread} ms | {bytes} |");
    }
    Ok(text)
}

/// A year of readings of one service, one a minute.
fn year(file: &Path) -> Outcome<()> {
    let store = SqliteHistory::open(file, HistoryOptions::default())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() as i64;
    let name: Arc<str> = "service-0".into();
    let mut bits = 1u64;
    let mut chance = move |most: u64| {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        bits % most
    };
    for day in 0..365 {
        let entries: Vec<Entry> = (0..1440)
            .map(|minute| {
                let at = now - 366 * 86_400 + day * 86_400 + minute * 60 + chance(6) as i64;
                let is_out = chance(2_000) == 0;
                let reading = Reading {
                    at,
                    light: Some(if is_out { Light::Red } else { Light::Green }),
                    code: if is_out { 500 } else { 200 },
                    latency_us: Some(2_000 + chance(4_000) as u32),
                    memory_mb: Some(100 + (minute / 20) as u32 + chance(3) as u32),
                };
                Entry::Reading(Arc::clone(&name), reading)
            })
            .collect();
        store.append(entries).map_err(|_| "the history takes nothing more")?;
        store.flush(Duration::from_secs(30))?;
    }
    store.close()?;
    Ok(())
}

/// Services as cheap as can be: `/N/health/status`, `/N/health` and `/N/status` of any number.
struct Services {
    address: SocketAddr,
    seen: Arc<Seen>,
}

/// Which of them have answered.
struct Seen {
    bits: Vec<AtomicU64>,
    count: AtomicU64,
}

const MOST: usize = 32_768;

impl Services {
    fn start() -> Outcome<Services> {
        let listener = StdListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let bits = (0..MOST / 64).map(|_| AtomicU64::new(0)).collect();
        let seen = Arc::new(Seen { bits, count: AtomicU64::new(0) });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let shared = Arc::clone(&seen);
        thread::spawn(move || runtime.block_on(serve(listener, shared)));
        Ok(Services { address, seen })
    }

    fn forget(&self) {
        self.seen.bits.iter().for_each(|bits| bits.store(0, Relaxed));
        self.seen.count.store(0, Relaxed);
    }

    fn answered(&self) -> u64 {
        self.seen.count.load(Relaxed)
    }
}

async fn serve(listener: StdListener, seen: Arc<Seen>) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let seen = Arc::clone(&seen);
        // A peer that hangs up ends its task; nobody has to know.
        tokio::spawn(async move { answer(stream, &seen).await });
    }
}

async fn answer(mut stream: TcpStream, seen: &Seen) -> std::io::Result<()> {
    let mut request = vec![0; 4096];
    let mut filled = 0;
    while !request[..filled].ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut request[filled..]).await?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
    }
    let text = String::from_utf8_lossy(&request[..filled]);
    let mut words = text.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let body = if path.ends_with("/health/status") {
        "{\"summary\":{\"status\":\"GREEN\",\"message\":\"Available\"},\"detail\":{\"environment\":\"bench\"}}"
    } else if path.ends_with("/status") {
        "{\"status\":\"healthy\",\"service\":\"bench\",\"version\":\"1.2.3\",\"uptime\":4711,\
         \"memory\":{\"used\":100,\"total\":400}}"
    } else {
        "{\"status\":\"OK\",\"repo\":\"example/bench\",\"revision\":\"0123456789abcdef\"}"
    };
    let shown = if method == "HEAD" { "" } else { body };
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{shown}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    let number: Option<usize> = path.split('/').nth(1).and_then(|number| number.parse().ok());
    if let Some(number) = number.filter(|number| *number < MOST) {
        let before = seen.bits[number / 64].fetch_or(1 << (number % 64), Relaxed);
        if before & (1 << (number % 64)) == 0 {
            seen.count.fetch_add(1, Relaxed);
        }
    }
    stream.shutdown().await
}
