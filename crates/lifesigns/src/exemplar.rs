//! Single exchanges that stand for many: metrics name the trace of one in each bucket of a histogram.

use std::num::NonZeroU128;

use http::HeaderValue;
use jiff::Timestamp;

use crate::recorder::accumulator::SeriesKey;
use crate::resources::is_trace_parent;

/// Traced exchanges that one thread keeps from tick to tick; past it the newest take the place of others.
const KEPT_OF_A_THREAD: usize = 64;

/// An exchange whose trace is kept by whoever traces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    /// Its trace id, by the W3C trace context.
    pub trace_id: NonZeroU128,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// When it ended.
    pub ended: Timestamp,
}

/// The trace that a `traceparent` names, if the caller says that it is recorded (the flag `sampled`). One that cannot
/// be looked up would be of no use.
pub(crate) fn sampled_trace(trace_parent: &HeaderValue) -> Option<NonZeroU128> {
    let value = trace_parent.to_str().ok().filter(|value| is_trace_parent(value))?;
    let flags = u8::from_str_radix(value.get(53..55)?, 16).ok()?;
    let trace = u128::from_str_radix(value.get(3..35)?, 16).ok()?;
    NonZeroU128::new(trace).filter(|_| flags & 1 == 1)
}

/// An exchange with a trace that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traced {
    pub(crate) key: SeriesKey,
    pub(crate) trace_id: NonZeroU128,
    pub(crate) micros: u64,
    /// When it ended, by the recorder's clock.
    pub(crate) at_micros: i64,
}

/// Those of one thread since the last tick.
#[derive(Debug, Default)]
pub(crate) struct TracedOfThread {
    kept: Vec<Traced>,
    next: usize,
}

impl TracedOfThread {
    pub(crate) fn add(&mut self, traced: Traced) {
        if self.kept.len() < KEPT_OF_A_THREAD {
            self.kept.push(traced);
        } else {
            self.kept[self.next % KEPT_OF_A_THREAD] = traced;
            self.next += 1;
        }
    }

    pub(crate) fn take(&mut self, others: &mut Vec<Traced>) {
        others.append(&mut self.kept);
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trace_that_is_recorded_is_named() {
        const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
        let check = |value: &str, expected: Option<u128>| {
            let header = HeaderValue::from_str(value).unwrap();
            assert_eq!(sampled_trace(&header).map(NonZeroU128::get), expected, "{value}");
        };
        let sampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        check(sampled, Some(TRACE));
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", Some(TRACE));
        check("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", Some(TRACE));
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02", None);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None);
        check("nonsense", None);
        check("", None);
    }

    #[test]
    fn a_thread_keeps_a_bounded_number_and_the_newest_among_them() {
        let mut thread = TracedOfThread::default();
        for number in 1..=1000_u32 {
            let trace_id = NonZeroU128::from(std::num::NonZeroU32::new(number).unwrap());
            thread.add(Traced { key: SeriesKey::SOME, trace_id, micros: 1, at_micros: 0 });
        }
        let mut all = Vec::new();
        thread.take(&mut all);
        assert_eq!(all.len(), KEPT_OF_A_THREAD);
        assert!(all.iter().any(|traced| traced.trace_id.get() == 1000));
    }
}
