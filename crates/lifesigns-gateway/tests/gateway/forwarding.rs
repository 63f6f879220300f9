//! What reaches the upstream, and what comes back.

use lifesigns_model::exchange::FailedBy;

use crate::support::{DEADLINE, Running, Upstream, route};

#[test]
fn an_exchange_passes_and_is_counted_once() {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    let answer = gateway.connect().get("/questions?page=2");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "ok"));
    assert_eq!(upstream.only_seen().first_line, "GET /questions?page=2 HTTP/1.1");
    let counted = gateway.counted(1);
    let expected = ("polls".to_owned(), "/questions".to_owned(), 200, FailedBy::Nobody);
    assert_eq!(counted.into_iter().collect::<Vec<_>>(), [(expected, 1)]);
}

#[test]
fn many_exchanges_share_a_connection_on_both_sides() {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    for _ in 0..50 {
        assert_eq!(client.get("/").text(), "ok");
    }
    assert_eq!(upstream.connections(), 1);
    gateway.counted(50);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::new(|connection| {
        while let Some(request) = connection.request()? {
            let body = request.target().to_owned();
            connection.write(
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes(),
            )?;
        }
        Ok(())
    });
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    let requests: Vec<String> = (0..20).map(|i| format!("GET /{i} HTTP/1.1\r\nhost: a\r\n\r\n")).collect();
    client.send(&requests.concat());
    for i in 0..20 {
        assert_eq!(client.response().text(), format!("/{i}"));
    }
}

#[test]
fn hop_by_hop_fields_end_at_the_gateway() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: keep-alive, X-Private\r\nKeep-Alive: timeout=5\r\n\
         X-Private: 1\r\nProxy-Connection: keep-alive\r\nX-Kept: 1\r\n\r\nok",
    );
    let gateway = Running::before(&upstream);
    let answer = gateway.connect().exchange(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Secret, keep-alive\r\nConnection: x-other\r\nX-Secret: 1\r\n\
         X-Other: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\nX-Kept: 1\r\n\r\n",
    );
    let request = upstream.only_seen();
    for name in ["connection", "x-secret", "x-other", "keep-alive", "proxy-connection", "te"] {
        assert_eq!(request.get(name), None, "{name}");
    }
    for name in ["x-private", "keep-alive", "proxy-connection", "connection"] {
        assert_eq!(answer.get(name), None, "{name}");
    }
    assert_eq!((request.get("x-kept"), answer.get("x-kept")), (Some("1"), Some("1")));
}

#[test]
fn a_connection_field_cannot_take_away_host_or_framing() {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    let answer = gateway.connect().exchange(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: host, content-length\r\nContent-Length: 3\r\n\r\nabc",
    );
    assert_eq!(answer.status(), 200);
    let request = upstream.only_seen();
    assert_eq!((request.get("host"), request.text().as_str()), (Some("a"), "abc"));
}

#[test]
fn the_upstream_learns_who_asked_for_what() {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    gateway.connect().exchange(
        "GET / HTTP/1.1\r\nHost: api.example.com\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2\r\n\
         X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Prefix: /evil\r\nForwarded: for=evil\r\n\r\n",
    );
    let request = upstream.only_seen();
    assert_eq!(request.get("host"), Some("api.example.com"));
    assert_eq!(request.get("x-forwarded-for"), Some("10.0.0.1, 10.0.0.2, 127.0.0.1"));
    assert_eq!(request.get("x-forwarded-proto"), Some("http"));
    assert_eq!(request.get("x-forwarded-host"), Some("api.example.com"));
    assert_eq!((request.get("forwarded"), request.get("x-forwarded-prefix")), (None, None));
}

#[test]
fn a_trusted_proxy_in_front_is_believed() {
    let upstream = Upstream::ok();
    let gateway = Running::with(vec![route("polls", upstream.address)], |config| {
        config.trust_forwarded = true;
        config.via = Some("edge".to_owned());
    });
    let answer = gateway.connect().exchange(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\nForwarded: for=c\r\n\
         Via: 1.1 front\r\n\r\n",
    );
    let request = upstream.only_seen();
    assert_eq!(request.get("x-forwarded-proto"), Some("https"));
    assert_eq!(request.get("x-forwarded-host"), Some("b"));
    assert_eq!(request.get("forwarded"), Some("for=c"));
    assert_eq!((request.get("via"), answer.get("via")), (Some("1.1 front, 1.1 edge"), Some("1.1 edge")));
}

#[test]
fn a_request_id_is_kept_or_made_and_comes_back() {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    let answer = client.exchange("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: abc-1\r\n\r\n");
    assert_eq!(answer.get("x-request-id"), Some("abc-1"));
    let too_long = "x".repeat(129);
    for bad in ["", "two words", &too_long] {
        let answer = client.exchange(&format!("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: {bad}\r\n\r\n"));
        let made = answer.get("x-request-id").unwrap();
        assert_eq!(made.len(), 32, "{bad:?} became {made:?}");
        assert_eq!(upstream.seen().last().unwrap().get("x-request-id"), Some(made));
    }
}

#[test]
fn a_trace_goes_on_only_if_it_is_one() {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (sent, passes) in [
        (good, true),
        ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", true),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", false),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
        ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
        ("nonsense", false),
    ] {
        client.exchange(&format!(
            "GET / HTTP/1.1\r\nHost: a\r\ntraceparent: {sent}\r\ntracestate: a=1\r\n\r\n"
        ));
        let request = upstream.seen().pop().unwrap();
        assert_eq!(request.get("traceparent"), passes.then_some(sent), "{sent}");
        assert_eq!(request.get("tracestate"), passes.then_some("a=1"), "{sent}");
    }
}

#[test]
fn statuses_are_counted_against_whom_they_belong_to() {
    let upstream = Upstream::new(|connection| {
        while let Some(request) = connection.request()? {
            let status = request.target().trim_start_matches('/').to_owned();
            connection
                .write(format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 0\r\n\r\n").as_bytes())?;
        }
        Ok(())
    });
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    for status in [200, 302, 400, 404, 500, 503] {
        assert_eq!(client.get(&format!("/{status}")).status(), status);
    }
    let blamed = |status| match status {
        500.. => FailedBy::Upstream,
        400..500 => FailedBy::Client,
        _ => FailedBy::Nobody,
    };
    for (_, _, status, failed_by) in gateway.counted(6).into_keys() {
        assert_eq!(failed_by, blamed(status), "{status}");
    }
}

#[test]
fn paths_that_do_not_exist_make_no_routes() {
    let upstream = Upstream::answering("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    for word in ["admin", "wp-login.php", "backup"] {
        assert_eq!(client.get(&format!("/{word}")).status(), 404);
    }
    let routes: Vec<String> = gateway.counted(3).into_keys().map(|(_, route, _, _)| route).collect();
    assert_eq!(routes, ["_na_"]);
}

#[test]
fn responses_without_a_body_keep_their_length_field() {
    let upstream = Upstream::new(|connection| {
        while let Some(request) = connection.request()? {
            connection.write(match request.target() {
                "/204" => b"HTTP/1.1 204 No Content\r\n\r\n".as_slice(),
                "/304" => b"HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n",
                "/chunked" => b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                _ => b"HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n",
            })?;
        }
        Ok(())
    });
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    let answer = client.exchange("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!((answer.status(), answer.get("content-length")), (200, Some("1234")));
    let answer = client.exchange("HEAD /chunked HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!((answer.status(), answer.get("content-length")), (200, None));
    let answer = client.get("/204");
    assert_eq!(
        (answer.status(), answer.get("content-length"), answer.get("transfer-encoding")),
        (204, None, None)
    );
    let answer = client.get("/304");
    assert_eq!((answer.status(), answer.get("etag")), (304, Some("\"a\"")));
    assert_eq!(upstream.connections(), 1);
    gateway.counted(4);
}

#[test]
fn http_1_0_clients_are_served() {
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    let answer = client.exchange("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "ok"));
    assert_eq!(answer.get("transfer-encoding"), None, "HTTP/1.0 knows no chunks");
    assert!(client.is_closed());
    let request = upstream.only_seen();
    assert_eq!(request.first_line, "GET / HTTP/1.1");
    assert_eq!(request.get("host"), Some(upstream.address.to_string().as_str()));
}

#[test]
fn a_client_of_http_1_0_is_not_kept_where_only_the_end_tells_the_length() {
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    let gateway = Running::before(&upstream);
    let ask = |fields: &str| {
        let mut client = gateway.connect();
        let answer = client.exchange(&format!("GET / HTTP/1.0\r\nconnection: keep-alive\r\n{fields}\r\n"));
        (answer, client)
    };
    let (answer, mut client) = ask("");
    assert_eq!((answer.text().as_str(), answer.get("connection")), ("ok", Some("close")));
    assert!(client.is_closed());
    let (answer, mut client) = ask("host: a b\r\n");
    assert_eq!((answer.status(), answer.get("connection")), (400, Some("close")));
    assert!(client.is_closed());

    let gateway = Running::before(&Upstream::ok());
    let mut client = gateway.connect();
    for _ in 0..2 {
        let answer = client.exchange("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
        assert_eq!((answer.text().as_str(), answer.get("connection")), ("ok", Some("keep-alive")));
    }
}

#[test]
fn http_1_0_upstreams_are_understood() {
    let upstream = Upstream::new(|connection| {
        connection.request()?;
        connection.write(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")
    });
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!((answer.status(), answer.text().as_str(), answer.complete), (200, "until the end", true));
    }
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn closing_the_upstream_connection_does_not_close_the_clients() {
    let upstream = Upstream::new(|connection| {
        connection.request()?;
        connection.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
    });
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    for _ in 0..5 {
        let answer = client.get("/");
        assert_eq!((answer.text().as_str(), answer.get("connection")), ("ok", None));
    }
    assert_eq!(upstream.connections(), 5);
}

#[test]
fn a_client_that_goes_away_takes_its_request_along() {
    let (gone, was_gone) = std::sync::mpsc::channel();
    let gone = std::sync::Mutex::new(gone);
    let upstream = Upstream::new(move |connection| {
        connection.request()?;
        // Never answers; ends when the gateway closes.
        connection.wait_for_end()?;
        gone.lock().unwrap().send(()).map_err(std::io::Error::other)
    });
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    crate::support::wait_until("the upstream is asked", || upstream.seen().len() == 1);
    drop(client);
    was_gone.recv_timeout(DEADLINE).expect("the upstream's request was not cancelled");
    assert_eq!(gateway.only_count(), (499, FailedBy::Client));
}

#[test]
fn a_client_that_closes_its_side_after_its_request_still_gets_the_answer() {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    for request in
        ["GET / HTTP/1.1\r\nhost: a\r\n\r\n", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc"]
    {
        let mut client = gateway.connect();
        client.send(request);
        client.shutdown_write();
        assert_eq!(client.response().status(), 200, "{request:?}");
        assert!(client.is_closed(), "there can be no other request");
    }
    assert!(
        gateway
            .counted(2)
            .keys()
            .all(|(_, _, status, failed_by)| (*status, *failed_by) == (200, FailedBy::Nobody))
    );
}

#[test]
fn pipelined_requests_of_a_client_that_has_closed_its_side_are_all_answered() {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    for requests in 2..6 {
        let mut client = gateway.connect();
        client.send(&"GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(requests));
        client.shutdown_write();
        for request in 0..requests {
            assert_eq!(client.response().status(), 200, "{request} of {requests}");
        }
        assert!(client.is_closed(), "there can be no other request");
    }
}
