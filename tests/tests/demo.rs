//! `lifesigns demo`, as somebody meets it who has just built it.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use lifesigns_tests::client::Request;
use lifesigns_tests::program::{Program, workspace};
use lifesigns_tests::wait;

const APIS: [&str; 7] = [
    "polls",
    "user-service",
    "checkout-service",
    "developer-service",
    "invoice-service",
    "payment-service",
    "recurring-service",
];

#[test]
fn every_command_that_is_printed_answers_within_five_seconds_and_nothing_is_left_behind() {
    // Building it is not what is measured.
    lifesigns_tests::program::binary();
    let started = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Program::start_with(&["demo", "--listen", "127.0.0.1:0"], |command| {
        command.env("TMPDIR", folder.path());
    });
    wait::until("the introduction", || demo.stdout().contains("\nCtrl-C ").then_some(()));
    let printed = demo.stdout();
    let commands: Vec<&str> = printed
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| line.starts_with("curl "))
        .collect();
    assert!(commands.len() >= 10, "{printed}");
    for command in commands {
        let expected = if command.contains("/health/status/503") { "503" } else { "200" };
        let quiet =
            command.replacen("curl", "curl --silent --output /dev/null --write-out '%{http_code}'", 1);
        let output = Command::new("sh").args(["-c", &quiet]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{command}");
    }
    assert!(started.elapsed() < Duration::from_secs(5), "it took {:?}", started.elapsed());

    for api in APIS {
        wait::until(&format!("a line with the traffic of {api}"), || {
            let stdout = demo.stdout();
            let mut rows =
                stdout.lines().filter_map(|line| line.strip_prefix(api)?.split_whitespace().next());
            rows.any(|requests| requests.parse::<u64>().is_ok_and(|requests| requests > 0)).then_some(())
        });
    }

    demo.signal("INT");
    let status = demo.ended();
    assert!(status.success(), "{status}: {}", demo.stderr());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something is left in the temporary folder");
}

#[test]
fn figures_of_the_demo_are_those_of_its_traffic() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Program::start_with(&["demo", "--listen", "127.0.0.1:0"], |command| {
        // It is killed in the end, and so leaves its folder behind.
        command.env("TMPDIR", folder.path());
    });
    let gateway = demo.listening("gateway");
    let stdout =
        wait::until("the introduction", || Some(demo.stdout()).filter(|stdout| stdout.contains("\nCtrl-C ")));
    let token = stdout.split("Bearer ").nth(1).unwrap().split('\'').next().unwrap();
    for (prefix, method, path, status) in [
        ("polls", "GET", "/questions/1", 200),
        ("user", "GET", "/users/x", 404),
        ("checkout", "POST", "/carts", 201),
    ] {
        let client = format!("test of {path}");
        let request =
            Request::new(method, &format!("/{prefix}{path}")).header("X-Client-Id", &client).body("");
        for _ in 0..3 {
            assert_eq!(request.send(gateway).status, status, "{method} {path}");
        }
        // What the details show is not yet there at once. They answer 120 requests a minute and no more.
        let mut earliest = Instant::now();
        wait::until(&format!("3 requests of {client}"), || {
            if Instant::now() < earliest {
                return None;
            }
            earliest = Instant::now() + Duration::from_millis(500);
            let details =
                Request::get(&format!("/{prefix}/health/details?by=client_id,status_code&interval=1"));
            let details = details.bearer(token).send(gateway).json();
            let apps = details["top_apps"].as_array().unwrap();
            let app = apps.iter().find(|app| app["client_id"] == *client)?;
            (app["count"] == 3).then_some(())
        });
    }
}

#[test]
fn the_demo_ends_by_itself_and_says_what_it_did() {
    let mut demo = Program::start(&["demo", "--listen", "127.0.0.1:0", "--seconds", "1"]);
    let status = demo.ended();
    assert!(status.success(), "{status}: {}", demo.stderr());
    let last = wait::until("its last words", || {
        demo.stderr().lines().last().filter(|line| line.starts_with("the demo is over")).map(str::to_owned)
    });
    assert!(last.ends_with(" requests answered, 0 without an answer"), "{last}");
}

/// What the README shows is what the demo prints, but for ports and the token.
#[test]
fn the_readme_shows_what_the_demo_prints() {
    let mut demo = Program::start(&["demo", "--listen", "127.0.0.1:0", "--seconds", "1"]);
    assert!(demo.ended().success());
    let printed = wait::until("the introduction", || {
        Some(demo.stdout()).filter(|stdout| stdout.contains("\nCtrl-C ends the demo.\n"))
    });
    let (introduction, _) = printed.split_once("\nCtrl-C ends the demo.\n").unwrap();
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap();
    let start = readme.find("```\nSeven APIs").expect("the README shows the demo") + "```\n".len();
    let (shown, _) = readme[start..].split_once("\nCtrl-C ends the demo.\n").unwrap();
    assert_eq!(
        without_accidents(introduction),
        without_accidents(shown),
        "left: printed, right: in the README"
    );
}

/// The text with the digits of ports and tokens left out.
fn without_accidents(text: &str) -> String {
    let mut parts = text.split("127.0.0.1:");
    let mut evened = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        evened += "127.0.0.1:";
        evened += part.trim_start_matches(|digit: char| digit.is_ascii_digit());
    }
    let mut parts = evened.split("ls_");
    let mut without_tokens = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        without_tokens += "ls_";
        without_tokens += part.trim_start_matches(|digit: char| digit.is_ascii_hexdigit() || digit == '…');
    }
    without_tokens
}
