//! Programs that act on what the monitor says: HAProxy and Prometheus of Debian.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use lifesigns_tests::client::{Request, get};
use lifesigns_tests::program::free_address;
use lifesigns_tests::service::{Reply, Service};
use lifesigns_tests::wait;
use serde_json::Value;

use super::watch::{Monitor, configuration, out, well};

/// A program of somebody else. Killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(command: &mut Command, folder: &Path) -> Running {
    let log = fs::File::create(folder.join("log")).unwrap();
    let command = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    Running(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
}

fn haproxy(config: &str, folder: &Path) -> (Running, PathBuf) {
    let (file, socket) = (folder.join("haproxy.cfg"), folder.join("haproxy.sock"));
    let config = format!("global\nstats socket {} mode 600 level admin\n{config}", socket.display());
    fs::write(&file, config).unwrap();
    (start(Command::new("/usr/sbin/haproxy").arg("-db").arg("-f").arg(&file), folder), socket)
}

/// State and weight of a server, as HAProxy sees it.
fn state(socket: &Path, backend: &str, server: &str) -> Option<(String, String)> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.write_all(b"show stat\n").unwrap();
    let mut table = String::new();
    stream.read_to_string(&mut table).unwrap();
    let mut rows = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = rows.next()?;
    let column = |name: &str| header.iter().position(|cell| cell.trim_start_matches("# ") == name).unwrap();
    let (of, named, state, weight) = (column("pxname"), column("svname"), column("status"), column("weight"));
    let row = rows.find(|row| row.get(of) == Some(&backend) && row.get(named) == Some(&server))?;
    Some((row[state].to_owned(), row[weight].to_owned()))
}

#[test]
fn haproxy_moves_traffic_by_agent_check_and_by_resource() {
    let service = Service::start([("/", Reply::new(200, "text/plain", "shop"))]);
    let other = Service::start([("/", Reply::new(200, "text/plain", "other"))]);
    service.says("/shop/status", well("shop"));
    service.says("/other/status", well("other"));
    let folder = tempfile::tempdir().unwrap();
    let agent = free_address();
    let more = format!("agent_listen = \"{agent}\"\n");
    let monitor = Monitor::start(folder.path(), &configuration(&service, &["shop", "other"], &more));
    monitor.wait_for_light("shop", "GREEN");
    monitor.wait_for_light("other", "GREEN");
    let front = free_address();
    let (shop, others) = (service.address(), other.address());
    let config = format!(
        "defaults\nmode http\ntimeout connect 2s\ntimeout client 5s\ntimeout server 5s\ntimeout check 2s\n\
         frontend callers\nbind {front}\ndefault_backend by_agent\n\
         backend by_agent\noption redispatch\n\
         server shop {shop} weight 100 check inter 100ms agent-check agent-addr {ip} agent-port {port} agent-inter 100ms agent-send shop\\n\n\
         server other {others} weight 1 check inter 100ms agent-check agent-addr {ip} agent-port {port} agent-inter 100ms \
         agent-send other\\n\n\
         backend by_resource\noption httpchk GET /services/shop/available\n\
         server shop {shop} check addr {monitor} port {monitor_port} inter 100ms fall 1 rise 1\n",
        ip = agent.ip(),
        port = agent.port(),
        monitor = monitor.address.ip(),
        monitor_port = monitor.address.port(),
    );
    let (_running, socket) = haproxy(&config, folder.path());
    let wait_for = |backend: &str, state_is: &str, weight: &str| {
        let explain = || {
            format!(
                "{backend} {:?}: {}",
                state(&socket, backend, "shop"),
                fs::read_to_string(folder.path().join("log")).unwrap()
            )
        };
        wait::until_or(explain, || {
            let (found, weighs) = state(&socket, backend, "shop")?;
            (found.starts_with(state_is) && weighs == weight).then_some(())
        });
    };
    wait_for("by_agent", "UP", "100");
    wait_for("by_resource", "UP", "1");
    let answers =
        |count: usize| -> Vec<String> { (0..count).map(|_| get(front, "/").text().to_owned()).collect() };
    assert!(answers(20).iter().any(|text| text == "shop"));

    service.says("/shop/status", Reply::json(200, "{\"status\":\"DEGRADED\"}"));
    monitor.wait_for_light("shop", "AMBER");
    wait_for("by_agent", "UP", "50");
    wait_for("by_resource", "UP", "1");

    service.says("/shop/status", out("shop"));
    monitor.wait_for_light("shop", "RED");
    wait_for("by_agent", "DOWN", "50");
    wait_for("by_resource", "DOWN", "1");
    assert!(answers(20).iter().all(|text| text == "other"));

    service.says("/shop/status", well("shop"));
    monitor.wait_for_light("shop", "GREEN");
    wait_for("by_agent", "UP", "100");
    wait_for("by_resource", "UP", "1");
    assert!(answers(20).iter().any(|text| text == "shop"));
}

fn prometheus_says(prometheus: SocketAddr, query: &str) -> Option<Value> {
    let answer = Request::get(&format!("/api/v1/{query}")).try_send(prometheus).ok()?;
    (answer.status == 200).then(|| answer.json())
}

#[test]
fn prometheus_discovers_the_fleet_and_takes_its_figures() {
    let service = Service::start([]);
    service.says("/shop/status", well("shop"));
    service.says("/stock/status", out("stock"));
    let folder = tempfile::tempdir().unwrap();
    let monitor = Monitor::start(folder.path(), &configuration(&service, &["shop", "stock"], ""));
    monitor.wait_for_light("shop", "GREEN");
    monitor.wait_for_light("stock", "RED");
    let address = free_address();
    let config = format!(
        "global:\n  scrape_interval: 200ms\nscrape_configs:\n\
         \x20 - job_name: monitor\n    static_configs:\n      - targets: ['{monitor}']\n\
         \x20 - job_name: fleet\n    metrics_path: /shop/status\n    http_sd_configs:\n\
         \x20     - url: http://{monitor}/sd\n        refresh_interval: 1s\n",
        monitor = monitor.address
    );
    let file = folder.path().join("prometheus.yml");
    fs::write(&file, config).unwrap();
    let _running = start(
        Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("tsdb").display()))
            .arg(format!("--web.listen-address={address}")),
        folder.path(),
    );
    let explain = || fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    let value = |query: &str| {
        let found = prometheus_says(address, &format!("query?query={query}"))?;
        Some(found["data"]["result"].get(0)?["value"][1].as_str()?.to_owned())
    };
    let check = |query: &str, expected: &str| {
        wait::until_or(
            || format!("{query} {:?}: {}", value(query), explain()),
            || (value(query)? == expected).then_some(()),
        );
    };
    check("lifesigns_service_light%7Bservice=%22shop%22%7D", "0");
    check("lifesigns_service_light%7Bservice=%22stock%22%7D", "2");
    check("lifesigns_service_up%7Bservice=%22stock%22%7D", "0");
    check("lifesigns_service_breaker%7Bservice=%22stock%22%7D", "2");
    check("lifesigns_service_memory_bytes%7Bservice=%22shop%22%7D", "52428800");
    let services = wait::until_or(explain, || {
        let targets = prometheus_says(address, "targets?state=active")?;
        let of_fleet: Vec<String> = targets["data"]["activeTargets"]
            .as_array()?
            .iter()
            .filter(|target| target["labels"]["job"] == "fleet")
            .map(|target| target["labels"]["service"].as_str().unwrap_or_default().to_owned())
            .collect();
        (of_fleet.len() == 2).then_some(of_fleet)
    });
    assert!(services.contains(&"shop".to_owned()) && services.contains(&"stock".to_owned()), "{services:?}");
}
