use std::time::Duration;

use lifesigns::model::dialect::Dialect;
use lifesigns_checks::http::{AnswerWanted, Expect, Options, check};
use lifesigns_checks::{FailureKind, Secret};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::authority::{Authority, self_signed};
use crate::harness::{
    Peer, answer, assert_fails, assert_passes, assert_refused, assert_warns, deserted, read_head,
    read_to_end, run, run_to_deadline,
};

fn wanting(wanted: AnswerWanted, url: String) -> Options {
    Options { expect: Expect::Answer(wanted), ..Options::new(url) }
}

fn healthy(form: Option<Dialect>, url: String) -> Options {
    Options { expect: Expect::Health(form), ..Options::new(url) }
}

#[tokio::test]
async fn the_request_is_what_was_ordered() {
    let peer = Peer::answering(answer("204 No Content", "text/plain", "")).await;
    assert_passes(&run(check("peer", Options::new(peer.url("/ping?a=b#c")))).await);
    let options = Options {
        method: "POST".into(),
        headers: vec![("X-Tenant".into(), Secret::new("blue")), ("User-Agent".into(), Secret::new("me"))],
        bearer_token: Some(Secret::new("opensesame")),
        body: Some("{}".into()),
        ..Options::new(peer.url(""))
    };
    assert!(!format!("{options:?}").contains("opensesame"));
    assert_passes(&run(check("peer", options)).await);
    let requests: Vec<String> = peer.heard().iter().map(|request| request.to_ascii_lowercase()).collect();
    let host = format!("host: {}", peer.address);
    for line in ["get /ping?a=b http/1.1", &host, "user-agent: lifesigns", "accept: */*"] {
        assert!(requests[0].lines().any(|heard| heard == line), "{line}: {}", requests[0]);
    }
    for line in ["post / http/1.1", "x-tenant: blue", "user-agent: me", "authorization: bearer opensesame"] {
        assert!(requests[1].lines().any(|heard| heard == line), "{line}: {}", requests[1]);
    }
    assert!(requests.iter().all(|request| !request.contains("accept-encoding")));
    peer.is_left_alone_after(2).await;
}

#[tokio::test]
async fn the_status_has_to_be_one_of_those() {
    let not_found = Peer::answering(answer("404 Not Found", "text/plain", "")).await;
    let report = run(check("peer", Options::new(not_found.url("/")))).await;
    assert_fails(&report, FailureKind::UnexpectedAnswer, "answers 404");
    let wanted = AnswerWanted { status: vec![200..=204, 404..=404], ..AnswerWanted::default() };
    assert_passes(&run(check("peer", wanting(wanted, not_found.url("/")))).await);
    for refusal in ["401 Unauthorized", "403 Forbidden"] {
        let peer = Peer::answering(answer(refusal, "text/plain", "")).await;
        let report = run(check("peer", Options::new(peer.url("/")))).await;
        assert_fails(&report, FailureKind::Denied, "answers 40");
    }
}

#[tokio::test]
async fn the_body_has_to_say_it() {
    let peer =
        Peer::answering(answer("200 OK", "application/json", r#"{"queue":{"length":3},"a/b":"x"}"#)).await;
    let wanting_json = |pointer: &str, value| {
        let json = vec![(pointer.to_owned(), value)];
        check("peer", wanting(AnswerWanted { json, ..AnswerWanted::default() }, peer.url("/")))
    };
    assert_passes(&run(wanting_json("/queue/length", json!(3))).await);
    assert_passes(&run(wanting_json("/a~1b", json!("x"))).await);
    let unexpected = FailureKind::UnexpectedAnswer;
    assert_fails(
        &run(wanting_json("/queue/length", json!(4))).await,
        unexpected,
        "with 3 at `/queue/length`",
    );
    assert_fails(&run(wanting_json("/queue/width", json!(4))).await, unexpected, "nothing at `/queue/width`");
    let containing = |text: &str| {
        let contains = Some(text.to_owned());
        check("peer", wanting(AnswerWanted { contains, ..AnswerWanted::default() }, peer.url("/")))
    };
    assert_passes(&run(containing("length")).await);
    assert_fails(&run(containing("width")).await, unexpected, "without the text");

    let page = Peer::answering(answer("200 OK", "text/html", "<h1>Log in</h1>")).await;
    let json = vec![("/status".to_owned(), json!("ok"))];
    let options = wanting(AnswerWanted { json, ..AnswerWanted::default() }, page.url("/"));
    assert_fails(&run(check("peer", options)).await, unexpected, "no JSON");
}

#[tokio::test]
async fn a_health_answer_gives_its_light() {
    let ask = async |status: &str, content_type: &str, body: &str, form| {
        let peer = Peer::answering(answer(status, content_type, body)).await;
        let report = run(check("peer", healthy(form, peer.url("/health")))).await;
        assert!(peer.heard()[0].to_ascii_lowercase().contains("accept: application/health+json"));
        report
    };
    let json = "application/json";
    assert_passes(&ask("200 OK", json, r#"{"status":"UP"}"#, None).await);
    assert_passes(&ask("200 OK", "text/plain", "ok", None).await);
    assert_passes(&ask("204 No Content", "text/plain", "", None).await);
    let warns =
        r#"{"status":"warn","checks":{"disk:utilization":[{"status":"warn"}],"db":[{"status":"pass"}]}}"#;
    let report = ask("200 OK", "application/health+json", warns, None).await;
    assert_warns(&report, "AMBER as `health+json`: disk:utilization is AMBER");
    let down = r#"{"status":"DOWN","components":{"db":{"status":"DOWN"},"disk":{"status":"UP"}}}"#;
    let report = ask("503 Service Unavailable", json, down, None).await;
    assert_fails(&report, FailureKind::UnexpectedAnswer, "RED as `actuator`: db is RED");
    assert_fails(&ask("200 OK", json, down, None).await, FailureKind::UnexpectedAnswer, "RED");
    let unavailable = ("503 Service Unavailable", "text/plain", "");
    let light = |form| ask(unavailable.0, unavailable.1, unavailable.2, form);
    assert_fails(&light(None).await, FailureKind::UnexpectedAnswer, "RED");
    assert_warns(&light(Some(Dialect::TrafficLight)).await, "AMBER as `traffic-light`");
    let report = ask("401 Unauthorized", json, r#"{"status":"UP"}"#, None).await;
    assert_fails(&report, FailureKind::Denied, "credentials");
    assert_passes(&ask("401 Unauthorized", json, "", Some(Dialect::TrafficLight)).await);
    let report = ask("200 OK", json, r#"{"status":"pass"}"#, Some(Dialect::Xabaril)).await;
    assert_fails(&report, FailureKind::UnexpectedAnswer, "`xabaril`");
}

#[tokio::test]
async fn redirects_are_followed_on_the_same_server_alone_and_only_when_asked() {
    let to = |place: &str| format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n");
    let other = Peer::answering(answer("200 OK", "text/plain", "")).await;
    let away = Peer::answering(to(&other.url("/"))).await;
    let following = |peer: &Peer, redirects| {
        let bearer_token = Some(Secret::new("opensesame"));
        check("peer", Options { redirects, bearer_token, ..Options::new(peer.url("/")) })
    };
    for redirects in [0, 5] {
        let report = run(following(&away, redirects)).await;
        assert_fails(&report, FailureKind::UnexpectedAnswer, "answers 302");
    }
    assert_eq!(other.connections(), 0, "the token went elsewhere");

    let home = Peer::start(move |mut stream| async move {
        let request = read_head(&mut stream).await;
        let there = answer("200 OK", "text/plain", "");
        let answer = if request.starts_with("GET /there ") { there } else { to("/there") };
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    assert_fails(&run(following(&home, 0)).await, FailureKind::UnexpectedAnswer, "answers 302");
    assert_passes(&run(following(&home, 1)).await);
    home.is_left_alone_after(3).await;

    let circle = Peer::answering("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n").await;
    assert_fails(&run(following(&circle, 3)).await, FailureKind::UnexpectedAnswer, "answers 302");
    assert_eq!(circle.connections(), 4);
}

#[tokio::test]
async fn peers_that_hang_at_any_point_are_left_at_the_deadline() {
    let contains = Some("x".to_owned());
    let wanted = AnswerWanted { contains, ..AnswerWanted::default() };
    let hanging = async |said: &'static str| {
        let peer = Peer::start(move |mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(said.as_bytes()).await.unwrap();
            read_to_end(stream).await;
        })
        .await;
        let check = check("peer", wanting(wanted.clone(), peer.url("/"))).unwrap();
        run_to_deadline(&check, Duration::from_millis(150)).await;
        peer.is_left_alone_after(1).await;
    };
    hanging("").await;
    hanging("HTTP/1.1 200").await;
    hanging("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
    hanging("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc").await;
    hanging("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc").await;
}

#[tokio::test]
async fn a_peer_that_sends_a_byte_now_and_then_is_left_at_the_deadline() {
    let wanted = AnswerWanted { contains: Some("x".to_owned()), ..AnswerWanted::default() };
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
        let check = check("peer", wanting(wanted.clone(), peer.url("/"))).unwrap();
        run_to_deadline(&check, Duration::from_millis(200)).await;
        peer.is_left_alone_after(1).await;
    }
}

#[tokio::test]
async fn peers_that_break_off_or_talk_nonsense_fail() {
    let saying = async |said: &'static [u8]| {
        let peer = Peer::answering(said).await;
        let contains = Some("x".to_owned());
        let wanted = AnswerWanted { contains, ..AnswerWanted::default() };
        let report = run(check("peer", wanting(wanted, peer.url("/")))).await;
        peer.is_left_alone_after(1).await;
        report
    };
    let unexpected = FailureKind::UnexpectedAnswer;
    let closed = "it closed the connection without an answer";
    assert_fails(&saying(b"").await, unexpected, closed);
    assert_fails(&saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx").await, unexpected, "body");
    assert_fails(&saying(b"220 mail.example ESMTP\r\n").await, unexpected, "is no HTTP/1.1");
    assert_fails(&saying(b"\x00\xff\xfe\r\n\r\n").await, unexpected, "is no HTTP/1.1");
    assert_fails(
        &saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx").await,
        unexpected,
        "",
    );
    let closing = Peer::start(|_| async {}).await;
    assert_fails(&run(check("peer", Options::new(closing.url("/")))).await, unexpected, closed);
    let nobody = Options::new(format!("http://{}/", deserted().await));
    assert_fails(&run(check("peer", nobody)).await, FailureKind::Unreachable, "refused");
}

#[tokio::test]
async fn bodies_without_end_are_read_to_the_limit_alone() {
    async fn flood(mut stream: TcpStream, head: &'static str) {
        read_head(&mut stream).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let chunk = [b"2000\r\n".as_slice(), &[b' '; 8192], b"\r\n"].concat();
        while stream.write_all(&chunk).await.is_ok() {}
    }
    let ten_gigabytes =
        Peer::start(|stream| flood(stream, "HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")).await;
    let chunked =
        Peer::start(|stream| flood(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")).await;
    let endless = Peer::start(|stream| flood(stream, "HTTP/1.1 200 OK\r\n\r\n")).await;
    for peer in [&ten_gigabytes, &chunked, &endless] {
        let report = run(check("peer", healthy(None, peer.url("/")))).await;
        assert_fails(&report, FailureKind::UnexpectedAnswer, "longer than `longest_body`");
        assert_passes(&run(check("peer", Options::new(peer.url("/")))).await);
        peer.is_left_alone_after(2).await;
    }
    let small = Peer::answering(answer("200 OK", "text/plain", "ok")).await;
    let limited = |longest_body| check("peer", Options { longest_body, ..healthy(None, small.url("/")) });
    assert_passes(&run(limited(2)).await);
    assert_fails(&run(limited(1)).await, FailureKind::UnexpectedAnswer, "longest_body");
}

/// What was not asked for is not unpacked, so that a few bytes cannot become gigabytes.
#[tokio::test]
async fn compressed_bodies_stay_as_they_are() {
    let bomb = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x08\x00";
    let peer = Peer::answering(bomb).await;
    assert_passes(&run(check("peer", Options::new(peer.url("/")))).await);
    let report = run(check("peer", healthy(None, peer.url("/")))).await;
    assert_fails(&report, FailureKind::UnexpectedAnswer, "compressed");
}

#[tokio::test]
async fn certificates_are_verified() {
    let authority = Authority::new();
    let ok = || answer("200 OK", "text/plain", "ok");
    let trusting = |peer: &Peer, host: &str| {
        let url = format!("https://{host}:{}/", peer.address.port());
        check("peer", Options { ca_file: Some(authority.file()), ..healthy(None, url) })
    };
    let peer = authority.certify("localhost", 90).serve(ok()).await;
    assert_passes(&run(trusting(&peer, "localhost")).await);
    let unexpected = FailureKind::UnexpectedAnswer;
    assert_fails(&run(trusting(&peer, "127.0.0.1")).await, unexpected, "not valid for name");
    let expired = authority.certify("localhost", -1).serve(ok()).await;
    assert_fails(&run(trusting(&expired, "localhost")).await, unexpected, "expired");
    let own = self_signed("localhost", 90).serve(ok()).await;
    assert_fails(&run(trusting(&own, "localhost")).await, unexpected, "TLS handshake failed");
    let plain = Peer::start(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        read_to_end(stream).await;
    })
    .await;
    assert_fails(&run(trusting(&plain, "localhost")).await, unexpected, "TLS handshake failed");
    let hung = Peer::hung().await;
    run_to_deadline(&trusting(&hung, "localhost").unwrap(), Duration::from_millis(150)).await;
    hung.is_left_alone_after(1).await;
}

#[tokio::test]
async fn what_a_server_says_again_of_a_secret_is_not_told() {
    let body = r#"{"you sent":"Authorization: Bearer opensesame","cookie":"id=12345"}"#;
    let peer = Peer::answering(answer("200 OK", "application/json", body)).await;
    let contains = Some("welcome".to_owned());
    let options = Options {
        bearer_token: Some(Secret::new("opensesame")),
        headers: vec![("Cookie".into(), Secret::new("id=12345"))],
        ..wanting(AnswerWanted { contains, ..AnswerWanted::default() }, peer.url("/"))
    };
    let report = run(check("peer", options)).await;
    assert_fails(&report, FailureKind::UnexpectedAnswer, "you sent");
    let output = report.output.unwrap();
    assert!(!output.contains("opensesame") && !output.contains("12345"), "{output}");
}

#[test]
fn what_may_be_secret_is_not_printed() {
    let options = Options {
        headers: vec![("X-Key".into(), Secret::new("s3cret"))],
        bearer_token: Some(Secret::new("s3cret")),
        body: Some("s3cret".into()),
        ..Options::new("https://me:s3cret@shop.example:81/ping?token=s3cret#s3cret")
    };
    let printed = format!("{options:?}");
    assert!(printed.contains("https://shop.example:81/ping?…") && printed.contains("X-Key"), "{printed}");
    assert!(!printed.contains("s3cret"), "{printed}");
    for url in ["s3cret", "shop:s3cret"] {
        assert!(!format!("{:?}", Options::new(url)).contains("s3cret"), "{url}");
    }
}

#[tokio::test]
async fn nothing_is_expected_of_a_body_that_never_comes() {
    let peer = Peer::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
    let head =
        |expect| check("peer", Options { method: "HEAD".into(), expect, ..Options::new(peer.url("/")) });
    let contains = AnswerWanted { contains: Some("x".into()), ..AnswerWanted::default() };
    let json = AnswerWanted { json: vec![("/a".into(), json!(1))], ..AnswerWanted::default() };
    for (expect, key) in [
        (Expect::Answer(contains), "`contains`"),
        (Expect::Answer(json), "`json`"),
        (Expect::Health(Some(Dialect::Actuator)), "`health`"),
    ] {
        let error = head(expect).err().unwrap();
        assert_eq!(error.option, "method");
        assert!(error.fault.contains(key) && error.fault.contains("use `GET`"), "{error}");
    }
    for expect in [Expect::Answer(AnswerWanted::default()), Expect::Health(Some(Dialect::Code))] {
        assert_passes(&run(head(expect)).await);
    }
}

#[test]
fn options_are_looked_at_before_a_run() {
    let url = || Options::new("https://shop.example/");
    for bad in ["", "shop.example", "ftp://shop.example/", "https://", "https://me:opensesame@shop.example/"]
    {
        let error = check("x", Options::new(bad)).err().unwrap();
        assert_eq!(error.option, "url", "{bad}");
        assert!(!error.to_string().contains("opensesame"), "{error}");
    }
    assert_refused(check("x", Options { method: "GET /".into(), ..url() }), "method");
    assert_refused(check("x", Options { method: "CONNECT".into(), ..url() }), "method");
    assert_refused(check("x", Options { redirects: 11, ..url() }), "redirects");
    assert_refused(check("x", Options { longest_body: 0, ..url() }), "longest_body");
    assert_refused(check("x", Options { longest_body: 2 << 20, ..url() }), "longest_body");
    assert_refused(check("x", Options { ca_file: Some("/no/such/file".into()), ..url() }), "ca_file");
    assert_refused(
        check("x", Options { ca_file: Some("/x".into()), ..Options::new("http://a/") }),
        "ca_file",
    );
    let header =
        |name: &str, value: &str| Options { headers: vec![(name.into(), Secret::new(value))], ..url() };
    assert_refused(check("x", header("a b", "c")), "headers");
    assert_refused(check("x", header("a", "b\r\nc: d")), "headers");
    assert_refused(check("x", header("Content-Length", "0")), "headers");
    let token =
        |token: &str| Options { bearer_token: Some(Secret::new(token)), ..header("Authorization", "x") };
    assert_refused(check("x", token("y")), "bearer_token");
    assert_refused(check("x", Options { headers: Vec::new(), ..token(" ") }), "bearer_token");
    let answer = |wanted| Options { expect: Expect::Answer(wanted), ..url() };
    assert_refused(check("x", answer(AnswerWanted { status: vec![], ..AnswerWanted::default() })), "status");
    assert_refused(
        check("x", answer(AnswerWanted { status: vec![100..=199], ..AnswerWanted::default() })),
        "status",
    );
    let contains = AnswerWanted { contains: Some(String::new()), ..AnswerWanted::default() };
    assert_refused(check("x", answer(contains)), "contains");
    let pointer = AnswerWanted { json: vec![("status".into(), json!(1))], ..AnswerWanted::default() };
    assert_refused(check("x", answer(pointer)), "json");
}
