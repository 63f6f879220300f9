//! Listening, serving, draining.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::{Future, poll_fn},
    io,
    net::{SocketAddr, TcpListener as StdListener},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Poll, Waker},
    thread,
    time::Duration,
};

use http::HeaderValue;
use hyper::{server::conn::http1, service::service_fn};
use lifesigns::{Api, Lifesigns, Listener};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::LocalOptions,
    sync::{oneshot, watch::Receiver},
};

use crate::{
    config::Config,
    exchange::{Client, exchange},
    forward::{Forwarder, HYPER_HEADERS, MIN_BUFFER},
    io::ClientIo,
    loops::Mark,
    routing::Router,
    watch::{Patience, Ticks, Wait, Watch},
};

/// How long those whose exchange is cut off before it was answered have to take the answer that says so.
const LAST_WORD: Duration = Duration::from_millis(100);

/// One thread's share of the gateway. Nothing in it is shared with another thread.
pub(crate) struct Worker {
    pub(crate) lifesigns: Lifesigns,
    /// The process itself.
    pub(crate) own: Api,
    pub(crate) router: Router,
    pub(crate) forwarders: Vec<Forwarder>,
    pub(crate) trust_forwarded: bool,
    pub(crate) via: Option<HeaderValue>,
    pub(crate) mark: Mark,
    pub(crate) response_head_timeout: Duration,
    pub(crate) clients: Rc<Clients>,
    /// Whether answers close their connections.
    pub(crate) is_draining: Cell<bool>,
    max_clients: usize,
    http: http1::Builder,
    ticks: Ticks,
    patience: Patience,
}

/// How far the gateway has come.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Phase {
    /// It accepts and serves.
    Serving,
    /// It does so still, and asks its clients to come on another connection next time.
    Draining,
    /// It ends what is under way.
    Closing,
    /// It cuts off what has not ended.
    CuttingOff,
    /// Nothing is under way any more, and operators are served no longer either.
    Over,
}

/// What one thread serves.
pub(crate) struct Share {
    pub(crate) listener: StdListener,
    pub(crate) kind: Listener,
    pub(crate) phase: Receiver<Phase>,
}

impl Share {
    /// When it accepts no one any more, and when it cuts off who is left.
    const fn ends(&self) -> (Phase, Phase) {
        match self.kind {
            Listener::Public => (Phase::Closing, Phase::CuttingOff),
            Listener::Admin => (Phase::Over, Phase::Over),
        }
    }
}

impl Worker {
    pub(crate) fn new(
        config: &Config,
        lifesigns: Lifesigns,
        router: Router,
        mark: Mark,
        max_clients: usize,
    ) -> Worker {
        let mut http = http1::Builder::new();
        http.max_buf_size(config.limits.request_head_bytes.max(MIN_BUFFER)).writev(true).half_close(false);
        http.max_header_size(config.limits.request_head_bytes.max(MIN_BUFFER));
        if config.limits.headers != HYPER_HEADERS {
            http.max_headers(config.limits.headers);
        }
        let ticks = Ticks::new();
        let forwarders = config
            .routes
            .iter()
            .map(|route| Forwarder::new(route.upstream.clone(), config, ticks.clone()))
            .collect();
        Worker {
            own: lifesigns.own(),
            lifesigns,
            router,
            forwarders,
            trust_forwarded: config.trust_forwarded,
            mark,
            via: config.via.as_ref().and_then(|name| HeaderValue::from_str(&format!("1.1 {name}")).ok()),
            response_head_timeout: config.timeouts.response_head,
            clients: Rc::default(),
            is_draining: Cell::new(false),
            max_clients,
            http,
            ticks,
            patience: Patience::new(&config.timeouts),
        }
    }
}

/// Starts a thread that serves until the phase says that it is over.
pub(crate) fn start(
    number: usize,
    share: Share,
    make: impl FnOnce() -> Worker + Send + 'static,
) -> io::Result<oneshot::Receiver<()>> {
    let (ended, end) = oneshot::channel();
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    thread::Builder::new().name(format!("gateway-{number}")).spawn(move || {
        let served = runtime().and_then(|runtime| runtime.block_on(serve(Rc::new(make()), share)));
        if let Err(error) = served {
            tracing::error!(%error, worker = number, "a worker of the gateway could not start");
        }
        // Nobody waits any more if the gateway itself was dropped.
        let _ = ended.send(());
    })?;
    Ok(end)
}

async fn serve(worker: Rc<Worker>, share: Share) -> io::Result<()> {
    let (closes_at, cuts_off_at) = share.ends();
    let Share { listener, kind, mut phase } = share;
    tokio::task::spawn_local(tick(worker.clone()));
    tokio::task::spawn_local({
        let (worker, mut phase) = (worker.clone(), phase.clone());
        async move {
            reaches(&mut phase, Phase::Draining).await;
            worker.is_draining.set(true);
        }
    });
    let listener = TcpListener::from_std(listener)?;
    let accepting = accept(worker.clone(), listener, kind, phase.clone(), closes_at);
    if let Err(error) = tokio::task::spawn_local(accepting).await {
        tracing::error!(%error, "a listener of the gateway ended before its time");
        reaches(&mut phase, closes_at).await;
    }
    worker.clients.close();
    tokio::select! {
        () = worker.clients.gone() => {}
        () = reaches(&mut phase, cuts_off_at) => {
            worker.clients.cut_off();
            // Who is still there afterwards has had its time.
            let _ = tokio::time::timeout(LAST_WORD, worker.clients.gone()).await;
        }
    }
    Ok(())
}

/// Resolves when the gateway has come so far, which it also has when it was dropped.
async fn reaches(phase: &mut Receiver<Phase>, at_least: Phase) {
    let _ = phase.wait_for(|phase| *phase >= at_least).await;
}

/// The worker's coarse clock.
async fn tick(worker: Rc<Worker>) {
    let mut interval = tokio::time::interval(worker.patience.tick);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        worker.ticks.advance();
        worker.clients.check(&worker.patience);
        for forwarder in &worker.forwarders {
            forwarder.sweep(&worker.patience);
        }
    }
}

/// Accepts clients until it is time to close; those who were already waiting in line are still served.
async fn accept(
    worker: Rc<Worker>,
    listener: TcpListener,
    kind: Listener,
    mut phase: Receiver<Phase>,
    closes_at: Phase,
) {
    let mut pause = Pause::default();
    {
        let mut closing = pin!(reaches(&mut phase, closes_at));
        loop {
            let accept = async {
                if kind == Listener::Public {
                    worker.clients.room_for_one(worker.max_clients).await;
                }
                listener.accept().await
            };
            let accepted = tokio::select! {
                () = &mut closing => break,
                accepted = accept => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    pause = Pause::default();
                    let presence = worker.clients.admit(&worker.ticks);
                    tokio::task::spawn_local(serve_client(worker.clone(), presence, stream, peer, kind));
                }
                Err(error) if is_of_one_client(&error) => {}
                Err(error) => {
                    let pause = pause.longer();
                    tracing::error!(%error, pause_ms = pause.as_millis() as u64, "cannot accept clients at the moment");
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
    while let Some(Ok((stream, peer))) = ready_now(listener.accept()).await {
        let presence = worker.clients.admit(&worker.ticks);
        tokio::task::spawn_local(serve_client(worker.clone(), presence, stream, peer, kind));
    }
}

/// How long to wait when the system has no more sockets to give.
#[derive(Default)]
struct Pause(Duration);

impl Pause {
    fn longer(&mut self) -> Duration {
        self.0 = (self.0 * 2).clamp(Duration::from_millis(10), Duration::from_secs(1));
        self.0
    }
}

/// Whether an error of `accept` concerns only the client that has gone again.
fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// The result of a future that is ready at once.
async fn ready_now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Serves all requests of one connection.
async fn serve_client(
    worker: Rc<Worker>,
    presence: Presence,
    stream: TcpStream,
    peer: SocketAddr,
    listener: Listener,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a client had gone before it was served");
        return;
    }
    let watch = presence.watch.clone();
    let peer = peer.ip().to_canonical();
    let client = Client {
        peer,
        peer_value: HeaderValue::from_str(&peer.to_string())
            .unwrap_or_else(|_| HeaderValue::from_static("unknown")),
        listener,
        watch: watch.clone(),
    };
    let client = Rc::new((worker.clone(), client));
    let service = service_fn(move |request| {
        let client = client.clone();
        // Here and not in the future, which is not polled before the connection is read again.
        client.1.watch.begin_answer();
        async move { Ok::<_, std::convert::Infallible>(exchange(&client.0, &client.1, request).await) }
    });
    let io = ClientIo::new(stream, watch.clone());
    let mut connection = pin!(worker.http.serve_connection(io, service).with_upgrades());
    let mut told = false;
    let served = poll_fn(|cx| {
        presence.set_waker(cx.waker());
        let has_tired_us =
            [Wait::RequestHead, Wait::LastHead, Wait::Write].into_iter().any(|wait| watch.is_overdue(wait));
        if watch.is_aborted() || has_tired_us {
            return Poll::Ready(Ok(()));
        }
        if worker.clients.is_closing() && !told {
            told = true;
            if !watch.is_answering() {
                watch.begin(Wait::LastHead);
            }
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(cx)
    })
    .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a client's connection broke");
    }
}

/// The clients of one worker.
#[derive(Default)]
pub(crate) struct Clients {
    present: RefCell<HashMap<u64, Arc<Watch>>>,
    last: Cell<u64>,
    is_closing: Cell<bool>,
    waits_for_last: RefCell<Option<Waker>>,
    waits_for_room: RefCell<Option<Waker>>,
}

/// A client that is there until this is dropped.
pub(crate) struct Presence {
    number: u64,
    watch: Arc<Watch>,
    is_known: Cell<bool>,
    clients: Rc<Clients>,
}

impl Presence {
    /// Who is to be woken for this client; the first call counts, since the task stays the same.
    fn set_waker(&self, waker: &Waker) {
        if !self.is_known.replace(true) {
            self.watch.set_waker(waker);
        }
    }
}

impl Clients {
    /// Notes a new client, whose first request is being waited for.
    fn admit(self: &Rc<Self>, ticks: &Ticks) -> Presence {
        let watch = Arc::new(Watch::new(ticks.clone()));
        watch.begin(Wait::RequestHead);
        self.enter(watch)
    }

    /// Notes a client.
    pub(crate) fn enter(self: &Rc<Self>, watch: Arc<Watch>) -> Presence {
        let number = self.last.get().wrapping_add(1);
        self.last.set(number);
        self.present.borrow_mut().insert(number, watch.clone());
        Presence { number, watch, is_known: Cell::new(false), clients: self.clone() }
    }

    /// Resolves when there are fewer than `most` clients. If need be, whoever has been silent longest has to go.
    async fn room_for_one(&self, most: usize) {
        poll_fn(|cx| {
            let present = self.present.borrow();
            if present.len() < most {
                return Poll::Ready(());
            }
            *self.waits_for_room.borrow_mut() = Some(cx.waker().clone());
            let silent = present.values().filter(|watch| !watch.is_aborted() && watch.idle_since() > 0);
            if let Some(watch) = silent.min_by_key(|watch| watch.idle_since()) {
                watch.abort();
            }
            Poll::Pending
        })
        .await;
    }

    /// Whether clients are to end after the exchange that is under way.
    fn is_closing(&self) -> bool {
        self.is_closing.get()
    }

    fn close(&self) {
        self.is_closing.set(true);
        for watch in self.present.borrow().values() {
            watch.wake();
        }
    }

    fn cut_off(&self) {
        for watch in self.present.borrow().values() {
            watch.cut_off();
        }
    }

    fn check(&self, patience: &Patience) {
        for watch in self.present.borrow().values() {
            watch.check(patience);
        }
    }

    /// Resolves when no client is left.
    async fn gone(&self) {
        poll_fn(|cx| {
            if self.present.borrow().is_empty() {
                return Poll::Ready(());
            }
            *self.waits_for_last.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let is_empty = {
            let mut present = self.clients.present.borrow_mut();
            present.remove(&self.number);
            present.is_empty()
        };
        if let Some(waker) = self.clients.waits_for_room.take() {
            waker.wake();
        }
        if is_empty && let Some(waker) = self.clients.waits_for_last.take() {
            waker.wake();
        }
    }
}
