//! The body of a request, read whole.

use std::pin::pin;
use std::time::Duration;

use bytes::Buf;
use http::StatusCode;
use http_body::Body;
use http_body_util::BodyExt;

use super::answer::Fault;

/// How long a client may take to send it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads a body of at most `max_bytes`; `what` is how faults call it. One that says itself that it is longer is not
/// even asked for.
pub(super) async fn read<B: Body>(body: B, what: &str, max_bytes: usize) -> Result<Vec<u8>, Fault> {
    if body.size_hint().lower() > max_bytes as u64 {
        return Err(too_large(what, max_bytes));
    }
    match tokio::time::timeout(PATIENCE, read_whole(body, what, max_bytes)).await {
        Ok(read) => read,
        Err(_elapsed) => {
            let fault = Fault::new(StatusCode::REQUEST_TIMEOUT, "timeout").at("body");
            Err(fault.says(format!("The {what} did not arrive in time.")))
        }
    }
}

async fn read_whole<B: Body>(body: B, what: &str, max_bytes: usize) -> Result<Vec<u8>, Fault> {
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_broken| {
            let fault = Fault::new(StatusCode::BAD_REQUEST, "body_incomplete").at("body");
            fault.says(format!("The {what} broke off."))
        })?;
        let Ok(mut data) = frame.into_data() else { continue };
        if bytes.len() + data.remaining() > max_bytes {
            return Err(too_large(what, max_bytes));
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            bytes.extend_from_slice(chunk);
            let length = chunk.len();
            data.advance(length);
        }
    }
    Ok(bytes)
}

fn too_large(what: &str, max_bytes: usize) -> Fault {
    let fault = Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large").at("body");
    fault.says(format!("The {what} has more than {max_bytes} bytes."))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use http_body::{Frame, SizeHint};
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn a_body_that_is_too_long_is_refused_and_the_longest_is_not() {
        let body = || Full::new(Bytes::from_static(b"12345"));
        assert_eq!(read(body(), "announcement", 5).await.ok().unwrap(), b"12345");
        let fault = read(body(), "announcement", 4).await.err().unwrap();
        assert_eq!(fault.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(fault.message, "The announcement has more than 4 bytes.");
    }

    /// Says how long it is, and never comes.
    struct Announced(u64);

    impl Body for Announced {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.0)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_says_it_is_too_long_is_not_waited_for() {
        let status = async |length| read(Announced(length), "announcement", 4).await.err().unwrap().status;
        assert_eq!(status(5).await, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(status(u64::MAX).await, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(status(4).await, StatusCode::REQUEST_TIMEOUT);
    }
}
