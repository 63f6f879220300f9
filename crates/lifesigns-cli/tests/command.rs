//! What a person sees who types `lifesigns`: through the binary.

#![expect(clippy::unwrap_used, reason = "a test may unwrap: its failure is the message")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Nothing in these tests takes so long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);

fn lifesigns(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lifesigns"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

fn ended(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    ended(&lifesigns(arguments).output().unwrap())
}

/// A gateway that is ended with the test.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn start(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.trim().strip_prefix("gateway listening on http://").map(str::to_owned)
        else {
            child.kill().unwrap();
            let (code, _, stderr) = ended(&child.wait_with_output().unwrap());
            panic!("it printed {line:?} and ended with {code:?}: {stderr}");
        };
        Running { child, address }
    }

    fn get(&self, path: &str, more: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn end(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(10));
        };
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (status.code(), stderr)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An API that gives the same answer to every connection.
fn upstream() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn help_says_what_can_be_done() {
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    insta::assert_snapshot!("help", help);
    let (code, help, _) = run(&["gateway", "--help"]);
    assert_eq!(code, Some(0));
    insta::assert_snapshot!("help_gateway", help);
    let (code, help, _) = run(&["query", "-h"]);
    assert_eq!(code, Some(0));
    insta::assert_snapshot!("help_query", help);
}

#[test]
fn wrong_arguments_end_with_2() {
    for arguments in
        [&["gatway"][..], &[], &["gateway", "--lisen", "x"], &["token", "new", "--scope", "x"], &["gateway"]]
    {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(!stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_new_token_is_shown_with_what_lets_it_in() {
    let (code, stdout, stderr) = run(&["token", "new", "--name", "ops", "--scope", "metrics:read"]);
    assert_eq!(code, Some(0));
    let mut settings = insta::Settings::clone_current();
    settings.add_filter("[0-9a-f]{64}", "[64 digits]");
    settings.bind(|| insta::assert_snapshot!("token_new", &stdout));
    assert_eq!(stderr, "", "what is redirected is to be the whole of it");

    let (code, other, stderr) = run(&["token", "new"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    settings.bind(|| insta::assert_snapshot!("token_new_for_the_shell", &other));
    let token = |text: &str| text.lines().find(|line| line.starts_with("ls_")).unwrap().to_owned();
    assert_ne!(token(&stdout), token(&other));
}

#[test]
fn a_check_tells_faults_and_ends_with_2_or_says_that_all_is_fine() {
    let folder = tempfile::tempdir().unwrap();
    let faulty = write(
        folder.path(),
        "faulty.toml",
        "[[api]]\nupstream = \"http://a\"\nnmae = \"\u{9b}31m\u{202e}\"\n",
    );
    let (code, stdout, stderr) = run(&["config", "check", &faulty]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.starts_with(&format!("{faulty}:3:1: error: `[[api]]` has no key `nmae`\n")), "{stderr}");
    assert!(!stderr.contains(['\u{9b}', '\u{202e}']), "{stderr:?}");

    let fine = write(folder.path(), "fine.toml", "[[api]]\nupstream = \"http://a\"\n");
    let (code, stdout, stderr) = run(&["config", "check", &fine]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout, format!("{fine} is fine: 1 API, listening on 127.0.0.1:8080\n"));
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let mut child = lifesigns(&["config", "reference"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_gateway_forwards_answers_and_stops_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("x.db");
    let printed = run(&["token", "new"]).1;
    let token = printed.lines().find(|line| line.starts_with("ls_")).unwrap();
    let hash = printed.lines().find_map(|line| line.strip_prefix("export LIFESIGNS_TOKEN_HASH=")).unwrap();
    let upstream = upstream();
    let arguments = [
        "gateway",
        "--upstream",
        &upstream,
        "--listen",
        "127.0.0.1:0",
        "--name",
        "polls",
        "--data",
        data.to_str().unwrap(),
    ];
    let gateway = Running::start(lifesigns(&arguments).env("LIFESIGNS_TOKEN_HASH", hash));

    assert!(gateway.get("/questions", "").ends_with("hello"));
    assert!(gateway.get("/health", "").contains("\"status\":\"OK\""));
    assert!(gateway.get("/status", "").contains("\"service\":\"polls\""));
    assert!(gateway.get("/health/details", "").starts_with("HTTP/1.1 401"));
    let details = gateway.get("/health/details", &format!("authorization: Bearer {token}\r\n"));
    assert!(details.starts_with("HTTP/1.1 200"), "{details}");

    gateway.signal("-TERM");
    let (code, stderr) = gateway.end();
    assert_eq!(code, Some(0));
    let lights: Vec<&str> = stderr.lines().filter(|line| line.contains("the light has changed")).collect();
    assert_eq!((lights.len(), stderr.lines().count()), (2, 2), "ready, and about to stop: {stderr}");
    assert!(data.exists());
}

#[test]
fn a_file_is_run_with_files_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\n[store]\npath = \"beside.db\"\n\
         [[api]]\nname = \"a\"\nupstream = \"{0}\"\npath = \"/a\"\n[[api]]\nname = \"b\"\nupstream = \"{0}\"\npath = \"/b\"\n",
        upstream()
    );
    let file = write(folder.path(), "lifesigns.toml", &text);
    let gateway = Running::start(&mut lifesigns(&["run", "--config", &file]));
    assert!(gateway.get("/a/questions", "").ends_with("hello"));
    assert!(gateway.get("/b/status", "").contains("\"service\":\"b\""));
    assert!(folder.path().join("beside.db").exists());
    gateway.signal("-INT");
    assert_eq!(gateway.end().0, Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    // An API that takes the request and never answers keeps the drain waiting.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let gateway = Running::start(&mut lifesigns(&[
        "gateway",
        "--upstream",
        &url,
        "--listen",
        "127.0.0.1:0",
        "--data",
        "memory",
    ]));
    let mut client = TcpStream::connect(&gateway.address).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let (mut taken, _) = silent.accept().unwrap();
    assert_ne!(taken.read(&mut [0; 16]).unwrap(), 0);

    gateway.signal("-TERM");
    wait_until_refused(&gateway.address);
    gateway.signal("-TERM");
    let (code, stderr) = gateway.end();
    assert_eq!(code, Some(1));
    assert!(stderr.ends_with("\nstopped at once; requests in progress were cut off\n"), "{stderr}");
}

/// A gateway that drains takes no one any more: the first signal has been understood.
fn wait_until_refused(address: &str) {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline, "it still takes connections");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_keeps_it_from_starting_is_told_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("x.db");
    let data = data.to_str().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let start = |listen: &str, data: &str| {
        run(&["gateway", "--upstream", "http://127.0.0.1:9", "--listen", listen, "--data", data])
    };
    let check = |result: (Option<i32>, String, String), cause: &str| {
        let (code, stdout, stderr) = result;
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(
            stderr.starts_with("error: ") && stderr.contains(cause) && stderr.contains("hint: "),
            "{stderr}"
        );
    };
    check(start(&address, "memory"), &address);
    check(start("127.0.0.1:0", "/no/such/folder/x.db"), "/no/such/folder");

    let _holder = Running::start(&mut lifesigns(&[
        "gateway",
        "--upstream",
        "http://127.0.0.1:9",
        "--listen",
        "127.0.0.1:0",
        "--data",
        data,
    ]));
    check(start("127.0.0.1:0", data), "already being written");
}

#[test]
fn a_log_filter_that_cannot_be_read_is_told() {
    let output =
        lifesigns(&["gateway", "--upstream", "http://127.0.0.1:9"]).env("LIFESIGNS_LOG", "a=b=c").output();
    let (code, _, stderr) = ended(&output.unwrap());
    assert_eq!(code, Some(2));
    assert!(stderr.contains("LIFESIGNS_LOG"), "{stderr}");
}
