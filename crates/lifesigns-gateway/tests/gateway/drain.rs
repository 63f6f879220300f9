//! The end of a gateway.

use std::{
    net::TcpStream,
    sync::{Mutex, mpsc},
    time::Instant,
};

use lifesigns_model::exchange::FailedBy;

use crate::support::{Client, DEADLINE, Running, SHORT, Upstream, route, wait_until};

/// An upstream that answers when it is told to.
fn waiting() -> (Upstream, mpsc::Sender<()>) {
    let (go, gone) = mpsc::channel();
    let gone = Mutex::new(gone);
    let upstream = Upstream::new(move |connection| {
        while connection.request()?.is_some() {
            gone.lock().unwrap().recv_timeout(DEADLINE).map_err(std::io::Error::other)?;
            connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
        }
        Ok(())
    });
    (upstream, go)
}

#[test]
fn what_is_under_way_ends_and_nothing_new_begins() {
    let (upstream, go) = waiting();
    let mut gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    let mut idle = gateway.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    wait_until("the upstream is asked", || upstream.seen().len() == 1);
    gateway.stop();
    assert!(idle.is_closed(), "an idle connection is closed");
    wait_until("nobody is accepted any more", || TcpStream::connect(gateway.address).is_err());
    assert!(!gateway.has_ended());
    go.send(()).unwrap();
    let answer = client.response();
    assert_eq!((answer.text().as_str(), answer.get("connection")), ("ok", Some("close")));
    assert!(client.is_closed());
    wait_until("the gateway has ended", || gateway.has_ended());
    assert_eq!(gateway.only_count(), (200, FailedBy::Nobody));
}

#[test]
fn readiness_is_red_while_everything_is_still_served() {
    let upstream = Upstream::ok();
    let mut gateway = Running::with(vec![route("polls", upstream.address)], |config| {
        config.drain.delay = DEADLINE;
    });
    let mut kept = gateway.connect();
    assert_eq!(kept.get("/readyz").get("connection"), None);
    gateway.stop();
    wait_until("readiness is red", || gateway.connect().get("/readyz").status() == 503);
    for path in ["/", "/livez"] {
        let answer = gateway.connect().get(path);
        assert_eq!((answer.text().as_str(), answer.get("connection")), ("ok", Some("close")), "{path}");
    }
    let answer = kept.get("/");
    assert_eq!((answer.text().as_str(), answer.get("connection")), ("ok", Some("close")));
    assert!(kept.is_closed(), "so that it is gone when nobody is accepted any more");
    assert!(!gateway.has_ended());
}

#[test]
fn nothing_changes_before_the_notice_is_over() {
    let upstream = Upstream::ok();
    let mut gateway = Running::with(vec![route("polls", upstream.address)], |config| {
        config.drain.notice = SHORT;
        config.drain.delay = DEADLINE;
    });
    let begin = Instant::now();
    gateway.stop();
    wait_until("readiness is red", || gateway.connect().get("/readyz").status() == 503);
    assert!(begin.elapsed() >= SHORT);
}

#[test]
fn operators_are_served_until_the_last_exchange_has_ended() {
    let (upstream, go) = waiting();
    let mut gateway = Running::with(vec![route("polls", upstream.address)], |config| {
        config.admin = Some(([127, 0, 0, 1], 0).into());
    });
    let operator = || Client::to(gateway.admin.unwrap());
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    wait_until("the upstream is asked", || upstream.seen().len() == 1);
    let (address, admin) = (gateway.address, gateway.admin.unwrap());
    assert!(
        operator().get("/metrics").text().contains("http_server_active_requests{lifesigns_api=\"polls\"} 1")
    );
    gateway.stop();
    wait_until("nobody is accepted any more", || TcpStream::connect(address).is_err());
    let answer = Client::to(admin).get("/readyz");
    assert_eq!(answer.status(), 503, "{}", answer.text());
    assert_eq!(Client::to(admin).get("/livez").status(), 200);
    go.send(()).unwrap();
    assert_eq!(client.response().text(), "ok");
    wait_until("the gateway has ended", || gateway.has_ended());
    assert!(TcpStream::connect(admin).is_err());
}

#[test]
fn what_does_not_end_is_cut_off() {
    let (upstream, _never) = waiting();
    let mut gateway = Running::with(vec![route("polls", upstream.address)], |config| {
        config.drain.patience = SHORT;
    });
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    wait_until("the upstream is asked", || upstream.seen().len() == 1);
    let begin = Instant::now();
    gateway.stop();
    wait_until("the gateway has ended", || gateway.has_ended());
    assert!(begin.elapsed() < DEADLINE / 2);
    let answer = client.response();
    assert_eq!((answer.status(), answer.get("content-type")), (503, Some("application/problem+json")));
    assert!(client.is_closed());
    assert_eq!(gateway.only_count(), (503, FailedBy::Gateway), "the client gave up nothing");
}

#[test]
fn who_has_not_asked_yet_keeps_it_from_ending_for_a_moment_only() {
    let (upstream, go) = waiting();
    let mut gateway = Running::with(vec![route("polls", upstream.address)], |config| {
        config.drain.patience = 4 * DEADLINE;
    });
    let mut half = gateway.connect();
    half.send("GET /fo");
    let mut late = gateway.connect();
    late.send("GET / HTTP/1.1\r\n");
    let begin = Instant::now();
    gateway.stop();
    late.send("host: a\r\n\r\n");
    wait_until("the upstream is asked", || upstream.seen().len() == 1);
    assert!(half.is_closed());
    go.send(()).unwrap();
    assert_eq!(late.response().text(), "ok", "what came in time is answered");
    wait_until("the gateway has ended", || gateway.has_ended());
    assert!(begin.elapsed() < 2 * DEADLINE);
}

#[test]
fn a_response_that_does_not_end_is_cut_off_by_the_gateway() {
    let upstream = Upstream::new(|connection| {
        connection.request()?;
        connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")?;
        connection.wait_for_end()
    });
    let mut gateway = Running::with(vec![route("polls", upstream.address)], |config| {
        config.drain.patience = SHORT;
    });
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    wait_until("the upstream is asked", || upstream.seen().len() == 1);
    gateway.stop();
    wait_until("the gateway has ended", || gateway.has_ended());
    let answer = client.response();
    assert!(!answer.complete, "{answer:?}");
    assert_eq!(gateway.only_count(), (200, FailedBy::Gateway), "the client gave up nothing");
}

#[test]
fn an_address_that_is_taken_is_not_shared_unnoticed() {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    let lifesigns =
        lifesigns::Lifesigns::builder("second").api(lifesigns::ApiOptions::new("polls")).start().unwrap();
    let config = lifesigns_gateway::Config::new(gateway.address, vec![route("polls", upstream.address)]);
    let error = lifesigns_gateway::Gateway::bind(config, lifesigns).err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&gateway.address.to_string()), "{error}");
}
