//! The command `lifesigns`: health resources for any API, fed by its real traffic.

#![expect(unreachable_pub, reason = "a binary exports nothing; `pub` marks what the other modules use")]

mod alerts;
mod arguments;
mod check;
mod client;
mod config;
mod credentials;
mod demo;
mod deployed;
mod history;
mod logging;
mod monitor;
mod printer;
mod query;
mod run;
mod spec;
mod token;
mod upstream_status;
mod whois;

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use arguments::{Arguments, Command};
use config::Flag;
use config::fault::Faults;
use config::tree::Step;
use config::validated::OfProcess;
use logging::Format;
use printer::{Printer, Problem, escaped};
use token::NotMade;

/// Why the command did not do what it was asked for.
enum Failure {
    /// It could not: 1.
    Problem(Problem),
    /// The arguments are wrong: 2.
    Arguments(Problem),
    /// The configuration is wrong: 2.
    Faults(Faults),
    /// There is nothing of what was asked for, or the answer is no, which has been said: 1.
    Nothing,
    /// Standard output could not be written: 1, unless its reader has just had enough.
    Output(io::Error),
}

fn main() -> ExitCode {
    let printer = Printer::new();
    let done = match Arguments::try_parse() {
        Ok(arguments) => perform(printer, arguments.command),
        Err(error) => match printer.usage(&error) {
            Ok(()) => return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)),
            Err(error) => Err(Failure::Output(error)),
        },
    };
    logging::flush();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Problem(problem)) => {
            printer.problem(&problem);
            ExitCode::FAILURE
        }
        Err(Failure::Nothing) => ExitCode::FAILURE,
        Err(Failure::Arguments(problem)) => {
            printer.problem(&problem);
            ExitCode::from(2)
        }
        Err(Failure::Faults(faults)) => {
            printer.faults(&faults);
            ExitCode::from(2)
        }
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Failure::Output(error)) => {
            printer.problem(&Problem::new("standard output cannot be written").because(&error));
            ExitCode::FAILURE
        }
    }
}

fn perform(printer: Printer, command: Command) -> Result<(), Failure> {
    match command {
        Command::Gateway(arguments) => {
            let settings = config::from_flags(&flags(&arguments), &OfProcess).map_err(Failure::Faults)?;
            logging::start(printer, settings.log_format, logging::OF_GATEWAY).map_err(Failure::Arguments)?;
            run::run(settings).map_err(Failure::Problem)
        }
        Command::Run(arguments) => {
            let settings = config::from_file(&arguments.config, &OfProcess).map_err(Failure::Faults)?;
            let flag = arguments.log_format.as_deref().and_then(Format::from_name);
            let format = flag.unwrap_or(settings.log_format);
            logging::start(printer, format, logging::OF_GATEWAY).map_err(Failure::Arguments)?;
            run::run(settings).map_err(Failure::Problem)
        }
        Command::Demo(arguments::Demo { listen, seconds }) => {
            logging::start(printer, Format::Text, logging::OF_DEMO).map_err(Failure::Arguments)?;
            let duration = seconds.map(Duration::from_secs);
            demo::run(printer, demo::Options { listen, duration }).map_err(Failure::Problem)
        }
        Command::Monitor(arguments) => {
            let settings = arguments.settings()?;
            logging::start(printer, settings.log_format, logging::OF_GATEWAY).map_err(Failure::Arguments)?;
            run::run(settings).map_err(Failure::Problem)
        }
        Command::Check(arguments) => check::run(printer, &arguments),
        Command::Whois(arguments) => whois::run(&arguments),
        Command::Deployed(arguments) => deployed::run(printer, &arguments),
        Command::Alerts(command) => alerts::run(&command),
        Command::History(arguments) => history::run(printer, &arguments),
        Command::Query(arguments) => query::run(printer, &arguments),
        Command::Spec(command) => spec::run(&command),
        Command::Config(arguments::Config::Check { file }) => look_at(&file),
        Command::Config(arguments::Config::Reference) => {
            printer::result(config::page::markdown().trim_end()).map_err(Failure::Output)
        }
        Command::Token(command) => make(&command).map_err(|error| match error {
            NotMade::Arguments(problem) => Failure::Arguments(problem),
            NotMade::Problem(problem) => Failure::Problem(problem),
            NotMade::Output(error) => Failure::Output(error),
        }),
    }
}

fn make(command: &arguments::Token) -> Result<(), NotMade> {
    match command {
        arguments::Token::New { name, scopes } => token::new(name, scopes),
        arguments::Token::App { client_id, scopes } => token::app(client_id, scopes),
        arguments::Token::Hash => token::hash(io::stdin().lock()),
        arguments::Token::Key => token::key(),
    }
}

fn look_at(file: &Path) -> Result<(), Failure> {
    let settings = config::from_file(file, &OfProcess).map_err(Failure::Faults)?;
    let count = |count: usize, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    };
    let mut parts = Vec::new();
    if !settings.apis.is_empty() {
        let apis = count(settings.apis.len(), "API", "APIs");
        parts.push(format!("{apis}, listening on {}", settings.gateway.listen));
    }
    if let Some(monitor) = &settings.monitor {
        let services = count(monitor.options.targets.len(), "service", "services");
        let alerts = count(monitor.options.routes.len(), "alert", "alerts");
        parts.push(format!("{services} and {alerts}, listening on {}", monitor.listen));
    }
    let line = format!("{} is fine: {}", escaped(&file.display().to_string()), parts.join("; "));
    printer::result(&line).map_err(Failure::Output)
}

/// The keys that the flags of `lifesigns gateway` set.
fn flags(arguments: &arguments::Gateway) -> [Flag<'_>; 8] {
    const fn key(key: &'static str) -> Step {
        Step { key, list: false }
    }
    const API: Step = Step { key: "api", list: true };
    const UPSTREAM: &[Step] = &[API, key("upstream")];
    const LISTEN: &[Step] = &[key("gateway"), key("listen")];
    const ADMIN_LISTEN: &[Step] = &[key("gateway"), key("admin_listen")];
    const NAME: &[Step] = &[key("name")];
    const ENVIRONMENT: &[Step] = &[key("environment")];
    const DATA: &[Step] = &[key("store"), key("path")];
    const OPENAPI: &[Step] = &[API, key("openapi")];
    const LOG_FORMAT: &[Step] = &[key("log"), key("format")];
    [
        Flag { name: "--upstream", path: UPSTREAM, value: arguments.upstream.as_deref() },
        Flag { name: "--listen", path: LISTEN, value: arguments.listen.as_deref() },
        Flag { name: "--admin-listen", path: ADMIN_LISTEN, value: arguments.admin_listen.as_deref() },
        Flag { name: "--name", path: NAME, value: arguments.name.as_deref() },
        Flag { name: "--environment", path: ENVIRONMENT, value: arguments.environment.as_deref() },
        Flag { name: "--data", path: DATA, value: arguments.data.as_deref() },
        Flag { name: "--openapi", path: OPENAPI, value: arguments.openapi.as_deref() },
        Flag { name: "--log-format", path: LOG_FORMAT, value: arguments.log_format.as_deref() },
    ]
}
