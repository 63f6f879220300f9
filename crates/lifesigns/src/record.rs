//! Watches one exchange, from the request's head to the end of the response's body.
//!
//! One exchange makes one record: when its response body has ended, failed or been dropped, or when the exchange
//! itself is dropped before there was an answer. Nothing here waits, and nothing in a `Drop` panics.

mod body;

use std::num::NonZeroU128;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body::Body;
use lifesigns_model::exchange::{CLIENT_CLOSED_REQUEST, FailedBy, Measurement};
use lifesigns_model::route::template_of;

pub use self::body::{RequestBody, ResponseBody};
use crate::clock::Reading;
use crate::exemplar::sampled_trace;
use crate::process::{Api, ApiState};
use crate::recorder::accumulator::SeriesKey;
use crate::recorder::labels::{Labels, NOT_APPLICABLE_ID};
use crate::recorder::{Watched, method_number};

/// Longest name of a client app; longer ones are counted under `_other_`.
const MAX_CLIENT_BYTES: usize = 64;

/// Of the W3C trace context.
static TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// An exchange that has no answer yet. Dropped in this state it is counted as one that its client gave up.
#[derive(Debug)]
pub struct Exchange {
    watched: Option<Watched>,
}

/// What has been seen of an exchange so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Without status and blame until it is answered.
    pub(crate) key: SeriesKey,
    started: Reading,
    /// A template made from a raw path, not among the known ones when it was made.
    guessed_route: Option<Box<str>>,
    is_head: bool,
    request_bytes: Option<Arc<AtomicU64>>,
    /// The trace that it belongs to, where that is recorded.
    trace_id: Option<Box<NonZeroU128>>,
    /// Until the answer's head was on its way, where its body was not over at once.
    first_byte_micros: Option<u64>,
    /// Length of the answer's body, where it is known.
    length: Option<u64>,
    response_bytes: u64,
}

#[cfg(test)]
impl Seen {
    pub(crate) fn of(key: SeriesKey) -> Seen {
        Seen { key, ..Seen::default() }
    }
}

impl Exchange {
    pub(crate) fn begin(api: &Api, method: &Method, headers: &HeaderMap, started: Instant) -> Exchange {
        let said = Said::by(headers, &api.state().settings.client_id_headers);
        let key = SeriesKey {
            api: api.index as u16,
            client: client_number(api.state(), said.client),
            method: method_number(method),
            ..SeriesKey::default()
        };
        let watched = api.process.recorder.begin(|subjects| Seen {
            key,
            started: subjects.clock.read(started),
            is_head: method == Method::HEAD,
            trace_id: said.trace_parent.and_then(sampled_trace).map(Box::new),
            ..Seen::default()
        });
        Exchange { watched: Some(watched) }
    }

    /// The template of the route that answers, such as `/users/{id}`. Never the raw path.
    pub fn set_route(&mut self, template: &str) {
        if let Some(watched) = &mut self.watched {
            let route = watched.routes().id(template);
            let seen = watched.seen_mut();
            (seen.key.route, seen.guessed_route) = (route, None);
        }
    }

    /// Makes a template from the raw path, for an API without a list of its routes. A path that turns out not to
    /// exist (404, 405) does not become a route and is counted under `_na_`: otherwise a scanner could fill the list.
    pub fn guess_route(&mut self, path: &str) {
        let Some(watched) = &mut self.watched else { return };
        let template = template_of(path);
        let known = watched.routes().known_id(&template);
        let seen = watched.seen_mut();
        seen.key.route = known.unwrap_or(NOT_APPLICABLE_ID);
        seen.guessed_route = if known.is_some() { None } else { Some(template.into()) };
    }

    /// Says that a policy of this name refuses the request.
    pub fn refuse(&mut self, policy: &str) {
        if let Some(watched) = &mut self.watched {
            watched.seen_mut().key.policy = watched.subjects().policies.id(policy);
        }
    }

    /// Counts the bytes of the request's body as they pass.
    pub fn request_body<B: Body>(&mut self, body: B) -> RequestBody<B> {
        let counter = match &mut self.watched {
            Some(watched) if !body.is_end_stream() => {
                Some(Arc::clone(watched.seen_mut().request_bytes.insert(Arc::default())))
            }
            _ => None,
        };
        RequestBody::new(body, counter)
    }

    /// The answer has begun. The exchange is recorded when `body` has ended: failed by `failed_by` if it ends well,
    /// by the API if it breaks, by the client if it is dropped before its end.
    pub fn answer<B: Body>(self, status: StatusCode, failed_by: FailedBy, body: B) -> ResponseBody<B> {
        let length = body.size_hint().exact();
        self.answer_of_length(status, failed_by, length, body)
    }

    /// As [`Exchange::answer`], for a body whose length a `Content-Length` field says and which need not know it
    /// itself. Such a body may be dropped once that much is written, without ever having said that it has ended.
    pub fn answer_of_length<B: Body>(
        mut self,
        status: StatusCode,
        failed_by: FailedBy,
        length: Option<u64>,
        body: B,
    ) -> ResponseBody<B> {
        if let Some(watched) = &mut self.watched {
            let seen = watched.seen_mut();
            let has_no_body = seen.is_head
                || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
                || status.is_informational();
            seen.key.status = status.as_u16();
            seen.key.failed_by = failed_by;
            seen.length = if has_no_body { Some(0) } else { length };
        }
        ResponseBody::new(body, self.watched.take())
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(mut watched) = self.watched.take() else { return };
        // A handler that panics takes its future along: that is the API's failure, not the client's.
        let (status, failed_by) = if std::thread::panicking() {
            (StatusCode::INTERNAL_SERVER_ERROR.as_u16(), FailedBy::Upstream)
        } else if watched.is_cut_off() {
            (StatusCode::SERVICE_UNAVAILABLE.as_u16(), FailedBy::Gateway)
        } else {
            (CLIENT_CLOSED_REQUEST, FailedBy::Client)
        };
        watched.seen_mut().key.status = status;
        watched.record(failed_by);
    }
}

/// How a response body came to its end.
#[derive(Clone, Copy, Debug)]
enum End {
    Complete,
    Broken,
    Dropped,
}

impl Watched {
    /// Records it when the body of its answer is over.
    fn body_ended(self, end: End) {
        let Seen { key, length, response_bytes, .. } = self.seen();
        let failed_by = match end {
            End::Complete => key.failed_by,
            End::Dropped if length.is_some_and(|length| *response_bytes >= length) => key.failed_by,
            End::Broken => FailedBy::Upstream,
            // The body breaks off because its maker panicked.
            End::Dropped if std::thread::panicking() => FailedBy::Upstream,
            End::Dropped if self.is_cut_off() => FailedBy::Gateway,
            // A failure that the client did not wait to read is still a failure.
            End::Dropped if key.failed_by.counts_against_service() => key.failed_by,
            End::Dropped => FailedBy::Client,
        };
        self.record(failed_by);
    }

    fn record(mut self, failed_by: FailedBy) {
        let ended = self.now();
        if let Some(template) = self.seen_mut().guessed_route.take() {
            self.seen_mut().key.route = match self.seen().key.status {
                404 | 405 => self.routes().known_id(&template).unwrap_or(NOT_APPLICABLE_ID),
                _ => self.routes().id(&template),
            };
        }
        let seen = self.seen_mut();
        // Written only where it changes: a processor waits before it reads a word of which it has just written a byte.
        if seen.key.failed_by != failed_by {
            seen.key.failed_by = failed_by;
        }
        let total_micros = ended.micros_since(seen.started);
        let measured = Measurement {
            total_micros,
            first_byte_micros: seen.first_byte_micros.unwrap_or(total_micros),
            request_bytes: seen.request_bytes.take().map_or(0, |bytes| bytes.load(Ordering::Relaxed)),
            response_bytes: seen.response_bytes,
        };
        if let Some(trace_id) = seen.trace_id.take() {
            self.keep_trace(*trace_id, ended, total_micros);
        }
        self.end(ended, &measured);
    }

    /// Notes that the head of the answer is on its way: its body has been asked for and goes on.
    fn body_goes_on(&mut self) {
        if self.seen().first_byte_micros.is_none() {
            let now = self.now();
            let seen = self.seen_mut();
            seen.first_byte_micros = Some(now.micros_since(seen.started));
        }
    }

    fn routes(&self) -> &Labels {
        &self.subjects().routes[usize::from(self.seen().key.api)]
    }

    fn is_cut_off(&self) -> bool {
        self.subjects().cuts_off.load(Ordering::Relaxed)
    }
}

/// What the head of a request says of who sent it.
#[derive(Debug, Default)]
struct Said<'a> {
    client: Option<&'a HeaderValue>,
    /// None where there are several.
    trace_parent: Option<&'a HeaderValue>,
}

impl<'a> Said<'a> {
    /// In one pass: to look for each of a few names takes longer, because the map hashes them.
    fn by(headers: &'a HeaderMap, client_id_headers: &[HeaderName]) -> Said<'a> {
        let (mut client, mut trace_parents, mut trace_parent) = (None, 0, None);
        let mut rank = client_id_headers.len();
        for (name, value) in headers {
            if let Some(found) = client_id_headers[..rank].iter().position(|wanted| wanted == name) {
                (client, rank) = (Some(value), found);
            }
            if *name == TRACE_PARENT {
                trace_parents += 1;
                trace_parent = Some(value);
            }
        }
        Said { client, trace_parent: trace_parent.filter(|_| trace_parents == 1) }
    }
}

fn client_number(state: &ApiState, name: Option<&HeaderValue>) -> u16 {
    let Some(name) = name else { return NOT_APPLICABLE_ID };
    match name.to_str() {
        Ok("") => NOT_APPLICABLE_ID,
        Ok(name) if name.len() <= MAX_CLIENT_BYTES => state.clients.id(name),
        _ => state.clients.other(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use bytes::Bytes;
    use http_body::Frame;
    use http_body_util::Full;

    use super::*;
    use crate::Lifesigns;

    /// A body that answers each poll with the next of these; after the last it is over.
    struct Steps(VecDeque<Poll<&'static str>>);

    impl Body for Steps {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let Some(step) = self.0.pop_front() else { return Poll::Ready(None) };
            step.map(|data| Some(Ok(Frame::data(Bytes::from_static(data.as_bytes())))))
        }
    }

    /// Total time and time to the first byte, in microseconds, of an answer that is polled so often with a pause after
    /// each time, and then dropped.
    fn times<B: Body + Unpin>(lifesigns: &Lifesigns, body: B, polls: usize) -> (u64, u64) {
        let exchange = lifesigns.own().begin(&Method::GET, &HeaderMap::new());
        let mut body = exchange.answer(StatusCode::OK, FailedBy::Nobody, body);
        for _ in 0..polls {
            let _polled = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()));
            std::thread::sleep(Duration::from_millis(2));
        }
        drop(body);
        lifesigns.process.collect();
        let recent = lifesigns.process.recorder.recent();
        let measured = &recent.newest_first().next().unwrap().measured;
        (measured.total_micros, measured.first_byte_micros)
    }

    #[test]
    fn the_first_byte_comes_before_the_last_where_the_body_is_waited_for() {
        let lifesigns = Lifesigns::builder("polls").start().unwrap();
        for steps in [
            vec![Poll::Pending, Poll::Ready("a")],
            vec![Poll::Ready("a"), Poll::Ready("b")],
            vec![Poll::Ready("a"), Poll::Pending],
        ] {
            let (total, first) = times(&lifesigns, Steps(steps.clone().into()), 3);
            assert!(first + 4000 <= total, "{steps:?}: {first} of {total}");
        }
        for polls in [0, 1] {
            let (total, first) = times(&lifesigns, Full::new(Bytes::from_static(b"a")), polls);
            assert_eq!(first, total, "{polls} polls");
        }
        let (total, first) = times(&lifesigns, Steps(VecDeque::new()), 1);
        assert_eq!(first, total);
    }

    #[test]
    fn the_first_of_the_names_that_is_there_is_the_client_and_two_traces_are_none() {
        let wanted = ["x-client-id", "client_id"].map(HeaderName::from_static);
        let check = |fields: &[(&'static str, &'static str)], client: Option<&str>, trace: Option<&str>| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            let said = Said::by(&headers, &wanted);
            let text = |value: Option<&HeaderValue>| value.map(|value| value.to_str().unwrap().to_owned());
            assert_eq!((text(said.client).as_deref(), text(said.trace_parent).as_deref()), (client, trace));
        };
        check(&[], None, None);
        check(&[("host", "a"), ("client_id", "b")], Some("b"), None);
        check(&[("client_id", "b"), ("traceparent", "t"), ("x-client-id", "a")], Some("a"), Some("t"));
        check(&[("x-client-id", "a"), ("client_id", "b")], Some("a"), None);
        check(&[("x-client-id", "a"), ("x-client-id", "c")], Some("a"), None);
        check(&[("traceparent", "t"), ("x-client-id", ""), ("traceparent", "t")], Some(""), None);
    }
}
