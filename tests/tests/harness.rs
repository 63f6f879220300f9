//! The harness itself: if it were wrong, every other test would be about something else.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use lifesigns_tests::client::{Connection, Request, get};
use lifesigns_tests::program::{binary, free_address};
use lifesigns_tests::upstream::{Upstream, pattern};
use serde_json::json;

/// Building the binary takes longer than a test may take, and cargo-nextest sets such limits.
#[test]
fn no_test_with_a_limit_builds_the_binary() {
    let is_named = std::env::var_os("LIFESIGNS_BINARY").is_some();
    assert!(
        is_named || std::env::var_os("NEXTEST").is_none(),
        "scripts/build-binary has not run before this"
    );
    assert!(binary().is_file(), "{} is missing", binary().display());
}

#[test]
fn the_upstream_answers_as_its_paths_say() {
    let upstream = Upstream::start();
    let mut connection = Connection::open(upstream.address()).unwrap();
    for (request, status, body) in [
        (Request::get("/status/418"), 418, b"status 418\n".to_vec()),
        (Request::get("/status/204"), 204, Vec::new()),
        (Request::get("/bytes/100000?x=1"), 200, pattern(100_000)),
        (Request::get("/chunked/100000"), 200, pattern(100_000)),
        (Request::new("HEAD", "/bytes/100000"), 200, Vec::new()),
        (Request::get("/slow/1"), 200, b"slow\n".to_vec()),
        (Request::get("/"), 404, b"nothing here\n".to_vec()),
    ] {
        let answer = connection.exchange(&request).unwrap();
        assert_eq!((answer.status, answer.body), (status, body), "{request:?}");
    }
    assert_eq!(upstream.requests(), 7);
    assert_eq!(upstream.requests_for("/bytes/100000?x=1"), 1);
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn the_upstream_echoes_what_arrived() {
    let upstream = Upstream::start();
    let request = Request::post_json("/echo?a=b", &json!({"a": 1})).header("X-One", "1");
    let echo = request.send(upstream.address()).json();
    assert_eq!(echo["method"], "POST");
    assert_eq!(echo["target"], "/echo?a=b");
    assert_eq!(echo["body"], r#"{"a":1}"#);
    assert!(echo["headers"].as_array().unwrap().contains(&json!(["X-One", "1"])), "{echo}");

    let mut connection = Connection::open(upstream.address()).unwrap();
    connection
        .send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .unwrap();
    assert_eq!(connection.receive("POST").unwrap().json()["body"], "abc");
}

#[test]
fn what_breaks_off_is_an_error() {
    let upstream = Upstream::start();
    assert!(Request::get("/broken/10").try_send(upstream.address()).is_err());
    assert!(Request::get("/hangup").try_send(upstream.address()).is_err());
    assert!(Request::get("/").try_send(free_address()).is_err());
    assert_eq!(get(upstream.address(), "/status/200").status, 200);
}
