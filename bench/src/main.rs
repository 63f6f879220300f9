//! Side-by-side measurements. `scripts/bench` builds and starts it.

mod analytics;
mod checks;
mod cost;
mod dependency;
mod gateway;
mod ingest;
mod library;
mod load;
mod machine;
mod monitor;
mod options;
mod probes;
mod process;
mod server;
mod spread;
mod upstream;

use std::{env, error::Error, process::ExitCode};

/// Whatever went wrong, in words.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "\
usage: bench gateway [--lifesigns FILE] [--rounds N] [--seconds S] [--rate R] [--connections C] [--only NAME,...]
       bench probes  [--lifesigns FILE] [--rounds N] [--seconds S] [--rate R] [--connections C] [--only cost|hung]
       bench library [--rounds N] [--seconds S] [--rate R] [--connections C]
       bench checks  [--seconds S]
       bench monitor [--lifesigns FILE] [--seconds S] [--only NAME,...]
       bench ingest  [--rate R] [--seconds S]
       bench analytics [--lifesigns FILE] [--rounds N] [--days D] [--seed N] [--question TEXT] [--only NAME,...]

analytics fills stores under target/analytics, once for each seed and length: some minutes and 2 GB for 30 days.

  --lifesigns FILE  the binary to measure (default target/release/lifesigns)
  --rounds N        how often each is measured, in turn (default 5 for the gateway, 30 for probes, 40 for the library)
  --seconds S       length of one measurement (default 6 for the gateway, 1 for probes, 90 for checks, 75 for ingest,
                    60 for the monitor)
  --rate R          requests a second (default 6000); gateway: with small bodies, large ones get a quarter;
                    0: as fast as possible; ingest: exchanges a second (default 1000000)
  --connections C   connections of the clients, kept alive (default 64 for the gateway, 16 for probes)
  --only NAME,...   gateway: only these of direct, lifesigns, nginx, haproxy; probes: only what a probe costs, or only
                    what it waits for when dependencies hang; analytics: besides the store itself only these of http,
                    clickhouse, prometheus; monitor: only these of 6, 1000, 20000, blackbox, pages
  --days D          analytics: days of traffic, 3 or more (default 30)
  --question TEXT   analytics: only questions in whose name this is
  --seed N          analytics: what the traffic is made of (default 1)
";

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let outcome = match arguments.next().as_deref() {
        Some("gateway") => {
            gateway::options().changed(arguments).and_then(|options| gateway::compare(&options))
        }
        Some("probes") => probes::options().changed(arguments).and_then(|options| probes::compare(&options)),
        Some("analytics") => {
            analytics::Options::parse(arguments).and_then(|options| analytics::compare(&options))
        }
        Some("library") => {
            library::options().changed(arguments).and_then(|options| library::compare(&options))
        }
        Some("ingest") => ingest::Options::parse(arguments).and_then(|options| ingest::observe(&options)),
        Some("monitor") => monitor::Options::parse(arguments).and_then(|options| monitor::observe(&options)),
        Some("checks") => checks::Options::parse(arguments).and_then(|options| checks::observe(&options)),
        // Not for people: the servers that are measured, which the other commands start.
        Some("serve") => server::run(arguments),
        Some("feed") => ingest::feed(arguments),
        _ => Err(USAGE.into()),
    };
    match outcome {
        Ok(table) => {
            say(&table);
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the one place that prints results")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "the one place that prints progress and faults")]
fn complain(text: &str) {
    eprintln!("{text}");
}
