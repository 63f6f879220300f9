//! Requests that come back: no upstream may be the gateway itself, directly or by way of others.

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{config::Upstream, headers};

/// The field in which every gateway that a request has passed leaves its mark.
const X_LIFESIGNS_HOPS: HeaderName = HeaderName::from_static("x-lifesigns-hops");

/// How often one request may pass. More than once is no loop yet: an API may call another one of the same gateway and
/// pass on the fields that it got.
const MOST_HOPS: usize = 8;

/// What one gateway leaves on each request that it sends on. It cannot be guessed, so that nobody outside can make a
/// request look like one that goes in circles.
#[derive(Clone, Debug)]
pub(crate) struct Mark(HeaderValue);

impl Mark {
    /// One that no other gateway has.
    pub(crate) fn new() -> Mark {
        let random = RandomState::new().hash_one(std::process::id());
        Mark(HeaderValue::from_str(&format!("{random:016x}")).unwrap_or_else(|_| HeaderValue::from(random)))
    }

    /// Whether a request has passed too often already.
    pub(crate) fn is_circling(&self, headers: &HeaderMap) -> bool {
        headers.contains_key(X_LIFESIGNS_HOPS)
            && headers::tokens(headers, &X_LIFESIGNS_HOPS).filter(|hop| *hop == self.0).count() >= MOST_HOPS
    }

    /// Notes that a request passes.
    pub(crate) fn leave(&self, headers: &mut HeaderMap) {
        headers::append_to_list(headers, X_LIFESIGNS_HOPS, &self.0);
    }
}

/// Whether connections to an upstream come in at this listener.
pub(crate) fn leads_to(upstream: &Upstream, listener: SocketAddr) -> bool {
    let host = upstream.host();
    let reaches = |address: IpAddr| reaches(address, listener.ip());
    upstream.port() == listener.port()
        && match host.parse() {
            Ok(address) => reaches(address),
            Err(_) if host.trim_end_matches('.').eq_ignore_ascii_case("localhost") => {
                reaches(Ipv4Addr::LOCALHOST.into()) || reaches(Ipv6Addr::LOCALHOST.into())
            }
            Err(_) => false,
        }
}

fn reaches(address: IpAddr, listener: IpAddr) -> bool {
    // Connecting to no address in particular means this machine.
    let address = match address.to_canonical() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    match listener.to_canonical() {
        // One of IP version 6 takes those of version 4 along.
        IpAddr::V6(listener) if listener.is_unspecified() => address.is_loopback(),
        IpAddr::V4(listener) if listener.is_unspecified() => address.is_ipv4() && address.is_loopback(),
        listener => address == listener,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_the_gateway_if_its_connections_come_in_there() {
        let check = |upstream: &str, listener: &str, expected: bool| {
            let upstream: Upstream = format!("http://{upstream}").parse().unwrap();
            assert_eq!(leads_to(&upstream, listener.parse().unwrap()), expected, "{upstream} {listener}");
        };
        for (upstream, listener) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("127.0.0.1", "127.0.0.1:80"),
            ("localhost:80", "127.0.0.1:80"),
            ("LOCALHOST.:80", "[::1]:80"),
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("127.0.0.1:80", "0.0.0.0:80"),
            ("127.9.9.9:80", "0.0.0.0:80"),
            ("127.0.0.1:80", "[::]:80"),
            ("[::1]:80", "[::]:80"),
            ("[::]:80", "[::1]:80"),
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
        ] {
            check(upstream, listener, true);
        }
        for (upstream, listener) in [
            ("127.0.0.1:81", "127.0.0.1:80"),
            ("127.0.0.2:80", "127.0.0.1:80"),
            ("[::1]:80", "127.0.0.1:80"),
            ("[::1]:80", "0.0.0.0:80"),
            ("192.0.2.1:80", "0.0.0.0:80"),
            ("api.example.com:80", "0.0.0.0:80"),
        ] {
            check(upstream, listener, false);
        }
    }
}
