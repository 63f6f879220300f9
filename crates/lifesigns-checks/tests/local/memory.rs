use std::process::{Command, Stdio};

use lifesigns::ProcessSource;
use lifesigns_checks::FailureKind;
use lifesigns_checks::memory::{Options, check};

use crate::harness::{assert_fails, assert_passes, assert_refused, assert_warns, run};

#[tokio::test]
async fn this_process_and_others_are_seen() {
    let report = run(check("memory", Options::default())).await;
    assert_passes(&report);
    let own = report.observed.unwrap().value;
    assert!(own > 0.0 && own < 80.0, "{own} %");

    let mut other = Command::new("/bin/cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("cat.pid");
    std::fs::write(&pid_file, format!("{}\n", other.id())).unwrap();
    for process in [ProcessSource::Pid(other.id()), ProcessSource::PidFile(pid_file)] {
        let report = run(check("memory", Options { process, ..Options::default() })).await;
        assert_passes(&report);
        assert!(report.observed.unwrap().value < own, "cat needs less than this");
    }
    let gone = ProcessSource::Pid(other.id());
    drop(other.stdin.take());
    other.wait().unwrap();
    let report = run(check("memory", Options { process: gone, ..Options::default() })).await;
    assert_fails(&report, FailureKind::Unreachable, "is not there");
}

#[tokio::test]
async fn whoever_uses_more_than_he_may_is_told() {
    let strict = Options { warn_percent: 0.0, ..Options::default() };
    assert_warns(&run(check("memory", strict.clone())).await, "MiB, that is");
    let report = run(check("memory", Options { fail_percent: 0.0, ..strict })).await;
    assert_fails(&report, FailureKind::Failed, "MiB, that is");
}

#[test]
fn options_are_looked_at_before_a_run() {
    assert_refused(check("x", Options { warn_percent: -1.0, ..Options::default() }), "warn_percent");
    assert_refused(check("x", Options { fail_percent: 100.5, ..Options::default() }), "fail_percent");
    assert_refused(check("x", Options { warn_percent: 99.0, ..Options::default() }), "warn_percent");
    assert_refused(check("x", Options { process: ProcessSource::Reported, ..Options::default() }), "process");
    assert!(!check("x", Options::default()).unwrap().policy().shared);
}
