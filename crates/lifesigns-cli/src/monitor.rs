//! `lifesigns monitor`: watches services until it is told to stop.
//!
//! It works on threads of its own, one that asks and one that answers, so that it delays nobody else in the process and
//! nobody else delays it.

pub mod names;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use clap::Args;
use lifesigns_model::history::HistoryStore;
use lifesigns_monitor::{Fleet, serve, serve_agent};
use tokio::sync::oneshot;
use url::Url;

use crate::Failure;
use crate::check::length;
use crate::config::built::Watching;
use crate::config::tree::Step;
use crate::config::validated::{OfProcess, Settings};
use crate::config::{self, Flag};
use crate::printer::{self, Problem};

/// How long the history may take for the last readings.
const LAST_READINGS: Duration = Duration::from_secs(10);

/// `lifesigns monitor`
#[derive(Args, Debug)]
pub struct Arguments {
    /// What to watch: URLs, or `NAME=URL`
    #[arg(value_name = "URL", required_unless_present = "config", conflicts_with = "config")]
    pub urls: Vec<String>,
    /// Watch what this file names instead: `[[service]]`, and `[monitor]` says how
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the dashboard is [default: 127.0.0.1:8090]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Where HAProxy's agent checks are answered [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    pub agent_listen: Option<String>,
    /// File that keeps the history, or `memory` [default: lifesigns-monitor.db]
    #[arg(long, value_name = "FILE")]
    pub data: Option<String>,
    /// How often each service is asked: `10s`, `5m`, or a number of seconds [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub interval: Option<String>,
    /// How the log on standard error looks: `text` or `json` [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
}

impl Arguments {
    /// What is to be run: the monitor alone, whatever else a file asks for.
    pub fn settings(&self) -> Result<Settings, Failure> {
        let flags = self.flags();
        let settings = match &self.config {
            Some(file) => config::from_file_and_flags(file, &flags, &OfProcess),
            None => config::from_services(&self.services()?, &flags, &OfProcess),
        };
        let mut settings = settings.map_err(Failure::Faults)?;
        if settings.monitor.is_none() {
            return Err(Failure::Arguments(
                Problem::new("the file names no service to watch")
                    .hint("add a `[[service]]` with `name` and `url` for each of them"),
            ));
        }
        settings.apis.clear();
        Ok(settings)
    }

    /// The services of the command line, each with a name of its own.
    fn services(&self) -> Result<Vec<(String, String)>, Failure> {
        let read = self.urls.iter().map(|text| names::named(text));
        let read = read.collect::<Result<Vec<_>, _>>().map_err(Failure::Arguments)?;
        let mut services: Vec<(String, String)> = Vec::new();
        for (index, (name, url)) in read.iter().enumerate() {
            let is_same =
                |other: &(Option<String>, Url)| other == &read[index] || name.is_some() && other.0 == *name;
            if read[..index].iter().any(is_same) {
                let twice = name.clone().unwrap_or_else(|| url.to_string());
                let problem = Problem::new(format!("`{twice}` is there twice"));
                return Err(Failure::Arguments(
                    problem.hint("watch it once, or give each a name of its own: `NAME=URL`"),
                ));
            }
            let is_taken = |wanted: &str| {
                services.iter().any(|(other, _)| other == wanted)
                    || read.iter().any(|(other, _)| name.is_none() && other.as_deref() == Some(wanted))
            };
            let name = name.clone().unwrap_or_else(|| names::unique(names::from_url(url), is_taken));
            services.push((name, url.to_string()));
        }
        Ok(services)
    }

    /// The keys that the flags set.
    fn flags(&self) -> [Flag<'_>; 5] {
        const fn key(key: &'static str) -> Step {
            Step { key, list: false }
        }
        const LISTEN: &[Step] = &[key("monitor"), key("listen")];
        const AGENT_LISTEN: &[Step] = &[key("monitor"), key("agent_listen")];
        const DATA: &[Step] = &[key("monitor"), key("data")];
        const INTERVAL: &[Step] = &[key("monitor"), key("interval_seconds")];
        const LOG_FORMAT: &[Step] = &[key("log"), key("format")];
        [
            Flag { name: "--listen", path: LISTEN, value: self.listen.as_deref() },
            Flag { name: "--agent-listen", path: AGENT_LISTEN, value: self.agent_listen.as_deref() },
            Flag { name: "--data", path: DATA, value: self.data.as_deref() },
            Flag { name: "--interval", path: INTERVAL, value: self.interval.as_deref() },
            Flag { name: "--log-format", path: LOG_FORMAT, value: self.log_format.as_deref() },
        ]
    }
}

/// A length of time as it is typed, in whole seconds. A number alone is one of seconds.
fn seconds(text: &str) -> Result<String, String> {
    if text.parse::<u64>().is_ok() {
        return Ok(text.to_owned());
    }
    let length = length(text)?;
    if length.subsec_nanos() > 0 {
        return Err("is no whole number of seconds".to_owned());
    }
    Ok(length.as_secs().to_string())
}

/// A monitor at work.
pub struct Monitor {
    asking: Part,
    answering: Part,
    fleet: Fleet,
    store: Arc<dyn HistoryStore>,
}

impl Monitor {
    /// Listens and begins to watch.
    ///
    /// # Errors
    /// When it cannot listen, or the system gives no thread.
    pub fn start(watching: Watching) -> Result<Monitor, Problem> {
        let Watching { fleet, store, lifesigns, router, listen, agent_listen, is_closed } = watching;
        let listener = bind(listen, "--listen, LIFESIGNS_MONITOR_LISTEN or `listen` of `[monitor]`")?;
        let agents = agent_listen
            .map(|address| bind(address, "--agent-listen or `agent_listen` of `[monitor]`"))
            .transpose()?;
        announce("monitor listening on http://", &listener);
        if let Some(agents) = &agents {
            announce("agent checks listening on ", agents);
        }
        if is_closed {
            printer::note(
                "strangers see what is public on these pages, and nobody is let in to see the rest: \
                 `lifesigns token new --scope fleet:read` makes a token and the lines that let it in",
            );
        }
        let asking = {
            let fleet = fleet.clone();
            Part::start("lifesigns-polls", async move |stop| {
                fleet.watch(stop).await;
                Ok(())
            })?
        };
        let agents_fleet = fleet.clone();
        let answering = Part::start("lifesigns-pages", async move |stop| {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            if let Some(agents) = agents {
                tokio::spawn(serve_agent(tokio::net::TcpListener::from_std(agents)?, agents_fleet));
            }
            serve(listener, router, lifesigns, stop).await;
            Ok(())
        })?;
        Ok(Monitor { asking, answering, fleet, store })
    }

    /// Waits until a part of it ends by itself, which none should.
    pub async fn broken(&mut self) {
        tokio::select! {
            _ = &mut self.asking.over => {}
            _ = &mut self.answering.over => {}
        }
    }

    /// Lets what is in progress end, and keeps the last readings.
    ///
    /// # Errors
    /// When a part of it had ended before, or readings could not be kept.
    pub fn end(self) -> Result<(), Problem> {
        // Pages that listen for changes are told that there will be none.
        let asked = self.asking.end();
        let answered = self.answering.end();
        // Until now somebody may have taken an incident up.
        self.fleet.keep_rest();
        self.store.flush(LAST_READINGS).map_err(|error| {
            Problem::new("the last readings could not be kept")
                .because(&error)
                .hint("readings already kept are not harmed")
        })?;
        answered.and(asked)
    }
}

/// Work on a thread of its own.
struct Part {
    name: &'static str,
    stop: oneshot::Sender<()>,
    /// Done, with an error, when the thread has ended.
    over: oneshot::Receiver<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Part {
    fn start<W>(name: &'static str, work: W) -> Result<Part, Problem>
    where
        W: AsyncFnOnce(oneshot::Receiver<()>) -> io::Result<()> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Problem::new("the system gave no event loop").because(&error))?;
        let (stop, stopped) = oneshot::channel();
        let (working, over) = oneshot::channel::<()>();
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let _working = working;
                let ended = runtime.block_on(work(stopped));
                // Nobody waits for a resolver or a disk that hangs: the history has yet to be made safe.
                runtime.shutdown_background();
                ended
            })
            .map_err(|error| Problem::new("the system gave no thread").because(&error))?;
        Ok(Part { name, stop, over, thread })
    }

    fn end(self) -> Result<(), Problem> {
        // It is gone if the part has ended by itself.
        let was_there = self.stop.send(()).is_ok();
        let broken = || Problem::new(format!("the thread {} ended before its time", self.name));
        match self.thread.join() {
            Ok(Ok(())) if was_there => Ok(()),
            Ok(Err(error)) => Err(broken().because(&error)),
            // What made it panic has been told where that was.
            Ok(Ok(())) | Err(_) => Err(broken()),
        }
    }
}

fn bind(address: SocketAddr, keys: &str) -> Result<TcpListener, Problem> {
    let listener = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|error| {
        let problem = Problem::new(format!("the monitor cannot listen on {address}")).because(&error);
        match error.kind() {
            io::ErrorKind::AddrInUse => problem.hint(format!(
                "another process has this address (`ss -ltnp` shows which); end it, or choose another with {keys}"
            )),
            _ => problem,
        }
    })
}

/// Says where it can be reached. That nobody reads it is no reason not to serve.
fn announce(what: &str, listener: &TcpListener) {
    let Ok(address) = listener.local_addr() else { return };
    if let Err(error) = printer::result(&format!("{what}{address}")) {
        tracing::warn!(%error, "standard output cannot be written");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_resolver_that_hung_kept_the_monitor_from_its_end() {
        let (hangs, is_hanging) = mpsc::channel();
        let (answer, answers) = mpsc::channel::<()>();
        let part = Part::start("lifesigns-test", async move |stop| {
            tokio::task::spawn_blocking(move || {
                hangs.send(()).unwrap();
                answers.recv()
            });
            // That it is gone is as good as that it is sent.
            drop(stop.await);
            Ok(())
        });
        let part = part.unwrap_or_else(|_| panic!("no thread"));
        is_hanging.recv().unwrap();
        assert!(part.end().is_ok());
        assert!(answer.send(()).is_ok(), "it hangs still");
    }
}
