//! Writes the file of a history that later versions must still read: `write_history_fixture PATH`.

use std::error::Error;

use lifesigns_model::history::HistoryStore;
use lifesigns_store::history::conformance::{PATIENCE, fixture_entries};
use lifesigns_store::history::{HistoryOptions, SqliteHistory};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: write_history_fixture PATH")?;
    let history = SqliteHistory::open(path, HistoryOptions::default())?;
    for entry in fixture_entries() {
        history.append(vec![entry]).map_err(|_| "the queue is full")?;
        history.flush(PATIENCE)?;
    }
    history.close()?;
    Ok(())
}
