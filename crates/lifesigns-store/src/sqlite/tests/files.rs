//! Which files are opened, which are refused, and what a killed process leaves.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use lifesigns_model::series::Dimension;

use super::*;

/// Files that the versions wrote, from the first on.
const FIXTURES: [&str; schema::VERSION as usize] = [
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/store-v1.db"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/store-v2.db"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/store-v3.db"),
];

#[test]
fn a_file_of_every_version_is_read_to_the_last_count() {
    for (version, fixture) in (1..).zip(FIXTURES) {
        let place = place();
        fs::copy(fixture, &place.path).unwrap();
        read_to_the_last_count(&place);
        let notes = conformance::fixture_notes();
        let kept = open(&place.path).recall("maintenance").unwrap();
        let kept: Vec<_> = kept.into_iter().map(|note| (note.key, Some(note.text))).collect();
        let expected: Vec<_> = notes.into_iter().map(|note| (note.key, note.text)).collect();
        assert_eq!(kept, if version == 1 { vec![] } else { expected }, "version {version}");
    }
}

fn read_to_the_last_count(place: &Place) {
    let rows = conformance::fixture_rows();
    let first = rows[0].minute.number();
    let store = open(&place.path);
    let by = |group_by: Vec<GroupBy>, start: i64, end: i64| {
        let selection = Selection { group_by, ..everything(first + start, first + end) };
        assert_eq!(store.select(&selection).unwrap().groups, added_up(&rows, &selection), "{selection:?}");
    };
    by(vec![], 0, 5 * 1440);
    by(Dimension::ALL.map(GroupBy::Dimension).to_vec(), 0, 5 * 1440);
    by(vec![GroupBy::Interval(1440), GroupBy::Dimension(Dimension::StatusCode)], 0, 5 * 1440);
    by(vec![GroupBy::Interval(60), GroupBy::Dimension(Dimension::Api)], 60, 4 * 1440);
    by(vec![GroupBy::Interval(1)], 4 * 1440 - 7, 5 * 1440);
    assert_eq!(total(&store), 720);
    append(&store, vec![row(first + 5 * 1440, "orders", 200, 1)]);
    assert_eq!(total(&store), 721);
    drop(store);
    assert_sound(&place.path);
}

#[test]
fn a_newer_file_is_refused_and_left_as_it_is() {
    let place = place();
    drop(open(&place.path));
    Connection::open(&place.path).unwrap().pragma_update(None, "user_version", schema::VERSION + 1).unwrap();
    let before = fs::read(&place.path).unwrap();
    for error in [
        SqliteStore::open(&place.path, Options::default()).unwrap_err(),
        SqliteStore::open_read_only(&place.path).unwrap_err(),
    ] {
        assert!(error.to_string().contains("written by a newer Lifesigns (file version 4"), "{error}");
    }
    assert_eq!(fs::read(&place.path).unwrap(), before);
    assert_eq!(set_aside(&place), Vec::<PathBuf>::new());
}

#[test]
fn the_file_of_another_program_is_refused_and_left_as_it_is() {
    let place = place();
    Connection::open(&place.path).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
    let before = fs::read(&place.path).unwrap();
    let error = SqliteStore::open(&place.path, Options::default()).unwrap_err();
    assert!(error.to_string().contains("of another program"), "{error}");
    Connection::open(&place.path).unwrap().pragma_update(None, "application_id", 7).unwrap();
    let error = SqliteStore::open(&place.path, Options::default()).unwrap_err();
    assert!(error.to_string().contains("of another program"), "{error}");
    assert_eq!(fs::read(&place.path).unwrap().len(), before.len());
    fs::write(&place.path, "name,count\norders,5\n").unwrap();
    let error = SqliteStore::open(&place.path, Options::default()).unwrap_err();
    assert!(error.to_string().contains("is no SQLite file"), "{error}");
    assert_eq!(fs::read_to_string(&place.path).unwrap(), "name,count\norders,5\n");
    assert_eq!(fs::read_dir(place.folder.path()).unwrap().count(), 1, "nothing is left beside it");
    fs::write(&place.path, "x").unwrap();
    let error = SqliteStore::open(&place.path, Options::default()).unwrap_err();
    assert!(error.to_string().contains("is no SQLite file"), "{error}");
    assert_eq!(fs::read_to_string(&place.path).unwrap(), "x");
    // Statements in our own words are no damaged file.
    let dump = include_str!("../migrations/0001-rollups.sql");
    fs::write(&place.path, dump).unwrap();
    let error = SqliteStore::open(&place.path, Options::default()).unwrap_err();
    assert!(error.to_string().contains("is no SQLite file"), "{error}");
    assert_eq!(fs::read_to_string(&place.path).unwrap(), dump);
}

#[test]
fn a_file_that_is_being_written_is_refused_to_others() {
    let place = place();
    let store = open(&place.path);
    let error = SqliteStore::open(&place.path, Options::default()).unwrap_err();
    let expected = format!("already being written by another Lifesigns (process {})", std::process::id());
    assert!(error.to_string().contains(&expected), "{error}");
    drop(store);
    drop(open(&place.path));
}

#[test]
fn where_the_file_is_removed_a_new_one_is_begun() {
    for also in [&["-wal", "-shm"][..], &[]] {
        let place = place();
        let store = open(&place.path);
        append(&store, vec![row(1, "orders", 200, 5); 3]);
        assert_eq!(total(&store), 3);
        fs::remove_file(&place.path).unwrap();
        for suffix in also {
            fs::remove_file(beside(&place.path, suffix)).unwrap();
        }
        append(&store, vec![row(2, "orders", 200, 5); 2]);
        assert_eq!(total(&store), 2, "{also:?}");
        drop(store);
        assert_sound(&place.path);
        assert_eq!(total(&open(&place.path)), 2, "{also:?}");
    }
}

#[test]
fn any_path_can_be_opened_again() {
    let place = place();
    for name in ["a?b#c%41.db", "with space & é.db", "file:x.db"] {
        let path = place.folder.path().join(name);
        append(&open(&path), vec![row(1, "orders", 200, 5)]);
        assert_eq!(total(&open(&path)), 1, "{name}");
    }
}

#[test]
fn a_missing_folder_and_one_in_the_place_of_a_file_are_told() {
    let place = place();
    let error = SqliteStore::open(place.folder.path().join("no/such.db"), Options::default()).unwrap_err();
    assert!(error.to_string().contains("folder must exist"), "{error}");
    let error = SqliteStore::open(place.folder.path(), Options::default()).unwrap_err();
    assert!(error.to_string().contains("is a folder"), "{error}");
    assert!(SqliteStore::open_read_only(&place.path).is_err());
}

/// Set in the environment of the process that is to be killed.
const CHILD: &str = "LIFESIGNS_STORE_WRITTEN_UNTIL_KILLED";

/// Runs itself as a child that appends and prints how many exchanges were acknowledged, and kills it.
#[test]
fn a_killed_process_loses_nothing_that_was_acknowledged() {
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
                "sqlite::tests::files::a_killed_process_loses_nothing_that_was_acknowledged",
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
        let found = {
            let store = open(&place.path);
            total(&store)
        };
        assert!(found >= acknowledged, "{found} of {acknowledged}");
        assert_eq!(found % 20, 0, "a batch is written whole");
        assert_sound(&place.path);
    }
    assert!(acknowledged > 0);
}

#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn write_until_killed(path: &Path) -> ! {
    let store = open(path);
    let mut written = total(&store);
    loop {
        // Twenty minutes a batch, so that hours and days close while it runs.
        let start = written as i64;
        append(&store, (start..start + 20).map(|minute| row(minute, "orders", 200, 5)).collect());
        written += 20;
        println!("acknowledged {written}");
    }
}

/// The POSIX locks of a process on a file end when it closes any descriptor of the file. An older `sqlite3` would then
/// take itself for the last user and remove the log that is being written.
#[cfg(target_os = "linux")]
#[test]
fn the_locks_on_an_open_file_stay() {
    use std::os::unix::fs::MetadataExt;

    let place = place();
    let store = open(&place.path);
    append(&store, vec![row(1, "orders", 200, 5)]);
    drop(SqliteStore::open_read_only(&place.path).unwrap());
    let file = format!(":{}", fs::metadata(&place.path).unwrap().ino());
    let locked = || {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        locks.lines().any(|lock| lock.split_whitespace().any(|word| word.ends_with(&file)))
    };
    assert!(locked());
    drop(store);
    assert!(!locked(), "the lock that was found is the store's");
}
