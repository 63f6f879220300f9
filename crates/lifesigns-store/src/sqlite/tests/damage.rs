//! Files that are damaged: set aside whole, and a new one begun.

use super::*;

const NOTE: &str = "a note that was there";

/// A closed file with rows of some hours and a note, in a place of its own.
fn filled() -> Place {
    let place = place();
    let store = open(&place.path);
    append(&store, (0..2000).map(|minute| row(minute, "orders", 200, 5)).collect());
    store.remember(conformance::note("maintenance", "orders", Some(NOTE))).unwrap();
    store.flush(PATIENCE).unwrap();
    store.close().unwrap();
    place
}

fn page(number: usize) -> std::ops::Range<usize> {
    let size = crate::file::opening::PAGE_SIZE as usize;
    (number - 1) * size..number * size
}

/// The page on which a table begins.
fn root(path: &Path, table: &str) -> usize {
    number(path, &format!("SELECT rootpage FROM sqlite_schema WHERE name = '{table}'")) as usize
}

/// Opens a damaged file: what it was is aside to the last byte, and the new one counts from nothing.
fn assert_begun_anew(place: &Place, damaged: &[u8], what: &str) {
    let store = open(&place.path);
    assert_eq!(total(&store), 0, "{what}");
    append(&store, vec![row(1, "orders", 200, 5)]);
    assert_eq!(total(&store), 1, "{what}");
    let aside = set_aside(place);
    assert_eq!(aside.len(), 1, "{what}: {aside:?}");
    assert!(fs::read(&aside[0]).unwrap() == damaged, "{what}: the damaged file was changed");
    drop(store);
    assert_sound(&place.path);
    assert_eq!(total(&open(&place.path)), 1, "{what}");
    assert_eq!(set_aside(place).len(), 1, "{what}: the new file is sound");
}

#[test]
fn a_file_that_cannot_be_opened_is_set_aside() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 11] = [
        ("garbage", |bytes| {
            bytes.iter_mut().zip((0u8..251).cycle()).for_each(|(byte, other)| *byte ^= other | 1);
        }),
        ("zeros", |bytes| bytes.fill(0)),
        ("a byte is left", |bytes| bytes.truncate(1)),
        ("an older version than it is", |bytes| bytes[63] ^= 1),
        ("no version", |bytes| bytes[63] = 0),
        ("a few bytes are left", |bytes| bytes.truncate(50)),
        ("half a page is left", |bytes| bytes.truncate(4096)),
        ("a bit of the header", |bytes| bytes[3] ^= 1),
        ("the size of a page", |bytes| bytes[16] ^= 0xff),
        ("the page of the schema", |bytes| bytes[100..8192].fill(0xaa)),
        ("a name in the schema", |bytes| {
            let place = bytes.windows(5).position(|window| window == b"hours").unwrap();
            for at in (0..8192).filter(|at| *at >= place) {
                if bytes[at..].starts_with(b"hours") {
                    bytes[at] ^= 1;
                }
            }
        }),
    ];
    for (what, damage) in damages {
        let place = filled();
        let mut bytes = fs::read(&place.path).unwrap();
        damage(&mut bytes);
        fs::write(&place.path, &bytes).unwrap();
        assert_begun_anew(&place, &bytes, what);
    }
}

#[test]
fn a_damaged_file_that_was_brought_from_elsewhere_is_known_by_what_is_left_of_it() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 5] = [
        ("half a page is left", |bytes| bytes.truncate(5000)),
        ("a bit of the header", |bytes| bytes[3] ^= 1),
        ("the header", |bytes| bytes[..100].fill(0xaa)),
        ("the mark", |bytes| bytes[68] ^= 1),
        ("no mark", |bytes| bytes[68..72].fill(0)),
    ];
    for (what, damage) in damages {
        let mut bytes = fs::read(&filled().path).unwrap();
        damage(&mut bytes);
        let place = place();
        fs::write(&place.path, &bytes).unwrap();
        assert_begun_anew(&place, &bytes, what);
    }
}

#[test]
fn what_the_notes_of_a_damaged_file_say_is_kept_where_they_can_be_read() {
    let place = filled();
    let mut bytes = fs::read(&place.path).unwrap();
    let meta = page(root(&place.path, "meta"));
    bytes[meta].fill(0xaa);
    fs::write(&place.path, &bytes).unwrap();
    let store = open(&place.path);
    store.flush(PATIENCE).unwrap();
    append(&store, vec![row(1, "orders", 200, 5)]);
    assert_eq!(&*store.recall("maintenance").unwrap()[0].text, NOTE);
    assert_eq!(set_aside(&place).len(), 1);
}

/// Waits until a store has turned to a new file.
fn wait_for_new_file(place: &Place, store: &SqliteStore) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while set_aside(place).is_empty() || store.reader.file() == 0 {
        assert!(std::time::Instant::now() < deadline, "the damaged file is still there");
        std::thread::yield_now();
    }
}

#[test]
fn damage_that_a_reader_finds_is_set_aside_while_the_store_runs() {
    for (what, sql) in [
        ("a bit of the figures", "UPDATE hours SET figures = zeroblob(length(figures)) WHERE t = 1500"),
        ("a series that is not in the dictionary", "DELETE FROM series"),
    ] {
        let place = filled();
        let store = open(&place.path);
        append(&store, vec![row(2000, "orders", 200, 5)]);
        Connection::open(&place.path).unwrap().execute(sql, ()).unwrap();
        let error = store.select(&everything(i64::MIN, i64::MAX)).unwrap_err();
        assert!(error.to_string().contains("is damaged"), "{what}: {error}");
        wait_for_new_file(&place, &store);
        append(&store, vec![row(2001, "orders", 200, 5)]);
        assert_eq!(total(&store), 1, "{what}");
        assert_eq!(store.status().last_error, None, "{what}");
        assert_eq!(&*store.recall("maintenance").unwrap()[0].text, NOTE, "{what}");
        drop(store);
        assert_sound(&place.path);
        let aside = Connection::open(&set_aside(&place)[0]).unwrap();
        let minutes: i64 = aside.query_row("SELECT count(*) FROM minutes", (), |row| row.get(0)).unwrap();
        assert_eq!(minutes, 2001, "{what}: the log was set aside with its file");
    }
}

#[test]
fn damage_that_the_writer_finds_loses_no_row_that_waits() {
    let place = filled();
    let store = open(&place.path);
    let damage = "UPDATE minutes SET figures = x'00' WHERE t = 1999";
    Connection::open(&place.path).unwrap().execute(damage, ()).unwrap();
    // Of a minute that has to be read first, and of one that has not.
    append(&store, vec![row(1999, "orders", 200, 5), row(2000, "orders", 200, 5)]);
    assert_eq!(total(&store), 2);
    assert_eq!(set_aside(&place).len(), 1);
    assert_eq!((store.status().pending_rows, store.status().dropped_exchanges), (0, 0));
    drop(store);
    assert_sound(&place.path);
}

#[test]
fn a_file_is_set_aside_once_a_minute_at_most() {
    let place = filled();
    let store = open(&place.path);
    let damage = |t: i64| {
        let sql = "UPDATE minutes SET figures = x'00' WHERE t = ?1";
        assert_eq!(Connection::open(&place.path).unwrap().execute(sql, [t]).unwrap(), 1);
    };
    damage(1999);
    append(&store, vec![row(1999, "orders", 200, 5)]);
    damage(1999);
    store.append(vec![row(1999, "orders", 200, 5)]).unwrap();
    let error = store.flush(PATIENCE).unwrap_err();
    assert!(error.to_string().contains("is damaged"), "{error}");
    assert_eq!((set_aside(&place).len(), store.status().pending_rows), (1, 1));
}
