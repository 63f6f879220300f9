//! Figures straight from a data file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lifesigns_model::query::{self, Fault};
use lifesigns_model::store::{
    KeptNote, Note, Rejected, RollupRow, RollupStore, Selected, Selection, StoreError, StoreStatus,
};
use lifesigns_store::SqliteStore;
use lifesigns_store::sqlite::SqliteReader;
use serde_json::Value;

use crate::printer::Problem;
use crate::query::question::Question;

/// An open file.
#[derive(Debug)]
pub struct Data {
    path: PathBuf,
    reader: ReadOnly,
}

/// Opens a file that is there; nothing is made.
pub fn open(path: &Path) -> Result<Data, Problem> {
    let name = path.display();
    let found = path.metadata().map_err(|error| {
        Problem::new(format!("there is no data file {name} that could be read"))
            .because(&error)
            .hint("a gateway keeps its figures where `--data` or `store.path` says, lifesigns.db unless told")
    })?;
    if !found.is_file() {
        return Err(Problem::new(format!("{name} is no data file, but a folder or a device")));
    }
    if found.len() == 0 {
        return Err(Problem::new(format!("{name} is empty: nobody has begun to write it")));
    }
    let reader = SqliteStore::open_read_only(path).map_err(|error| unreadable(&error))?;
    Ok(Data { path: path.to_owned(), reader: ReadOnly(reader) })
}

impl Data {
    /// The whole answer, as the resource gives it.
    pub fn ask(&self, question: &Question) -> Result<Value, Problem> {
        let selected = question.query.plan().run(&self.reader).map_err(|error| {
            Fault::of_store_error(&error).map_or_else(|| unreadable(&error), |fault| question.refused(&fault))
        })?;
        Ok(query::answer(&question.query, &selected))
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

/// The store says itself what is wrong with which file, and how to mend it.
fn unreadable(error: &StoreError) -> Problem {
    let problem = Problem::new(error.to_string());
    match std::error::Error::source(error) {
        Some(cause) => problem.because(cause),
        None => problem,
    }
}

/// A store into which nothing can be put.
#[derive(Debug)]
struct ReadOnly(SqliteReader);

impl RollupStore for ReadOnly {
    fn append(&self, rows: Vec<RollupRow>) -> Result<(), Rejected> {
        Err(Rejected(rows))
    }

    /// Nothing is ever queued.
    fn flush(&self, _patience: Duration) -> Result<(), StoreError> {
        Ok(())
    }

    fn select(&self, selection: &Selection) -> Result<Selected, StoreError> {
        self.0.select(selection)
    }

    fn remember(&self, _note: Note) -> Result<(), StoreError> {
        Err(StoreError::new("the file is open for reading only"))
    }

    fn recall(&self, topic: &str) -> Result<Vec<KeptNote>, StoreError> {
        self.0.recall(topic)
    }

    fn status(&self) -> StoreStatus {
        StoreStatus::default()
    }
}
