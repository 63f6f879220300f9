//! Error budget and burn rates are the arithmetic of what was sent, in the details and in metrics, and a restart
//! forgets none of it.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;

use lifesigns_tests::client::{Connection, Request, get};
use lifesigns_tests::program::Program;
use lifesigns_tests::upstream::Upstream;
use lifesigns_tests::wait;
use serde_json::{Value, json};

/// `ls_example`
const TOKEN_HASH: &str = "sha256:46d8b15193463ff89a576355ef593e94b065982972f5de8246e650d4c3fe479f";
const WINDOWS: [&str; 5] = ["5m", "30m", "1h", "6h", "3d"];

/// A gateway with an objective of 90 % good within three seconds, and where it and its operators are.
fn gateway(upstream: SocketAddr, folder: &Path) -> (Program, SocketAddr, SocketAddr) {
    let config = folder.join("lifesigns.toml");
    let text = format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n[store]\npath = \"figures.db\"\n\
         [[token]]\nname = \"test\"\nhash = \"{TOKEN_HASH}\"\nscopes = [\"analytics:read\"]\n\
         [objective]\ngood_share = 0.99\nlatency_ms = 3000\n\
         [[api]]\nname = \"polls\"\nupstream = \"http://{upstream}\"\n[api.objective]\ngood_share = 0.9\n"
    );
    fs::write(&config, text).unwrap();
    let program = Program::start(&["run", "--config", config.to_str().unwrap()]);
    let (address, admin) = (program.listening("gateway"), program.listening("admin"));
    (program, address, admin)
}

/// Sends 60 requests that count, 50 of them good, and 3 that do not count.
fn send(to: SocketAddr) {
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert_eq!(get(to, "/slow/4000").status, 200));
        }
        for (path, status, times) in
            [("/status/200", 200, 40), ("/status/404", 404, 10), ("/status/500", 500, 5), ("/hangup", 502, 3)]
        {
            for _ in 0..times {
                assert_eq!(get(to, path).status, status, "{path}");
            }
        }
        for _ in 0..3 {
            // Given up in the middle of a response that is too large for all buffers on the way.
            let mut connection = Connection::open(to).unwrap();
            connection.send(b"GET /bytes/50000000 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            assert_eq!(connection.receive_head().unwrap().status, 200);
        }
    });
}

/// The objective, once so many requests have been counted in all and the store has told what it remembers.
fn objective(of: SocketAddr, requests: u64) -> Value {
    wait::until(&format!("{requests} requests to be counted"), || {
        let details = Request::get("/health/details").bearer("ls_example").send(of).json();
        let is_complete = details["objective"]["history"] == "complete";
        (details["summary"]["requests"] == requests && is_complete).then(|| details["objective"].clone())
    })
}

fn metric(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in\n{metrics}")).parse().unwrap()
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9
}

#[test]
fn budget_and_burn_rates_are_the_arithmetic_of_what_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start();
    for life in 1..=3u32 {
        let (mut program, address, admin) = gateway(upstream.address(), folder.path());
        send(address);
        let (good, total) = (50 * u64::from(life), 60 * u64::from(life));
        let objective = objective(address, 63 * u64::from(life));

        assert_eq!((&objective["good_share"], &objective["latency_ms"]), (&json!(0.9), &json!(3000.0)));
        assert_eq!((&objective["good"], &objective["total"]), (&json!(good), &json!(total)), "{objective}");
        assert!(near(objective["share"].as_f64().unwrap(), 50.0 / 60.0));
        let budget = &objective["error_budget"];
        assert_eq!((&budget["total"], &budget["used"]), (&json!(6.0 * f64::from(life)), &json!(10 * life)));
        let left = (6.0 - 10.0) / 6.0;
        assert!(near(budget["left"].as_f64().unwrap(), left), "{objective}");
        let burning = (10.0 / 60.0) / 0.1;
        for window in WINDOWS {
            assert!(near(objective["burn_rates"][window].as_f64().unwrap(), burning), "{objective}");
        }
        let alerts: Vec<_> = objective["alerts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|alert| (alert["severity"].clone(), alert["factor"].clone(), alert["firing"].clone()))
            .collect();
        let expected = [("page", 14.4, false), ("page", 6.0, false), ("ticket", 1.0, true)];
        assert_eq!(
            alerts,
            expected.map(|(severity, factor, firing)| (json!(severity), json!(factor), json!(firing)))
        );
        assert_eq!(objective["severity"], "ticket");

        let metrics = get(admin, "/metrics");
        let metrics = metrics.text();
        let of_api = "{lifesigns_api=\"polls\"}";
        assert!(near(metric(metrics, &format!("lifesigns_objective_ratio{of_api}")), 0.9));
        assert!(near(metric(metrics, &format!("lifesigns_objective_good_ratio{of_api}")), 50.0 / 60.0));
        assert!(near(metric(metrics, &format!("lifesigns_error_budget_remaining_ratio{of_api}")), left));
        for window in WINDOWS {
            let name = format!("lifesigns_burn_rate{{lifesigns_api=\"polls\",window=\"{window}\"}}");
            assert!(near(metric(metrics, &name), burning));
        }
        // What Prometheus would compute: the counters of this process are those of one life.
        let counter = |outcome| {
            let labels = format!("{{lifesigns_api=\"polls\",outcome=\"{outcome}\"}}");
            metric(metrics, &format!("lifesigns_objective_exchanges_total{labels}"))
        };
        assert!(near(counter("good"), 50.0) && near(counter("bad"), 10.0));
        assert!(near(counter("bad") / (counter("good") + counter("bad")) / 0.1, burning));

        // An end by signal and one by kill: both keep what was written.
        if life == 1 {
            program.signal("TERM");
            assert!(program.ended().success());
        } else {
            program.kill();
        }
    }
}
