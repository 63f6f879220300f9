//! A block: the readings of one service on one day.
//!
//! A byte for the version, then what zstd made of the columns, then the CRC-32 of all before it. The columns stand one
//! after the other, since what is alike packs well: runs of readings with the same marks and code, distances of times,
//! latencies, memory. `docs/storage-format.md` describes them.

use lifesigns_model::histogram::DecodeError;
use lifesigns_model::history::Reading;
use lifesigns_model::leb128;
use zstd::bulk::{Compressor, Decompressor};

use super::super::horizon::DAY_SECONDS;
use super::stretch::{marked, marks, unzigzag, zigzag};

const VERSION: u8 = 1;
/// More than a reading in each second takes.
const MAX_BYTES: usize = DAY_SECONDS as usize * 32;
const CHECKSUM: usize = 4;
/// Packing more tightly takes several times as long for 1 %.
const LEVEL: i32 = 3;
/// Latencies of each doubling that are told apart: the middle of such a bucket is within 0.8 % of all in it.
const BUCKET_BITS: u32 = 6;
const MAX_BUCKET: u32 = ((32 - BUCKET_BITS) << BUCKET_BITS) + (1 << BUCKET_BITS) - 1;

/// Packs and unpacks blocks.
pub(super) struct Packer {
    compressor: Compressor<'static>,
}

pub(super) struct Unpacker {
    decompressor: Decompressor<'static>,
    columns: Vec<u8>,
}

impl Packer {
    pub(super) fn new() -> std::io::Result<Packer> {
        Ok(Packer { compressor: Compressor::new(LEVEL)? })
    }

    /// Readings of one day, in the order of their times, at least one.
    pub(super) fn pack(&mut self, readings: &[Reading]) -> std::io::Result<Vec<u8>> {
        let packed = self.compressor.compress(&columns(readings))?;
        let mut block = Vec::with_capacity(packed.len() + 1 + CHECKSUM);
        block.push(VERSION);
        block.extend(packed);
        block.extend(crc32fast::hash(&block).to_le_bytes());
        Ok(block)
    }
}

impl Unpacker {
    pub(super) fn new() -> std::io::Result<Unpacker> {
        Ok(Unpacker { decompressor: Decompressor::new()?, columns: Vec::new() })
    }

    /// Appends the readings of a block of `day`.
    pub(super) fn unpack(
        &mut self,
        day: i64,
        block: &[u8],
        readings: &mut Vec<Reading>,
    ) -> Result<(), DecodeError> {
        let (block, checksum) = block.split_last_chunk::<CHECKSUM>().ok_or(DecodeError)?;
        if crc32fast::hash(block).to_le_bytes() != *checksum {
            return Err(DecodeError);
        }
        let Some((&VERSION, packed)) = block.split_first() else { return Err(DecodeError) };
        let length = Decompressor::upper_bound(packed).filter(|length| *length <= MAX_BYTES);
        self.columns.clear();
        self.columns.reserve(length.ok_or(DecodeError)?);
        self.decompressor.decompress_to_buffer(packed, &mut self.columns).map_err(|_| DecodeError)?;
        // The first day of all begins before the first second that there is.
        let begin = day.wrapping_mul(DAY_SECONDS);
        let before = readings.len();
        read_columns(&self.columns, begin, readings)
            .ok_or(DecodeError)
            .inspect_err(|_| readings.truncate(before))
    }
}

fn columns(readings: &[Reading]) -> Vec<u8> {
    let (mut runs, mut times) = (Vec::new(), Vec::new());
    let (mut latencies, mut memory) = (Vec::new(), Vec::new());
    for run in readings.chunk_by(|one, other| (marks(one), one.code) == (marks(other), other.code)) {
        leb128::write(&mut runs, run.len() as u64);
        runs.push(marks(&run[0]));
        leb128::write(&mut runs, run[0].code.into());
    }
    let (mut last_second, mut last_memory, mut expected) = (0, 0, Expected::default());
    for reading in readings {
        let second = reading.at.rem_euclid(DAY_SECONDS);
        leb128::write(&mut times, (second - last_second) as u64);
        last_second = second;
        if let Some(latency) = reading.latency_us {
            leb128::write(&mut latencies, zigzag(expected.distance(bucket_of(latency))));
        }
        if let Some(megabytes) = reading.memory_mb {
            leb128::write(&mut memory, zigzag(i64::from(megabytes) - last_memory));
            last_memory = megabytes.into();
        }
    }
    let mut columns = Vec::with_capacity(runs.len() + times.len() + latencies.len() + memory.len() + 16);
    for number in [readings.len(), runs.len(), times.len(), latencies.len()] {
        leb128::write(&mut columns, number as u64);
    }
    for column in [runs, times, latencies, memory] {
        columns.extend(column);
    }
    columns
}

fn read_columns(mut bytes: &[u8], begin: i64, readings: &mut Vec<Reading>) -> Option<()> {
    let mut length = || leb128::read(&mut bytes).and_then(|number| usize::try_from(number).ok());
    let (count, runs, times, latencies) = (length()?, length()?, length()?, length()?);
    let (mut runs, rest) = bytes.split_at_checked(runs)?;
    let (mut times, rest) = rest.split_at_checked(times)?;
    let (mut latencies, mut memory) = rest.split_at_checked(latencies)?;
    // Each of them has a byte of `times` at least.
    readings.reserve(count.min(times.len()));
    let (mut second, mut last_memory, mut expected) = (0u64, 0i64, Expected::default());
    let mut left = count;
    while !runs.is_empty() {
        let length = usize::try_from(leb128::read(&mut runs)?).ok()?;
        left = left.checked_sub(length)?;
        let (marks, rest) = runs.split_first()?;
        runs = rest;
        let mut reading = marked(*marks)?;
        reading.code = leb128::read(&mut runs)?.try_into().ok()?;
        for _ in 0..length {
            second = second.checked_add(leb128::read(&mut times)?)?;
            if second >= DAY_SECONDS as u64 {
                return None;
            }
            reading.at = begin.wrapping_add(second as i64);
            if let Some(latency) = &mut reading.latency_us {
                *latency = bucket_middle(expected.at(unzigzag(leb128::read(&mut latencies)?))?);
            }
            if let Some(megabytes) = &mut reading.memory_mb {
                last_memory = last_memory.checked_add(unzigzag(leb128::read(&mut memory)?))?;
                *megabytes = u32::try_from(last_memory).ok()?;
            }
            readings.push(reading);
        }
    }
    let is_whole = left == 0 && times.is_empty() && latencies.is_empty() && memory.is_empty();
    is_whole.then_some(())
}

/// Which latency comes next: a mean of the last ones, so that both noise and drift leave small distances.
#[derive(Debug, Default)]
struct Expected {
    /// Bucket times 16.
    mean: i64,
}

impl Expected {
    fn distance(&mut self, bucket: u32) -> i64 {
        let distance = i64::from(bucket) - (self.mean >> 4);
        self.learn(bucket);
        distance
    }

    #[inline]
    fn at(&mut self, distance: i64) -> Option<u32> {
        let bucket = u32::try_from((self.mean >> 4).checked_add(distance)?).ok()?;
        if bucket > MAX_BUCKET {
            return None;
        }
        self.learn(bucket);
        Some(bucket)
    }

    #[inline]
    fn learn(&mut self, bucket: u32) {
        // At first all that is known.
        let towards = (i64::from(bucket) << 4) - self.mean;
        self.mean += if self.mean == 0 { towards } else { towards >> 2 };
    }
}

/// Latencies below 128 by themselves, from there on 64 buckets for each doubling.
#[inline]
const fn bucket_of(latency: u32) -> u32 {
    let shift = (u32::BITS - latency.leading_zeros()).saturating_sub(BUCKET_BITS + 1);
    (shift << BUCKET_BITS) + (latency >> shift)
}

#[inline]
const fn bucket_middle(bucket: u32) -> u32 {
    let shift = (bucket >> BUCKET_BITS).saturating_sub(1);
    let low = (bucket - (shift << BUCKET_BITS)) << shift;
    low + ((1 << shift) >> 1)
}

#[cfg(test)]
mod tests {
    use lifesigns_model::light::Light;
    use proptest::prelude::*;

    use super::*;
    use crate::history::conformance::assert_alike;

    fn unpacked(day: i64, block: &[u8]) -> Result<Vec<Reading>, DecodeError> {
        let mut readings = Vec::new();
        Unpacker::new().unwrap().unpack(day, block, &mut readings)?;
        Ok(readings)
    }

    fn sealed(mut block: Vec<u8>) -> Vec<u8> {
        block.extend(crc32fast::hash(&block).to_le_bytes());
        block
    }

    fn readings(day: i64) -> impl Strategy<Value = Vec<Reading>> {
        let light =
            prop::sample::select(vec![None, Some(Light::Green), Some(Light::Amber), Some(Light::Red)]);
        let number = || {
            prop::option::of((0u32..=32).prop_flat_map(|bits| 0..=u32::MAX.checked_shr(bits).unwrap_or(0)))
        };
        let code = prop::sample::select(vec![0, 200, 503, u16::MAX]);
        let readings = prop::collection::btree_map(0..DAY_SECONDS, (light, code, number(), number()), 1..80);
        readings.prop_map(move |readings| {
            let readings = readings.into_iter().map(|(second, (light, code, latency_us, memory_mb))| {
                Reading { at: day * DAY_SECONDS + second, light, code, latency_us, memory_mb }
            });
            readings.collect()
        })
    }

    proptest! {
        #[test]
        fn a_block_holds_what_was_packed(day in -20_000i64..20_000, readings in readings(0)) {
            let at = |reading: &Reading| Reading { at: reading.at + day * DAY_SECONDS, ..*reading };
            let readings: Vec<Reading> = readings.iter().map(at).collect();
            let block = Packer::new().unwrap().pack(&readings).unwrap();
            let found = unpacked(day, &block).unwrap();
            assert_alike(&found, &readings);
            let again = Packer::new().unwrap().pack(&found).unwrap();
            prop_assert_eq!(unpacked(day, &again).unwrap(), found, "what is packed again is rounded once");
        }

        #[test]
        fn a_bit_that_has_turned_is_noticed(readings in readings(7), place in any::<prop::sample::Index>(), bit in 0u32..8) {
            let mut block = Packer::new().unwrap().pack(&readings).unwrap();
            let place = place.index(block.len());
            block[place] ^= 1 << bit;
            prop_assert_eq!(unpacked(7, &block), Err(DecodeError));
        }

        #[test]
        fn any_bytes_are_read_or_refused(day in any::<i64>(), bytes in prop::collection::vec(any::<u8>(), 0..90), small in any::<bool>()) {
            let bytes: Vec<u8> = bytes.into_iter().map(|byte| if small { byte % 12 } else { byte }).collect();
            let _ = unpacked(day, &bytes);
            let _ = unpacked(day, &sealed([&[VERSION], &bytes[..]].concat()));
            let packed = Compressor::new(LEVEL).unwrap().compress(&bytes).unwrap();
            if let Ok(readings) = unpacked(day, &sealed([&[VERSION], &packed[..]].concat())) {
                prop_assert!(readings.len() <= bytes.len());
            }
        }
    }

    #[test]
    fn a_later_version_is_refused() {
        let mut block = Packer::new().unwrap().pack(&[Reading { at: 5, ..marked(0).unwrap() }]).unwrap();
        block.truncate(block.len() - CHECKSUM);
        block[0] = VERSION + 1;
        assert_eq!(unpacked(0, &sealed(block)), Err(DecodeError));
    }

    #[test]
    fn a_block_that_would_unpack_to_more_than_a_day_is_refused() {
        let packed = Compressor::new(LEVEL).unwrap().compress(&vec![0; MAX_BYTES + 1]).unwrap();
        assert!(packed.len() < 1000);
        assert_eq!(unpacked(0, &sealed([&[VERSION], &packed[..]].concat())), Err(DecodeError));
    }

    #[test]
    fn buckets_follow_each_other_and_their_middle_is_near_to_all_in_them() {
        let mut previous = 0;
        let all = (0..200_000u32).chain((200_000..u32::MAX).step_by(9_973)).chain([u32::MAX]);
        for latency in all {
            let bucket = bucket_of(latency);
            assert!(previous <= bucket && bucket <= MAX_BUCKET, "{latency}");
            previous = bucket;
            let middle = bucket_middle(bucket);
            assert!(u64::from(middle.abs_diff(latency)) * 100 <= u64::from(latency), "{latency}");
            assert_eq!(bucket_of(middle), bucket);
        }
        assert_eq!(previous, MAX_BUCKET);
    }
}
