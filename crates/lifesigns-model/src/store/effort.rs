//! How much an answer may cost, and whether anybody still waits for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::{KeptNote, Note, Rejected, RollupRow, RollupStore, Selected, Selection, StoreError, StoreStatus};

/// Rows after which a store looks at the effort again.
const ROWS_AT_ONCE: u64 = 1024;

/// What all selections of one question may cost together. Whoever asks keeps it, too, and may call the question off.
#[derive(Debug)]
pub struct Effort {
    max_rows: u64,
    rows_left: AtomicU64,
    is_called_off: AtomicBool,
}

impl Effort {
    /// At most so many rows are read.
    pub const fn of_rows(max_rows: u64) -> Effort {
        Effort { max_rows, rows_left: AtomicU64::new(max_rows), is_called_off: AtomicBool::new(false) }
    }

    /// As much as it takes.
    pub const fn unlimited() -> Effort {
        Effort::of_rows(u64::MAX)
    }

    /// Nobody waits for the answer any more.
    pub fn call_off(&self) {
        self.is_called_off.store(true, Ordering::Relaxed);
    }

    /// Reads `rows` more.
    ///
    /// # Errors
    /// When that is more than is left, or when it was called off.
    pub fn spend(&self, rows: u64) -> Result<(), StoreError> {
        if self.is_called_off.load(Ordering::Relaxed) {
            return Err(StoreError::called_off());
        }
        let spent = self
            .rows_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(rows))
            .is_ok();
        if spent { Ok(()) } else { Err(StoreError::too_many_rows(self.max_rows)) }
    }

    /// Counts the rows of one selection.
    pub const fn meter(&self) -> Meter<'_> {
        Meter { effort: self, taken: 0 }
    }
}

/// Takes rows off an [`Effort`], many at once: it is exact to 1024 rows for each selection.
#[derive(Debug)]
pub struct Meter<'a> {
    effort: &'a Effort,
    /// Of the rows that were paid for.
    taken: u64,
}

impl Meter<'_> {
    /// One more row is about to be read.
    ///
    /// # Errors
    /// As [`Effort::spend`].
    #[inline]
    pub fn row(&mut self) -> Result<(), StoreError> {
        if self.taken.is_multiple_of(ROWS_AT_ONCE) {
            self.effort.spend(ROWS_AT_ONCE)?;
        }
        self.taken += 1;
        Ok(())
    }
}

/// A store all of whose answers together may cost so much.
#[derive(Clone, Copy)]
pub struct Bounded<'a> {
    store: &'a dyn RollupStore,
    effort: &'a Effort,
}

impl<'a> Bounded<'a> {
    /// `store`, asked within `effort`.
    pub const fn new(store: &'a dyn RollupStore, effort: &'a Effort) -> Bounded<'a> {
        Bounded { store, effort }
    }
}

impl RollupStore for Bounded<'_> {
    fn append(&self, rows: Vec<RollupRow>) -> Result<(), Rejected> {
        self.store.append(rows)
    }

    fn flush(&self, patience: Duration) -> Result<(), StoreError> {
        self.store.flush(patience)
    }

    fn select(&self, selection: &Selection) -> Result<Selected, StoreError> {
        self.store.select_within(selection, self.effort)
    }

    fn remember(&self, note: Note) -> Result<(), StoreError> {
        self.store.remember(note)
    }

    fn recall(&self, topic: &str) -> Result<Vec<KeptNote>, StoreError> {
        self.store.recall(topic)
    }

    fn status(&self) -> StoreStatus {
        self.store.status()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_paid_for_in_parts_until_none_are_left() {
        let effort = Effort::of_rows(2 * ROWS_AT_ONCE);
        let mut meter = effort.meter();
        for _ in 0..=ROWS_AT_ONCE {
            meter.row().unwrap();
        }
        let error = effort.meter().row().unwrap_err();
        assert!(error.is_too_many_rows() && error.to_string().contains("2048"), "{error}");
        meter.row().unwrap();
    }

    #[test]
    fn what_was_called_off_ends() {
        let effort = Effort::unlimited();
        effort.meter().row().unwrap();
        effort.call_off();
        let error = effort.meter().row().unwrap_err();
        assert!(error.is_called_off() && !error.is_too_many_rows(), "{error}");
    }
}
