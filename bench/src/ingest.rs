//! A million exchanges a second into ten thousand series, on one core, through the library and its store.

use std::{
    collections::VecDeque,
    fmt::Write,
    fs,
    net::TcpListener,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::Empty;
use lifesigns::{ApiOptions, Exchange, FailedBy, Lifesigns};
use lifesigns_model::{
    bucket::{Minute, MinuteRange},
    store::{Figures, Filter, RollupStore, Selection},
};
use lifesigns_store::{Options as StoreOptions, SqliteStore};

use crate::{
    Outcome, USAGE, complain, machine,
    process::{Process, free_address},
};

const APIS: usize = 10;
const ROUTES: usize = 10;
const CLIENTS: usize = 50;
const STATUSES: [(StatusCode, FailedBy); 2] =
    [(StatusCode::OK, FailedBy::Nobody), (StatusCode::NOT_FOUND, FailedBy::Client)];
const SERIES: usize = APIS * ROUTES * CLIENTS * STATUSES.len();

/// Milliseconds that an exchange may take.
const LONGEST: usize = 256;
/// How often is looked at what is in the file.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How fast and for how long.
pub(crate) struct Options {
    rate: u64,
    duration: Duration,
}

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Outcome<Options> {
        let mut options = Options { rate: 1_000_000, duration: Duration::from_secs(75) };
        while let Some(flag) = arguments.next() {
            let value = arguments.next().ok_or(USAGE)?;
            match flag.as_str() {
                "--rate" => options.rate = value.parse()?,
                "--seconds" => options.duration = Duration::from_secs_f64(value.parse()?),
                _ => return Err(USAGE.into()),
            }
        }
        Ok(options)
    }
}

/// Lets a process of its own record and returns what it and the system tell of it.
pub(crate) fn observe(options: &Options) -> Outcome<String> {
    let mut text = machine::describe(&[]);
    let folder = tempfile::tempdir()?;
    let listens = free_address()?;
    let mut command = Command::new("taskset");
    command
        .args(["--cpu-list", "0"])
        .arg(std::env::current_exe()?)
        .args(["feed", &listens.to_string()])
        .arg(folder.path())
        .args([options.rate.to_string(), options.duration.as_secs_f64().to_string()]);
    complain(&format!("{} exchanges a second for {} s", options.rate, options.duration.as_secs_f64()));
    let process = Process::start(&mut command, listens, &folder.path().join("log"))?;
    let told = folder.path().join("told");
    let begin = Instant::now();
    while !told.exists() {
        if begin.elapsed() > options.duration + Duration::from_mins(1) {
            let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            return Err(format!("the process has not come to an end; it said:\n{log}").into());
        }
        thread::sleep(Duration::from_millis(50));
    }
    let cpu = process.cpu_micros()? / 1e6;
    let told = fs::read_to_string(told)?;
    let numbers: Vec<f64> = told.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [recorded, elapsed, stored, dropped, farthest] = numbers[..] else {
        return Err(format!("the process told {told}").into());
    };
    // Writing into a string cannot fail.
    let _ = write!(
        text,
        "\n| {SERIES} series, {:.0} exchanges a second wanted, for {:.0} s, on one core | |\n|---|---|\n\
         | exchanges a second | {:.0} |\n| of them in the file at the end, and dropped | {stored:.0} of {recorded:.0}, \
         {dropped:.0} |\n| CPU, with the making of the exchanges | {:.0} % of the core |\n\
         | longest time from the end of an exchange until it was in the file | {:.2} s |\n\
         | most resident memory | {:.1} MB |\n",
        options.rate as f64,
        options.duration.as_secs_f64(),
        recorded / elapsed,
        cpu / elapsed * 100.0,
        farthest,
        process.most_memory()?,
    );
    Ok(text)
}

/// The process: records at the rate, looks at the file, and tells.
pub(crate) fn feed(mut arguments: impl Iterator<Item = String>) -> Outcome<String> {
    let mut next = || arguments.next().ok_or(USAGE);
    let _listens = TcpListener::bind(next()?)?;
    let folder = next()?;
    let folder = Path::new(&folder);
    let (rate, seconds): (u64, f64) = (next()?.parse()?, next()?.parse()?);
    let store = Arc::new(SqliteStore::open(folder.join("figures.db"), StoreOptions::default())?);
    let mut builder = Lifesigns::builder("ingest").store(store.clone()).max_series(2 * SERIES);
    for api in 1..APIS {
        builder = builder.api(ApiOptions::new(&format!("api-{api}")));
    }
    let lifesigns = builder.start()?;
    let progress = Progress::default();
    let (recorded, elapsed) = thread::scope(|scope| {
        let watcher = scope.spawn(|| progress.watch(&store));
        let outcome = record(&lifesigns, &progress, rate, Duration::from_secs_f64(seconds));
        progress.over.store(true, Relaxed);
        watcher.join().map_err(|_| "the watcher has panicked")??;
        Outcome::Ok(outcome)
    })?;
    lifesigns.flush(Duration::from_secs(10))?;
    let farthest = progress.farthest.load(Relaxed) as f64 / 1e6;
    let told =
        format!("{recorded} {elapsed} {} {} {farthest}", stored(&store)?, store.status().dropped_exchanges);
    fs::write(folder.join("told.part"), told)?;
    fs::rename(folder.join("told.part"), folder.join("told"))?;
    // Whoever measures ends it.
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

/// How many exchanges have ended by when, and how far behind the file was at most.
#[derive(Default)]
struct Progress {
    ended: Mutex<VecDeque<(Instant, u64)>>,
    over: AtomicBool,
    /// Microseconds.
    farthest: AtomicU64,
}

impl Progress {
    fn note(&self, ended: u64) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).push_back((Instant::now(), ended));
    }

    /// Looks at what is in the file until it is over.
    fn watch(&self, store: &SqliteStore) -> Outcome<()> {
        while !self.over.load(Relaxed) {
            thread::sleep(LOOK_EVERY);
            let stored = stored(store)?;
            let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            while ended.front().is_some_and(|(_, count)| *count <= stored) {
                ended.pop_front();
            }
            if let Some((at, _)) = ended.front() {
                self.farthest.fetch_max(at.elapsed().as_micros() as u64, Relaxed);
            }
        }
        Ok(())
    }
}

fn stored(store: &SqliteStore) -> Outcome<u64> {
    let selected = store.select(&Selection {
        range: MinuteRange::new(Minute::new(i64::MIN), Minute::new(i64::MAX)),
        group_by: Vec::new(),
        filter: Filter::everything(),
        figures: Figures::Counts,
        max_groups: 1,
    })?;
    Ok(selected.groups.first().map_or(0, |group| group.count))
}

/// Begins and ends exchanges at the rate; each takes some milliseconds. How many have ended, and in how many seconds.
fn record(lifesigns: &Lifesigns, progress: &Progress, rate: u64, duration: Duration) -> (u64, f64) {
    let apis: Vec<_> = lifesigns.apis().collect();
    let routes: Vec<String> = (0..ROUTES).map(|route| format!("/things-{route}/{{id}}")).collect();
    let clients: Vec<HeaderMap> = (0..CLIENTS)
        .map(|client| {
            let name = HeaderValue::from_str(&format!("app-{client}")).expect("a plain name");
            HeaderMap::from_iter([(http::HeaderName::from_static("x-client-id"), name)])
        })
        .collect();
    // What ends in which millisecond from now on.
    let mut ending: Vec<Vec<(Exchange, usize)>> = (0..LONGEST).map(|_| Vec::new()).collect();
    let (mut begun, mut ended, mut random) = (0u64, 0u64, 1u64);
    let begin = Instant::now();
    let mut millisecond = 0u64;
    while begin.elapsed() < duration {
        let now = (begin.elapsed().as_secs_f64() * 1e3) as u64;
        if millisecond > now {
            thread::sleep(Duration::from_micros(500));
            continue;
        }
        // The list goes with them: one that stays as long as it ever was is not what recording takes.
        for (exchange, status) in std::mem::take(&mut ending[millisecond as usize % LONGEST]) {
            let (status, failed_by) = STATUSES[status];
            // Ended by being dropped: it has no byte that is still to be written.
            drop(exchange.answer(status, failed_by, Empty::<Bytes>::new()));
            ended += 1;
        }
        if millisecond.is_multiple_of(10) {
            progress.note(ended);
        }
        millisecond += 1;
        while begun < rate * millisecond / 1000 {
            // An xorshift generator: cheap, and even enough.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let pick = |shift: u32, of: usize| (random >> shift) as usize % of;
            let mut exchange = apis[pick(0, apis.len())].begin(&Method::GET, &clients[pick(8, CLIENTS)]);
            exchange.set_route(&routes[pick(16, ROUTES)]);
            // Short times are likelier.
            let takes = 1 + pick(24, LONGEST - 1).min(pick(34, LONGEST - 1)).min(pick(44, LONGEST - 1));
            let status = usize::from(pick(54, 10) == 0);
            ending[(millisecond as usize + takes) % LONGEST].push((exchange, status));
            begun += 1;
        }
    }
    let elapsed = begin.elapsed().as_secs_f64();
    // What has not ended yet has not been recorded either: it is given up, and counted so.
    let rest: u64 = ending.iter().map(|exchanges| exchanges.len() as u64).sum();
    drop(ending);
    (ended + rest, elapsed)
}
