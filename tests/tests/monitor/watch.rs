//! A monitor that runs, and what it says of its services.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use lifesigns_tests::client::{Request, get};
use lifesigns_tests::program::{Program, run};
use lifesigns_tests::service::{Reply, Service};
use lifesigns_tests::wait;
use serde_json::{Value, json};

/// A running monitor.
pub(crate) struct Monitor {
    pub(crate) program: Program,
    pub(crate) address: SocketAddr,
    arguments: Vec<String>,
}

/// A configuration: what is watched, at which path of a service, and more lines.
pub(crate) fn configuration(service: &Service, names: &[&str], more: &str) -> String {
    let mut text = String::from(
        "[monitor]\nlisten = \"127.0.0.1:0\"\ndata = \"history.db\"\ninterval_seconds = 1\ndeadline_seconds = 1\n\
         red_interval_seconds = 1\n",
    );
    text.push_str(more);
    for name in names {
        write!(
            text,
            "\n[[service]]\nname = \"{name}\"\nurl = \"{}\"\n",
            service.url(&format!("/{name}/status"))
        )
        .unwrap();
    }
    text
}

impl Monitor {
    pub(crate) fn start(folder: &Path, configuration: &str) -> Monitor {
        let file = folder.join("monitor.toml");
        fs::write(&file, configuration).unwrap();
        let arguments = ["monitor", "--config", file.to_str().unwrap()].map(str::to_owned).to_vec();
        Monitor::with(arguments)
    }

    fn with(arguments: Vec<String>) -> Monitor {
        let program = Program::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let address = program.listening("monitor");
        Monitor { program, address, arguments }
    }

    /// Killed as by the lack of memory, and started again.
    pub(crate) fn killed_and_started(mut self) -> Monitor {
        self.program.kill();
        Monitor::with(self.arguments.clone())
    }

    pub(crate) fn ask(&self, target: &str) -> Value {
        let answer = get(self.address, target);
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        answer.json()
    }

    pub(crate) fn service(&self, name: &str) -> Value {
        self.ask(&format!("/api/services/{name}"))
    }

    /// Waits until a service is as that says.
    pub(crate) fn wait_for(&self, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let explain = || format!("waited in vain: {}\n{}", self.service(name), self.program.stderr());
        wait::until_or(explain, || Some(self.service(name)).filter(|service| is_so(service)))
    }

    pub(crate) fn wait_for_light(&self, name: &str, light: &str) -> Value {
        self.wait_for(name, |service| service["light"] == light)
    }

    /// Events of a kind, the oldest first.
    pub(crate) fn events(&self, kind: &str) -> Vec<Value> {
        let mut events = self.ask(&format!("/api/events?kind={kind}"))["events"].as_array().unwrap().clone();
        events.reverse();
        events
    }
}

/// What a service that is well says.
pub(crate) fn well(name: &str) -> Reply {
    let body = json!({
        "status": "healthy", "service": name, "version": "1.0", "uptime": 4711,
        "memory": {"used": 50, "total": 100},
    });
    Reply::json(200, body.to_string())
}

pub(crate) fn out(name: &str) -> Reply {
    Reply::json(503, json!({"error": "Service unavailable", "service": name}).to_string())
}

#[test]
fn a_fleet_is_seen_as_it_is_and_remembered() {
    let service = Service::start([]);
    for name in ["shop", "stock"] {
        service.says(&format!("/{name}/status"), well(name));
    }
    let folder = tempfile::tempdir().unwrap();
    let monitor = Monitor::start(folder.path(), &configuration(&service, &["shop", "stock"], ""));
    let shop = monitor.wait_for_light("shop", "GREEN");
    assert_eq!(shop["version"], "1.0");
    assert_eq!(shop["memory_mb"], json!({"used": 50, "total": 100}));
    monitor.wait_for_light("stock", "GREEN");
    let status = monitor.ask("/status");
    assert_eq!((&status["service"], &status["healthy"]), (&json!("all-services"), &json!(2)));

    service.says("/shop/status", out("shop"));
    let shop = monitor.wait_for_light("shop", "RED");
    assert_eq!(shop["why"], "answers 503: Service unavailable");
    assert_eq!(monitor.ask("/services/shop/breaker")["state"], "open");
    let unavailable = get(monitor.address, "/services/shop/available");
    assert_eq!(unavailable.status, 503);
    assert!(unavailable.header("retry-after").is_some());
    service.says("/stock/status", out("stock"));
    monitor.wait_for_light("stock", "RED");
    let status = get(monitor.address, "/status");
    assert_eq!(status.status, 503);
    assert_eq!(status.json()["error"], "Service unavailable");

    // What nobody was told of yet may be lost for the last moment before the kill.
    let file = folder.path().join("history.db");
    wait::until("the outage of stock to be in the file", || {
        let read = run(&["history", "stock", "--file", file.to_str().unwrap(), "--json"]);
        String::from_utf8_lossy(&read.stdout).contains("\"kind\":\"outage\"").then_some(())
    });
    let monitor = monitor.killed_and_started();
    // It knows before it has asked.
    assert_eq!(monitor.service("shop")["light"], "RED");
    for name in ["shop", "stock"] {
        service.says(&format!("/{name}/status"), well(name));
        monitor.wait_for_light(name, "GREEN");
    }
    let outages = wait::until("both outages to be kept", || {
        let outages = monitor.events("outage");
        outages.iter().all(|outage| outage["ended"].is_string()).then_some(outages)
    });
    assert_eq!(outages.len(), 2);
    wait::until("a history", || {
        let history = monitor.ask("/api/services/shop/history?last=1m&points=4");
        let seconds = &history["seconds"];
        let sum: i64 =
            ["GREEN", "AMBER", "RED", "UNKNOWN"].map(|light| seconds[light].as_i64().unwrap()).iter().sum();
        assert_eq!(sum, 60, "{history}");
        (seconds["RED"].as_i64() > Some(0) && seconds["GREEN"].as_i64() > Some(0)).then_some(())
    });
}

#[test]
fn a_service_is_found_where_services_usually_are() {
    let ours = Service::start([("/health/status", Reply::json(200, "{\"summary\":{\"status\":\"GREEN\"}}"))]);
    ours.says("/status", well("ours"));
    let theirs = Service::start([("/actuator/health", Reply::json(503, "{\"status\":\"DOWN\"}"))]);
    let page = Service::start([("/", Reply::new(200, "text/html", "<h1>Welcome</h1>"))]);
    let folder = tempfile::tempdir().unwrap();
    let services = [("ours", &ours), ("theirs", &theirs), ("page", &page)];
    let more: String = services
        .iter()
        .map(|(name, service)| format!("\n[[service]]\nname = \"{name}\"\nurl = \"{}\"\n", service.url("")))
        .collect();
    let monitor = Monitor::start(folder.path(), &configuration(&ours, &[], &more));
    assert_eq!(monitor.wait_for_light("ours", "GREEN")["version"], "1.0");
    monitor.wait_for_light("theirs", "RED");
    monitor.wait_for_light("page", "GREEN");
    let asked = page.heard().iter().filter(|path| *path != "/").count();
    wait::until("the page to be asked again", || (page.heard().len() > asked + 3).then_some(()));
    let others = page.heard().iter().filter(|path| *path != "/").count();
    assert_eq!(others, asked, "it is looked for once");
}

#[test]
fn traffic_is_seen_of_a_service_that_lets_the_monitor_in() {
    let service = Service::start([("/shop/status", well("shop"))]);
    let details = json!({
        "success": true, "response": [],
        "summary": {
            "requests": 1234, "success": 1200, "client_error": 30, "server_error": 4, "policy_violation": 0,
            "latency_ms": {"mean": 3.0, "p50": 2.5, "p95": 7.5, "p99": 9.5, "max": 20.0},
        },
    });
    service.says("/shop/health/details", Reply::json(200, details.to_string()));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("authorization"), "Bearer ls_shop\n").unwrap();
    let more = format!(
        "\n[[service]]\nname = \"shop\"\nauthorization_file = \"authorization\"\nurl = \"{}\"\n",
        service.url("/shop/status")
    );
    let monitor = Monitor::start(folder.path(), &configuration(&service, &[], &more));
    let shop = monitor.wait_for("shop", |shop| shop["traffic"].is_object());
    assert_eq!((&shop["traffic"]["requests"], &shop["traffic"]["server_errors"]), (&json!(1234), &json!(4)));
    let page = get(monitor.address, "/services/shop");
    assert!(
        page.text().contains("<dd>1234</dd>") && page.text().contains("<dd>7.5 ms</dd>"),
        "{}",
        page.text()
    );
    assert!(!page.text().contains("ls_shop"));
}

#[test]
fn strangers_see_what_is_public_and_holders_of_a_token_everything() {
    let service = Service::start([]);
    for name in ["shop", "secret"] {
        service.says(&format!("/{name}/status"), well(name));
    }
    let hash = lifesigns::TokenHash::of("ls_reader");
    let scraper = lifesigns::TokenHash::of("ls_scraper");
    let more = format!(
        "\n[[token]]\nname = \"reader\"\nhash = \"{hash}\"\nscopes = [\"fleet:read\"]\n\n\
         [[token]]\nname = \"scraper\"\nhash = \"{scraper}\"\nscopes = [\"metrics:read\"]\n\n\
         [[service]]\nname = \"shop\"\npublic = true\nurl = \"{}\"\n",
        service.url("/shop/status")
    );
    let folder = tempfile::tempdir().unwrap();
    let monitor = Monitor::start(folder.path(), &configuration(&service, &["secret"], &more));
    let ask = |target: &str, token: Option<&str>| {
        let request = Request::get(target);
        let request = match token {
            Some(token) => request.bearer(token),
            None => request,
        };
        request.send(monitor.address)
    };
    wait::until("both to be seen", || {
        let status = ask("/status", Some("ls_reader")).json();
        (status["healthy"] == 2).then_some(())
    });
    let names = |token| {
        let status = ask("/status", token).json();
        let names: Vec<String> =
            status["services"].as_array().unwrap().iter().map(|one| one["service"].to_string()).collect();
        names.join(" ")
    };
    assert_eq!(names(None), "\"shop\"");
    assert!(names(Some("ls_reader")).contains("secret"));
    for target in
        ["/", "/api/services", "/api/services/secret", "/metrics", "/sd", "/services/secret", "/incidents"]
    {
        let refused = ask(target, None);
        assert_eq!(refused.status, 401, "{target}");
        assert!(
            refused.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")),
            "{target}"
        );
        assert!(!refused.text().contains("secret"), "{target}: {}", refused.text());
        assert_eq!(ask(target, Some("ls_reader")).status, 200, "{target}");
        assert_eq!(ask(target, Some("ls_guess")).status, 401, "{target}");
    }
    assert_eq!(ask("/metrics", Some("ls_scraper")).status, 200);
    assert_eq!(ask("/sd", Some("ls_scraper")).status, 200);
    assert_eq!(ask("/api/services", Some("ls_scraper")).status, 403);
    assert_eq!(ask("/public", None).status, 200);
    assert!(!ask("/public", None).text().contains("secret"));
    let why = ask("/services/shop/breaker", None).json();
    assert!(why.get("why").is_none(), "{why}");
    for name in ["secret", "nobody"] {
        assert_eq!(ask(&format!("/services/{name}/breaker"), None).status, 401, "{name}");
    }
    let status = ask("/status", None).json();
    assert_eq!((&status["total"], &status["services"][0].get("version")), (&json!(1), &None), "{status}");
}
