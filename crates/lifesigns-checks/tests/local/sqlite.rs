use std::path::Path;
use std::time::Duration;

use lifesigns_checks::FailureKind;
use lifesigns_checks::sqlite::{Options, check};
use rusqlite::Connection;

use crate::harness::{assert_fails, assert_passes, assert_refused, run};

fn database(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE poll (id INTEGER PRIMARY KEY, question TEXT NOT NULL);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
             INSERT INTO poll SELECT i, printf('%.*c', 200, 'x') FROM n;
             CREATE INDEX poll_question ON poll (question);",
        )
        .unwrap();
    connection
}

#[tokio::test]
async fn a_database_in_use_answers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("polls.db");
    let writer = database(&path);
    assert_passes(&run(check("data", Options::new(&path))).await);
    writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM poll WHERE id = 1").unwrap();
    let closely =
        Options { quick_check: true, query: Some("SELECT 1 FROM poll".into()), ..Options::new(&path) };
    assert_passes(&run(check("data", closely)).await);
    writer.execute_batch("ROLLBACK").unwrap();
    drop(writer);
    assert_passes(&run(check("data", Options::new(&path))).await);
}

/// POSIX gives up all locks of a process on a file when the process closes any descriptor of it.
#[tokio::test]
async fn locks_of_this_process_survive_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("polls.db");
    let writer = database(&path);
    writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM poll WHERE id = 1").unwrap();
    let inode = std::os::unix::fs::MetadataExt::ino(&path.metadata().unwrap());
    let shm = std::os::unix::fs::MetadataExt::ino(&folder.path().join("polls.db-shm").metadata().unwrap());
    let locks = || {
        let all = std::fs::read_to_string("/proc/locks").unwrap();
        let of_this_file =
            |line: &&str| [inode, shm].iter().any(|inode| line.contains(&format!(":{inode} ")));
        all.lines().filter(of_this_file).filter(|line| line.contains("WRITE")).count()
    };
    let before = locks();
    assert!(before > 0, "the writer has a lock");
    assert_passes(&run(check("data", Options { quick_check: true, ..Options::new(&path) })).await);
    assert_eq!(locks(), before);
    writer.execute_batch("COMMIT").unwrap();
}

#[tokio::test]
async fn what_is_no_good_database_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("polls.db");
    let options = Options::new(&path);
    assert_fails(&run(check("data", options.clone())).await, FailureKind::Unreachable, "polls.db");
    assert!(!path.exists(), "a check creates nothing");
    std::fs::write(&path, "this is not a database, but it is long enough to look like one".repeat(20))
        .unwrap();
    assert_fails(&run(check("data", options.clone())).await, FailureKind::UnexpectedAnswer, "not a database");
    std::fs::remove_file(&path).unwrap();

    drop(database(&path));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0xAA);
    std::fs::write(&path, bytes).unwrap();
    assert_passes(&run(check("data", options.clone())).await);
    let report = run(check("data", Options { quick_check: true, ..options })).await;
    assert_fails(&report, FailureKind::UnexpectedAnswer, "polls.db");
}

#[tokio::test]
async fn a_query_has_to_answer_in_time_and_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("polls.db");
    let writer = database(&path);
    let query = |query: &str| Options {
        query: Some(query.to_owned()),
        time_limit: Duration::from_millis(300),
        ..Options::new(&path)
    };
    let report = run(check("data", query("SELECT 1 FROM poll WHERE id = 5000"))).await;
    assert_fails(&report, FailureKind::UnexpectedAnswer, "no rows");
    let report = run(check("data", query("SELECT 1 FROM nowhere"))).await;
    assert_fails(&report, FailureKind::Failed, "nowhere");
    let report = run(check("data", query("DELETE FROM poll RETURNING id"))).await;
    assert_fails(&report, FailureKind::Denied, "does more than read");
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    assert_fails(&run(check("data", query(endless))).await, FailureKind::TimedOut, "interrupted");
    let left: i64 = writer.query_row("SELECT count(*) FROM poll", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1000);
}

#[tokio::test]
async fn a_query_writes_no_other_file_and_changes_no_setting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("polls.db");
    let writer = database(&path);
    let (other, target) = (folder.path().join("other.db"), folder.path().join("target.db"));
    drop(database(&other));
    let (other, target) = (other.display(), target.display());
    let names = || {
        let mut names: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    for query in [
        &*format!("VACUUM INTO '{target}'"),
        &format!("ATTACH '{target}' AS a"),
        &format!("ATTACH '{other}' AS a"),
        "VACUUM",
        "PRAGMA user_version = 7",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        &format!("PRAGMA temp_store_directory = '{}'", folder.path().display()),
        "CREATE TEMP TABLE t AS SELECT * FROM poll",
        "CREATE TABLE t (i)",
        "REINDEX",
        "BEGIN",
    ] {
        let options = Options { query: Some(query.to_owned()), ..Options::new(&path) };
        assert_fails(&run(check("data", options)).await, FailureKind::Denied, "does more than read");
        assert_eq!(names(), before, "{query}");
    }
    for query in [
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3) SELECT max(i) FROM n",
        "SELECT upper(question) FROM poll ORDER BY question",
        "SELECT name FROM pragma_table_info('poll')",
        "PRAGMA integrity_check(1)",
        "PRAGMA user_version",
        "PRAGMA journal_mode",
    ] {
        let options = Options { query: Some(query.to_owned()), ..Options::new(&path) };
        let report = run(check("data", options)).await;
        assert_eq!(report.failure, None, "{query}: {:?}", report.output);
    }
    drop(writer);
}

/// SQLite would take both for databases without tables.
#[tokio::test]
async fn what_is_empty_or_no_file_is_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("polls.db");
    drop(database(&path));
    std::fs::File::create(&path).unwrap().set_len(0).unwrap();
    let unexpected = FailureKind::UnexpectedAnswer;
    assert_fails(&run(check("data", Options::new(&path))).await, unexpected, "no database: it is empty");
    let report = run(check("data", Options::new("/dev/zero"))).await;
    assert_fails(&report, unexpected, "no database: it is no regular file");
    let report = run(check("data", Options::new(folder.path()))).await;
    assert_fails(&report, unexpected, "no database: it is no regular file");
}

#[tokio::test]
async fn a_locked_database_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("polls.db");
    let writer = database(&path);
    writer.execute_batch("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE").unwrap();
    let options = Options { time_limit: Duration::from_millis(200), ..Options::new(&path) };
    assert_fails(&run(check("data", options)).await, FailureKind::TimedOut, "locked");
}

#[test]
fn options_are_looked_at_before_a_run() {
    assert_refused(check("x", Options::new("polls.db")), "path");
    assert_refused(check("x", Options { query: Some(" ".into()), ..Options::new("/x") }), "query");
    assert_refused(check("x", Options { time_limit: Duration::ZERO, ..Options::new("/x") }), "time_limit");
    assert_eq!(check("x", Options::new("/x")).unwrap().kind_of_component(), "datastore");
}
