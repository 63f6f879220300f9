//! Services that do what services should not.

use std::time::Duration;

use lifesigns_tests::service::{Reply, Service};
use lifesigns_tests::wait;
use serde_json::json;

use super::watch::{Monitor, configuration, well};

/// A gigabyte of zeros, as gzip.
fn bomb() -> Vec<u8> {
    // One megabyte, compressed, as a member of its own; members may follow one upon the other (RFC 1952 §2.2).
    let mut child = std::process::Command::new("gzip")
        .args(["-9", "-c"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &vec![0; 1 << 20]));
    let member = child.wait_with_output().unwrap().stdout;
    writer.join().unwrap().unwrap();
    member.repeat(1024)
}

fn streams(head: &str, piece: &[u8], pause: Duration) -> Reply {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{head}\r\n");
    Reply::Streams { head, piece: piece.to_vec(), pause }
}

#[test]
fn a_monitor_that_stood_still_blames_nobody() {
    let service = Service::start([]);
    service.says("/hung/status", Reply::Hangs);
    let folder = tempfile::tempdir().unwrap();
    let monitor = Monitor::start(folder.path(), &configuration(&service, &["hung"], ""));
    // Nearly always it waits for an answer.
    let gap = wait::until("a poll during which it was stopped", || {
        monitor.program.signal("STOP");
        std::thread::sleep(Duration::from_secs(3));
        monitor.program.signal("CONT");
        monitor.events("gap").pop()
    });
    assert!(gap["detail"]["why"].as_str().unwrap().contains("stood still"), "{gap}");
}

#[test]
fn each_is_seen_for_what_it_is_and_nobody_else_waits() {
    let service = Service::start([]);
    let says = |name: &str, reply: Reply| service.says(&format!("/{name}/status"), reply);
    let bad = "\u{1b}[2J<script>alert(1)</script>";
    says("well", well("well"));
    says("hung", Reply::Hangs);
    says("dribbling", streams("Content-Length: 1000000\r\n", b" ", Duration::from_secs(1)));
    says("endless", streams("Content-Length: 10000000000\r\n", &vec![b' '; 65_536], Duration::ZERO));
    says("bomb", Reply::json(200, bomb()).with("Content-Encoding", "gzip"));
    says("lying", Reply::json(200, json!({"status": "DOWN", "components": {}}).to_string()));
    says(
        "moved",
        Reply::json(302, json!({"status": "healthy"}).to_string())
            .with("Location", "http://169.254.169.254/latest/meta-data/"),
    );
    says("rude", Reply::json(503, json!({"status": "unhealthy", "error": bad, "service": bad}).to_string()));
    says("mistyped", Reply::new(200, "image/png", json!({"status": "UP"}).to_string()));
    says("page", Reply::new(200, "text/html", "<h1>Welcome</h1>"));
    says("gone", Reply::new(404, "text/html", "<h1>Not here</h1>"));
    says(
        "chatty",
        Reply::Streams {
            head: String::new(),
            piece: b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100),
            pause: Duration::ZERO,
        },
    );
    says("amber", Reply::json(200, json!({"status": "DEGRADED"}).to_string()));
    let names = [
        "well",
        "hung",
        "dribbling",
        "endless",
        "bomb",
        "lying",
        "moved",
        "rude",
        "mistyped",
        "page",
        "gone",
        "chatty",
        "amber",
    ];
    let folder = tempfile::tempdir().unwrap();
    // What hangs may hang for long: others must not notice.
    let patient = "deadline_seconds = 15\n";
    let fast = configuration(&service, &names, "")
        .replace("deadline_seconds = 1\n", patient)
        .replace("interval_seconds = 1\nd", "interval_seconds = 15\nd");
    let slow = Monitor::start(folder.path(), &fast);
    for name in ["well", "mistyped", "page"] {
        slow.wait_for_light(name, "GREEN");
    }
    assert_eq!(slow.service("hung")["light"], "UNKNOWN", "it may still answer");
    drop(slow);

    let folder = tempfile::tempdir().unwrap();
    let monitor = Monitor::start(folder.path(), &configuration(&service, &names, ""));
    let check = |name: &str, light: &str, why: &str| {
        let seen = monitor.wait_for_light(name, light);
        let said = seen["why"].as_str().unwrap();
        assert!(said.contains(why), "{name}: {said}");
    };
    check("well", "GREEN", "");
    check("hung", "RED", "does not answer within 1 s");
    check("dribbling", "RED", "does not answer within 1 s");
    check("endless", "AMBER", "too long");
    check("bomb", "AMBER", "too long");
    check("lying", "RED", "answers 200");
    check("moved", "RED", "leads to `http://169.254.169.254/latest/meta-data/`");
    check("rude", "RED", "alert(1)");
    check("mistyped", "GREEN", "");
    check("page", "GREEN", "");
    check("gone", "RED", "404");
    check("chatty", "RED", "more than 16 interim answers");
    check("amber", "AMBER", "");
    // Everybody else is asked all the time.
    let polls = || service.heard().iter().filter(|path| *path == "/well/status").count();
    let before = polls();
    wait::until("a service that is well to be asked again and again", || {
        (polls() >= before + 3).then_some(())
    });
    let page = lifesigns_tests::client::get(monitor.address, "/");
    assert_eq!(page.status, 200);
    assert!(!page.text().contains("<script>alert"), "a name or a reason was taken for HTML");
    assert!(!page.text().contains('\u{1b}'));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
}

#[test]
fn flapping_restarting_and_redeploying_are_told_apart() {
    let service = Service::start([]);
    let says = |name: &str, reply: Reply| service.says(&format!("/{name}/status"), reply);
    let runs = |version: &str, uptime: u64| {
        Reply::json(200, json!({"status": "healthy", "version": version, "uptime": uptime}).to_string())
    };
    says("shop", runs("1.0", 100_000));
    says("flapping", well("flapping"));
    let folder = tempfile::tempdir().unwrap();
    let monitor = Monitor::start(folder.path(), &configuration(&service, &["shop", "flapping"], ""));
    monitor.wait_for_light("shop", "GREEN");

    says("shop", runs("1.0", 1));
    let restarts = wait::until("a restart", || Some(monitor.events("restart")).filter(|all| !all.is_empty()));
    assert_eq!(restarts[0]["service"], "shop");
    says("shop", runs("1.1", 1));
    let deploys = wait::until("a deploy", || Some(monitor.events("deploy")).filter(|all| !all.is_empty()));
    assert_eq!(deploys[0]["detail"], json!({"from": "1.0", "to": "1.1"}));
    assert_eq!(monitor.service("shop")["deploy"]["to"], "1.1");
    assert_eq!(monitor.events("outage").len(), 0);

    // Each answer is other than the one before it.
    let mut asked = 0;
    wait::until("the service to be seen flapping", || {
        let heard = service.heard().iter().filter(|path| *path == "/flapping/status").count();
        if heard > asked {
            asked = heard;
            says("flapping", if heard.is_multiple_of(2) { well("flapping") } else { Reply::json(500, "{}") });
        }
        let seen = monitor.service("flapping");
        (seen["flapping"] == true && seen["light"] != "GREEN").then_some(())
    });
}
