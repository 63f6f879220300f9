//! Writing that fails.

use super::*;

/// Something that does not pack.
fn large(number: i64) -> Entry {
    let detail = "x".repeat(2000).into();
    Entry::Event(Event {
        detail,
        ..event(EventKind::Delivery, &number.to_string(), None, number, Some(number))
    })
}

#[test]
fn a_full_disk_loses_nothing_that_was_taken_until_the_history_is_closed() {
    let place = place();
    let options =
        HistoryOptions { max_bytes: Some(400_000), max_queued_entries: 100, ..HistoryOptions::default() };
    let history = SqliteHistory::open(&place.path, options).unwrap();
    let mut taken = 0;
    let error = loop {
        history.append((0..10).map(|number| large(taken + number)).collect()).unwrap();
        taken += 10;
        if let Err(error) = history.flush(PATIENCE) {
            break error;
        }
        assert!(taken < 1000, "a file without an end");
    };
    assert!(error.to_string().contains("there is no room for"), "{error}");
    while history.append((0..10).map(|number| large(taken + number)).collect()).is_ok() {
        taken += 10;
        assert!(taken < 1000, "a queue without an end");
    }
    let status = history.status();
    assert!(status.last_error.is_some_and(|text| text.contains("there is no room for")));
    assert_eq!((status.pending_entries, status.dropped_entries), (100, 0));
    let kept = history.events(&events_of(ALWAYS)).unwrap().len() as i64;
    assert_eq!(kept + 100, taken);
    assert!(history.close().is_err());
    let history = open(&place.path);
    assert_eq!(history.events(&events_of(ALWAYS)).unwrap().len() as i64, kept);
    append(&history, vec![large(taken)]);
    drop(history);
    assert_sound(&place.path);
}

#[test]
fn entries_wait_while_another_program_holds_the_file_and_append_does_not() {
    let place = place();
    let options = HistoryOptions {
        busy_timeout: Duration::from_millis(1),
        max_queued_entries: 60,
        ..HistoryOptions::default()
    };
    let history = SqliteHistory::open(&place.path, options).unwrap();
    append(&history, some(0..5));
    let other = Connection::open(&place.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    history.append(some(5..10)).unwrap();
    let error = history.flush(PATIENCE).unwrap_err();
    assert!(error.to_string().contains("another program holds"), "{error}");
    history.append(some(10..40)).unwrap();
    history.append(vec![note("t", "k", Some("one")), note("t", "k", Some("two"))]).unwrap();
    let refused = history.append(some(40..80)).unwrap_err();
    assert_eq!(refused, some(40..80));
    assert_eq!(history.status().pending_entries, 37);
    assert_eq!(count(&history), 5, "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    history.flush(PATIENCE).unwrap();
    append(&history, refused);
    assert_eq!(count(&history), 80);
    assert_eq!(&*history.recall("t").unwrap()[0].text, "two");
    assert_eq!((history.status().pending_entries, history.status().last_error), (0, None));
}

#[test]
fn more_than_the_queue_holds_is_taken_when_nothing_waits() {
    let place = place();
    let options = HistoryOptions { max_queued_entries: 10, ..HistoryOptions::default() };
    let history = SqliteHistory::open(&place.path, options).unwrap();
    append(&history, some(0..50));
    assert_eq!(count(&history), 50);
}

#[test]
fn a_transaction_that_fails_leaves_nothing_of_itself() {
    let place = place();
    let recent = Arc::new(Recent::default());
    let options = HistoryOptions::default();
    let mut database =
        open_database(&place.path, &options, false, &recent).map_err(|fault| fault.error).unwrap();
    let fail = "CREATE TEMP TRIGGER fail BEFORE INSERT ON event BEGIN SELECT raise(ABORT, 'no'); END";
    database.connection().execute_batch(fail).unwrap();
    let entries = [entry("first", reading(1)), large(1), note("t", "k", Some("x"))];
    database.write(&entries).unwrap_err();
    assert!(!recent.has("first"));
    database.connection().execute_batch("DROP TRIGGER fail").unwrap();
    // The number that the first had is given to the second.
    database.write(&[entry("second", reading(2))]).unwrap();
    database.write(&entries).unwrap();
    drop(database);
    let history = open(&place.path);
    assert_eq!(readings(&history, "first", ALWAYS), [reading(1)]);
    assert_eq!(readings(&history, "second", ALWAYS), [reading(2)]);
}

#[test]
fn a_writer_that_panics_is_told_by_everything() {
    let place = place();
    let panics = |_: Writer, queue: &Queue| {
        queue.take(None, 1);
        panic!("as the test wants it");
    };
    let history = SqliteHistory::open_with(place.path.clone(), HistoryOptions::default(), panics).unwrap();
    history.append(some(0..1)).unwrap();
    let error = history.flush(PATIENCE).unwrap_err();
    assert!(error.to_string().contains("thread has ended"), "{error}");
    assert_eq!(history.append(some(1..2)).unwrap_err(), some(1..2));
    let status = history.status();
    assert!(status.last_error.is_some_and(|text| text.contains("thread has ended")));
    assert_eq!(status.pending_entries, 1);
    assert!(history.close().is_err());
}
