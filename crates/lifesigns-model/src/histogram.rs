//! A latency histogram whose percentiles are within 1 % and whose merge is addition.
//!
//! Log-linear: below 128 µs a bucket is one microsecond wide; above, each doubling is cut into 64 equal
//! buckets. A bucket is reported by its middle, so the error is at most half of 1/64 of the value: 0.79 %.
//! Count, sum and maximum are exact. Everywhere the same mapping, so that histograms from memory, SQLite or a
//! distributed store add up to the last count.

use std::fmt;

use crate::leb128;

const SUB_BUCKET_BITS: u32 = 6;
const SUB_BUCKETS: usize = 1 << SUB_BUCKET_BITS;
const CHUNKS: usize = 35;

/// Longest time that is told apart from longer ones: 2⁴⁰ µs, about 12.7 days.
pub const MAX_TRACKED_MICROS: u64 = (1 << 40) - 1;

/// With more buckets than this a list of them would take longer to search than it saves memory.
const MAX_FEW: usize = 192;

/// After so many durations one by one there will be more, and a list would have to be searched for each.
const MANY: u64 = 256;

type Chunk = Box<[u64; SUB_BUCKETS]>;

/// The buckets that are not empty.
#[derive(Clone)]
enum Buckets {
    /// By their numbers, in rising order: most series have few exchanges between two ticks.
    Few(Vec<(u16, u32)>),
    /// By chunks of consecutive ones.
    Many(Box<[Option<Chunk>; CHUNKS]>),
}

impl Buckets {
    fn add(&mut self, index: u16, count: u64) {
        match self {
            Buckets::Many(chunks) => {
                let index = usize::from(index);
                chunks[index / SUB_BUCKETS].get_or_insert_with(empty_chunk)[index % SUB_BUCKETS] += count;
            }
            Buckets::Few(few) => {
                if !add_to_few(few, index, count) {
                    self.become_many();
                    self.add(index, count);
                }
            }
        }
    }

    #[cold]
    fn become_many(&mut self) {
        let few = std::mem::replace(self, Buckets::Many(Box::new([const { None }; CHUNKS])));
        for (index, count) in few.iter() {
            self.add(index, count);
        }
    }

    fn merge(&mut self, other: &Buckets) {
        match (&mut *self, other) {
            (Buckets::Few(few), _) if few.is_empty() => *self = other.clone(),
            (Buckets::Many(mine), Buckets::Many(theirs)) => {
                for (mine, theirs) in mine.iter_mut().zip(theirs.iter()) {
                    let Some(theirs) = theirs else { continue };
                    let mine = mine.get_or_insert_with(empty_chunk);
                    for (sum, more) in mine.iter_mut().zip(theirs.iter()) {
                        *sum += more;
                    }
                }
            }
            _ => other.iter().for_each(|(index, count)| self.add(index, count)),
        }
    }

    fn iter(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let (few, many): (&[(u16, u32)], &[Option<Chunk>]) = match self {
            Buckets::Few(few) => (few, &[]),
            Buckets::Many(chunks) => (&[], &chunks[..]),
        };
        let few = few.iter().map(|(index, count)| (*index, u64::from(*count)));
        let chunks = many.iter().enumerate().filter_map(|(number, chunk)| Some((number, chunk.as_ref()?)));
        few.chain(chunks.flat_map(|(number, chunk)| {
            chunk
                .iter()
                .enumerate()
                .filter(|(_, count)| **count > 0)
                .map(move |(offset, count)| ((number * SUB_BUCKETS + offset) as u16, *count))
        }))
    }
}

/// False if there is no room for it.
fn add_to_few(few: &mut Vec<(u16, u32)>, index: u16, count: u64) -> bool {
    let Ok(count) = u32::try_from(count) else { return false };
    match few.binary_search_by_key(&index, |(index, _)| *index) {
        Ok(place) => match few[place].1.checked_add(count) {
            Some(sum) => few[place].1 = sum,
            None => return false,
        },
        Err(_) if few.len() >= MAX_FEW => return false,
        Err(place) => few.insert(place, (index, count)),
    }
    true
}

/// Distribution of durations in whole microseconds.
///
/// ```
/// use lifesigns_model::histogram::Histogram;
/// let mut latency = Histogram::default();
/// for micros in 1..=1000 {
///     latency.record(micros);
/// }
/// assert_eq!(latency.count(), 1000);
/// assert_eq!(latency.max_micros(), 1000);
/// let p50 = latency.percentile_micros(50.0).unwrap();
/// assert!((495.0..=505.0).contains(&p50));
/// ```
#[derive(Clone)]
pub struct Histogram {
    buckets: Buckets,
    count: u64,
    sum_micros: u64,
    max_micros: u64,
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, micros: u64) {
        if self.count == MANY && matches!(self.buckets, Buckets::Few(_)) {
            self.buckets.become_many();
        }
        self.buckets.add(bucket_of(micros), 1);
        self.count += 1;
        self.sum_micros = self.sum_micros.saturating_add(micros);
        self.max_micros = self.max_micros.max(micros);
    }

    /// Adds everything that `other` has counted.
    pub fn merge(&mut self, other: &Histogram) {
        self.buckets.merge(&other.buckets);
        self.count += other.count;
        self.sum_micros = self.sum_micros.saturating_add(other.sum_micros);
        self.max_micros = self.max_micros.max(other.max_micros);
    }

    /// How many durations were counted.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Sum of all durations, exact.
    pub const fn sum_micros(&self) -> u64 {
        self.sum_micros
    }

    /// Longest duration, exact; 0 when nothing was counted.
    pub const fn max_micros(&self) -> u64 {
        self.max_micros
    }

    /// Arithmetic mean; `None` when nothing was counted.
    pub fn mean_micros(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum_micros as f64 / self.count as f64)
    }

    /// The smallest duration that at least `percent` of all durations do not exceed (nearest rank), within 1 %;
    /// `None` when nothing was counted. `percent` outside 0 to 100 is taken as the nearer end.
    pub fn percentile_micros(&self, percent: f64) -> Option<f64> {
        let rank = (percent.clamp(0.0, 100.0) / 100.0 * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.buckets() {
            seen += count;
            if seen >= rank {
                return Some(bucket_middle(index).min(self.max_micros as f64));
            }
        }
        None
    }

    /// How many durations lie in buckets that end at `micros` or below. Durations within 1.6 % of the bound may
    /// be counted on either side of it.
    pub fn count_up_to(&self, micros: u64) -> u64 {
        let [count] = self.counts_up_to(&[micros]);
        count
    }

    /// As [`Histogram::count_up_to`], for several bounds in rising order.
    pub fn counts_up_to<const N: usize>(&self, bounds_micros: &[u64; N]) -> [u64; N] {
        let mut counts = [0; N];
        let mut buckets = self.buckets().peekable();
        let mut seen = 0;
        for (count, bound) in counts.iter_mut().zip(bounds_micros.map(bucket_of)) {
            while let Some((_, more)) = buckets.next_if(|(index, _)| *index <= bound) {
                seen += more;
            }
            *count = seen;
        }
        counts
    }

    /// Buckets that are not empty, as (bucket number, count), in rising order.
    pub fn buckets(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.buckets.iter()
    }

    /// The buckets as bytes: for each bucket that is not empty the distance from the one before it and the count,
    /// both as LEB128. Sum and maximum are not in it: a store keeps them beside it.
    pub fn encode_buckets(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16);
        let mut previous = 0;
        for (index, count) in self.buckets() {
            leb128::write(&mut bytes, u64::from(index - previous));
            leb128::write(&mut bytes, count);
            previous = index;
        }
        bytes
    }

    /// The histogram whose buckets were encoded by [`Histogram::encode_buckets`].
    pub fn decode(buckets: &[u8], sum_micros: u64, max_micros: u64) -> Result<Histogram, DecodeError> {
        let mut histogram = Histogram { sum_micros, max_micros, ..Histogram::default() };
        histogram.merge_encoded_buckets(buckets)?;
        Ok(histogram)
    }

    /// Adds encoded buckets with their sum and maximum, without making a histogram of them first. On an error
    /// nothing has been added but buckets before the bad one.
    pub fn merge_encoded(
        &mut self,
        buckets: &[u8],
        sum_micros: u64,
        max_micros: u64,
    ) -> Result<(), DecodeError> {
        self.merge_encoded_buckets(buckets)?;
        self.sum_micros = self.sum_micros.saturating_add(sum_micros);
        self.max_micros = self.max_micros.max(max_micros);
        Ok(())
    }

    fn merge_encoded_buckets(&mut self, mut bytes: &[u8]) -> Result<(), DecodeError> {
        let mut index = 0u64;
        while !bytes.is_empty() {
            index = index.checked_add(leb128::read(&mut bytes).ok_or(DecodeError)?).ok_or(DecodeError)?;
            let count = leb128::read(&mut bytes).ok_or(DecodeError)?;
            if index >= (CHUNKS * SUB_BUCKETS) as u64 || count == 0 {
                return Err(DecodeError);
            }
            self.count = self.count.checked_add(count).ok_or(DecodeError)?;
            self.buckets.add(index as u16, count);
        }
        Ok(())
    }
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: Buckets::Few(Vec::new()), count: 0, sum_micros: 0, max_micros: 0 }
    }
}

/// Equal is what has counted the same, however it keeps that.
impl PartialEq for Histogram {
    fn eq(&self, other: &Histogram) -> bool {
        let figures = |it: &Histogram| (it.count, it.sum_micros, it.max_micros);
        figures(self) == figures(other) && self.buckets().eq(other.buckets())
    }
}

impl Eq for Histogram {}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count)
            .field("sum_micros", &self.sum_micros)
            .field("max_micros", &self.max_micros)
            .finish_non_exhaustive()
    }
}

/// The bytes are no encoded histogram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DecodeError;

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes are no encoded histogram")
    }
}

impl std::error::Error for DecodeError {}

fn empty_chunk() -> Chunk {
    Box::new([0; SUB_BUCKETS])
}

fn bucket_of(micros: u64) -> u16 {
    let micros = micros.min(MAX_TRACKED_MICROS);
    let shift = (u64::BITS - micros.leading_zeros()).saturating_sub(SUB_BUCKET_BITS + 1);
    ((u64::from(shift) << SUB_BUCKET_BITS) + (micros >> shift)) as u16
}

fn bucket_middle(index: u16) -> f64 {
    let shift = (u32::from(index) >> SUB_BUCKET_BITS).saturating_sub(1);
    let low = (u64::from(index) - (u64::from(shift) << SUB_BUCKET_BITS)) << shift;
    low as f64 + ((1u64 << shift) - 1) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|value| histogram.record(*value));
        histogram
    }

    #[test]
    fn buckets_follow_each_other_without_gap_or_overlap() {
        let mut previous = bucket_of(0);
        for value in 1..1_000_000u64 {
            let bucket = bucket_of(value);
            assert!(bucket == previous || bucket == previous + 1, "value {value}");
            previous = bucket;
        }
        assert_eq!(usize::from(bucket_of(u64::MAX)), CHUNKS * SUB_BUCKETS - 1);
    }

    #[test]
    fn an_empty_histogram_has_no_percentile() {
        assert_eq!(Histogram::default().percentile_micros(50.0), None);
        assert_eq!(Histogram::default().mean_micros(), None);
    }

    #[test]
    fn damaged_bytes_are_refused() {
        for bytes in [&[0x80][..], &[1], &[1, 0], &[0xff, 0xff, 0x7f, 1], &[0xff; 11]] {
            assert_eq!(Histogram::decode(bytes, 0, 0), Err(DecodeError), "{bytes:?}");
        }
    }

    fn durations() -> impl Strategy<Value = Vec<u64>> {
        proptest::collection::vec((0u32..40).prop_flat_map(|bits| 0u64..1 << bits), 1..300)
    }

    #[test]
    fn few_buckets_become_many_when_there_are_too_many_of_them_or_of_their_counts() {
        let mut often = of(&[7; MANY as usize]);
        assert!(matches!(often.buckets, Buckets::Few(_)));
        often.record(7);
        assert!(matches!(often.buckets, Buckets::Many(_)));
        assert_eq!(often.buckets().collect::<Vec<_>>(), [(7, MANY + 1)]);
        let mut few = of(&[7; 3]);
        assert!(matches!(few.buckets, Buckets::Few(_)));
        for _ in 0..33 {
            few.merge(&few.clone());
        }
        assert!(matches!(few.buckets, Buckets::Many(_)));
        assert_eq!(few.buckets().collect::<Vec<_>>(), [(7, 3 << 33)]);
        let wide = of(&(0..1000).collect::<Vec<_>>());
        assert!(matches!(wide.buckets, Buckets::Many(_)));
        let counts = wide.buckets().map(|(_, count)| count);
        assert_eq!(counts.sum::<u64>(), 1000);
    }

    proptest! {
        #[test]
        fn percentiles_are_within_one_percent_of_the_exact_ones(mut values in durations(), percent in 0.0f64..100.0) {
            let histogram = of(&values);
            values.sort_unstable();
            let rank = ((percent / 100.0 * values.len() as f64).ceil() as usize).max(1);
            let exact = values[rank - 1] as f64;
            let estimate = histogram.percentile_micros(percent).unwrap();
            prop_assert!((estimate - exact).abs() <= exact * 0.01, "{estimate} for {exact}");
        }

        #[test]
        fn merging_is_counting_together(a in durations(), b in durations()) {
            let mut merged = of(&a);
            merged.merge(&of(&b));
            let together: Vec<u64> = a.iter().chain(&b).copied().collect();
            prop_assert_eq!(merged, of(&together));
        }

        #[test]
        fn several_bounds_count_as_each_of_them(values in durations(), mut bounds in any::<[u64; 4]>()) {
            bounds.sort_unstable();
            let histogram = of(&values);
            let each = bounds.map(|bound| values.iter().filter(|value| bucket_of(**value) <= bucket_of(bound)).count() as u64);
            prop_assert_eq!(histogram.counts_up_to(&bounds), each);
            prop_assert_eq!(bounds.map(|bound| histogram.count_up_to(bound)), each);
        }

        #[test]
        fn encoding_keeps_everything(values in durations()) {
            let histogram = of(&values);
            let decoded = Histogram::decode(&histogram.encode_buckets(), histogram.sum_micros(), histogram.max_micros());
            prop_assert_eq!(decoded, Ok(histogram));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Histogram::decode(&bytes, 0, 0);
        }
    }
}
