//! A rollup as it is kept: its sums, and its latency buckets as bytes.
//!
//! A tenth of the memory of a live histogram, and the very form of a row in a file. Two of them are added without making
//! live ones of them first.

use lifesigns_model::histogram::DecodeError;
use lifesigns_model::leb128;
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
    fn of(rollup: &Rollup) -> Sums {
        Sums {
            count: rollup.count(),
            sum_micros: rollup.latency.sum_micros(),
            max_micros: rollup.latency.max_micros(),
            first_byte_micros: rollup.first_byte_micros,
            request_bytes: rollup.request_bytes,
            response_bytes: rollup.response_bytes,
        }
    }

    /// Adds others to these.
    pub(crate) fn merge(&mut self, other: &Sums) {
        self.count = self.count.saturating_add(other.count);
        self.sum_micros = self.sum_micros.saturating_add(other.sum_micros);
        self.max_micros = self.max_micros.max(other.max_micros);
        self.first_byte_micros = self.first_byte_micros.saturating_add(other.first_byte_micros);
        self.request_bytes = self.request_bytes.saturating_add(other.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(other.response_bytes);
    }

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
    /// As `Histogram::encode_buckets` makes them.
    pub(crate) buckets: Box<[u8]>,
}

impl Packed {
    pub(crate) fn of(rollup: &Rollup) -> Packed {
        Packed { sums: Sums::of(rollup), buckets: rollup.latency.encode_buckets().into() }
    }

    /// Adds another to this, which is left as it is on an error.
    pub(crate) fn merge(&mut self, other: &Packed) -> Result<(), DecodeError> {
        let mut buckets = Vec::new();
        add_buckets(&mut buckets, &self.buckets, &other.buckets)?;
        self.buckets = buckets.into();
        self.sums.merge(&other.sums);
        Ok(())
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
}

/// Appends the sum of two lists of encoded buckets to `sum`.
pub(crate) fn add_buckets(sum: &mut Vec<u8>, one: &[u8], other: &[u8]) -> Result<(), DecodeError> {
    sum.reserve(one.len() + other.len());
    let (mut one, mut other) = (Encoded::begin(one)?, Encoded::begin(other)?);
    let mut previous = 0;
    loop {
        let index = one.index.min(other.index);
        if index == Encoded::OVER {
            return Ok(());
        }
        let mut count = 0u64;
        for list in [&mut one, &mut other] {
            if list.index == index {
                count = count.saturating_add(list.count);
                list.go_on()?;
            }
        }
        leb128::write(sum, index - previous);
        leb128::write(sum, count);
        previous = index;
    }
}

/// One after the other of the buckets that `Histogram::encode_buckets` has written.
struct Encoded<'b> {
    rest: &'b [u8],
    index: u64,
    count: u64,
}

impl Encoded<'_> {
    /// The index after the last bucket.
    const OVER: u64 = u64::MAX;

    fn begin(buckets: &[u8]) -> Result<Encoded<'_>, DecodeError> {
        let mut encoded = Encoded { rest: buckets, index: 0, count: 0 };
        encoded.go_on()?;
        Ok(encoded)
    }

    fn go_on(&mut self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            self.index = Encoded::OVER;
            return Ok(());
        }
        let distance = leb128::read(&mut self.rest).ok_or(DecodeError)?;
        self.index = self.index.checked_add(distance).ok_or(DecodeError)?;
        self.count = leb128::read(&mut self.rest).ok_or(DecodeError)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lifesigns_model::exchange::Measurement;
    use proptest::prelude::*;

    use super::*;

    fn unpacked(packed: &Packed) -> Result<Rollup, DecodeError> {
        let mut rollup = Rollup::default();
        packed.add_to(&mut 0, &mut rollup, true)?;
        Ok(rollup)
    }

    fn rollups() -> impl Strategy<Value = Rollup> {
        let measurement =
            (0u32..40).prop_flat_map(|bits| (0u64..1 << bits, 0u64..9)).prop_map(|(micros, bytes)| {
                Measurement {
                    total_micros: micros,
                    first_byte_micros: micros / 2,
                    request_bytes: bytes,
                    response_bytes: 1 << 40,
                }
            });
        prop::collection::vec(measurement, 0..300).prop_map(|measurements| {
            let mut rollup = Rollup::default();
            measurements.iter().for_each(|measurement| rollup.record(measurement));
            rollup
        })
    }

    proptest! {
        #[test]
        fn packing_keeps_everything(rollup in rollups()) {
            let packed = Packed::of(&rollup);
            prop_assert_eq!(packed.sums.count, rollup.count());
            prop_assert_eq!(unpacked(&packed), Ok(rollup));
        }

        #[test]
        fn adding_packed_ones_is_adding_live_ones(mut one in rollups(), other in rollups()) {
            let mut packed = Packed::of(&one);
            packed.merge(&Packed::of(&other)).unwrap();
            one.merge(&other);
            prop_assert_eq!(packed, Packed::of(&one));
        }

        #[test]
        fn any_buckets_are_added_or_refused(
            one in prop::collection::vec(any::<u8>(), 0..32), other in prop::collection::vec(any::<u8>(), 0..32),
        ) {
            let (sums, mut packed) = (Sums::default(), Packed { sums: Sums::default(), buckets: one.clone().into() });
            if packed.merge(&Packed { sums, buckets: other.into() }).is_err() {
                prop_assert_eq!(&*packed.buckets, &one[..]);
            }
        }
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
