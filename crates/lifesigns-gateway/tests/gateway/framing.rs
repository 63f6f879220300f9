//! Where a message ends must never be a matter of opinion between the gateway and the upstream (RFC 9112 §11.2).

use lifesigns_model::exchange::FailedBy;

use crate::support::{Client, Running, Upstream};

/// What an upstream gets to see of a request, and what the client gets to see of the answer.
fn sent(request: &str) -> (Option<u16>, Vec<String>) {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    client.send(request);
    let status = client.try_response("GET").ok().flatten().map(|answer| answer.status());
    (
        status,
        upstream.seen().into_iter().map(|seen| format!("{} [{}]", seen.first_line, seen.text())).collect(),
    )
}

#[track_caller]
fn refused(request: &str) {
    let (status, seen) = sent(request);
    assert!(matches!(status, Some(400 | 405 | 414 | 431)), "{request:?} was answered {status:?}");
    assert_eq!(seen, Vec::<String>::new(), "{request:?} reached the upstream");
}

#[test]
fn a_request_without_one_host_is_refused() {
    refused("GET / HTTP/1.1\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: user@a\r\n\r\n");
    for host in
        ["[::1", "::1", "[::1]80", "[::1]:x", "[a]", "a:b:c", "a:b", "a:65536", "a:-1", "a:+1", ":80", "a]"]
    {
        refused(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    }
    for host in ["", "a:", "a:0", "a:65535", "a.", "[::1]", "[::1]:80", "192.0.2.1:80"] {
        let (status, _) = sent(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(status, Some(200), "{host:?}");
    }
    refused("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n");
}

#[test]
fn lengths_that_contradict_each_other_are_refused() {
    refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd");
    for length in ["3, 4", "+3", "-1", "0x3", "3 3", "", "abc", "99999999999999999999"] {
        refused(&format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\nabc"));
    }
}

#[test]
fn transfer_codings_other_than_chunked_are_refused() {
    for coding in
        ["gzip", "gzip, chunked", "chunked, gzip", "chunked, chunked", "identity", "xchunked", "\"chunked\""]
    {
        refused(&format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n"));
    }
    refused(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    );
    refused("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
}

#[test]
fn chunks_win_over_a_length_and_end_the_connection() {
    for fields in
        ["Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5"]
    {
        let upstream = Upstream::ok();
        let gateway = Running::before(&upstream);
        let mut client = gateway.connect();
        client.send(&format!(
            "POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        ));
        assert_eq!(client.response().status(), 200);
        assert!(client.is_closed(), "{fields}");
        let request = upstream.only_seen();
        assert_eq!((request.target(), request.get("content-length")), ("/", None));
    }
}

#[test]
fn malformed_heads_are_refused() {
    refused("GET / HTTP/1.1\r\nHost: a\r\nX-Folded: one\r\n two\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: a\r\nBad Name: 1\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: a\r\nName : 1\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n");
    refused("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n");
    refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n");
    refused("GET  / HTTP/1.1\r\nHost: a\r\n\r\n");
    refused("GET / HTTP/2.0\r\nHost: a\r\n\r\n");
    refused("GET / HTTP/1.2\r\nHost: a\r\n\r\n");
    refused("GET /\r\nHost: a\r\n\r\n");
    refused("G{T / HTTP/1.1\r\nHost: a\r\n\r\n");
    refused("GET /\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn malformed_chunks_never_make_a_whole_request() {
    for body in [
        "-1\r\na\r\n0\r\n\r\n",
        "0x1\r\na\r\n0\r\n\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "fffffffffffffffff\r\na\r\n0\r\n\r\n",
        "1 1\r\na\r\n0\r\n\r\n",
        "\r\na\r\n0\r\n\r\n",
        "1\r\na0\r\n\r\n",
        "1;a=\nb\r\na\r\n0\r\n\r\n",
    ] {
        let (status, seen) =
            sent(&format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
        assert!(matches!(status, Some(400) | None), "{body:?} was answered {status:?}");
        assert_eq!(seen, Vec::<String>::new(), "{body:?} reached the upstream");
    }
}

#[test]
fn chunk_extensions_and_bare_line_feeds_are_not_passed_on() {
    let (status, seen) = sent(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;name=\"value\"\r\nabc\r\n0;last\r\n\r\n",
    );
    assert_eq!((status, seen), (Some(200), vec!["POST / HTTP/1.1 [abc]".to_owned()]));
    // RFC 9112 §2.2 lets a recipient take a bare LF for a line's end; what goes on has CR LF.
    let (status, seen) = sent("GET /lf HTTP/1.1\nHost: a\n\n");
    assert_eq!((status, seen), (Some(200), vec!["GET /lf HTTP/1.1 []".to_owned()]));
}

#[test]
fn a_target_in_absolute_form_names_its_own_host() {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    for (target, seen) in
        [("http://b.example/x?y=1", "/x?y=1"), ("http://b.example", "/"), ("http://b.example?q", "/?q")]
    {
        assert_eq!(
            client.exchange(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).status(),
            200,
            "{target}"
        );
        let request = upstream.seen().pop().unwrap();
        assert_eq!((request.target(), request.get("host")), (seen, Some("b.example")));
    }
}

#[test]
fn options_of_the_server_itself_pass() {
    let (status, seen) = sent("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((status, seen), (Some(200), vec!["OPTIONS * HTTP/1.1 []".to_owned()]));
}

#[test]
fn options_and_trace_go_as_far_as_they_may() {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    for (method, limits, passed_on) in [
        ("OPTIONS", &["1"][..], &["0"][..]),
        ("TRACE", &["10"], &["9"]),
        ("OPTIONS", &["012"], &["11"]),
        ("TRACE", &["18446744073709551615"], &["18446744073709551614"]),
        // Larger than any number that is counted with.
        ("OPTIONS", &["99999999999999999999999"], &["18446744073709551614"]),
        // What is no limit stays as it is.
        ("OPTIONS", &[], &[]),
        ("OPTIONS", &[""], &[""]),
        ("OPTIONS", &["-1"], &["-1"]),
        ("TRACE", &["+0"], &["+0"]),
        ("OPTIONS", &["0x0"], &["0x0"]),
        ("TRACE", &["0, 1"], &["0, 1"]),
        ("OPTIONS", &["0", "1"], &["0", "1"]),
        ("OPTIONS", &["\u{fc}"], &["\u{fc}"]),
        // Others have none.
        ("GET", &["0"], &["0"]),
        ("POST", &["5"], &["5"]),
        ("options", &["0"], &["0"]),
    ] {
        let fields: String = limits.iter().map(|limit| format!("Max-Forwards: {limit}\r\n")).collect();
        let answer = client.exchange(&format!("{method} /items HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        assert_eq!(answer.status(), 200, "{method} {limits:?}");
        let seen = upstream.seen().pop().unwrap();
        assert_eq!(seen.first_line, format!("{method} /items HTTP/1.1"));
        assert_eq!(seen.all("max-forwards"), passed_on, "{method} {limits:?}");
    }
}

#[test]
fn options_and_trace_that_may_go_no_further_are_answered_here() {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    for (request, status) in [
        ("OPTIONS /items HTTP/1.1\r\nMax-Forwards: 0", 204),
        ("OPTIONS http://a/items HTTP/1.1\r\nMax-Forwards: 000", 204),
        ("OPTIONS * HTTP/1.1\r\nMax-Forwards: 0", 204),
        ("TRACE /items HTTP/1.1\r\nMax-Forwards: 0", 405),
        ("TRACE /items HTTP/1.1\r\nmax-forwards:00", 405),
    ] {
        let answer = client
            .exchange(&format!("{request}\r\nHost: a\r\nX-Request-Id: mine\r\nCookie: id=secret\r\n\r\n"));
        assert_eq!(answer.status(), status, "{request}");
        assert_eq!(answer.get("allow"), Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"), "{request}");
        assert_eq!(answer.get("x-request-id"), Some("mine"), "{request}");
        assert!(!answer.text().contains("secret"), "a request is not sent back: {answer:?}");
    }
    // Such an answer is no affair of the API.
    assert_eq!(client.get("/items").status(), 200);
    assert_eq!(upstream.only_seen().first_line, "GET /items HTTP/1.1");
    assert_eq!(gateway.only_count(), (200, FailedBy::Nobody));
}

#[test]
fn targets_of_a_form_that_their_method_does_not_have_are_refused() {
    for target in ["*", "b.example", "b.example:80", "http://a:99999/", "http://a:b/", "http://:80/"] {
        refused(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    refused("OPTIONS b.example:80 HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn there_are_no_tunnels_to_other_servers() {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    client.send("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.status(), 405);
    assert!(answer.get("allow").unwrap().contains("GET"));
    assert!(client.is_closed());
    assert_eq!(upstream.seen(), []);
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    let ask = |head: &str| {
        let mut client = Client::to(gateway.address);
        client.send(&format!("{head}\r\nHost: a\r\n\r\n"));
        client.response().status()
    };
    assert_eq!(ask(&format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(20_000))), 200);
    assert_eq!(ask(&format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(100_000))), 431);
    assert_eq!(ask(&format!("GET / HTTP/1.1\r\n{}", "X: 1\r\n".repeat(150).trim_end())), 431);
    assert!(matches!(ask(&format!("GET /{} HTTP/1.1", "x".repeat(100_000))), 414 | 431));
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn a_refusal_of_the_gateway_is_a_problem_with_an_id() {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nX-Request-Id: mine\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.get("content-type"), Some("application/problem+json"));
    assert_eq!(answer.get("x-request-id"), Some("mine"));
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&problem["status"], &problem["requestId"]), (&400.into(), &"mine".into()));
    assert!(client.is_closed(), "what follows cannot be trusted to be a request");
}

#[test]
fn garbage_behind_a_request_does_not_spoil_its_answer() {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n\x01\x02garbage\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    assert_eq!(client.response().status(), 400);
    assert!(client.is_closed());
    assert_eq!(gateway.only_count(), (200, FailedBy::Nobody));
}
