//! Counts are those of what was sent, to the last request; and a killed process loses at most its last second.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lifesigns_tests::client::{Connection, Request};
use lifesigns_tests::program::Program;
use lifesigns_tests::upstream::Upstream;
use lifesigns_tests::wait;
use serde_json::{Value, json};

/// `ls_example`
const TOKEN_HASH: &str = "sha256:46d8b15193463ff89a576355ef593e94b065982972f5de8246e650d4c3fe479f";
const CONNECTIONS: usize = 8;
const REQUESTS: usize = 100_000;

/// Numbers that look random and are the same for the same seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// What the environment variable `LIFESIGNS_TEST_SEED` asks for: the run that a failed one told the seed of.
fn given_seed() -> Option<u64> {
    let text = std::env::var("LIFESIGNS_TEST_SEED").ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("LIFESIGNS_TEST_SEED is not a whole number: {text}")))
}

fn gateway(upstream: SocketAddr, data: &Path) -> (Program, SocketAddr) {
    let (upstream, data) = (format!("http://{upstream}"), data.to_str().unwrap());
    let arguments = [
        "gateway",
        "--upstream",
        &upstream,
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--data",
        data,
        "--name",
        "counted",
    ];
    let program = Program::start_with(&arguments, |command| {
        command.env("LIFESIGNS_TOKEN_HASH", TOKEN_HASH);
    });
    let address = program.listening("gateway");
    (program, address)
}

/// Status and who failed, and how many.
type Counts = BTreeMap<(String, String), u64>;

/// Sends its share of the requests over one connection after the other, and says what it must be counted as.
fn send_share(to: SocketAddr, mut numbers: Numbers) -> Counts {
    let mut sent = Counts::new();
    let mut connection = Connection::open(to).unwrap();
    for _ in 0..REQUESTS / CONNECTIONS {
        let (status, failed_by) = match numbers.below(1000) {
            0..4 => {
                // Given up in the middle of a response that is too large for all buffers on the way.
                connection.send(b"GET /bytes/50000000 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
                assert_eq!(connection.receive_head().unwrap().status, 200);
                connection = Connection::open(to).unwrap();
                ("200", "client")
            }
            4..8 => {
                // Given up in the middle of the request: an incomplete message is a bad one (RFC 9112 §8).
                connection
                    .send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
                    .unwrap();
                connection = Connection::open(to).unwrap();
                ("400", "client")
            }
            8..28 => {
                assert_eq!(connection.exchange(&Request::get("/hangup")).unwrap().status, 502);
                ("502", "gateway")
            }
            28..128 => known(&mut connection, "/status/404", ("404", "client")),
            128..228 => known(&mut connection, "/status/500", ("500", "upstream")),
            228..328 => known(&mut connection, "/status/502", ("502", "upstream")),
            328..428 => known(&mut connection, "/status/204", ("204", "nobody")),
            428..528 => known(&mut connection, "/chunked/3000", ("200", "nobody")),
            528..628 => {
                assert_eq!(connection.exchange(&Request::new("HEAD", "/bytes/99")).unwrap().status, 200);
                ("200", "nobody")
            }
            628..728 => {
                let request = Request::new("POST", "/echo").body("x".repeat(2000));
                assert_eq!(connection.exchange(&request).unwrap().status, 200);
                ("200", "nobody")
            }
            _ => known(&mut connection, "/bytes/100", ("200", "nobody")),
        };
        *sent.entry((status.to_owned(), failed_by.to_owned())).or_default() += 1;
    }
    sent
}

fn known(
    connection: &mut Connection,
    path: &str,
    expected: (&'static str, &'static str),
) -> (&'static str, &'static str) {
    let answer = connection.exchange(&Request::get(path)).unwrap();
    assert_eq!(answer.status.to_string(), expected.0, "{path}");
    expected
}

fn add(sums: &mut Counts, more: Counts) {
    for (key, count) in more {
        *sums.entry(key).or_default() += count;
    }
}

/// The counts that an analytics query finds.
fn counted(gateway: SocketAddr) -> Counts {
    let query =
        json!({"aggregators": [{"dimension": "status_code", "aggregators": [{"dimension": "failed_by"}]}]});
    let answer = Request::post_json("/analytics/1.0/o/environments/e/query", &query)
        .bearer("ls_example")
        .send(gateway);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut counts = Counts::new();
    for (status, group) in members(&answer.json()["response"][0]["status_code"]) {
        for (failed_by, figures) in members(&group["aggregations"][0]["failed_by"]) {
            counts.insert((status.clone(), failed_by), figures["count"].as_u64().unwrap());
        }
    }
    counts
}

fn members(groups: &Value) -> Vec<(String, Value)> {
    let groups = groups.as_array().unwrap().iter().flat_map(|group| group.as_object().unwrap());
    groups.map(|(label, figures)| (label.clone(), figures.clone())).collect()
}

/// How many exchanges have ended so far, as `/metrics` has it.
fn ended(admin: SocketAddr) -> u64 {
    let answer = Request::get("/metrics").send(admin);
    let lines = answer.text().lines();
    let counts = lines.filter(|line| line.starts_with("http_server_request_duration_seconds_count{"));
    counts.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

#[test]
fn every_request_is_counted_once_as_what_it_was() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let data = folder.path().join("lifesigns.db");
    let (mut program, to) = gateway(upstream.address(), &data);
    let admin = program.listening("admin");
    let seed = given_seed().unwrap_or(0);
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|share| thread::spawn(move || send_share(to, Numbers(seed.wrapping_add(share as u64 * 7919)))))
        .collect();
    let mut sent = Counts::new();
    for thread in threads {
        add(&mut sent, thread.join().unwrap());
    }
    assert_eq!(sent.values().sum::<u64>(), REQUESTS as u64);
    // Those that were given up end when the gateway notices.
    wait::until("the end of every exchange", || (ended(admin) >= REQUESTS as u64).then_some(()));
    assert_eq!(counted(to), sent, "seed {seed}");

    let details = Request::get("/health/details").bearer("ls_example").send(to).json();
    let sum = |accept: &dyn Fn(u16) -> bool| -> u64 {
        sent.iter().filter(|((status, _), _)| accept(status.parse().unwrap())).map(|(_, count)| count).sum()
    };
    let summary = &details["summary"];
    assert_eq!(summary["requests"], REQUESTS);
    assert_eq!(summary["success"], sum(&|status| status < 400));
    assert_eq!(summary["client_error"], sum(&|status| (400..500).contains(&status)));
    assert_eq!(summary["server_error"], sum(&|status| status >= 500));

    program.signal("TERM");
    assert!(program.ended().success());
    let (_program, again) = gateway(upstream.address(), &data);
    assert_eq!(counted(again), sent, "after a restart");
}

#[test]
fn a_killed_gateway_loses_at_most_its_last_second() {
    const ROUNDS: usize = 20;
    const KEPT_AFTER: Duration = Duration::from_secs(1);
    let seed = given_seed()
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64);
    let mut numbers = Numbers(seed);
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let data = folder.path().join("lifesigns.db");
    let mut kept_before = 0;
    for round in 0..ROUNDS {
        let (mut program, to) = gateway(upstream.address(), &data);
        let stop = AtomicBool::new(false);
        let life = Duration::from_millis(1200 + numbers.below(1300));
        let (killed_at, ends) = thread::scope(|scope| {
            let clients: Vec<_> = (0..4).map(|_| scope.spawn(|| answered_until(to, &stop))).collect();
            thread::sleep(life);
            let killed_at = Instant::now();
            program.kill();
            stop.store(true, Ordering::SeqCst);
            let ends: Vec<Instant> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
            (killed_at, ends)
        });
        let old_enough =
            ends.iter().filter(|end| killed_at.duration_since(**end) >= KEPT_AFTER).count() as u64;
        let kept = kept(&data) - kept_before;
        assert!(old_enough > 0, "seed {seed}, round {round}: too slow to tell anything");
        assert!(
            old_enough <= kept,
            "seed {seed}, round {round}: {old_enough} were old enough, {kept} were kept"
        );
        // Every connection may have one more exchange whose end the client never learned of.
        assert!(
            kept <= ends.len() as u64 + 4,
            "seed {seed}, round {round}: {} were sent, {kept} were kept",
            ends.len()
        );
        kept_before += kept;
    }
}

/// Sends one request after the other until the gateway is gone or it is told to stop; says when each was answered.
fn answered_until(to: SocketAddr, stop: &AtomicBool) -> Vec<Instant> {
    let mut ends = Vec::new();
    let mut connection = Connection::open(to).unwrap();
    while !stop.load(Ordering::SeqCst) {
        match connection.exchange(&Request::get("/status/200")) {
            Ok(answer) => {
                ends.push(Instant::now());
                assert_eq!(answer.status, 200);
            }
            Err(_gone) => break,
        }
    }
    ends
}

/// How many exchanges the file holds, asked with SQLite's own program; also whether the file is sound.
fn kept(data: &Path) -> u64 {
    let ask = |sql: &str| {
        let output = Command::new("sqlite3").arg(data).arg(sql).output().expect("sqlite3 is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(ask("PRAGMA integrity_check"), "ok");
    ask("SELECT coalesce(sum(count), 0) FROM minutes").parse().unwrap()
}
