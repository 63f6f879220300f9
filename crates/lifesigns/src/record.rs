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
use crate::exemplar::sampled_trace;
use crate::process::{Api, ApiState};
use crate::recorder::accumulator::SeriesKey;
use crate::recorder::labels::{Labels, NOT_APPLICABLE_ID};
use crate::recorder::{Counts, method_number};

/// Longest name of a client app; longer ones are counted under `_other_`.
const MAX_CLIENT_BYTES: usize = 64;

/// An exchange that has no answer yet. Dropped in this state it is counted as one that its client gave up.
#[derive(Debug)]
pub struct Exchange {
    watched: Option<Watched>,
}

/// What is known of an exchange before it ends.
#[derive(Debug)]
struct Watched {
    /// Of the thread on which it began.
    counts: Arc<Counts>,
    api: u16,
    started: Instant,
    method: u8,
    route: Route,
    client: u16,
    policy: u16,
    is_head: bool,
    request_bytes: Option<Arc<AtomicU64>>,
    /// The trace that it belongs to, where that is recorded.
    trace_id: Option<NonZeroU128>,
}

#[derive(Debug)]
enum Route {
    /// The number of a template.
    Known(u16),
    /// A template made from a raw path, not among the known ones so far.
    Guessed(String),
}

impl Exchange {
    pub(crate) fn begin(api: &Api, method: &Method, headers: &HeaderMap, started: Instant) -> Exchange {
        let client = client_number(api.state(), headers);
        let number = api.index as u16;
        let watched = Watched {
            counts: api.process.recorder.begin(number),
            api: number,
            started,
            method: method_number(method),
            route: Route::Known(NOT_APPLICABLE_ID),
            client,
            policy: NOT_APPLICABLE_ID,
            is_head: method == Method::HEAD,
            request_bytes: None,
            trace_id: sampled_trace(headers),
        };
        Exchange { watched: Some(watched) }
    }

    /// The template of the route that answers, such as `/users/{id}`. Never the raw path.
    pub fn set_route(&mut self, template: &str) {
        if let Some(watched) = &mut self.watched {
            watched.route = Route::Known(watched.routes().id(template));
        }
    }

    /// Makes a template from the raw path, for an API without a list of its routes. A path that turns out not to
    /// exist (404, 405) does not become a route and is counted under `_na_`: otherwise a scanner could fill the list.
    pub fn guess_route(&mut self, path: &str) {
        let Some(watched) = &mut self.watched else { return };
        let template = template_of(path);
        watched.route = match watched.routes().known_id(&template) {
            None => Route::Guessed(template.into_owned()),
            Some(known) => Route::Known(known),
        };
    }

    /// Says that a policy of this name refuses the request.
    pub fn refuse(&mut self, policy: &str) {
        if let Some(watched) = &mut self.watched {
            watched.policy = watched.counts.subjects.policies.id(policy);
        }
    }

    /// Counts the bytes of the request's body as they pass.
    pub fn request_body<B: Body>(&mut self, body: B) -> RequestBody<B> {
        let counter = match &mut self.watched {
            Some(watched) if !body.is_end_stream() => {
                Some(Arc::clone(watched.request_bytes.insert(Arc::default())))
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
        let answered = self.watched.take().map(|watched| {
            let has_no_body = watched.is_head
                || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
                || status.is_informational();
            Answered {
                first_byte_micros: micros_since(watched.started, Instant::now()),
                watched,
                status: status.as_u16(),
                failed_by,
                length: if has_no_body { Some(0) } else { length },
                response_bytes: 0,
            }
        });
        ResponseBody::new(body, answered)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(watched) = self.watched.take() else { return };
        // A handler that panics takes its future along: that is the API's failure, not the client's.
        let (status, failed_by) = if std::thread::panicking() {
            (StatusCode::INTERNAL_SERVER_ERROR.as_u16(), FailedBy::Upstream)
        } else if watched.is_cut_off() {
            (StatusCode::SERVICE_UNAVAILABLE.as_u16(), FailedBy::Gateway)
        } else {
            (CLIENT_CLOSED_REQUEST, FailedBy::Client)
        };
        watched.record(status, failed_by, 0, None);
    }
}

/// An exchange whose answer has begun.
#[derive(Debug)]
struct Answered {
    watched: Watched,
    first_byte_micros: u64,
    status: u16,
    failed_by: FailedBy,
    /// Length of the body, where it is known.
    length: Option<u64>,
    response_bytes: u64,
}

/// How a response body came to its end.
#[derive(Clone, Copy, Debug)]
enum End {
    Complete,
    Broken,
    Dropped,
}

impl Answered {
    fn end(self, end: End) {
        let failed_by = match end {
            End::Complete => self.failed_by,
            End::Dropped if self.length.is_some_and(|length| self.response_bytes >= length) => self.failed_by,
            End::Broken => FailedBy::Upstream,
            // The body breaks off because its maker panicked.
            End::Dropped if std::thread::panicking() => FailedBy::Upstream,
            End::Dropped if self.watched.is_cut_off() => FailedBy::Gateway,
            // A failure that the client did not wait to read is still a failure.
            End::Dropped if self.failed_by.counts_against_service() => self.failed_by,
            End::Dropped => FailedBy::Client,
        };
        self.watched.record(self.status, failed_by, self.response_bytes, Some(self.first_byte_micros));
    }
}

impl Watched {
    fn routes(&self) -> &Labels {
        &self.counts.subjects.routes[usize::from(self.api)]
    }

    fn is_cut_off(&self) -> bool {
        self.counts.subjects.cuts_off.load(Ordering::Relaxed)
    }

    fn record(
        mut self,
        status: u16,
        failed_by: FailedBy,
        response_bytes: u64,
        first_byte_micros: Option<u64>,
    ) {
        let ended = Instant::now();
        let route = std::mem::replace(&mut self.route, Route::Known(NOT_APPLICABLE_ID));
        let route = match route {
            Route::Known(route) => route,
            Route::Guessed(template) if matches!(status, 404 | 405) => {
                self.routes().known_id(&template).unwrap_or(NOT_APPLICABLE_ID)
            }
            Route::Guessed(template) => self.routes().id(&template),
        };
        let total_micros = micros_since(self.started, ended);
        let measured = Measurement {
            total_micros,
            first_byte_micros: first_byte_micros.unwrap_or(total_micros),
            request_bytes: self.request_bytes.map_or(0, |bytes| bytes.load(Ordering::Relaxed)),
            response_bytes,
        };
        let key = SeriesKey {
            api: self.api,
            route,
            client: self.client,
            status,
            policy: self.policy,
            method: self.method,
            failed_by,
        };
        if let Some(trace_id) = self.trace_id {
            self.counts.keep_trace(key, trace_id, ended, total_micros);
        }
        self.counts.subjects.record(key, ended, &measured);
    }
}

fn micros_since(started: Instant, ended: Instant) -> u64 {
    ended.saturating_duration_since(started).as_micros() as u64
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
