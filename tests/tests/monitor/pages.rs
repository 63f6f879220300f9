//! The dashboard, as Debian's Chromium shows it and axe-core judges it: light and dark, wide and narrow, with scripts and
//! without.

use std::fs;
use std::process::{Command, Stdio};

use lifesigns_tests::program::workspace;
use lifesigns_tests::service::{Reply, Service};
use lifesigns_tests::{tools, wait};
use serde_json::{Value, json};

use super::watch::{Monitor, configuration, out, well};

const HOSTILE: &str = "\u{202e}<img src=http://192.0.2.1/x onerror=alert(1)>\u{1b}[31m";

/// What is seen of pages in all ways of looking at them.
fn look(monitor: &Monitor, folder: &std::path::Path, paths: &[&str]) -> Vec<Value> {
    let urls: Vec<String> = paths.iter().map(|path| format!("http://{}{path}", monitor.address)).collect();
    let question = json!({"modules": tools::node(), "token": "none", "urls": urls, "until": "load"});
    let file = folder.join("question.json");
    fs::write(&file, question.to_string()).unwrap();
    let mut node = Command::new("node");
    // What the browser leaves behind goes with the folder.
    node.arg(workspace().join("tests/node/pages.mjs")).arg(&file).env("TMPDIR", folder);
    let output = node.env_remove("NODE_OPTIONS").stdin(Stdio::null()).output().unwrap();
    let seen = serde_json::from_slice(&output.stdout);
    seen.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn the_dashboard_can_be_read_by_everyone() {
    let service = Service::start([]);
    let names = ["shop", "stock", "orders", "payments", "mail", "polls"];
    for name in names {
        service.says(&format!("/{name}/status"), well(name));
    }
    let hostile = json!({
        "status": "UP", "service": HOSTILE, "version": HOSTILE, "revision": HOSTILE, "repo": format!("javascript:{HOSTILE}"),
        "uptime": 100, "memory": {"used": 90, "total": 100}, "components": {HOSTILE: {"status": "UP"}},
    });
    service.says("/polls/status", Reply::json(200, hostile.to_string()));
    let more = format!(
        "\n[[service]]\nname = \"front\"\npublic = true\nurl = \"{}\"\ndepends_on = [\"shop\"]\n",
        service.url("/front/status")
    );
    service.says("/front/status", well("front"));
    let folder = tempfile::tempdir().unwrap();
    let monitor = Monitor::start(folder.path(), &configuration(&service, &names, &more));
    for name in names {
        monitor.wait_for_light(name, "GREEN");
    }
    for name in ["shop", "stock", "orders"] {
        service.says(&format!("/{name}/status"), out(name));
        monitor.wait_for_light(name, "RED");
    }
    service.says("/mail/status", Reply::json(503, json!({"summary": {"status": "AMBER"}}).to_string()));
    monitor.wait_for_light("mail", "AMBER");
    let incident = wait::until("an incident", || {
        let open = monitor.ask("/api/incidents")["open"].clone();
        Some(open[0]["id"].as_str()?.to_owned())
    });
    let incident = format!("/incidents/{incident}");
    let pages = [
        ("/", "payments"),
        ("/?light=red", "stock"),
        ("/services/polls", "polls"),
        ("/services/shop?span=30d", "shop"),
        ("/incidents", "shop"),
        (&*incident, "orders"),
        ("/public", "front"),
        ("/login", "Log in"),
    ];
    let paths = pages.map(|(path, _)| path);
    let seen = look(&monitor, folder.path(), &paths);
    assert_eq!(seen.len(), paths.len() * 4, "wide and narrow, light and dark");
    let own = format!("http://{}/", monitor.address);
    for page in &seen {
        let what = format!("{} {} {}", page["url"], page["size"], page["colorScheme"]);
        assert_eq!(page["status"], 200, "{what}");
        let violations = page["violations"].as_array().unwrap();
        let is_bad = |found: &&Value| matches!(found["impact"].as_str(), Some("serious" | "critical"));
        let bad: Vec<&Value> = violations.iter().filter(is_bad).collect();
        assert!(bad.is_empty(), "{what}: {bad:#?}");
        assert!(page["passes"].as_u64().unwrap() > 10, "{what}: axe-core has seen nothing");
        let requests = page["requests"].as_array().unwrap();
        let elsewhere: Vec<&Value> =
            requests.iter().filter(|url| !url.as_str().unwrap().starts_with(&own)).collect();
        assert!(elsewhere.is_empty(), "{what}: {elsewhere:?}");
        assert_eq!(page["complaints"], json!([]), "{what}");
        assert!(page["wide"].as_i64().unwrap() <= 0, "{what}: it has to be scrolled sideways");
        let url = page["url"].as_str().unwrap();
        let (_, name) = pages.iter().find(|(path, _)| url.ends_with(path)).unwrap();
        let read = page["read"].as_str().unwrap();
        assert!(read.contains(name), "{what}: {read}");
        let without = page["without"]["read"].as_str().unwrap();
        assert!(without.contains(name), "{what}: without scripts it says {without}");
    }
    let public = seen.iter().filter(|page| page["url"].as_str().unwrap().ends_with("/public"));
    for page in public {
        let read = page["read"].as_str().unwrap();
        assert!(!names.iter().any(|name| read.contains(name)), "a stranger sees {read}");
    }
}
