//! A disk of the monitor that takes nothing for a while.

use std::process::Command;

use lifesigns_tests::client::get;
use lifesigns_tests::service::Service;
use lifesigns_tests::sink::Sink;
use lifesigns_tests::wait;

use super::kinds;
use crate::watch::{Monitor, configuration, out, well};

/// From now on no file of the monitor may be longer than so many bytes.
fn limit(monitor: &Monitor, bytes: &str) {
    let process = monitor.program.id().to_string();
    let status = Command::new("prlimit").args(["--pid", &process, &format!("--fsize={bytes}:")]).status();
    assert!(status.unwrap().success());
}

fn figure(monitor: &Monitor, name: &str) -> f64 {
    let page = get(monitor.address, "/metrics").text().to_owned();
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("lifesigns_monitor_{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
}

#[test]
fn a_full_disk_is_seen_and_what_has_happened_is_kept_once_there_is_room() {
    let service = Service::start([("/shop/status", well("shop"))]);
    let sink = Sink::start();
    let alert = format!(
        "\n[[alert]]\nname = \"hook\"\ngroup_wait_seconds = 0\n[alert.webhook]\nurl = \"{}\"\n",
        sink.url("/hook")
    );
    let folder = tempfile::tempdir().unwrap();
    let monitor = Monitor::start(folder.path(), &configuration(&service, &["shop"], &alert));
    monitor.wait_for_light("shop", "GREEN");
    wait::until("everything to be well", || {
        (figure(&monitor, "history_keeps") > 0.0 && monitor.ask("/health")["status"] == "OK").then_some(())
    });

    limit(&monitor, "1024");
    wait::until_or(
        || format!("{}\n{}", get(monitor.address, "/health").text(), monitor.program.stderr()),
        || (monitor.ask("/health")["status"] == "DEGRADED").then_some(()),
    );
    assert!(figure(&monitor, "history_keeps") < 1.0);
    assert!(figure(&monitor, "history_waiting") > 0.0);
    for probe in ["/readyz", "/livez"] {
        assert_eq!(get(monitor.address, probe).status, 200, "{probe}");
    }
    let page = get(monitor.address, "/").text().to_owned();
    assert!(page.contains("What happens is not kept"), "{page}");
    // It watches, decides and tells on.
    service.says("/shop/status", out("shop"));
    monitor.wait_for_light("shop", "RED");
    assert_eq!(monitor.ask("/services/shop/breaker")["state"], "open");
    wait::until("the message", || (kinds(&sink) == ["opened"]).then_some(()));
    assert_eq!(monitor.events("outage").len(), 0);

    limit(&monitor, "unlimited");
    wait::until("everything to be well again", || {
        (figure(&monitor, "history_keeps") > 0.0 && monitor.ask("/health")["status"] == "OK").then_some(())
    });
    assert!(!get(monitor.address, "/").text().contains("What happens is not kept"));
    assert_eq!((monitor.events("outage").len(), monitor.events("delivery").len()), (1, 1));
    let monitor = monitor.killed_and_started();
    service.says("/shop/status", well("shop"));
    wait::until("the end", || (kinds(&sink) == ["opened", "resolved"]).then_some(()));
    monitor.wait_for_light("shop", "GREEN");
}
