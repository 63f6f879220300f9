//! Who is let into the monitor, and that nobody can keep others out.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};

use lifesigns_tests::client::{Connection, get};
use lifesigns_tests::program::free_address;
use lifesigns_tests::service::Service;
use lifesigns_tests::wait;
use rustix::process::{Resource, getrlimit, setrlimit};

use super::watch::{Monitor, configuration, well};

/// Places for connections to pages and resources, and for agent checks.
const PLACES: usize = 1_000;
const AGENT_PLACES: usize = 256;

/// As many files as this process may have, and those that it starts.
fn allow_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

fn agent_says(agent: SocketAddr, name: &str) -> String {
    let mut connection = Connection::open(agent).unwrap();
    connection.send(format!("{name}\n").as_bytes()).unwrap();
    String::from_utf8(connection.receive_rest().unwrap()).unwrap()
}

#[test]
fn nobody_keeps_others_out_by_silence_or_by_never_reading() {
    allow_many_files();
    let service = Service::start([]);
    service.says("/shop/status", well("shop"));
    let folder = tempfile::tempdir().unwrap();
    let agent = free_address();
    let more = format!("agent_listen = \"{agent}\"\n");
    let monitor = Monitor::start(folder.path(), &configuration(&service, &["shop"], &more));
    monitor.wait_for_light("shop", "GREEN");
    let answers_everybody = |who: &str| {
        for target in ["/livez", "/services/shop/available", "/"] {
            assert_eq!(get(monitor.address, target).status, 200, "{target} beside {who}");
        }
        assert_eq!(agent_says(agent, "shop"), "up 100%\n", "beside {who}");
    };

    // What they ask for fills all buffers on its way, some megabytes for each of them.
    let request = format!("GET /api/openapi.json HTTP/1.1\r\nHost: {}\r\n\r\n", monitor.address);
    let asked = request.repeat(200);
    let never_read: Vec<Connection> = (0..PLACES)
        .map(|_| {
            let mut connection = Connection::open(monitor.address).unwrap();
            connection.send(asked.as_bytes()).unwrap();
            connection
        })
        .collect();
    answers_everybody("those who never read");
    drop(never_read);

    let silent: Vec<TcpStream> =
        (0..PLACES + 100).map(|_| TcpStream::connect(monitor.address).unwrap()).collect();
    let silent_agents: Vec<TcpStream> =
        (0..AGENT_PLACES + 100).map(|_| TcpStream::connect(agent).unwrap()).collect();
    answers_everybody("those who say nothing");
    for first in [&silent[0], &silent_agents[0]] {
        first.set_read_timeout(Some(wait::PATIENCE)).unwrap();
        let mut first: &TcpStream = first;
        assert_eq!(first.read(&mut [0]).unwrap(), 0, "the longest silent one gave its place away");
    }
    let last = silent.into_iter().next_back().unwrap();
    last.set_nonblocking(true).unwrap();
    let error = (&last).read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "the last one still has its place");
}
