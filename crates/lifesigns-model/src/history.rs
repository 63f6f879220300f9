//! What a monitor remembers of a fleet, and the port between it and whoever keeps that.
//!
//! Three kinds of things are remembered: a [`Reading`] for each time that a service was asked, an [`Event`] for
//! whatever began, ended or happened, and notes, which are what the monitor has to know again after a restart.
//!
//! What was not asked is not known: a time without readings is neither up nor down.

mod availability;

use std::sync::Arc;
use std::time::Duration;

use crate::light::Light;
use crate::store::{KeptNote, Note, StoreError};

pub use self::availability::{Availability, Slice, availability, slices};

/// Keeps the history of a fleet. Implementations pass one and the same conformance suite.
pub trait HistoryStore: Send + Sync {
    /// Takes entries that belong together: either all of them survive the death of the process, or none does. They
    /// are kept in the order in which they are given. Never waits for a disk: [`HistoryStore::flush`] tells when they
    /// are safe.
    ///
    /// # Errors
    /// The entries are given back when the queue is full or nothing takes from it any more.
    fn append(&self, entries: Vec<Entry>) -> Result<(), Vec<Entry>>;

    /// Waits until everything taken so far would survive the death of the process, or until `patience` is over.
    ///
    /// # Errors
    /// When it could not be kept, or not in time.
    fn flush(&self, patience: Duration) -> Result<(), StoreError>;

    /// The readings of a service in a span, in the order of their times. Only what was flushed is certain to be among
    /// them. May take as long as a disk takes.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn readings(&self, service: &str, span: Span) -> Result<Vec<Reading>, StoreError>;

    /// The events that a selection asks for, the newest first. Only what was flushed is certain to be among them.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn events(&self, selection: &EventSelection) -> Result<Vec<Event>, StoreError>;

    /// All notes under a topic, ordered by key.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn recall(&self, topic: &str) -> Result<Vec<KeptNote>, StoreError>;
}

/// Something to keep.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A service was asked.
    Reading(Arc<str>, Reading),
    /// Something began, ended or happened. It takes the place of the event of the same kind and key.
    Event(Event),
    /// What to know again after a restart. It takes the place of the note under the same topic and key; without a text
    /// that is removed.
    Note(Note),
}

/// What came of asking a service once.
///
/// A store may round the latency to within 1 %.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reading {
    /// When it was asked, in seconds since 1970. One second has one reading at most; of several the last one counts.
    pub at: i64,
    /// How it was; `None` if that is not known, since the monitor itself had no network.
    pub light: Option<Light>,
    /// The status code of its answer; 0 without one.
    pub code: u16,
    /// How long the answer took, in microseconds; `None` without one.
    pub latency_us: Option<u32>,
    /// Resident memory in MB, where it says so.
    pub memory_mb: Option<u32>,
}

/// Seconds since 1970 from the first to the last one before which it ends: `from <= at < to`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Span {
    /// The first second.
    pub from: i64,
    /// The second after the last one.
    pub to: i64,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum EventKind {
    /// A service was not green.
    Outage,
    /// One or more outages that belong together: what people are told of.
    Incident,
    /// A service runs another revision or version than before.
    Deploy,
    /// The process of a service was started anew.
    Restart,
    /// The monitor saw nothing: it was not running, or had no network.
    Gap,
    /// A message was delivered, or given up.
    Delivery,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [EventKind; 6] = [
        EventKind::Outage,
        EventKind::Incident,
        EventKind::Deploy,
        EventKind::Restart,
        EventKind::Gap,
        EventKind::Delivery,
    ];

    /// A word for files and answers.
    pub const fn name(self) -> &'static str {
        match self {
            EventKind::Outage => "outage",
            EventKind::Incident => "incident",
            EventKind::Deploy => "deploy",
            EventKind::Restart => "restart",
            EventKind::Gap => "gap",
            EventKind::Delivery => "delivery",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<EventKind> {
        EventKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Something that began, ended or happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// What it is about.
    pub kind: EventKind,
    /// Tells it from others of its kind.
    pub key: Arc<str>,
    /// Whom it happened to; `None`: the fleet, or the monitor.
    pub service: Option<Arc<str>>,
    /// When it began, in milliseconds since 1970.
    pub began: i64,
    /// When it ended, in milliseconds since 1970; the same as `began` for what has no length, `None` while it goes on.
    pub ended: Option<i64>,
    /// What there is to say of it: a JSON object.
    pub detail: Arc<str>,
}

/// Which events are wanted: those that all parts of it ask for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EventSelection {
    /// Of which kinds; empty: of all.
    pub kinds: Vec<EventKind>,
    /// Of which service; `None`: of all, and of none.
    pub service: Option<Arc<str>>,
    /// Those that were going on at any time of this span, in seconds since 1970.
    pub span: Span,
    /// The most events, the newest by their beginning.
    pub limit: usize,
}
