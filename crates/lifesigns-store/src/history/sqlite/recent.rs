//! The readings that are in the file as they came, and in no block yet, by service.
//!
//! The file has them in the order of their transactions, so that each of those writes a page or two, however many
//! services there are. To find those of one service whoever reads in this process looks here, and another process reads
//! all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lifesigns_model::history::{Entry, Reading, Span};

use super::stretch::Stretch;

/// Shared by the thread that writes and those that read. What is put into a block leaves it after that has been committed,
/// so who looks here first and into the file then misses nothing.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// What is being put into blocks. All of it came before what is open.
    folding: HashMap<Arc<str>, Stretch>,
    open: HashMap<Arc<str>, Stretch>,
}

impl Recent {
    pub(super) fn push<'r>(&self, readings: impl IntoIterator<Item = (&'r Arc<str>, &'r Reading)>) {
        let mut kept = self.kept();
        for (service, reading) in readings {
            match kept.open.get_mut(service) {
                Some(stretch) => stretch.push(reading),
                None => kept.open.entry(service.clone()).or_default().push(reading),
            }
        }
    }

    /// The readings of a service in a span, in the order in which they came.
    pub(super) fn readings(&self, service: &str, span: Span) -> Vec<Reading> {
        let kept = self.kept();
        let stretches = [kept.folding.get(service), kept.open.get(service)];
        let readings = stretches.into_iter().flatten().flat_map(Stretch::readings);
        readings.filter(|reading| span.from <= reading.at && reading.at < span.to).collect()
    }

    /// Whether a service has any.
    pub(super) fn has(&self, service: &str) -> bool {
        let kept = self.kept();
        kept.folding.contains_key(service) || kept.open.contains_key(service)
    }

    /// Everything that is here is to be put into blocks, once what was before it is. Whose it is.
    pub(super) fn begin_folding(&self) -> Vec<Arc<str>> {
        let mut kept = self.kept();
        debug_assert!(kept.folding.is_empty(), "what was begun has ended");
        kept.folding = std::mem::take(&mut kept.open);
        kept.folding.keys().cloned().collect()
    }

    /// What is to be put into blocks of a service.
    pub(super) fn to_fold(&self, service: &str) -> Vec<Reading> {
        self.kept().folding.get(service).map(|stretch| stretch.readings().collect()).unwrap_or_default()
    }

    /// The blocks of these have been written.
    pub(super) fn folded(&self, services: &[Arc<str>]) {
        let mut kept = self.kept();
        for service in services {
            kept.folding.remove(service);
        }
        if kept.folding.is_empty() {
            kept.folding.shrink_to_fit();
        }
    }

    /// Takes everything out of it.
    pub(super) fn take(&self) -> Vec<Entry> {
        let Kept { folding, open } = std::mem::take(&mut *self.kept());
        let all = folding.into_iter().chain(open);
        let entries = all.flat_map(|(service, stretch)| {
            let readings: Vec<Entry> =
                stretch.readings().map(|reading| Entry::Reading(service.clone(), reading)).collect();
            readings
        });
        entries.collect()
    }

    /// Every change is whole before the lock is let go of.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
