use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use lifesigns_checks::FailureKind;
use lifesigns_checks::file::{Options, check};

use crate::harness::{assert_fails, assert_passes, assert_refused, assert_warns, run};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_file_is_there_fresh_and_long_enough() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backup.tar");
    let options = Options { max_age: Some(HOUR), min_size: 4, ..Options::new(&path) };
    let report = run(check("backup", options.clone())).await;
    assert_fails(&report, FailureKind::Unreachable, "backup.tar");
    std::fs::write(&path, "tar").unwrap();
    assert_fails(
        &run(check("backup", options.clone())).await,
        FailureKind::Failed,
        "has 3 bytes, fewer than 4",
    );
    std::fs::write(&path, "tar!").unwrap();
    let report = run(check("backup", options.clone())).await;
    assert_passes(&report);
    assert!(report.observed.unwrap().value < 60.0);

    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(SystemTime::now() - 2 * HOUR).unwrap();
    assert_fails(&run(check("backup", options.clone())).await, FailureKind::Failed, "longer than 3600 s");
    assert_passes(&run(check("backup", Options { max_age: None, ..options.clone() })).await);
    file.set_modified(SystemTime::now() + 2 * HOUR).unwrap();
    assert_warns(&run(check("backup", options)).await, "in the future");
    assert_passes(&run(check("folder", Options::new(folder.path()))).await);
}

/// The superuser may look anywhere, so there is nothing to refuse where he is the one who runs the tests.
#[tokio::test]
async fn what_may_not_be_seen_is_told_apart_from_what_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let closed = folder.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::write(closed.join("file"), "").unwrap();
    std::fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
    let is_superuser = rustix::process::geteuid().is_root();
    let report = run(check("file", Options::new(closed.join("file")))).await;
    std::fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    if is_superuser {
        assert_passes(&report);
    } else {
        assert_fails(&report, FailureKind::Denied, "closed/file");
    }
    let below_a_file = Options::new(closed.join("file").join("x"));
    assert_fails(&run(check("file", below_a_file)).await, FailureKind::Unreachable, "closed/file/x");
}

#[test]
fn options_are_looked_at_before_a_run() {
    assert_refused(check("x", Options::new("backup.tar")), "path");
    assert_refused(check("x", Options { max_age: Some(Duration::ZERO), ..Options::new("/x") }), "max_age");
    assert!(!check("x", Options::new("/x")).unwrap().policy().shared);
}
