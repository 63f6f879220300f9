//! Nobody is waited for without end.

use lifesigns_gateway::Timeouts;
use lifesigns_model::exchange::FailedBy;

use crate::support::{DEADLINE, QUERY_TOKEN, Running, SHORT, Upstream, route};

fn impatient(upstream: &Upstream, adjust: impl FnOnce(&mut Timeouts)) -> Running {
    Running::with(vec![route("polls", upstream.address)], |config| {
        config.timeouts = Timeouts {
            connect: DEADLINE,
            response_head: 2 * DEADLINE,
            body_idle: 2 * DEADLINE,
            request_head: 2 * DEADLINE,
            expect_continue: 2 * DEADLINE,
            upstream_idle: 2 * DEADLINE,
        };
        adjust(&mut config.timeouts);
    })
}

#[test]
fn an_upstream_that_never_answers() {
    let upstream = Upstream::new(|connection| {
        connection.request()?;
        connection.wait_for_end()
    });
    let gateway = impatient(&upstream, |timeouts| timeouts.response_head = SHORT);
    let mut client = gateway.connect();
    let answer = client.get("/");
    assert_eq!((answer.status(), gateway.only_count()), (504, (504, FailedBy::Gateway)));
    assert_eq!(client.get("/livez").status(), 200, "the client's connection goes on");
}

#[test]
fn an_upstream_that_cannot_be_connected_to() {
    // A listener whose queue is full does not answer at all.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut queue = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, SHORT) {
        queue.push(stream);
        assert!(queue.len() < 100, "the queue never fills");
    }
    let gateway = Running::with(vec![route("polls", address)], |config| config.timeouts.connect = SHORT);
    assert_eq!(gateway.connect().get("/").status(), 504);
    assert_eq!(gateway.only_count(), (504, FailedBy::Gateway));
}

#[test]
fn an_upstream_that_stops_in_the_middle_of_a_body() {
    let upstream = Upstream::new(|connection| {
        connection.request()?;
        connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nonly")?;
        connection.wait_for_end()
    });
    let gateway = impatient(&upstream, |timeouts| timeouts.body_idle = SHORT);
    let answer = gateway.connect().get("/");
    assert_eq!((answer.status(), answer.text().as_str(), answer.complete), (200, "only", false));
    assert_eq!(gateway.only_count(), (200, FailedBy::Upstream));
}

#[test]
fn a_client_that_stops_in_the_middle_of_its_body() {
    let upstream = Upstream::ok();
    let gateway = impatient(&upstream, |timeouts| {
        timeouts.body_idle = SHORT;
        // The upstream cannot answer what it was not told, so this must not strike first.
        timeouts.response_head = SHORT / 2;
    });
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nonly");
    assert_eq!(client.response().status(), 408);
    assert!(client.is_closed());
    assert_eq!(gateway.only_count(), (408, FailedBy::Client));
}

#[test]
fn a_client_that_stops_in_the_middle_of_its_query() {
    let upstream = Upstream::ok();
    let gateway = impatient(&upstream, |timeouts| timeouts.body_idle = SHORT);
    let mut client = gateway.connect();
    client.send(&format!(
        "POST /analytics/1.0/o/environments/e/query HTTP/1.1\r\nhost: a\r\n\
         authorization: Bearer {QUERY_TOKEN}\r\ncontent-length: 10\r\n\r\n{{"
    ));
    let answer = client.response();
    assert_eq!(answer.status(), 408, "{}", answer.text());
    assert!(client.is_closed());
}

#[test]
fn a_client_that_does_not_finish_its_head() {
    let upstream = Upstream::ok();
    let gateway = impatient(&upstream, |timeouts| timeouts.request_head = SHORT);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n");
    assert!(client.is_closed());
    let mut silent = gateway.connect();
    assert!(silent.is_closed());
    let mut idle = gateway.connect();
    assert_eq!(idle.get("/").text(), "ok");
    assert!(idle.is_closed(), "an idle connection stayed");
}

#[test]
fn a_client_that_does_not_take_its_answer() {
    let upstream = Upstream::new(|connection| {
        connection.request()?;
        connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n")?;
        loop {
            connection.write(&vec![0; 65536])?;
        }
    });
    let gateway = impatient(&upstream, |timeouts| timeouts.body_idle = SHORT);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(gateway.only_count(), (200, FailedBy::Client));
}

#[test]
fn an_idle_upstream_connection_is_closed_in_time() {
    let (ended, end) = std::sync::mpsc::channel();
    let ended = std::sync::Mutex::new(ended);
    let upstream = Upstream::new(move |connection| {
        connection.request()?;
        connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
        connection.wait_for_end()?;
        ended.lock().unwrap().send(()).map_err(std::io::Error::other)
    });
    let gateway = impatient(&upstream, |timeouts| timeouts.upstream_idle = SHORT);
    assert_eq!(gateway.connect().get("/").text(), "ok");
    end.recv_timeout(DEADLINE).expect("the idle connection was kept");
}
