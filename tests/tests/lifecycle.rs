//! Ending and maintenance of the running gateway: what is under way is not lost, what hangs does not hold it, and what
//! an operator has announced survives a restart.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use lifesigns_tests::client::{Answer, Connection, Request, get};
use lifesigns_tests::program::{self, Program};
use lifesigns_tests::{upstream, wait};
use serde_json::json;
use tempfile::TempDir;

/// `ls_example`
const TOKEN_HASH: &str = "sha256:46d8b15193463ff89a576355ef593e94b065982972f5de8246e650d4c3fe479f";
const IN_FLIGHT: usize = 200;
/// Bytes before and after the wait in the middle of a body.
const HALF: usize = 30_000;

/// An upstream that stops in the middle of each body, or for `/head` before the head, until it is told to go on.
struct Slow {
    address: SocketAddr,
    waiting: Arc<AtomicUsize>,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl Slow {
    fn start() -> Slow {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let slow = Slow { address, waiting: Arc::default(), gate: Arc::default() };
        let (waiting, gate) = (slow.waiting.clone(), slow.gate.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, waiting, gate) = (stream.unwrap(), waiting.clone(), gate.clone());
                // It ends with an error when the gateway cuts it off.
                thread::spawn(move || serve(stream, &waiting, &gate));
            }
        });
        slow
    }

    fn go_on(&self) {
        *self.gate.0.lock().unwrap() = true;
        self.gate.1.notify_all();
    }
}

fn serve(mut stream: TcpStream, waiting: &AtomicUsize, gate: &(Mutex<bool>, Condvar)) -> std::io::Result<()> {
    let mut head = Vec::new();
    loop {
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read(&mut byte)? == 0 {
                return Ok(());
            }
            head.push(byte[0]);
        }
        let wait = || {
            waiting.fetch_add(1, Ordering::SeqCst);
            let opened = gate.1.wait_while(gate.0.lock().unwrap(), |is_open| !*is_open);
            drop(opened.unwrap());
        };
        let body = upstream::pattern(2 * HALF as u64);
        let hangs_before = head.starts_with(b"GET /head");
        head.clear();
        if hangs_before {
            wait();
        }
        write!(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{HALF:x}\r\n")?;
        stream.write_all(&body[..HALF])?;
        write!(stream, "\r\n")?;
        if !hangs_before {
            wait();
        }
        write!(stream, "{HALF:x}\r\n")?;
        stream.write_all(&body[HALF..])?;
        write!(stream, "\r\n0\r\n\r\n")?;
    }
}

struct Gateway {
    program: Program,
    public: SocketAddr,
    admin: SocketAddr,
    folder: TempDir,
}

impl Gateway {
    /// `drain` are lines of `[gateway]`.
    fn start(upstream: SocketAddr, drain: &str) -> Gateway {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "name = \"slow\"\n[gateway]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n{drain}\n\
             [store]\npath = \"lifesigns.db\"\n\
             [[token]]\nname = \"ops\"\nhash = \"{TOKEN_HASH}\"\n\
             scopes = [\"health:write\", \"health:details\", \"analytics:read\"]\n\
             [[api]]\nname = \"items\"\nupstream = \"http://{upstream}\"\n"
        );
        fs::write(folder.path().join("lifesigns.toml"), config).unwrap();
        let (program, public, admin) = run(folder.path());
        Gateway { program, public, admin, folder }
    }

    fn restart(&mut self) {
        (self.program, self.public, self.admin) = run(self.folder.path());
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("lifesigns.db")
    }
}

fn run(folder: &Path) -> (Program, SocketAddr, SocketAddr) {
    let file = folder.join("lifesigns.toml");
    let program = Program::start_with(&["run", "--config", file.to_str().unwrap()], |command| {
        command.env("LIFESIGNS_LOG", "info");
    });
    let (public, admin) = (program.listening("gateway"), program.listening("admin"));
    (program, public, admin)
}

/// The exchanges that the file holds: status, who failed, and how many.
fn kept(data: &Path) -> Vec<String> {
    let file = data.to_str().unwrap();
    let output = program::run(&["query", "--file", file, "--by", "status_code,failed_by", "--csv"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut rows: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().skip(1).map(str::to_owned).collect();
    rows.sort_unstable();
    rows
}

fn ask(connection: SocketAddr, path: &'static str) -> thread::JoinHandle<std::io::Result<Answer>> {
    thread::spawn(move || Connection::open(connection)?.exchange(&Request::get(path)))
}

#[test]
fn nothing_under_way_is_lost_and_readiness_is_red_before_the_door_closes() {
    let slow = Slow::start();
    let mut gateway = Gateway::start(slow.address, "drain_delay_seconds = 2\ndrain_timeout_seconds = 15");
    let clients: Vec<_> = (0..IN_FLIGHT).map(|_| ask(gateway.public, "/items/1")).collect();
    wait::until("all of them to be under way", || {
        (slow.waiting.load(Ordering::SeqCst) == IN_FLIGHT).then_some(())
    });
    let metrics = get(gateway.admin, "/metrics");
    let active = format!("http_server_active_requests{{lifesigns_api=\"items\"}} {IN_FLIGHT}\n");
    assert!(metrics.text().contains(&active), "{}", metrics.text());
    let mut kept_alive = Connection::open(gateway.public).unwrap();
    assert_eq!(kept_alive.exchange(&Request::get("/readyz")).unwrap().status, 200);

    gateway.program.signal("TERM");
    let asked = Instant::now();
    // Each on a connection of its own: none is refused before one has been told that readiness is red.
    let red = wait::until("readiness to be red", || {
        let answer = get(gateway.public, "/readyz");
        (answer.status == 503).then_some(answer)
    });
    assert_eq!((red.header("retry-after"), red.header("connection")), (Some("30"), Some("close")));
    let light = get(gateway.public, "/health/status");
    assert_eq!((light.status, light.header("retry-after")), (503, Some("30")));
    assert_eq!(light.json()["summary"]["status"], "AMBER");
    assert_eq!(get(gateway.public, "/livez").status, 200);
    let answer = kept_alive.exchange(&Request::get("/health")).unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    let lines = Request::get("/items/readyz?verbose").bearer("ls_example").send(gateway.admin);
    let in_flight = format!("[-]shutdown failed: the process is about to end; {IN_FLIGHT} in flight\n");
    assert!(lines.text().contains(&in_flight), "{}", lines.text());

    wait::until("the door to be closed", || TcpStream::connect(gateway.public).is_err().then_some(()));
    assert!(asked.elapsed() >= Duration::from_secs(2), "it was open for as long as it was to be");
    assert_eq!(get(gateway.admin, "/readyz").status, 503, "operators can still look");
    slow.go_on();
    let body = upstream::pattern(2 * HALF as u64);
    for client in clients {
        let answer = client.join().unwrap().expect("a whole answer");
        assert!(
            answer.status == 200 && answer.body == body,
            "{} and {} bytes",
            answer.status,
            answer.body.len()
        );
    }
    assert!(gateway.program.ended().success());
    assert!(asked.elapsed() < Duration::from_secs(2 + 15), "{:?}", asked.elapsed());
    assert_eq!(kept(&gateway.data()), [format!("200,nobody,{IN_FLIGHT}")]);
}

#[test]
fn what_hangs_does_not_hold_the_process() {
    let slow = Slow::start();
    let mut gateway = Gateway::start(slow.address, "drain_timeout_seconds = 1");
    let clients: Vec<_> =
        (0..20).map(|number| ask(gateway.public, if number % 2 == 0 { "/head" } else { "/body" })).collect();
    wait::until("all of them to be under way", || (slow.waiting.load(Ordering::SeqCst) == 20).then_some(()));
    gateway.program.signal("TERM");
    let asked = Instant::now();
    assert!(gateway.program.ended().success());
    assert!(asked.elapsed() >= Duration::from_secs(1) && asked.elapsed() < Duration::from_secs(6));
    let answers: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    let told = answers.iter().filter(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 503));
    assert_eq!(told.count(), 10, "those without an answer are told: {answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.is_err()).count(), 10, "the others break off");
    assert_eq!(kept(&gateway.data()), ["200,gateway,10", "503,gateway,10"]);
    assert!(gateway.program.stderr().contains("some exchanges are cut off"));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let slow = Slow::start();
    let mut gateway =
        Gateway::start(slow.address, "readiness_delay_seconds = 60\ndrain_timeout_seconds = 60");
    let client = ask(gateway.public, "/head");
    wait::until("it to be under way", || (slow.waiting.load(Ordering::SeqCst) == 1).then_some(()));
    gateway.program.signal("TERM");
    wait::until("the first signal to be noticed", || {
        gateway.program.stderr().contains("stopping: requests in progress may end").then_some(())
    });
    assert_eq!(get(gateway.public, "/readyz").status, 200, "everything goes on as before");
    gateway.program.signal("INT");
    assert_eq!(gateway.program.ended().code(), Some(1));
    client.join().unwrap().unwrap_err();
}

#[test]
fn maintenance_is_announced_kept_over_a_restart_and_taken_back() {
    let upstream = upstream::Upstream::start();
    let mut gateway = Gateway::start(upstream.address(), "");
    let announce = |to: SocketAddr, path: &str, reason: &str| {
        let body = json!({"reason": reason, "minutes": 30}).to_string();
        Request::new("PUT", path).bearer("ls_example").body(body).send(to)
    };
    let refused = Request::new("PUT", "/health/maintenance").body("{}").send(gateway.public);
    assert_eq!(refused.status, 401);
    assert_eq!(announce(gateway.public, "/health/maintenance", "A larger disk").status, 200);
    assert_eq!(get(gateway.admin, "/health/maintenance").json()["maintenance"], false, "the gateway's own");
    assert_eq!(announce(gateway.admin, "/health/maintenance", "A new gateway").status, 200);
    let log = gateway.program.stderr();
    let line = log.lines().find(|line| line.contains("maintenance is on")).unwrap_or_else(|| panic!("{log}"));
    for part in ["ops", "A larger disk", "items", "lifesigns::changes"] {
        assert!(line.contains(part), "{line}");
    }
    // Killed, and not asked to end: what was answered is kept.
    gateway.program.kill();
    gateway.restart();
    let light = get(gateway.public, "/health/status");
    assert_eq!(light.status, 503);
    let reason = light.json()["detail"]["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("Maintenance until 2") && reason.ends_with("Z: A larger disk"), "{reason}");
    assert_eq!(get(gateway.public, "/readyz").status, 200);
    assert_eq!(get(gateway.admin, "/health/maintenance").json()["reason"], "A new gateway");
    assert_eq!(get(gateway.public, "/status/200").status, 200, "traffic passes");
    let off = Request::new("DELETE", "/health/maintenance").bearer("ls_example").send(gateway.public);
    assert_eq!(off.status, 204);
    assert_eq!(get(gateway.public, "/health/status").status, 200);
    gateway.program.kill();
    gateway.restart();
    assert_eq!(get(gateway.public, "/health/maintenance").json()["maintenance"], false);
}
