//! `lifesigns demo`, as somebody meets it who has just built it.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use lifesigns_tests::client::{Request, get};
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

const SHOP: [&str; 6] = ["orders", "cart", "shipping", "loyalty", "thumbnails", "search"];

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
    let commands: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    let ours = lifesigns_tests::program::binary().to_str().unwrap();
    let (ours, curls): (Vec<&str>, Vec<&str>) =
        commands.into_iter().partition(|command| command.starts_with(ours));
    assert!(ours.len() >= 3 && curls.len() >= 13, "{printed}");
    for command in ours {
        let output = Command::new("sh").args(["-c", command]).output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
    }
    for command in curls {
        assert!(command.starts_with("curl "), "{command}");
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
fn what_happens_to_the_shop_is_shown_and_an_outage_of_four_is_one_message() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Program::start_with(&["demo", "--listen", "127.0.0.1:0"], |command| {
        command.env("TMPDIR", folder.path());
    });
    let monitor = demo.listening("monitor");
    let dashboard = Request::get("/").header("Accept", "text/html").send(monitor);
    assert_eq!(dashboard.status, 200);
    for service in APIS.iter().chain(&SHOP) {
        assert!(dashboard.text().contains(service), "{service} is not on the dashboard");
    }

    let members = wait::until("the cascade", || {
        let incidents = get(monitor, "/api/incidents").json();
        let open = incidents["open"].as_array().unwrap().clone();
        assert!(open.len() <= 1, "{incidents}");
        let services = open.first()?["services"].as_array().unwrap().clone();
        (services.len() == 4).then_some(services)
    });
    let mut names: Vec<&str> = members.iter().map(|member| member["name"].as_str().unwrap()).collect();
    assert_eq!(names[0], "orders", "it begins with the one that the others need");
    names.sort_unstable();
    assert_eq!(names, ["cart", "loyalty", "orders", "shipping"]);
    assert_eq!(get(monitor, "/services/orders/breaker").json()["state"], "open");

    let messages = || {
        let stdout = demo.stdout();
        let lines = stdout.lines().filter_map(|line| line.split_once("one message: "));
        lines.map(|(_, title)| title.to_owned()).collect::<Vec<String>>()
    };
    wait::until("the message", || (!messages().is_empty()).then_some(()));
    wait::until("the message that it is over", || (messages().len() >= 2).then_some(()));
    let told = messages();
    assert_eq!(told[0], "RED: orders and 3 more");
    assert!(told[1].starts_with("Over after ") && told[1].ends_with(": orders and 3 more"), "{told:?}");
    let past = get(monitor, "/api/incidents").json();
    assert_eq!(past["past"].as_array().unwrap().len(), 1, "{past}");

    let happened = |service: &str, kind: &str| {
        wait::until(&format!("a {kind} of {service}"), || {
            let events = get(monitor, &format!("/api/services/{service}/events")).json();
            let events = events["events"].as_array().unwrap();
            events.iter().any(|event| event["kind"] == kind).then_some(())
        });
    };
    happened("thumbnails", "restart");
    happened("search", "restart");
    happened("search", "deploy");
    wait::until("memory that grows", || {
        let thumbnails = get(monitor, "/api/services/thumbnails").json();
        (thumbnails["leak"]["mb_per_hour"].as_f64()? > 0.0).then_some(())
    });
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

/// What the README shows is what the demo prints, but for ports, the token and where the program is.
#[test]
fn the_readme_shows_what_the_demo_prints() {
    let mut demo = Program::start(&["demo", "--listen", "127.0.0.1:0", "--seconds", "1"]);
    assert!(demo.ended().success());
    let printed = wait::until("the introduction", || {
        Some(demo.stdout()).filter(|stdout| stdout.contains("\nCtrl-C ends the demo.\n"))
    });
    let binary = lifesigns_tests::program::binary().to_str().unwrap();
    let (introduction, _) = printed.split_once("\nCtrl-C ends the demo.\n").unwrap();
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap();
    let start = readme.find("```\nSeven APIs").expect("the README shows the demo") + "```\n".len();
    let (shown, _) = readme[start..].split_once("\nCtrl-C ends the demo.\n").unwrap();
    assert_eq!(
        without_accidents(&introduction.replace(binary, "target/release/lifesigns")),
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
