//! Which revision runs, where several may at once.

use serde::{Deserialize, Serialize};

use super::{About, Deploy};

/// More than that are not told apart; those that ran longest ago are forgotten.
const MOST: usize = 16;
/// What so many readings in a row have not shown runs nowhere; what so many have shown alone runs everywhere.
const GONE_AFTER: u32 = 20;
/// So many readings in a row that show nothing else settle what runs, if that was not in doubt before.
const SETTLED: u32 = 3;

/// What a service runs is called by its revision, and where it says none by its version.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(super) struct Release {
    revision: Option<String>,
    version: Option<String>,
}

impl Release {
    pub(super) fn of(about: &About) -> Release {
        Release { revision: about.revision.clone(), version: about.version.clone() }
    }

    /// What the two are called, if they are not the same.
    fn differs<'a>(&'a self, other: &'a Release) -> Option<(&'a str, &'a str)> {
        let own = self.revision.as_deref().zip(other.revision.as_deref());
        own.or_else(|| self.version.as_deref().zip(other.version.as_deref()))
            .filter(|(one, other)| one != other)
    }
}

/// What ran before, or runs beside, what is believed to run.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(super) struct Releases {
    known: Vec<Release>,
    /// What the last reading has shown.
    last: Release,
    /// Readings in a row that have not shown what is believed to run, and when the first of them was.
    missed: u32,
    missed_since: i64,
    /// Readings in a row that have shown nothing else.
    alone: u32,
    /// After so many readings something that had been seen before is believed to run again.
    needed: u32,
}

impl Releases {
    /// Takes a reading: what it has shown, beside what is `believed` to run.
    pub(super) fn meet(&mut self, believed: &Release, seen: Release, at: i64) -> Met {
        let is_same = self.last.differs(&seen).is_none();
        let deploy = match believed.differs(&seen) {
            None => {
                self.comes_back();
                None
            }
            Some((from, to)) => self.is_deployed(&seen, at).map(|at| {
                let deploy = Deploy { at, from: from.to_owned(), to: to.to_owned() };
                self.known.retain(|one| one.differs(&seen).is_some() && one.differs(believed).is_some());
                if self.known.len() == MOST {
                    self.known.remove(0);
                }
                self.known.push(believed.clone());
                deploy
            }),
        };
        let is_believed = deploy.is_some() || self.missed == 0;
        self.last = seen;
        Met { is_same, is_believed, deploy }
    }

    /// What is believed to run was seen.
    fn comes_back(&mut self) {
        if self.missed > 0 {
            // It had not gone: the next time it takes longer to believe that.
            self.doubt();
            self.alone = 0;
        }
        self.missed = 0;
        self.alone = self.alone.saturating_add(1);
        if self.alone >= GONE_AFTER {
            self.needed = SETTLED;
        }
    }

    /// Something else was seen: since when it is believed to run, if it is.
    fn is_deployed(&mut self, seen: &Release, at: i64) -> Option<i64> {
        if self.missed == 0 {
            self.missed_since = at;
        }
        self.missed += 1;
        self.alone = 0;
        let is_new = self.known.iter().all(|one| one.differs(seen).is_some());
        if !is_new && self.missed < self.needed.max(SETTLED) {
            return None;
        }
        let since = if is_new { at } else { self.missed_since };
        if !is_new {
            self.doubt();
        }
        self.missed = 0;
        Some(since)
    }

    fn doubt(&mut self) {
        self.needed = (2 * self.missed + 1).clamp(self.needed.max(SETTLED), GONE_AFTER);
    }
}

/// What a reading has shown.
#[derive(Debug)]
pub(super) struct Met {
    /// Whether it runs what the reading before has shown.
    pub(super) is_same: bool,
    /// Whether that is what is believed to run.
    pub(super) is_believed: bool,
    /// What was deployed, if that is told by this reading.
    pub(super) deploy: Option<Deploy>,
}
