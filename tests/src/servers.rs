//! Real servers, as Debian packages them, each with its own folder and port on loopback.
//!
//! They run in the process group of the test: whoever ends the test from outside ends them too. What they leave in the
//! system besides files is removed when they are dropped.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

use crate::wait;

mod clickhouse;
mod mariadb;
mod mosquitto;
mod nats;
mod postgres;
mod rabbitmq;
mod redis;

/// Who may log in to every server.
pub const USER: &str = "lifesigns";

/// With what. It has every character that means something in a URL.
pub const PASSWORD: &str = "k3p:t/s3cr@t#50%?";

/// The slowest of them takes ten seconds on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(90);

/// A port may be taken between the moment that it was free and the server's start.
const ATTEMPTS: u32 = 3;

/// What can be started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// ClickHouse.
    ClickHouse,
    /// MariaDB.
    MariaDb,
    /// The MQTT broker Mosquitto.
    Mosquitto,
    /// NATS.
    Nats,
    /// PostgreSQL.
    Postgres,
    /// RabbitMQ.
    RabbitMq,
    /// Redis.
    Redis,
}

/// How a kind of server is brought up.
struct Recipe {
    /// Makes what it needs in its folder, once.
    prepare: fn(&Place),
    /// What is to be run, the server itself last.
    commands: fn(&Place) -> Vec<Command>,
    /// In the line of its log that says that it can be asked.
    ready: &'static str,
    /// Its scheme, and the path behind the port.
    url: (&'static str, &'static str),
    /// Its scheme when it speaks TLS; `None` where it is not prepared for that.
    tls: Option<&'static str>,
    /// Removes what it leaves outside of its folder when it is killed.
    clean: fn(&Place),
}

/// Where a server lives.
#[derive(Debug)]
struct Place {
    folder: PathBuf,
    port: u16,
    /// Ports that only the server itself needs.
    more_ports: [u16; 2],
    /// Whether it speaks TLS, with [`CERTIFICATE`] and [`KEY`] in its folder.
    tls: bool,
}

/// Names of files in the folder of a server that speaks TLS, PEM both.
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";

impl Place {
    fn certificate(&self) -> String {
        self.folder.join(CERTIFICATE).display().to_string()
    }

    fn key(&self) -> String {
        self.folder.join(KEY).display().to_string()
    }
}

impl Kind {
    fn recipe(self) -> Recipe {
        match self {
            Kind::ClickHouse => clickhouse::RECIPE,
            Kind::MariaDb => mariadb::RECIPE,
            Kind::Mosquitto => mosquitto::RECIPE,
            Kind::Nats => nats::RECIPE,
            Kind::Postgres => postgres::RECIPE,
            Kind::RabbitMq => rabbitmq::RECIPE,
            Kind::Redis => redis::RECIPE,
        }
    }
}

/// A running server. Ended when dropped.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    place: Place,
    processes: Vec<Child>,
    starts: u32,
    /// Dropped last: the server writes to it.
    _folder: TempDir,
}

impl Server {
    /// Starts one and waits until it can be asked.
    pub fn start(kind: Kind) -> Server {
        Server::start_with(kind, None)
    }

    /// Starts one that speaks TLS with this certificate and its key, PEM both.
    pub fn start_with_tls(kind: Kind, certificate: &str, key: &str) -> Server {
        assert!(kind.recipe().tls.is_some(), "{kind:?} is not prepared for TLS");
        Server::start_with(kind, Some((certificate, key)))
    }

    fn start_with(kind: Kind, tls: Option<(&str, &str)>) -> Server {
        for attempt in 1.. {
            let folder = tempfile::Builder::new().prefix("lifesigns-server-").tempdir();
            let folder = folder.expect("there is room for temporary files");
            let [port, one, two] = free_ports();
            let place =
                Place { folder: folder.path().to_owned(), port, more_ports: [one, two], tls: tls.is_some() };
            if let Some((certificate, key)) = tls {
                for (file, text) in [(CERTIFICATE, certificate), (KEY, key)] {
                    let file = place.folder.join(file);
                    fs::write(&file, text).expect("its folder can be written to");
                    // Some servers refuse a key that others could read.
                    let ours = Permissions::from_mode(0o600);
                    fs::set_permissions(&file, ours).expect("its folder can be written to");
                }
            }
            (kind.recipe().prepare)(&place);
            let mut server = Server { kind, place, processes: Vec::new(), starts: 0, _folder: folder };
            match server.launch() {
                Ok(()) => return server,
                Err(log) if attempt < ATTEMPTS && log.contains("in use") => {}
                Err(log) => panic!("{kind:?} does not start:\n{log}"),
            }
        }
        unreachable!("the last attempt returns or panics")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.place.port).into()
    }

    /// Its URL with [`USER`], and without a password.
    pub fn url(&self) -> String {
        let recipe = self.kind.recipe();
        let (plain, path) = recipe.url;
        let scheme = recipe.tls.filter(|_| self.place.tls).unwrap_or(plain);
        format!("{scheme}://{USER}@{}{path}", self.address())
    }

    /// The password that belongs to it.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// Kills it and everything that it has started, as `kill -9` does.
    pub fn kill(&mut self) {
        let family = self.family();
        self.signal(Signal::KILL);
        for mut process in self.processes.drain(..) {
            process.wait().expect("one's own child can be waited for");
        }
        // Their children are waited for by somebody else.
        let deadline = Instant::now() + PATIENCE;
        while family.iter().any(|id| is_running(*id)) {
            assert!(Instant::now() < deadline, "{:?} has been killed and does not end", self.kind);
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops it where it stands, as `kill -STOP` does: connections are taken by the system, and nobody answers.
    ///
    /// Waits until each of its threads has stopped: the signal alone says only that they will.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        wait::until("the threads of the server to stop", || {
            self.family().into_iter().all(is_stopped).then_some(())
        });
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Starts it again, on the same port and with the same data. It must have been killed.
    pub fn restart(&mut self) {
        assert!(self.processes.is_empty(), "{:?} still runs", self.kind);
        if let Err(log) = self.launch() {
            panic!("{:?} does not start again:\n{log}", self.kind);
        }
    }

    /// Starts the processes and waits; what they printed is the error.
    fn launch(&mut self) -> Result<(), String> {
        self.starts += 1;
        let recipe = self.kind.recipe();
        let log = self.place.folder.join(format!("start-{}.log", self.starts));
        let output = File::create(&log).expect("its folder can be written to");
        for mut command in (recipe.commands)(&self.place) {
            let twin = || output.try_clone().expect("a file can be shared");
            command.stdin(Stdio::null()).stdout(twin()).stderr(twin()).current_dir(&self.place.folder);
            let child = command.spawn();
            self.processes.push(child.unwrap_or_else(|error| {
                panic!("{command:?}: {error}; `scripts/test` installs what is missing")
            }));
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let printed = String::from_utf8_lossy(&fs::read(&log).expect("its log can be read")).into_owned();
            if printed.contains(recipe.ready) {
                return Ok(());
            }
            let ended = self.processes.iter_mut().any(|process| !matches!(process.try_wait(), Ok(None)));
            if ended || Instant::now() > deadline {
                self.kill();
                return Err(printed);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a signal to all its processes, parents before their children.
    fn signal(&self, signal: Signal) {
        for id in self.family() {
            // One that has ended meanwhile needs no signal.
            let _ = kill_process(id, signal);
        }
    }

    /// Its processes and all that descend from them.
    fn family(&self) -> Vec<Pid> {
        let mut family: Vec<u32> = self.processes.iter().map(Child::id).collect();
        let parents = parents();
        let mut known: BTreeSet<u32> = family.iter().copied().collect();
        let mut next = 0;
        while let Some(parent) = family.get(next).copied() {
            let children = parents.iter().filter(|(_, of)| *of == parent).map(|(id, _)| *id);
            family.extend(children.filter(|id| known.insert(*id)));
            next += 1;
        }
        family.into_iter().filter_map(|id| Pid::from_raw(id.cast_signed())).collect()
    }
}

/// Whether no thread of a process runs any more, by the letter behind its name (proc(5)); one that has ended does not.
fn is_stopped(id: Pid) -> bool {
    let threads = fs::read_dir(format!("/proc/{}/task", id.as_raw_nonzero()));
    threads.into_iter().flatten().flatten().all(|thread| {
        let status = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        let state = status.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        state.is_none_or(|state| matches!(state, 'T' | 't' | 'X' | 'Z'))
    })
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        (self.kind.recipe().clean)(&self.place);
    }
}

/// A program to be run as an ordinary user: some servers refuse to be run by root. `user` is one that Debian makes for
/// the server.
fn as_user(user: &str, program: &Path) -> Command {
    if !getuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups", "--"])
        .arg(program);
    command
}

/// A program that Debian puts where only root looks for programs.
fn system_program(name: &str) -> Command {
    let path = Path::new("/usr/sbin").join(name);
    Command::new(if path.exists() { path } else { name.into() })
}

/// Runs a command to its end; it must succeed.
fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    let output = output
        .unwrap_or_else(|error| panic!("{command:?}: {error}; `scripts/test` installs what is missing"));
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{printed}", output.status);
    output
}

/// Ports on loopback at which nothing listens at the moment, all different.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] = std::array::from_fn(|_| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port")
    });
    listeners.map(|listener| listener.local_addr().expect("a listener has an address").port())
}

/// The processes of the system, each with its parent.
fn parents() -> Vec<(u32, u32)> {
    let entries = fs::read_dir("/proc").expect("/proc is there");
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter_map(|id: u32| Some((id, fields(id)?.1))).collect()
}

/// Whether any of its threads still runs. The first of them may have ended, and be shown as the whole, before those that
/// hold its sockets.
fn is_running(id: Pid) -> bool {
    let id = id.as_raw_nonzero().get().cast_unsigned();
    let threads = || fs::read_dir(format!("/proc/{id}/task")).map_or(0, Iterator::count);
    fields(id).is_some_and(|(state, _)| state != 'Z' || threads() > 1)
}

/// State and parent of a process, if it is still there (proc(5)).
fn fields(id: u32) -> Option<(char, u32)> {
    let line = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before the closing parenthesis may hold anything.
    let mut fields = line.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
