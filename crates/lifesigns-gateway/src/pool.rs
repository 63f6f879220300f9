//! Connections to one upstream, kept by one worker.
//!
//! A connection is driven by whoever uses it: the task of the client's connection polls it before it looks for the
//! response. That saves two task switches an exchange over driving each in a task of its own. An idle connection is
//! driven by nobody; whether it has died meanwhile is seen when it is taken out, and at each tick of the worker.

use std::{
    cell::RefCell,
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{self, SendRequest},
    },
};

use crate::{
    body::{Fate, OutgoingBody},
    io::{Interims, UpstreamIo},
    watch::{Ticks, Wait, Watch},
};

pub(crate) type Driver = http1::Connection<UpstreamIo, OutgoingBody>;

/// A connection to an upstream that is driven by its user.
pub(crate) struct Connection {
    sender: SendRequest<OutgoingBody>,
    /// `None` once it has ended.
    driver: Option<Driver>,
    relay: Arc<Relay>,
    waker: Waker,
    interims: Interims,
    /// Whether it has carried an exchange before.
    reused: bool,
}

impl Connection {
    pub(crate) fn new(sender: SendRequest<OutgoingBody>, driver: Driver, interims: Interims) -> Connection {
        let relay = Arc::new(Relay::default());
        let waker = Waker::from(relay.clone());
        Connection { sender, driver: Some(driver), relay, waker, interims, reused: false }
    }

    /// Of the last request.
    pub(crate) fn interims(&self) -> &Interims {
        &self.interims
    }

    pub(crate) fn is_reused(&self) -> bool {
        self.reused
    }

    /// Does what can be done without waiting. Whether the connection is still there is known afterwards.
    fn drive(&mut self) {
        if let Some(driver) = &mut self.driver
            && let Poll::Ready(end) = Pin::new(driver).poll(&mut Context::from_waker(&self.waker))
        {
            if let Err(error) = end {
                tracing::debug!(%error, "a connection to an upstream ended");
            }
            self.driver = None;
        }
    }

    /// Whether it could carry an exchange now.
    fn is_ready(&mut self) -> bool {
        self.drive();
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Sends a request and waits for the head of the response.
    ///
    /// Returns `None` if that has taken too long. The request is in the error if nothing of it was sent. An interim
    /// response that asks for its body releases that.
    pub(crate) async fn send(
        &mut self,
        mut request: Request<OutgoingBody>,
        fate: Option<&Arc<Fate>>,
        watch: &Watch,
    ) -> Option<Result<Response<Incoming>, TrySendError<Request<OutgoingBody>>>> {
        watch_interims(&mut request, fate, &self.interims);
        watch.restart(Wait::ResponseHead);
        let mut response = pin!(self.sender.try_send_request(request));
        let relay = self.relay.clone();
        let sent = poll_fn(|cx| {
            let polled = relay.poll(cx, || {
                self.drive();
                // Nothing but the driver can make the response ready.
                response.as_mut().poll(&mut Context::from_waker(Waker::noop()))
            });
            match polled {
                Poll::Ready(sent) => Poll::Ready(Some(sent)),
                Poll::Pending if watch.is_overdue(Wait::ResponseHead) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        watch.end(Wait::ResponseHead);
        sent
    }
}

/// Counts the interim responses to a request; one that asks for its body releases that (RFC 9110 §10.1.1).
pub(crate) fn watch_interims(
    request: &mut Request<OutgoingBody>,
    fate: Option<&Arc<Fate>>,
    interims: &Interims,
) {
    interims.reset();
    let (fate, interims) = (fate.cloned(), interims.clone());
    hyper::ext::on_informational(request, move |response| {
        interims.count();
        if response.status() == StatusCode::CONTINUE
            && let Some(fate) = &fate
        {
            fate.release();
        }
    });
}

/// Stands between a connection and the task that uses it at the moment.
///
/// The parts of a connection wake each other all the time. Within one poll such a call only means "look once more",
/// not that the whole task has to be scheduled again.
#[derive(Default)]
struct Relay {
    user: Mutex<Option<Waker>>,
    is_polling: AtomicBool,
    woken: AtomicBool,
}

impl Relay {
    /// Polls until it is ready or nothing more happens without the outside.
    fn poll<T>(&self, cx: &mut Context<'_>, mut step: impl FnMut() -> Poll<T>) -> Poll<T> {
        // More rounds than a small exchange needs. After them the others of this worker get their turn; it is also
        // how the runtime's own budget for a task shows.
        const ROUNDS: usize = 4;
        self.set_user(cx.waker());
        self.is_polling.store(true, Ordering::Release);
        let mut polled = Poll::Pending;
        for _ in 0..ROUNDS {
            self.woken.store(false, Ordering::Relaxed);
            polled = step();
            if polled.is_ready() || !self.woken.load(Ordering::Relaxed) {
                break;
            }
        }
        self.is_polling.store(false, Ordering::Release);
        if polled.is_pending() && self.woken.swap(false, Ordering::Acquire) {
            cx.waker().wake_by_ref();
        }
        polled
    }

    fn set_user(&self, waker: &Waker) {
        let mut user = self.user.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *user {
            Some(user) => user.clone_from(waker),
            None => *user = Some(waker.clone()),
        }
    }

    fn forget_user(&self) {
        *self.user.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_polling.load(Ordering::Acquire) {
            self.woken.store(true, Ordering::Release);
        } else {
            let user = self.user.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(user) = user {
                user.wake();
            }
        }
    }
}

/// The idle connections, the last used on top.
pub(crate) struct Pool {
    idle: RefCell<Vec<(Box<Connection>, u32)>>,
    ticks: Ticks,
    at_most: usize,
}

impl Pool {
    pub(crate) fn new(ticks: Ticks, at_most: usize) -> Pool {
        Pool { idle: RefCell::default(), ticks, at_most }
    }

    /// A connection that is alive as far as can be known.
    pub(crate) fn take(&self) -> Option<Box<Connection>> {
        loop {
            let (mut connection, _) = self.idle.borrow_mut().pop()?;
            if connection.is_ready() {
                connection.reused = true;
                return Some(connection);
            }
        }
    }

    /// Keeps a connection if it can carry another exchange.
    pub(crate) fn give_back(&self, mut connection: Box<Connection>) {
        connection.relay.forget_user();
        if connection.is_ready() && self.idle.borrow().len() < self.at_most {
            self.idle.borrow_mut().push((connection, self.ticks.now()));
        }
    }

    /// Closes what was idle for more than so many ticks, and what has died.
    pub(crate) fn sweep(&self, longest: u32) {
        let now = self.ticks.now();
        self.idle
            .borrow_mut()
            .retain_mut(|(connection, since)| now.wrapping_sub(*since) <= longest && connection.is_ready());
    }
}

/// The body of an upstream's response. It holds the connection until it has ended, then gives it back.
pub(crate) struct UpstreamBody {
    incoming: Incoming,
    lease: Option<(Box<Connection>, Rc<Pool>)>,
    watch: Arc<Watch>,
    request: Option<Arc<Fate>>,
    /// How it broke, once it has.
    broken: Option<hyper::Error>,
}

impl UpstreamBody {
    pub(crate) fn new(
        incoming: Incoming,
        lease: Option<(Box<Connection>, Rc<Pool>)>,
        watch: Arc<Watch>,
        request: Option<Arc<Fate>>,
    ) -> UpstreamBody {
        let mut body = UpstreamBody { incoming, lease, watch, request, broken: None };
        body.give_back_if_ended();
        body
    }

    fn give_back_if_ended(&mut self) {
        if self.incoming.is_end_stream() {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if let Some((connection, pool)) = self.lease.take() {
            pool.give_back(connection);
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UpstreamBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamBodyError>>> {
        let this = &mut *self;
        if let Some(error) = this.broken.take() {
            return Poll::Ready(Some(Err(UpstreamBodyError::Broken(error))));
        }
        let polled = match &mut this.lease {
            Some((connection, _)) => {
                let relay = connection.relay.clone();
                relay.poll(cx, || {
                    let mut inside = Context::from_waker(Waker::noop());
                    let polled = Pin::new(&mut this.incoming).poll_frame(&mut inside);
                    if polled.is_ready() {
                        return polled;
                    }
                    // The driver has been told that a frame is wanted; here it is polled anyway.
                    relay.woken.store(false, Ordering::Relaxed);
                    connection.drive();
                    Pin::new(&mut this.incoming).poll_frame(&mut inside)
                })
            }
            None => Pin::new(&mut this.incoming).poll_frame(cx),
        };
        match polled {
            Poll::Pending if this.watch.is_overdue(Wait::ResponseBody) => {
                this.watch.end(Wait::ResponseBody);
                this.lease = None;
                Poll::Ready(Some(Err(UpstreamBodyError::Late)))
            }
            Poll::Pending => {
                this.watch.begin(Wait::ResponseBody);
                Poll::Pending
            }
            Poll::Ready(Some(Ok(frame))) => {
                this.watch.end(Wait::ResponseBody);
                this.give_back_if_ended();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                this.watch.end(Wait::ResponseBody);
                this.give_back();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                this.watch.end(Wait::ResponseBody);
                this.lease = None;
                if this.request.as_ref().is_some_and(|request| request.has_failed()) {
                    // The exchange broke because the client's half of it did. Closing the client's connection drops
                    // this body, which is how that is told from a fault of the upstream.
                    this.watch.abort();
                    return Poll::Pending;
                }
                // An error ends the client's connection at once. What came before it may not have been written yet,
                // and the client shall see how far it got.
                this.broken = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        self.watch.end(Wait::ResponseBody);
    }
}

/// Why a response's body did not come to its end.
#[derive(Debug)]
pub(crate) enum UpstreamBodyError {
    /// The upstream sent nothing for too long.
    Late,
    /// The upstream broke it off, or what it sent is no body.
    Broken(hyper::Error),
}

impl fmt::Display for UpstreamBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UpstreamBodyError::Late => "the upstream stopped sending its response's body",
            UpstreamBodyError::Broken(_) => "the upstream broke off its response's body",
        })
    }
}

impl std::error::Error for UpstreamBodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            UpstreamBodyError::Late => None,
            UpstreamBodyError::Broken(error) => Some(error),
        }
    }
}
