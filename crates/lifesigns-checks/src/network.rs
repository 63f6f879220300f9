//! Connections over TCP.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use lifesigns_fetch::{Failure, connect, resolve};
use tokio::net::TcpStream;

use crate::BadOption;

/// Where a server listens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Address {
    /// A name, or an IP address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    /// Reads `host:port`; an IPv6 address stands in brackets.
    pub(crate) fn parse(option: &'static str, text: &str) -> Result<Address, BadOption> {
        let bad = |what: &str| {
            Err(BadOption::new(
                option,
                format!("{text:?} {what}; write it as `db.example:5432` or `[::1]:5432`"),
            ))
        };
        let Some((host, port)) = text.rsplit_once(':') else { return bad("has no port") };
        let Some(port) = port.parse().ok().filter(|port| *port != 0) else {
            return bad("has no port from 1 to 65535");
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_good = match bare {
            Some(address) => matches!(address.parse(), Ok(IpAddr::V6(_))),
            None => {
                !host.is_empty() && host.chars().all(|kept| kept.is_alphanumeric() || "-._".contains(kept))
            }
        };
        if !is_good {
            return bad("has no good host");
        }
        Ok(Address { host: bare.unwrap_or(host).to_owned(), port })
    }

    /// The addresses behind its name.
    pub(crate) async fn resolve(&self) -> Result<Vec<SocketAddr>, Failure> {
        resolve(&self.host, self.port).await
    }

    /// A connection to the first of its addresses that takes it; one that does not answer does not keep the others
    /// waiting.
    pub(crate) async fn connect(&self) -> Result<TcpStream, Failure> {
        let (stream, _) = connect(self.resolve().await?).await?;
        Ok(stream)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What a server has sent, fit to be shown: no longer than `longest` characters, control characters made visible.
pub(crate) fn shown(bytes: &[u8], longest: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let cut = text.char_indices().nth(longest).map_or(&*text, |(end, _)| &text[..end]);
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("{}{dots}", cut.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let check = |text: &str, host: &str, port: u16| {
            let address = Address::parse("address", text).unwrap();
            assert_eq!((&*address.host, address.port), (host, port));
            assert_eq!(address.to_string(), text);
        };
        check("db.example:5432", "db.example", 5432);
        check("127.0.0.1:1", "127.0.0.1", 1);
        check("[::1]:65535", "::1", 65535);
        check("my_service:80", "my_service", 80);
    }

    #[test]
    fn what_is_no_address_is_told_with_an_example() {
        for text in [
            "",
            "db",
            "db:",
            ":5432",
            "db:0",
            "db:65536",
            "::1",
            "::1:80",
            "[::1]",
            "[db]:80",
            "a b:80",
            "http://a:80",
        ] {
            let error = Address::parse("address", text).unwrap_err();
            assert_eq!(error.option, "address");
            assert!(error.fault.contains("db.example:5432"), "{error}");
        }
    }
}
