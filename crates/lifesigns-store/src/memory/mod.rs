//! Keeps rollups in this process: gone when it ends, and nothing to set up.
//!
//! It closes hours and days and lets rows expire exactly as the store in a file does. What it holds is bounded
//! by the number of series (labels are bounded before they get here) and by a cap on the rows of each level: past
//! it, the oldest go before their time, and answers for them come from the coarser level.

mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lifesigns_model::bucket::{Level, Minute};
use lifesigns_model::histogram::DecodeError;
use lifesigns_model::segment;
use lifesigns_model::store::{
    Effort, Figures, Grouping, KeptNote, Note, Rejected, Retention, RollupRow, RollupStore, Selected,
    Selection, StoreError, StoreStatus,
};

use self::rows::Rows;
use crate::timeline::Timeline;

/// Rows of one level past which the oldest go before their time; about 150 MB of them.
pub const DEFAULT_MAX_ROWS: usize = 500_000;

/// Rollups in memory. An append is in the next selection.
///
/// ```
/// use lifesigns_model::store::{Retention, RollupStore};
/// let store = lifesigns_store::memory::MemoryStore::new(Retention::default());
/// assert_eq!(store.status().pending_rows, 0);
/// ```
#[derive(Debug)]
pub struct MemoryStore {
    retention: Retention,
    max_rows: usize,
    kept: Mutex<Kept>,
    notes: Mutex<BTreeMap<NoteKey, Arc<str>>>,
}

/// Topic and key.
type NoteKey = (Arc<str>, Arc<str>);

#[derive(Debug, Default)]
struct Kept {
    timeline: Timeline,
    minutes: Rows,
    hours: Rows,
    days: Rows,
    dropped_exchanges: u64,
}

impl MemoryStore {
    /// An empty store that keeps rows as long as `retention` says.
    pub fn new(retention: Retention) -> MemoryStore {
        MemoryStore { retention, max_rows: DEFAULT_MAX_ROWS, kept: Mutex::default(), notes: Mutex::default() }
    }

    /// This store with another cap on the rows of each level. Minutes of the hour that is still open and hours of
    /// the day that is still open stay in any case.
    #[must_use]
    pub fn with_max_rows(mut self, max_rows: usize) -> MemoryStore {
        self.max_rows = max_rows;
        self
    }

    /// A panic while the lock was held can at worst have left a row out of a sum; the store goes on.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RollupStore for MemoryStore {
    fn append(&self, rows: Vec<RollupRow>) -> Result<(), Rejected> {
        self.kept()
            .append(&rows, self.retention, self.max_rows)
            .expect("rows in memory are decoded from bytes that were encoded here");
        Ok(())
    }

    fn flush(&self, _patience: Duration) -> Result<(), StoreError> {
        Ok(())
    }

    fn select(&self, selection: &Selection) -> Result<Selected, StoreError> {
        self.select_within(selection, &Effort::unlimited())
    }

    fn select_within(&self, selection: &Selection, effort: &Effort) -> Result<Selected, StoreError> {
        let mut meter = effort.meter();
        let kept = self.kept();
        let plan = segment::plan(selection.range, &selection.group_by, &kept.timeline.coverage());
        let mut grouping = Grouping::new(selection);
        for segment in plan.segments {
            let rows = kept.rows(segment.level).within(segment.range);
            for (start, series, packed) in rows {
                meter.row()?;
                if !selection.filter.matches(series) {
                    continue;
                }
                let (count, rollup) = grouping.group(start, series)?;
                packed
                    .add_to(count, rollup, selection.figures == Figures::Percentiles)
                    .map_err(|error| StoreError::because("a row in memory could not be read", error))?;
            }
        }
        Ok(Selected { groups: grouping.finish(), range: plan.range })
    }

    fn remember(&self, note: Note) -> Result<(), StoreError> {
        note.check()?;
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        match note.text {
            Some(text) => notes.insert((note.topic, note.key), text),
            None => notes.remove(&(note.topic, note.key)),
        };
        Ok(())
    }

    fn recall(&self, topic: &str) -> Result<Vec<KeptNote>, StoreError> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let of_topic = notes.iter().filter(|((of, _), _)| **of == *topic);
        Ok(of_topic.map(|((_, key), text)| KeptNote { key: key.clone(), text: text.clone() }).collect())
    }

    fn status(&self) -> StoreStatus {
        StoreStatus { dropped_exchanges: self.kept().dropped_exchanges, ..StoreStatus::default() }
    }
}

impl Kept {
    fn rows(&self, level: Level) -> &Rows {
        match level {
            Level::Minute => &self.minutes,
            Level::Hour => &self.hours,
            Level::Day => &self.days,
        }
    }

    fn rows_mut(&mut self, level: Level) -> &mut Rows {
        match level {
            Level::Minute => &mut self.minutes,
            Level::Hour => &mut self.hours,
            Level::Day => &mut self.days,
        }
    }

    fn append(
        &mut self,
        rows: &[RollupRow],
        retention: Retention,
        max_rows: usize,
    ) -> Result<(), DecodeError> {
        for row in rows {
            let mut levels = self.timeline.levels_of(row.minute).peekable();
            if levels.peek().is_none() {
                self.dropped_exchanges += row.rollup.count();
            }
            for level in levels {
                self.rows_mut(level).add(row.minute.floor(level.minutes()), &row.series, &row.rollup)?;
            }
        }
        let minutes: BTreeSet<Minute> = rows.iter().map(|row| row.minute).collect();
        for minute in minutes {
            self.timeline.observe(minute);
        }
        self.close()?;
        self.timeline.expire(retention);
        self.expire(max_rows);
        Ok(())
    }

    fn close(&mut self) -> Result<(), DecodeError> {
        while let Some((level, range)) = self.timeline.to_close() {
            match level {
                Level::Day => self.days.sum_up(&self.hours, range, level)?,
                _ => self.hours.sum_up(&self.minutes, range, level)?,
            }
            self.timeline.close(level, range.end);
        }
        Ok(())
    }

    /// Lets go what is past its retention, and then hour by hour and day by day what is past the cap.
    fn expire(&mut self, max_rows: usize) {
        loop {
            for level in Level::ALL {
                let from = self.timeline.kept_from(level);
                self.rows_mut(level).remove_before(from);
            }
            let past_cap =
                |rows: &Rows, level| if rows.len() > max_rows { rows.end_of_oldest(level) } else { None };
            let forced = [
                past_cap(&self.minutes, Level::Hour),
                past_cap(&self.hours, Level::Day),
                past_cap(&self.days, Level::Day),
            ];
            if !self.timeline.expire_up_to(forced) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
