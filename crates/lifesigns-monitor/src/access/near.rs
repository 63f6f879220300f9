//! Whether a request comes from where it seems to come from: from this machine, and from a page of the monitor itself.
//!
//! That a connection comes from a loopback address says little. A page that a browser on this machine shows can have
//! its own name resolved to 127.0.0.1 (DNS rebinding), and a proxy on this machine passes on what strangers ask. The
//! first is told by the name that the monitor is asked as, the second by what proxies add.

use std::net::IpAddr;

use axum::http::header::{HOST, HeaderMap, ORIGIN};
use axum::http::uri::{Authority, Uri};
use url::{Origin, Url};

/// What proxies add to what they pass on: RFC 7239, RFC 9110 §7.6.3, and what was usual before.
const PASSED_ON: [&str; 5] = ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];

/// Who asks, where, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) uri: &'a Uri,
    /// The other end of the connection.
    pub(crate) peer: Option<IpAddr>,
}

impl Caller<'_> {
    /// Whether the other end of the connection is on this machine. Who has sent the request need not be.
    pub(crate) fn is_near(self) -> bool {
        self.peer.is_some_and(|peer| peer.to_canonical().is_loopback())
    }

    /// The host and port as which the monitor is asked (RFC 9112 §3.2): one, and without a user.
    fn authority(self) -> Option<Authority> {
        if let Some(authority) = self.uri.authority() {
            return Some(authority.clone());
        }
        let mut hosts = self.headers.get_all(HOST).iter();
        match (hosts.next(), hosts.next()) {
            (Some(host), None) => Authority::try_from(host.as_bytes()).ok(),
            _ => None,
        }
    }

    /// Whether there is no word of a host, as HTTP/1.0 has it.
    pub(crate) fn names_no_host(self) -> bool {
        self.uri.authority().is_none() && !self.headers.contains_key(HOST)
    }

    /// The host as which the monitor is asked, in small letters.
    pub(crate) fn host(self) -> Option<String> {
        let authority = self.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let host = authority.host();
        // What stands behind the brackets of an address is a port or a mistake.
        let port = authority.as_str().strip_prefix(host)?;
        if !port.is_empty() && port.strip_prefix(':')?.bytes().any(|digit| !digit.is_ascii_digit()) {
            return None;
        }
        Some(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase())
    }

    /// The header that tells that somebody has passed the request on.
    pub(crate) fn passed_on(self) -> Option<&'static str> {
        PASSED_ON.into_iter().find(|name| self.headers.contains_key(*name))
    }

    /// Whether no page of somebody else makes a browser send this. `own` is where the monitor says that it is.
    pub(crate) fn is_of_own_page(self, own: Option<&Origin>) -> bool {
        let text = |value: &axum::http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
        if let Some(site) = self.headers.get("sec-fetch-site") {
            return matches!(&*text(site), "same-origin" | "none");
        }
        // Browsers leave the other one out where the monitor is asked without TLS and not on this machine.
        let Some(origin) = self.headers.get(ORIGIN).map(text) else { return true };
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        let is_own = self.authority().zip(authority).is_some_and(|(own, authority)| own == *authority);
        is_own || own.is_some_and(|own| Url::parse(&origin).is_ok_and(|origin| origin.origin() == *own))
    }
}

/// Whether only this machine itself can be meant: a loopback address, or `localhost` and the names below it (RFC 6761 §6.3).
pub(crate) fn is_loopback_name(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers_of(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_names_that_can_mean_no_other_machine_are_loopback() {
        let check = |host: &str, expected: bool| {
            let headers = headers_of(&[("host", host)]);
            let caller = Caller { headers: &headers, uri: &Uri::from_static("/"), peer: None };
            assert_eq!(caller.host().is_some_and(|host| is_loopback_name(&host)), expected, "{host}");
        };
        for near in
            ["127.0.0.1", "127.0.0.1:8090", "127.8.9.1:1", "[::1]:8090", "[::ffff:127.0.0.1]", "localhost"]
        {
            check(near, true);
        }
        for near in ["LocalHost:8090", "localhost.", "monitor.localhost:80"] {
            check(near, true);
        }
        for far in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]"] {
            check(far, false);
        }
        for far in ["[::1].evil.example", "[::1]evil", "[::1]:x"] {
            check(far, false);
        }
        for far in
            ["", "evillocalhost", "0.0.0.0:8090", "localhost@evil.example", "evil.example@localhost", "a b"]
        {
            check(far, false);
        }
    }

    #[test]
    fn the_target_says_the_host_before_the_header_does_and_two_say_none() {
        let check = |uri: &'static str, hosts: &[&str], expected: Option<&str>| {
            let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            let headers = headers_of(&headers);
            let caller = Caller { headers: &headers, uri: &Uri::from_static(uri), peer: None };
            assert_eq!(caller.host().as_deref(), expected, "{uri} {hosts:?}");
        };
        check("/", &["localhost:1"], Some("localhost"));
        check("http://evil.example/", &["localhost"], Some("evil.example"));
        check("/", &["localhost", "evil.example"], None);
        check("/", &[], None);
    }

    #[test]
    fn pages_of_others_are_known_by_what_browsers_say_of_them() {
        let check = |pairs: &[(&'static str, &str)], expected: bool| {
            let mut headers = headers_of(pairs);
            headers.insert(HOST, "10.0.0.5:8090".parse().unwrap());
            let caller = Caller { headers: &headers, uri: &Uri::from_static("/"), peer: None };
            let own = Url::parse("https://status.example/fleet").unwrap().origin();
            assert_eq!(caller.is_of_own_page(Some(&own)), expected, "{pairs:?}");
        };
        check(&[], true);
        check(&[("sec-fetch-site", "same-origin"), ("origin", "https://elsewhere.example")], true);
        check(&[("sec-fetch-site", "same-site")], false);
        check(&[("sec-fetch-site", "cross-site")], false);
        check(&[("origin", "http://10.0.0.5:8090")], true);
        check(&[("origin", "http://10.0.0.5:9999")], false);
        check(&[("origin", "https://status.example")], true);
        // Another service of the same host, and whoever can speak for it without TLS.
        check(&[("origin", "https://status.example:8443")], false);
        check(&[("origin", "http://status.example")], false);
        check(&[("origin", "http://evil.example")], false);
        check(&[("origin", "null")], false);
    }
}
