//! The id by which a request is found again in everybody's logs.

use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The field that carries it.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Makes ids. Each worker has its own, so they are told apart by a random number of 64 bits.
pub(crate) struct RequestIds {
    worker: u64,
    last: Cell<u64>,
}

impl RequestIds {
    pub(crate) fn new() -> RequestIds {
        // The keys of the standard hasher are the operating system's randomness.
        let random = || RandomState::new().hash_one(0_u8);
        RequestIds { worker: random(), last: Cell::new(random()) }
    }

    /// The client's own id if it is one (1 to 128 visible ASCII characters), otherwise a new one.
    pub(crate) fn of(&self, headers: &HeaderMap) -> HeaderValue {
        match headers.get(X_REQUEST_ID) {
            Some(id) if is_request_id(id.as_bytes()) => id.clone(),
            _ => self.make(),
        }
    }

    /// 32 hexadecimal digits.
    fn make(&self) -> HeaderValue {
        self.last.set(self.last.get().wrapping_add(1));
        let mut digits = [0_u8; 32];
        let number = (u128::from(self.worker) << 64) | u128::from(self.last.get());
        for (place, digit) in digits.iter_mut().enumerate() {
            let nibble = (number >> (124 - 4 * place)) & 0xf;
            *digit = b"0123456789abcdef"[nibble as usize];
        }
        HeaderValue::from_bytes(&digits).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    }
}

fn is_request_id(id: &[u8]) -> bool {
    (1..=128).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(sent: &[u8]) -> HeaderValue {
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, HeaderValue::from_bytes(sent).unwrap());
        RequestIds::new().of(&headers)
    }

    #[test]
    fn a_good_id_is_kept() {
        for id in ["a", "7f3c-1", "!~", &"x".repeat(128)] {
            assert_eq!(id_for(id.as_bytes()), id);
        }
    }

    #[test]
    fn a_bad_id_is_replaced() {
        for id in [b"".as_slice(), b"two words", b"caf\xc3\xa9", "x".repeat(129).as_bytes()] {
            let made = id_for(id);
            assert_eq!(made.len(), 32);
            assert!(made.as_bytes().iter().all(u8::is_ascii_hexdigit));
        }
    }

    #[test]
    fn two_ids_differ() {
        let ids = RequestIds::new();
        assert_ne!(ids.make(), ids.make());
        assert_ne!(RequestIds::new().make(), RequestIds::new().make());
    }
}
