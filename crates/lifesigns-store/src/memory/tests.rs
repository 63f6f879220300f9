use lifesigns_model::store::{Retention, RollupStore};

use super::*;
use crate::conformance::{self, Harness, everything, row};

/// A store in memory cannot be reopened: it goes on.
struct InMemory;

impl Harness for InMemory {
    fn open(&self, retention: Retention) -> Box<dyn RollupStore> {
        Box::new(MemoryStore::new(retention))
    }

    fn reopened(&self, store: Box<dyn RollupStore>, _retention: Retention) -> Box<dyn RollupStore> {
        store
    }
}

#[test]
fn memory_conforms() {
    conformance::check(&InMemory);
}

#[test]
fn past_the_cap_the_oldest_minutes_go_and_their_hours_still_count() {
    let store = MemoryStore::new(Retention::default()).with_max_rows(100);
    for minute in 0..600 {
        store.append(vec![row(minute, "orders", 200, 1)]).unwrap();
    }
    assert!(store.kept().minutes.len() <= 100 + 60);
    let selected = store.select(&everything(0, 600)).unwrap();
    assert_eq!(selected.groups[0].count, 600);
    assert_eq!(store.status().dropped_exchanges, 0);
}
