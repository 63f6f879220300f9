//! Bodies are streamed, whole or not at all.

use std::{io, thread};

use lifesigns_model::exchange::FailedBy;

use crate::support::{Running, Upstream, wait_until};

const MEGABYTE: usize = 1 << 20;

/// Bytes that show when one is missing or in the wrong place.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

#[test]
fn large_bodies_pass_whole_in_both_directions() {
    let upstream = Upstream::new(|connection| {
        while let Some(request) = connection.request()? {
            connection.write(
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", request.body.len()).as_bytes(),
            )?;
            connection.write(&request.body)?;
        }
        Ok(())
    });
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    let body = pattern(3 * MEGABYTE + 7);
    for _ in 0..2 {
        client.send(&format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len()));
        client.send_bytes(&body);
        let answer = client.response();
        assert!(answer.complete && answer.body == body);
    }
    assert_eq!(upstream.connections(), 1);
    gateway.counted(2);
    assert_eq!(gateway.counted_bytes(), (2 * body.len() as u64, 2 * body.len() as u64));
}

#[test]
fn chunked_bodies_stay_chunked_for_every_method() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    );
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    for method in ["POST", "GET", "DELETE", "PUT"] {
        let answer = client.exchange(&format!(
            "{method} / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4;ext=1\r\nabcd\r\n1\r\ne\r\n0\r\n\r\n"
        ));
        assert_eq!((answer.text().as_str(), answer.get("transfer-encoding")), ("abcde", Some("chunked")));
        let request = upstream.seen().pop().unwrap();
        assert_eq!((request.text().as_str(), request.get("content-length")), ("abcde", None), "{method}");
    }
}

#[test]
fn a_body_passes_while_it_is_being_made() {
    let upstream = Upstream::new(|connection| {
        connection.head()?;
        connection.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        // Each piece goes back before the next one is sent: whoever collects bodies never gets past the first.
        for _ in 0..5 {
            let piece = connection.read(1)?;
            connection.write(b"1\r\n")?;
            connection.write(&piece)?;
            connection.write(b"\r\n")?;
        }
        connection.write(b"0\r\n\r\n")?;
        connection.wait_for_end()
    });
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(client.read(1));
    }
    for piece in b"abcde" {
        client.send_bytes(&[*piece]);
        assert_eq!(client.read(6), [b"1\r\n".as_slice(), &[*piece], b"\r\n"].concat());
    }
    assert_eq!(client.read(5), b"0\r\n\r\n");
}

#[test]
fn trailers_pass_to_a_client_that_wants_them() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n",
    );
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    let answer = client.exchange("GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\n\r\n");
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "1".to_owned())]);
    assert_eq!(upstream.only_seen().get("te"), Some("trailers"));
}

#[test]
fn an_answer_may_come_before_the_request_has_ended() {
    let upstream = Upstream::new(|connection| {
        connection.head()?;
        connection.write(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nno!")?;
        connection.wait_for_end()
    });
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    client.send(&format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", 64 * MEGABYTE));
    client.send_bytes(&pattern(1000));
    let answer = client.response();
    assert_eq!((answer.status(), answer.text().as_str(), answer.complete), (413, "no!", true));
    // The rest of the request can no longer be told from a new one, so the connection has to end.
    assert!(client.is_closed());
    assert_eq!(gateway.only_count(), (413, FailedBy::Client));
}

#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let upstream = Upstream::new(|connection| {
        connection.head()?;
        connection.write(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nno!")
    });
    let gateway = Running::before(&upstream);
    for _ in 0..10 {
        let mut client = gateway.connect();
        client.send(&format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", 64 * MEGABYTE));
        for _ in 0..4 {
            // It may be told to stop at any time.
            if client.try_send(&pattern(16 * 1024)).is_err() {
                break;
            }
        }
        match client.try_response("POST") {
            Ok(answer) => assert!(matches!(answer.unwrap().status(), 413 | 502)),
            Err(error) => panic!("the answer was lost: {error}"),
        }
    }
}

#[test]
fn a_client_that_does_not_read_stops_the_upstream() {
    let (sent, progress) = std::sync::mpsc::channel();
    let sent = std::sync::Mutex::new(sent);
    let upstream = Upstream::new(move |connection| {
        connection.request()?;
        connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n")?;
        for _ in 0..1024 {
            connection.write(&vec![0; MEGABYTE])?;
            sent.lock().unwrap().send(MEGABYTE).map_err(io::Error::other)?;
        }
        Ok(())
    });
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    // The upstream gets as far as the sockets' buffers reach, then it stands still.
    let mut total = 0;
    while let Ok(more) = progress.recv_timeout(std::time::Duration::from_millis(500)) {
        total += more;
    }
    assert!(total < 64 * MEGABYTE, "{total} bytes went somewhere although nobody reads them");
    drop(client);
    assert_eq!(gateway.only_count(), (200, FailedBy::Client));
}

#[test]
fn a_client_that_breaks_off_its_body_is_to_blame_itself() {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nonly this");
    wait_until("the upstream is connected to", || upstream.connections() == 1);
    drop(client);
    let (_, failed_by) = gateway.only_count();
    assert_eq!(failed_by, FailedBy::Client);
}

#[test]
fn a_body_that_is_none_is_the_clients_fault() {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.status(), 400);
    assert!(client.is_closed());
    assert_eq!(gateway.only_count(), (400, FailedBy::Client));
    assert_eq!(upstream.seen(), []);
}

#[test]
fn a_body_waits_until_the_upstream_wants_it() {
    let upstream = Upstream::new(|connection| {
        while let Some(head) = connection.head()? {
            assert_eq!(head.get("expect"), Some("100-continue"));
            connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            assert_eq!(connection.read(3)?, b"abc");
            connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
        }
        Ok(())
    });
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    for _ in 0..2 {
        client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
        assert_eq!(client.response().status(), 100);
        client.send("abc");
        assert_eq!(client.response().text(), "ok");
    }
    assert_eq!(upstream.connections(), 1);
    gateway.counted(2);
}

#[test]
fn an_upstream_can_refuse_a_body_before_it_is_sent() {
    let upstream = Upstream::new(|connection| {
        connection.head()?;
        connection.write(b"HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n")?;
        connection.wait_for_end()
    });
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
    assert_eq!(client.response().status(), 417, "the client was told to go on");
    assert_eq!(gateway.only_count(), (417, FailedBy::Client));
}

#[test]
fn an_upstream_that_knows_nothing_of_100_gets_the_body_all_the_same() {
    let upstream = Upstream::ok();
    let gateway = Running::with(vec![crate::support::route("polls", upstream.address)], |config| {
        config.timeouts.expect_continue = crate::support::SHORT;
    });
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
    assert_eq!(client.response().status(), 100);
    client.send("abc");
    assert_eq!(client.response().text(), "ok");
    assert_eq!(upstream.only_seen().text(), "abc");
}

#[test]
fn many_clients_at_once_get_what_is_theirs() {
    let upstream = Upstream::new(|connection| {
        while let Some(request) = connection.request()? {
            let body = request.target().repeat(500);
            connection.write(
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes(),
            )?;
        }
        Ok(())
    });
    let gateway = Running::before(&upstream);
    thread::scope(|scope| {
        for number in 0..16 {
            let mut client = gateway.connect();
            scope.spawn(move || {
                for round in 0..50 {
                    let target = format!("/{number}/{round}");
                    assert_eq!(client.get(&target).text(), target.repeat(500));
                }
            });
        }
    });
    gateway.counted(16 * 50);
}
