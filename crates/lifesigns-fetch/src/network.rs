//! Connections over TCP.

mod names;
mod race;

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

use crate::failure::Failure;

/// The addresses behind a name, one at least, as the system's resolver orders them. `host` may be an IP address without
/// brackets.
///
/// # Errors
/// When the name does not resolve. It is this machine's own fault if nobody could be asked.
///
/// # Panics
/// Outside of a Tokio runtime.
pub async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    if let Ok(address) = host.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = names::NAMES.addresses(host).await?;
    Ok(found.iter().map(|address| with_port(*address, port)).collect())
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
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
