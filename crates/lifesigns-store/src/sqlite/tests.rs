mod agreement;
mod damage;
mod failures;
mod files;

use std::fs;

use lifesigns_model::bucket::{Level, Minute};
use lifesigns_model::store::{Figures, GroupBy, Retention, RollupStore, Selection};
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::conformance::{self, Harness, PATIENCE, added_up, append, everything, row};
use crate::file::beside;

/// Stores in files of one folder. Reopening drops the store without a word and opens its file again.
struct InFiles {
    folder: TempDir,
    opened: std::cell::Cell<u32>,
}

impl InFiles {
    fn path(&self) -> PathBuf {
        self.folder.path().join(format!("{}.db", self.opened.get()))
    }
}

impl Harness for InFiles {
    fn open(&self, retention: Retention) -> Box<dyn RollupStore> {
        self.opened.set(self.opened.get() + 1);
        Box::new(SqliteStore::open(self.path(), keeping(retention)).unwrap())
    }

    fn reopened(&self, store: Box<dyn RollupStore>, retention: Retention) -> Box<dyn RollupStore> {
        drop(store);
        Box::new(SqliteStore::open(self.path(), keeping(retention)).unwrap())
    }
}

/// What is closed is closed at once, however slow the machine is: what has expired by then is looked at.
fn keeping(retention: Retention) -> Options {
    Options { retention, closing: Duration::from_hours(1), ..Options::default() }
}

/// A folder that is removed with it, and the path of a file in it.
struct Place {
    folder: TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("lifesigns.db");
    Place { folder, path }
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, Options::default()).unwrap()
}

/// All exchanges, as a selection counts them.
fn total(store: &dyn RollupStore) -> u64 {
    let selected = store.select(&everything(i64::MIN, i64::MAX)).unwrap();
    selected.groups.first().map_or(0, |group| group.count)
}

/// The damaged files beside one.
fn set_aside(place: &Place) -> Vec<PathBuf> {
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let paths = fs::read_dir(place.folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut aside: Vec<_> = paths
        .filter(|path| {
            name(path).contains(".damaged-") && !name(path).ends_with("-wal") && !name(path).ends_with("-shm")
        })
        .collect();
    aside.sort();
    aside
}

/// Looks into a file with a connection of its own.
fn number(path: &Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, (), |row| row.get(0)).unwrap()
}

/// Every closed hour and day counts what its minutes count, and the file is sound.
fn assert_sound(path: &Path) {
    let connection = Connection::open(path).unwrap();
    let integrity: String = connection.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
    assert_eq!(integrity, "ok");
    let timeline = schema::load_timeline(&connection).unwrap();
    let count = |table: &str, from: Minute, until: Minute| -> i64 {
        let sql = format!("SELECT coalesce(sum(count), 0) FROM {table} WHERE t >= ?1 AND t < ?2");
        connection.query_row(&sql, (from.number(), until.number()), |row| row.get(0)).unwrap()
    };
    let (from, until) = (timeline.minutes_from, timeline.hours_until);
    assert_eq!(count("minutes", from, until), count("hours", from, until), "hours");
    let (from, until) = (timeline.hours_from, timeline.days_until);
    assert_eq!(count("hours", from, until), count("days", from, until), "days");
}

#[test]
fn sqlite_conforms() {
    conformance::check(&InFiles { folder: TempDir::new().unwrap(), opened: 0.into() });
}

#[test]
fn what_is_being_closed_is_closed_though_nothing_more_comes() {
    let place = place();
    let options = Options { closing: Duration::ZERO, ..Options::default() };
    let store = SqliteStore::open(&place.path, options).unwrap();
    append(&store, ["a", "b", "c", "d"].map(|api| row(1, api, 200, 5)).into());
    append(&store, vec![row(61, "a", 200, 5)]);
    let deadline = std::time::Instant::now() + PATIENCE;
    let hours = "SELECT coalesce((SELECT value FROM meta WHERE name = 'hours_until'), 0)";
    while number(&place.path, hours) < 60 {
        assert!(std::time::Instant::now() < deadline, "the hour is not closed");
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(number(&place.path, "SELECT count(*) FROM hours"), 4);
    assert_eq!(total(&store), 5);
}

#[test]
fn rows_appended_without_a_flush_are_written_when_the_store_is_dropped() {
    let place = place();
    for round in 0..3 {
        let store = open(&place.path);
        for minute in 0..200 {
            store.append(vec![row(round * 200 + minute, "orders", 200, 5)]).unwrap();
        }
    }
    assert!(!beside(&place.path, "-wal").exists(), "closing leaves one file");
    assert_eq!(total(&open(&place.path)), 600);
    assert_sound(&place.path);
}

#[test]
fn expired_rows_and_the_series_only_they_used_leave_the_file() {
    let place = place();
    let retention = Retention { minute_rows: 60, hour_rows: 1440, day_rows: 2 * 1440 };
    let store = SqliteStore::open(&place.path, Options { retention, ..Options::default() }).unwrap();
    append(&store, vec![row(0, "gone", 200, 1)]);
    for day in 0..6 {
        append(&store, (0..24).map(|hour| row(day * 1440 + hour * 60, "orders", 200, 1)).collect());
    }
    let kept = "SELECT (SELECT count(*) FROM minutes) * 1000000 + (SELECT count(*) FROM hours) * 1000 \
                + (SELECT count(*) FROM days) * 10 + (SELECT count(*) FROM api)";
    let deadline = std::time::Instant::now() + PATIENCE;
    // The newest row is of 23:00 on day 5, so hours are closed up to 22:00: minutes from there are left, hours since
    // day 4, days since day 3, and one API.
    let expected = 2 * 1_000_000 + (24 + 22) * 1000 + 2 * 10 + 1;
    while number(&place.path, kept) != expected {
        assert!(std::time::Instant::now() < deadline, "{} is left", number(&place.path, kept));
        std::thread::yield_now();
    }
    drop(store);
    assert_sound(&place.path);
}

#[test]
fn a_selection_of_one_api_reads_nothing_of_others() {
    for level in Level::ALL {
        for with_buckets in [true, false] {
            let place = place();
            drop(open(&place.path));
            let sql = format!("EXPLAIN QUERY PLAN {}", blocks::scan(level, with_buckets));
            let connection = Connection::open(&place.path).unwrap();
            let plan: String = connection.query_row(&sql, (1, 2, 3), |row| row.get(3)).unwrap();
            assert!(plan.ends_with("(api=? AND t>? AND t<?)"), "{plan}");
        }
    }
}

#[test]
fn without_percentiles_no_buckets_are_decoded() {
    let place = place();
    let store = open(&place.path);
    append(&store, vec![row(1, "orders", 200, 5)]);
    Connection::open(&place.path).unwrap().execute("UPDATE minutes SET buckets = x'ff'", ()).unwrap();
    for figures in [Figures::Counts, Figures::Sums] {
        let plain = Selection { figures, ..everything(0, 9) };
        assert_eq!(store.select(&plain).unwrap().groups[0].count, 1);
    }
    let error = store.select(&everything(0, 9)).unwrap_err();
    assert!(error.to_string().contains("is damaged"), "{error}");
}

#[test]
fn a_reader_of_its_own_sees_what_the_writer_has_flushed() {
    let place = place();
    let store = open(&place.path);
    append(&store, vec![row(1, "orders", 200, 5)]);
    let reader = SqliteStore::open_read_only(&place.path).unwrap();
    assert_eq!(reader.select(&everything(0, 9)).unwrap().groups[0].count, 1);
    append(&store, vec![row(2, "orders", 200, 5)]);
    assert_eq!(reader.select(&everything(0, 9)).unwrap().groups[0].count, 2);
    drop(store);
    assert_eq!(reader.select(&everything(0, 9)).unwrap().groups[0].count, 2);
}

#[test]
fn status_tells_the_size_and_that_nothing_is_wrong() {
    let place = place();
    let store = open(&place.path);
    append(&store, vec![row(1, "orders", 200, 5)]);
    let status = store.status();
    assert_eq!((status.pending_rows, status.dropped_exchanges, status.last_error), (0, 0, None));
    assert!(status.bytes >= crate::file::opening::PAGE_SIZE);
}
