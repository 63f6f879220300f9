//! Watches one exchange, from the request's head to the end of the response's body.
//!
//! One exchange makes one record: when its response body has ended, failed or been dropped, or when the exchange
//! itself is dropped before there was an answer. Nothing here waits, and nothing in a `Drop` panics.

mod body;

use std::num::NonZeroU128;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use http::{HeaderMap, Method, StatusCode};
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
    /// Until the answer's head, once there is one.
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
        let key = SeriesKey {
            api: api.index as u16,
            client: client_number(api.state(), headers),
            method: method_number(method),
            ..SeriesKey::default()
        };
        let watched = api.process.recorder.begin(|subjects| Seen {
            key,
            started: subjects.clock.read(started),
            is_head: method == Method::HEAD,
            trace_id: sampled_trace(headers).map(Box::new),
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
            let head = watched.now();
            let seen = watched.seen_mut();
            let has_no_body = seen.is_head
                || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
                || status.is_informational();
            seen.first_byte_micros = Some(head.micros_since(seen.started));
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
        seen.key.failed_by = failed_by;
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

    fn routes(&self) -> &Labels {
        &self.subjects().routes[usize::from(self.seen().key.api)]
    }

    fn is_cut_off(&self) -> bool {
        self.subjects().cuts_off.load(Ordering::Relaxed)
    }
}

fn client_number(state: &ApiState, headers: &HeaderMap) -> u16 {
    let Some(name) = state.settings.client_id_headers.iter().find_map(|header| headers.get(header)) else {
        return NOT_APPLICABLE_ID;
    };
    match name.to_str() {
        Ok("") => NOT_APPLICABLE_ID,
        Ok(name) if name.len() <= MAX_CLIENT_BYTES => state.clients.id(name),
        _ => state.clients.other(),
    }
}
