//! What happens to a server, and what its check has to say then.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lifesigns_checks::{BadOption, Check, FailureKind, Report, Secret, Server};
use lifesigns_tests::servers::{self, Kind};
use tempfile::NamedTempFile;

use crate::impostor::{Impostor, Manner};
use crate::{Make, well};

/// How long a check that can answer may take, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long one is waited for that cannot.
const DEADLINE: Duration = Duration::from_millis(700);

/// What is expected: nothing, or a kind of failure and a part of its text.
pub(crate) type Expected = Option<(FailureKind, &'static str)>;

/// What nobody may be told.
const SECRETS: [&str; 3] = [servers::PASSWORD, "wr0ng-and-s3cret", "s3cret"];

pub(crate) struct Scenario<M> {
    /// The check of a server.
    pub(crate) check: Make,
    /// Further checks, while the server is well.
    pub(crate) more: M,
}

/// Plays everything that can happen to a server.
pub(crate) async fn play<M>(kind: Kind, scenario: Scenario<M>)
where
    M: Fn(&servers::Server) -> Vec<(&'static str, Result<Check, BadOption>, Expected)>,
{
    let log = Log::listen();
    let mut server = servers::Server::start(kind);
    let check = (scenario.check)(well(&server)).unwrap();

    expect("when well", &check, None).await;
    let wrong = Server::at(server.url()).password(Secret::new("wr0ng-and-s3cret"));
    let wrong = (scenario.check)(wrong).unwrap();
    expect("with a wrong password", &wrong, Some((FailureKind::Denied, ""))).await;
    let in_url = server.url().replace('@', &format!(":{}@", percent_encoded(server.password())));
    expect("with the password in the URL", &(scenario.check)(Server::at(in_url)).unwrap(), None).await;
    for (what, check, expected) in (scenario.more)(&server) {
        expect(what, &check.unwrap(), expected).await;
    }

    server.pause();
    expect_nothing("when paused", &check, server.address()).await;
    server.resume();
    expect("when resumed", &check, None).await;

    server.kill();
    expect("when killed", &check, Some((FailureKind::Unreachable, "refused"))).await;
    server.restart();
    expect("when restarted", &check, None).await;
    nothing_is_left(server.address()).await;
    log.holds_no_secret();
}

/// All that is said to the log on this thread, by whomever and at whatever level, until it is dropped.
struct Log {
    said: NamedTempFile,
    _listening: tracing::subscriber::DefaultGuard,
}

impl Log {
    fn listen() -> Log {
        let said = NamedTempFile::new().unwrap();
        let writer = Arc::new(said.reopen().unwrap());
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
        let subscriber = subscriber.with_writer(writer).finish();
        Log { said, _listening: tracing::subscriber::set_default(subscriber) }
    }

    fn holds_no_secret(&self) {
        tracing::trace!("the last word");
        let said = fs::read_to_string(self.said.path()).unwrap();
        assert!(said.contains("the last word"), "nobody listened");
        for secret in SECRETS {
            assert!(!said.contains(secret), "{said}");
        }
    }
}

/// Lets everything listen that is no server.
pub(crate) async fn find_out_impostors(scheme: &str, check: Make) {
    let at = |address: SocketAddr| {
        check(Server::at(format!("{scheme}://somebody@{address}")).password(Secret::new("s3cret"))).unwrap()
    };

    let hung = Impostor::start(Manner::Hangs).await;
    expect_nothing("when it hangs", &at(hung.address), hung.address).await;

    let words: [&'static [u8]; 6] = [
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"220 mail.example ESMTP\r\n",
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n",
        &[0; 512],
        &[0xff; 512],
        b"{\"error\": \"\xf0\x9f\x92\xa5 \\u0000 %n%s\"}\r\n\r\n",
    ];
    let mut manners = vec![Manner::Closes, Manner::ClosesWhenAsked];
    for words in words {
        manners.extend([Manner::Says(words), Manner::Answers(words)]);
    }
    for manner in manners {
        let impostor = Impostor::start(manner).await;
        let report = finished(&format!("{scheme}, {manner:?}"), &at(impostor.address)).await;
        let failure = report.failure;
        assert_eq!(failure, Some(FailureKind::UnexpectedAnswer), "{scheme}, {manner:?}: {report:?}");
        nothing_is_left(impostor.address).await;
    }

    let unknown =
        check(Server::at(format!("{scheme}://somebody@nowhere.invalid")).password(Secret::new("s3cret")));
    expect("without a name", &unknown.unwrap(), Some((FailureKind::Unreachable, "resolve"))).await;
}

pub(crate) async fn expect(what: &str, check: &Check, expected: Expected) {
    let report = finished(what, check).await;
    let name = check.name();
    assert_eq!(report.failure, expected.map(|(kind, _)| kind), "{name} {what}: {report:?}");
    let output = report.output.unwrap_or_default();
    assert!(expected.is_none_or(|(_, part)| output.contains(part)), "{name} {what}: {output}");
    for secret in SECRETS {
        assert!(!output.contains(secret), "{name} {what}: {output}");
        assert!(!format!("{check:?}").contains(secret), "{check:?}");
    }
}

async fn finished(what: &str, check: &Check) -> Report {
    let report = tokio::time::timeout(PATIENCE, check.run_once()).await;
    report.unwrap_or_else(|_| panic!("{} {what}: there is no report", check.name()))
}

/// A run that gets no answer is still under way at the deadline, and leaves nothing once it is given up.
async fn expect_nothing(what: &str, check: &Check, server: SocketAddr) {
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let report = tokio::time::timeout(DEADLINE, check.run_once()).await;
    assert!(report.is_err(), "{} {what}: {report:?}", check.name());
    nothing_is_left(server).await;
    // The impostor has a task for each connection, which ends with it.
    until(&format!("the end of the tasks of {} {what}", check.name()), || {
        tokio::runtime::Handle::current().metrics().num_alive_tasks() <= tasks
    })
    .await;
}

/// No connection of this process to the server is open any more.
pub(crate) async fn nothing_is_left(server: SocketAddr) {
    until(&format!("the end of all connections to {server}"), || connections(server) == 0).await;
}

async fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How many sockets of this process are connected to an IPv4 address (`/proc/net/tcp`, proc(5)).
fn connections(server: SocketAddr) -> usize {
    let mine: Vec<u64> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| Some(fs::metadata(entry.ok()?.path()).ok()?.ino()))
        .collect();
    let port = format!(":{:04X}", server.port());
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[2].ends_with(&port) && mine.contains(&row[9].parse().unwrap())).count()
}

/// All that is neither a letter nor a digit, as a URL has it.
fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(encode).collect()
}
