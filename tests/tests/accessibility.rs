//! The pages, as Debian's Chromium shows them and axe-core judges them: light and dark, wide and narrow, with figures
//! and without.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]
#![allow(clippy::print_stdout, reason = "what is not serious is shown")]

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use lifesigns_tests::client::{Connection, Request};
use lifesigns_tests::program::{Program, workspace};
use lifesigns_tests::tools;
use lifesigns_tests::upstream::Upstream;
use lifesigns_tests::wait;
use serde_json::{Value, json};
use tempfile::TempDir;

const TOKEN: &str = "ls_example";
const TOKEN_HASH: &str = "sha256:46d8b15193463ff89a576355ef593e94b065982972f5de8246e650d4c3fe479f";

/// An API with an objective, and with one check that passes and one that does not.
struct World {
    _program: Program,
    folder: TempDir,
    _upstream: Upstream,
    address: SocketAddr,
}

impl World {
    fn start() -> World {
        let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
        let file = folder.path().join("lifesigns.toml");
        let text = format!(
            "[gateway]\nlisten = \"127.0.0.1:0\"\n[store]\npath = \"memory\"\n\
             [[token]]\nname = \"reader\"\nhash = \"{TOKEN_HASH}\"\nscopes = [\"analytics:read\", \"health:details\"]\n\
             [[api]]\nname = \"polls & <friends>\"\nupstream = \"http://{address}\"\n[api.objective]\ngood_share = 0.99\n\
             [[check]]\nname = \"upstream\"\ninterval_seconds = 1\n[check.tcp]\naddress = \"{address}\"\n\
             [[check]]\nname = \"leftover\"\ninterval_seconds = 1\nfailure_threshold = 1\n[check.file]\npath = \"nowhere\"\n",
            address = upstream.address()
        );
        fs::write(&file, text).unwrap();
        let program = Program::start(&["run", "--config", file.to_str().unwrap()]);
        let address = program.listening("gateway");
        World { _program: program, folder, _upstream: upstream, address }
    }

    /// Requests of all sorts, by several apps.
    fn send(&self) {
        let mut connection = Connection::open(self.address).unwrap();
        for round in 0..30 {
            for path in ["/status/200", "/status/404", "/bytes/5000", "/slow/1", "/status/500"] {
                let app = ["reports", "a-rather-long-name-of-an-app-that-goes-on", "<b>"][round % 3];
                connection.exchange(&Request::get(path).header("X-Client-Id", app)).unwrap();
            }
        }
        wait::until("the checks in the details", || {
            let answer = Request::get("/health/details").bearer(TOKEN).send(self.address).json();
            answer["checks"].as_array().unwrap().iter().all(|check| check["last"].is_object()).then_some(())
        });
    }

    /// Looks at pages in all ways. Returns what was seen of each.
    fn look(&self, paths: &[&str]) -> Vec<Value> {
        let urls: Vec<String> = paths.iter().map(|path| format!("http://{}{path}", self.address)).collect();
        let question = json!({"modules": tools::node(), "token": TOKEN, "urls": urls});
        let file = self.folder.path().join("question.json");
        fs::write(&file, question.to_string()).unwrap();
        let mut node = Command::new("node");
        // What the browser leaves behind goes with the folder.
        node.arg(workspace().join("tests/node/pages.mjs")).arg(&file).env("TMPDIR", self.folder.path());
        let output = node.env_remove("NODE_OPTIONS").stdin(Stdio::null()).output().unwrap();
        let seen = serde_json::from_slice(&output.stdout);
        seen.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    fn check(&self, paths: &[&str]) {
        let seen = self.look(paths);
        assert_eq!(seen.len(), paths.len() * 4, "wide and narrow, light and dark");
        for page in seen {
            let what = format!("{} {} {}", page["url"], page["size"], page["colorScheme"]);
            let violations = page["violations"].as_array().unwrap();
            let is_bad = |found: &&Value| matches!(found["impact"].as_str(), Some("serious" | "critical"));
            let bad: Vec<&Value> = violations.iter().filter(is_bad).collect();
            assert!(bad.is_empty(), "{what}: {bad:#?}");
            if !violations.is_empty() {
                println!("{what}: {violations:#?}");
            }
            assert!(page["passes"].as_u64().unwrap() > 10, "{what}: axe-core has seen nothing");
            assert_eq!(page["requests"], json!([page["url"]]), "{what}: nothing is loaded besides the page");
            // That the page itself has the status that it has is no fault of it.
            let own = format!("the server responded with a status of {}", page["status"]);
            let complaints = page["complaints"].as_array().unwrap().iter();
            let complaints: Vec<&Value> =
                complaints.filter(|told| !told.as_str().unwrap().contains(&own)).collect();
            assert!(complaints.is_empty(), "{what}: {complaints:?}");
            assert!(page["wide"].as_i64().unwrap() <= 0, "{what}: it has to be scrolled sideways");
            let read = page["read"].as_str().unwrap();
            assert!(read.contains("polls & <friends>"), "{what}: {read}");
            let without = page["without"]["read"].as_str().unwrap();
            assert_eq!(lasting(without), lasting(read), "{what}: without scripts it is another page");
        }
    }
}

/// The words of a page that do not change from one request to the next: those without digits.
fn lasting(text: &str) -> Vec<&str> {
    let is_id = |word: &str| word.chars().any(|letter| letter.is_ascii_digit());
    text.split_whitespace().filter(|word| !is_id(word)).collect()
}

#[test]
fn the_details_can_be_read_by_everyone() {
    let world = World::start();
    world.send();
    world.check(&["/health/details", "/health/details?duration=30d"]);
}

#[test]
fn the_details_can_be_read_by_everyone_while_there_are_no_figures() {
    World::start().check(&["/health/details"]);
}

#[test]
fn the_traffic_light_can_be_read_by_everyone() {
    let world = World::start();
    world.check(&["/health/status", "/health/status/500", "/health/status/502", "/health/status/503"]);
}
