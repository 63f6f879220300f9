//! From a request to the head of its response.

use std::{io, rc::Rc, sync::Arc, time::Duration};

use http::{Request, Response, StatusCode};
use hyper::client::conn::http1;
use tokio::net::TcpStream;

use crate::{
    body::{Fate, OutgoingBody},
    config::{Config, Upstream},
    headers::response_fault,
    io::{Interims, UpstreamIo},
    pool::{Connection, Driver, Pool, UpstreamBody, watch_interims},
    rescue::Failure,
    watch::{Patience, Ticks, Watch},
};

/// The way of one worker to one upstream.
pub(crate) struct Forwarder {
    upstream: Upstream,
    http: http1::Builder,
    connect_timeout: Duration,
    pool: Rc<Pool>,
}

impl Forwarder {
    pub(crate) fn new(upstream: Upstream, config: &Config, ticks: Ticks) -> Forwarder {
        let mut http = http1::Builder::new();
        let head = config.limits.response_head_bytes.max(MIN_BUFFER);
        http.max_buf_size(head.max(READ_BUFFER)).max_header_size(head).writev(true);
        if config.limits.headers != HYPER_HEADERS {
            http.max_headers(config.limits.headers);
        }
        Forwarder {
            upstream,
            http,
            connect_timeout: config.timeouts.connect,
            pool: Rc::new(Pool::new(ticks, config.limits.idle_connections)),
        }
    }

    pub(crate) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Closes connections that nobody has used for too long.
    pub(crate) fn sweep(&self, patience: &Patience) {
        self.pool.sweep(patience.upstream_idle);
    }

    /// Sends a request over a connection from the pool, or a new one, and waits for the head of the response.
    ///
    /// A connection can die in the pool without anybody having noticed. If that shows before anything was sent, the
    /// request goes over a new one; it is never sent twice.
    pub(crate) async fn forward(
        &self,
        mut request: Request<OutgoingBody>,
        fate: Option<Arc<Fate>>,
        watch: &Arc<Watch>,
    ) -> Result<Response<UpstreamBody>, Failure> {
        let mut pooled = self.pool.take();
        loop {
            let mut connection = match pooled.take() {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            match connection.send(request, fate.as_ref(), watch).await {
                Some(Ok(response)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    return Err(Failure::UnaskedUpgrade);
                }
                Some(Ok(mut response)) => {
                    if let Some(fault) = fault(&mut response, connection.interims()) {
                        return Err(fault);
                    }
                    let lease = Some((connection, self.pool.clone()));
                    return Ok(response.map(|body| UpstreamBody::new(body, lease, watch.clone(), fate)));
                }
                None => return Err(Failure::ResponseTimeout),
                Some(Err(mut error)) => match error.take_message() {
                    Some(unsent) if connection.is_reused() => request = unsent,
                    _ => return Err(failure(error.into_error(), fate.as_deref())),
                },
            }
        }
    }

    /// Sends a request that asks for another protocol, over a connection of its own.
    pub(crate) async fn forward_upgrade(
        &self,
        mut request: Request<OutgoingBody>,
        fate: Option<Arc<Fate>>,
        watch: &Arc<Watch>,
        response_timeout: Duration,
    ) -> Result<Response<UpstreamBody>, Failure> {
        let interims = Interims::default();
        let (mut sender, driver) = self.handshake(interims.clone()).await?;
        watch_interims(&mut request, fate.as_ref(), &interims);
        tokio::task::spawn_local(async move {
            if let Err(error) = driver.with_upgrades().await {
                tracing::debug!(%error, "a connection to an upstream ended");
            }
        });
        match tokio::time::timeout(response_timeout, sender.send_request(request)).await {
            Ok(Ok(mut response)) => match fault(&mut response, &interims) {
                Some(fault) => Err(fault),
                None => Ok(response.map(|body| UpstreamBody::new(body, None, watch.clone(), fate))),
            },
            Ok(Err(error)) => Err(failure(error, fate.as_deref())),
            Err(_) => Err(Failure::ResponseTimeout),
        }
    }

    async fn connect(&self) -> Result<Box<Connection>, Failure> {
        let interims = Interims::default();
        let (sender, driver) = self.handshake(interims.clone()).await?;
        Ok(Box::new(Connection::new(sender, driver, interims)))
    }

    async fn handshake(
        &self,
        interims: Interims,
    ) -> Result<(http1::SendRequest<OutgoingBody>, Driver), Failure> {
        let connecting = async {
            let stream = TcpStream::connect((self.upstream.host(), self.upstream.port())).await?;
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>(stream)
        };
        let stream = tokio::time::timeout(self.connect_timeout, connecting)
            .await
            .map_err(|_| Failure::ConnectTimeout)?
            .map_err(Failure::Connect)?;
        self.http.handshake(UpstreamIo::new(stream, interims)).await.map_err(Failure::BadResponse)
    }
}

/// Least that the HTTP library takes for a buffer, in bytes.
pub(crate) const MIN_BUFFER: usize = 8192;
/// Most that is read from an upstream at once, in bytes. A connection gets so much only while large bodies pass. A body
/// of 100 KB costs 43 µs of CPU time with 64 KiB, 35 with this, 41 with twice as much; one of 200 bytes always 21.
const READ_BUFFER: usize = 128 * 1024;
/// Its own limit of fields, for which it needs no memory from the heap.
pub(crate) const HYPER_HEADERS: usize = 100;

/// What is wrong with a response that the HTTP library takes for one.
fn fault<B>(response: &mut Response<B>, interims: &Interims) -> Option<Failure> {
    if interims.are_too_many() {
        return Some(Failure::BadHead("too many interim ones came before it"));
    }
    response_fault(response.headers_mut()).map(Failure::BadHead)
}

fn failure(error: hyper::Error, fate: Option<&Fate>) -> Failure {
    match fate {
        Some(fate) if fate.is_late() => Failure::RequestBodyTimeout,
        Some(fate) if fate.has_failed() => Failure::BadRequestBody,
        _ => Failure::BadResponse(error),
    }
}
