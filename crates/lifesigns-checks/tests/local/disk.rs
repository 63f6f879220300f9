use lifesigns_checks::FailureKind;
use lifesigns_checks::disk::{Options, check};

use crate::harness::{assert_fails, assert_passes, assert_refused, assert_warns, run};

#[tokio::test]
async fn the_disk_of_a_folder_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let any = Options { warn_free_percent: 0.0, fail_free_percent: 0.0, ..Options::new(folder.path()) };
    let report = run(check("disk", any.clone())).await;
    assert_passes(&report);
    let observed = report.observed.unwrap();
    assert_eq!((observed.measurement, observed.unit), ("utilization", "percent"));
    assert!(observed.value > 0.0 && observed.value < 100.0, "{observed:?}");

    let greedy = Options { warn_free_bytes: u64::MAX, ..any.clone() };
    assert_warns(&run(check("disk", greedy)).await, "MiB free");
    let impossible = Options { warn_free_percent: 100.0, fail_free_percent: 100.0, ..any };
    assert_fails(&run(check("disk", impossible)).await, FailureKind::Failed, "% of the inodes");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_no_full_disk() {
    let report = run(check("disk", Options::new("/no/such/folder"))).await;
    assert_fails(&report, FailureKind::Unreachable, "/no/such/folder");
}

#[test]
fn options_are_looked_at_before_a_run() {
    assert_refused(check("x", Options::new("data")), "path");
    assert_refused(
        check("x", Options { warn_free_percent: 101.0, ..Options::new("/") }),
        "warn_free_percent",
    );
    assert_refused(
        check("x", Options { fail_free_percent: f64::NAN, ..Options::new("/") }),
        "fail_free_percent",
    );
    assert_refused(check("x", Options { warn_free_percent: 1.0, ..Options::new("/") }), "warn_free_percent");
    let bytes = Options { warn_free_bytes: 1, fail_free_bytes: 2, ..Options::new("/") };
    assert_refused(check("x", bytes), "warn_free_bytes");
    let check = check("x", Options::new("/")).unwrap();
    assert!(!check.policy().shared, "a disk belongs to the process");
    assert_eq!(check.kind_of_component(), "system");
}
