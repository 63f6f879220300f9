//! Answers fetched from servers that mean no good, over real sockets.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

mod message;
mod peer;

use std::time::Duration;

use lifesigns_fetch::{
    AddressPolicy, Answer, Body, Failure, FailureKind, Fetcher, Options, Redirects, Request,
};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

use self::peer::{Authority, Peer, read_head, read_to_end};

/// Longer than anything here may take.
const LONG: Duration = Duration::from_secs(20);

async fn fetch(options: Options, url: &str, request: &Request) -> Result<Answer, Failure> {
    let fetcher = Fetcher::new(options).unwrap();
    timeout(LONG, fetcher.fetch(&url.parse().unwrap(), request)).await.expect("it ends by itself")
}

async fn get(url: &str) -> Result<Answer, Failure> {
    fetch(Options::default(), url, &Request::get()).await
}

fn anywhere() -> Options {
    Options { redirects: Redirects::Anywhere(3), ..Options::default() }
}

fn redirect(place: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n")
}

fn answer(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[track_caller]
fn assert_fails(result: Result<Answer, Failure>, kind: FailureKind, words: &str) {
    let failure = result.expect_err("there is an answer");
    assert_eq!((failure.kind, failure.is_own), (kind, false), "{failure}");
    assert!(failure.message.contains(words), "`{words}` is not in: {failure}");
}

#[tokio::test]
async fn an_answer_comes_with_all_there_is_to_know() {
    let peer = Peer::answering(answer("Content-Type: text/plain\r\n", b"ok")).await;
    let url = peer.url("/health?a=b#c");
    let found = get(&url).await.unwrap();
    assert_eq!((found.status, &found.body, found.address), (200, &Body::Whole("ok".into()), peer.address));
    assert_eq!((found.url.as_str(), found.certificate_expires), (&*url, None));
    assert_eq!(found.headers["content-type"], "text/plain");
    assert!(found.first_byte > Duration::ZERO);
    let heard = peer.heard()[0].to_ascii_lowercase();
    let host = format!("host: {}", peer.address);
    for line in
        ["get /health?a=b http/1.1", &host, "accept-encoding: gzip, deflate, br, zstd", "connection: close"]
    {
        assert!(heard.lines().any(|heard| heard == line), "{line}: {heard}");
    }
    peer.is_left_alone_after(1).await;
}

#[tokio::test]
async fn a_redirect_to_metadata_is_not_followed() {
    for place in [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/latest/meta-data/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://2852039166/",
        "http://0xa9.0xfe.0xa9.0xfe/",
    ] {
        let lure = Peer::answering(redirect(place)).await;
        let result = fetch(anywhere(), &lure.url("/"), &Request::get()).await;
        assert_fails(result, FailureKind::Failed, "is not asked: its address");
        // By itself nothing leaves its origin, and the redirect is the answer.
        assert_eq!(get(&lure.url("/")).await.unwrap().status, 302);
    }
    assert_fails(get("http://169.254.169.254/").await, FailureKind::Failed, "link-local");
    assert_fails(get("https://[fd00:ec2::254]/").await, FailureKind::Failed, "metadata");
    assert_fails(get("http://0.0.0.0/").await, FailureKind::Failed, "unspecified");
    let peer = Peer::answering(answer("", b"ok")).await;
    let any = Options { addresses: AddressPolicy::Any, ..Options::default() };
    let unspecified = format!("http://0.0.0.0:{}/", peer.address.port());
    assert_eq!(fetch(any, &unspecified, &Request::get()).await.unwrap().status, 200);
}

#[tokio::test]
async fn credentials_do_not_leave_their_origin() {
    let other = Peer::answering(answer("", b"there")).await;
    let home = Peer::answering(redirect(&other.url("/there"))).await;
    let mut request = Request::get();
    request.headers.insert("authorization", "Bearer opensesame".parse().unwrap());
    request.headers.insert("x-kept", "1".parse().unwrap());
    let found = fetch(anywhere(), &home.url("/"), &request).await.unwrap();
    assert_eq!((found.url.as_str(), found.address), (&*other.url("/there"), other.address));
    assert!(home.heard()[0].contains("opensesame"));
    let heard = other.heard()[0].to_ascii_lowercase();
    assert!(!heard.contains("opensesame") && !heard.contains("authorization"), "{heard}");
    assert!(heard.contains("x-kept: 1") && heard.contains(&format!("host: {}", other.address)), "{heard}");
    assert!(!format!("{request:?}").contains("opensesame"));
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let circle = Peer::answering(redirect("/")).await;
    assert_eq!(get(&circle.url("/")).await.unwrap().status, 302);
    circle.is_left_alone_after(4).await;
    let never = Options { redirects: Redirects::Never, ..Options::default() };
    assert_eq!(fetch(never, &circle.url("/"), &Request::get()).await.unwrap().status, 302);
    circle.is_left_alone_after(5).await;
    let endless = Options { redirects: Redirects::Anywhere(21), ..Options::default() };
    assert_eq!(Fetcher::new(endless).unwrap_err().option, "redirects");
}

#[tokio::test]
async fn compressed_bodies_are_decoded_within_their_limit() {
    let gzip = |text: &[u8]| {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let small = Peer::answering(answer("Content-Encoding: gzip\r\n", &gzip(b"healthy"))).await;
    assert_eq!(get(&small.url("/")).await.unwrap().body, Body::Whole("healthy".into()));
    let as_it_is = Options { decompress: false, ..Options::default() };
    let found = fetch(as_it_is, &small.url("/"), &Request::get()).await.unwrap();
    assert_eq!(found.body, Body::Unreadable("is compressed, which was not asked for".into()));
    assert!(!small.heard()[1].to_ascii_lowercase().contains("accept-encoding"));

    let bomb = gzip(&vec![0; 100 * 1024 * 1024]);
    assert!(bomb.len() < 1024 * 1024);
    let bomb = Peer::answering(answer("Content-Encoding: gzip\r\n", &bomb)).await;
    let Body::TooLong(beginning) = get(&bomb.url("/")).await.unwrap().body else {
        panic!("it is not too long")
    };
    assert_eq!(beginning.len(), 1024 * 1024);

    let broken = Peer::answering(answer("Content-Encoding: gzip\r\n", b"no gzip at all")).await;
    let Body::Unreadable(why) = get(&broken.url("/")).await.unwrap().body else { panic!("it can be read") };
    assert!(why.starts_with("cannot be decompressed"), "{why}");
}

#[tokio::test]
async fn endless_bodies_are_read_to_their_limit() {
    for head in [
        "Content-Length: 10000000000\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n",
        "Connection: close\r\n\r\n",
    ] {
        let peer = Peer::start(move |mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(format!("HTTP/1.1 500 Oh\r\n{head}").as_bytes()).await.unwrap();
            let chunk = [b"2000\r\n".as_slice(), &[b' '; 8192], b"\r\n"].concat();
            while stream.write_all(&chunk).await.is_ok() {}
        })
        .await;
        let found = get(&peer.url("/")).await.unwrap();
        assert_eq!((found.status, found.body.beginning().len()), (500, 1024 * 1024));
        assert!(matches!(found.body, Body::TooLong(_)));
        peer.is_left_alone_after(1).await;
    }
    let exact = Peer::answering(answer("", b"12345")).await;
    let limited = |longest_body| Options { longest_body, ..Options::default() };
    let body = async |limit| fetch(limited(limit), &exact.url("/"), &Request::get()).await.unwrap().body;
    assert_eq!(body(5).await, Body::Whole("12345".into()));
    assert_eq!(body(4).await, Body::TooLong("1234".into()));
    assert_eq!(body(0).await, Body::TooLong("".into()));
}

#[tokio::test]
async fn for_whom_the_status_says_it_all_a_body_is_not_waited_for() {
    let content = |status: &'static str| async move {
        let peer = Peer::start(move |mut stream| async move {
            read_head(&mut stream).await;
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            if !status.starts_with('2') {
                stream.write_all(b"why").await.unwrap();
            }
            read_to_end(stream).await;
        })
        .await;
        let options = Options { body_of_success: false, ..Options::default() };
        fetch(options, &peer.url("/"), &Request::get()).await.unwrap().body
    };
    assert_eq!(content("202 Accepted").await, Body::TooLong("".into()));
    assert_eq!(content("400 Bad Request").await, Body::Whole("why".into()));
}

#[tokio::test]
async fn whoever_sends_a_byte_now_and_then_is_left_at_the_deadline() {
    for beginning in ["", "HTTP/1.1 200 OK\r\nX: ", "HTTP/1.1 200 OK\r\n\r\n"] {
        let peer = Peer::start(move |mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(beginning.as_bytes()).await.unwrap();
            let mut dripping = tokio::time::interval(Duration::from_millis(5));
            while stream.write_all(b"H").await.is_ok() {
                dripping.tick().await;
            }
        })
        .await;
        let fetcher = Fetcher::new(Options::default()).unwrap();
        let (url, request) = (peer.url("/").parse().unwrap(), Request::get());
        let result = timeout(Duration::from_millis(200), fetcher.fetch(&url, &request)).await;
        assert!(result.is_err(), "it has ended: {result:?}");
        peer.is_left_alone_after(1).await;
    }
}

#[tokio::test]
async fn whoever_breaks_off_or_talks_nonsense_is_told() {
    let saying = async |said: &'static [u8]| get(&Peer::answering(said).await.url("/")).await;
    let unexpected = FailureKind::UnexpectedAnswer;
    assert_fails(saying(b"").await, unexpected, "it closed the connection without an answer");
    assert_fails(saying(b"HTTP/1.1 200").await, unexpected, "closed the connection");
    assert_fails(saying(b"220 mail.example ESMTP\r\n").await, unexpected, "is no HTTP/1.1");
    assert_fails(saying(b"\x00\xff\xfe\r\n\r\n").await, unexpected, "is no HTTP/1.1");
    // It has answered nevertheless, and its status is known.
    let found = saying(b"HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\nx").await.unwrap();
    let Body::Unreadable(why) = found.body else { panic!("it can be read") };
    assert!(found.status == 503 && why.starts_with("breaks off"), "{} {why}", found.status);
    let deserted = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_fails(get(&format!("http://{deserted}/")).await, FailureKind::Unreachable, "refused");
    assert_fails(get("http://lifesigns.invalid/").await, FailureKind::Unreachable, "does not resolve");
    assert_fails(get("ftp://127.0.0.1/").await, FailureKind::Failed, "http://");
    assert_fails(get("http://me:secret@127.0.0.1/").await, FailureKind::Failed, "password");
}

#[tokio::test]
async fn heads_and_bodies_are_sent() {
    let peer =
        Peer::answering("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 40\r\n\r\n").await;
    let head = Request { method: "HEAD".parse().unwrap(), ..Request::get() };
    let found = fetch(Options::default(), &peer.url("/"), &head).await.unwrap();
    assert_eq!(
        (found.body, found.headers["content-length"].as_bytes()),
        (Body::Whole("".into()), &b"40"[..])
    );
    let peer = Peer::answering(answer("", b"ok")).await;
    let post = Request { method: "POST".parse().unwrap(), body: "{}".into(), ..Request::get() };
    assert_eq!(fetch(Options::default(), &peer.url("/in"), &post).await.unwrap().status, 200);
    let heard = peer.heard()[0].to_ascii_lowercase();
    assert!(heard.starts_with("post /in http/1.1\r\n") && heard.contains("content-length: 2"), "{heard}");
}

#[tokio::test]
async fn certificates_are_verified_and_their_end_is_told() {
    let authority = Authority::new();
    let trusting = Options { ca_file: Some(authority.file()), ..Options::default() };
    let (peer, ends) = authority.serve("localhost", 90, answer("", b"ok")).await;
    let at = |host: &str| format!("https://{host}:{}/", peer.address.port());
    let found = fetch(trusting.clone(), &at("localhost"), &Request::get()).await.unwrap();
    assert_eq!((found.status, found.certificate_expires.unwrap().as_second()), (200, ends));
    let unexpected = FailureKind::UnexpectedAnswer;
    let elsewhere = fetch(trusting.clone(), &at("127.0.0.1"), &Request::get()).await;
    assert_fails(elsewhere, unexpected, "not valid for name");
    let (expired, _) = authority.serve("localhost", -1, answer("", b"ok")).await;
    let expired = format!("https://localhost:{}/", expired.address.port());
    assert_fails(fetch(trusting.clone(), &expired, &Request::get()).await, unexpected, "expired");
    let plain = Peer::start(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        read_to_end(stream).await;
    })
    .await;
    let plain = format!("https://localhost:{}/", plain.address.port());
    assert_fails(fetch(trusting, &plain, &Request::get()).await, unexpected, "TLS handshake failed");
    let missing = Options { ca_file: Some("/nonexistent/ca.pem".into()), ..Options::default() };
    assert_eq!(Fetcher::new(missing).unwrap_err().option, "ca_file");
}
