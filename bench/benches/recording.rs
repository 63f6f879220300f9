//! What it costs to record an exchange that has ended: `cargo bench -p lifesigns-bench`.
//!
//! Beside the library the usual way to count: a counter and a histogram of the `metrics` crate with its Prometheus
//! recorder, with labels that cost nothing to make. Times are those of one thread, less the clock reads that each way
//! takes.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::Full;
use lifesigns::{FailedBy, LATENCY_BOUNDS, Lifesigns, ResponseBody};
use metrics_exporter_prometheus::PrometheusBuilder;

const ROUNDS: usize = 31;
/// Exchanges that end between two readings of the stopwatch.
const BATCH: usize = 64;
const BATCHES_OF_A_ROUND: usize = 2_000;
const ROUTES: [&str; 8] = [
    "/users",
    "/users/{id}",
    "/orders",
    "/orders/{id}",
    "/orders/{id}/items",
    "/search",
    "/login",
    "/logout",
];

/// Nanoseconds that each of the measured costs one thread, round by round.
type Rounds = Vec<[f64; 4]>;

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let prometheus = PrometheusBuilder::new().set_buckets(&LATENCY_BOUNDS)?.install_recorder()?;
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_millis(500));
            prometheus.run_upkeep();
        }
    });
    let lifesigns = Lifesigns::builder("bench").start()?;
    println!(
        "| threads | a clock read, ns | recording with the library, ns | with its beginning, ns | with `metrics`, ns |\n\
         |---|---|---|---|---|"
    );
    for threads in [1, 2] {
        let start = Barrier::new(threads);
        let mut rounds: Rounds = thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| measure(&lifesigns, &start))).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("no measurement panics")).collect()
        });
        let shown: Vec<String> = (0..4)
            .map(|column| {
                rounds.sort_by(|left, right| left[column].total_cmp(&right[column]));
                let at = |number: usize| rounds[number][column];
                format!("{:.1} ({:.1}–{:.1})", at(rounds.len() / 2), at(0), at(rounds.len() - 1))
            })
            .collect();
        println!("| {threads} | {} |", shown.join(" | "));
    }
    Ok(())
}

/// All of them in turn, so that whatever else the machine does meets each.
fn measure(lifesigns: &Lifesigns, start: &Barrier) -> Rounds {
    start.wait();
    let mut rounds = Vec::new();
    for round in 0..=ROUNDS {
        let read_clock = |()| _ = black_box(Instant::now());
        let clock = batches(|| (), |begun| begun.drain(..).for_each(read_clock));
        // A body is dropped where it is. Ending reads the clock once.
        let library = batches(|| answered(lifesigns), Vec::clear) - clock;
        // Beginning reads it, too.
        let whole =
            batches(|| (), |begun| begun.drain(..).for_each(|()| drop(answered(lifesigns)))) - 2.0 * clock;
        let metrics = batches(|| (), |begun| begun.drain(..).for_each(|()| count()));
        // The first warms up.
        if round > 0 {
            rounds.push([clock, library, whole, metrics]);
        }
    }
    rounds
}

/// Nanoseconds that `end` takes for each of many that `begin` has made.
fn batches<T>(begin: impl Fn() -> T, end: impl Fn(&mut Vec<T>)) -> f64 {
    let mut begun = Vec::with_capacity(BATCH);
    let mut taken = Duration::ZERO;
    for _ in 0..BATCHES_OF_A_ROUND {
        begun.extend((0..BATCH).map(|_| begin()));
        let before = Instant::now();
        end(&mut begun);
        taken += before.elapsed();
    }
    taken.as_nanos() as f64 / (BATCHES_OF_A_ROUND * BATCH) as f64
}

/// An exchange whose answer has been written but for its end.
fn answered(lifesigns: &Lifesigns) -> ResponseBody<Full<Bytes>> {
    let mut exchange = lifesigns.own().begin(&Method::GET, &HeaderMap::new());
    exchange.set_route(ROUTES[next()]);
    exchange.answer(StatusCode::OK, FailedBy::Nobody, Full::default())
}

fn count() {
    let labels = [("method", "GET"), ("route", ROUTES[next()]), ("status", "200")];
    metrics::counter!("http_requests_total", &labels).increment(1);
    metrics::histogram!("http_request_duration_seconds", &labels).record(0.001);
}

/// One after the other.
fn next() -> usize {
    thread_local! { static NEXT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) } }
    NEXT.replace(NEXT.get().wrapping_add(1)) % ROUTES.len()
}
