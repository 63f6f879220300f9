use std::cell::Cell;
use std::path::{Path, PathBuf};

use lifesigns_model::history::HistoryStore;
use tempfile::TempDir;

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

/// Histories in files of one folder. Reopening drops the history without a word and opens its file again.
struct InFiles {
    folder: TempDir,
    opened: Cell<u32>,
}

impl InFiles {
    fn path(&self) -> PathBuf {
        self.folder.path().join(format!("{}.db", self.opened.get()))
    }
}

impl Harness for InFiles {
    fn open(&self, retention: HistoryRetention) -> Box<dyn HistoryStore> {
        self.opened.set(self.opened.get() + 1);
        Box::new(open_keeping(&self.path(), retention))
    }

    fn reopened(&self, history: Box<dyn HistoryStore>, retention: HistoryRetention) -> Box<dyn HistoryStore> {
        drop(history);
        Box::new(open_keeping(&self.path(), retention))
    }
}

fn open_keeping(path: &Path, retention: HistoryRetention) -> SqliteHistory {
    SqliteHistory::open(path, HistoryOptions { retention, ..HistoryOptions::default() }).unwrap()
}

#[test]
fn sqlite_conforms() {
    conformance::check(&InFiles { folder: TempDir::new().unwrap(), opened: 0.into() });
}
