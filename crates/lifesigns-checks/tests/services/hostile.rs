//! Servers that speak the protocol, and mean harm.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use lifesigns_checks::{FailureKind, Secret, Server, mqtt};

use crate::impostor::{Impostor, Manner};
use crate::scenario::{expect, nothing_is_left};
use crate::{Make, amqp_check, clickhouse_check, mysql_check, nats_check, postgres_check, redis_check};

fn at(check: Make, scheme: &str, address: SocketAddr) -> lifesigns_checks::Check {
    check(Server::at(format!("{scheme}://somebody@{address}")).password(Secret::new("s3cret"))).unwrap()
}

/// A greeting of RabbitMQ whose properties are a list in a list in a list: whoever follows them comes to the end of his
/// stack.
#[tokio::test]
async fn tables_without_end_are_not_followed() {
    let mut value = Vec::new();
    for _ in 0..25_000 {
        value = [b"A".as_slice(), &u32::try_from(value.len()).unwrap().to_be_bytes(), &value].concat();
    }
    let properties = [b"\x01x".as_slice(), &value].concat();
    let length = u32::try_from(properties.len()).unwrap().to_be_bytes();
    let start =
        [b"\0\x0a\0\x0a\0\x09".as_slice(), &length, &properties, b"\0\0\0\x05PLAIN\0\0\0\x05en_US"].concat();
    let frame = [b"\x01\0\0".as_slice(), &u32::try_from(start.len()).unwrap().to_be_bytes(), &start, b"\xce"]
        .concat();
    let impostor = Impostor::start(Manner::Says(frame.leak())).await;
    let check = at(amqp_check, "amqp", impostor.address);
    expect("with a bottomless greeting", &check, Some((FailureKind::UnexpectedAnswer, ""))).await;
}

/// A greeting without an end is read no further than any greeting goes.
#[tokio::test]
async fn lines_without_end_are_not_kept() {
    let impostor = Impostor::start(Manner::Says(vec![b'I'; 1 << 20].leak())).await;
    let check = at(nats_check, "nats", impostor.address);
    expect("with a greeting that goes on", &check, Some((FailureKind::UnexpectedAnswer, "NATS"))).await;
}

/// A message of two gigabytes is not kept until all of it is there: neither while logging in nor as an answer. What the
/// system's buffers hold counts as taken here.
#[tokio::test]
async fn messages_of_two_gigabytes_are_not_waited_for() {
    let said: [(Make, &str, &'static [u8]); 4] = [
        (postgres_check, "postgres", b"R\x7f\xff\xff\xff"),
        (postgres_check, "postgres", b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05ID\x7f\xff\xff\xff"),
        (postgres_check, "postgres", b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05IN\x7f\xff\xff\xff"),
        (redis_check, "redis", b"$2147483647\r\n"),
    ];
    for (check, scheme, bytes) in said {
        let impostor = Impostor::start(Manner::Floods(bytes)).await;
        let check = at(check, scheme, impostor.address);
        expect("which floods", &check, Some((FailureKind::UnexpectedAnswer, ""))).await;
        nothing_is_left(impostor.address).await;
        let taken = impostor.taken.load(Ordering::SeqCst);
        assert!(taken < 32 << 20, "{scheme} takes {taken} bytes after {bytes:?}");
    }
}

#[tokio::test]
async fn what_is_no_protocol_is_told_in_words_for_people() {
    let said: &'static [u8] = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    let impostor = Impostor::start(Manner::Answers(said)).await;
    let unexpected = FailureKind::UnexpectedAnswer;
    let check = at(redis_check, "redis", impostor.address);
    expect("which is a web server", &check, Some((unexpected, "is not Redis' protocol"))).await;
    let impostor = Impostor::start(Manner::Answers(b"SSH-2.0-OpenSSH_9.2p1\r\n")).await;
    let check = at(clickhouse_check, "http", impostor.address);
    expect("which is no web server", &check, Some((unexpected, "is no HTTP/1.1"))).await;
    let impostor = Impostor::start(Manner::Closes).await;
    let check = at(clickhouse_check, "http", impostor.address);
    expect("which hangs up", &check, Some((unexpected, "closed the connection without an answer"))).await;
}

#[tokio::test]
async fn a_server_that_wants_tls_is_told_no_password() {
    let impostor = Impostor::start(Manner::Says(b"INFO {\"tls_required\":true}\r\nPONG\r\n")).await;
    let check = at(nats_check, "nats", impostor.address);
    expect("which insists on TLS", &check, Some((FailureKind::UnexpectedAnswer, "tls://"))).await;
}

/// Retained messages may come at any time after a subscription, and be of any length.
#[tokio::test]
async fn messages_for_others_are_passed_over() {
    let message = [b"\x30\xa3\x9c\x01\0\x01a".as_slice(), &vec![b'x'; 20_000]].concat();
    let said = [b"\x20\x02\0\0\xd0\0".as_slice(), &message, &message, b"\x90\x03\0\x01\0"].concat();
    let impostor = Impostor::start(Manner::Says(said.leak())).await;
    let server = Server::at(format!("mqtt://{}", impostor.address));
    let check =
        mqtt::check("mqtt", mqtt::Options { topic: Some("a".to_owned()), ..mqtt::Options::new(server) });
    expect("with messages before the answer", &check.unwrap(), None).await;
}

/// A server of MySQL that breaks its word in the middle of an answer and then says nothing: nobody waits for the rest.
#[tokio::test]
async fn answers_that_break_off_are_not_waited_for() {
    let packet = |number: u8, bytes: &[u8]| [&[bytes.len() as u8, 0, 0, number], bytes].concat();
    let greeting = [
        b"\x0a8.0.0\0\x01\0\0\x0012345678\0\x01\x82\x21\x02\0\x08\0\x15".as_slice(),
        &[0; 10],
        b"123456789012\0mysql_native_password\0",
    ];
    let column = b"\x03def\0\0\0\x01a\0\x0c\x21\0\x04\0\0\0\xfd\0\0\0\0\0";
    let said = [
        packet(0, &greeting.concat()),
        packet(2, b"\0\0\0\x02\0\0\0"),
        packet(1, b"\x01"),
        packet(2, column),
        packet(3, b"\xfe\0\0\x02\0"),
        packet(4, b"\x05a"),
    ];
    let impostor = Impostor::start(Manner::SaysAndHangs(said.concat().leak())).await;
    let check = at(mysql_check, "mysql", impostor.address);
    expect("with half of a row", &check, Some((FailureKind::UnexpectedAnswer, ""))).await;
    nothing_is_left(impostor.address).await;
}
