//! The traffic that the stores are filled with: made of a seed, the same each time.

use std::{f64::consts::PI, sync::Arc};

use lifesigns_model::{
    bucket::{Level, Minute, MinuteRange},
    exchange::{FailedBy, Measurement},
    rollup::Rollup,
    series::{NOT_APPLICABLE, Series},
};

/// 2026-03-18T14:37:25Z, a Wednesday: neither a day nor an hour nor a minute has just begun.
pub(super) const NOW: &str = "2026-03-18T14:37:25Z";
/// Raised whenever another traffic comes out of the same seed.
pub(super) const VERSION: u32 = 1;

/// Minute rows are kept for two days, as they are by default.
pub(super) const MINUTES_KEPT: i64 = 2 * Level::Day.minutes();
const HOUR: i64 = Level::Hour.minutes();

pub(super) const SERIES: usize = 1000;
const APIS: usize = 20;
const APPS: u64 = 60;
/// Exchanges a minute in all series together, at noon of a working day.
const MOST_A_MINUTE: f64 = 40_000.0;

/// Series, and how much each of them counts when.
pub(super) struct World {
    pub(super) series: Vec<Kind>,
    /// The whole time, up to the minute in which the question is asked.
    pub(super) range: MinuteRange,
    seed: u64,
    /// What a median is multiplied by, in no order.
    spread: Vec<f64>,
}

/// A series and its habits.
pub(super) struct Kind {
    pub(super) labels: Arc<Series>,
    /// Of all exchanges.
    share: f64,
    median_micros: f64,
    response_bytes: u64,
}

impl World {
    pub(super) fn new(seed: u64, days: i64) -> World {
        let mut random = Random::new(seed);
        let end = Minute::at_or_after(NOW.parse().expect("a time"));
        let spread = (0..4096).map(|_| (0.45 * random.normal()).exp()).collect();
        let range = MinuteRange::new(end.plus(-days * 1440), end);
        World { series: series(&mut random), range, seed, spread }
    }

    /// The API with the most series: the dearest to ask for.
    pub(super) fn largest_api(&self) -> &str {
        &self.series[0].labels.api
    }

    /// The newest minute.
    pub(super) fn newest(&self) -> Minute {
        self.range.end.plus(-1)
    }

    /// From where on single minutes are kept.
    pub(super) fn minutes_from(&self) -> Minute {
        self.newest().plus(-MINUTES_KEPT).floor(HOUR).max(self.range.start)
    }

    /// The whole time in the steps in which it is written. Of the hours whose minutes have expired meanwhile each is one
    /// step with the sum of its minutes: it leaves the same hour behind as sixty would, in a sixtieth of the time.
    pub(super) fn steps(&self) -> impl Iterator<Item = MinuteRange> + use<> {
        let (singly, end) = (self.minutes_from(), self.range.end);
        let mut next = self.range.start;
        std::iter::from_fn(move || {
            let start = next;
            next = if start < singly { start.plus(1).ceil(HOUR) } else { start.plus(1) };
            (start < end).then_some(MinuteRange::new(start, next))
        })
    }

    /// How many exchanges a series had in a minute: at least one.
    pub(super) fn count(&self, series: usize, minute: Minute) -> u64 {
        let chance = mix(self.seed ^ mix(((series as u64) << 40) ^ minute.number() as u64));
        let noise = 0.7 + 0.6 * (chance >> 40) as f64 / (1u64 << 24) as f64;
        let rounding = (chance & 0xffff) as f64 / f64::from(1 << 16);
        let mean = self.series[series].share * MOST_A_MINUTE * shape(minute);
        ((mean * noise + rounding) as u64).max(1)
    }

    /// What a series counted in a span that begins with `first`, merged.
    pub(super) fn rollup(&self, series: usize, span: MinuteRange) -> Rollup {
        let minutes = (span.start.number()..span.end.number()).map(Minute::new);
        let count: u64 = minutes.map(|minute| self.count(series, minute)).sum();
        let mut sum = Rollup::default();
        let kind = &self.series[series];
        let mut random = Random::new(mix(self.seed ^ mix(series as u64)) ^ span.start.number() as u64);
        let median = kind.median_micros * (0.8 + 0.4 * shape(span.start));
        let mut bits = 0;
        for number in 0..count {
            if number % 5 == 0 {
                bits = random.next();
            }
            let total_micros = (median * self.spread[(bits & 0xfff) as usize]) as u64;
            bits >>= 12;
            sum.record(&Measurement {
                total_micros,
                first_byte_micros: total_micros * 4 / 5,
                request_bytes: 300,
                response_bytes: kind.response_bytes,
            });
        }
        sum
    }
}

/// How busy a minute is, from 0 to 1: a working day with a hill from six to ten in the evening, a calm weekend.
fn shape(minute: Minute) -> f64 {
    let hour = minute.number().rem_euclid(1440) as f64 / 60.0;
    // The epoch began on a Thursday.
    let is_weekend = matches!(minute.number().div_euclid(1440).rem_euclid(7), 2 | 3);
    let hill = (PI * (hour - 6.0) / 16.0).sin().max(0.0);
    (0.2 + 0.8 * if hour < 6.0 { 0.0 } else { hill }) * if is_weekend { 0.5 } else { 1.0 }
}

/// Series of APIs of very different sizes; within an API a few have most of the traffic.
fn series(random: &mut Random) -> Vec<Kind> {
    const STATUSES: [(u16, u64); 9] =
        [(200, 55), (201, 10), (204, 6), (304, 5), (400, 7), (401, 4), (404, 7), (500, 3), (503, 3)];
    let weight = |api: usize| ((api + 1) as f64).powf(-0.7);
    let all: f64 = (0..APIS).map(weight).sum();
    let mut series: Vec<Kind> = Vec::new();
    for api in 0..APIS {
        let left = SERIES - series.len();
        let share = (weight(api) / all * SERIES as f64).round() as usize;
        let wanted = if api + 1 == APIS { left } else { share.min(left) };
        let routes = 6 + random.below(9);
        let begin = series.len();
        while series.len() - begin < wanted {
            // Small numbers are likelier, as with routes and apps.
            let route = random.below(routes).min(random.below(routes));
            let app = random.below(APPS).min(random.below(APPS));
            let mut dice = random.below(STATUSES.iter().map(|(_, weight)| weight).sum());
            let chosen = STATUSES.iter().find(|(_, weight)| {
                let found = dice < *weight;
                dice = dice.saturating_sub(*weight);
                found
            });
            let status = chosen.map_or(200, |(status, _)| *status);
            let labels = Series {
                api: format!("api-{api:02}").into(),
                api_version: "v1".into(),
                route: format!("/api-{api:02}/things-{route}/{{id}}").into(),
                method: ["GET", "GET", "GET", "POST", "PUT", "DELETE"][random.below(6) as usize].into(),
                status,
                client_id: if app == 0 { NOT_APPLICABLE.into() } else { format!("app-{app:02}").into() },
                policy: None,
                failed_by: FailedBy::of_status(status),
                instance: "one".into(),
            };
            if !series[begin..].iter().any(|kind| *kind.labels == labels) {
                let rank = (series.len() - begin + 1) as f64;
                series.push(Kind {
                    labels: Arc::new(labels),
                    share: weight(api) / rank.powf(0.9),
                    median_micros: 3000.0 * (1 + route * route) as f64,
                    response_bytes: 200 + random.below(20_000),
                });
            }
        }
    }
    let whole: f64 = series.iter().map(|kind| kind.share).sum();
    series.iter_mut().for_each(|kind| kind.share /= whole);
    series
}

/// A small generator of random numbers: `SplitMix64`.
struct Random(u64);

impl Random {
    const fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Of mean 0 and deviation 1, by the sum of twelve even ones.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| (self.next() >> 11) as f64 / (1u64 << 53) as f64).sum::<f64>() - 6.0
    }
}

const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_traffic() {
        let (one, other) = (World::new(7, 2), World::new(7, 2));
        assert_eq!(one.series.len(), SERIES);
        let hour = MinuteRange::new(one.range.start, one.range.start.plus(60));
        for series in [0, 400, 999] {
            assert_eq!(one.series[series].labels, other.series[series].labels);
            let rollup = one.rollup(series, hour);
            assert_eq!(rollup, other.rollup(series, hour));
            let minutes = (hour.start.number()..hour.end.number()).map(Minute::new);
            assert_eq!(rollup.count(), minutes.map(|minute| one.count(series, minute)).sum::<u64>());
        }
    }

    #[test]
    fn no_two_series_have_the_same_labels() {
        let world = World::new(1, 1);
        let labels: std::collections::BTreeSet<_> = world.series.iter().map(|kind| &kind.labels).collect();
        assert_eq!(labels.len(), SERIES);
    }
}
