//! Single values: addresses, URLs, paths, thresholds.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use hyper::http::Uri;
use hyper::http::uri::Scheme;
use lifesigns::Settings as ResourceSettings;
use lifesigns_gateway::{Upstream, UpstreamError};
use lifesigns_model::verdict::Thresholds;

use super::Checks;
use crate::config::fault::Fault;
use crate::config::tree::At;
use crate::config::wire;

/// The number that was written, or the default.
pub(super) fn number(written: Option<&At<u64>>, default: u64) -> u64 {
    written.map_or(default, |written| written.value)
}

/// An address to listen on.
pub(super) fn address(key: &str, written: &At<String>, checks: &mut Checks<'_>) -> Option<SocketAddr> {
    let text = written.value.as_str();
    let spelled_out = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    if let Ok(address) = spelled_out.as_deref().unwrap_or(text).parse() {
        return Some(address);
    }
    let hint = if let Ok(port) = text.trim_start_matches(':').parse::<u16>() {
        format!("write \"127.0.0.1:{port}\" for this machine alone, \"0.0.0.0:{port}\" for every network")
    } else if let Ok(address) = text.parse::<IpAddr>() {
        format!("add a port: \"{}\"", SocketAddr::new(address, 8080))
    } else {
        "write an IP address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"".to_owned()
    };
    checks.fault(Fault::new(&written.place, format!("`{key}` is no address: {text}")).hint(hint));
    None
}

/// A plain HTTP URL.
pub(super) fn url(key: &str, written: &At<String>, checks: &mut Checks<'_>) -> Option<Upstream> {
    match parse_url(&written.value) {
        Ok(upstream) => Some(upstream),
        Err((what, hint)) => {
            checks.fault(Fault::new(&written.place, format!("`{key}` {what}")).hint(hint));
            None
        }
    }
}

fn parse_url(text: &str) -> Result<Upstream, (String, String)> {
    const EXAMPLE: &str = "write it like \"http://127.0.0.1:3000\"";
    let refused = |what: &str, hint: &str| Err((what.to_owned(), hint.to_owned()));
    if text.contains('#') {
        return refused("has a fragment (`#`), which is never sent", EXAMPLE);
    }
    let Ok(uri) = text.parse::<Uri>() else {
        return refused("is no URL", EXAMPLE);
    };
    match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => {}
        Some(scheme) if *scheme == Scheme::HTTPS => {
            return refused(
                "is an https:// URL, which is not possible yet",
                "use plain http:// for now, on this machine or in a network that you trust",
            );
        }
        _ => {
            return Err((
                "does not begin with http://".to_owned(),
                format!("write \"http://{}\"", without_scheme(text)),
            ));
        }
    }
    let Some(authority) = uri.authority() else { return refused("names no host", EXAMPLE) };
    if authority.as_str().contains('@') {
        return refused(
            "holds a user or password",
            "leave it out: credentials are passed on from the client, never added",
        );
    }
    if uri.query().is_some() {
        return refused("has a query", "leave out the `?` and what follows");
    }
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if bare.is_some_and(|bare| bare.parse::<Ipv6Addr>().is_err()) || (bare.is_none() && !is_host(host)) {
        return refused("names no host", EXAMPLE);
    }
    // `http` takes a port that is too large for none at all.
    let port = authority.as_str()[host.len()..].strip_prefix(':');
    if port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0)) != port.is_some() {
        return refused("has a port that is not from 1 to 65535", EXAMPLE);
    }
    text.parse().map_err(|error: UpstreamError| (format!("cannot be used: {error}"), EXAMPLE.to_owned()))
}

/// What is behind the scheme; a bare port is taken for one of this machine.
fn without_scheme(text: &str) -> String {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let port = rest.trim_start_matches(':');
    if port.parse::<u16>().is_ok() { format!("127.0.0.1:{port}") } else { rest.to_owned() }
}

/// Whether the text is a host name or an IPv4 address.
pub(super) fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(is_label)
}

/// A path that can be compared with normalised ones: begins with `/`, does not end with it. The bare `/` is empty.
pub(super) fn path(key: &str, written: &At<String>, checks: &mut Checks<'_>) -> Option<String> {
    let text = written.value.as_str();
    let trimmed = text.strip_suffix('/').unwrap_or(text);
    let fault = if !text.starts_with('/') {
        Some(("does not begin with /", format!("write \"/{text}\"")))
    } else if let Some(odd) = text.chars().find(|c| !c.is_ascii_graphic() || "?#%\\{}".contains(*c)) {
        Some(("holds a character that no plain path has", format!("leave out the `{odd}`")))
    } else if !trimmed.is_empty() && trimmed[1..].split('/').any(|part| matches!(part, "" | "." | "..")) {
        Some(("has empty or dotted parts", "requests are compared after these have been removed".to_owned()))
    } else {
        None
    };
    match fault {
        None => Some(trimmed.to_owned()),
        Some((what, hint)) => {
            checks.fault(Fault::new(&written.place, format!("`{key}` {what}: {text}")).hint(hint));
            None
        }
    }
}

/// The thresholds of `base`, changed as was written.
pub(super) fn thresholds(base: Thresholds, written: &wire::Verdict, checks: &mut Checks<'_>) -> Thresholds {
    let amber_failed_share =
        written.amber_failed_share.as_ref().map_or(base.amber_failed_share, |at| at.value);
    let red_failed_share = written.red_failed_share.as_ref().map_or(base.red_failed_share, |at| at.value);
    let share_place =
        written.red_failed_share.as_ref().or(written.amber_failed_share.as_ref()).map(|at| &at.place);
    // What an API takes over from `[verdict]` has been weighed there.
    if let Some(place) = share_place
        && amber_failed_share > red_failed_share
    {
        checks.fault(
            Fault::new(
                place,
                format!("`amber_failed_share` ({amber_failed_share}) is above `red_failed_share` ({red_failed_share})"),
            )
            .hint("a light turns amber before it turns red, so amber must be at or below red"),
        );
    }
    for share in [&written.amber_failed_share, &written.red_failed_share].into_iter().flatten() {
        if share.value <= 0.0 {
            checks.fault(
                Fault::new(&share.place, "a share of 0 is reached even when nothing fails")
                    .hint("the smallest useful share is one request in many, such as 0.001"),
            );
        }
    }
    let milliseconds = |written: &Option<At<u64>>| written.as_ref().map(|at| at.value as f64);
    let amber_latency_ms = milliseconds(&written.amber_latency_ms).or(base.amber_latency_ms);
    let red_latency_ms = milliseconds(&written.red_latency_ms).or(base.red_latency_ms);
    let latency_place =
        written.red_latency_ms.as_ref().or(written.amber_latency_ms.as_ref()).map(|at| &at.place);
    if let (Some(place), Some(amber), Some(red)) = (latency_place, amber_latency_ms, red_latency_ms)
        && amber > red
    {
        checks.fault(
            Fault::new(place, format!("`amber_latency_ms` ({amber}) is above `red_latency_ms` ({red})"))
                .hint("a light turns amber before it turns red, so amber must be at or below red"),
        );
    }
    Thresholds {
        window_seconds: number(written.window_seconds.as_ref(), base.window_seconds.into()) as u32,
        minimum_exchanges: number(written.minimum_exchanges.as_ref(), base.minimum_exchanges),
        amber_failed_share,
        red_failed_share,
        latency_percentile: written
            .latency_percentile
            .as_ref()
            .map_or(base.latency_percentile, |at| at.value as f64),
        amber_latency_ms,
        red_latency_ms,
    }
}

/// The part of a verdict that is about how it is answered.
pub(super) fn answers(resources: &mut ResourceSettings, written: &wire::Verdict) {
    resources.prolonged_red_seconds =
        number(written.prolonged_red_seconds.as_ref(), resources.prolonged_red_seconds.into()) as u32;
    resources.retry_after_seconds =
        number(written.retry_after_seconds.as_ref(), resources.retry_after_seconds.into()) as u32;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_urls_are_taken_apart() {
        let check = |text: &str, host: &str, port, base_path: &str| {
            let upstream = parse_url(text).unwrap();
            assert_eq!(
                (upstream.host(), upstream.port(), upstream.base()),
                (host, port, base_path),
                "{text}"
            );
        };
        check("http://127.0.0.1:3000", "127.0.0.1", 3000, "");
        check("http://polls.example.com/", "polls.example.com", 80, "");
        check("http://polls/v1/", "polls", 80, "/v1");
        check("HTTP://[::1]:8080/v1", "::1", 8080, "/v1");
        check("http://my_service.default.svc.:80", "my_service.default.svc.", 80, "");
    }

    #[test]
    fn other_urls_are_refused() {
        let check = |text: &str, what: &str| {
            let (message, hint) = parse_url(text).unwrap_err();
            assert!(message.contains(what) && !hint.is_empty(), "{text}: {message}");
        };
        check("https://example.com", "not possible yet");
        check("localhost:3000", "does not begin with http://");
        check("ftp://example.com", "does not begin with http://");
        check("/path", "does not begin with http://");
        check("http://", "no URL");
        check("http://:80", "no");
        check("http://a b", "no URL");
        check("http://user:secret@example.com", "password");
        check("http://example.com/?a=1", "query");
        check("http://example.com/#a", "fragment");
        check("http://example.com:99999", "port");
        check("http://example.com:0", "port");
        check("http://example.com:", "port");
        check("http://[::zz]", "no");
        check("http://exa$mple", "no host");
    }
}
