//! Seeded chance: the same seed gives the same world.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// A stream of pseudo-random numbers (`SplitMix64`) that several tasks may draw from.
#[derive(Debug)]
pub(super) struct Random {
    state: AtomicU64,
}

impl Random {
    pub(super) const fn new(seed: u64) -> Random {
        Random { state: AtomicU64::new(seed) }
    }

    /// Any number.
    pub(super) fn number(&self) -> u64 {
        let mut mixed = self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, but not including, 1.
    pub(super) fn share(&self) -> f64 {
        (self.number() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number from 0 up to, but not including, `end`, which must not be 0.
    pub(super) fn below(&self, end: u64) -> u64 {
        self.number() % end
    }

    /// True this often.
    pub(super) fn chance(&self, share: f64) -> bool {
        self.share() < share
    }

    /// A wait between independent events that are `mean` apart on average; never more than 8 times as long.
    pub(super) fn pause(&self, mean: Duration) -> Duration {
        mean.mul_f64((-(1.0 - self.share()).ln()).min(8.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let draw = |seed| {
            let random = Random::new(seed);
            [random.number(), random.number(), random.number()]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        // The first output of `SplitMix64` for seed 0.
        assert_eq!(draw(0)[0], 0xE220_A839_7B1D_CDAF);
    }

    #[test]
    fn pauses_have_the_mean_they_are_asked_for() {
        let random = Random::new(1);
        let mean = Duration::from_millis(100);
        let sum: Duration = (0..10_000).map(|_| random.pause(mean)).sum();
        let average = sum / 10_000;
        assert!((Duration::from_millis(96)..Duration::from_millis(104)).contains(&average), "{average:?}");
    }
}
