//! Proactive negotiation (RFC 9110 §12): which representation, which content coding.

use http::header::{ACCEPT, ACCEPT_ENCODING};
use http::{HeaderMap, HeaderName};

/// A content coding that we can make.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Coding {
    Gzip,
    Brotli,
    Zstd,
    Deflate,
}

impl Coding {
    /// Those we offer; among equals the first is taken.
    const ALL: [Coding; 4] = [Coding::Gzip, Coding::Brotli, Coding::Zstd, Coding::Deflate];

    pub(super) fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
            Coding::Deflate => "deflate",
        }
    }
}

/// Index of the media type among `offers` that the client likes best; among equals the first offer. An `Accept`
/// that matches none of them, or none at all, gets the first.
pub(super) fn media_type<const N: usize>(headers: &HeaderMap, offers: &[&str; N]) -> usize {
    let mut values = headers.get_all(ACCEPT).iter();
    let takes_anything = values.next().is_none_or(|value| value == "*/*") && values.next().is_none();
    if takes_anything {
        return 0;
    }
    // For each offer what the most specific range says that matches it.
    let mut found = [(0, 0); N];
    for (range, quality) in elements(headers, ACCEPT) {
        for (found, offer) in found.iter_mut().zip(offers) {
            *found = (*found).max((specificity(range, offer), quality));
        }
    }
    let mut best = (0, 0);
    for (index, (specificity, quality)) in found.into_iter().enumerate() {
        if specificity > 0 && quality > best.1 {
            best = (index, quality);
        }
    }
    best.0
}

/// The coding that the client likes best; `None` is identity. Codings must be asked for by name.
pub(super) fn coding(headers: &HeaderMap) -> Option<Coding> {
    let wanted: Vec<_> = elements(headers, ACCEPT_ENCODING).collect();
    if wanted.is_empty() {
        return None;
    }
    let quality =
        |name: &str| wanted.iter().find(|(value, _)| value.eq_ignore_ascii_case(name)).map(|found| found.1);
    let mut best: Option<(Coding, u16)> = None;
    for coding in Coding::ALL {
        let alias = if coding == Coding::Gzip { quality("x-gzip") } else { None };
        let quality = quality(coding.name()).or(alias).unwrap_or(0);
        if quality > best.map_or(0, |(_, quality)| quality) {
            best = Some((coding, quality));
        }
    }
    let any = quality("*");
    let identity = quality("identity").or_else(|| any.filter(|quality| *quality == 0));
    match (best, identity) {
        (Some((_, quality)), Some(identity)) if identity > quality => None,
        (Some((coding, _)), _) => Some(coding),
        // Identity is refused, and anything else would do.
        (None, Some(0)) if any.is_some_and(|quality| quality > 0) => {
            Coding::ALL.into_iter().find(|coding| quality(coding.name()).is_none())
        }
        (None, _) => None,
    }
}

/// How precisely a range names a media type: 3 by its name, 2 by its kind, 1 as any; 0 if it is another.
fn specificity(range: &str, offer: &str) -> u8 {
    if range == "*/*" {
        return 1;
    }
    let kind = range.strip_suffix("/*");
    match kind {
        _ if range.eq_ignore_ascii_case(offer) => 3,
        Some(kind) if offer.split('/').next().is_some_and(|offered| kind.eq_ignore_ascii_case(offered)) => 2,
        _ => 0,
    }
}

/// The elements of a list header with their quality in thousandths. What cannot be read is left out.
fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = (&str, u16)> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(split_unquoted).filter_map(element)
}

fn element(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let value = parts.next().filter(|value| !value.is_empty())?;
    let quality = parts.find_map(|part| {
        let (name, quality) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then_some(quality.trim())
    });
    Some((value, quality.map_or(Some(1000), thousandths)?))
}

/// A quality value: `0` to `1` with at most three decimals.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let decimals: u16 = format!("{decimals:0<3}").parse().ok()?;
    match (whole, decimals) {
        ("0", decimals) => Some(decimals),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

/// Splits at commas outside of quoted strings.
fn split_unquoted(text: &str) -> impl Iterator<Item = &str> {
    let mut in_quotes = false;
    let mut escaped = false;
    text.split(move |character| {
        let is_escaped = std::mem::take(&mut escaped);
        match character {
            '"' if !is_escaped => in_quotes = !in_quotes,
            '\\' if in_quotes && !is_escaped => escaped = true,
            _ => {}
        }
        character == ',' && !in_quotes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERS: [&str; 4] = ["application/json", "text/html", "text/plain", "text/xml"];

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn media_types_are_chosen_by_quality_and_specificity() {
        let check = |accept: &[&str], expected: &str| {
            assert_eq!(OFFERS[media_type(&headers(ACCEPT, accept), &OFFERS)], expected, "{accept:?}");
        };
        check(&[], "application/json");
        check(&["*/*"], "application/json");
        check(&["text/html"], "text/html");
        check(&["TEXT/Plain; charset=utf-8"], "text/plain");
        check(&["text/*"], "text/html");
        check(&["text/*;q=0.5, text/xml"], "text/xml");
        check(&["text/*, text/html;q=0"], "text/plain");
        check(&["text/html;q=0.1, application/json;q=0.2"], "application/json");
        check(&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], "text/html");
        check(&["image/png"], "application/json");
        check(&["application/json;q=0, text/plain;q=0.1"], "text/plain");
        check(&["text/plain;q=0.5", "text/xml"], "text/xml");
        check(&["text/xml;q=2, text/plain;q=0.001"], "text/plain");
        check(&["text/html;title=\"a,text/xml\";q=0.1, text/plain;q=0.2"], "text/plain");
        check(&[",,;;q=,/"], "application/json");
    }

    #[test]
    fn codings_are_used_only_when_asked_for() {
        let check = |accept: &[&str], expected: Option<Coding>| {
            assert_eq!(coding(&headers(ACCEPT_ENCODING, accept)), expected, "{accept:?}");
        };
        check(&[], None);
        check(&["identity"], None);
        check(&["gzip"], Some(Coding::Gzip));
        check(&["deflate"], Some(Coding::Deflate));
        check(&["gzip, deflate"], Some(Coding::Gzip));
        check(&["gzip;q=0.5, br;q=0.9, zstd;q=0.1"], Some(Coding::Brotli));
        check(&["ZSTD"], Some(Coding::Zstd));
        check(&["x-gzip"], Some(Coding::Gzip));
        check(&["gzip;q=0"], None);
        check(&["gzip;q=0.5, identity;q=0.6"], None);
        check(&["gzip;q=0.5, identity;q=0.4"], Some(Coding::Gzip));
        check(&["*"], None);
        check(&["identity;q=0, *"], Some(Coding::Gzip));
        check(&["gzip;q=0, identity;q=0, *;q=0.1"], Some(Coding::Brotli));
        check(&["*;q=0"], None);
        check(&["compress"], None);
    }
}
