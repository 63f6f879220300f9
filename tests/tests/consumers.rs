//! Programs that others wrote take the answers: grpcio, the blackbox exporter, HAProxy, curl, and consumers that read
//! as Spring's and the health+json draft's do.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lifesigns_tests::client::{Connection, Request, get};
use lifesigns_tests::program::{Program, free_address, workspace};
use lifesigns_tests::upstream::Upstream;
use lifesigns_tests::wait;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Debian's own: its modules are the ones that are installed.
const PYTHON: &str = "/usr/bin/python3";

/// A gateway in front of the API `polls`.
struct World {
    program: Program,
    address: SocketAddr,
    grpc: SocketAddr,
    _upstream: Upstream,
    folder: TempDir,
}

impl World {
    fn start() -> World {
        World::start_at("127.0.0.1:0".parse().unwrap())
    }

    fn start_at(listen: SocketAddr) -> World {
        let upstream = Upstream::start();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lifesigns.toml");
        let text = format!(
            "[gateway]\nlisten = \"{listen}\"\ngrpc_listen = \"127.0.0.1:0\"\ndrain_delay_seconds = 8\n\
             [store]\npath = \"memory\"\n\
             [verdict]\nwindow_seconds = 20\nminimum_exchanges = 5\n\
             [[api]]\nname = \"polls\"\nupstream = \"http://{}\"\n",
            upstream.address()
        );
        fs::write(&file, text).unwrap();
        let program = Program::start(&["run", "--config", file.to_str().unwrap()]);
        let (address, grpc) = (program.listening("gateway"), program.listening("grpc"));
        let world = World { program, address, grpc, _upstream: upstream, folder };
        world.await_light(200);
        world
    }

    /// Has the API fail until its light is red.
    fn turn_red(&self) {
        self.send(5, 500);
        self.await_light(500);
    }

    /// Has it answer well until failures are a small share, and its light is green again.
    fn turn_green(&self) {
        self.send(600, 200);
        self.await_light(200);
    }

    fn send(&self, exchanges: usize, status: u16) {
        let mut connection = Connection::open(self.address).unwrap();
        let request = Request::get(&format!("/status/{status}"));
        for _ in 0..exchanges {
            assert_eq!(connection.exchange(&request).unwrap().status, status);
        }
    }

    fn await_light(&self, status: u16) {
        let what = format!("{status} from /health/status");
        wait::until(&what, || (get(self.address, "/health/status").status == status).then_some(()));
    }

    fn drain(&self) {
        self.program.signal("TERM");
        wait::until("readiness to fail", || (get(self.address, "/readyz").status == 503).then_some(()));
    }

    fn grpcio(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PYTHON);
        command.arg(fixture("ask_grpc.py")).arg(self.grpc.to_string()).args(arguments);
        command
    }

    /// What grpcio prints when it is asked this.
    fn grpcio_says(&self, arguments: &[&str]) -> String {
        printed(&mut self.grpcio(arguments))
    }
}

fn fixture(name: &str) -> std::path::PathBuf {
    workspace().join("tests/fixtures/consumers").join(name)
}

/// What a program prints that ends well.
fn printed(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{complaint}", output.status);
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A program that runs beside the test. Killed when dropped.
struct Running {
    child: Child,
    log: std::path::PathBuf,
}

impl Running {
    /// Starts it with its output in a file of this folder.
    fn start(mut command: Command, folder: &Path) -> Running {
        let log = folder.join("output.log");
        let file = File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Running { child, log }
    }

    fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it has printed these lines and no others.
    fn await_lines(&self, expected: &[&str]) {
        let explain = || format!("waited for {expected:?}, but there is:\n{}", self.output());
        wait::until_or(explain, || self.output().lines().eq(expected.iter().copied()).then_some(()));
    }

    /// Waits until the last line that it has printed is this one.
    fn await_last_line(&self, expected: &str) {
        let explain = || format!("waited for {expected}, but there is:\n{}", self.output());
        wait::until_or(explain, || (self.output().lines().last() == Some(expected)).then_some(()));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn grpcio_checks_lists_and_watches() {
    let mut world = World::start();
    assert_eq!(world.grpcio_says(&["check", ""]), "SERVING");
    assert_eq!(world.grpcio_says(&["check", "polls"]), "SERVING");
    assert_eq!(world.grpcio_says(&["check", "votes"]), "NOT_FOUND");
    assert_eq!(world.grpcio_says(&["list"]), "=SERVING polls=SERVING");
    let folder = tempfile::tempdir().unwrap();
    let watch = |service: &str| {
        let folder = folder.path().join(format!("watch-{service}"));
        fs::create_dir(&folder).unwrap();
        Running::start(world.grpcio(&["watch", service]), &folder)
    };
    let [polls, process, nobody] = ["polls", "", "votes"].map(watch);
    polls.await_lines(&["SERVING"]);
    process.await_lines(&["SERVING"]);
    nobody.await_lines(&["SERVICE_UNKNOWN"]);

    world.turn_red();
    polls.await_lines(&["SERVING", "NOT_SERVING"]);
    assert_eq!(world.grpcio_says(&["check", "polls"]), "NOT_SERVING");
    assert_eq!(world.grpcio_says(&["list"]), "=SERVING polls=NOT_SERVING");
    world.turn_green();
    polls.await_lines(&["SERVING", "NOT_SERVING", "SERVING"]);

    world.drain();
    polls.await_lines(&["SERVING", "NOT_SERVING", "SERVING", "NOT_SERVING"]);
    assert_eq!(world.grpcio_says(&["check", ""]), "NOT_SERVING");
    assert!(world.program.ended().success(), "{}", world.program.stderr());
    polls.await_lines(&["SERVING", "NOT_SERVING", "SERVING", "NOT_SERVING", "UNAVAILABLE"]);
    process.await_lines(&["SERVING", "NOT_SERVING", "UNAVAILABLE"]);
    nobody.await_lines(&["SERVICE_UNKNOWN", "UNAVAILABLE"]);
}

/// A channel of gRPC that checks the health of whom it talks to by itself.
#[test]
fn a_channel_of_grpc_keeps_away_from_what_is_red() {
    let world = World::start();
    let folder = tempfile::tempdir().unwrap();
    let channel = Running::start(world.grpcio(&["connect", "polls"]), folder.path());
    channel.await_last_line("READY");
    world.turn_red();
    wait::until_or(|| channel.output(), || (channel.output().lines().last() != Some("READY")).then_some(()));
    world.turn_green();
    channel.await_last_line("READY");
}

#[test]
fn the_blackbox_exporter_probes() {
    let world = World::start();
    let folder = world.folder.path();
    let modules = json!({"modules": {
        "http": {"prober": "http", "timeout": "5s", "http": {"preferred_ip_protocol": "ip4"}},
        "body": {"prober": "http", "timeout": "5s", "http": {
            "preferred_ip_protocol": "ip4",
            "headers": {"Accept": "application/health+json"},
            "valid_status_codes": [200, 500, 503],
            "fail_if_header_not_matches": [{"header": "Content-Type", "regexp": "^application/health\\+json"}],
            "fail_if_body_not_matches_regexp": ["^[{]\"status\":\\s*\"pass\""]}},
        "grpc": {"prober": "grpc", "timeout": "5s", "grpc": {"preferred_ip_protocol": "ip4", "service": "polls"}},
        "grpc_process": {"prober": "grpc", "timeout": "5s", "grpc": {"preferred_ip_protocol": "ip4"}},
    }});
    let config = folder.join("blackbox.json");
    fs::write(&config, modules.to_string()).unwrap();
    let address = free_address();
    let mut command = Command::new("prometheus-blackbox-exporter");
    command.arg("--config.file").arg(&config).arg(format!("--web.listen-address={address}"));
    let exporter = Running::start(command, folder);
    wait::until_or(|| exporter.output(), || Request::get("/-/healthy").try_send(address).ok());

    let probe = |module: &str, target: &str| {
        let answer = get(address, &format!("/probe?module={module}&target={target}"));
        let text = answer.text().to_owned();
        let success = text.lines().find_map(|line| line.strip_prefix("probe_success "));
        match success {
            Some("1") => true,
            Some("0") => false,
            other => panic!("{module} {target}: {other:?} in {text}"),
        }
    };
    let http = |path: &str| probe("http", &format!("http://{}{path}", world.address));
    let all = || {
        let body = probe("body", &format!("http://{}/health", world.address));
        let grpc = world.grpc.to_string();
        [
            http("/health/status"),
            http("/readyz"),
            http("/health"),
            body,
            probe("grpc", &grpc),
            probe("grpc_process", &grpc),
        ]
    };
    assert_eq!(all(), [true; 6]);
    assert!(http("/livez"));
    world.turn_red();
    assert_eq!(all(), [false, false, false, false, false, true]);
    assert!(http("/livez"), "liveness never fails because of traffic");
    world.turn_green();
    assert_eq!(all(), [true; 6]);
    world.drain();
    assert!(!http("/readyz"));
    assert!(!probe("grpc", &world.grpc.to_string()));
    assert!(!probe("grpc_process", &world.grpc.to_string()));
    assert!(http("/livez"));
}

/// What HAProxy thinks of the gateway, in each way of asking it.
struct Haproxy {
    running: Running,
    socket: std::path::PathBuf,
}

const BACKENDS: [(&str, &str); 5] = [
    ("readyz", "option httpchk GET /readyz"),
    ("light", "option httpchk HEAD /health/status"),
    ("light_expected", "option httpchk GET /health/status\nhttp-check expect status 200"),
    ("health", "option httpchk GET /health\nhttp-check expect rstatus ^2"),
    (
        "health_body",
        "option httpchk\nhttp-check send meth GET uri /health ver HTTP/1.1 hdr Host test hdr Accept application/health+json\n\
         http-check expect ! rstring '^[{]\"status\": ?\"fail\"'",
    ),
];

impl Haproxy {
    fn start(server: SocketAddr, folder: &Path) -> Haproxy {
        let socket = folder.join("haproxy.sock");
        let config = format!(
            "global\nstats socket {} mode 600 level admin\n\
             defaults\nmode http\ntimeout connect 2s\ntimeout client 5s\ntimeout server 5s\ntimeout check 2s\n\
             frontend callers\nbind {}\ndefault_backend readyz\n",
            socket.display(),
            free_address()
        );
        let backends = BACKENDS.map(|(name, check)| {
            format!("backend {name}\n{check}\nserver gateway {server} check inter 100ms fall 2 rise 2\n")
        });
        let file = folder.join("haproxy.cfg");
        fs::write(&file, config + &backends.concat()).unwrap();
        let mut command = Command::new("/usr/sbin/haproxy");
        command.arg("-db").arg("-f").arg(&file);
        Haproxy { running: Running::start(command, folder), socket }
    }

    /// `UP` or `DOWN` for each way of asking; `None` until HAProxy can be asked itself.
    fn states(&self) -> Option<Vec<String>> {
        let mut stream = UnixStream::connect(&self.socket).ok()?;
        stream.write_all(b"show stat\n").unwrap();
        let mut table = String::new();
        stream.read_to_string(&mut table).unwrap();
        let mut rows = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let header = rows.next()?;
        let column =
            |name: &str| header.iter().position(|cell| cell.trim_start_matches("# ") == name).unwrap();
        let (backend, server, state) = (column("pxname"), column("svname"), column("status"));
        let rows: Vec<Vec<&str>> = rows.filter(|row| row.get(server) == Some(&"gateway")).collect();
        let of = |name: &str| rows.iter().find(|row| row[backend] == name).map(|row| row[state].to_owned());
        BACKENDS.iter().map(|(name, _)| of(name)).collect()
    }

    fn await_states(&self, expected: [&str; 5]) {
        let explain = || format!("waited for {expected:?}: {:?}\n{}", self.states(), self.running.output());
        wait::until_or(explain, || self.states().filter(|states| *states == expected).map(drop));
    }
}

#[test]
fn haproxy_takes_a_server_out_and_in_again() {
    let address = free_address();
    let mut world = World::start_at(address);
    let folder = tempfile::tempdir().unwrap();
    let haproxy = Haproxy::start(address, folder.path());
    haproxy.await_states(["UP"; 5]);
    world.turn_red();
    haproxy.await_states(["DOWN"; 5]);
    world.turn_green();
    haproxy.await_states(["UP"; 5]);
    world.drain();
    // Amber is degraded, and not failed: /health says so with a 200.
    haproxy.await_states(["DOWN", "DOWN", "DOWN", "UP", "UP"]);
    assert!(world.program.ended().success(), "{}", world.program.stderr());
    haproxy.await_states(["DOWN"; 5]);
    let _next = World::start_at(address);
    haproxy.await_states(["UP"; 5]);
}

/// As a kubelet does it: a connection of its own for each probe, a second's patience, 200 to 399 is success.
fn kubelet_probe(address: SocketAddr, path: &str) -> bool {
    let request = Request::get(path)
        .header("User-Agent", "kube-probe/1.30")
        .header("Accept", "*/*")
        .header("Connection", "close");
    let started = Instant::now();
    let answer = request.send(address);
    assert!(started.elapsed() < Duration::from_secs(1), "{path} took {:?}", started.elapsed());
    assert_eq!(answer.header("connection"), Some("close"), "{path}");
    (200..400).contains(&answer.status)
}

#[test]
fn a_kubelet_probes() {
    let world = World::start();
    let all = || {
        ["/livez", "/readyz", "/startupz", "/readyz?verbose"].map(|path| kubelet_probe(world.address, path))
    };
    let curl = || {
        let url = format!("http://{}/readyz", world.address);
        Command::new("curl")
            .args(["--fail", "--silent", "--output", "/dev/null", "--max-time", "1", &url])
            .status()
            .unwrap()
    };
    assert_eq!(all(), [true; 4]);
    assert!(curl().success());
    let verbose = get(world.address, "/readyz?verbose");
    let lines: Vec<&str> = verbose.text().lines().collect();
    let (last, checks) = lines.split_last().unwrap();
    assert_eq!(*last, "readyz check passed");
    assert!(
        !checks.is_empty() && checks.iter().all(|line| line.starts_with("[+]") && line.ends_with(" ok")),
        "{lines:?}"
    );

    world.turn_red();
    assert_eq!(all(), [true, false, true, false]);
    assert_eq!(curl().code(), Some(22), "curl's word for a status of 400 or more");
    let failing = get(world.address, "/readyz").text().to_owned();
    assert!(failing.lines().any(|line| line == "[-]traffic failed: reason withheld"), "{failing}");
    world.turn_green();
    assert_eq!(all(), [true; 4]);
    world.drain();
    assert_eq!(all(), [true, false, true, false]);
}

fn node(script: &str, address: SocketAddr) -> Value {
    let url = format!("http://{address}/health");
    let printed = printed(Command::new("node").arg(fixture(script)).arg(url));
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

#[test]
fn a_consumer_of_springs_actuator_reads_status_and_components() {
    let world = World::start();
    let info = node("actuator.mjs", world.address);
    assert_eq!(info["status"], "UP");
    assert_eq!(info["components"]["traffic"], "UP", "{info}");
    world.turn_red();
    let info = node("actuator.mjs", world.address);
    assert_eq!(info["status"], "DOWN");
    assert_eq!(info["components"]["traffic"], "DOWN", "{info}");
    world.turn_green();
    assert_eq!(node("actuator.mjs", world.address)["status"], "UP");
}

#[test]
fn a_consumer_of_health_json_reads_status_and_checks() {
    let world = World::start();
    let read = || node("health_json.mjs", world.address);
    let info = read();
    assert_eq!(info["status"], "pass");
    assert_eq!(info["checks"]["traffic:failures"], "pass", "{info}");
    world.turn_red();
    let info = read();
    assert_eq!(info["status"], "fail");
    assert_eq!(info["checks"]["traffic:failures"], "fail", "{info}");
    world.turn_green();
    assert_eq!(read()["status"], "pass");
    world.drain();
    assert_eq!(read()["status"], "warn");
}
