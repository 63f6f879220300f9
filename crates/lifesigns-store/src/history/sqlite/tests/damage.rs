//! Files that are damaged: set aside whole, and a new one begun with what is still known.

use super::*;

const NOTE: &str = "a note that was there";

/// A closed file with readings of two hours, the second of which is not in a block, and a note.
fn filled() -> Place {
    let place = place();
    let history = open(&place.path);
    append(&history, some(0..500));
    append(&history, vec![entry("orders", reading(HOUR)), note("outbox", "k", Some(NOTE))]);
    wait_until("a block", || number(&place.path, "SELECT count(*) FROM fresh") == 0);
    append(&history, some(HOUR + 1..HOUR + 10));
    history.close().unwrap();
    place
}

fn assert_note_is_there(history: &SqliteHistory) {
    history.flush(PATIENCE).unwrap();
    let notes = history.recall("outbox").unwrap();
    assert_eq!(notes.iter().map(|note| &*note.text).collect::<Vec<_>>(), [NOTE]);
}

#[test]
fn a_file_that_cannot_be_opened_is_set_aside() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 6] = [
        ("zeros", |bytes| bytes.fill(0)),
        ("a byte is left", |bytes| bytes.truncate(1)),
        ("half a page is left", |bytes| bytes.truncate(4096)),
        ("a bit of the header", |bytes| bytes[3] ^= 1),
        ("the mark", |bytes| bytes[68] ^= 1),
        ("the page of the schema", |bytes| bytes[100..8192].fill(0xaa)),
    ];
    for (what, damage) in damages {
        let place = filled();
        let mut bytes = fs::read(&place.path).unwrap();
        damage(&mut bytes);
        fs::write(&place.path, &bytes).unwrap();
        let history = open(&place.path);
        assert_eq!(count(&history), 0, "{what}");
        append(&history, some(0..3));
        assert_eq!(count(&history), 3, "{what}");
        let aside = set_aside(&place);
        assert_eq!(aside.len(), 1, "{what}: {aside:?}");
        assert!(fs::read(&aside[0]).unwrap() == bytes, "{what}: the damaged file was changed");
        drop(history);
        assert_sound(&place.path);
        assert_eq!(count(&open(&place.path)), 3, "{what}");
    }
}

#[test]
fn fresh_readings_that_are_damaged_are_found_when_the_file_is_opened() {
    for sql in ["UPDATE fresh SET readings = zeroblob(length(readings))", "DELETE FROM service"] {
        let place = filled();
        Connection::open(&place.path).unwrap().execute(sql, ()).unwrap();
        let error = SqliteHistoryReader::open(&place.path).unwrap().readings("orders", ALWAYS);
        assert!(error.is_err_and(|error| error.to_string().contains("damaged")) || sql.starts_with("DELETE"));
        let history = open(&place.path);
        assert_note_is_there(&history);
        assert_eq!(count(&history), 0, "{sql}");
        assert_eq!(set_aside(&place).len(), 1, "{sql}");
    }
}

#[test]
fn damage_that_a_reader_finds_is_set_aside_while_the_history_runs() {
    let place = filled();
    let history = open(&place.path);
    let damage = "UPDATE block SET readings = substr(readings, 2)";
    assert_eq!(Connection::open(&place.path).unwrap().execute(damage, ()).unwrap(), 1);
    let error = history.readings("orders", ALWAYS).unwrap_err();
    assert!(error.to_string().contains("is damaged"), "{error}");
    wait_until("a new file", || history.reader.pool().file() == 1);
    append(&history, some(HOUR + 10..HOUR + 20));
    assert_eq!(count(&history), 19, "those that were in no block are in the new file");
    assert_note_is_there(&history);
    assert_eq!(history.status().last_error, None);
    drop(history);
    assert_sound(&place.path);
    assert_eq!(count(&open(&place.path)), 19);
    assert_eq!(set_aside(&place).len(), 1);
}

#[test]
fn damage_that_the_writer_finds_loses_no_reading_that_is_in_no_block() {
    let place = filled();
    let history = open(&place.path);
    let damage = "UPDATE block SET readings = x'00'";
    assert_eq!(Connection::open(&place.path).unwrap().execute(damage, ()).unwrap(), 1);
    // The next hour makes the writer read the block.
    append(&history, some(2 * HOUR..2 * HOUR + 5));
    wait_until("a new file", || history.reader.pool().file() == 1);
    history.flush(PATIENCE).unwrap();
    assert_eq!(count(&history), 9 + 5);
    assert_note_is_there(&history);
    assert_eq!((history.status().pending_entries, history.status().dropped_entries), (0, 0));
    drop(history);
    assert_sound(&place.path);
}
