//! Names for requests, so that an answer can be found again in a log.

use std::cell::Cell;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Header that carries the name of a request, both ways.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The name of one request: 1 to 128 visible ASCII characters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The name as the value of `X-Request-Id`.
    pub fn into_header(self) -> HeaderValue {
        self.0
    }
}

impl RequestId {
    /// A new one, of 32 hexadecimal digits.
    pub(super) fn new() -> RequestId {
        RequestId(made())
    }
}

/// The name that the request brings in `X-Request-Id`, or a new one of 32 hexadecimal digits.
pub fn request_id(headers: &HeaderMap) -> RequestId {
    let mut values = headers.get_all(X_REQUEST_ID).iter();
    match (values.next(), values.next()) {
        (Some(value), None) if is_request_id(value.as_bytes()) => RequestId(value.clone()),
        _ => RequestId::new(),
    }
}

fn is_request_id(bytes: &[u8]) -> bool {
    (1..=128).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

/// Length of a name that is made here.
const DIGITS: usize = 32;

/// Each byte in two digits.
const HEXADECIMAL: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut all = [[0; 2]; 256];
    let mut byte = 0;
    while byte < all.len() {
        all[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    all
};

/// Names that a thread makes at a time: they share one piece of memory.
const BATCH: usize = 32;

fn made() -> HeaderValue {
    thread_local! {
        static MADE: Cell<Bytes> = const { Cell::new(Bytes::new()) };
    }
    let mut ready = MADE.take();
    if ready.is_empty() {
        ready = (0..BATCH).flat_map(|_| next_number().to_be_bytes()).flat_map(digits_of).collect();
    }
    let name = ready.split_to(DIGITS);
    MADE.set(ready);
    HeaderValue::from_maybe_shared(name).unwrap_or_else(|_| HeaderValue::from_static("0"))
}

fn digits_of(byte: u8) -> [u8; 2] {
    HEXADECIMAL[usize::from(byte)]
}

/// 128 bits that do not come twice: a random number for each thread, and a count. They need not be secret.
fn next_number() -> u128 {
    thread_local! {
        static NEXT: Cell<u128> = Cell::new(random());
    }
    NEXT.with(|next| next.replace(next.get().wrapping_add(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)))
}

fn random() -> u128 {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // Without a source of randomness the clock and the address of a local still tell threads apart.
        let clock = jiff::Timestamp::now().as_nanosecond() as u128;
        return clock.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (std::ptr::from_ref(&bytes) as usize as u128);
    }
    u128::from_ne_bytes(bytes)
}

/// Whether this is a `traceparent` of the W3C trace context: version, trace id, parent id and flags, no id all zero.
pub fn is_trace_parent(value: &str) -> bool {
    let mut parts = value.split('-');
    let mut next = |length: usize| {
        parts.next().filter(|part| {
            part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    let (Some(version), Some(trace), Some(parent), Some(_flags)) = (next(2), next(32), next(16), next(2))
    else {
        return false;
    };
    let has_more = parts.next().is_some();
    let is_zero = |id: &str| id.bytes().all(|digit| digit == b'0');
    let is_version_known = version != "ff" && (version != "00" || !has_more);
    is_version_known && !is_zero(trace) && !is_zero(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(values: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        values.iter().for_each(|value| {
            headers.append(X_REQUEST_ID, HeaderValue::from_static(value));
        });
        request_id(&headers).as_str().to_owned()
    }

    #[test]
    fn a_good_name_is_kept_and_a_bad_one_replaced() {
        assert_eq!(given(&["XkWq4jpXHFZ@jWfTjvO7gwAAACU"]), "XkWq4jpXHFZ@jWfTjvO7gwAAACU");
        for bad in [
            &[][..],
            &[""],
            &["a b"],
            &["a", "b"],
            &[concat!(
                "0123456789012345678901234567890123456789",
                "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678"
            )],
        ] {
            let made = given(bad);
            assert!(
                made.len() == 32 && made.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{bad:?} gave {made}"
            );
        }
        assert_ne!(given(&[]), given(&[]));
    }

    #[test]
    fn trace_parents_are_told_from_nonsense() {
        let check = |value: &str, expected| assert_eq!(is_trace_parent(value), expected, "{value}");
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true);
        check("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what", true);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what", false);
        check("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false);
        check("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false);
        check("", false);
    }
}
