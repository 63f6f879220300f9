//! The rows of one level, by time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use lifesigns_model::bucket::{Level, Minute, MinuteRange};
use lifesigns_model::histogram::DecodeError;
use lifesigns_model::rollup::Rollup;
use lifesigns_model::series::Series;

use crate::packed::Packed;

#[derive(Debug, Default)]
pub(super) struct Rows {
    by_start: BTreeMap<Minute, HashMap<Arc<Series>, Packed>>,
    len: usize,
}

impl Rows {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Adds to the row of `series` at `start`. Nothing is changed on an error.
    pub(super) fn add(
        &mut self,
        start: Minute,
        series: &Arc<Series>,
        rollup: &Rollup,
    ) -> Result<(), DecodeError> {
        let at_start = self.by_start.entry(start).or_default();
        if let Some(packed) = at_start.get_mut(series) {
            return packed.merge(&Packed::of(rollup));
        }
        at_start.insert(series.clone(), Packed::of(rollup));
        self.len += 1;
        Ok(())
    }

    pub(super) fn within(&self, range: MinuteRange) -> impl Iterator<Item = (Minute, &Arc<Series>, &Packed)> {
        let range = if range.is_empty() { MinuteRange::new(range.start, range.start) } else { range };
        self.by_start
            .range(range.start..range.end)
            .flat_map(|(start, rows)| rows.iter().map(|(series, packed)| (*start, series, packed)))
    }

    /// Adds the rows of `finer` that start within `range`, summed up by the buckets of `level`.
    pub(super) fn sum_up(
        &mut self,
        finer: &Rows,
        range: MinuteRange,
        level: Level,
    ) -> Result<(), DecodeError> {
        let mut sums: HashMap<(Minute, &Arc<Series>), Rollup> = HashMap::new();
        for (start, series, packed) in finer.within(range) {
            let sum = sums.entry((start.floor(level.minutes()), series)).or_default();
            packed.add_to(&mut 0, sum, true)?;
        }
        for ((start, series), sum) in sums {
            self.add(start, series, &sum)?;
        }
        Ok(())
    }

    pub(super) fn remove_before(&mut self, from: Minute) {
        while let Some(oldest) = self.by_start.first_entry() {
            if *oldest.key() >= from {
                return;
            }
            self.len -= oldest.remove().len();
        }
    }

    /// The end of the bucket of `level` in which the oldest row lies.
    pub(super) fn end_of_oldest(&self, level: Level) -> Option<Minute> {
        let (oldest, _) = self.by_start.first_key_value()?;
        Some(oldest.floor(level.minutes()).plus(level.minutes()))
    }
}
