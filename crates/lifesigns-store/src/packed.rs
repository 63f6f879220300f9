//! A rollup as it is kept: its sums, and its latency buckets as bytes.
//!
//! A tenth of the memory of a live histogram, and the very form of a row in a file.

use lifesigns_model::histogram::DecodeError;
use lifesigns_model::rollup::Rollup;

/// What a rollup adds up, but for its latency buckets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Sums {
    pub(crate) count: u64,
    pub(crate) sum_micros: u64,
    pub(crate) max_micros: u64,
    pub(crate) first_byte_micros: u64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
}

impl Sums {
    /// Adds these to `count` and `rollup`, with as many of the encoded buckets as there are.
    pub(crate) fn add_to(
        &self,
        buckets: &[u8],
        count: &mut u64,
        rollup: &mut Rollup,
    ) -> Result<(), DecodeError> {
        rollup.latency.merge_encoded(buckets, self.sum_micros, self.max_micros)?;
        *count = count.saturating_add(self.count);
        rollup.first_byte_micros = rollup.first_byte_micros.saturating_add(self.first_byte_micros);
        rollup.request_bytes = rollup.request_bytes.saturating_add(self.request_bytes);
        rollup.response_bytes = rollup.response_bytes.saturating_add(self.response_bytes);
        Ok(())
    }
}

/// A rollup at rest.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Packed {
    pub(crate) sums: Sums,
    /// As `Histogram::encode_buckets` makes them. Empty where nobody asked for them.
    pub(crate) buckets: Box<[u8]>,
}

impl Packed {
    pub(crate) fn of(rollup: &Rollup) -> Packed {
        let sums = Sums {
            count: rollup.count(),
            sum_micros: rollup.latency.sum_micros(),
            max_micros: rollup.latency.max_micros(),
            first_byte_micros: rollup.first_byte_micros,
            request_bytes: rollup.request_bytes,
            response_bytes: rollup.response_bytes,
        };
        Packed { sums, buckets: rollup.latency.encode_buckets().into() }
    }

    /// Adds this to `count` and `rollup`; the buckets too, if `with_buckets` says so.
    pub(crate) fn add_to(
        &self,
        count: &mut u64,
        rollup: &mut Rollup,
        with_buckets: bool,
    ) -> Result<(), DecodeError> {
        self.sums.add_to(if with_buckets { &self.buckets } else { &[] }, count, rollup)
    }

    /// The live rollup.
    pub(crate) fn unpacked(&self) -> Result<Rollup, DecodeError> {
        let mut rollup = Rollup::default();
        self.add_to(&mut 0, &mut rollup, true)?;
        Ok(rollup)
    }
}

#[cfg(test)]
mod tests {
    use lifesigns_model::exchange::Measurement;

    use super::*;

    #[test]
    fn packing_keeps_everything() {
        let mut rollup = Rollup::default();
        for micros in [1, 130, 90_000] {
            rollup.record(&Measurement {
                total_micros: micros,
                first_byte_micros: micros / 2,
                request_bytes: 7,
                response_bytes: 1 << 40,
            });
        }
        let packed = Packed::of(&rollup);
        assert_eq!(packed.sums.count, 3);
        assert_eq!(packed.unpacked(), Ok(rollup));
    }

    #[test]
    fn without_buckets_the_sums_are_still_right() {
        let sums = Sums { count: 4, sum_micros: 10, max_micros: 7, request_bytes: 3, ..Sums::default() };
        let packed = Packed { sums, buckets: Box::default() };
        let (mut count, mut rollup) = (1, Rollup::default());
        packed.add_to(&mut count, &mut rollup, false).unwrap();
        assert_eq!((count, rollup.latency.sum_micros(), rollup.latency.max_micros()), (5, 10, 7));
        assert_eq!((rollup.request_bytes, rollup.latency.count()), (3, 0));
    }
}
