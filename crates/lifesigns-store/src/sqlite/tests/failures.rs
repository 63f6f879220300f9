//! Writing that fails.

use super::*;
use crate::packed::Packed;

#[test]
fn a_full_disk_loses_only_what_is_past_the_bound_and_counts_it() {
    let place = place();
    let retention = Retention { minute_rows: 90 * 1440, ..Retention::default() };
    let options = Options { retention, max_bytes: Some(300_000), max_held_rows: 500, ..Options::default() };
    let store = SqliteStore::open(&place.path, options).unwrap();
    let (mut sent, mut failed) = (0, false);
    for round in 0..60i64 {
        store.append((0..200).map(|minute| row(round * 200 + minute, "orders", 200, 5)).collect()).unwrap();
        sent += 200;
        if let Err(error) = store.flush(PATIENCE) {
            assert!(error.to_string().contains("there is no room for"), "{error}");
            failed = true;
        }
    }
    assert!(failed);
    let status = store.status();
    assert!(status.last_error.is_some_and(|text| text.contains("there is no room for")));
    assert!(status.dropped_exchanges > 0 && status.pending_rows > 0 && status.pending_rows <= 700);
    let kept = total(&store);
    assert_eq!(kept + status.pending_rows + status.dropped_exchanges, sent);
    assert!(store.close().is_err());
    assert_eq!(total(&open(&place.path)), kept);
    assert_sound(&place.path);
}

#[test]
fn rows_wait_while_another_program_holds_the_file() {
    let place = place();
    let options = Options { busy_timeout: Duration::from_millis(1), ..Options::default() };
    let store = SqliteStore::open(&place.path, options).unwrap();
    append(&store, vec![row(1, "orders", 200, 5)]);
    let other = Connection::open(&place.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    store.append(vec![row(1, "orders", 200, 5), row(2, "orders", 200, 5)]).unwrap();
    let error = store.flush(PATIENCE).unwrap_err();
    assert!(error.to_string().contains("another program holds"), "{error}");
    assert_eq!(store.status().pending_rows, 2);
    assert_eq!(total(&store), 1, "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    append(&store, vec![row(2, "orders", 200, 5)]);
    assert_eq!(total(&store), 4);
    assert_eq!((store.status().pending_rows, store.status().last_error), (0, None));
}

#[test]
fn a_full_queue_gives_the_rows_back_and_never_waits() {
    let place = place();
    let options = Options { max_queued_rows: 10, busy_timeout: Duration::from_mins(1), ..Options::default() };
    let store = SqliteStore::open(&place.path, options).unwrap();
    let other = Connection::open(&place.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut taken = 0;
    let rejected = loop {
        match store.append(vec![row(1, "orders", 200, 5); 7]) {
            Ok(()) => taken += 7,
            Err(Rejected(rows)) => break rows,
        }
        assert!(taken <= 7_000_000, "a queue without an end");
    };
    assert_eq!(rejected, vec![row(1, "orders", 200, 5); 7]);
    assert!(store.flush(Duration::ZERO).unwrap_err().to_string().contains("was not written within"));
    other.execute_batch("ROLLBACK").unwrap();
    append(&store, vec![]);
    assert_eq!(total(&store), taken);
}

#[test]
fn a_series_whose_entry_was_rolled_back_gets_a_number_of_its_own() {
    let place = place();
    let connection = schema::open_for_writing(&place.path, Duration::ZERO, false).unwrap();
    let mut database = Database::new(connection, &Options::default()).unwrap();
    let pending = |api: &str| -> write::Pending {
        let row = row(1, api, 200, 5);
        [((row.minute, row.series), Packed::of(&row.rollup))].into()
    };
    let none = Notes::new();
    let fail = "CREATE TEMP TRIGGER fail BEFORE INSERT ON minutes BEGIN SELECT raise(ABORT, 'no'); END";
    database.connection().execute_batch(fail).unwrap();
    database.write(&pending("first"), &none).unwrap_err();
    database.connection().execute_batch("DROP TRIGGER fail").unwrap();
    database.write(&pending("second"), &none).unwrap();
    database.write(&pending("first"), &none).unwrap();
    drop(database);
    let by_api = vec![GroupBy::Dimension(lifesigns_model::series::Dimension::Api)];
    let selection = Selection { group_by: by_api, ..everything(0, 9) };
    let rows = [row(1, "first", 200, 5), row(1, "second", 200, 5)];
    assert_eq!(open(&place.path).select(&selection).unwrap().groups, added_up(&rows, &selection));
}

#[test]
fn notes_wait_while_the_file_is_locked() {
    let place = place();
    let options = Options { busy_timeout: Duration::ZERO, ..Options::default() };
    let store = SqliteStore::open(&place.path, options).unwrap();
    let other = Connection::open(&place.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    store.remember(conformance::note("maintenance", "orders", Some("one"))).unwrap();
    store.remember(conformance::note("maintenance", "orders", Some("two"))).unwrap();
    store.flush(PATIENCE).unwrap_err();
    assert_eq!(store.recall("maintenance").unwrap(), []);
    other.execute_batch("ROLLBACK").unwrap();
    store.flush(PATIENCE).unwrap();
    assert_eq!(&*store.recall("maintenance").unwrap()[0].text, "two");
}

#[test]
fn a_writer_that_panics_is_told_by_everything() {
    let place = place();
    let panics = |_: Writer, queue: &Queue| {
        queue.take(None, 1);
        panic!("as the test wants it");
    };
    let store = SqliteStore::open_with(place.path.clone(), Options::default(), panics).unwrap();
    store.append(vec![row(1, "orders", 200, 5)]).unwrap();
    let error = store.flush(PATIENCE).unwrap_err();
    assert!(error.to_string().contains("thread has ended"), "{error}");
    assert_eq!(store.append(vec![row(2, "orders", 200, 5)]).unwrap_err().0.len(), 1);
    let status = store.status();
    assert!(status.last_error.is_some_and(|text| text.contains("thread has ended")));
    assert_eq!(status.pending_rows, 1);
    assert!(store.close().is_err());
}
