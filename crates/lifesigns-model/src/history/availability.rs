//! From readings to figures: how much of a time a service was well, and what it was like.

use super::{Reading, Span};
use crate::light::Light;

/// How many seconds of a span a service was how. They add up to the span.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Availability {
    /// All was well.
    pub green_s: i64,
    /// It was available, with something wrong.
    pub amber_s: i64,
    /// It was unavailable.
    pub red_s: i64,
    /// Nobody knows: it was not asked, or the monitor had no network.
    pub not_known_s: i64,
}

impl Availability {
    /// Which share of the time of which something is known it was available: green or amber; from 0 to 1. `None` if
    /// nothing is known.
    pub fn share(&self) -> Option<f64> {
        let known = self.green_s + self.amber_s + self.red_s;
        (known > 0).then(|| (self.green_s + self.amber_s) as f64 / known as f64)
    }

    fn add(&mut self, light: Option<Light>, seconds: i64) {
        match light {
            Some(Light::Green) => self.green_s += seconds,
            Some(Light::Amber) => self.amber_s += seconds,
            Some(Light::Red) => self.red_s += seconds,
            None => self.not_known_s += seconds,
        }
    }
}

/// A part of a span.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// Which part.
    pub span: Span,
    /// The worst light in it; `None` if nothing is known of it.
    pub worst: Option<Light>,
    /// How much of it the service was how.
    pub availability: Availability,
    /// Mean of the latencies of its readings, in microseconds.
    pub latency_mean_us: Option<f64>,
    /// The latency that 95 % of its readings did not exceed, in microseconds (nearest rank).
    pub latency_p95_us: Option<u32>,
    /// Mean of the memory, in MB.
    pub memory_mean_mb: Option<f64>,
}

/// How much of a span a service was how.
///
/// A reading holds until the next one, and no longer than `hold_seconds`; what no reading covers is not known. The
/// readings are in the order of their times. Those before the span count as far as they reach into it.
pub fn availability(readings: &[Reading], span: Span, hold_seconds: i64) -> Availability {
    let mut whole = Availability::default();
    each(readings, span, hold_seconds, |from, to, light| whole.add(light, to - from));
    whole
}

/// A span cut into `count` parts, as equal as whole seconds allow, with what there was in each. No part if the span
/// has fewer seconds than that.
///
/// What holds for [`availability`] holds for each of them.
pub fn slices(readings: &[Reading], span: Span, hold_seconds: i64, count: usize) -> Vec<Slice> {
    let (length, parts) = (span.to.saturating_sub(span.from), count as i64);
    if parts == 0 || length < parts {
        return Vec::new();
    }
    let bound = |index: i64| span.from + (i128::from(length) * i128::from(index) / i128::from(parts)) as i64;
    let mut slices: Vec<Slice> = (0..parts)
        .map(|index| Slice {
            span: Span { from: bound(index), to: bound(index + 1) },
            worst: None,
            availability: Availability::default(),
            latency_mean_us: None,
            latency_p95_us: None,
            memory_mean_mb: None,
        })
        .collect();
    let mut current = 0;
    each(readings, span, hold_seconds, |mut from, to, light| {
        while from < to {
            while slices[current].span.to <= from {
                current += 1;
            }
            let slice = &mut slices[current];
            let end = to.min(slice.span.to);
            slice.availability.add(light, end - from);
            slice.worst = slice.worst.max(light);
            from = end;
        }
    });
    let mut rest = &readings[readings.partition_point(|reading| reading.at < span.from)..];
    let mut latencies = Vec::new();
    for slice in &mut slices {
        let (own, later) = rest.split_at(rest.partition_point(|reading| reading.at < slice.span.to));
        rest = later;
        latencies.clear();
        latencies.extend(own.iter().filter_map(|reading| reading.latency_us));
        let memories = own.iter().filter_map(|reading| reading.memory_mb).map(f64::from);
        slice.latency_mean_us = mean(latencies.iter().copied().map(f64::from));
        slice.latency_p95_us = percentile_95(&mut latencies);
        slice.memory_mean_mb = mean(memories);
    }
    slices
}

/// Calls with each stretch of the span and its light, in order and without gaps.
fn each(readings: &[Reading], span: Span, hold: i64, mut stretch: impl FnMut(i64, i64, Option<Light>)) {
    let mut at = span.from;
    let first = readings.partition_point(|reading| reading.at.saturating_add(hold) <= span.from);
    for (index, reading) in readings.iter().enumerate().skip(first) {
        if reading.at >= span.to {
            break;
        }
        let next = readings.get(index + 1).map_or(i64::MAX, |next| next.at);
        let from = reading.at.max(span.from);
        let to = next.min(reading.at.saturating_add(hold)).min(span.to);
        if to <= from {
            continue;
        }
        if from > at {
            stretch(at, from, None);
        }
        stretch(from, to, reading.light);
        at = to;
    }
    if at < span.to {
        stretch(at, span.to, None);
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0u64), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

fn percentile_95(values: &mut [u32]) -> Option<u32> {
    let rank = (values.len() * 95).div_ceil(100).checked_sub(1)?;
    Some(*values.select_nth_unstable(rank).1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reading(at: i64, light: Option<Light>) -> Reading {
        Reading { at, light, code: 200, latency_us: Some(at as u32), memory_mb: Some(10) }
    }

    #[test]
    fn a_gap_is_not_known_and_a_reading_holds_for_a_while() {
        let readings = [
            reading(0, Some(Light::Green)),
            reading(60, Some(Light::Red)),
            reading(1000, Some(Light::Amber)),
        ];
        let found = availability(&readings, Span { from: 0, to: 1060 }, 180);
        assert_eq!(found, Availability { green_s: 60, amber_s: 60, red_s: 180, not_known_s: 760 });
        assert_eq!(found.share(), Some(120.0 / 300.0));
        assert_eq!(availability(&[], Span { from: 0, to: 10 }, 180).share(), None);
        let reaching = availability(&readings, Span { from: 100, to: 110 }, 180);
        assert_eq!((reaching.red_s, reaching.not_known_s), (10, 0));
    }

    #[test]
    fn a_slice_has_its_worst_light_and_its_own_latencies() {
        let readings: Vec<Reading> = (0..100).map(|at| reading(at, Some(Light::Green))).collect();
        let slices = slices(&readings, Span { from: 0, to: 100 }, 60, 4);
        let found: Vec<_> =
            slices.iter().map(|slice| (slice.latency_mean_us, slice.latency_p95_us)).collect();
        assert_eq!(found[0], (Some(12.0), Some(23)));
        assert_eq!(found[3], (Some(87.0), Some(98)));
        assert!(slices.iter().all(|slice| slice.worst == Some(Light::Green)));
    }

    fn any_light() -> impl Strategy<Value = Option<Light>> {
        prop_oneof![Just(None), Just(Some(Light::Green)), Just(Some(Light::Amber)), Just(Some(Light::Red))]
    }

    proptest! {
        #[test]
        fn parts_add_up(
            steps in proptest::collection::vec((1i64..400, any_light()), 0..60),
            from in 0i64..5_000, length in 1i64..20_000, hold in 1i64..600, count in 1usize..50,
        ) {
            let mut at = 0;
            let readings: Vec<Reading> = steps.into_iter().map(|(step, light)| { at += step; reading(at, light) }).collect();
            let span = Span { from, to: from + length };
            let whole = availability(&readings, span, hold);
            prop_assert_eq!(whole.green_s + whole.amber_s + whole.red_s + whole.not_known_s, length);
            let slices = slices(&readings, span, hold, count);
            if length >= count as i64 {
                prop_assert_eq!(slices.len(), count);
                prop_assert_eq!(slices[0].span.from, span.from);
                prop_assert_eq!(slices[count - 1].span.to, span.to);
                let sum = |part: fn(&Availability) -> i64| slices.iter().map(|slice| part(&slice.availability)).sum::<i64>();
                prop_assert_eq!(sum(|one| one.green_s), whole.green_s);
                prop_assert_eq!(sum(|one| one.amber_s), whole.amber_s);
                prop_assert_eq!(sum(|one| one.red_s), whole.red_s);
                prop_assert_eq!(sum(|one| one.not_known_s), whole.not_known_s);
            } else {
                prop_assert_eq!(slices.len(), 0);
            }
        }
    }
}
