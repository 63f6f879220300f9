//! A history in this process: gone when it ends, and nothing to set up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lifesigns_model::history::{Entry, Event, EventKind, EventSelection, HistoryStore, Reading, Span};
use lifesigns_model::store::{KeptNote, Note, StoreError};

use super::horizon::{Horizon, millis};
use super::{HistoryRetention, HistoryStatus};

/// Readings of one service past which the oldest go before their time: 70 days at one a minute.
pub const MAX_READINGS: usize = 100_000;
/// Readings of all services, about 150 MB. With more than 20 services each has an equal share of it, and may keep less
/// than [`MAX_READINGS`]: of 20,000 each has 100.
pub const MAX_READINGS_OF_ALL: usize = 2_000_000;
/// Events past which those that began first go before their time.
pub const MAX_EVENTS: usize = 100_000;

/// What a monitor remembers, in memory. An append is in the next answer.
///
/// ```
/// use lifesigns_model::history::HistoryStore;
/// use lifesigns_store::history::{HistoryRetention, MemoryHistory};
/// let history = MemoryHistory::new(HistoryRetention::default());
/// assert_eq!(history.recall("outbox")?, []);
/// # Ok::<(), lifesigns_model::store::StoreError>(())
/// ```
#[derive(Debug)]
pub struct MemoryHistory {
    retention: HistoryRetention,
    kept: Mutex<Kept>,
}

/// Kind and key.
type EventId = (EventKind, Arc<str>);

#[derive(Debug, Default)]
struct Kept {
    horizon: Horizon,
    /// The most readings of one service, by how many services there are; 0 before there is one.
    share: usize,
    readings: HashMap<Arc<str>, BTreeMap<i64, Reading>>,
    events: HashMap<EventId, Event>,
    /// The events by their beginning.
    by_beginning: BTreeSet<(i64, EventId)>,
    notes: BTreeMap<(Arc<str>, Arc<str>), Arc<str>>,
    dropped_entries: u64,
}

impl MemoryHistory {
    /// An empty history that keeps its entries as long as `retention` says.
    pub fn new(retention: HistoryRetention) -> MemoryHistory {
        MemoryHistory { retention, kept: Mutex::default() }
    }

    /// Figures about it.
    pub fn status(&self) -> HistoryStatus {
        HistoryStatus { dropped_entries: self.kept().dropped_entries, ..HistoryStatus::default() }
    }

    /// A panic while the lock was held can at worst have left an entry out; the history goes on.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HistoryStore for MemoryHistory {
    fn append(&self, entries: Vec<Entry>) -> Result<(), Vec<Entry>> {
        let mut kept = self.kept();
        let before = kept.horizon;
        for entry in entries {
            if kept.horizon.admits(&entry, &self.retention) {
                kept.keep(entry);
            } else {
                kept.dropped_entries += 1;
            }
        }
        if kept.horizon.readings_from != before.readings_from {
            kept.expire_readings();
        }
        if kept.horizon.events_from != before.events_from {
            kept.expire_events();
        }
        Ok(())
    }

    fn flush(&self, _patience: Duration) -> Result<(), StoreError> {
        Ok(())
    }

    fn readings(&self, service: &str, span: Span) -> Result<Vec<Reading>, StoreError> {
        let kept = self.kept();
        let Span { from, to } = kept.horizon.of_readings(span);
        let Some(readings) = kept.readings.get(service).filter(|_| from < to) else { return Ok(Vec::new()) };
        Ok(readings.range(from..to).map(|(_, reading)| *reading).collect())
    }

    fn events(&self, selection: &EventSelection) -> Result<Vec<Event>, StoreError> {
        let kept = self.kept();
        let (from, to) = millis(selection.span);
        let is_wanted = |event: &&Event| {
            event.began < to
                && event.ended.is_none_or(|ended| from <= ended)
                && (selection.kinds.is_empty() || selection.kinds.contains(&event.kind))
                && (selection.service.is_none() || selection.service == event.service)
                && kept.horizon.has(event)
        };
        let mut found: Vec<&Event> = Vec::new();
        for event in
            kept.by_beginning.iter().rev().filter_map(|(_, id)| kept.events.get(id)).filter(is_wanted)
        {
            // Of those that began at once all are needed: they are not in their order yet.
            if found.len() >= selection.limit && found.last().is_none_or(|last| last.began != event.began) {
                break;
            }
            found.push(event);
        }
        found.sort_by_key(|event| (std::cmp::Reverse(event.began), event.kind, &event.key));
        Ok(found.into_iter().take(selection.limit).cloned().collect())
    }

    fn recall(&self, topic: &str) -> Result<Vec<KeptNote>, StoreError> {
        let kept = self.kept();
        let of_topic = kept.notes.iter().filter(|((of, _), _)| **of == *topic);
        Ok(of_topic.map(|((_, key), text)| KeptNote { key: key.clone(), text: text.clone() }).collect())
    }
}

impl Kept {
    fn keep(&mut self, entry: Entry) {
        match entry {
            Entry::Reading(service, reading) => {
                if !self.readings.contains_key(&service) {
                    self.readings.insert(Arc::clone(&service), BTreeMap::new());
                    self.divide();
                }
                let Some(readings) = self.readings.get_mut(&service) else { return };
                readings.insert(reading.at, reading);
                if readings.len() > self.share {
                    readings.pop_first();
                }
            }
            Entry::Event(event) => {
                let id = (event.kind, event.key.clone());
                self.remove_event(&id);
                self.by_beginning.insert((event.began, id.clone()));
                self.events.insert(id, event);
                if self.events.len() > MAX_EVENTS
                    && let Some((_, id)) = self.by_beginning.pop_first()
                {
                    self.events.remove(&id);
                }
            }
            Entry::Note(Note { topic, key, text: Some(text) }) => {
                self.notes.insert((topic, key), text);
            }
            Entry::Note(Note { topic, key, text: None }) => {
                self.notes.remove(&(topic, key));
            }
        }
    }

    /// Gives each service its share, once there is one more or some are gone.
    fn divide(&mut self) {
        let share = (MAX_READINGS_OF_ALL / self.readings.len().max(1)).clamp(1, MAX_READINGS);
        if share < self.share {
            for readings in self.readings.values_mut() {
                while readings.len() > share {
                    readings.pop_first();
                }
            }
        }
        self.share = share;
    }

    fn remove_event(&mut self, id: &EventId) {
        if let Some(event) = self.events.remove(id) {
            self.by_beginning.remove(&(event.began, id.clone()));
        }
    }

    fn expire_readings(&mut self) {
        let from = self.horizon.readings_from;
        self.readings.retain(|_, readings| {
            *readings = readings.split_off(&from);
            !readings.is_empty()
        });
        self.divide();
    }

    fn expire_events(&mut self) {
        let gone = self.events.iter().filter(|(_, event)| !self.horizon.has(event));
        let gone: Vec<EventId> = gone.map(|(id, _)| id.clone()).collect();
        gone.iter().for_each(|id| self.remove_event(id));
    }
}

#[cfg(test)]
mod tests {
    use lifesigns_model::light::Light;

    use super::*;

    #[test]
    fn a_large_fleet_took_gigabytes_of_memory() {
        let history = MemoryHistory::new(HistoryRetention::default());
        let all = Span { from: 0, to: i64::MAX };
        let append = |services: std::ops::Range<usize>, times: std::ops::Range<i64>| {
            for service in services {
                let name: Arc<str> = service.to_string().into();
                let reading = |at| Reading {
                    at,
                    light: Some(Light::Green),
                    code: 200,
                    latency_us: None,
                    memory_mb: None,
                };
                let entries = times.clone().map(|at| Entry::Reading(Arc::clone(&name), reading(at)));
                history.append(entries.collect()).unwrap();
            }
        };
        let count = |service: &str| history.readings(service, all).unwrap().len();
        let first = 1_795_309_200;
        append(0..1, first..first + 110_000);
        assert_eq!(count("0"), MAX_READINGS);
        append(1..20, first..first + 1_000);
        assert_eq!((count("0"), count("19")), (MAX_READINGS, 1_000));
        append(20..4_000, first..first + 600);
        assert_eq!((count("0"), count("19"), count("3999")), (500, 500, 500));
        let newest = history.readings("0", all).unwrap().pop().unwrap();
        assert_eq!(newest.at, first + 109_999, "the oldest go");
        // Those that are gone let the others have more.
        let later = first + 401 * 86_400;
        append(0..1, later..later + 4_000);
        append(0..1, later + 4_000..later + 5_000);
        assert_eq!(count("0"), 1_500);
    }
}
