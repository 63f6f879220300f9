//! Telling open pages that there is something new to see, as server-sent events.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::fleet::{Fleet, NO_MORE};

/// So many pages are told at a time; others renew themselves now and then.
pub(super) const MOST_LISTENERS: usize = 200;
/// No page is told more often than this.
const OFTENEST: Duration = Duration::from_secs(1);
/// A page hears at least that often that somebody is there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The events, as long as somebody listens.
pub(super) fn stream(fleet: &Fleet, listeners: &Arc<Semaphore>) -> Response {
    let Ok(permit) = Arc::clone(listeners).try_acquire_owned() else {
        let head = [(header::RETRY_AFTER, "60"), (header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        return (StatusCode::SERVICE_UNAVAILABLE, head, "too many pages listen; try again in a minute\n")
            .into_response();
    };
    let listener = Listener { changes: fleet.changes(), told: None, _permit: permit };
    let head = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    // Proxies that gather answers would keep events back.
    let head = (head, [("x-accel-buffering", "no")]);
    (head, Body::from_stream(Events { next: Box::pin(listener.next()) })).into_response()
}

/// Somebody who listens.
struct Listener {
    changes: watch::Receiver<u64>,
    /// When it was last told of a change; `None` before it was greeted.
    told: Option<Instant>,
    _permit: OwnedSemaphorePermit,
}

impl Listener {
    /// Waits for what there is to say. `None` when there will never be anything again.
    async fn next(mut self) -> Option<(Listener, Bytes)> {
        let Some(told) = self.told else {
            self.changes.mark_unchanged();
            self.told = Some(Instant::now());
            return Some((self, Bytes::from_static(b"retry: 5000\n\n")));
        };
        let news = async {
            self.changes.changed().await.ok()?;
            if *self.changes.borrow() == NO_MORE {
                return None;
            }
            sleep_until(told + OFTENEST).await;
            // What came meanwhile is told with this.
            Some(*self.changes.borrow_and_update()).filter(|count| *count != NO_MORE)
        };
        let said = match timeout(HEARTBEAT, news).await {
            Ok(count) => {
                let count = count?;
                self.told = Some(Instant::now());
                Bytes::from(format!("event: change\ndata: {count}\n\n"))
            }
            Err(_) => Bytes::from_static(b": there\n\n"),
        };
        Some((self, said))
    }
}

type Next = Pin<Box<dyn Future<Output = Option<(Listener, Bytes)>> + Send>>;

struct Events {
    next: Next,
}

impl Stream for Events {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some((listener, said)) = ready!(self.next.as_mut().poll(context)) else {
            return Poll::Ready(None);
        };
        self.next = Box::pin(listener.next());
        Poll::Ready(Some(Ok(said)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(listeners: &Arc<Semaphore>) -> (watch::Sender<u64>, Listener) {
        let (sender, changes) = watch::channel(0);
        let permit = Arc::clone(listeners).try_acquire_owned().unwrap();
        (sender, Listener { changes, told: None, _permit: permit })
    }

    #[tokio::test(start_paused = true)]
    async fn changes_are_told_at_most_once_a_second_and_silence_every_15() {
        let listeners = Arc::new(Semaphore::new(1));
        let (sender, listener) = listener(&listeners);
        let began = Instant::now();
        let (listener, said) = listener.next().await.unwrap();
        assert_eq!((&*said, began.elapsed()), (&b"retry: 5000\n\n"[..], Duration::ZERO));
        sender.send_replace(1);
        sender.send_replace(2);
        let (listener, said) = listener.next().await.unwrap();
        assert_eq!((&*said, began.elapsed()), (&b"event: change\ndata: 2\n\n"[..], OFTENEST));
        let (listener, said) = listener.next().await.unwrap();
        assert_eq!((&*said, began.elapsed()), (&b": there\n\n"[..], OFTENEST + HEARTBEAT));
        sender.send_replace(3);
        let (listener, said) = listener.next().await.unwrap();
        assert_eq!((&*said, began.elapsed()), (&b"event: change\ndata: 3\n\n"[..], OFTENEST + HEARTBEAT));
        drop(sender);
        assert!(listener.next().await.is_none());
        assert_eq!(listeners.available_permits(), 1);
    }
}
