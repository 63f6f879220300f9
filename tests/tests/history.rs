//! `lifesigns history` and `lifesigns alerts replay` show what a monitor remembers; one file can be a gateway and a monitor.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::fs;
use std::net::SocketAddr;
use std::process::Output;

use lifesigns_tests::client::get;
use lifesigns_tests::program::{Program, run};
use lifesigns_tests::service::{Reply, Service};
use lifesigns_tests::upstream::Upstream;
use lifesigns_tests::wait;
use serde_json::Value;

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn light(monitor: SocketAddr, service: &str) -> Value {
    get(monitor, &format!("/api/services/{service}")).json()["light"].clone()
}

#[test]
fn what_there_was_is_shown_by_a_monitor_and_by_its_file() {
    let service = Service::start([("/shop", Reply::new(200, "text/plain", "OK"))]);
    let folder = tempfile::tempdir().unwrap();
    let configuration = folder.path().join("monitor.toml");
    let rules = format!(
        "[monitor]\nlisten = \"127.0.0.1:0\"\ndata = \"past.db\"\ninterval_seconds = 1\nred_interval_seconds = 1\n\
         failures = 1\nrecoveries = 1\n[[service]]\nname = \"shop\"\nurl = \"{}\"\n\
         [[alert]]\nname = \"duty\"\ngroup_wait_seconds = 0\n[alert.command]\nprogram = \"/bin/true\"\n\
         [[alert]]\nname = \"others\"\nservices = [\"*-api\"]\n[alert.command]\nprogram = \"/bin/true\"\n",
        service.url("/shop")
    );
    fs::write(&configuration, rules).unwrap();
    let configuration = configuration.to_str().unwrap();
    let mut program = Program::start(&["monitor", "--config", configuration]);
    let monitor = program.listening("monitor");
    let becomes = |wanted: &str| {
        wait::until(wanted, || (light(monitor, "shop") == wanted).then_some(()));
    };
    becomes("GREEN");
    service.says("/shop", Reply::new(503, "text/plain", "no \u{1b}[2Jdisk"));
    becomes("RED");
    service.says("/shop", Reply::new(200, "text/plain", "OK"));
    becomes("GREEN");

    let url = format!("http://{monitor}");
    let of_monitor = ["history", "shop", "--monitor", &url, "--last", "1h"];
    let shown = wait::until("the outage has an end", || {
        let output = run(&of_monitor);
        let shown = text(&output.stdout).to_owned();
        (shown.contains("outages (1)") && !shown.contains("so far")).then_some(shown)
    });
    assert!(shown.starts_with("shop  ") && shown.contains("answers 503"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown}");
    let asked = json(&run(&[&of_monitor[..], &["--json"]].concat()));
    assert_eq!(asked["events"][0]["kind"], "outage");
    for (unknown, told) in [("shpo", "did you mean `shop`?"), ("orders", "there is something of shop")] {
        let unknown = run(&["history", unknown, "--monitor", &url]);
        assert_eq!((unknown.status.code(), text(&unknown.stdout)), (Some(1), ""));
        assert!(text(&unknown.stderr).contains(told), "{}", text(&unknown.stderr));
    }
    assert!(program.stderr().contains("the light has changed service=\"shop\""), "{}", program.stderr());
    program.signal("TERM");
    assert!(program.ended().success());

    let file = folder.path().join("past.db");
    let of_file = |service| run(&["history", service, "--file", file.to_str().unwrap(), "--json"]);
    let read = json(&of_file("shop"));
    assert_eq!(read["events"], asked["events"]);
    assert!(read["readings"].as_u64().unwrap() >= 3 && read["seconds"]["RED"].as_u64().is_some(), "{read}");
    let unknown = of_file("shpo");
    assert_eq!((unknown.status.code(), text(&unknown.stdout)), (Some(1), ""));
    assert!(text(&unknown.stderr).contains("did you mean `shop`?"), "{}", text(&unknown.stderr));

    let replayed = run(&["alerts", "replay", "--config", configuration, "--last", "1h"]);
    let lines: Vec<&str> = text(&replayed.stdout).lines().collect();
    let [opened, resolved, all] = lines[..] else { panic!("{lines:?}\n{}", text(&replayed.stderr)) };
    assert!(opened.contains("  duty  opened    RED: shop"), "{opened}");
    assert!(resolved.contains("  duty  resolved  Over after "), "{resolved}");
    assert_eq!(all, "2 messages of 1 outage");
    let messages = json(&run(&["alerts", "replay", "--config", configuration, "--last", "1h", "--json"]));
    assert_eq!((&messages[0]["kind"], &messages[1]["services"][0]), (&"opened".into(), &"shop".into()));
}

#[test]
fn one_file_is_a_gateway_and_a_monitor_with_the_same_tokens() {
    let upstream = Upstream::start();
    let service = Service::start([("/", Reply::new(200, "text/plain", "OK"))]);
    let folder = tempfile::tempdir().unwrap();
    let configuration = folder.path().join("lifesigns.toml");
    // The hash of `ls_example`.
    let all = format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\n[store]\npath = \"memory\"\n\
         [monitor]\nlisten = \"127.0.0.1:0\"\ndata = \"memory\"\ninterval_seconds = 1\n\
         [[token]]\nname = \"ops\"\nscopes = [\"fleet:read\", \"analytics:read\"]\n\
         hash = \"sha256:46d8b15193463ff89a576355ef593e94b065982972f5de8246e650d4c3fe479f\"\n\
         [[api]]\nname = \"polls\"\nupstream = \"http://{}\"\n\
         [[service]]\nname = \"shop\"\nurl = \"{}\"\n",
        upstream.address(),
        service.url("/")
    );
    fs::write(&configuration, all).unwrap();
    let configuration = configuration.to_str().unwrap();
    let mut program = Program::start(&["run", "--config", configuration]);
    let (gateway, monitor) = (program.listening("gateway"), program.listening("monitor"));
    assert_eq!(get(gateway, "/health").status, 200);
    assert_eq!(get(monitor, "/api/services").status, 401);
    assert_eq!(get(monitor, "/metrics").status, 401);
    let token = folder.path().join("token");
    fs::write(&token, "ls_example\n").unwrap();
    let url = format!("http://{monitor}");
    let past = ["history", "shop", "--monitor", &url, "--token-file", token.to_str().unwrap()];
    wait::until("the shop has been asked", || run(&past).status.success().then_some(()));
    let refused = run(&past[..4]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("fleet:read"), "{}", text(&refused.stderr));
    program.signal("TERM");
    assert!(program.ended().success());
}

#[test]
fn a_monitor_that_nobody_is_let_in_to_says_so() {
    let program =
        Program::start(&["monitor", "--listen", "0.0.0.0:0", "--data", "memory", "http://127.0.0.1:1/"]);
    program.listening("monitor");
    wait::until("the note", || {
        program.stderr().contains("`lifesigns token new --scope fleet:read`").then_some(())
    });
}

#[test]
fn wrong_arguments_end_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("empty.toml");
    fs::write(&file, "[[api]]\nupstream = \"http://127.0.0.1:1\"\n").unwrap();
    let empty = file.to_str().unwrap();
    for (arguments, words) in [
        (&["history"][..], "SERVICE"),
        (&["history", "a", "--last", "30"], "a number and its unit"),
        (&["history", "a", "--file", "b", "--monitor", "http://c"], "cannot be used with"),
        (&["history", "a", "--monitor", "c"], "is no URL"),
        (&["monitor"], "URL"),
        (&["monitor", "--config", empty], "names no service"),
        (&["monitor", "--config", empty, "http://a/"], "cannot be used with"),
        (&["monitor", "http://a/", "--interval", "0"], "must be from 1"),
        (&["monitor", "http://a/", "--interval", "500ms"], "no whole number of seconds"),
        (&["monitor", "a=http://a/", "a=http://b/"], "`a` is there twice"),
        (&["monitor", "http://a/", "http://a/"], "`http://a/` is there twice"),
        (&["alerts", "replay"], "--config"),
        (&["alerts", "replay", "--config", empty], "names no service"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(words), "{arguments:?}: {}", text(&output.stderr));
    }
    let output = run(&["history", "a", "--file", "/nonexistent.db"]);
    assert_eq!(output.status.code(), Some(1));
}
