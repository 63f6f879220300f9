//! Servers that speak the protocol, and mean harm.

use std::net::SocketAddr;

use lifesigns_checks::{FailureKind, Secret, Server};

use crate::impostor::{Impostor, Manner};
use crate::scenario::expect;
use crate::{Make, amqp_check};

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
