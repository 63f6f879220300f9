//! How far back a history goes: its newest time that is believed, and what lies too far before it.
//!
//! A leap ahead is believed when readings or events keep coming from there for an hour, by the rule that holds for figures
//! (`timeline`): one wrong clock expires nothing.

use lifesigns_model::bucket::Minute;
use lifesigns_model::history::{Entry, Event, Span};

use super::HistoryRetention;
use crate::timeline::Timeline;

pub(super) const DAY_SECONDS: i64 = 86_400;
const DAY_MILLIS: i64 = DAY_SECONDS * 1000;

/// What is kept. It only ever moves forward.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Horizon {
    /// Of which only what is believed is used.
    time: Timeline,
    /// Readings before this second, the first of a day, are gone.
    pub(super) readings_from: i64,
    /// Events that ended before this millisecond, the first of a day, are gone.
    pub(super) events_from: i64,
}

impl Default for Horizon {
    fn default() -> Horizon {
        Horizon { time: Timeline::default(), readings_from: i64::MIN, events_from: i64::MIN }
    }
}

impl Horizon {
    /// From watermarks that were kept, by their names.
    pub(super) fn of<E>(mut value: impl FnMut(&str) -> Result<Option<i64>, E>) -> Result<Horizon, E> {
        let beginning = Horizon::default();
        let time = Timeline {
            newest: value("newest")?.map(Minute::new),
            leap: value("leap")?.map(Minute::new),
            ..beginning.time
        };
        Ok(Horizon {
            time,
            readings_from: value("readings_from")?.unwrap_or(beginning.readings_from),
            events_from: value("events_from")?.unwrap_or(beginning.events_from),
        })
    }

    /// The watermarks by their names; `None` for those that are where they began.
    pub(super) fn watermarks(&self) -> [(&'static str, Option<i64>); 4] {
        let moved = |from: i64| (from != i64::MIN).then_some(from);
        [
            ("newest", self.time.newest.map(Minute::number)),
            ("leap", self.time.leap.map(Minute::number)),
            ("readings_from", moved(self.readings_from)),
            ("events_from", moved(self.events_from)),
        ]
    }

    /// Whether an entry is to be kept; it is taken note of in any case. To be asked in the order in which entries came.
    pub(super) fn admits(&mut self, entry: &Entry, retention: &HistoryRetention) -> bool {
        let (seconds, admits) = match entry {
            Entry::Reading(_, reading) => (reading.at, self.readings_from <= reading.at),
            Entry::Event(event) => (event.began.div_euclid(1000), self.has(event)),
            Entry::Note(_) => return true,
        };
        self.time.observe(Minute::new(seconds.div_euclid(60)));
        if let Some(newest) = self.time.newest {
            let newest = newest.number().saturating_mul(60);
            let day = |kept: u64| {
                newest.saturating_sub(i64::try_from(kept).unwrap_or(i64::MAX)).div_euclid(DAY_SECONDS)
            };
            let readings_from = day(retention.readings.as_secs()).saturating_mul(DAY_SECONDS);
            let events_from = day(retention.events.as_secs()).saturating_mul(DAY_MILLIS);
            self.readings_from = self.readings_from.max(readings_from);
            self.events_from = self.events_from.max(events_from);
        }
        admits
    }

    /// Whether an event is kept.
    pub(super) fn has(&self, event: &Event) -> bool {
        event.ended.is_none_or(|ended| self.events_from <= ended)
    }

    /// The part of a span of which readings are kept.
    pub(super) fn of_readings(&self, span: Span) -> Span {
        Span { from: span.from.max(self.readings_from), to: span.to }
    }
}

/// A span in milliseconds: first one, and the one after the last.
pub(super) fn millis(span: Span) -> (i64, i64) {
    (span.from.saturating_mul(1000), span.to.saturating_mul(1000))
}
