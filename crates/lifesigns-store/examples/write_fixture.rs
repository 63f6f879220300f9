//! Writes the file that later versions of the store must still read: `write_fixture PATH`.

use std::error::Error;

use lifesigns_model::store::RollupStore;
use lifesigns_store::conformance::{PATIENCE, fixture_notes, fixture_rows};
use lifesigns_store::sqlite::{Options, SqliteStore};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: write_fixture PATH")?;
    let store = SqliteStore::open(path, Options::default())?;
    for rows in fixture_rows().chunks(60) {
        store.append(rows.to_vec()).map_err(|_| "the queue is full")?;
        store.flush(PATIENCE)?;
    }
    for note in fixture_notes() {
        store.remember(note)?;
    }
    store.close()?;
    Ok(())
}
