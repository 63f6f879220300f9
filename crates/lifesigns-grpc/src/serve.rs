//! A server of its own for the service.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use lifesigns::Lifesigns;
use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::preface::Prompt;
use crate::presence::{Presence, Presences};
use crate::service::HealthService;

/// Connections at the same time, as long as these are no more than an eighth of the files the process may open.
const MAX_CONNECTIONS: usize = 1024;

/// Calls at the same time on one connection.
const MAX_STREAMS: u32 = 256;

/// Bytes of a request's headers.
const MAX_HEADERS: u32 = 8 * 1024;

/// Bytes that a caller may send on a connection, or on one call, before they have been read.
const RECEIVE_WINDOW: u32 = 64 * 1024;

/// Bytes that wait to be sent on one call; a message has at most a few thousand.
const SEND_BUFFER: usize = 16 * 1024;

/// A connection on which nothing came is asked so often whether the other side is still there…
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// … and has so long to answer; as long as a client has to speak at all.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection that has to go may take to end in good order.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Serves `grpc.health.v1` over HTTP/2 without TLS until `shutdown` resolves. Then streams of `Watch` end with
/// `UNAVAILABLE`, other calls get a second to end, and nobody is accepted any more.
///
/// At most 1,024 clients are connected, and no more than an eighth of the files that the process may open; past that,
/// whoever has been of no use for longest has to go. Each may have 256 calls under way. Whoever does not begin to speak
/// HTTP/2, or does not answer a ping, within 10 seconds is cut off.
///
/// # Errors
/// What the system says of a listener that does not work at all. That it has no more files to give is none: it is
/// waited for.
pub async fn serve(listener: TcpListener, lifesigns: &Lifesigns, shutdown: impl Future) -> io::Result<()> {
    serve_at_most(max_connections(), listener, lifesigns, shutdown).await
}

async fn serve_at_most(
    most: usize,
    listener: TcpListener,
    lifesigns: &Lifesigns,
    shutdown: impl Future,
) -> io::Result<()> {
    listener.local_addr()?;
    let service = HealthService::new(lifesigns);
    let (close, closing) = watch::channel(false);
    let presences = Arc::new(Presences::default());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let mut pause = Duration::ZERO;
    for number in 0.. {
        let accepted = loop {
            tokio::select! {
                _ = &mut shutdown => break None,
                accepted = listener.accept() => break Some(accepted),
                Some(ended) = connections.join_next() => note(ended),
            }
        };
        match accepted {
            None => break,
            // Those who were told to go have a moment; until then there may be twice as many.
            Some(Ok(_)) if connections.len() >= 2 * most => {
                tracing::warn!("a client of the gRPC listener was turned away: there are too many");
            }
            Some(Ok((stream, _))) => {
                pause = Duration::ZERO;
                let presence = presences.admit(number, most);
                connections.spawn(serve_client(service.clone(), stream, presence, closing.clone()));
            }
            Some(Err(error)) if is_of_one_client(&error) => {}
            Some(Err(error)) => {
                pause = (pause * 2).clamp(Duration::from_millis(10), Duration::from_secs(1));
                tracing::error!(%error, pause_ms = pause.as_millis() as u64, "cannot accept gRPC clients at the moment");
                tokio::select! {
                    _ = &mut shutdown => break,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }
    drop(listener);
    service.close();
    close.send_replace(true);
    while let Some(ended) = connections.join_next().await {
        note(ended);
    }
    Ok(())
}

/// Says what ended a connection if it was no client's doing.
fn note(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection of the gRPC listener ended before its time");
    }
}

/// Serves all calls of one connection.
async fn serve_client(
    service: HealthService,
    stream: TcpStream,
    presence: Presence,
    mut closing: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a gRPC client had gone before it was served");
        return;
    }
    let call = |request| {
        let answer = service.clone().answer(request, Some(presence.begin()));
        async { Ok::<_, Infallible>(answer.await) }
    };
    let stream = TokioIo::new(Prompt::new(stream, KEEP_ALIVE_TIMEOUT));
    let mut connection = pin!(http().serve_connection(stream, service_fn(call)));
    let served = tokio::select! {
        served = &mut connection => Some(served),
        () = presence.has_to_go() => None,
        // The server is gone if nobody could say it any more.
        _ = closing.wait_for(|closing| *closing) => None,
    };
    let served = match served {
        Some(served) => served,
        None => {
            connection.as_mut().graceful_shutdown();
            let Ok(served) = tokio::time::timeout(LAST_WORD, connection).await else {
                tracing::debug!("a gRPC client was cut off: it did not end in time");
                return;
            };
            served
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "the connection of a gRPC client broke");
    }
}

fn http() -> http2::Builder<TokioExecutor> {
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADERS)
        .initial_connection_window_size(RECEIVE_WINDOW)
        .initial_stream_window_size(RECEIVE_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    http
}

fn max_connections() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files / 8).unwrap_or(usize::MAX).clamp(1, MAX_CONNECTIONS)
}

/// Whether an error of `accept` concerns only the client that has gone again.
fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn whoever_came_first_and_asked_nothing_makes_room() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let lifesigns = Lifesigns::builder("polls").start().unwrap();
        let serving = tokio::spawn(async move {
            let forever = std::future::pending::<()>();
            serve_at_most(2, listener, &lifesigns, forever).await
        });
        let mut streams = Vec::new();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // The server speaks first: it has been admitted.
            assert_ne!(timeout(10 * LAST_WORD, stream.read_u8()).await.unwrap().unwrap_or(1), 1);
            streams.push(stream);
        }
        let mut rest = Vec::new();
        timeout(10 * LAST_WORD, streams[0].read_to_end(&mut rest)).await.expect("it is let go").unwrap();
        let still_there = timeout(LAST_WORD, streams[1].read_to_end(&mut rest)).await;
        assert!(still_there.is_err(), "{still_there:?}");
        serving.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_says_nothing_at_all_is_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut silent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let lifesigns = Lifesigns::builder("polls").start().unwrap();
        let serving =
            tokio::spawn(async move { serve(listener, &lifesigns, std::future::pending::<()>()).await });
        let mut rest = Vec::new();
        // The clock runs ahead while nothing happens.
        timeout(10 * KEEP_ALIVE_TIMEOUT, silent.read_to_end(&mut rest)).await.expect("it is let go").unwrap();
        serving.abort();
    }
}
