//! Which processes answer at one address: one after the other, or several at once behind something that shares the
//! requests out.
//!
//! A process is known by the time at which it began.

use serde::{Deserialize, Serialize};

/// More processes than that are not told apart; those that were not seen for longest are forgotten.
const MOST: usize = 16;
/// A process that this many readings in a row have not shown is gone.
const GONE_AFTER: u32 = 20;
/// Beginnings may differ by so many milliseconds: clocks and roundings do.
const SLACK: i64 = 5_000;

/// When a process began, as far as one answer tells it, in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning {
    pub(super) earliest: i64,
    pub(super) latest: i64,
}

/// What a reading has shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Met {
    /// Whether it is the process that the reading before has shown, or the first.
    pub(super) is_same: bool,
    /// When a process was started anew, if that is told by this reading.
    pub(super) restarted: Option<i64>,
}

/// The processes that were seen of late, the one that was seen last at the end.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(super) struct Processes {
    known: Vec<Process>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
struct Process {
    /// Between these two it began.
    earliest: i64,
    latest: i64,
    /// When it was seen, first and last.
    first_seen: i64,
    last_seen: i64,
    /// Readings since then.
    missed: u32,
    /// It seems to be taking the place of another; that is told once all who were there before are gone.
    is_taking_over: bool,
    /// Readings that have shown one of those meanwhile.
    #[serde(default)]
    beside: u32,
}

impl Process {
    fn began(&self, seen: Beginning) -> bool {
        seen.earliest <= self.latest + SLACK && self.earliest <= seen.latest + SLACK
    }

    fn began_before(&self, seen: Beginning) -> bool {
        self.latest + SLACK < seen.earliest
    }

    /// Whether it is this process, and its clock stood still: a machine that slept, an answer that was kept somewhere.
    /// Its uptime has not fallen then, and it had been there when it was seen last.
    fn has_paused(&self, at: i64, seen: Beginning) -> bool {
        let has_fallen = at - seen.latest + SLACK < self.last_seen - self.latest;
        self.began_before(seen) && seen.latest + SLACK < self.last_seen && !has_fallen
    }

    /// One of those whose place it seems to be taking is still there. After a while they run beside each other.
    fn stands_beside(&mut self) {
        self.beside += 1;
        self.is_taking_over &= self.beside < GONE_AFTER;
    }

    fn see(&mut self, at: i64, seen: Beginning) {
        let (earliest, latest) = (self.earliest.max(seen.earliest), self.latest.min(seen.latest));
        // Clocks drift away from each other: then the last word counts.
        (self.earliest, self.latest) =
            if earliest <= latest { (earliest, latest) } else { (seen.earliest, seen.latest) };
        self.last_seen = at;
        self.missed = 0;
    }
}

impl Processes {
    /// Takes a reading.
    pub(super) fn meet(&mut self, at: i64, seen: Beginning) -> Met {
        let is_first = self.known.is_empty();
        let last = self.known.len().saturating_sub(1);
        let place = self
            .known
            .iter()
            .rposition(|one| one.began(seen))
            .or_else(|| self.known.last().is_some_and(|one| one.has_paused(at, seen)).then_some(last));
        let is_same = is_first || place == Some(last);
        let mut restarted = None;
        let mut process = match place {
            Some(place) => {
                let mut process = self.known.remove(place);
                process.see(at, seen);
                process
            }
            None => {
                let is_youngest = !is_first && self.known.iter().all(|one| one.began_before(seen));
                // Nobody else was seen since it began: there is nobody else.
                let is_news =
                    is_youngest && self.known.iter().all(|one| one.last_seen <= seen.latest + SLACK);
                restarted = is_news.then_some(seen.latest);
                let was_watched = self.known.iter().any(|one| one.first_seen <= seen.latest);
                Process {
                    earliest: seen.earliest,
                    latest: seen.latest,
                    first_seen: at,
                    last_seen: at,
                    missed: 0,
                    is_taking_over: is_youngest && !is_news && was_watched,
                    beside: 0,
                }
            }
        };
        self.known.iter_mut().for_each(|one| one.missed += 1);
        self.known.retain(|one| one.missed < GONE_AFTER);
        if !process.is_taking_over {
            self.known.iter_mut().filter(|one| one.is_taking_over).for_each(Process::stands_beside);
        } else if self.known.iter().all(|one| one.is_taking_over) {
            // Several that took over together are one restart.
            restarted = self.known.iter().map(|one| one.latest).chain([process.latest]).max();
            process.is_taking_over = false;
            self.known.iter_mut().for_each(|one| one.is_taking_over = false);
        }
        if self.known.len() == MOST {
            self.known.remove(0);
        }
        self.known.push(process);
        Met { is_same, restarted }
    }

    /// When the youngest of them began.
    pub(super) fn youngest_began(&self) -> Option<i64> {
        self.known.iter().map(|one| one.latest).max()
    }

    /// Since when all readings have shown the process that was seen last.
    pub(super) fn alone_since(&self) -> Option<i64> {
        let (last, others) = self.known.split_last()?;
        Some(others.iter().map(|one| one.last_seen).fold(last.latest, i64::max))
    }
}
