//! Connections over TCP.

mod race;

use std::fmt;
use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpStream, lookup_host};

use crate::failure::{Failure, is_own_resolver};

/// The addresses behind a name, one at least, as the system's resolver orders them. `host` may be an IP address without
/// brackets.
///
/// # Errors
/// When the name does not resolve.
pub async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    let unresolved =
        |why: &dyn fmt::Display| Failure::unreachable(format!("the name `{host}` does not resolve: {why}"));
    let found = lookup_host((host, port))
        .await
        .map_err(|error| Failure { is_own: is_own_resolver(&error), ..unresolved(&error) })?;
    let addresses: Vec<_> = found.collect();
    if addresses.is_empty() { Err(unresolved(&"it has no address")) } else { Ok(addresses) }
}

/// A connection to the first of these addresses that takes it, and which of them that was. One that does not answer
/// does not keep the others waiting.
///
/// # Errors
/// When none of them takes it. It is this machine's own fault if it is so for all of them.
pub async fn connect(addresses: Vec<SocketAddr>) -> Result<(TcpStream, SocketAddr), Failure> {
    race::race(addresses, open).await
}

/// What is sent is sent at once: whoever asks waits for the answer.
async fn open(address: SocketAddr) -> io::Result<(TcpStream, SocketAddr)> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok((stream, address))
}
