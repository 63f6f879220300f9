//! `lifesigns deployed` knows whether a revision runs, and with a repository whether it is contained in what runs.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use lifesigns_tests::program::{Program, binary, free_address};
use lifesigns_tests::service::{Reply, Service};
use lifesigns_tests::wait;
use serde_json::Value;
use tempfile::TempDir;

/// A repository: two commits on the main branch, and one beside the second.
struct Repository {
    folder: TempDir,
    first: String,
    second: String,
    aside: String,
}

impl Repository {
    fn new() -> Repository {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        git(path, &["init", "--quiet", "--initial-branch", "main"]);
        let commit = |content: &str| {
            fs::write(path.join("file"), content).unwrap();
            git(path, &["add", "file"]);
            git(path, &["commit", "--quiet", "--message", content]);
            git(path, &["rev-parse", "HEAD"])
        };
        let first = commit("first");
        let second = commit("second");
        git(path, &["tag", "v2"]);
        git(path, &["checkout", "--quiet", "-b", "aside", &first]);
        let aside = commit("aside");
        git(path, &["checkout", "--quiet", "main"]);
        Repository { folder, first, second, aside }
    }

    fn path(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }
}

/// What git prints. Nobody's configuration has a part in it.
fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn running(revision: &str) -> Service {
    Service::start([("/health", health(revision))])
}

fn health(revision: &str) -> Reply {
    Reply::json(200, format!(r#"{{"status":"OK","revision":"{revision}"}}"#))
}

fn deployed(arguments: &[&str]) -> Output {
    Command::new(binary()).arg("deployed").args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// It ends with this code, and this is the beginning of what it says.
#[track_caller]
fn says(arguments: &[&str], code: i32, verdict: &str, words: &[&str]) {
    let output = deployed(arguments);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stdout}{stderr}");
    assert!(stdout.starts_with(&format!("{verdict}: ")), "{arguments:?}: {stdout}{stderr}");
    for words in words {
        assert!(stdout.contains(words), "`{words}` is not in: {stdout}");
    }
}

#[track_caller]
fn fails(arguments: &[&str], code: i32, words: &str) {
    let output = deployed(arguments);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!((output.status.code(), stdout), (Some(code), ""), "{arguments:?}: {stderr}");
    assert!(stderr.starts_with("error: ") && stderr.contains(words), "{arguments:?}: {stderr}");
}

#[test]
fn a_fix_is_contained_in_what_came_after_it_and_in_nothing_else() {
    let repository = Repository::new();
    let repo = &["--repo", repository.path()][..];
    let (first, second, aside) =
        (running(&repository.first), running(&repository.second), running(&repository.aside));
    let (first, second, aside) = (first.url(""), second.url("/health"), aside.url("/health"));
    let ask = |revision: &str, urls: &[&str], code, verdict, words: &[&str]| {
        says(&[&[revision], urls, repo].concat(), code, verdict, words);
    };
    ask(&repository.first, &[&first], 0, "yes", &["✓", "runs"]);
    ask(&repository.first, &[&second], 0, "yes", &["which contains it"]);
    ask(&repository.first, &[&first, &second, &aside], 0, "yes", &["3 of 3"]);
    ask(&repository.second, &[&first], 1, "no", &["✗", "does not contain it"]);
    ask(&repository.second, &[&aside], 1, "no", &["does not contain it"]);
    ask(&repository.second, &[&first, &second], 1, "partly", &["1 of 2", "✓", "✗"]);
    // Shorter, and by other names.
    ask(&repository.first[..7], &[&second], 0, "yes", &["contains it"]);
    ask("HEAD", &[&second], 0, "yes", &["runs"]);
    ask("v2", &[&second, &aside], 1, "partly", &[]);
    ask("aside", &[&aside], 0, "yes", &[]);
    ask("main~1", &[&aside], 0, "yes", &["contains it"]);
    let short = running(&repository.second[..8]);
    ask(&repository.first, &[&short.url("/health")], 0, "yes", &["contains it"]);
}

#[test]
fn without_a_repository_the_hash_decides() {
    let hash = "2963648c0ffee0029636480c0ffee00296364800";
    let (whole, short, other) = (running(hash), running("2963648"), running("aaaaaaa"));
    let (whole, short, other) = (whole.url("/health"), short.url("/health"), other.url("/health"));
    says(&[hash, &whole, &short], 0, "yes", &["2 of 2"]);
    says(&["2963648", &whole, &short], 0, "yes", &[]);
    says(&["2963648C0FFEE", &whole], 0, "yes", &[]);
    says(&[hash, &other], 1, "no", &["another one", "--repo"]);
    says(&[hash, &whole, &other], 1, "partly", &["1 of 2"]);
    let output = deployed(&[hash, &whole, &other, "--json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&said["deployed"], said["revision"].as_str()), (&"partly".into(), Some(hash)));
    assert_eq!(said["instances"][0]["state"], "runs");
    assert_eq!(said["instances"][1]["state"], "other");
    for text in ["main", "296364", "", "2963648x"] {
        fails(&[text, &whole], 2, "is no commit hash");
    }
    fails(&["--", "-2963648", &whole], 2, "is no commit hash");
    assert_eq!(deployed(&[hash]).status.code(), Some(2));
    fails(&[hash, "nowhere"], 2, "is no URL");
}

#[test]
fn what_cannot_be_known_is_told_and_is_no_yes() {
    let repository = Repository::new();
    let repo = ["--repo", repository.path()];
    let ask = |revision: &str, url: &str| {
        says(&[&repository.first, url, repo[0], repo[1]], 1, "no", &["!", revision]);
    };
    ask("is not in the repository", &running("abcdef0123456").url("/health"));
    ask("`2963648-dirty`, which is no commit hash", &running("2963648-dirty").url("/health"));
    ask("`--output=x`, which is no commit hash", &running("--output=x").url("/health"));
    ask("which is no commit hash", &running("\\u001b[2J").url("/health"));
    ask("does not say which revision runs", &running("").url("/health"));
    ask("refused", &format!("http://{}/", free_address()));
    let url = running(&repository.first);
    let url = url.url("/health");
    let with = |revision: &str, words| fails(&["--repo", repository.path(), "--", revision, &url], 2, words);
    with("abcdef0123456", "does not know the revision");
    with("no-such-branch", "does not know the revision");
    with("-h", "does not know the revision");
    with("--help", "does not know the revision");
    let nothing = tempfile::tempdir().unwrap();
    let output = Command::new(binary())
        .args(["deployed", &repository.first, &url, "--repo"])
        .arg(nothing.path())
        .env("GIT_CEILING_DIRECTORIES", nothing.path().parent().unwrap())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("is no git repository"), "{}", text(&output.stderr));
}

#[test]
fn a_history_that_is_cut_off_is_told() {
    let repository = Repository::new();
    let shallow = tempfile::tempdir().unwrap();
    let (from, to) = (format!("file://{}", repository.path()), shallow.path().join("clone"));
    git(shallow.path(), &["clone", "--quiet", "--depth", "1", &from, to.to_str().unwrap()]);
    git(&to, &["fetch", "--quiet", "--depth", "1", "origin", &repository.first]);
    let service = running(&repository.second);
    let arguments = [&*repository.first, &service.url("/health"), "--repo", to.to_str().unwrap()];
    says(&arguments, 1, "no", &["the repository is shallow"]);
}

#[test]
fn it_waits_until_the_last_instance_has_it() {
    let (old, new) = ("aaaaaaa", "bbbbbbb");
    let (one, two) = (running(old), running(old));
    let (first, second) = (one.url("/health"), two.url("/health"));
    let mut waiting =
        Program::start(&["deployed", new, &first, &second, "--wait", "1h", "--interval", "10ms"]);
    wait::until("it waits", || waiting.stderr().contains("0 of 2 instances have it; waiting").then_some(()));
    one.says("/health", health(new));
    wait::until("it has seen one", || waiting.stderr().contains("1 of 2").then_some(()));
    two.says("/health", health(new));
    assert!(waiting.ended().success());
    assert!(waiting.stdout().starts_with("yes: bbbbbbb, 2 of 2"), "{}", waiting.stdout());
    says(&[old, &first, "--wait", "50ms", "--interval", "10ms"], 1, "no", &["runs bbbbbbb"]);
}
