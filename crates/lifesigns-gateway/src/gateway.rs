//! From a configuration to threads that serve, and their end.

use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
};

use lifesigns::{Lifesigns, Listener};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::watch;

use crate::{
    complaints::Complaints,
    config::Config,
    files,
    loops::{self, Mark},
    routing::{Router, Target},
    serve::{self, Phase, Share, Worker},
};

/// Clients that the kernel keeps in line for one listener before they are accepted.
const BACKLOG: i32 = 1024;

/// A gateway whose addresses are taken, and that serves once it [runs](Gateway::run).
pub struct Gateway {
    config: Arc<Config>,
    mark: Mark,
    lifesigns: Lifesigns,
    listeners: Vec<TcpListener>,
    admin: Option<TcpListener>,
}

impl Gateway {
    /// Takes the addresses to listen on, with a listener for each worker.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if a route names an API that `lifesigns` does not know, or if
    /// there is no route at all, or if an upstream is the gateway itself; otherwise what the system says about an address, with the address in it.
    pub fn bind(config: Config, lifesigns: Lifesigns) -> io::Result<Gateway> {
        check(&config, &lifesigns)?;
        let workers = config
            .workers
            .or_else(|| thread::available_parallelism().ok())
            .map_or(1, std::num::NonZeroUsize::get);
        let listeners = listen_shared(config.listen, workers).map_err(|error| at(config.listen, &error))?;
        let admin = config
            .admin
            .map(|address| listen_alone(address).map_err(|error| at(address, &error)))
            .transpose()?;
        for listener in listeners.iter().chain(&admin) {
            check_upstreams(&config, listener.local_addr()?)?;
        }
        for route in &config.routes {
            if let Some(api) = lifesigns.apis().find(|api| api.name() == route.api) {
                api.add_mount(route.mount());
            }
        }
        Ok(Gateway { config: Arc::new(config), mark: Mark::new(), lifesigns, listeners, admin })
    }

    /// Where the APIs' callers come in.
    ///
    /// # Errors
    ///
    /// What the system says, if it does not know.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listeners
            .first()
            .map_or_else(|| Err(io::ErrorKind::NotConnected.into()), TcpListener::local_addr)
    }

    /// Where operators come in, if anywhere.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Serves until `shutdown` resolves, and for [`crate::Drain::notice`] longer as if nothing had happened. Then drains:
    /// readiness turns red, after [`crate::Drain::delay`] no one is accepted any more, and what is under way gets
    /// [`crate::Drain::patience`] to end. Operators are served until that is over.
    ///
    /// The recorder is the caller's: it is to be shut down after this.
    ///
    /// # Errors
    ///
    /// What the system says, if it gives no threads.
    pub async fn run(self, shutdown: impl Future + Send) -> io::Result<()> {
        let (phase, in_phase) = watch::channel(Phase::Serving);
        let complaints: Arc<[Arc<Complaints>]> =
            self.config.routes.iter().map(|_| Arc::new(Complaints::new())).collect();
        let max_clients = files::clients(self.listeners.len());
        let public = self.listeners.into_iter().map(|listener| (listener, Listener::Public));
        let admin = self.admin.map(|listener| (listener, Listener::Admin));
        let (mut ends, mut admin_ends) = (Vec::with_capacity(public.len()), Vec::new());
        for (number, (listener, kind)) in public.chain(admin).enumerate() {
            let (config, lifesigns) = (self.config.clone(), self.lifesigns.clone());
            let complaints = complaints.clone();
            let mark = self.mark.clone();
            let make = move || {
                let router = router(&config, &lifesigns, &complaints);
                Worker::new(&config, lifesigns.clone(), router, mark, max_clients)
            };
            let end = serve::start(number, Share { listener, kind, phase: in_phase.clone() }, make)?;
            match kind {
                Listener::Public => ends.push(end),
                Listener::Admin => admin_ends.push(end),
            }
        }

        shutdown.await;
        tokio::time::sleep(self.config.drain.notice).await;
        self.lifesigns.drain();
        phase.send_replace(Phase::Draining);
        tokio::time::sleep(self.config.drain.delay).await;
        phase.send_replace(Phase::Closing);
        let all_ended = async {
            for end in &mut ends {
                // A worker that has gone without a word has ended, too.
                let _ = end.await;
            }
        };
        if tokio::time::timeout(self.config.drain.patience, all_ended).await.is_err() {
            let in_flight = self.lifesigns.in_flight();
            tracing::warn!(in_flight, "some exchanges are cut off: they did not end in time");
            self.lifesigns.cut_off();
            phase.send_replace(Phase::CuttingOff);
            for end in ends.iter_mut().filter(|end| !end.is_terminated()) {
                let _ = end.await;
            }
        }
        phase.send_replace(Phase::Over);
        for end in admin_ends {
            let _ = end.await;
        }
        Ok(())
    }
}

fn check(config: &Config, lifesigns: &Lifesigns) -> io::Result<()> {
    let invalid = |text: String| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    if config.routes.is_empty() {
        return invalid("the gateway has no API behind it; give it at least one route".to_owned());
    }
    for route in &config.routes {
        if !lifesigns.apis().any(|api| api.name() == route.api) {
            return invalid(format!("no API is called {:?}; add it before a route leads to it", route.api));
        }
        if !route.prefix.starts_with('/') {
            return invalid(format!(
                "the prefix {:?} of API {:?} does not begin with /",
                route.prefix, route.api
            ));
        }
    }
    Ok(())
}

/// No upstream may be this listener of the gateway's own.
fn check_upstreams(config: &Config, listener: SocketAddr) -> io::Result<()> {
    let Some(route) = config.routes.iter().find(|route| loops::leads_to(&route.upstream, listener)) else {
        return Ok(());
    };
    let text = format!(
        "API {:?} at {} is the gateway itself, which listens on {listener}; say where the API is, or have one of the \
         two listen elsewhere",
        route.api, route.upstream
    );
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

fn router(config: &Config, lifesigns: &Lifesigns, complaints: &[Arc<Complaints>]) -> Router {
    let routes = config.routes.iter().zip(complaints).enumerate();
    let targets = routes.filter_map(|(upstream, (route, complaints))| {
        let api = lifesigns.apis().find(|api| api.name() == route.api)?;
        Some(Target::new(route, api, upstream, complaints.clone()))
    });
    Router::new(targets.collect())
}

/// So many listeners on the same address; the kernel spreads clients over them.
fn listen_shared(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    if address.port() != 0 {
        // Sharing an address would also share it with another process of the same user, unnoticed.
        let probe = socket(address)?;
        probe.bind(&address.into())?;
        probe.listen(1)?;
    }
    let mut listeners: Vec<TcpListener> = Vec::with_capacity(count);
    for _ in 0..count {
        let address = listeners.first().map_or(Ok(address), TcpListener::local_addr)?;
        let socket = socket(address)?;
        socket.set_reuse_port(true)?;
        listeners.push(listen(socket, address)?);
    }
    Ok(listeners)
}

fn listen_alone(address: SocketAddr) -> io::Result<TcpListener> {
    listen(socket(address)?, address)
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    Ok(socket)
}

fn listen(socket: Socket, address: SocketAddr) -> io::Result<TcpListener> {
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn at(address: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
}
