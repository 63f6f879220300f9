use std::path::Path;
use std::time::Duration;

use lifesigns_checks::command::{Options, Program, check};
use lifesigns_checks::{FailureKind, Secret};
use rustix::process::{Pid, set_child_subreaper, test_kill_process};

use crate::harness::{
    assert_fails, assert_passes, assert_refused, assert_warns, eventually, run, run_to_deadline,
};

fn shell(script: &str) -> Options {
    of(Program { arguments: vec!["-c".into(), script.into()], ..Program::new("/bin/sh") })
}

fn of(program: Program) -> Options {
    Options { program, warn_codes: Vec::new() }
}

fn with(environment: &[(&str, &str)], options: Options) -> Options {
    let environment = environment.iter().map(|(name, value)| ((*name).into(), Secret::new(*value))).collect();
    Options { program: Program { environment, ..options.program }, ..options }
}

/// The process whose number a script has written into a file.
async fn pid_in(path: &Path) -> Pid {
    let read = || std::fs::read_to_string(path).ok()?.trim().parse().ok().and_then(Pid::from_raw);
    eventually("the script wrote a number", || read().is_some()).await;
    read().unwrap()
}

/// Gone altogether: a zombie would still be there.
async fn is_gone(pid: Pid) {
    eventually("the process is gone", || test_kill_process(pid).is_err()).await;
}

#[tokio::test]
async fn exit_codes_decide() {
    assert_passes(&run(check("command", Options::new("/bin/true"))).await);
    assert_fails(
        &run(check("command", Options::new("/bin/false"))).await,
        FailureKind::Failed,
        "exit status: 1",
    );
    let warning = Options { warn_codes: vec![3], ..shell("echo the queue is long; exit 3") };
    assert_warns(&run(check("command", warning.clone())).await, "the queue is long");
    let report = run(check("command", Options { warn_codes: vec![4], ..warning })).await;
    assert_fails(&report, FailureKind::Failed, "exit status: 3: the queue is long");
    assert_fails(&run(check("command", shell("kill -SEGV $$"))).await, FailureKind::Failed, "signal: 11");
}

#[tokio::test]
async fn a_program_that_cannot_run_says_why() {
    let report = run(check("command", Options::new("/no/such/program"))).await;
    assert_fails(&report, FailureKind::Unreachable, "/no/such/program");
    assert_fails(
        &run(check("command", Options::new("/etc/passwd"))).await,
        FailureKind::Denied,
        "/etc/passwd",
    );
    let nowhere = of(Program { folder: "/no/such/folder".into(), ..Program::new("/bin/true") });
    assert_fails(
        &run(check("command", nowhere)).await,
        FailureKind::Unreachable,
        "the folder /no/such/folder: ",
    );
    let no_folder = of(Program { folder: "/etc/passwd".into(), ..Program::new("/bin/true") });
    assert_fails(
        &run(check("command", no_folder)).await,
        FailureKind::Unreachable,
        "the folder /etc/passwd: ",
    );
}

#[tokio::test]
async fn the_environment_is_what_was_given_and_nothing_else() {
    let environment = [("TOKEN", "opensesame"), ("LANG", "C")];
    let options = with(&environment, shell("/usr/bin/env; pwd; cat; exit 1"));
    let output = run(check("command", options)).await.output.unwrap();
    let mut lines: Vec<&str> = output.split('\n').collect();
    lines[0] = lines[0].split(": ").last().unwrap();
    lines.sort_unstable();
    // The shell sets `_` and `PWD` by itself.
    lines.retain(|line| !line.starts_with("_="));
    assert_eq!(lines, ["/", "LANG=C", "PWD=/", "TOKEN=…"], "{output}");
}

#[tokio::test]
async fn output_is_cut_and_never_stops_the_program() {
    let flood = shell("dd if=/dev/zero bs=1M count=8 2>/dev/null | tr '\\0' x; echo end >&2; exit 1");
    let flood = with(&[("PATH", "/usr/bin:/bin")], flood);
    let output = run(check("command", flood)).await.output.unwrap();
    assert!(
        output.contains("end") && output.contains("xxx") && output.len() < 1200,
        "{} bytes",
        output.len()
    );
    let garbage = shell(r"printf '\377\376'; exit 1");
    assert_fails(&run(check("command", garbage)).await, FailureKind::Failed, "\u{fffd}");
}

#[tokio::test]
async fn at_the_deadline_the_whole_group_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (parent, child) = (folder.path().join("parent"), folder.path().join("child"));
    let script = format!(
        "trap '' TERM INT HUP; (trap '' TERM; while :; do read x </dev/zero || :; done) & echo $! >{}; echo $$ >{}; wait",
        child.display(),
        parent.display()
    );
    let check = check("command", shell(&script)).unwrap();
    run_to_deadline(&check, Duration::from_millis(500)).await;
    is_gone(pid_in(&parent).await).await;
    is_gone(pid_in(&child).await).await;
}

#[tokio::test]
async fn what_a_program_leaves_behind_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let child = folder.path().join("child");
    // It keeps the pipe open, so that whoever waited for its end would wait for long.
    let script = format!("/bin/sleep 1000 & echo $! >{}; exit 0", child.display());
    assert_passes(&run(check("command", shell(&script))).await);
    is_gone(pid_in(&child).await).await;
}

/// As process 1 of a container does, this process inherits what programs leave behind.
#[tokio::test]
async fn inherited_zombies_are_buried_by_the_next_run() {
    set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let child = folder.path().join("child");
    let script = format!("/bin/sleep 1000 & echo $! >{}; exit 0", child.display());
    let check = check("command", shell(&script)).unwrap();
    assert_passes(&check.run_once().await);
    let left = pid_in(&child).await;
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{left}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('Z')
    };
    eventually("it is a zombie of ours", state).await;
    assert_passes(&check.run_once().await);
    assert!(test_kill_process(left).is_err(), "it is still a zombie");
}

#[tokio::test]
async fn many_deadlines_leave_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let check =
        check("command", shell(&format!("echo $$ >>{}; exec /bin/sleep 1000", log.display()))).unwrap();
    for _ in 0..10 {
        run_to_deadline(&check, Duration::from_millis(60)).await;
    }
    let numbers = std::fs::read_to_string(&log).unwrap();
    assert!(numbers.lines().count() > 5, "{numbers}");
    for number in numbers.lines() {
        is_gone(Pid::from_raw(number.parse().unwrap()).unwrap()).await;
    }
}

#[test]
fn arguments_are_not_printed() {
    let printed = format!("{:?}", with(&[("PGUSER", "s3cret")], shell("login --password=s3cret")));
    assert!(printed.contains("/bin/sh") && printed.contains("2 of them"), "{printed}");
    assert!(printed.contains("PGUSER") && !printed.contains("s3cret"), "{printed}");
}

#[test]
fn options_are_looked_at_before_a_run() {
    assert_refused(check("x", Options::new("pg_isready")), "program");
    assert_refused(check("x", of(Program { folder: "tmp".into(), ..Program::new("/bin/true") })), "folder");
    assert_refused(check("x", Options { warn_codes: vec![0], ..Options::new("/bin/true") }), "warn_codes");
    assert_refused(
        check("x", of(Program { arguments: vec!["a\0b".into()], ..Program::new("/bin/true") })),
        "arguments",
    );
    let variable = |name: &str, value: &str| with(&[(name, value)], Options::new("/bin/true"));
    assert_refused(check("x", variable("A=B", "c")), "environment");
    assert_refused(check("x", variable("", "c")), "environment");
    assert_refused(check("x", variable("A", "c\0")), "environment");
}
