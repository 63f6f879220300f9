//! Bad clients get a clear 4xx or a closed connection, never a 5xx; what is unknown passes; what is protected stays
//! protected however it is spelled.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::net::SocketAddr;

use lifesigns_tests::client::{Connection, Request};
use lifesigns_tests::program::Program;
use lifesigns_tests::upstream::Upstream;

/// A gateway without any token: what is protected is closed.
fn gateway() -> (Program, SocketAddr, Upstream) {
    let upstream = Upstream::start();
    let url = format!("http://{}", upstream.address());
    let arguments = ["gateway", "--upstream", &url, "--listen", "127.0.0.1:0", "--data", "memory"];
    let program = Program::start(&arguments);
    let address = program.listening("gateway");
    (program, address, upstream)
}

#[test]
fn a_bad_client_never_causes_a_5xx() {
    let (_program, gateway, upstream) = gateway();
    let long = "x".repeat(100_000);
    let many: String = (0..2000).map(|number| format!("X-{number}: y\r\n")).collect();
    let bad: Vec<(u16, Vec<u8>)> = [
        "NONSENSE\r\n\r\n",
        "GET\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nBad Name: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nName : y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n folded: c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n",
        "GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03",
    ]
    .into_iter()
    .map(|text| (400, text.chars().map(|character| character as u8).collect()))
    .chain([
        (405, b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n".to_vec()),
        (431, format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes()),
        (431, format!("GET / HTTP/1.1\r\nHost: x\r\nA: {long}\r\n\r\n").into_bytes()),
        (431, format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n").into_bytes()),
        (431, format!("{long} / HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes()),
    ])
    .collect();
    for (status, request) in bad {
        // A good head with a bad body may have begun to reach the upstream; none gets there in full.
        let shown = String::from_utf8_lossy(&request[..request.len().min(120)]).into_owned();
        let mut connection = Connection::open(gateway).unwrap();
        // The gateway may have hung up before everything was written.
        let _ = connection.send(&request);
        let _ = connection.finish();
        match connection.receive("GET") {
            Ok(answer) => assert_eq!(answer.status, status, "{shown:?}"),
            Err(error) => panic!("{error} instead of an answer to {shown:?}"),
        }
        let still_there = Request::get("/livez").send(gateway);
        assert_eq!(still_there.status, 200, "after {shown:?}");
        assert_eq!(upstream.requests(), 0, "{:?} after {shown:?}", upstream.targets());
    }
}

#[test]
fn who_speaks_http_2_is_hung_up_on() {
    let (_program, gateway, upstream) = gateway();
    let mut connection = Connection::open(gateway).unwrap();
    connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    // An answer of HTTP/1.1 would be no frame to such a client.
    assert_eq!(connection.receive_rest().unwrap(), b"");
    assert_eq!(Request::get("/livez").send(gateway).status, 200);
    assert_eq!(upstream.requests(), 0);
}

#[test]
fn nonsense_for_a_resource_is_told_apart_from_a_failure() {
    let (_program, gateway, _upstream) = gateway();
    for (request, status) in [
        (Request::get("/health?expect=nonsense"), 400),
        (Request::get("/health?expect=%ff%00"), 400),
        (Request::get("/health/status/999"), 404),
        (Request::get("/health/status/%00"), 404),
        (Request::get("/livez?exclude=%1b[31m&verbose"), 200),
        (Request::new("PATCH", "/status"), 405),
        (Request::new("TRACE", "/health"), 405),
        (Request::get("/health/status").header("Accept", "\"\\\",;q=;=,*/*;q=nan"), 200),
        (Request::get("/health/status").header("Accept-Encoding", "gzip;q=gzip, ;,*;;q=-1"), 200),
        (Request::get("/health/status").header("X-Request-Id", "a b"), 200),
        (Request::get("/health/status").header("traceparent", "00-zz"), 200),
        (Request::get("/health/details").header("Authorization", "Bearer"), 400),
        (Request::get("/health/details").header("Authorization", "Digest x"), 401),
        (Request::new("POST", "/analytics/1.0/o/environments/e/query").body("{"), 401),
    ] {
        let answer = request.send(gateway);
        assert_eq!(answer.status, status, "{request:?}");
        assert!(!answer.text().contains('\x1b'), "{request:?}");
    }
}

#[test]
fn unknown_paths_pass_to_the_upstream_as_they_are() {
    let (_program, gateway, upstream) = gateway();
    for path in [
        "/",
        "/healthy",
        "/health/statuses",
        "/health/details/more",
        "/status/200",
        "/statuses",
        "/Health",
        "/health%252fdetails",
        "//double//slash",
        "/a/./b/../c",
        "/a%20b?c=d&&e=%zz",
        "/metricsx",
        "/analytics/2.0/o/environments/e/query",
        "/%e2%82%ac",
    ] {
        let before = upstream.requests_for(path);
        Request::get(path).send(gateway);
        assert_eq!(upstream.requests_for(path), before + 1, "{path}");
    }
}

#[test]
fn a_protected_path_is_protected_in_every_spelling() {
    let (_program, gateway, upstream) = gateway();
    let resources = ["health/details", "metrics", "analytics/1.0/o/environments/e/query"];
    for resource in resources {
        let first = resource.as_bytes()[0];
        let encoded_first = format!("%{first:02x}{}", &resource[1..]);
        let encoded_whole: String = resource.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let doubled = resource.replace('/', "//");
        let dotted = resource.replace('/', "/./");
        let encoded_slashes = resource.replace('/', "%2f");
        for spelling in [
            format!("/{resource}"),
            format!("//{resource}"),
            format!("/{resource}/"),
            format!("/{resource}//"),
            format!("/./{resource}"),
            format!("/x/../{resource}"),
            format!("/x/%2e%2e/{resource}"),
            format!("/../../{resource}"),
            format!("/{resource}/."),
            format!("/{resource}/x/.."),
            format!("/{resource}?x=y"),
            format!("/{encoded_first}"),
            format!("/{encoded_whole}"),
            format!("/{doubled}"),
            format!("/{dotted}"),
            format!("/{encoded_slashes}"),
            format!("/%2F{resource}"),
            format!("http://anything.example/{resource}"),
            format!("http://anything.example//x/../{resource}"),
        ] {
            for method in ["GET", "HEAD", "POST", "PUT", "BREW"] {
                let answer = Request::new(method, &spelling).send(gateway);
                assert_eq!(answer.status, 401, "{method} {spelling}");
                assert!(answer.header("www-authenticate").is_some(), "{method} {spelling}");
            }
        }
    }
    assert_eq!(upstream.requests(), 0);
}
