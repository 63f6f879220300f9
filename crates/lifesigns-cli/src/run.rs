//! `lifesigns gateway`, `lifesigns monitor` and `lifesigns run`: from settings to a process that serves until it is told to
//! stop.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use lifesigns::{Api, Lifesigns};
use lifesigns_gateway::{Gateway, Upstream};
use lifesigns_otlp::{Exporter, Options};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::config::built::{self, Built, Serving};
use crate::config::validated::Settings;
use crate::logging;
use crate::monitor::Monitor;
use crate::printer::{self, Problem};
use crate::upstream_status;

/// How long the store may take for the last figures when everything else has ended.
const LAST_FIGURES: Duration = Duration::from_secs(10);

/// How long the last push to a collector may take after that.
const LAST_PUSH: Duration = Duration::from_secs(5);

/// Serves and watches until SIGTERM or SIGINT, and then drains. A second signal ends the process at once.
///
/// # Errors
/// What kept the process from starting, or figures that could not be kept at the end.
pub fn run(mut settings: Settings) -> Result<(), Problem> {
    let otlp = settings.otlp.take();
    let Built { gatekeeper, gateway, monitor } = built::build(settings)?;
    let gateway = gateway.map(Bound::new).transpose()?;
    let pushed = gateway.as_ref().map(|gateway| &gateway.lifesigns);
    let pushed = pushed.or(monitor.as_ref().map(|monitor| &monitor.lifesigns)).cloned();
    let exporter = otlp.zip(pushed).map(|(options, lifesigns)| exporter(lifesigns, options)).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::new("the system gave no event loop").because(&error))?;
    let figures = gateway.as_ref().map(|gateway| gateway.lifesigns.clone());
    let mut monitor = monitor.map(Monitor::start).transpose()?;
    let served = runtime.block_on(async {
        let stop =
            stop_signal().map_err(|error| Problem::new("signals cannot be waited for").because(&error))?;
        if let Some(gatekeeper) = gatekeeper {
            tokio::spawn(gatekeeper.keep_keys());
        }
        let stop = async {
            match &mut monitor {
                Some(monitor) => tokio::select! {
                    _ = stop => {}
                    () = monitor.broken() => {}
                },
                // The sender is there until it has sent.
                None => drop(stop.await),
            }
        };
        match gateway {
            Some(gateway) => gateway.serve(stop).await,
            None => {
                stop.await;
                Ok(())
            }
        }
    });
    // It watches as long as requests are in progress.
    let watched = monitor.map_or(Ok(()), Monitor::end);
    let kept = figures.map_or(Ok(()), |lifesigns| lifesigns.shutdown(LAST_FIGURES));
    if let Some(exporter) = exporter {
        // What cannot be pushed is said in the log.
        exporter.shutdown(LAST_PUSH);
    }
    served?;
    watched?;
    kept.map_err(|error| {
        Problem::new("the last figures could not be kept")
            .because(&error)
            .hint("figures already kept are not harmed")
    })
}

/// A gateway that has its addresses.
struct Bound {
    lifesigns: Lifesigns,
    gateway: Gateway,
    grpc: Option<SocketAddr>,
    status_urls: Vec<(String, Upstream)>,
}

impl Bound {
    fn new(serving: Serving) -> Result<Bound, Problem> {
        let Serving { lifesigns, config, grpc, status_urls } = serving;
        let gateway =
            Gateway::bind(config, lifesigns.clone()).map_err(|error| not_bound(&error, "listen"))?;
        Ok(Bound { lifesigns, gateway, grpc, status_urls })
    }

    async fn serve(self, stop: impl Future + Send) -> Result<(), Problem> {
        let Bound { lifesigns, gateway, grpc, status_urls } = self;
        for (api, url) in with_apis(lifesigns.apis(), status_urls) {
            tokio::spawn(upstream_status::report(api, url));
        }
        let grpc = match grpc {
            Some(address) => Some(Grpc::start(address, &lifesigns).await?),
            None => None,
        };
        announce(&gateway, grpc.as_ref());
        lifesigns.ready();
        let served = gateway.run(stop).await;
        // As long as exchanges are served, those who ask by gRPC are told that the process is about to end.
        if let Some(grpc) = grpc {
            grpc.end().await;
        }
        served.map_err(|error| Problem::new("the gateway cannot serve").because(&error))
    }
}

/// Each address with the API that tells of itself there. The APIs, of which there may be thousands, are gone through
/// once.
fn with_apis(
    apis: impl Iterator<Item = Api>,
    status_urls: Vec<(String, Upstream)>,
) -> impl Iterator<Item = (Api, Upstream)> {
    let mut urls: HashMap<String, Upstream> = status_urls.into_iter().collect();
    apis.filter_map(move |api| urls.remove(api.name()).map(|url| (api, url)))
}

/// `grpc.health.v1` beside the gateway.
struct Grpc {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Grpc {
    async fn start(address: SocketAddr, lifesigns: &Lifesigns) -> Result<Grpc, Problem> {
        let not_bound = |error: io::Error| {
            let error = io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
            not_bound(&error, "grpc_listen")
        };
        let listener = TcpListener::bind(address).await.map_err(not_bound)?;
        let address = listener.local_addr().map_err(not_bound)?;
        let (stop, stopped) = oneshot::channel();
        let lifesigns = lifesigns.clone();
        let task = tokio::spawn(async move { lifesigns_grpc::serve(listener, &lifesigns, stopped).await });
        Ok(Grpc { address, stop, task })
    }

    async fn end(self) {
        // It is not there any more if it has ended by itself, which is told below.
        let _ = self.stop.send(());
        match self.task.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the gRPC listener did not work"),
            Err(error) => tracing::error!(%error, "the gRPC listener ended before its time"),
        }
    }
}

fn exporter(lifesigns: Lifesigns, options: Options) -> Result<Exporter, Problem> {
    Exporter::start(lifesigns, options).map_err(|error| {
        Problem::new("figures cannot be pushed to a collector")
            .because(&error)
            .hint("see `[otlp]` in docs/configuration.md; without it nothing is pushed")
    })
}

/// Says where the process can be reached. That nobody reads it is no reason not to serve.
fn announce(gateway: &Gateway, grpc: Option<&Grpc>) {
    let public = gateway.local_addr().ok().map(|address| format!("gateway listening on http://{address}"));
    let admin = gateway.admin_addr().map(|address| format!("admin listening on http://{address}"));
    let grpc = grpc.map(|grpc| format!("grpc listening on http://{}", grpc.address));
    for line in public.into_iter().chain(admin).chain(grpc) {
        if let Err(error) = printer::result(&line) {
            tracing::warn!(%error, "standard output cannot be written");
        }
    }
}

/// Resolves at the first signal; the second ends the process.
fn stop_signal() -> io::Result<oneshot::Receiver<()>> {
    // A file that may not grow any more (RLIMIT_FSIZE) is a full disk, and nothing to die of. Once somebody has listened
    // for the signal it does not end the process.
    drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        tracing::info!("stopping: requests in progress may end");
        // The receiver is gone when the gateway has ended by itself.
        let _ = stop.send(());
        either(&mut terminate, &mut interrupt).await;
        logging::flush();
        printer::note("stopped at once; requests in progress were cut off");
        std::process::exit(1);
    });
    Ok(stopped)
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// An address that cannot be had, and the key of `[gateway]` that asks for it.
fn not_bound(error: &io::Error, key: &str) -> Problem {
    let problem = Problem::new("the gateway cannot start").because(error);
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let flag = if key == "listen" { "--listen, LIFESIGNS_LISTEN or " } else { "" };
            problem.hint(format!(
                "another process has this address (`ss -ltnp` shows which); end it, or choose another with {flag}`{key}` \
                 of `[gateway]`"
            ))
        }
        io::ErrorKind::PermissionDenied => problem
            .hint("ports below 1024 take a privilege; choose a higher one, or grant CAP_NET_BIND_SERVICE"),
        io::ErrorKind::AddrNotAvailable => {
            problem.hint("no network of this machine has that address; 0.0.0.0 stands for all of them")
        }
        _ => problem,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use lifesigns::ApiOptions;

    use super::*;

    #[test]
    fn apis_are_gone_through_once_whatever_number_tells_of_itself() {
        let names = ["a", "b", "c", "d"];
        let mut builder = Lifesigns::builder("gateway");
        for name in names {
            builder = builder.api(ApiOptions::new(name));
        }
        let lifesigns = builder.start().unwrap();
        let url = |name: &str| format!("http://{name}/status").parse::<Upstream>().unwrap();
        let urls = ["d", "b", "a"].map(|name| (name.to_owned(), url(name))).to_vec();
        let seen = Cell::new(0);
        let apis = lifesigns.apis().inspect(|_| seen.set(seen.get() + 1));
        let mut pairs: Vec<_> =
            with_apis(apis, urls).map(|(api, url)| (api.name().to_owned(), url.host().to_owned())).collect();
        pairs.sort();
        assert_eq!(pairs, ["a", "b", "d"].map(|name| (name.to_owned(), name.to_owned())));
        assert_eq!(seen.get(), names.len());
    }
}
