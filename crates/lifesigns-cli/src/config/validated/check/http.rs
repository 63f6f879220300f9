//! `[check.http]`

use std::ops::RangeInclusive;

use lifesigns_checks::{Secret, http};
use lifesigns_model::dialect::Dialect;

use super::probe::{Made, secret};
use crate::config::fault::{Fault, Place};
use crate::config::tree::At;
use crate::config::validated::option::{Written, needed};
use crate::config::validated::{Checks, text, values};
use crate::config::wire::check as wire;

/// The check that was written, and where its options stand.
pub(super) fn check(
    name: &str,
    place: &Place,
    written: &wire::Http,
    places: &mut Written,
    weigh: &mut Checks<'_>,
) -> Option<Made> {
    let url = needed("url", written.url.as_ref(), place, weigh)?;
    places.at("url", Some(url));
    let mut options = http::Options::new(url.value.as_str());
    if let Some(method) = &written.method {
        options.method.clone_from(&method.value);
    }
    for header in written.headers.iter().flatten() {
        let Some((field, value)) = header.value.split_once(':') else {
            weigh.fault(
                Fault::new(&header.place, "a header field is written with a colon")
                    .hint("for example \"X-Tenant: health\""),
            );
            return None;
        };
        options.headers.push((field.trim().to_owned(), Secret::new(value.trim())));
        places.at("headers", Some(header));
    }
    let names = ["bearer_token_env", "bearer_token_file"];
    options.bearer_token =
        secret(names, written.bearer_token_env.as_ref(), written.bearer_token_file.as_ref(), weigh).ok()?;
    places.under("bearer_token", "bearer_token_env", written.bearer_token_env.as_ref());
    places.under("bearer_token", "bearer_token_file", written.bearer_token_file.as_ref());
    places.at("method", written.method.as_ref());
    places.at("redirects", written.redirects.as_ref());
    places.at("ca_file", written.ca_file.as_ref());
    places.at("status", written.status.iter().flatten().next());
    places.at("contains", written.contains.as_ref());
    places.at("json", written.json.iter().flatten().next());
    options.redirects = values::number(written.redirects.as_ref(), 0) as u8;
    options.ca_file = written.ca_file.as_ref().map(|file| weigh.path(file));
    let wants_answer = written.status.is_some() || written.contains.is_some() || written.json.is_some();
    options.expect = match &written.health {
        Some(health) if wants_answer => {
            weigh.fault(
                Fault::new(&health.place, "`health` says already what the answer must be")
                    .hint("leave out `status`, `contains` and `json`, or `health`"),
            );
            return None;
        }
        Some(health) => http::Expect::Health(Dialect::named(health.value)),
        None => {
            let mut answer = http::AnswerWanted::default();
            if let Some(codes) = &written.status {
                answer.status = codes.iter().map(|code| status_range(code, weigh)).collect::<Option<_>>()?;
            }
            answer.contains = text(written.contains.as_ref());
            let pairs = written.json.iter().flatten();
            answer.json = pairs.map(|pair| json_pair(pair, weigh)).collect::<Option<_>>()?;
            http::Expect::Answer(answer)
        }
    };
    Some(http::check(name, options))
}

/// `200` or `200-299`.
fn status_range(written: &At<String>, weigh: &mut Checks<'_>) -> Option<RangeInclusive<u16>> {
    let (first, last) = written.value.split_once('-').unwrap_or((&written.value, &written.value));
    let code = |text: &str| text.trim().parse::<u16>().ok().filter(|code| (100..=599).contains(code));
    match (code(first), code(last)) {
        (Some(first), Some(last)) if first <= last => Some(first..=last),
        _ => {
            weigh.fault(
                Fault::new(&written.place, format!("`status` does not know {}", written.value))
                    .hint("write a code or a range from 100 to 599: \"200\" or \"200-299\""),
            );
            None
        }
    }
}

/// `/pointer = value`
fn json_pair(written: &At<String>, weigh: &mut Checks<'_>) -> Option<(String, serde_json::Value)> {
    let pair = written.value.split_once('=').and_then(|(pointer, value)| {
        Some((pointer.trim().to_owned(), serde_json::from_str(value.trim()).ok()?))
    });
    if pair.is_none() {
        weigh.fault(
            Fault::new(&written.place, "`json` is a pointer, an equals sign and a value as JSON")
                .hint("for example \"/database/up = true\" or \"/name = \\\"polls\\\"\""),
        );
    }
    pair
}
