//! Whether the memory of a process grows, and when it will have none left.

use serde::{Deserialize, Serialize};

/// Samples that are kept; when there are more, every other one goes.
const MOST_SAMPLES: usize = 256;
/// Fewer samples show no trend.
const FEWEST_SAMPLES: usize = 12;
/// A trend is one only when the line explains so much of the variance.
const CERTAIN: f64 = 0.8;
/// What has grown of late by less than this part of what it grew by on the whole is warm by now.
const LASTING: f64 = 0.75;
/// A growth of less than this part of what is used is none.
const LEAST_GROWTH: f64 = 0.05;
/// In milliseconds.
const HOUR: f64 = 3_600_000.0;

/// How much memory a process used at a time.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sample {
    /// In milliseconds since 1970.
    pub at: i64,
    /// In MB.
    pub used_mb: u64,
}

/// The memory of a process since it began: at most 256 samples, as evenly spread as they came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trend {
    samples: Vec<Sample>,
    /// Only every so many samples are kept; a power of two, or 0 before the first.
    stride: u32,
    skipped: u32,
}

/// A line through the samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// In MB an hour.
    pub mb_per_hour: f64,
    /// Which part of the variance the line explains, from 0 to 1.
    pub certainty: f64,
    /// What it has grown by over the samples, in MB.
    pub grown_mb: f64,
}

impl Trend {
    /// Takes a sample, which is newer than all others.
    pub fn add(&mut self, sample: Sample) {
        self.skipped += 1;
        if self.skipped < self.stride.max(1) {
            return;
        }
        self.skipped = 0;
        self.samples.push(sample);
        if self.samples.len() > MOST_SAMPLES {
            let mut keep = false;
            self.samples.retain(|_| {
                keep = !keep;
                keep
            });
            self.stride = self.stride.max(1) * 2;
        }
    }

    /// The samples, oldest first.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The line that fits best by least squares; `None` with fewer than 12 samples or no time between them.
    pub fn growth(&self) -> Option<Growth> {
        if self.samples.len() < FEWEST_SAMPLES { None } else { line(&self.samples) }
    }

    /// The growth, if it looks like a leak: steady, upwards, more than noise, and not coming to an end.
    pub fn leak(&self) -> Option<Growth> {
        let used = self.samples.last()?.used_mb as f64;
        let growth = self.growth()?;
        let of_late = line(&self.samples[self.samples.len() / 2..])?;
        let is_leak = growth.certainty >= CERTAIN
            && growth.grown_mb > (used * LEAST_GROWTH).max(2.0)
            && of_late.mb_per_hour >= growth.mb_per_hour * LASTING;
        is_leak.then_some(growth)
    }

    /// How long until `total_mb` are used, in milliseconds, if it goes on leaking like that.
    pub fn time_to_limit(&self, total_mb: u64) -> Option<i64> {
        let used = self.samples.last()?.used_mb;
        let leak = self.leak()?;
        let left = total_mb.saturating_sub(used) as f64;
        Some((left / leak.mb_per_hour * HOUR) as i64)
    }
}

fn line(samples: &[Sample]) -> Option<Growth> {
    let (first, last) = (samples.first()?, samples.last()?);
    if last.at <= first.at {
        return None;
    }
    let count = samples.len() as f64;
    let points = || samples.iter().map(|one| ((one.at - first.at) as f64 / HOUR, one.used_mb as f64));
    let (sum_x, sum_y) = points().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in points() {
        xx += (x - mean_x).powi(2);
        xy += (x - mean_x) * (y - mean_y);
        yy += (y - mean_y).powi(2);
    }
    let slope = xy / xx;
    let certainty = if yy == 0.0 { 0.0 } else { xy * xy / (xx * yy) };
    let hours = (last.at - first.at) as f64 / HOUR;
    Some(Growth { mb_per_hour: slope, certainty, grown_mb: slope * hours })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One sample a minute.
    fn trend(used: impl IntoIterator<Item = u64>) -> Trend {
        let mut trend = Trend::default();
        for (minute, used_mb) in used.into_iter().enumerate() {
            trend.add(Sample { at: minute as i64 * 60_000, used_mb });
        }
        trend
    }

    #[test]
    fn a_steady_growth_is_a_leak_and_tells_when_it_ends() {
        let leaking = trend((0..120).map(|minute| 100 + minute));
        let growth = leaking.leak().unwrap();
        assert!((growth.mb_per_hour - 60.0).abs() < 0.1, "{growth:?}");
        let left = leaking.time_to_limit(279).unwrap();
        assert!((left - 3_600_000).abs() < 60_000, "{left}");
    }

    #[test]
    fn noise_and_a_warm_up_are_no_leak() {
        assert_eq!(trend((0..120).map(|minute| 100 + minute % 7)).leak(), None);
        assert_eq!(
            trend((0..120).map(|minute| if minute < 5 { 50 + minute * 10 } else { 100 })).leak(),
            None
        );
        // Caches fill ever more slowly.
        assert_eq!(trend((0..120).map(|minute| 100 + (10.0 * f64::from(minute).sqrt()) as u64)).leak(), None);
        assert_eq!(trend([100; 120]).leak(), None);
        assert_eq!(trend((0..11).map(|minute| 100 + 10 * minute)).leak(), None);
        assert_eq!(trend((0..120).map(|minute| 500 - minute)).leak(), None);
    }

    #[test]
    fn many_samples_are_thinned_out_evenly() {
        let long = trend((0..100_000).map(|minute| 100 + minute / 100));
        assert!(long.samples().len() <= MOST_SAMPLES);
        let gaps: Vec<i64> = long.samples().windows(2).map(|pair| pair[1].at - pair[0].at).collect();
        assert!(gaps.iter().all(|gap| *gap == gaps[0]), "{gaps:?}");
        assert!((long.growth().unwrap().mb_per_hour - 0.6).abs() < 0.05);
    }
}
