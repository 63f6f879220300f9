//! The fields of a message's head that change on the way.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, MAX_FORWARDS, TE, TRANSFER_ENCODING, UPGRADE,
        VIA,
    },
};
use lifesigns::resources::is_trace_parent;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The field that carries the id of a request.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a request's head is told about its way.
pub(crate) struct Passage<'a> {
    /// Address of the client.
    pub(crate) peer: &'a HeaderValue,
    /// Host that the client asked for.
    pub(crate) host: Option<&'a HeaderValue>,
    /// The prefix that was taken off its path.
    pub(crate) prefix: Option<&'a HeaderValue>,
    /// `Host` for the upstream if it is not the client's.
    pub(crate) upstream_host: Option<&'a HeaderValue>,
    /// The request's id.
    pub(crate) request_id: &'a HeaderValue,
    /// Whether what the client says about its own way is believed.
    pub(crate) trust_forwarded: bool,
    /// Value that is added to `Via`.
    pub(crate) via: Option<&'a HeaderValue>,
}

/// Whether a request may not be forwarded any more. One that may says afterwards how often it still may be, this time
/// not included. Only `OPTIONS` and `TRACE` have such a limit; what is not one number limits nothing and stays as it
/// is (RFC 9110 §7.6.2).
pub(crate) fn is_at_its_end(method: &Method, headers: &mut HeaderMap) -> bool {
    if !matches!(*method, Method::OPTIONS | Method::TRACE) {
        return false;
    }
    let mut lines = headers.get_all(MAX_FORWARDS).iter();
    let (Some(limit), None) = (lines.next(), lines.next()) else { return false };
    if limit.is_empty() || !limit.as_bytes().iter().all(u8::is_ascii_digit) {
        return false;
    }
    // More than can be counted is as much as can be.
    let limit = decimal(limit.as_bytes()).unwrap_or(u64::MAX);
    let Some(left) = limit.checked_sub(1) else { return true };
    headers.insert(MAX_FORWARDS, HeaderValue::from(left));
    false
}

/// Turns the head that came from the client into the one that goes to the upstream.
pub(crate) fn for_upstream(headers: &mut HeaderMap, passage: &Passage<'_>) {
    let wants_trailers = headers.get(TE).is_some_and(accepts_trailers);
    // A body in chunks stays one: without a length there is no other way to send it on, and a method that has no body
    // as a rule would otherwise lose it.
    let in_chunks = headers.contains_key(TRANSFER_ENCODING);
    remove_hop_by_hop(headers);
    if in_chunks {
        headers.remove(CONTENT_LENGTH);
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }

    append_to_list(headers, X_FORWARDED_FOR, passage.peer);
    let replaces =
        |headers: &HeaderMap, name: HeaderName| !passage.trust_forwarded || !headers.contains_key(name);
    if replaces(headers, X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    if replaces(headers, X_FORWARDED_HOST) {
        match passage.host {
            Some(host) => headers.insert(X_FORWARDED_HOST, host.clone()),
            None => headers.remove(X_FORWARDED_HOST),
        };
    }
    if !passage.trust_forwarded {
        headers.remove(FORWARDED);
    }
    match passage.prefix {
        Some(prefix) => {
            headers.insert(X_FORWARDED_PREFIX, prefix.clone());
        }
        None if !passage.trust_forwarded => {
            headers.remove(X_FORWARDED_PREFIX);
        }
        None => {}
    }
    if let Some(host) = passage.upstream_host {
        headers.insert(HOST, host.clone());
    }
    headers.insert(X_REQUEST_ID, passage.request_id.clone());
    if headers.contains_key(TRACEPARENT) && trace_parent(headers).is_none() {
        headers.remove(TRACEPARENT);
        headers.remove(TRACESTATE);
    }
    if let Some(via) = passage.via {
        append_to_list(headers, VIA, via);
    }
}

/// Turns the head that came from the upstream into the one that goes to the client.
pub(crate) fn for_client(
    headers: &mut HeaderMap,
    status: StatusCode,
    request_id: HeaderValue,
    via: Option<&HeaderValue>,
) {
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    let protocol = (status == StatusCode::SWITCHING_PROTOCOLS).then(|| headers.remove(UPGRADE)).flatten();
    remove_hop_by_hop(headers);
    if let Some(protocol) = protocol {
        ask_for_protocol(headers, protocol);
    }
    headers.insert(X_REQUEST_ID, request_id);
    if let Some(via) = via {
        append_to_list(headers, VIA, via);
    }
}

/// Whether the client asks for another protocol on its connection, and which. HTTP/2 is not among them: its preface
/// behind an upgrade would pass unseen (RFC 9113 §3.1 does not know it any more).
pub(crate) fn wanted_protocol(version: Version, headers: &HeaderMap) -> Option<HeaderValue> {
    if version != Version::HTTP_11 {
        return None;
    }
    let protocol = headers.get(UPGRADE)?;
    let is_announced = tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    let is_http2 = tokens(headers, &UPGRADE).any(|token| {
        token.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("h2c"))
            || token.eq_ignore_ascii_case("h2")
    });
    (is_announced && !is_http2).then(|| protocol.clone())
}

/// Puts the wish for another protocol, or the consent to it, back into a head.
pub(crate) fn ask_for_protocol(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Whether the client waits with its body until it is told to go on.
pub(crate) fn expects_continue(version: Version, headers: &HeaderMap) -> bool {
    version == Version::HTTP_11
        && headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// What is wrong with a head, if anything, that no upstream should have to find out.
pub(crate) fn fault(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return Some("It has more than one Host field."),
        (None, _) if version == Version::HTTP_11 => return Some("It has no Host field."),
        (Some(host), None) if !is_host(host.as_bytes()) => return Some("Its Host field is not a host."),
        _ => {}
    }
    if headers.contains_key(TRANSFER_ENCODING) && !is_chunked(headers) {
        return Some("Its Transfer-Encoding is not understood; only chunked is.");
    }
    None
}

/// What is wrong with the head of a response, if anything, so that its end would be a matter of opinion. A length that
/// is said several times is said once afterwards (RFC 9110 §8.6).
pub(crate) fn response_fault(headers: &mut HeaderMap) -> Option<&'static str> {
    if headers.contains_key(TRANSFER_ENCODING) {
        // What other codings did to the content would have to be undone here (RFC 9112 §6.1).
        return (!is_chunked(headers)).then_some("its Transfer-Encoding is not chunked");
    }
    let mut lines = headers.get_all(CONTENT_LENGTH).iter();
    let first = lines.next()?;
    let is_one = lines.next().is_none() && decimal(first.as_bytes()).is_some();
    if is_one {
        return None;
    }
    let mut lengths = headers
        .get_all(CONTENT_LENGTH)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(|member| decimal(member.trim_ascii()));
    let length = lengths.next().flatten().filter(|length| lengths.all(|other| other == Some(*length)));
    let Some(length) = length else { return Some("its Content-Length is not one number") };
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    None
}

/// Whether `chunked` is the only transfer coding.
fn is_chunked(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let first = codings.next().is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    first && codings.next().is_none()
}

/// A number of nothing but digits.
fn decimal(text: &[u8]) -> Option<u64> {
    let is_decimal = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    is_decimal.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

/// Removes what speaks of one connection only (RFC 9110 §7.6.1).
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if let Some(connection) = headers.get(CONNECTION) {
        // Nearly always it is one of these, which name nothing that is not removed anyway.
        let is_plain = connection.as_bytes().eq_ignore_ascii_case(b"keep-alive")
            || connection.as_bytes().eq_ignore_ascii_case(b"close");
        if !is_plain || headers.get_all(CONNECTION).iter().nth(1).is_some() {
            let listed: Vec<HeaderName> = tokens(headers, &CONNECTION)
                .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
                // Nobody may take away where a message goes and where it ends.
                .filter(|name| ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name))
                .collect();
            for name in listed {
                headers.remove(name);
            }
        }
        headers.remove(CONNECTION);
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
}

pub(crate) fn tokens<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

fn accepts_trailers(te: &HeaderValue) -> bool {
    te.to_str().is_ok_and(|te| te.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("trailers")))
}

/// Adds to a field that is a list: one line with all members, the new one last.
pub(crate) fn append_to_list(headers: &mut HeaderMap, name: HeaderName, value: &HeaderValue) {
    if !headers.contains_key(&name) {
        headers.insert(name, value.clone());
        return;
    }
    let mut list = Vec::new();
    for member in headers.get_all(&name).iter().chain([value]) {
        if !list.is_empty() {
            list.extend_from_slice(b", ");
        }
        list.extend_from_slice(member.as_bytes());
    }
    if let Ok(list) = HeaderValue::from_maybe_shared(bytes::Bytes::from(list)) {
        headers.insert(name, list);
    }
}

/// A host with or without a port, or nothing (RFC 9110 §7.2, RFC 3986 §3.2.2). Of the addresses in brackets only those
/// of IP version 6 are in use.
pub(crate) fn is_host(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    if let Some(behind) = host.strip_prefix('[') {
        let Some((address, port)) = behind.split_once(']') else { return false };
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return address.parse::<Ipv6Addr>().is_ok() && is_port;
    }
    match host.split_once(':') {
        Some((name, port)) => !name.is_empty() && is_name(name) && is_port(port),
        None => is_name(host),
    }
}

fn is_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte))
}

/// A port, which may be left out behind its colon (RFC 3986 §3.2.3).
fn is_port(port: &str) -> bool {
    port.is_empty() || (port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

/// The trace parent, if there is one and only one and it is well-formed (W3C Trace Context §3.2).
pub(crate) fn trace_parent(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    value.to_str().ok().filter(|value| is_trace_parent(value))
}

/// The client that a proxy in front of the gateway names: the last address in `X-Forwarded-For`, which is what the
/// nearest one saw itself.
pub(crate) fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.rsplit(',')).find_map(|member| address(member.trim()))
}

/// An address, which some write with a port or in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_address_that_was_forwarded_is_the_clients() {
        let check = |lines: &[&'static str], expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(X_FORWARDED_FOR, HeaderValue::from_static(line));
            }
            assert_eq!(forwarded_for(&headers), expected.map(|text| text.parse().unwrap()), "{lines:?}");
        };
        check(&[], None);
        check(&["", "unknown"], None);
        check(&["192.0.2.1"], Some("192.0.2.1"));
        check(&["192.0.2.1, 192.0.2.2"], Some("192.0.2.2"));
        check(&["192.0.2.1", "192.0.2.2,192.0.2.3"], Some("192.0.2.3"));
        check(&["192.0.2.1, unknown"], Some("192.0.2.1"));
        check(&["192.0.2.1:4711"], Some("192.0.2.1"));
        check(&["2001:db8::1"], Some("2001:db8::1"));
        check(&["[2001:db8::1]"], Some("2001:db8::1"));
        check(&["[2001:db8::1]:4711"], Some("2001:db8::1"));
        check(&["::ffff:192.0.2.1"], Some("192.0.2.1"));
    }
}
