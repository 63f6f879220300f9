//! `lifesigns query` gives the answers of the resource: from a gateway, from its file while it runs, and afterwards.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lifesigns_tests::client::{Request, get};
use lifesigns_tests::program::{Program, binary, free_address};
use lifesigns_tests::upstream::Upstream;
use serde_json::{Value, json};

const TOKEN: &str = "ls_example";
/// That of the token.
const TOKEN_HASH: &str = "sha256:46d8b15193463ff89a576355ef593e94b065982972f5de8246e650d4c3fe479f";

/// A gateway that has counted something.
struct World {
    gateway: Program,
    address: SocketAddr,
    data: PathBuf,
    folder: tempfile::TempDir,
    _upstream: Upstream,
}

impl World {
    fn start() -> World {
        let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
        let (url, data) = (format!("http://{}", upstream.address()), folder.path().join("lifesigns.db"));
        let arguments = [
            "gateway",
            "--upstream",
            &url,
            "--listen",
            "127.0.0.1:0",
            "--data",
            data.to_str().unwrap(),
            "--name",
            "polls",
        ];
        let gateway = Program::start_with(&arguments, |command| {
            command.env("LIFESIGNS_TOKEN_HASH", TOKEN_HASH);
        });
        let address = gateway.listening("gateway");
        for (path, times) in [("/bytes/500", 7), ("/status/404", 4), ("/status/503", 2)] {
            for _ in 0..times {
                get(address, path);
            }
        }
        let hostile = Request::new("DELETE", "/status/204").header("X-Client-Id", "=cmd|x");
        assert_eq!(hostile.send(address).status, 204);
        World { gateway, address, data, folder, _upstream: upstream }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the resource itself says.
    fn resource(&self, query: &Value) -> Value {
        let answer = Request::post_json("/analytics/1.0/o/environments/e/query", query).bearer(TOKEN);
        let answer = answer.send(self.address);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }
}

fn query(arguments: &[&str]) -> Output {
    query_with_token(arguments, TOKEN)
}

fn query_with_token(arguments: &[&str], token: &str) -> Output {
    let mut command = Command::new(binary());
    command.arg("query").args(arguments).env_clear().env("LIFESIGNS_TOKEN", token).stdin(Stdio::null());
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn found(arguments: &[&str]) -> Value {
    let output = query(&[arguments, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Ends with this code, prints nothing but a message, and says this in it.
fn fails(output: &Output, code: i32, message: &str) {
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!((output.status.code(), stdout), (Some(code), ""), "{stderr}");
    assert!(stderr.starts_with("error: ") && stderr.contains(message), "{stderr}");
    assert!(!stderr.contains(TOKEN), "the token is nobody's business: {stderr}");
}

/// Name and content of everything in a folder.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn a_gateway_its_file_and_its_file_afterwards_give_the_answers_of_the_resource() {
    let mut world = World::start();
    let (url, data) = (world.url(), world.data.to_str().unwrap().to_owned());
    // A window that ends now would make the answers differ by the clock alone.
    let start = "2026-01-01T00:00:00Z";
    let window = ["--from", start, "--last", "1800d"];
    let short: [&[&str]; 4] = [
        &["--by", "status_code,method", "--latency"],
        &["--every", "1h", "--by", "client_id", "--by", "failed_by", "--sizes", "--limit", "1"],
        &["--every", "1d", "--order", "descending", "--api", "polls", "--where", "status_code=404,500..599"],
        &["--by", "resource_path", "--where", "method!=DELETE", "--without-policy-violations"],
    ];
    let dimension = |name: &str| json!({"dimension": name});
    let sized =
        |name: &str| json!({"dimension": name, "limit": 1, "metrics": ["request_size", "response_size"]});
    let long = [
        json!({"aggregators": [{"dimension": "status_code", "metrics": ["latency"],
            "aggregators": [{"dimension": "method", "metrics": ["latency"]}]}]}),
        json!({"aggregators": [{"time_interval": 60, "metrics": ["request_size", "response_size"],
            "aggregators": [sized("client_id"), sized("failed_by")]}]}),
        json!({"aggregators": [{"time_interval": 1440, "order": "descending"}],
            "filters": [{"or": [{"equals": {"api_id": "polls"}}]},
                {"or": [{"equals": {"status_code": 404}}, {"range": {"status_code": {"from": 500, "to": 599}}}]}]}),
        json!({"aggregators": [dimension("resource_path")], "include_policy_violation": false,
            "filters": [{"or": [{"not": {"method": "DELETE"}}]}]}),
    ];
    let mut expected = Vec::new();
    for (short, mut long) in short.iter().zip(long) {
        long["start_time"] = json!(start);
        long["duration"] = json!("1800d");
        let answer = world.resource(&long);
        let arguments = [*short, &window, &["--url", &url]].concat();
        assert_eq!(found(&arguments), answer, "{short:?}");
        let file = world.folder.path().join("query.json");
        fs::write(&file, long.to_string()).unwrap();
        assert_eq!(found(&["--query", file.to_str().unwrap(), "--url", &url]), answer, "{long}");
        expected.push((*short, answer));
    }
    assert_eq!(expected[0].1["response"][0]["status_code"][0]["200"]["count"], 7);

    // The resource has waited until everything was in the file.
    for (short, answer) in &expected {
        assert_eq!(found(&[*short, &window, &["--file", &data]].concat()), *answer, "{short:?}");
    }
    world.gateway.signal("TERM");
    assert!(world.gateway.ended().success());
    let before = fs::read(&world.data).unwrap();
    for (short, answer) in &expected {
        assert_eq!(found(&[*short, &window, &["--file", &data]].concat()), *answer, "{short:?}");
    }
    assert!(fs::read(&world.data).unwrap() == before, "the file has been changed");
}

#[test]
fn figures_are_shown_as_a_table_and_as_rows_that_are_no_formulas() {
    let world = World::start();
    let url = world.url();
    let table = query(&["--url", &url, "--by", "status_code,method"]);
    assert_eq!(table.status.code(), Some(0), "{}", text(&table.stderr));
    let lines: Vec<&str> = text(&table.stdout).lines().collect();
    assert!(lines[0].ends_with(" UTC"), "{lines:?}");
    let words: Vec<Vec<&str>> = lines[2..].iter().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["status_code", "method", "count", "share"]);
    assert_eq!(words[1][..4], ["200", "7", "50.0", "%"]);
    assert_eq!(words[2][..4], ["GET", "7", "50.0", "%"]);
    assert_eq!(words.last().unwrap()[..], ["total", "14", "100.0", "%"]);
    assert!(table.stdout.is_ascii(), "no terminal, no blocks: {lines:?}");

    let rows = query(&["--url", &url, "--by", "client_id,status_code", "--csv"]);
    assert_eq!(rows.status.code(), Some(0));
    let expected =
        "client_id,status_code,count\r\n_na_,200,7\r\n_na_,404,4\r\n_na_,503,2\r\n\"'=cmd|x\",204,1\r\n";
    assert_eq!(text(&rows.stdout), expected);
}

#[test]
fn a_gateway_that_refuses_or_is_not_there_is_told_with_a_way_out() {
    let world = World::start();
    let url = world.url();
    fails(&query_with_token(&["--url", &url], "ls_other"), 1, "hint: the token in LIFESIGNS_TOKEN");
    fails(&query_with_token(&["--url", &url], ""), 1, "hint: put the token into LIFESIGNS_TOKEN");
    let token = world.folder.path().join("token");
    fs::write(&token, format!("{TOKEN}\n")).unwrap();
    let token = token.to_str().unwrap();
    let output = query_with_token(&["--url", &url, "--token-file", token], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    fails(&query(&["--url", &format!("http://{}", free_address())]), 1, "--url says where");
    fails(&query(&["--url", &format!("{url}/status/200")]), 1, "not as the analytics query does");

    let output = query(&["--url", &url, "--where", "status_code=599"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
    assert!(text(&output.stderr).starts_with("nothing was counted in "), "{}", text(&output.stderr));
}

#[test]
fn a_file_that_cannot_be_read_is_told_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("text.db"), "this is no database\n".repeat(1000)).unwrap();
    fs::write(path("empty.db"), "").unwrap();
    let sqlite = |name: &str, sql: &str| {
        let made = Command::new("sqlite3").args([&path(name), sql]).output().expect("sqlite3 is installed");
        assert!(made.status.success(), "{}", text(&made.stderr));
    };
    sqlite("newer.db", "PRAGMA application_id = 0x4c696665; PRAGMA user_version = 999; CREATE TABLE a (b);");
    sqlite("other.db", "CREATE TABLE a (b);");

    let mut world = World::start();
    world.resource(&json!({"aggregators": [{"dimension": "method"}]}));
    world.gateway.signal("TERM");
    assert!(world.gateway.ended().success());
    let mut damaged = fs::read(&world.data).unwrap();
    // All but the first page.
    damaged[8192..].fill(0x5a);
    fs::write(path("damaged.db"), damaged).unwrap();

    let before = contents(folder.path());
    for (name, message) in [
        ("none.db", "there is no data file"),
        ("text.db", "is no SQLite file"),
        ("empty.db", "nobody has begun to write it"),
        ("newer.db", "was written by a newer Lifesigns"),
        ("other.db", "of another program"),
    ] {
        fails(&query(&["--file", &path(name)]), 1, message);
        assert!(contents(folder.path()) == before, "{name} or something beside it has been changed");
    }
    fails(&query(&["--file", &path("damaged.db")]), 1, "damaged.db is damaged");
    assert!(fs::read(path("damaged.db")).unwrap() == before["damaged.db"], "it has been changed");
}

#[test]
fn wrong_arguments_end_with_2_and_name_the_flag() {
    for (arguments, message) in [
        (
            &["--by", "status_cod"][..],
            "--by status_cod: \"status_cod\" is not known here; did you mean `status_code`?",
        ),
        (&["--where", "status=5"], "--where status=5: no such dimension"),
        (&["--every", "1h", "--last", "1w"], "--last 1w: must be a whole number"),
        (&["--by", "method", "--limit", "0"], "--limit 0: must be a whole number of groups from 1 to 10000"),
        (&["--from", "yesterday"], "--from yesterday: is no time"),
        (&["--url", "https://127.0.0.1"], "--url: TLS is not spoken here"),
        (&["--query", "-"], "standard input is no JSON"),
    ] {
        fails(&query(arguments), 2, message);
    }
    let both = query(&["--url", "http://127.0.0.1:1", "--file", "x.db"]);
    assert_eq!(both.status.code(), Some(2), "{}", text(&both.stderr));
}
