//! The sockets of clients and upstreams, watched.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::watch::{Wait, Watch};

/// Reads of 4 KiB before a client's connection is closed although it is still sending. Enough for what was under way;
/// who sends more than this is not waiting for an answer.
const READS_BEFORE_CLOSE: usize = 64;

/// A client's socket that notes when the client does not take what is written, that lingers when it closes, and that
/// does not take a client that has closed its side for one that has gone.
pub(crate) struct ClientIo {
    stream: TokioIo<TcpStream>,
    watch: Arc<Watch>,
    closing: bool,
}

impl ClientIo {
    pub(crate) fn new(stream: TcpStream, watch: Arc<Watch>) -> ClientIo {
        ClientIo { stream: TokioIo::new(stream), watch, closing: false }
    }

    /// Whether the client has closed its side, found out without taking anything from the socket.
    fn has_ended(&self, cx: &mut Context<'_>) -> bool {
        let mut byte = [0];
        let mut buffer = tokio::io::ReadBuf::new(&mut byte);
        matches!(self.stream.inner().poll_peek(cx, &mut buffer), Poll::Ready(Ok(0)))
    }

    fn note<T>(&self, written: &Poll<io::Result<T>>) {
        if written.is_pending() {
            self.watch.begin(Wait::Write);
        } else {
            self.watch.end(Wait::Write);
            self.watch.extend(Wait::RequestHead);
            self.watch.extend(Wait::HalfClosed);
        }
    }
}

impl Read for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.watch.is_answering() && !self.watch.is_overdue(Wait::HalfClosed) && self.has_ended(cx) {
            // The watch wakes the connection when the time is up, and so does the answer's end.
            self.watch.begin(Wait::HalfClosed);
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Write for ClientIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Says that nothing more will come, then reads what the client still sends, into nowhere, until it closes or its
    /// time is up (RFC 9112 §9.6).
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closing {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.closing = true;
            self.watch.end(Wait::RequestHead);
            self.watch.begin(Wait::Close);
        }
        let mut nowhere = [0_u8; 4096];
        for _ in 0..READS_BEFORE_CLOSE {
            if !self.watch.lingers() || self.watch.is_overdue(Wait::Close) {
                break;
            }
            let mut buffer = ReadBuf::new(&mut nowhere);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, buffer.unfilled())) {
                Ok(()) if !buffer.filled().is_empty() => {}
                Ok(()) | Err(_) => break,
            }
        }
        self.watch.end(Wait::Close);
        Poll::Ready(Ok(()))
    }
}

/// Interim responses that an upstream may send before its response (RFC 9110 §15.2 sets no bound). The HTTP library
/// throws away all it gets without ever coming to an end.
const MOST_INTERIMS: u32 = 100;

/// How many interim responses came on a connection since its last request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interims(Arc<AtomicU32>);

impl Interims {
    /// Another request begins.
    pub(crate) fn reset(&self) {
        self.0.store(0, Relaxed);
    }

    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub(crate) fn are_too_many(&self) -> bool {
        self.0.load(Relaxed) > MOST_INTERIMS
    }
}

/// An upstream's socket, from which nothing is read any more once too many interim responses came. What one read
/// brings is bounded by the buffer, so no more work than that is done for them.
pub(crate) struct UpstreamIo {
    stream: TokioIo<TcpStream>,
    interims: Interims,
}

impl UpstreamIo {
    pub(crate) fn new(stream: TcpStream, interims: Interims) -> UpstreamIo {
        UpstreamIo { stream: TokioIo::new(stream), interims }
    }
}

impl Read for UpstreamIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.interims.are_too_many() {
            return Poll::Ready(Err(io::Error::other("it sends interim responses without end")));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Write for UpstreamIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
