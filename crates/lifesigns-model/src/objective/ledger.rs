//! What was counted, in bounded memory: single minutes for the short windows, hours for the long ones.

use super::{Counts, Objective, ObjectiveReport};
use crate::bucket::{Level, Minute};

/// The windows that are made of minutes reach back at most so far.
pub(super) const MINUTES_KEPT: i64 = 6 * 60;

/// Minutes that may lie ahead of now and count all the same: a clock that was put back by seconds hides nothing.
const MINUTES_AHEAD: i64 = 1;

/// Counts of an objective's period: 362 minutes and at most 2162 hours of 24 bytes each, about 60 KB.
///
/// Each cell knows the time that it stands for, and is taken over by another time only when something is counted
/// then. A clock that is a year wrong for ten minutes therefore costs at most ten cells of minutes and one or two of
/// hours, and whatever lies ahead of now does not count until its time has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    objective: Objective,
    minutes: Ring,
    hours: Ring,
}

impl Ledger {
    /// A ledger in which nothing has been counted.
    pub fn new(objective: Objective) -> Ledger {
        let hours = i64::from(objective.period_days()) * 24;
        Ledger {
            objective,
            minutes: Ring::new(Level::Minute, MINUTES_KEPT + 1 + MINUTES_AHEAD),
            hours: Ring::new(Level::Hour, hours + 2),
        }
    }

    /// What is to be reached.
    pub const fn objective(&self) -> &Objective {
        &self.objective
    }

    /// Counts what has just ended, in `minute`.
    pub fn add(&mut self, minute: Minute, counts: Counts) {
        for ring in [&mut self.minutes, &mut self.hours] {
            ring.add(minute, counts, |_kept, _new| true);
        }
    }

    /// Counts what ended some time ago, in `minute` or in the time that begins with it. What is too old to be kept
    /// is left out, and never takes the place of anything newer.
    pub fn restore(&mut self, minute: Minute, counts: Counts) {
        for ring in [&mut self.minutes, &mut self.hours] {
            ring.add(minute, counts, |kept, new| kept < new);
        }
    }

    /// How the objective stands.
    pub fn report(&self, now: Minute) -> ObjectiveReport {
        ObjectiveReport::new(self.objective, |minutes| self.last(minutes, now))
    }

    /// What was counted in the last `minutes`. The window is moved outward to whole minutes, one that is longer than
    /// minutes are kept for to whole hours.
    fn last(&self, minutes: i64, now: Minute) -> Counts {
        let ring = if minutes <= MINUTES_KEPT { &self.minutes } else { &self.hours };
        ring.sum(now.plus(-minutes), now.plus(MINUTES_AHEAD))
    }
}

/// Cells for consecutive buckets of time. Each bucket has one cell, which it shares with those that are a multiple of
/// the ring's length away.
#[derive(Clone, Debug, PartialEq)]
struct Ring {
    width: i64,
    cells: Box<[Cell]>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Cell {
    /// Start of the bucket that was counted here last.
    start: Minute,
    counts: Counts,
}

impl Ring {
    fn new(level: Level, length: i64) -> Ring {
        let empty = Cell { start: Minute::new(i64::MIN), counts: Counts::default() };
        Ring { width: level.minutes(), cells: vec![empty; length as usize].into() }
    }

    /// Adds to the bucket that `minute` lies in. Where its cell holds another one, `may_replace` decides from the
    /// starts of that one and of the new one which of them is kept.
    fn add(&mut self, minute: Minute, counts: Counts, may_replace: impl Fn(Minute, Minute) -> bool) {
        if counts.total == 0 {
            return;
        }
        let start = minute.floor(self.width);
        let length = self.cells.len() as i64;
        let cell = &mut self.cells[(start.number().div_euclid(self.width)).rem_euclid(length) as usize];
        if cell.start != start {
            if cell.counts.total > 0 && !may_replace(cell.start, start) {
                return;
            }
            *cell = Cell { start, counts: Counts::default() };
        }
        cell.counts.merge(counts);
    }

    /// The sum of all buckets from that of `first` to that of `last`.
    fn sum(&self, first: Minute, last: Minute) -> Counts {
        let buckets = first.floor(self.width)..=last;
        let mut sum = Counts::default();
        for cell in self.cells.iter().filter(|cell| buckets.contains(&cell.start)) {
            sum.merge(cell.counts);
        }
        sum
    }
}
