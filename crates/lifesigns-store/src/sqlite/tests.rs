use lifesigns_model::store::{Retention, RollupStore};
use tempfile::TempDir;

use super::*;
use crate::conformance::{self, Harness};

/// Stores in files of one folder. Reopening drops the store without a word and opens its file again.
struct InFiles {
    folder: TempDir,
    opened: std::cell::Cell<u32>,
}

impl InFiles {
    fn path(&self) -> PathBuf {
        self.folder.path().join(format!("{}.db", self.opened.get()))
    }
}

impl Harness for InFiles {
    fn open(&self, retention: Retention) -> Box<dyn RollupStore> {
        self.opened.set(self.opened.get() + 1);
        Box::new(SqliteStore::open(self.path(), Options { retention, ..Options::default() }).unwrap())
    }

    fn reopened(&self, store: Box<dyn RollupStore>, retention: Retention) -> Box<dyn RollupStore> {
        drop(store);
        Box::new(SqliteStore::open(self.path(), Options { retention, ..Options::default() }).unwrap())
    }
}

#[test]
fn sqlite_conforms() {
    conformance::check(&InFiles { folder: TempDir::new().unwrap(), opened: 0.into() });
}
