//! The bodies that pass: what a client sends, and what it gets.

use std::{
    error, fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use lifesigns::{RequestBody, ResponseBody};

use crate::{
    pool::UpstreamBody,
    watch::{Wait, Watch},
};

/// The body of a request on its way to the upstream, recorded.
pub(crate) type OutgoingBody = RequestBody<ClientBody>;

/// The body of a request as the client sends it.
pub(crate) struct ClientBody {
    incoming: Incoming,
    watch: Arc<Watch>,
    fate: Option<Arc<Fate>>,
}

/// What became of a request's body; outlives it.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    released: AtomicBool,
    failed: AtomicBool,
    late: AtomicBool,
}

impl Fate {
    /// The body may go: the upstream asked for it.
    pub(crate) fn release(&self) {
        self.released.store(true, Relaxed);
    }

    /// Whether the client broke it off, or sent what is no body.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    /// Whether the client took too long.
    pub(crate) fn is_late(&self) -> bool {
        self.late.load(Relaxed)
    }
}

impl ClientBody {
    /// A body that is sent on as it comes, or, if `held`, only once its fate is released or the upstream has had its
    /// time to ask for it.
    pub(crate) fn new(incoming: Incoming, watch: &Arc<Watch>, held: bool) -> ClientBody {
        let fate = (!incoming.is_end_stream()).then(|| {
            if held {
                watch.restart(Wait::Continue);
            }
            Arc::new(Fate { released: AtomicBool::new(!held), ..Fate::default() })
        });
        ClientBody { incoming, watch: watch.clone(), fate }
    }

    /// `None` if there is no body.
    pub(crate) fn fate(&self) -> Option<&Arc<Fate>> {
        self.fate.as_ref()
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = ClientBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientBodyError>>> {
        let this = &mut *self;
        let Some(fate) = &this.fate else { return Poll::Ready(None) };
        if !fate.released.load(Relaxed) {
            if !this.watch.is_overdue(Wait::Continue) {
                // Whoever releases it does so while the upstream's connection is being polled, which polls this next.
                return Poll::Pending;
            }
            fate.release();
        }
        this.watch.end(Wait::Continue);
        match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Pending if this.watch.is_overdue(Wait::RequestBody) => {
                this.watch.end(Wait::RequestBody);
                fate.late.store(true, Relaxed);
                fate.failed.store(true, Relaxed);
                Poll::Ready(Some(Err(ClientBodyError::Late)))
            }
            Poll::Pending => {
                this.watch.begin(Wait::RequestBody);
                Poll::Pending
            }
            Poll::Ready(next) => {
                this.watch.end(Wait::RequestBody);
                this.watch.extend(Wait::ResponseHead);
                if matches!(next, Some(Err(_))) {
                    fate.failed.store(true, Relaxed);
                }
                Poll::Ready(next.map(|frame| frame.map_err(ClientBodyError::Broken)))
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

impl Drop for ClientBody {
    fn drop(&mut self) {
        if self.fate.is_some() {
            self.watch.end(Wait::RequestBody);
            self.watch.end(Wait::Continue);
        }
    }
}

/// Why a request's body did not come to its end.
#[derive(Debug)]
pub(crate) enum ClientBodyError {
    /// The client sent nothing for too long.
    Late,
    /// The client broke it off, or what it sent is no body.
    Broken(hyper::Error),
}

impl fmt::Display for ClientBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ClientBodyError::Late => "the client stopped sending its request's body",
            ClientBodyError::Broken(_) => "the client's request body is broken",
        })
    }
}

impl error::Error for ClientBodyError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            ClientBodyError::Late => None,
            ClientBodyError::Broken(error) => Some(error),
        }
    }
}

/// The body of any answer of the gateway. When it is dropped, the client's next request is being waited for.
pub(crate) struct AnswerBody {
    content: Content,
    watch: Arc<Watch>,
}

/// What is in it.
pub(crate) enum Content {
    /// A health resource, or a refusal that belongs to no API.
    Own(Full<Bytes>),
    /// What the gateway answers for an API, recorded.
    Rescued(ResponseBody<Full<Bytes>>),
    /// What the upstream sends, recorded.
    Upstream(ResponseBody<UpstreamBody>),
}

impl AnswerBody {
    pub(crate) fn new(content: Content, watch: Arc<Watch>) -> AnswerBody {
        AnswerBody { content, watch }
    }
}

type BoxError = Box<dyn error::Error + Send + Sync>;

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.content {
            Content::Own(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Content::Rescued(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Content::Upstream(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Own(body) => body.is_end_stream(),
            Content::Rescued(body) => body.is_end_stream(),
            Content::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Own(body) => body.size_hint(),
            Content::Rescued(body) => body.size_hint(),
            Content::Upstream(body) => body.size_hint(),
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.watch.end_answer();
        self.watch.restart(Wait::RequestHead);
    }
}
