//! What waits for the history, within a bound.
//!
//! Of events and notes only the last one of each key matters, so the last one alone waits. Where there is no room, the
//! oldest readings go first, then the events that ended first; what has to be known again after a restart never does.

use std::collections::{HashMap, HashSet, VecDeque};
use std::mem;
use std::sync::Arc;

use lifesigns_model::history::{Entry, EventKind, Reading};

use crate::service::Name;

/// Entries that wait, unless there are more notes and events that go on. Each takes some hundred bytes.
const MOST: usize = 200_000;
/// So much of the events that are over goes at once: to look for them takes a look at all.
const SHARE_THAT_GOES: usize = 10;

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Key {
    Event(EventKind, Arc<str>),
    Note(Arc<str>, Arc<str>),
}

/// The entries.
#[derive(Debug)]
pub(super) struct Waiting {
    most: usize,
    /// Events and notes.
    facts: Vec<Entry>,
    places: HashMap<Key, usize>,
    /// Notes of which the history has never had one: what is removed of them needs no word.
    fresh: HashSet<Key>,
    readings: VecDeque<(Name, Reading)>,
    /// When the first and the last reading was that was given up since the history last took something, in seconds.
    lost: Option<(i64, i64)>,
    /// Readings that were given up.
    pub(super) dropped_readings: u64,
    /// Events that were given up.
    pub(super) dropped_events: u64,
}

impl Default for Waiting {
    fn default() -> Waiting {
        Waiting::new(MOST)
    }
}

impl Waiting {
    fn new(most: usize) -> Waiting {
        Waiting {
            most,
            facts: Vec::new(),
            places: HashMap::new(),
            fresh: HashSet::new(),
            readings: VecDeque::new(),
            lost: None,
            dropped_readings: 0,
            dropped_events: 0,
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.facts.len() + self.readings.len()
    }

    /// From when to when readings were given up, in seconds since 1970.
    pub(super) const fn lost(&self) -> Option<(i64, i64)> {
        self.lost
    }

    pub(super) fn reading(&mut self, name: &Name, reading: Reading) {
        if self.facts.len() >= self.most {
            return self.lose(reading.at);
        }
        self.make_room();
        self.readings.push_back((Arc::clone(name), reading));
    }

    /// An event or a note. `is_fresh`: the history cannot have a note of this key.
    pub(super) fn fact(&mut self, entry: Entry, is_fresh: bool) {
        let Some(key) = key(&entry) else { return };
        let is_removal = matches!(&entry, Entry::Note(note) if note.text.is_none());
        match self.places.get(&key) {
            Some(_) if is_removal && self.fresh.remove(&key) => self.remove(&key),
            Some(place) => self.facts[*place] = entry,
            None => {
                self.make_room();
                if is_fresh {
                    self.fresh.insert(key.clone());
                }
                self.places.insert(key, self.facts.len());
                self.facts.push(entry);
            }
        }
    }

    /// Gives everything away, to be kept together; says how much that was. What is not taken waits on as before.
    pub(super) fn give(
        &mut self,
        take: impl FnOnce(Vec<Entry>) -> Result<(), Vec<Entry>>,
    ) -> Result<usize, ()> {
        let facts = self.facts.len();
        let mut entries = mem::take(&mut self.facts);
        entries.extend(self.readings.drain(..).map(|(name, reading)| Entry::Reading(name, reading)));
        let count = entries.len();
        if count == 0 {
            return Ok(0);
        }
        match take(entries) {
            Ok(()) => {
                self.places.clear();
                self.fresh.clear();
                self.lost = None;
                Ok(count)
            }
            Err(mut entries) => {
                let readings = entries.split_off(facts.min(entries.len())).into_iter();
                self.readings = readings
                    .filter_map(|entry| match entry {
                        Entry::Reading(name, reading) => Some((name, reading)),
                        Entry::Event(_) | Entry::Note(_) => None,
                    })
                    .collect();
                self.facts = entries;
                Err(())
            }
        }
    }

    fn make_room(&mut self) {
        if self.len() < self.most {
            return;
        }
        match self.readings.pop_front() {
            Some((_, reading)) => self.lose(reading.at),
            None => self.drop_events(),
        }
    }

    fn lose(&mut self, at: i64) {
        self.dropped_readings += 1;
        let (from, to) = self.lost.unwrap_or((at, at));
        self.lost = Some((from.min(at), to.max(at)));
    }

    fn drop_events(&mut self) {
        let end = |entry: &Entry| match entry {
            Entry::Event(event) => event.ended,
            Entry::Note(_) | Entry::Reading(..) => None,
        };
        let mut ends: Vec<i64> = self.facts.iter().filter_map(end).collect();
        if ends.is_empty() {
            return;
        }
        let place = (ends.len() / SHARE_THAT_GOES).min(ends.len() - 1);
        let last = *ends.select_nth_unstable(place).1;
        let before = self.facts.len();
        self.facts.retain(|entry| end(entry).is_none_or(|end| end > last));
        self.dropped_events += (before - self.facts.len()) as u64;
        self.places =
            self.facts.iter().enumerate().filter_map(|(place, entry)| Some((key(entry)?, place))).collect();
    }

    fn remove(&mut self, key_of_it: &Key) {
        let Some(place) = self.places.remove(key_of_it) else { return };
        self.facts.swap_remove(place);
        if let Some(moved) = self.facts.get(place).and_then(key) {
            self.places.insert(moved, place);
        }
    }
}

fn key(entry: &Entry) -> Option<Key> {
    match entry {
        Entry::Event(event) => Some(Key::Event(event.kind, Arc::clone(&event.key))),
        Entry::Note(note) => Some(Key::Note(Arc::clone(&note.topic), Arc::clone(&note.key))),
        Entry::Reading(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use lifesigns_model::history::Event;
    use lifesigns_model::store::Note;

    use super::*;

    fn reading(at: i64) -> Reading {
        Reading { at, light: None, code: 0, latency_us: None, memory_mb: None }
    }

    fn event(key: &str, ended: Option<i64>) -> Entry {
        let (kind, key, detail) = (EventKind::Outage, key.into(), "{}".into());
        Entry::Event(Event { kind, key, service: None, began: 0, ended, detail })
    }

    fn note(key: &str, text: Option<&str>) -> Entry {
        Entry::Note(Note { topic: "t".into(), key: key.into(), text: text.map(Into::into) })
    }

    fn all(waiting: &mut Waiting) -> Vec<Entry> {
        let mut all = Vec::new();
        waiting
            .give(|entries| {
                all.clone_from(&entries);
                Err(entries)
            })
            .unwrap_err();
        all
    }

    #[test]
    fn what_is_said_again_takes_the_place_of_what_was_said() {
        let mut waiting = Waiting::new(100);
        for text in ["1", "2", "3"] {
            waiting.fact(note("a", Some(text)), false);
            waiting.fact(event("e", None), false);
            waiting.reading(&"s".into(), reading(1));
        }
        waiting.fact(note("b", None), false);
        waiting.fact(event("e", Some(5)), false);
        let name: Name = "s".into();
        let expected = [note("a", Some("3")), event("e", Some(5)), note("b", None)];
        let readings = std::iter::repeat_n(Entry::Reading(name, reading(1)), 3);
        let expected: Vec<Entry> = expected.into_iter().chain(readings).collect();
        assert_eq!(all(&mut waiting), expected);
        // What was not taken waits on, and its places hold.
        waiting.fact(note("a", Some("4")), false);
        assert_eq!(all(&mut waiting)[0], note("a", Some("4")));
        assert_eq!(waiting.give(|_| Ok(())), Ok(6));
        assert_eq!((waiting.len(), waiting.give(|_| Ok(()))), (0, Ok(0)));
    }

    #[test]
    fn a_note_that_came_and_went_leaves_nothing() {
        let mut waiting = Waiting::new(100);
        waiting.fact(note("a", Some("1")), true);
        waiting.fact(note("b", Some("1")), true);
        waiting.fact(note("c", Some("1")), false);
        waiting.fact(note("a", None), false);
        waiting.fact(note("c", None), false);
        assert_eq!(all(&mut waiting), [note("c", None), note("b", Some("1"))]);
        // Once the history has had it, its end has to be said.
        waiting.give(|_| Ok(())).unwrap();
        waiting.fact(note("b", Some("2")), false);
        waiting.fact(note("b", None), false);
        assert_eq!(all(&mut waiting), [note("b", None)]);
    }

    #[test]
    fn readings_go_first_then_events_that_are_over_and_notes_never() {
        let mut waiting = Waiting::new(10);
        for at in 0..20 {
            waiting.reading(&"s".into(), reading(at));
        }
        assert_eq!((waiting.len(), waiting.dropped_readings, waiting.lost()), (10, 10, Some((0, 9))));
        for number in 0..30 {
            waiting.fact(event(&number.to_string(), Some(number)), false);
        }
        assert_eq!((waiting.len(), waiting.dropped_readings, waiting.dropped_events), (10, 20, 20));
        assert_eq!(all(&mut waiting)[0], event("20", Some(20)));
        for number in 0..30 {
            waiting.fact(note(&number.to_string(), Some("")), false);
            waiting.fact(event("goes on", None), false);
        }
        waiting.reading(&"s".into(), reading(99));
        assert_eq!((waiting.len(), waiting.dropped_events, waiting.dropped_readings), (31, 30, 21));
        assert_eq!(waiting.lost(), Some((0, 99)));
        waiting.give(|_| Ok(())).unwrap();
        assert_eq!(waiting.lost(), None);
    }
}
