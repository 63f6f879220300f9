//! Bounded sets of labels: text in, a small number out, and never more of them than allowed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use lifesigns_model::series::{NOT_APPLICABLE, OTHER};

/// Number of the label [`NOT_APPLICABLE`] in every set.
pub(crate) const NOT_APPLICABLE_ID: u16 = 0;
/// Number of the label [`OTHER`] in every set.
pub(crate) const OTHER_ID: u16 = 1;

/// Longest label in bytes; longer ones are counted under [`OTHER`].
const MAX_LABEL_BYTES: usize = 256;

/// A set of labels that grows up to its cap and never shrinks.
///
/// Reading takes no lock. Adding copies the set: it happens at most `cap` times in the life of a process.
#[derive(Debug)]
pub(crate) struct Labels {
    known: ArcSwap<Known>,
    adding: Mutex<()>,
    cap: usize,
    capped: AtomicU64,
}

#[derive(Clone, Debug)]
struct Known {
    /// Clients choose labels, so the hash has a key.
    ids: HashMap<Arc<str>, u16, RandomState>,
    names: Vec<Arc<str>>,
}

impl Labels {
    /// An empty set for at most `cap` labels besides the two that are always there.
    pub(crate) fn new(cap: u16) -> Labels {
        let names: Vec<Arc<str>> = vec![NOT_APPLICABLE.into(), OTHER.into()];
        let ids = names.iter().cloned().zip(0..).collect();
        Labels {
            known: ArcSwap::from_pointee(Known { ids, names }),
            adding: Mutex::new(()),
            cap: usize::from(cap).min(usize::from(u16::MAX) - 2) + 2,
            capped: AtomicU64::new(0),
        }
    }

    /// The number of this label, added if there is room for it.
    pub(crate) fn id(&self, label: &str) -> u16 {
        if let Some(id) = self.known.load().ids.get(label) {
            return *id;
        }
        self.add(label)
    }

    /// The number of this label if it is known: for labels that must not be added.
    pub(crate) fn known_id(&self, label: &str) -> Option<u16> {
        self.known.load().ids.get(label).copied()
    }

    /// The number of [`OTHER`], for a label that cannot be kept.
    pub(crate) fn other(&self) -> u16 {
        self.capped.fetch_add(1, Ordering::Relaxed);
        OTHER_ID
    }

    /// The label with this number.
    pub(crate) fn name(&self, id: u16) -> Arc<str> {
        let known = self.known.load();
        known.names.get(usize::from(id)).unwrap_or(&known.names[usize::from(OTHER_ID)]).clone()
    }

    /// How many times a label was counted under [`OTHER`] because it was too long or there was no room for it.
    pub(crate) fn capped(&self) -> u64 {
        self.capped.load(Ordering::Relaxed)
    }

    fn add(&self, label: &str) -> u16 {
        // Once the set is full, strangers' labels must not queue for the lock.
        if label.len() > MAX_LABEL_BYTES || self.known.load().names.len() >= self.cap {
            return self.other();
        }
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.known.load();
        if let Some(id) = known.ids.get(label) {
            return *id;
        }
        if known.names.len() >= self.cap {
            return self.other();
        }
        let mut grown = Known::clone(&known);
        let (id, name) = (grown.names.len() as u16, Arc::<str>::from(label));
        grown.names.push(name.clone());
        grown.ids.insert(name, id);
        self.known.store(Arc::new(grown));
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_past_the_cap_are_counted_together() {
        let labels = Labels::new(2);
        let (a, b) = (labels.id("a"), labels.id("b"));
        assert_ne!(a, b);
        assert_eq!(labels.id("a"), a);
        assert_eq!(labels.id("c"), OTHER_ID);
        assert_eq!(labels.id("d"), OTHER_ID);
        assert_eq!(labels.capped(), 2);
        assert_eq!(&*labels.name(b), "b");
        assert_eq!(&*labels.name(OTHER_ID), OTHER);
    }

    #[test]
    fn reserved_labels_take_no_room() {
        let labels = Labels::new(0);
        assert_eq!(labels.id(NOT_APPLICABLE), NOT_APPLICABLE_ID);
        assert_eq!(labels.id(OTHER), OTHER_ID);
        assert_eq!(labels.capped(), 0);
    }

    #[test]
    fn an_overlong_label_is_not_kept() {
        let labels = Labels::new(10);
        assert_eq!(labels.id(&"x".repeat(MAX_LABEL_BYTES + 1)), OTHER_ID);
        assert_eq!(labels.capped(), 1);
    }
}
