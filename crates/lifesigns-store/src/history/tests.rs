use lifesigns_model::history::HistoryStore;

use super::conformance::{self, Harness};
use super::*;

/// A history in memory cannot be reopened: it goes on.
struct InMemory;

impl Harness for InMemory {
    fn open(&self, retention: HistoryRetention) -> Box<dyn HistoryStore> {
        Box::new(MemoryHistory::new(retention))
    }

    fn reopened(&self, history: Box<dyn HistoryStore>, _: HistoryRetention) -> Box<dyn HistoryStore> {
        history
    }
}

#[test]
fn memory_conforms() {
    conformance::check(&InMemory);
}
