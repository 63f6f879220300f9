//! A block: everything that one API has counted in one minute, hour or day.
//!
//! Two strings of bytes. The figures are, for each series in the order of its number, LEB128 of its distance from the
//! number before it, the six sums, and how many bytes of the buckets are its own. The buckets are the latency buckets
//! of all series, one after the other. They stand apart because most questions do without them. Each ends with a
//! CRC-32 of what is before it: SQLite would not notice a bit that has turned.

use std::collections::BTreeMap;

use lifesigns_model::histogram::DecodeError;
use lifesigns_model::leb128;
use lifesigns_model::rollup::Rollup;

use crate::packed::{Packed, Sums, add_buckets};

/// Bytes of a checksum.
const CHECKSUM: usize = 4;
/// Numbers that a series has in the figures.
const NUMBERS: usize = 8;

/// A block at rest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Block {
    /// Exchanges of all its series.
    pub(super) count: u64,
    pub(super) figures: Vec<u8>,
    pub(super) buckets: Vec<u8>,
}

/// A block in the making. Series are to be added in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Builder {
    count: u64,
    last: i64,
    figures: Vec<u8>,
    buckets: Vec<u8>,
}

impl Builder {
    pub(super) fn add(&mut self, series: i64, sums: &Sums, buckets: &[u8]) {
        self.buckets.extend_from_slice(buckets);
        self.add_figures(series, sums, buckets.len());
    }

    pub(super) fn add_packed(&mut self, series: i64, packed: &Packed) {
        self.add(series, &packed.sums, &packed.buckets);
    }

    fn add_sum(&mut self, entry: &Entry<'_>, more: &Packed) -> Result<(), DecodeError> {
        let before = self.buckets.len();
        add_buckets(&mut self.buckets, entry.buckets, &more.buckets)?;
        let mut sums = entry.sums;
        sums.merge(&more.sums);
        self.add_figures(entry.series, &sums, self.buckets.len() - before);
        Ok(())
    }

    fn add_figures(&mut self, series: i64, sums: &Sums, buckets_bytes: usize) {
        self.count = self.count.saturating_add(sums.count);
        for number in [
            series.wrapping_sub(self.last) as u64,
            sums.count,
            sums.sum_micros,
            sums.max_micros,
            sums.first_byte_micros,
            sums.request_bytes,
            sums.response_bytes,
            buckets_bytes as u64,
        ] {
            leb128::write(&mut self.figures, number);
        }
        self.last = series;
    }

    pub(super) fn finish(self) -> Block {
        Block { count: self.count, figures: sealed(self.figures), buckets: sealed(self.buckets) }
    }
}

/// What one series has in a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'b> {
    pub(super) series: i64,
    pub(super) sums: Sums,
    /// Empty where the buckets of the block were not read.
    pub(super) buckets: &'b [u8],
}

impl Entry<'_> {
    /// Adds this to `count` and `rollup`, with the buckets that were read.
    pub(super) fn add_to(&self, count: &mut u64, rollup: &mut Rollup) -> Result<(), DecodeError> {
        self.sums.add_to(self.buckets, count, rollup)
    }
}

/// The series of a block, in the order of their numbers. It ends after an error.
#[derive(Debug)]
pub(super) struct Entries<'b> {
    series: i64,
    figures: &'b [u8],
    buckets: Option<&'b [u8]>,
}

impl<'b> Entries<'b> {
    /// Reads figures, and buckets where they are wanted.
    pub(super) fn of(figures: &'b [u8], buckets: Option<&'b [u8]>) -> Result<Entries<'b>, DecodeError> {
        let buckets = buckets.map(unsealed).transpose()?;
        Ok(Entries { series: 0, figures: unsealed(figures)?, buckets })
    }

    fn read(&mut self) -> Option<Entry<'b>> {
        let [
            distance,
            count,
            sum_micros,
            max_micros,
            first_byte_micros,
            request_bytes,
            response_bytes,
            length,
        ] = leb128::read_first::<NUMBERS, NUMBERS>(&mut self.figures)?;
        let series = self.series.wrapping_add(distance as i64);
        let sums = Sums { count, sum_micros, max_micros, first_byte_micros, request_bytes, response_bytes };
        let length = usize::try_from(length).ok()?;
        let buckets = match &mut self.buckets {
            None => &[][..],
            Some(buckets) => {
                let (own, others) = buckets.split_at_checked(length)?;
                *buckets = others;
                own
            }
        };
        self.series = series;
        Some(Entry { series, sums, buckets })
    }
}

impl<'b> Iterator for Entries<'b> {
    type Item = Result<Entry<'b>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.figures.is_empty() {
            let is_whole = self.buckets.take().is_none_or(<[u8]>::is_empty);
            return if is_whole { None } else { Some(Err(DecodeError)) };
        }
        let entry = self.read();
        if entry.is_none() {
            (self.figures, self.buckets) = (&[], None);
        }
        Some(entry.ok_or(DecodeError))
    }
}

/// The numbers of the series of a block, rising, and how many exchanges each has counted. It ends after an error.
#[derive(Debug)]
pub(super) struct Counts<'b> {
    series: i64,
    figures: &'b [u8],
}

impl<'b> Counts<'b> {
    pub(super) fn of(figures: &'b [u8]) -> Result<Counts<'b>, DecodeError> {
        Ok(Counts { series: 0, figures: unsealed(figures)? })
    }
}

impl Iterator for Counts<'_> {
    type Item = Result<(i64, u64), DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.figures.is_empty() {
            return None;
        }
        let Some([distance, count]) = leb128::read_first::<2, NUMBERS>(&mut self.figures) else {
            self.figures = &[];
            return Some(Err(DecodeError));
        };
        self.series = self.series.wrapping_add(distance as i64);
        Some(Ok((self.series, count)))
    }
}

/// A block with more added to it.
pub(super) fn added(block: &Block, more: &BTreeMap<i64, &Packed>) -> Result<Block, DecodeError> {
    let mut sum = Builder::default();
    let mut more = more.iter().peekable();
    for entry in Entries::of(&block.figures, Some(&block.buckets))? {
        let entry = entry?;
        while let Some((series, packed)) = more.next_if(|(series, _)| **series < entry.series) {
            sum.add_packed(*series, packed);
        }
        match more.next_if(|(series, _)| **series == entry.series) {
            None => sum.add(entry.series, &entry.sums, entry.buckets),
            Some((_, packed)) => sum.add_sum(&entry, packed)?,
        }
    }
    more.for_each(|(series, packed)| sum.add_packed(*series, packed));
    Ok(sum.finish())
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = crc32fast::hash(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

fn unsealed(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    let (bytes, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(DecodeError)?;
    let is_sound = crc32fast::hash(bytes).to_le_bytes() == *checksum;
    is_sound.then_some(bytes).ok_or(DecodeError)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rollup(micros: u64) -> Rollup {
        let mut rollup = Rollup { request_bytes: micros % 7, ..Rollup::default() };
        rollup.latency.record(micros);
        rollup
    }

    fn block(rollups: &BTreeMap<i64, Rollup>) -> Block {
        let mut builder = Builder::default();
        rollups.iter().for_each(|(series, rollup)| builder.add_packed(*series, &Packed::of(rollup)));
        builder.finish()
    }

    fn rollups() -> impl Strategy<Value = BTreeMap<i64, Rollup>> {
        prop::collection::btree_map(0i64..300, (1u64..1 << 40).prop_map(rollup), 0..40)
    }

    fn read(figures: &[u8], buckets: Option<&[u8]>) -> Result<BTreeMap<i64, (u64, Rollup)>, DecodeError> {
        Entries::of(figures, buckets)?
            .map(|entry| {
                let (entry, mut count, mut rollup) = (entry?, 0, Rollup::default());
                entry.add_to(&mut count, &mut rollup)?;
                Ok((entry.series, (count, rollup)))
            })
            .collect()
    }

    proptest! {
        #[test]
        fn a_block_holds_what_was_added(one in rollups(), other in rollups()) {
            let more: BTreeMap<_, _> = other.iter().map(|(series, rollup)| (*series, Packed::of(rollup))).collect();
            let sum = added(&block(&one), &more.iter().map(|(series, packed)| (*series, packed)).collect()).unwrap();
            let mut expected = one;
            for (series, rollup) in other {
                expected.entry(series).or_default().merge(&rollup);
            }
            prop_assert_eq!(sum.count, expected.values().map(Rollup::count).sum::<u64>());
            prop_assert_eq!(&sum, &block(&expected));
            let counts: BTreeMap<i64, u64> = Counts::of(&sum.figures).unwrap().map(Result::unwrap).collect();
            prop_assert_eq!(counts, expected.iter().map(|(series, rollup)| (*series, rollup.count())).collect());
            let found = read(&sum.figures, Some(&sum.buckets)).unwrap();
            let expected: BTreeMap<_, _> =
                expected.into_iter().map(|(series, rollup)| (series, (rollup.count(), rollup))).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn a_bit_that_has_turned_is_noticed(rollups in rollups(), place in any::<prop::sample::Index>(), bit in 0u32..8) {
            let Block { mut figures, mut buckets, .. } = block(&rollups);
            let length = figures.len();
            let place = place.index(length + buckets.len());
            let byte = if place < length { &mut figures[place] } else { &mut buckets[place - length] };
            *byte ^= 1 << bit;
            prop_assert_eq!(read(&figures, Some(&buckets)), Err(DecodeError));
        }

        #[test]
        fn any_bytes_are_read_or_refused(figures in prop::collection::vec(any::<u8>(), 0..64), buckets in prop::collection::vec(any::<u8>(), 0..64)) {
            let figures = sealed(figures);
            let counts: Vec<_> = Counts::of(&figures).unwrap().collect();
            let sums: Vec<_> = Entries::of(&figures, None).unwrap().map(|entry| Ok((entry?.series, entry?.sums.count))).collect();
            prop_assert_eq!(counts, sums);
            let _ = read(&figures, Some(&sealed(buckets)));
        }
    }

    #[test]
    fn what_is_left_over_is_refused() {
        let block = block(&[(3, rollup(5))].into());
        let other = sealed([&block.buckets[..block.buckets.len() - CHECKSUM], &[1, 1]].concat());
        assert_eq!(read(&block.figures, Some(&other)), Err(DecodeError));
        assert_eq!(read(&block.figures, None).unwrap()[&3].0, 1);
    }
}
