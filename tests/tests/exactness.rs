//! The same exchanges are counted whichever way one asks: by any dimension, in buckets of any width, before and after a
//! restart, and wherever on earth the machine believes that it is.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::net::SocketAddr;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use lifesigns_tests::client::{Connection, Request};
use lifesigns_tests::program::Program;
use lifesigns_tests::upstream::Upstream;
use serde_json::{Value, json};

/// `ls_example`
const TOKEN_HASH: &str = "sha256:46d8b15193463ff89a576355ef593e94b065982972f5de8246e650d4c3fe479f";

/// Far apart, on both sides of UTC, and not by whole hours.
const ZONES: [&str; 3] = ["America/St_Johns", "Pacific/Chatham", "UTC"];

const DIMENSIONS: [&str; 10] = [
    "api_id",
    "api_version_id",
    "client_id",
    "status_code",
    "method",
    "resource_path",
    "request_disposition",
    "policy",
    "instance",
    "failed_by",
];

const INTERVALS: [i64; 6] = [1, 7, 60, 90, 1440, 43_200];

fn gateway(upstream: SocketAddr, folder: &Path, zone: &str) -> (Program, SocketAddr) {
    let (upstream, data) = (format!("http://{upstream}"), folder.join("lifesigns.db"));
    let arguments =
        ["gateway", "--upstream", &upstream, "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
    let program = Program::start_with(&arguments, |command| {
        command.env("LIFESIGNS_TOKEN_HASH", TOKEN_HASH).env("TZ", zone);
    });
    let address = program.listening("gateway");
    (program, address)
}

/// Some requests of each sort; returns how many.
fn send(to: SocketAddr) -> u64 {
    let mut connection = Connection::open(to).unwrap();
    let paths = ["/status/200", "/status/204", "/status/404", "/status/500", "/users/7", "/hangup"];
    let mut sent = 0;
    for (number, path) in paths.iter().cycle().take(60).enumerate() {
        let method = ["GET", "HEAD", "DELETE"][number % 3];
        let app = format!("app-{}", number % 4);
        let request = Request::new(method, path).header("X-Client-Id", &app);
        connection.exchange(&request).unwrap();
        sent += 1;
    }
    sent
}

/// The results of an answer, one for each aggregator.
fn ask(gateway: SocketAddr, start: Timestamp, aggregators: &Value) -> Vec<Value> {
    let query = json!({"start_time": start.to_string(), "duration": "3h", "aggregators": aggregators});
    let request = Request::post_json("/analytics/1.0/o/environments/e/query", &query).bearer("ls_example");
    let answer = request.send(gateway);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["response"].as_array().unwrap().clone()
}

/// Label and figures of each group of a result.
fn groups(result: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let lists = result.as_object().unwrap().values();
    lists.flat_map(|groups| groups.as_array().unwrap()).flat_map(|group| group.as_object().unwrap())
}

fn sum(result: &Value) -> u64 {
    groups(result).map(|(_, figures)| figures["count"].as_u64().unwrap()).sum()
}

/// Everything that is asked: each dimension and each interval, and each dimension within each interval.
fn questions() -> Value {
    let dimensions = DIMENSIONS.map(|dimension| json!({"dimension": dimension}));
    let nested =
        INTERVALS.map(|interval| json!({"time_interval": interval, "aggregators": &dimensions[..2]}));
    Value::Array(dimensions.into_iter().chain(nested).collect())
}

#[test]
fn counts_add_up_in_every_way_of_asking_after_restarts_and_in_every_time_zone() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
    let start = Timestamp::now() - SignedDuration::from_hours(1);
    let (mut sent, mut before) = (0, None);
    for zone in ZONES {
        let (mut program, address) = gateway(upstream.address(), folder.path(), zone);
        if let Some(before) = &before {
            assert_eq!(&ask(address, start, &questions()), before, "after the restart in {zone}");
        }
        sent += send(address);
        let answers = ask(address, start, &questions());
        assert_eq!(answers.len(), DIMENSIONS.len() + INTERVALS.len());
        for answer in &answers {
            assert_eq!(sum(answer), sent, "{zone}: {answer:#}");
            for (label, figures) in groups(answer) {
                for inner in figures["aggregations"].as_array().into_iter().flatten() {
                    assert_eq!(Some(sum(inner)), figures["count"].as_u64(), "{zone}: {label}");
                }
            }
        }
        for (interval, answer) in INTERVALS.iter().zip(&answers[DIMENSIONS.len()..]) {
            for (label, _) in groups(answer) {
                let bucket: Timestamp = label.parse().unwrap();
                assert_eq!(bucket.as_second() % (interval * 60), 0, "{zone}: {label} for {interval} minutes");
                assert!(label.ends_with('Z'), "{label}");
            }
        }
        before = Some(answers);
        program.signal("TERM");
        assert!(program.ended().success(), "{}", program.stderr());
    }
}
