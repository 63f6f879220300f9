use std::fs;
use std::path::Path;
use std::time::Duration;

use lifesigns_monitor::alerts::channel::{Command, CommandOptions};
use lifesigns_monitor::alerts::{Channel, Secret};
use lifesigns_tests::wait;
use serde_json::Value;
use tempfile::TempDir;

use crate::{SECRET, many, opened, refused, resolved};

/// A script of the shell; `$1` is a folder for it.
fn script(folder: &TempDir, text: &str) -> CommandOptions {
    let place = folder.path().to_str().unwrap().to_owned();
    let mut options = CommandOptions::new("/bin/sh");
    options.program.arguments = vec!["-c".to_owned(), text.to_owned(), "sh".to_owned(), place];
    options.program.environment = vec![("TOKEN".to_owned(), Secret::new(SECRET))];
    options
}

fn channel(options: CommandOptions) -> Channel {
    Channel::Command(Command::new(options).unwrap())
}

#[tokio::test]
async fn a_program_reads_the_message_and_its_variables() {
    let folder = TempDir::new().unwrap();
    let options = script(&folder, "cat > $1/stdin; env | sort > $1/env; pwd > $1/pwd");
    channel(options).send(&resolved()).await.unwrap();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let message: Value = serde_json::from_str(&read("stdin")).unwrap();
    assert_eq!(message["title"], "Over after 4 min: orders");
    assert_eq!(message["services"][0]["name"], "orders");
    let environment = read("env");
    let variables: Vec<&str> = environment.lines().filter(|line| !line.starts_with("PWD=")).collect();
    let expected = [
        "LIFESIGNS_ID=1773684000000-orders=20=C3=BC/ops/1",
        "LIFESIGNS_INCIDENT=1773684000000-orders=20=C3=BC",
        "LIFESIGNS_KIND=resolved",
        "LIFESIGNS_LIGHT=red",
        "LIFESIGNS_LINK=https://monitor.example/incidents/1",
        "LIFESIGNS_ROUTE=ops",
        "LIFESIGNS_TITLE=Over after 4 min: orders",
        &*format!("TOKEN={SECRET}"),
    ];
    assert_eq!(variables, expected);
    assert_eq!(read("pwd"), "/\n");
}

#[tokio::test]
async fn a_program_that_fails_is_tried_again_and_its_words_are_told_without_secrets() {
    let folder = TempDir::new().unwrap();
    let why = refused(&channel(script(&folder, "echo \"no $TOKEN\" >&2; exit 3")), &opened()).await;
    assert_eq!((why.is_final, &*why.why), (false, "/bin/sh: exit status: 3: no …"));
    let why = refused(&channel(script(&folder, "kill -9 $$")), &opened()).await;
    assert!(why.why.contains("signal: 9"), "{why:?}");
    let nowhere = CommandOptions::new(folder.path().join("nothing"));
    assert!(refused(&channel(nowhere), &opened()).await.why.contains("No such file"));
    // Much is printed, and a secret just where it is cut off.
    let text =
        format!("printf '%{}s%s' '' \"$TOKEN\"; head -c 1000000 /dev/zero; exit 1", 1024 - SECRET.len() / 2);
    let why = refused(&channel(script(&folder, &text)), &opened()).await;
    assert!(!why.why.contains(&SECRET[..4]) && why.why.len() < 700, "{why:?}");
}

#[tokio::test]
async fn a_program_need_not_read_the_message() {
    let folder = TempDir::new().unwrap();
    channel(script(&folder, "exec <&-; exit 0")).send(&many().0).await.unwrap();
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_with_all_that_it_has_started() {
    let folder = TempDir::new().unwrap();
    let text = "sleep 1000 & echo $! > $1/child; echo $$ > $1/own; wait";
    let options = CommandOptions { deadline: Duration::from_millis(500), ..script(&folder, text) };
    let why = refused(&channel(options), &opened()).await;
    assert!(!why.is_final && why.why.contains("has not taken it within 500ms"), "{why:?}");
    for name in ["child", "own"] {
        let id = fs::read_to_string(folder.path().join(name)).unwrap();
        wait::until("the end of what was started", || has_ended(id.trim()).then_some(()));
    }
}

#[tokio::test]
async fn what_a_program_leaves_behind_ends_with_it() {
    let folder = TempDir::new().unwrap();
    let text = "sleep 1000 & echo $! > $1/child";
    channel(script(&folder, text)).send(&opened()).await.unwrap();
    let id = fs::read_to_string(folder.path().join("child")).unwrap();
    wait::until("the end of what was started", || has_ended(id.trim()).then_some(()));
}

/// Whether no process of this id is at work; one that nobody has waited for is not.
fn has_ended(id: &str) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(id).join("stat"));
    status.map_or(true, |text| text.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}
