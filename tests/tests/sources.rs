//! The ways of asking that callers already have: curl, Node, orchestrators and the analytics query, pointed at the
//! gateway.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use lifesigns_tests::client::{Request, get};
use lifesigns_tests::program::Program;
use lifesigns_tests::tools;
use lifesigns_tests::upstream::Upstream;
use serde_json::{Value, json};
use tempfile::TempDir;

const SERVICES: [&str; 6] = ["user", "checkout", "developer", "invoice", "payment", "recurring"];
/// `ls_example`
const TOKEN_HASH: &str = "sha256:46d8b15193463ff89a576355ef593e94b065982972f5de8246e650d4c3fe479f";

/// One gateway in front of six services, each under its own path.
struct World {
    _program: Program,
    folder: TempDir,
    upstream: Upstream,
    base: String,
}

impl World {
    fn start() -> World {
        let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
        let head = format!(
            "name = \"gateway\"\nenvironment = \"sandbox-uk\"\n[gateway]\nlisten = \"127.0.0.1:0\"\n\
             [store]\npath = \"memory\"\n[[token]]\nname = \"analyst\"\nhash = \"{TOKEN_HASH}\"\n\
             scopes = [\"analytics:read\"]\n"
        );
        let apis = SERVICES.map(|service| {
            format!(
                "[[api]]\nname = \"{service}-service\"\nversion = \"665885\"\nupstream = \"http://{}\"\n\
                 path = \"/{service}\"\n[api.identity]\nversion = \"1.0.0\"\n",
                upstream.address()
            )
        });
        let config = head + &apis.concat();
        let file = folder.path().join("lifesigns.toml");
        fs::write(&file, config).unwrap();
        let program = Program::start(&["run", "--config", file.to_str().unwrap()]);
        let base = format!("http://{}", program.listening("gateway"));
        World { _program: program, folder, upstream, base }
    }

    fn address(&self) -> std::net::SocketAddr {
        self.base.trim_start_matches("http://").parse().unwrap()
    }
}

fn output(command: &mut Command) -> (bool, String) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let success = output.status.success();
    assert!(success || text.len() < 100_000, "{}", String::from_utf8_lossy(&output.stderr));
    (success, text)
}

fn curl(arguments: &[&str]) -> String {
    let (success, text) = output(Command::new("curl").args(["-s", "--max-time", "20"]).args(arguments));
    assert!(success, "curl {arguments:?}: {text}");
    text
}

#[test]
fn curl_checks_a_service() {
    let world = World::start();
    for service in SERVICES {
        let url = format!("{}/{service}/status", world.base);
        let body: Value = serde_json::from_str(&curl(&["-X", "GET", &url])).unwrap();
        assert_eq!(body["status"], "healthy");
        assert_eq!(body["service"], format!("{service}-service"));
        assert_eq!(body["version"], "1.0.0");
        assert_eq!(body["environment"], "sandbox-uk");
        assert!(
            body["uptime"].is_u64() && body["memory"]["used"].is_u64() && body["memory"]["total"].is_u64()
        );
        let with_origin: Value =
            serde_json::from_str(&curl(&["-H", "Origin: https://your-domain.example", &url])).unwrap();
        assert_eq!((&with_origin["status"], &with_origin["service"]), (&body["status"], &body["service"]));
    }
    assert_eq!(world.upstream.requests(), 0, "health resources never reach an upstream");
}

#[test]
fn curl_reads_the_traffic_light_by_its_code() {
    let world = World::start();
    let url = format!("{}/payment/health/status", world.base);
    assert_eq!(curl(&["-I", "-o", "/dev/null", "-w", "%{http_code}", &url]), "200");
    let head = curl(&["-I", &url]).to_lowercase();
    assert!(
        head.starts_with("http/1.1 200 ok\r\n") && head.contains("content-type: application/json"),
        "{head}"
    );
    let body: Value = serde_json::from_str(&curl(&[&url])).unwrap();
    assert_eq!(body["summary"]["status"], "GREEN");
    assert_eq!(body["detail"]["environment"], "sandbox-uk");
    assert!(body["detail"]["requestId"].as_str().is_some_and(|id| !id.is_empty()));
    for code in ["200", "400", "401", "405", "429", "500", "502", "503"] {
        let forced = format!("{url}/{code}");
        assert_eq!(curl(&["-I", "-o", "/dev/null", "-w", "%{http_code}", &forced]), code);
        assert_eq!(curl(&["-o", "/dev/null", "-w", "%{http_code}", &forced]), code);
    }
    assert!(curl(&["-I", &format!("{url}/503")]).to_lowercase().contains("\r\nretry-after: "));
    assert!(curl(&["-I", &format!("{url}/502")]).to_lowercase().contains("content-type: text/html"));
}

#[test]
fn curl_negotiates_form_and_encoding() {
    let world = World::start();
    let url = format!("{}/user/health/status", world.base);
    for (accept, start) in [
        ("application/json", "{\"summary\""),
        ("text/html", "<!doctype html>"),
        ("text/plain", "status: GREEN"),
        ("text/xml", "<?xml"),
    ] {
        let text = curl(&["-H", &format!("Accept: {accept}"), &url]);
        assert!(text.starts_with(start), "{accept}: {text}");
    }
    for encoding in ["gzip", "deflate", "gzip, deflate"] {
        let header = format!("Accept-Encoding: {encoding}");
        let text = curl(&["--compressed", "-H", &header, &url]);
        assert!(text.starts_with("{\"summary\""), "{encoding}: {text}");
        let head = curl(&["-I", "-H", &header, &url]).to_lowercase();
        assert!(head.contains("\r\ncontent-encoding: "), "{head}");
    }
    assert!(!curl(&["-I", &url]).to_lowercase().contains("content-encoding"));
}

#[test]
fn containers_and_orchestrators_probe() {
    let world = World::start();
    let health_check = |path: &str| {
        let command = format!("curl -f -s -o /dev/null {}{path} || exit 1", world.base);
        output(Command::new("sh").args(["-c", &command])).0
    };
    assert!(health_check("/user/status") && health_check("/user/livez"));
    assert!(!health_check("/user/health/status/503"));
    for path in ["/user/status", "/user/livez", "/user/readyz", "/user/startupz", "/livez", "/readyz"] {
        let probe = Request::get(path)
            .header("User-Agent", "kube-probe/1.31")
            .header("Accept", "*/*")
            .header("Connection", "close");
        assert!((200..400).contains(&probe.send(world.address()).status), "{path}");
    }
}

/// Asks all six services at once and prints what came back, with whatever client `ask` is.
fn node_checker(world: &World, imports: &str, ask: &str) -> String {
    format!(
        "{imports}\nconst base = '{}';\nconst names = {};\n\
         const ask = {ask};\n\
         const settled = await Promise.allSettled(names.map((name) => ask(`${{base}}/${{name}}/status`)));\n\
         settled.forEach((one, index) => {{\n\
           if (one.status === 'rejected') {{ console.log(`${{names[index]}} failed: ${{one.reason}}`); return; }}\n\
           const {{ status, uptime, memory, environment }} = one.value;\n\
           console.log([names[index], status, Number.isInteger(uptime), memory.used <= memory.total, environment].join(' '));\n\
         }});\n",
        world.base,
        json!(SERVICES)
    )
}

fn assert_checked_by_node(folder: &Path, script: &str) {
    let file = folder.join("check.mjs");
    fs::write(&file, script).unwrap();
    let (success, text) = output(Command::new("node").arg(&file).env_remove("NODE_OPTIONS"));
    let expected = SERVICES.map(|service| format!("{service} healthy true true sandbox-uk"));
    assert!(success && text.lines().eq(expected.iter()), "{text}");
}

#[test]
fn node_fetches_all_services_at_once() {
    let (world, folder) = (World::start(), tempfile::tempdir().unwrap());
    let ask = "(url) => fetch(url).then((response) => response.json())";
    assert_checked_by_node(folder.path(), &node_checker(&world, "", ask));
}

#[test]
fn node_asks_all_services_with_axios() {
    let world = World::start();
    let folder = tools::node();
    let ask = "(url) => axios.get(url).then((response) => response.data)";
    let script = node_checker(&world, "import axios from 'axios';", ask);
    assert_checked_by_node(&folder, &script);
    // axios rejects what is not 2xx; that is how its users learn of red and amber.
    let failing = format!(
        "import axios from 'axios';\nconst codes = [];\nfor (const code of [200, 429, 500, 503]) {{\n\
         await axios.head(`{}/user/health/status/${{code}}`).then((r) => codes.push(r.status), (e) => codes.push(-e.response.status));\n\
         }}\nconsole.log(codes.join(' '));\n",
        world.base
    );
    let file = folder.join("codes.mjs");
    fs::write(&file, failing).unwrap();
    assert_eq!(output(Command::new("node").arg(&file)), (true, "200 -429 -500 -503\n".to_owned()));
}

#[test]
fn the_analytics_query_counts_by_hour_and_status() {
    let world = World::start();
    let address = world.address();
    for (path, times) in [
        ("/invoice/bytes/10", 3),
        ("/invoice/status/404", 2),
        ("/invoice/status/500", 1),
        ("/user/bytes/1", 4),
    ] {
        for _ in 0..times {
            get(address, path);
        }
    }
    let now = jiff::Timestamp::now();
    let start = now - jiff::SignedDuration::from_hours(1);
    let body = json!({
        "type": "enriched-http-event",
        "aggregators": [{"time_interval": 60, "aggregators": [{"dimension": "status_code"}]}],
        "duration": "1440m",
        "filters": [{"or": [{"equals": {"api_version_id": 665_885}}]}, {"or": [{"equals": {"api_id": "invoice-service"}}]}],
        "start_time": format!("{start:.3}"),
        "include_policy_violation": true
    });
    let file = world.folder.path().join("query.json");
    fs::write(&file, body.to_string()).unwrap();
    let url = format!("{}/analytics/1.0/9013a01d871/environments/sandbox-uk/query", world.base);
    let data = format!("@{}", file.display());
    let answer = curl(&[
        "--location",
        &url,
        "--header",
        "Content-Type: application/json",
        "--header",
        "Authorization: Bearer ls_example",
        "--header",
        "Cookie: XSRF-TOKEN=1cCSBtJr; _csrf=Hw_yIxrZSxN0d8S",
        "--data",
        &data,
    ]);
    let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
    assert_eq!((&answer["success"], &answer["error"]), (&json!(true), &Value::Null));
    let mut counts = std::collections::BTreeMap::new();
    for bucket in answer["response"][0]["time_series_60m"].as_array().unwrap() {
        for (start, group) in bucket.as_object().unwrap() {
            assert!(start.ends_with(":00:00.000Z"), "{start}");
            let mut sum = 0;
            for status in group["aggregations"][0]["status_code"].as_array().unwrap() {
                for (code, figures) in status.as_object().unwrap() {
                    let count = figures["count"].as_u64().unwrap();
                    *counts.entry(code.clone()).or_insert(0) += count;
                    sum += count;
                }
            }
            assert_eq!(group["count"], sum);
        }
    }
    assert_eq!(
        counts,
        [("200", 3), ("404", 2), ("500", 1)].map(|(code, count)| (code.to_owned(), count)).into()
    );
    let unauthorized = Request::post_json("/analytics/1.0/o/environments/e/query", &body).send(address);
    assert_eq!(unauthorized.status, 401);
}
