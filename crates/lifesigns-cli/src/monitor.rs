//! `lifesigns monitor`: watches services until it is told to stop.

mod names;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::Args;
use lifesigns::{Lifesigns, build_identity};
use lifesigns_model::history::HistoryStore;
use lifesigns_monitor::{AccessOptions, Fleet, Options, ServeOptions, Target, serve, serve_agent};
use lifesigns_store::history::{HistoryOptions, HistoryRetention, MemoryHistory, SqliteHistory};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::printer::{self, Problem};
use crate::run::stop_signal;

/// Where the history is kept unless it is said otherwise.
const DATA: &str = "lifesigns-monitor.db";
/// How long the history may take for the last readings.
const LAST_READINGS: Duration = Duration::from_secs(10);

/// `lifesigns monitor`
#[derive(Args, Debug)]
pub struct Arguments {
    /// What to watch: URLs, or `NAME=URL`
    #[arg(value_name = "URL", required = true)]
    pub urls: Vec<String>,
    /// Where the dashboard is
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,
    /// Where HAProxy's agent checks are answered [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    pub agent_listen: Option<SocketAddr>,
    /// File that keeps the history, or `memory`
    #[arg(long, value_name = "FILE", default_value = DATA)]
    pub data: PathBuf,
    /// How often each service is asked, in seconds
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub interval: u64,
}

/// Everything that a monitor is started with.
pub struct Settings {
    pub options: Options,
    pub listen: SocketAddr,
    pub agent_listen: Option<SocketAddr>,
    /// `None`: in memory alone.
    pub data: Option<PathBuf>,
    pub title: String,
}

impl Arguments {
    /// # Errors
    /// What is wrong with the arguments.
    pub fn settings(&self) -> Result<Settings, Problem> {
        let mut targets: Vec<Target> = Vec::new();
        for text in &self.urls {
            let (name, url) = names::named(text)?;
            let name = names::unique(name, |name| targets.iter().any(|target| &*target.name == name));
            let interval = Duration::from_secs(self.interval);
            let target = Target::new(&name, url);
            let deadline = target.deadline.min(interval);
            targets.push(Target { interval, deadline, ..target });
        }
        let data = (self.data.as_os_str() != "memory").then(|| self.data.clone());
        let options = Options { targets, ..Options::default() };
        let (listen, agent_listen) = (self.listen, self.agent_listen);
        Ok(Settings { options, listen, agent_listen, data, title: "Lifesigns".to_owned() })
    }
}

/// Watches until SIGTERM or SIGINT.
///
/// # Errors
/// What kept it from starting, or history that could not be kept at the end.
pub fn run(settings: Settings) -> Result<(), Problem> {
    let store: Arc<dyn HistoryStore> = match &settings.data {
        Some(file) => Arc::new(
            SqliteHistory::open(file, HistoryOptions::default())
                .map_err(|error| Problem::new("the history cannot be kept").because(&error))?,
        ),
        None => Arc::new(MemoryHistory::new(HistoryRetention::default())),
    };
    let fleet = Fleet::open(settings.options, Arc::clone(&store))
        .map_err(|error| Problem::new("the monitor cannot start").because(&error))?;
    let is_open = settings.listen.ip().is_loopback();
    let lifesigns = Lifesigns::builder("lifesigns-monitor")
        .identity(build_identity!())
        .fleet(fleet.status(is_open))
        .start()
        .map_err(|error| Problem::new("the monitor cannot start").because(&error))?;
    let access = AccessOptions { is_open_to_this_machine: is_open, user_header: None };
    let router = fleet
        .router(&lifesigns, ServeOptions { title: settings.title, access })
        .map_err(|error| Problem::new("the monitor cannot start").because(&error))?;
    let (stop_watching, stopped) = oneshot::channel();
    let watcher = {
        let fleet = fleet.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Problem::new("the system gave no event loop").because(&error))?;
        thread::Builder::new()
            .name("lifesigns-polls".to_owned())
            .spawn(move || runtime.block_on(fleet.watch(stopped)))
            .map_err(|error| Problem::new("the system gave no thread").because(&error))?
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::new("the system gave no event loop").because(&error))?;
    let served = runtime.block_on(async {
        let stop =
            stop_signal().map_err(|error| Problem::new("signals cannot be waited for").because(&error))?;
        let listener = bind(settings.listen, "--listen").await?;
        announce("monitor", &listener);
        if let Some(address) = settings.agent_listen {
            let listener = bind(address, "--agent-listen").await?;
            announce("agent checks", &listener);
            tokio::spawn(serve_agent(listener, fleet.clone()));
        }
        serve(listener, router, lifesigns.clone(), stop).await;
        Ok(())
    });
    // It is gone if it has ended by itself.
    let _ = stop_watching.send(());
    if watcher.join().is_err() {
        tracing::error!("the thread that polls ended before its time");
    }
    served?;
    store.flush(LAST_READINGS).map_err(|error| {
        Problem::new("the last readings could not be kept")
            .because(&error)
            .hint("readings already kept are not harmed")
    })
}

async fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener, Problem> {
    TcpListener::bind(address).await.map_err(|error| {
        let problem = Problem::new(format!("the monitor cannot listen on {address}")).because(&error);
        match error.kind() {
            io::ErrorKind::AddrInUse => problem.hint(format!(
                "another process has this address (`ss -ltnp` shows which); end it, or choose another with {flag}"
            )),
            _ => problem,
        }
    })
}

fn announce(what: &str, listener: &TcpListener) {
    let Ok(address) = listener.local_addr() else { return };
    let scheme = if what == "monitor" { "http://" } else { "" };
    if let Err(error) = printer::result(&format!("{what} listening on {scheme}{address}")) {
        tracing::warn!(%error, "standard output cannot be written");
    }
}
