//! `lifesigns alerts replay`: what the rules of a configuration would have sent of the outages that there were.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use lifesigns_model::history::{EventKind, EventSelection, Span};
use lifesigns_monitor::alerts::incidents::Setup;
use lifesigns_monitor::alerts::replay::{Replayed, replay};
use lifesigns_monitor::alerts::text;
use serde_json::{Value, json};

use crate::Failure;
use crate::config;
use crate::config::validated::{Monitor, OfProcess};
use crate::history::length;
use crate::history::source::{open, unreadable};
use crate::printer::{self, Problem, escaped, escaped_json};

/// More outages are not played.
const MOST_OUTAGES: usize = 100_000;

/// `lifesigns alerts`
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Play the outages of a history through the rules of a configuration, and print every message that would have been
    /// sent
    ///
    /// Nothing is sent. Each outage counts as if it had been as bad as it got from its beginning, and as if nobody had
    /// taken it up.
    Replay(Arguments),
}

/// `lifesigns alerts replay`
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// The configuration, with `[[alert]]`, `[[maintenance]]` and the `depends_on` of each `[[service]]`
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The data file of a monitor, also while it writes it; it is only read [default: the one of the configuration]
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// So far back: `90m`, `24h`, `30d`, at most 400d
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = length)]
    pub last: i64,
    /// Print the messages as an array
    #[arg(long)]
    pub json: bool,
}

/// Plays, and prints what would have been sent.
pub fn run(command: &Command) -> Result<(), Failure> {
    let Command::Replay(arguments) = command;
    let settings = config::from_file(&arguments.config, &OfProcess).map_err(Failure::Faults)?;
    let Some(monitor) = settings.monitor else {
        return Err(Failure::Arguments(
            Problem::new("the file names no service, so there is nobody to tell of")
                .hint("add a `[[service]]` with `name` and `url` for each of those that were watched"),
        ));
    };
    let file = arguments.file.as_ref().or(monitor.data.as_ref()).ok_or_else(|| {
        let problem = Problem::new("the configuration keeps no history: `data` of `[monitor]` is `memory`");
        Failure::Arguments(problem.hint("name the file of one that does with --file"))
    })?;
    let now = Timestamp::now();
    let to = now.as_second() + 1;
    let selection = EventSelection {
        kinds: vec![EventKind::Outage],
        service: None,
        span: Span { from: to - arguments.last, to },
        limit: MOST_OUTAGES,
    };
    let outages = open(file)
        .and_then(|reader| reader.events(&selection).map_err(|error| unreadable(&error)))
        .map_err(Failure::Problem)?;
    if outages.len() == MOST_OUTAGES {
        printer::note(&format!("there were more than {MOST_OUTAGES} outages; only the newest are played"));
    }
    let (from, until) = (selection.span.from * 1000, now.as_millisecond());
    let (setup, maintenance) = rules(monitor);
    let told = replay(setup, maintenance, &outages, from, until);
    if arguments.json {
        let messages: Value = told.iter().map(message_json).collect();
        return printer::result(&escaped_json(&messages.to_string())).map_err(Failure::Output);
    }
    printer::lines(&page(&told, outages.len())).map_err(Failure::Output)
}

/// What a monitor decides by.
fn rules(monitor: Monitor) -> (Setup, Vec<lifesigns_monitor::alerts::rules::Maintenance>) {
    let options = monitor.options;
    let depends_on =
        options.targets.iter().map(|target| (Arc::clone(&target.name), target.depends_on.clone())).collect();
    let setup = Setup {
        routes: options.routes.into_iter().map(|(route, _)| route).collect(),
        depends_on,
        cascade: i64::try_from(options.cascade.as_millis()).unwrap_or(i64::MAX),
        link: options.link,
    };
    (setup, options.maintenance)
}

/// A line for each message, and one for all.
fn page(told: &[Replayed], outages: usize) -> String {
    let width = told.iter().map(|told| told.route.chars().count()).max().unwrap_or_default();
    let mut page = String::new();
    for Replayed { at, route, message } in told {
        let (route, title) = (escaped(route), text::title(message));
        // Writing to a string cannot fail.
        let _ = writeln!(page, "{}  {route:<width$}  {:<8}  {title}", text::time(*at), message.kind.word());
    }
    let many = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let _ = writeln!(page, "{} of {}", many(told.len(), "message"), many(outages, "outage"));
    page
}

fn message_json(told: &Replayed) -> Value {
    let Replayed { at, route, message } = told;
    let services: Vec<&str> = message.services.iter().map(|service| &*service.name).collect();
    let at = Timestamp::from_millisecond(*at).ok().map(|at| format!("{at:.3}"));
    json!({
        "at": at, "route": route, "kind": message.kind.word(), "id": message.id, "incident": message.incident,
        "light": message.light().name(), "services": services,
        "title": text::title(message), "text": text::body(message),
    })
}
