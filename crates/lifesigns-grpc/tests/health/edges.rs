//! Callers who do not keep to the rules, and callers who do nothing.

use std::io::{Read, Write};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::*;

const OUT_OF_RANGE: u32 = 11;
const UNIMPLEMENTED: u32 = 12;
const INTERNAL: u32 = 13;

#[tokio::test]
async fn what_is_no_request_is_refused_and_harms_nobody() {
    let server = Server::start(&gateway()).await;
    let client = Client::connect(server.address).await;
    let mut too_long = vec![0];
    too_long.extend_from_slice(&u32::MAX.to_be_bytes());
    let long_name = [&b"\x0a\xa0\x1f"[..], &[b'x'; 4000]].concat();
    let longer_name = [&b"\x0a\x90\x4e"[..], &[b'x'; 10_000]].concat();
    for method in ["Check", "Watch", "List"] {
        for (body, status, what) in [
            (framed(b"\x0a\x05poll"), INTERNAL, "a message that breaks off"),
            (framed(b"\x0a\x01\xff"), INTERNAL, "a name that is not UTF-8"),
            (framed(b"\xff\xff\xff"), INTERNAL, "garbage"),
            (Vec::new(), INTERNAL, "no message"),
            (vec![0, 0, 0], INTERNAL, "half of the five bytes"),
            (vec![0, 0, 0, 0, 9, 0x0a], INTERNAL, "less than was announced"),
            ([&[1], &framed(b"")[1..]].concat(), INTERNAL, "compressed, but nobody says how"),
            ([&[7], &framed(b"")[1..]].concat(), INTERNAL, "a flag that there is not"),
            (too_long.clone(), OUT_OF_RANGE, "four gibibytes announced"),
            (framed(&longer_name), OUT_OF_RANGE, "a name of 10,000 bytes"),
        ] {
            assert_eq!(client.ask(method, &body).await, (None, status), "{method}: {what}");
        }
    }
    assert_eq!(client.ask("Check", &framed(&long_name)).await, (None, 5), "a long name is only not known");
    assert_eq!(client.check("").await, (Some(SERVING.into()), 0));
}

#[tokio::test]
async fn methods_that_there_are_not_are_unimplemented() {
    let server = Server::start(&gateway()).await;
    let client = Client::connect(server.address).await;
    for method in ["check", "Check/", "Serve", ""] {
        assert_eq!(client.ask(method, &framed(b"")).await, (None, UNIMPLEMENTED), "{method:?}");
    }
    for path in ["/", "/grpc.health.v1alpha.Health/Check", "//grpc.health.v1.Health/Check"] {
        let request = Request::post(format!("http://test{path}")).header("content-type", "application/grpc");
        let call = send(&client, request.body(()).unwrap()).await;
        assert_eq!(call.head.status(), 200, "{path}");
        assert_eq!(call.status().await, UNIMPLEMENTED, "{path}");
    }
}

#[tokio::test]
async fn a_compression_that_was_not_offered_is_unimplemented() {
    let server = Server::start(&gateway()).await;
    let client = Client::connect(server.address).await;
    let mut gzip = request("Check");
    gzip.headers_mut().insert("grpc-encoding", "gzip".parse().unwrap());
    assert_eq!(send(&client, gzip).await.status().await, UNIMPLEMENTED);
    let mut identity = request("Check");
    identity.headers_mut().insert("grpc-encoding", "identity".parse().unwrap());
    assert_eq!(send(&client, identity).await.message().await.unwrap(), SERVING);
}

#[tokio::test]
async fn what_is_not_grpc_is_refused_in_the_words_of_http() {
    let server = Server::start(&gateway()).await;
    let client = Client::connect(server.address).await;
    let check = "http://test/grpc.health.v1.Health/Check";
    for (request, status) in [
        (Request::post(check), 415),
        (Request::post(check).header("content-type", "application/json"), 415),
        (Request::get(check), 415),
        (Request::get(check).header("content-type", "application/grpc"), 405),
        (Request::post(check).header("content-type", "application/grpc+proto"), 200),
    ] {
        let call = send(&client, request.body(()).unwrap()).await;
        assert_eq!(call.head.status(), status);
    }
}

/// Sends an empty message with these headers.
async fn send(client: &Client, request: Request<()>) -> Call {
    let (response, mut body) = client.begin(request).await.unwrap();
    // A request that is refused at once may be answered before its body is there.
    drop(body.send_data(framed(b"").into(), true));
    Call::receive(response).await.unwrap()
}

#[tokio::test]
async fn clients_of_another_protocol_are_cut_off() {
    let server = Server::start(&gateway()).await;
    for bytes in [
        &b"GET /grpc.health.v1.Health/Check HTTP/1.1\r\nHost: test\r\n\r\n"[..],
        b"\x16\x03\x01\x02\0\x01\0\0",
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.write_all(&[b'x'; 100]).await.unwrap();
        let mut rest = Vec::new();
        // Cut off with a reset, or in good order: the one or the other ends the reading.
        drop(in_time(stream.read_to_end(&mut rest)).await);
    }
    assert_eq!(Client::connect(server.address).await.check("").await, (Some(SERVING.into()), 0));
}

#[tokio::test]
async fn a_connection_bears_so_many_calls_and_headers() {
    let server = Server::start(&gateway()).await;
    let client = Client::connect(server.address).await;
    let mut watching = Vec::new();
    for _ in 0..256 {
        let mut call = client.watch("polls").await;
        assert_eq!(call.message().await.unwrap(), SERVING);
        watching.push(call);
    }
    let (response, _) = client.begin(request("Watch")).await.unwrap();
    let one_more = Call::receive(response);
    assert!(tokio::time::timeout(Duration::from_millis(300), one_more).await.is_err(), "it has to wait");
    let other = Client::connect(server.address).await;
    assert_eq!(other.check("polls").await, (Some(SERVING.into()), 0), "others do not");

    let mut long = request("Check");
    long.headers_mut().insert("x-long", "x".repeat(9000).parse().unwrap());
    let (response, _) = other.begin(long).await.unwrap();
    let refused = match in_time(response).await {
        Ok(response) => response.status() == 431,
        Err(error) => error.reason().is_some(),
    };
    assert!(refused);
    assert_eq!(Client::connect(server.address).await.check("polls").await, (Some(SERVING.into()), 0));
}

#[tokio::test]
async fn calls_that_are_given_up_leave_nothing_behind() {
    let server = Server::start(&gateway()).await;
    let client = Client::connect(server.address).await;
    for _ in 0..600 {
        let (response, mut body) = client.begin(request("Watch")).await.unwrap();
        body.send_data(Bytes::from(named("polls")), true).unwrap();
        let mut call = Call::receive(response).await.unwrap();
        assert_eq!(call.message().await.unwrap(), SERVING);
        body.send_reset(Reason::CANCEL);
    }
    assert_eq!(client.check("polls").await, (Some(SERVING.into()), 0));
}

/// Clients that let nothing be sent to them, or read nothing, or say nothing.
#[tokio::test]
async fn whoever_does_not_read_harms_nobody() {
    let lifesigns = gateway();
    let server = Server::start(&lifesigns).await;
    let mut http = h2::client::Builder::new();
    let shut = Client::connect_with(server.address, http.initial_window_size(0)).await;
    let mut calls = Vec::new();
    for _ in 0..200 {
        calls.push(shut.watch("polls").await);
    }
    let silent = std::net::TcpStream::connect(server.address).unwrap();
    let mut deaf = std::net::TcpStream::connect(server.address).unwrap();
    deaf.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();

    let client = Client::connect(server.address).await;
    let mut watch = client.watch("polls").await;
    assert_eq!(watch.message().await.unwrap(), SERVING);
    lifesigns.drain();
    assert_eq!(watch.message().await.unwrap(), NOT_SERVING);
    server.stop.send(()).unwrap();
    in_time(server.task).await.unwrap().unwrap();
    for mut stream in [silent, deaf] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
    }
}
