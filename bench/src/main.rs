//! Side-by-side measurements. `scripts/bench` builds and starts it.

mod gateway;
mod load;
mod machine;
mod process;
mod upstream;

use std::{env, error::Error, process::ExitCode};

/// Whatever went wrong, in words.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "\
usage: bench gateway [--lifesigns FILE] [--rounds N] [--seconds S] [--rate R] [--connections C] [--only NAME,...]

  --lifesigns FILE  the binary to measure (default target/release/lifesigns)
  --rounds N        how often each is measured, in turn (default 5)
  --seconds S       length of one measurement (default 6)
  --rate R          requests a second with small bodies; large ones get a quarter; 0: as fast as possible (default 6000)
  --connections C   connections of the clients, kept alive (default 64)
  --only NAME,...   only these of direct, lifesigns, nginx, haproxy
";

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let outcome = match arguments.next().as_deref() {
        Some("gateway") => gateway::Options::parse(arguments).and_then(|options| gateway::compare(&options)),
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
