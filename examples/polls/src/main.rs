//! The Polls API as a program of its own, with Lifesigns in it: see the two lines in `run`.

use std::error::Error;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use std::{env, io};

use lifesigns::Lifesigns;
use lifesigns_store::sqlite::{Options as StoreOptions, SqliteStore};
use polls::Database;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "\
The Polls API: questions with choices, and votes for them.

Usage: polls [--listen ADDRESS] [--database FILE] [--figures FILE]

  --listen ADDRESS   where to listen [env: POLLS_LISTEN] [default: 127.0.0.1:4000]
  --database FILE    where the questions are kept [env: POLLS_DATABASE] [default: polls.db]
  --figures FILE     where the figures are kept [env: POLLS_FIGURES] [default: polls-figures.db]

LIFESIGNS_TOKEN_HASH=sha256:... lets the holder of a token read /health/details.
";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            tracing::error!(cause, "polls stopped: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let Some(options) = Options::read(env::args_os().skip(1))? else {
        return Ok(io::stdout().write_all(USAGE.as_bytes())?);
    };
    let database = Database::open(&options.database)?;
    let figures = Arc::new(SqliteStore::open(&options.figures, StoreOptions::default())?);

    let lifesigns =
        Lifesigns::builder("polls").identity(polls::identity()).store(figures).from_environment()?.start()?;
    let app = polls::router(database).layer(lifesigns.layer());

    let listener = TcpListener::bind(&options.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    writeln!(io::stdout(), "polls listening on http://{}", listener.local_addr()?)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let draining = lifesigns.clone();
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        draining.drain();
    };
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    Ok(lifesigns.shutdown(Duration::from_secs(5))?)
}

#[derive(Debug, PartialEq)]
struct Options {
    listen: String,
    database: PathBuf,
    figures: PathBuf,
}

impl Options {
    /// `None` when help is wanted.
    fn read(mut arguments: impl Iterator<Item = OsString>) -> Result<Option<Options>, String> {
        let file = |variable, default: &str| PathBuf::from(env::var_os(variable).unwrap_or(default.into()));
        let mut options = Options {
            listen: env::var("POLLS_LISTEN").unwrap_or_else(|_| "127.0.0.1:4000".to_owned()),
            database: file("POLLS_DATABASE", "polls.db"),
            figures: file("POLLS_FIGURES", "polls-figures.db"),
        };
        while let Some(argument) = arguments.next() {
            let argument = argument.to_string_lossy().into_owned();
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} wants a value"));
            match &*argument {
                "--listen" => options.listen = value()?.to_string_lossy().into_owned(),
                "--database" => options.database = PathBuf::from(value()?),
                "--figures" => options.figures = PathBuf::from(value()?),
                "--help" | "-h" => return Ok(None),
                other => return Err(format!("there is no option {other}; `polls --help` lists them")),
            }
        }
        Ok(Some(options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Option<Options>, String> {
        Options::read(arguments.iter().map(OsString::from))
    }

    #[test]
    fn options_are_read_and_mistakes_are_told() {
        let options = read(&["--listen", "127.0.0.1:0", "--database", "x.db", "--figures", "y.db"]);
        let expected =
            Options { listen: "127.0.0.1:0".to_owned(), database: "x.db".into(), figures: "y.db".into() };
        assert_eq!(options, Ok(Some(expected)));
        assert_eq!(read(&["-h"]), Ok(None));
        assert_eq!(read(&["--listen"]), Err("--listen wants a value".to_owned()));
        assert_eq!(
            read(&["--lisen"]),
            Err("there is no option --lisen; `polls --help` lists them".to_owned())
        );
    }
}
