//! Who is being waited for, and for how long.
//!
//! A timer for each wait would cost more than the wait is worth, since nearly all end in time. So each connection of
//! a client notes in a [`Watch`] since which tick of its worker's coarse clock it has been waiting for whom; the
//! worker looks through all watches at each tick and wakes what is overdue.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering::Relaxed},
    },
    task::Waker,
    time::Duration,
};

use crate::config::Timeouts;

/// Whom a connection may be waiting for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Wait {
    /// The client, for the head of a request.
    RequestHead,
    /// The client, for more of a request's body.
    RequestBody,
    /// The upstream, for the head of its response.
    ResponseHead,
    /// The upstream, for more of its response's body.
    ResponseBody,
    /// The client, to take what was written.
    Write,
    /// The upstream, for `100 Continue`.
    Continue,
    /// The client, to close after the last response.
    Close,
    /// The answer for a client that has closed its side already.
    HalfClosed,
    /// The client, for the rest of a request's head while the gateway ends.
    LastHead,
}

const WAITS: [Wait; 9] = [
    Wait::RequestHead,
    Wait::RequestBody,
    Wait::ResponseHead,
    Wait::ResponseBody,
    Wait::Write,
    Wait::Continue,
    Wait::Close,
    Wait::HalfClosed,
    Wait::LastHead,
];

/// How long the client gets to close its side once everything was said. Closing a socket with unread bytes in it
/// would make the kernel reset the connection and lose the end of the response.
const CLOSE: Duration = Duration::from_secs(1);

/// How long an answer may still take once its client has closed its side. Some close it right after their request and
/// read on; of one that has gone altogether nothing else is to be seen. Whatever it takes of the answer extends it.
const HALF_CLOSED: Duration = Duration::from_secs(2);

/// How long the gateway, when it ends, waits for the head of a request that may be on its way.
const LAST_HEAD: Duration = Duration::from_secs(1);

/// The coarse clock of one worker.
#[derive(Clone, Debug)]
pub(crate) struct Ticks(Arc<AtomicU32>);

impl Ticks {
    pub(crate) fn new() -> Ticks {
        // 0 is kept for "not waiting".
        Ticks(Arc::new(AtomicU32::new(1)))
    }

    pub(crate) fn now(&self) -> u32 {
        self.0.load(Relaxed)
    }

    pub(crate) fn advance(&self) {
        self.0.store(self.now().checked_add(1).unwrap_or(1), Relaxed);
    }
}

/// For how many ticks each wait may last.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    /// Length of a tick.
    pub(crate) tick: Duration,
    /// For how many ticks a connection to an upstream is kept.
    pub(crate) upstream_idle: u32,
    waits: [u32; WAITS.len()],
}

impl Patience {
    pub(crate) fn new(timeouts: &Timeouts) -> Patience {
        let length = |wait| match wait {
            Wait::RequestHead => timeouts.request_head,
            Wait::RequestBody | Wait::ResponseBody | Wait::Write => timeouts.body_idle,
            Wait::ResponseHead => timeouts.response_head,
            Wait::Continue => timeouts.expect_continue,
            Wait::Close => CLOSE,
            Wait::HalfClosed => HALF_CLOSED,
            Wait::LastHead => LAST_HEAD,
        };
        let shortest = WAITS.map(length).into_iter().min().unwrap_or(CLOSE).min(timeouts.upstream_idle);
        let tick = (shortest / 4).max(Duration::from_millis(5));
        // One more, because the first tick may come at once.
        let ticks = |length: Duration| {
            (length.as_micros() / tick.as_micros()).min(u128::from(u32::MAX / 2)) as u32 + 1
        };
        Patience {
            tick,
            upstream_idle: ticks(timeouts.upstream_idle),
            waits: WAITS.map(|wait| ticks(length(wait))),
        }
    }
}

/// The waits of one client connection.
#[derive(Debug)]
pub(crate) struct Watch {
    ticks: Ticks,
    since: [AtomicU32; WAITS.len()],
    overdue: AtomicU16,
    aborted: AtomicBool,
    cut_off: AtomicBool,
    lingers: AtomicBool,
    /// Requests whose answers have not ended. More than one only for a moment, when the next has been read before the
    /// last answer is let go of.
    under_way: AtomicU32,
    waker: Mutex<Option<Waker>>,
}

impl Watch {
    pub(crate) fn new(ticks: Ticks) -> Watch {
        Watch {
            ticks,
            since: Default::default(),
            overdue: AtomicU16::new(0),
            aborted: AtomicBool::new(false),
            cut_off: AtomicBool::new(false),
            lingers: AtomicBool::new(true),
            under_way: AtomicU32::new(0),
            waker: Mutex::new(None),
        }
    }

    /// Begins to wait, unless that wait is already under way.
    pub(crate) fn begin(&self, wait: Wait) {
        let since = &self.since[wait as usize];
        if since.load(Relaxed) == 0 {
            since.store(self.ticks.now(), Relaxed);
        }
    }

    /// Begins to wait anew.
    pub(crate) fn restart(&self, wait: Wait) {
        self.since[wait as usize].store(self.ticks.now(), Relaxed);
    }

    /// There was progress: if that wait is under way it begins anew.
    pub(crate) fn extend(&self, wait: Wait) {
        let since = &self.since[wait as usize];
        if since.load(Relaxed) != 0 {
            since.store(self.ticks.now(), Relaxed);
        }
    }

    /// No longer waits.
    pub(crate) fn end(&self, wait: Wait) {
        self.since[wait as usize].store(0, Relaxed);
        if self.overdue.load(Relaxed) != 0 {
            self.overdue.fetch_and(!bit(wait), Relaxed);
        }
    }

    fn is_waiting(&self, wait: Wait) -> bool {
        self.since[wait as usize].load(Relaxed) != 0
    }

    /// Whether that wait has lasted too long.
    pub(crate) fn is_overdue(&self, wait: Wait) -> bool {
        self.overdue.load(Relaxed) & bit(wait) != 0
    }

    /// Since which tick the client has been silent between two requests, or before its first; 0 if it is not.
    pub(crate) fn idle_since(&self) -> u32 {
        if self.is_answering() { 0 } else { self.since[Wait::RequestHead as usize].load(Relaxed) }
    }

    /// The client's connection is to be closed without another byte.
    pub(crate) fn abort(&self) {
        self.aborted.store(true, Relaxed);
        self.wake();
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted.load(Relaxed)
    }

    /// The gateway ends: what has no answer yet gets one that says so.
    pub(crate) fn cut_off(&self) {
        self.cut_off.store(true, Relaxed);
        self.wake();
    }

    pub(crate) fn is_cut_off(&self) -> bool {
        self.cut_off.load(Relaxed)
    }

    /// A request has been read.
    pub(crate) fn begin_answer(&self) {
        self.under_way.fetch_add(1, Relaxed);
        self.end(Wait::LastHead);
    }

    /// An answer has ended.
    pub(crate) fn end_answer(&self) {
        let before = self.under_way.fetch_update(Relaxed, Relaxed, |count| Some(count.saturating_sub(1)));
        if before.is_ok_and(|count| count <= 1) && self.is_waiting(Wait::HalfClosed) {
            self.end(Wait::HalfClosed);
            // Nothing else would tell the connection that its client has no more requests.
            self.wake();
        }
    }

    pub(crate) fn is_answering(&self) -> bool {
        self.under_way.load(Relaxed) > 0
    }

    /// From now on the connection belongs to another protocol.
    pub(crate) fn upgraded(&self) {
        self.lingers.store(false, Relaxed);
    }

    pub(crate) fn lingers(&self) -> bool {
        self.lingers.load(Relaxed)
    }

    /// Who is to be woken when something is overdue: the task of the connection.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }

    pub(crate) fn wake(&self) {
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Notes what is overdue at this tick, and wakes the connection if anything is.
    pub(crate) fn check(&self, patience: &Patience) {
        let now = self.ticks.now();
        let mut overdue = 0;
        for wait in WAITS {
            let since = self.since[wait as usize].load(Relaxed);
            if since != 0 && now.wrapping_sub(since) > patience.waits[wait as usize] {
                overdue |= bit(wait);
            }
        }
        if self.is_waiting(Wait::RequestBody) {
            // The upstream cannot answer what it has not yet been told.
            overdue &= !bit(Wait::ResponseHead);
        }
        if overdue != 0 {
            self.overdue.store(overdue, Relaxed);
            self.wake();
        }
    }
}

const fn bit(wait: Wait) -> u16 {
    1 << wait as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience() -> Patience {
        Patience::new(&Timeouts { response_head: Duration::from_secs(2), ..Timeouts::default() })
    }

    /// Lets so many milliseconds pass.
    fn pass(watch: &Watch, patience: &Patience, milliseconds: u64) {
        for _ in 0..milliseconds / patience.tick.as_millis() as u64 {
            watch.ticks.advance();
            watch.check(patience);
        }
    }

    #[test]
    fn a_wait_is_overdue_when_it_has_lasted_too_long() {
        let patience = patience();
        let watch = Watch::new(Ticks::new());
        watch.begin(Wait::ResponseHead);
        pass(&watch, &patience, 2000);
        assert!(!watch.is_overdue(Wait::ResponseHead));
        pass(&watch, &patience, 1000);
        assert!(watch.is_overdue(Wait::ResponseHead));
        assert!(!watch.is_overdue(Wait::ResponseBody), "that is another wait");
        watch.end(Wait::ResponseHead);
        assert!(!watch.is_overdue(Wait::ResponseHead));
    }

    #[test]
    fn a_wait_with_progress_is_never_overdue() {
        let patience = patience();
        let watch = Watch::new(Ticks::new());
        watch.begin(Wait::ResponseBody);
        for _ in 0..10 {
            pass(&watch, &patience, 40_000);
            watch.extend(Wait::ResponseBody);
        }
        assert!(!watch.is_overdue(Wait::ResponseBody));
        watch.end(Wait::ResponseBody);
        watch.extend(Wait::ResponseBody);
        pass(&watch, &patience, 100_000);
        assert!(!watch.is_overdue(Wait::ResponseBody), "progress alone begins no wait");
    }

    #[test]
    fn beginning_again_does_not_begin_anew() {
        let patience = patience();
        let watch = Watch::new(Ticks::new());
        for _ in 0..4 {
            watch.begin(Wait::ResponseHead);
            pass(&watch, &patience, 1000);
        }
        assert!(watch.is_overdue(Wait::ResponseHead));
    }

    #[test]
    fn an_upstream_is_not_late_while_the_client_is() {
        let patience = patience();
        let watch = Watch::new(Ticks::new());
        watch.begin(Wait::ResponseHead);
        watch.begin(Wait::RequestBody);
        pass(&watch, &patience, 10_000);
        assert!(!watch.is_overdue(Wait::ResponseHead));
        pass(&watch, &patience, 60_000);
        assert!(watch.is_overdue(Wait::RequestBody));
    }

    #[test]
    fn the_clock_is_coarse_but_finer_than_what_it_measures() {
        let tick = |milliseconds| {
            let shortest = Duration::from_millis(milliseconds);
            Patience::new(&Timeouts { upstream_idle: shortest, ..Timeouts::default() }).tick
        };
        assert_eq!(tick(60_000), Duration::from_millis(250));
        assert_eq!(tick(100), Duration::from_millis(25));
        assert_eq!(tick(1), Duration::from_millis(5));
    }
}
