//! Bodies that count what passes through them.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::End;
use crate::recorder::Watched;

pin_project! {
    /// A request body whose bytes are counted.
    #[derive(Debug)]
    pub struct RequestBody<B> {
        #[pin]
        inner: B,
        counter: Option<Arc<AtomicU64>>,
    }
}

impl<B> RequestBody<B> {
    pub(super) fn new(inner: B, counter: Option<Arc<AtomicU64>>) -> RequestBody<B> {
        RequestBody { inner, counter }
    }
}

impl<B: Body> Body for RequestBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(context));
        if let (Some(Ok(frame)), Some(counter)) = (&frame, this.counter) {
            let bytes = frame.data_ref().map_or(0, Buf::remaining);
            counter.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

pin_project! {
    /// A response body that records its exchange when it has ended, failed or been dropped.
    pub struct ResponseBody<B: Body> {
        #[pin]
        inner: B,
        watched: Option<Watched>,
    }

    impl<B: Body> PinnedDrop for ResponseBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(watched) = this.watched.take() {
                let end = if this.inner.is_end_stream() { End::Complete } else { End::Dropped };
                watched.body_ended(end);
            }
        }
    }
}

impl<B: Body> ResponseBody<B> {
    pub(super) fn new(inner: B, watched: Option<Watched>) -> ResponseBody<B> {
        ResponseBody { inner, watched }
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let polled = this.inner.as_mut().poll_frame(context);
        let end = match &polled {
            Poll::Ready(None) => Some(End::Complete),
            Poll::Ready(Some(Err(_))) => Some(End::Broken),
            Poll::Ready(Some(Ok(frame))) => {
                if let (Some(watched), Some(data)) = (this.watched.as_mut(), frame.data_ref()) {
                    watched.seen_mut().response_bytes += data.remaining() as u64;
                }
                // Whoever knows from the length that this was the last frame may never poll again.
                this.inner.is_end_stream().then_some(End::Complete)
            }
            Poll::Pending => None,
        };
        match end {
            Some(end) => {
                if let Some(watched) = this.watched.take() {
                    watched.body_ended(end);
                }
            }
            None => {
                if let Some(watched) = this.watched.as_mut() {
                    watched.body_goes_on();
                }
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: Body + fmt::Debug> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("inner", &self.inner).finish_non_exhaustive()
    }
}
