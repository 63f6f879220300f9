//! Messages at the edge of RFC 9112, and beyond it: each is read as it is meant, or told for what it is.

use lifesigns_fetch::{Answer, Body, Failure, FailureKind};
use tokio::io::AsyncWriteExt;

use super::peer::{Peer, read_head, read_to_end};
use super::{assert_fails, get};

const UNEXPECTED: FailureKind = FailureKind::UnexpectedAnswer;

/// What comes of a server that says this, and leaves the connection open for as long as anybody listens.
async fn saying(said: impl Into<Vec<u8>>) -> Result<Answer, Failure> {
    let said = said.into();
    let peer = Peer::start(move |mut stream| {
        let said = said.clone();
        async move {
            read_head(&mut stream).await;
            // Whoever has heard enough hangs up.
            let _ = stream.write_all(&said).await;
            read_to_end(stream).await;
        }
    })
    .await;
    let found = get(&peer.url("/")).await;
    peer.is_left_alone_after(1).await;
    found
}

async fn body(said: impl Into<Vec<u8>>) -> Body {
    saying(said).await.unwrap().body
}

#[tokio::test]
async fn interim_answers_are_passed_over_and_endless_ones_end_it() {
    const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let found = saying(HINTS.repeat(16) + OK).await.unwrap();
    assert_eq!((found.status, found.body), (200, Body::Whole("ok".into())));
    assert!(!found.headers.contains_key("link"));
    assert_fails(saying(HINTS.repeat(17)).await, UNEXPECTED, "sends more than 16 interim answers");
    for interim in ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 102 Processing\r\n\r\n", HINTS] {
        let peer = Peer::start(move |mut stream| async move {
            read_head(&mut stream).await;
            while stream.write_all(interim.repeat(100).as_bytes()).await.is_ok() {}
        })
        .await;
        assert_fails(get(&peer.url("/")).await, UNEXPECTED, "sends more than 16 interim answers");
        peer.is_left_alone_after(1).await;
    }
}

#[tokio::test]
async fn another_protocol_is_no_answer() {
    let said = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello";
    assert_fails(saying(said).await, UNEXPECTED, "switches to another protocol");
    assert_fails(saying("HTTP/2.0 200 OK\r\n\r\n").await, UNEXPECTED, "is no HTTP/1.1");
    // Nobody says so who has not upgraded: RFC 9110 §15.2.2.
    assert_fails(saying("HTTP/1.0 101 Oh\r\n\r\n").await, UNEXPECTED, "switches to another protocol");
}

#[tokio::test]
async fn answers_of_old_servers_are_read() {
    let said = async |said: &'static str| get(&Peer::answering(said).await.url("/")).await.unwrap();
    let found = said("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhealthy").await;
    assert_eq!((found.status, found.body), (200, Body::Whole("healthy".into())));
    assert_eq!(
        said("HTTP/1.0 200\r\nContent-Length: 2\r\n\r\nok, and more").await.body,
        Body::Whole("ok".into())
    );
    // A line that goes on in the next one: RFC 9112 §5.2.
    let found = said(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain;\r\n\tcharset=utf-8\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let content_type = found.headers["content-type"].to_str().unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!((content_type, found.body), (vec!["text/plain;", "charset=utf-8"], Body::Whole("ok".into())));
}

#[tokio::test]
async fn an_answer_without_a_body_has_none_whatever_follows() {
    for status in ["204 No Content", "304 Not Modified"] {
        for length in ["Content-Length: 2\r\n", "Transfer-Encoding: chunked\r\n", ""] {
            let said = format!("HTTP/1.1 {status}\r\n{length}\r\n2\r\nok\r\n0\r\n\r\n");
            assert_eq!(body(said).await, Body::Whole("".into()), "{status} {length}");
        }
    }
}

#[tokio::test]
async fn the_length_of_a_body_is_what_the_standard_says_it_is() {
    let ok = || Body::Whole("ok".into());
    let chunked = "Transfer-Encoding: chunked\r\n";
    // RFC 9112 §6.3: chunks count more than a length.
    let both = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n{chunked}\r\n2\r\nok\r\n0\r\n\r\n");
    assert_eq!(body(both).await, ok());
    let trailers = "0\r\nDigest: x\r\nContent-Length: 9\r\n\r\n";
    assert_eq!(body(format!("HTTP/1.1 200 OK\r\n{chunked}\r\n2;a=b\r\nok\r\n{trailers}")).await, ok());
    assert_eq!(body("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok").await, ok());
    let differing = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!";
    assert_fails(saying(differing).await, UNEXPECTED, "is no HTTP/1.1");
    let odd = "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok";
    assert_fails(saying(odd).await, UNEXPECTED, "is no HTTP/1.1");
    for broken in ["x\r\nok\r\n0\r\n\r\n", "fffffffffffffffff\r\nok", "2\r\nokay\r\n"] {
        let Body::Unreadable(why) = body(format!("HTTP/1.1 200 OK\r\n{chunked}\r\n{broken}")).await else {
            panic!("{broken:?} can be read")
        };
        assert!(why.starts_with("breaks off"), "{why}");
    }
}

#[tokio::test]
async fn heads_and_trailers_without_an_end_are_told() {
    let long = format!("X: {}\r\n", "x".repeat(1000));
    assert_fails(saying(format!("HTTP/1.1 200 OK\r\n{}", long.repeat(99))).await, UNEXPECTED, "too long");
    assert_fails(
        saying(format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(1000))).await,
        UNEXPECTED,
        "too long",
    );
    assert_fails(saying(format!("HTTP/1.1 200 {}", "x".repeat(100_000))).await, UNEXPECTED, "too long");
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n";
    let Body::Unreadable(why) = body(format!("{head}{}", long.repeat(1000))).await else {
        panic!("it can be read")
    };
    assert!(why.starts_with("breaks off"), "{why}");
}
