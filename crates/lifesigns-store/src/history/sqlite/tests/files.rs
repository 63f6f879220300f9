//! Which files are opened, which are refused, and what a killed process leaves.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::*;
use crate::history::MemoryHistory;
use crate::history::conformance::fixture_entries;
use crate::sqlite::{Options, SqliteStore};

/// Files that the versions wrote, from the first on.
const FIXTURES: [&str; FILE_VERSION as usize] =
    [concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/history-v1.db")];

#[test]
fn a_file_of_every_version_is_read_to_the_last_entry() {
    let memory = MemoryHistory::new(HistoryRetention::default());
    append(&memory, fixture_entries());
    for fixture in FIXTURES {
        let place = place();
        fs::copy(fixture, &place.path).unwrap();
        let tables = "SELECT (SELECT count(*) FROM block) > 0 AND (SELECT count(*) FROM fresh) > 0";
        assert_eq!(number(&place.path, tables), 1, "there is something of everything in it");
        let history = open(&place.path);
        for service in ["orders", "polls", "übrige"] {
            assert_alike(&readings(&history, service, ALWAYS), &readings(&memory, service, ALWAYS));
        }
        assert_eq!(readings(&history, "orders", ALWAYS).len(), 576);
        let events = events_of(ALWAYS);
        assert_eq!(history.events(&events).unwrap(), memory.events(&events).unwrap());
        assert_eq!(history.recall("outbox").unwrap(), memory.recall("outbox").unwrap());
        append(&history, some(1_767_400_000..1_767_400_010));
        assert_eq!(count(&history), 586);
        drop(history);
        assert_sound(&place.path);
    }
}

fn error_of(path: &Path) -> String {
    SqliteHistory::open(path, HistoryOptions::default()).unwrap_err().to_string()
}

#[test]
fn figures_and_history_are_never_taken_for_one_another() {
    let place = place();
    drop(SqliteStore::open(&place.path, Options::default()).unwrap());
    let before = fs::read(&place.path).unwrap();
    let expected = "holds the figures of APIs, and not the history of a monitor. It was left as it is";
    assert!(error_of(&place.path).contains(expected), "{}", error_of(&place.path));
    let error = SqliteHistoryReader::open(&place.path).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
    assert!(fs::read(&place.path).unwrap() == before);

    let path = place.folder.path().join("other.db");
    drop(open(&path));
    let before = fs::read(&path).unwrap();
    let expected = "holds the history of a monitor, and not the figures of APIs. It was left as it is";
    let error = SqliteStore::open(&path, Options::default()).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
    let error = SqliteStore::open_read_only(&path).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
    assert!(fs::read(&path).unwrap() == before);
    assert_eq!(set_aside(&place), Vec::<PathBuf>::new());
}

#[test]
fn a_newer_file_and_that_of_another_program_are_refused_and_left_as_they_are() {
    let place = place();
    drop(open(&place.path));
    Connection::open(&place.path).unwrap().pragma_update(None, "user_version", FILE_VERSION + 1).unwrap();
    let before = fs::read(&place.path).unwrap();
    let expected = format!("written by a newer Lifesigns (file version {}", FILE_VERSION + 1);
    assert!(error_of(&place.path).contains(&expected), "{}", error_of(&place.path));
    assert!(fs::read(&place.path).unwrap() == before);
    let path = place.folder.path().join("mine.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE fresh (x)").unwrap();
    assert!(error_of(&path).contains("of another program"), "{}", error_of(&path));
    assert!(!beside(&path, ".lock").exists(), "nothing is left beside it");
    assert_eq!(set_aside(&place), Vec::<PathBuf>::new());
}

#[test]
fn a_file_that_is_being_written_is_refused_to_others() {
    let place = place();
    let history = open(&place.path);
    let expected = format!("already being written by another Lifesigns (process {})", std::process::id());
    assert!(error_of(&place.path).contains(&expected), "{}", error_of(&place.path));
    drop(history);
    drop(open(&place.path));
    assert!(SqliteHistoryReader::open(place.folder.path().join("none.db")).is_err());
}

#[test]
fn where_the_file_is_removed_a_new_one_is_begun() {
    let place = place();
    let history = open(&place.path);
    append(&history, some(0..5));
    fs::remove_file(&place.path).unwrap();
    append(&history, some(10..13));
    assert_eq!(count(&history), 3);
    drop(history);
    assert_eq!(count(&open(&place.path)), 3);
}

/// Set in the environment of the process that is to be killed.
const CHILD: &str = "LIFESIGNS_HISTORY_WRITTEN_UNTIL_KILLED";

/// Runs itself as a child that appends and prints how many readings were acknowledged, and kills it.
#[test]
fn a_killed_process_loses_nothing_that_was_acknowledged_and_leaves_no_half_of_anything() {
    if let Some(path) = std::env::var_os(CHILD) {
        write_until_killed(Path::new(&path));
    }
    let place = place();
    let mut acknowledged = 0;
    for kill_after in [1, 90, 7, 150, 33] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "history::sqlite::tests::files::a_killed_process_loses_nothing_that_was_acknowledged_and_leaves_no_half_of_anything",
            ])
            .env(CHILD, &place.path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let counts = lines.filter_map(|line| line.strip_prefix("acknowledged ").map(|n| n.parse().unwrap()));
        acknowledged = counts.take(kill_after).last().expect("the child writes");
        child.kill().unwrap();
        child.wait().unwrap();
        let history = open(&place.path);
        let found = count(&history);
        assert!(found >= acknowledged, "{found} of {acknowledged}");
        assert_eq!(found % 20, 0, "a batch is written whole");
        assert_eq!(history.events(&events_of(ALWAYS)).unwrap().len(), found / 20);
        assert_eq!(*history.recall("written").unwrap()[0].text, *found.to_string());
        drop(history);
        assert_sound(&place.path);
    }
    assert!(acknowledged > 0);
    let blocks = number(&place.path, "SELECT count(*) FROM block");
    assert!(blocks > 0, "it was killed while blocks were made, too");
}

#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn write_until_killed(path: &Path) -> ! {
    let history = open(path);
    let mut written = count(&history);
    loop {
        let start = written as i64;
        written += 20;
        let mut batch: Vec<Entry> =
            (start..start + 20).map(|minute| entry("orders", reading(minute * 60))).collect();
        batch.push(Entry::Event(event(
            EventKind::Deploy,
            &start.to_string(),
            Some("orders"),
            start,
            Some(start),
        )));
        batch.push(note("written", "readings", Some(&written.to_string())));
        append(&history, batch);
        println!("acknowledged {written}");
    }
}
