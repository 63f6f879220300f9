//! `lifesigns check`: how services are, all asked at once, whatever dialect each of them speaks.
//!
//! | room | question it answers |
//! |---|---|
//! | `arguments` | what can be typed? |
//! | `file` | which services does a configuration name? |
//! | `ask` | how is a service, and who is it? |
//! | `table`, `json`, `junit` | how is it shown? |

mod arguments;
pub mod ask;
mod file;
mod json;
mod junit;
mod table;

use std::time::Duration;

use jiff::{Timestamp, Unit};
use lifesigns_fetch::{Fetcher, Options};
use lifesigns_model::light::Light;

use crate::Failure;
use crate::printer::{self, Printer, Problem};

pub use self::arguments::{Arguments, length, target};
use self::ask::{Depth, Finding, Target};

/// How long a service may take unless it is said otherwise.
const DEADLINE: Duration = Duration::from_secs(10);

/// Asks, and prints how they are. Fails with nothing to say if one of them is not green.
pub fn run(printer: Printer, arguments: &Arguments) -> Result<(), Failure> {
    let (targets, mut options) = targets(arguments)?;
    options.ca_file = arguments.ca_file.clone().or(options.ca_file);
    let fetcher = fetcher(options)?;
    // What is not shown is not asked for: whoever asks every few seconds wants to know one thing.
    let depth = if arguments.output.quiet { Depth::Light } else { Depth::Everything };
    if !arguments.watch {
        let findings = wait_for(ask::all(&fetcher, &targets, depth))?;
        printer::lines(&shown(printer, arguments, &findings)).map_err(Failure::Output)?;
        let is_well = findings.iter().all(|finding| finding.light() == Some(Light::Green));
        return if is_well { Ok(()) } else { Err(Failure::Nothing) };
    }
    wait_for(async {
        let mut ticks = tokio::time::interval(arguments.interval);
        // A sweep that took longer than the interval is followed by the next one at once, and by no more.
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let findings = ask::all(&fetcher, &targets, depth).await;
            let text = shown(printer, arguments, &findings);
            printer::lines(&watched(printer, arguments, &text)).map_err(Failure::Output)?;
        }
    })?
}

/// Those of the command line, or those of the file, and how they are fetched from.
fn targets(arguments: &Arguments) -> Result<(Vec<Target>, Options), Failure> {
    let (mut targets, options) = match &arguments.config {
        Some(path) => file::services(path, arguments.timeout)?,
        None => {
            let deadline = arguments.timeout.unwrap_or(DEADLINE);
            let targets = arguments.urls.iter().map(|url| target(url, deadline)).collect::<Result<_, _>>();
            (targets.map_err(Failure::Arguments)?, Options::default())
        }
    };
    if let Some(dialect) = arguments.dialect {
        for target in &mut targets {
            target.dialect.get_or_insert(dialect);
        }
    }
    Ok((targets, options))
}

/// Fetches answers.
pub fn fetcher(options: Options) -> Result<Fetcher, Failure> {
    Fetcher::new(options).map_err(|error| Failure::Arguments(Problem::new(error.to_string())))
}

/// What a future comes to. One thread is enough to wait, and the fastest to start.
pub fn wait_for<F: Future>(future: F) -> Result<F::Output, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Failure::Problem(Problem::new("the program cannot wait for answers").because(&error))
    })?;
    let output = runtime.block_on(future);
    // A resolver that hangs has a thread of its own, which is not waited for.
    runtime.shutdown_background();
    Ok(output)
}

fn shown(printer: Printer, arguments: &Arguments, findings: &[Finding]) -> String {
    if arguments.output.json {
        json::line(findings)
    } else if arguments.output.junit {
        junit::report(findings, Timestamp::now())
    } else if arguments.output.quiet {
        table::what_is_wrong(findings, printer.page())
    } else {
        table::text(findings, printer.page())
    }
}

/// A sweep among many: on a terminal in the place of the one before.
fn watched(printer: Printer, arguments: &Arguments, text: &str) -> String {
    if arguments.output.json {
        return text.to_owned();
    }
    let now = Timestamp::now().round(Unit::Second).unwrap_or_else(|_| Timestamp::now());
    let text = format!("{now}\n{text}");
    if printer.page().blocks { in_place(&text) } else { format!("{text}\n") }
}

/// From the upper left corner, over what stands there, and nothing left of it.
fn in_place(text: &str) -> String {
    format!("\u{1b}[H{}\u{1b}[J", text.replace('\n', "\u{1b}[K\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_leaves_nothing_of_the_one_before() {
        assert_eq!(in_place("a\nb\n"), "\u{1b}[Ha\u{1b}[K\nb\u{1b}[K\n\u{1b}[J");
    }
}
