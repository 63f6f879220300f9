mod agreement;
mod damage;
mod failures;
mod files;
mod size;

use std::fs;
use std::sync::Arc;

use lifesigns_model::history::EventKind;
use lifesigns_model::light::Light;
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::file::beside;
use crate::history::conformance::{
    ALWAYS, PATIENCE, append, assert_alike, entry, event, events_of, note, reading, readings,
};

const HOUR: i64 = 3600;

/// A folder that is removed with it, and the path of a file in it.
struct Place {
    folder: TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("history.db");
    Place { folder, path }
}

fn open(path: &Path) -> SqliteHistory {
    SqliteHistory::open(path, HistoryOptions::default()).unwrap()
}

/// Readings of one service, one each second.
fn some(seconds: std::ops::Range<i64>) -> Vec<Entry> {
    seconds.map(|at| entry("orders", reading(at))).collect()
}

fn count(history: &SqliteHistory) -> usize {
    readings(history, "orders", ALWAYS).len()
}

/// Looks into a file with a connection of its own.
fn number(path: &Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, (), |row| row.get(0)).unwrap()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// The damaged files beside one.
fn set_aside(place: &Place) -> Vec<PathBuf> {
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let paths = fs::read_dir(place.folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let is_file = |path: &PathBuf| {
        let name = name(path);
        name.contains(".damaged-") && !name.ends_with("-wal") && !name.ends_with("-shm")
    };
    paths.filter(is_file).collect()
}

fn assert_sound(path: &Path) {
    let connection = Connection::open(path).unwrap();
    let integrity: String = connection.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
    assert_eq!(integrity, "ok");
}

#[test]
fn an_hour_that_is_over_is_put_into_blocks() {
    let place = place();
    let history = open(&place.path);
    append(&history, (0..60).map(|minute| entry("orders", reading(minute * 60))).collect());
    append(&history, vec![entry("polls", reading(5))]);
    assert_eq!(number(&place.path, "SELECT count(*) FROM block"), 0);
    append(&history, vec![entry("orders", reading(HOUR))]);
    let left = "SELECT (SELECT count(*) FROM fresh) * 10 + (SELECT count(*) FROM block)";
    wait_until("a block for each service", || number(&place.path, left) == 2);
    append(&history, vec![entry("orders", reading(HOUR + 1))]);
    assert_eq!(number(&place.path, left), 12);
    assert_eq!(count(&history), 62);
    assert_eq!(readings(&history, "polls", ALWAYS), [reading(5)]);
    history.close().unwrap();
    assert_sound(&place.path);
}

#[test]
fn a_reader_of_its_own_sees_what_the_writer_has_flushed() {
    let place = place();
    let history = open(&place.path);
    append(&history, some(0..50));
    append(
        &history,
        vec![Entry::Event(event(EventKind::Gap, "k", None, 5, None)), note("t", "k", Some("x"))],
    );
    let reader = SqliteHistoryReader::open(&place.path).unwrap();
    assert_eq!(reader.readings("orders", ALWAYS).unwrap().len(), 50);
    append(&history, some(HOUR..HOUR + 50));
    wait_until("a block", || number(&place.path, "SELECT count(*) FROM fresh") == 0);
    append(&history, some(40..60));
    let found = reader.readings("orders", ALWAYS).unwrap();
    assert_eq!(found, readings(&history, "orders", ALWAYS));
    assert_eq!(found.len(), 110);
    assert_eq!(reader.events(&events_of(ALWAYS)).unwrap().len(), 1);
    assert_eq!(reader.recall("t").unwrap().len(), 1);
    assert_eq!(reader.services().unwrap(), ["orders"]);
    drop(history);
    assert_eq!(reader.readings("orders", Span { from: 59, to: HOUR + 1 }).unwrap().len(), 2);
}

#[test]
fn what_has_expired_leaves_the_file_and_so_do_services_without_anything() {
    let place = place();
    let day = Duration::from_hours(24);
    let retention = HistoryRetention { readings: day, events: day };
    let options = HistoryOptions { retention, ..HistoryOptions::default() };
    let history = SqliteHistory::open(&place.path, options).unwrap();
    append(
        &history,
        vec![
            entry("gone", reading(0)),
            Entry::Event(event(EventKind::Outage, "over", Some("gone, too"), 0, Some(1))),
            Entry::Event(event(EventKind::Outage, "open", Some("open"), 0, None)),
        ],
    );
    for hour in 0..5 * 24 {
        append(&history, vec![entry("orders", reading(hour * HOUR))]);
    }
    // Of 23:00 on the fifth day, so the fourth and the fifth are kept.
    let left = "SELECT (SELECT count(*) FROM block) * 100 + (SELECT count(*) FROM event) * 10 \
                + (SELECT count(*) FROM service)";
    wait_until("what has expired is removed", || number(&place.path, left) == 212);
    assert_eq!(count(&history), 48);
    append(&history, vec![entry("gone", reading(5 * 24 * HOUR))]);
    assert_eq!(readings(&history, "gone", ALWAYS), [reading(5 * 24 * HOUR)]);
}

#[test]
fn entries_that_nobody_flushes_are_written_all_the_same() {
    let place = place();
    let history = open(&place.path);
    history.append(some(0..10)).unwrap();
    wait_until("it is written", || history.status().pending_entries == 0);
    assert_eq!(count(&history), 10);
    history.append(some(10..20)).unwrap();
    drop(history);
    assert!(!beside(&place.path, "-wal").exists(), "closing leaves one file");
    assert_eq!(count(&open(&place.path)), 20);
}

#[test]
fn a_flush_does_not_wait_for_what_is_being_collected() {
    let place = place();
    let history = open(&place.path);
    let began = std::time::Instant::now();
    // Half a second each would be 50 seconds, and the last would not be granted.
    for at in 0..100 {
        history.append(some(at..at + 1)).unwrap();
        history.flush(PATIENCE.saturating_sub(began.elapsed())).unwrap();
    }
    assert_eq!(count(&history), 100);
}

#[test]
fn events_are_found_by_an_index_whatever_is_asked() {
    let place = place();
    drop(open(&place.path));
    let connection = Connection::open(&place.path).unwrap();
    for (sql, expected) in read::EVENT_STATEMENTS.into_iter().zip([
        "(began>? AND began<?)",
        "(service=? AND began>? AND began<?)",
        "(ended>?)",
        "(service=? AND ended>?)",
    ]) {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut rows = statement.raw_query();
        let plan: String = rows.next().unwrap().unwrap().get(3).unwrap();
        assert!(plan.ends_with(expected), "{plan}");
    }
}

#[test]
fn status_tells_the_size_and_that_nothing_is_wrong() {
    let place = place();
    let history = open(&place.path);
    append(&history, some(0..5));
    let status = history.status();
    assert_eq!((status.pending_entries, status.dropped_entries, status.last_error), (0, 0, None));
    assert!(status.bytes >= crate::file::opening::PAGE_SIZE);
}
