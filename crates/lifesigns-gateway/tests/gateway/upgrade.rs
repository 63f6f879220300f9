//! Other protocols over the same connection.

use lifesigns_model::exchange::FailedBy;

use crate::support::{Running, Upstream};

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[test]
fn bytes_pass_both_ways_once_both_sides_agree() {
    let upstream = Upstream::new(|connection| {
        let request = connection.request()?.unwrap_or_default();
        assert_eq!((request.get("upgrade"), request.get("connection")), (Some("websocket"), Some("upgrade")));
        // The first bytes of the new protocol come right behind the head.
        connection.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello",
        )?;
        loop {
            let byte = connection.read(1)?;
            connection.write(&byte.to_ascii_uppercase())?;
        }
    });
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    client.send(ASK);
    let answer = client.response();
    assert_eq!(
        (answer.status(), answer.get("upgrade"), answer.get("connection")),
        (101, Some("websocket"), Some("upgrade"))
    );
    assert_eq!(client.read(5), b"hello");
    for round in 0..100 {
        client.send(&format!("round {round}"));
        assert_eq!(client.read(format!("round {round}").len()), format!("ROUND {round}").as_bytes());
    }
    // One way can end before the other.
    client.shutdown_write();
    assert!(client.is_closed());
    assert_eq!(gateway.only_count(), (101, FailedBy::Nobody));
}

#[test]
fn one_way_can_end_before_the_other() {
    let upstream = Upstream::new(|connection| {
        connection.request()?;
        connection.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        )?;
        connection.wait_for_end()?;
        connection.write(b"goodbye")
    });
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    client.send(ASK);
    assert_eq!(client.response().status(), 101);
    client.send("some words");
    client.shutdown_write();
    assert_eq!(client.read(7), b"goodbye");
}

#[test]
fn an_upstream_may_decline() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno");
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    client.send(ASK);
    assert_eq!(client.response().text(), "no");
    assert_eq!(client.get("/").text(), "no");
    gateway.counted(2);
}

#[test]
fn nothing_is_upgraded_that_was_not_announced() {
    let upstream = Upstream::ok();
    let gateway = Running::before(&upstream);
    let mut client = gateway.connect();
    for fields in [
        "Upgrade: websocket",
        "Connection: upgrade",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        "Connection: Upgrade\r\nUpgrade: websocket, h2c",
    ] {
        let answer = client.exchange(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"));
        assert_eq!(answer.status(), 200);
        let request = upstream.seen().pop().unwrap();
        for name in ["upgrade", "connection", "http2-settings"] {
            assert_eq!(request.get(name), None, "{fields}");
        }
    }
}
