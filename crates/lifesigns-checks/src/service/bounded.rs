//! A stream that no more than so much is read from.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// So much a server may say in one run, in bytes: logging in and the answer to a query such as `SELECT 1`.
const LONGEST_TALK: usize = 1 << 20;

/// For clients that keep a message until all of it is there, however long it is announced to be.
pub(crate) struct Bounded<S> {
    stream: S,
    /// In bytes.
    left: usize,
}

impl<S> Bounded<S> {
    /// Lets 1 MiB be read from a stream, or a little less than a buffer more.
    pub(crate) fn new(stream: S) -> Bounded<S> {
        Bounded { stream, left: LONGEST_TALK }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let read = buffer.filled().len() - before;
        let Some(left) = self.left.checked_sub(read) else {
            buffer.set_filled(before);
            let message = "it sends more than 1 MiB, which is too much for a check";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, message)));
        };
        self.left = left;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, repeat};

    use super::*;

    #[tokio::test]
    async fn it_gives_so_much_and_then_an_error() {
        let mut stream = Bounded::new(repeat(b'x').take(LONGEST_TALK as u64));
        let mut read = Vec::new();
        assert_eq!(stream.read_to_end(&mut read).await.unwrap(), LONGEST_TALK);

        let mut stream = Bounded::new(repeat(b'x').take(LONGEST_TALK as u64 + 1));
        let error = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("1 MiB"), "{error}");
    }
}
