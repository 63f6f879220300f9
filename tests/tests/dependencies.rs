//! Real servers that an API depends on, behind the gateway: killed, paused, started again, asked with a wrong
//! password. The light, the reason for those who may see it, and the way back; strangers learn no address, no error
//! and no secret.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::fs;
use std::net::SocketAddr;

use lifesigns_tests::client::{Request, get};
use lifesigns_tests::program::Program;
use lifesigns_tests::servers::{Kind, Server, USER};
use lifesigns_tests::upstream::Upstream;
use lifesigns_tests::wait;
use serde_json::Value;
use tempfile::TempDir;

/// Opens what strangers do not see; its hash is in the configuration.
const TOKEN: &str = "ls_example";
const TOKEN_HASH: &str = "sha256:46d8b15193463ff89a576355ef593e94b065982972f5de8246e650d4c3fe479f";

/// The password of those who have it wrong.
const WRONG_PASSWORD: &str = "wr0ng-c4nary-p4ssword";

/// A gateway whose API needs one server.
struct Gateway {
    _program: Program,
    address: SocketAddr,
    /// What no stranger may read.
    hidden: Vec<String>,
    _upstream: Upstream,
    _folder: TempDir,
}

impl Gateway {
    fn start(kind: &str, server: &Server, password: &str, critical: bool) -> Gateway {
        let (upstream, folder) = (Upstream::start(), tempfile::tempdir().unwrap());
        let secret = folder.path().join("password");
        fs::write(&secret, password).unwrap();
        let url = server.url();
        let text = format!(
            "[gateway]\nlisten = \"127.0.0.1:0\"\n[store]\npath = \"memory\"\n\
             [[token]]\nname = \"test\"\nhash = \"{TOKEN_HASH}\"\nscopes = [\"health:details\"]\n\
             [[api]]\nname = \"orders\"\nupstream = \"http://{}\"\n\
             [[check]]\nname = \"the-dependency\"\ncritical = {critical}\ninterval_seconds = 1\ntimeout_seconds = 2\n\
             failure_threshold = 1\nrecovery_threshold = 1\n\
             [check.{kind}]\nurl = \"{url}\"\npassword_file = \"{}\"\n",
            upstream.address(),
            secret.display(),
        );
        let config = folder.path().join("lifesigns.toml");
        fs::write(&config, text).unwrap();
        let program = Program::start(&["run", "--config", config.to_str().unwrap()]);
        let address = program.listening("gateway");
        let hidden = vec![
            password.to_owned(),
            server.password().to_owned(),
            TOKEN.to_owned(),
            server.address().to_string(),
            server.address().port().to_string(),
            url,
            USER.to_owned() + "@",
            secret.display().to_string(),
        ];
        Gateway { _program: program, address, hidden, _upstream: upstream, _folder: folder }
    }

    /// What the check says to those who may see it.
    fn check(&self) -> Value {
        let request = Request::get("/health").bearer(TOKEN).header("Accept", "application/health+json");
        let body = request.send(self.address).json();
        body["checks"]["the-dependency:responseTime"][0].clone()
    }

    /// Waits until the light has this code and the check tells this about it.
    fn expect(&self, code: u16, word: &str) {
        let now = || (get(self.address, "/health/status").status, self.check());
        wait::until_or(
            || format!("{code} and {word}; it is {:?}", now()),
            || {
                let (found, check) = now();
                (found == code && check.to_string().contains(word)).then_some(())
            },
        );
        self.strangers_learn_nothing(code);
    }

    fn strangers_learn_nothing(&self, code: u16) {
        let targets = [
            "/status",
            "/health",
            "/health?dialect=health%2Bjson",
            "/health?dialect=actuator",
            "/health?dialect=microprofile",
            "/health?dialect=xabaril",
            "/health?dialect=text",
            "/health/status",
            "/livez?verbose",
            "/readyz",
            "/readyz?verbose",
            "/startupz?verbose",
            "/health/details",
            "/health/maintenance",
            "/metrics",
        ];
        let accepted = ["*/*", "text/html", "text/plain", "text/xml", "application/health+json"];
        for target in targets {
            for accept in accepted {
                let answer = Request::get(target).header("Accept", accept).send(self.address);
                let text = answer.text();
                for secret in &self.hidden {
                    assert!(!text.contains(secret), "{target} ({accept}, {code}) tells {secret}:\n{text}");
                }
                let lower = text.to_lowercase();
                for word in
                    ["refused", "os error", "authentication", "access denied", "broken pipe", "timed out"]
                {
                    assert!(!lower.contains(word), "{target} ({accept}, {code}) tells of an error:\n{text}");
                }
            }
        }
        // Whatever becomes of a dependency, a restart of the process does not mend it.
        assert_eq!(get(self.address, "/livez").status, 200);
        assert_eq!(get(self.address, "/readyz").status, if code == 500 { 503 } else { 200 });
        assert_eq!(get(self.address, "/status/200").status, 200, "the traffic goes on");
    }
}

/// Everything that can happen to a server, one thing after the other.
fn a_life(kind: Kind, table: &str) {
    let mut server = Server::start(kind);
    let gateway = Gateway::start(table, &server, server.password(), true);
    let lesser = Gateway::start(table, &server, server.password(), false);
    gateway.expect(200, "\"pass\"");
    lesser.expect(200, "\"pass\"");

    server.pause();
    gateway.expect(500, "timed_out");
    lesser.expect(503, "timed_out");
    server.resume();
    gateway.expect(200, "\"pass\"");
    lesser.expect(200, "\"pass\"");

    server.kill();
    gateway.expect(500, "unreachable");
    lesser.expect(503, "unreachable");
    let mistaken = Gateway::start(table, &server, WRONG_PASSWORD, true);
    server.restart();
    gateway.expect(200, "\"pass\"");
    lesser.expect(200, "\"pass\"");
    mistaken.expect(500, "denied");
}

#[test]
fn postgres() {
    a_life(Kind::Postgres, "postgres");
}

#[test]
fn mariadb() {
    a_life(Kind::MariaDb, "mysql");
}

#[test]
fn redis() {
    a_life(Kind::Redis, "redis");
}

#[test]
fn rabbitmq() {
    a_life(Kind::RabbitMq, "amqp");
}

#[test]
fn nats() {
    a_life(Kind::Nats, "nats");
}

#[test]
fn mosquitto() {
    a_life(Kind::Mosquitto, "mqtt");
}

#[test]
fn clickhouse() {
    a_life(Kind::ClickHouse, "clickhouse");
}

#[test]
fn what_a_command_has_started_ends_with_the_gateway() {
    let (upstream, folder) = (Upstream::start(), tempfile::tempdir().unwrap());
    let numbers = folder.path().join("numbers");
    let text = format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\n[store]\npath = \"memory\"\n\
         [[api]]\nname = \"orders\"\nupstream = \"http://{}\"\n\
         [[check]]\nname = \"slow\"\ntimeout_seconds = 300\n[check.command]\nprogram = \"/bin/sh\"\n\
         arguments = [\"-c\", \"/bin/sleep 300 & echo $$ $! > {}; wait\"]\n",
        upstream.address(),
        numbers.display(),
    );
    let config = folder.path().join("lifesigns.toml");
    fs::write(&config, text).unwrap();
    let mut program = Program::start(&["run", "--config", config.to_str().unwrap()]);
    let numbers = wait::until("the command to run", || {
        let text = fs::read_to_string(&numbers).ok().filter(|text| text.ends_with('\n'))?;
        Some(text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    });
    assert_eq!(numbers.len(), 2);
    program.signal("TERM");
    assert!(program.ended().success());
    // What has ended and is not yet buried by its parent has no memory map any more.
    let runs = |number: &String| {
        fs::read_to_string(format!("/proc/{number}/cmdline")).is_ok_and(|it| !it.is_empty())
    };
    wait::until("the command to end", || (!numbers.iter().any(runs)).then_some(()));
}
