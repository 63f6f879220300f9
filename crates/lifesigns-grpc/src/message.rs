//! The messages of `grpc.health.v1` as protocol buffers. Three of them, with one field each: a generated codec would be
//! larger than this one.

use std::fmt;
use std::sync::Arc;

use bytes::{Buf, BufMut};

/// `ServingStatus` of `HealthCheckResponse`. Its zero, `UNKNOWN`, is never sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ServingStatus {
    Serving = 1,
    NotServing = 2,
    ServiceUnknown = 3,
}

/// `HealthCheckRequest`. A `HealthListRequest`, which has no fields, reads as one without a name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Asked {
    pub(crate) service: String,
}

/// What is answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Told {
    /// `HealthCheckResponse`.
    Status(ServingStatus),
    /// `HealthListResponse`.
    List(Vec<(Arc<str>, ServingStatus)>),
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Malformed(&'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the request is no HealthCheckRequest: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

const BROKEN_OFF: Malformed = Malformed("it breaks off");

/// The wire types of the encoding.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH: u64 = 2;
const GROUP: u64 = 3;
const END_OF_GROUP: u64 = 4;
const FIXED_32: u64 = 5;

impl Asked {
    /// Reads a whole message. Fields that are not known are passed over, and of a field that comes twice the last
    /// one counts.
    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Asked, Malformed> {
        let mut asked = Asked::default();
        let mut groups: Vec<u64> = Vec::new();
        while bytes.has_remaining() {
            let tag = varint(&mut bytes)?;
            let (field, wire_type) = (tag >> 3, tag & 7);
            if field == 0 || field >= 1 << 29 {
                return Err(Malformed("the number of a field is out of range"));
            }
            match wire_type {
                VARINT => drop(varint(&mut bytes)?),
                FIXED_64 => drop(take(&mut bytes, 8)?),
                FIXED_32 => drop(take(&mut bytes, 4)?),
                LENGTH => {
                    let length = varint(&mut bytes)?;
                    let value = take(&mut bytes, length)?;
                    if field == 1 && groups.is_empty() {
                        let service = std::str::from_utf8(value);
                        let service =
                            service.map_err(|_| Malformed("the name of the service is not UTF-8"))?;
                        service.clone_into(&mut asked.service);
                    }
                }
                GROUP => groups.push(field),
                END_OF_GROUP if groups.pop() == Some(field) => {}
                END_OF_GROUP => return Err(Malformed("a group ends that had not begun")),
                _ => return Err(Malformed("a field is of no known type")),
            }
        }
        if groups.is_empty() { Ok(asked) } else { Err(BROKEN_OFF) }
    }
}

impl Told {
    pub(crate) fn encode(&self, out: &mut impl BufMut) {
        match self {
            Told::Status(status) => out.put_slice(&encoded_status(*status)),
            Told::List(statuses) => {
                for (name, status) in statuses {
                    // An entry of a map is a message with the key as field 1 and the value as field 2.
                    let status = encoded_status(*status);
                    let length = 1 + length_of_varint(name.len()) + name.len() + 2 + status.len();
                    out.put_u8(0x0a);
                    put_varint(length, out);
                    out.put_u8(0x0a);
                    put_varint(name.len(), out);
                    out.put_slice(name.as_bytes());
                    out.put_slice(&[0x12, status.len() as u8]);
                    out.put_slice(&status);
                }
            }
        }
    }
}

/// A `HealthCheckResponse`: field 1, a number.
fn encoded_status(status: ServingStatus) -> [u8; 2] {
    [0x08, status as u8]
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *take(bytes, 1)?.first().ok_or(BROKEN_OFF)?;
        // What is past 64 bits is lost, as in every implementation.
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Malformed("a number is too long"))
}

fn take<'a>(bytes: &mut &'a [u8], length: u64) -> Result<&'a [u8], Malformed> {
    let length = usize::try_from(length).map_err(|_| BROKEN_OFF)?;
    let (taken, rest) = bytes.split_at_checked(length).ok_or(BROKEN_OFF)?;
    *bytes = rest;
    Ok(taken)
}

fn put_varint(mut value: usize, out: &mut impl BufMut) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn length_of_varint(value: usize) -> usize {
    (value.checked_ilog2().unwrap_or(0) / 7 + 1) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(bytes: &[u8], expected: Result<&str, &str>) {
        let asked = Asked::decode(bytes);
        let asked = asked.as_ref().map(|asked| &*asked.service).map_err(|malformed| malformed.0);
        assert_eq!(asked, expected, "{bytes:?}");
    }

    #[test]
    fn requests_are_read() {
        check(b"", Ok(""));
        check(b"\x0a\x00", Ok(""));
        check(b"\x0a\x05polls", Ok("polls"));
        check(b"\x0a\x01a\x0a\x01b", Ok("b"));
        check("\x0a\x02é".as_bytes(), Ok("é"));
    }

    #[test]
    fn what_is_not_known_is_passed_over() {
        check(b"\x08\x96\x01\x0a\x01a", Ok("a"));
        check(b"\x11\0\0\0\0\0\0\0\0\x0a\x01a\x15\0\0\0\0", Ok("a"));
        check(b"\x0a\x01a\x1a\x02\xff\xff", Ok("a"));
        check(b"\x1b\x0a\x01b\x23\x24\x1c\x0a\x01a", Ok("a"));
        check(b"\x0b\x0a\x01b\x0c", Ok(""));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bytes in [&b"\x0a"[..], b"\x0a\x05poll", b"\x08", b"\x08\x80", b"\x11\0", b"\x15\0\0\0", b"\x0b"]
        {
            check(bytes, Err(BROKEN_OFF.0));
        }
        check(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Err(BROKEN_OFF.0));
        check(b"\x0a\x01\xff", Err("the name of the service is not UTF-8"));
        check(b"\x02\x00", Err("the number of a field is out of range"));
        check(b"\x0f", Err("a field is of no known type"));
        check(b"\x0c", Err("a group ends that had not begun"));
        check(b"\x0b\x14", Err("a group ends that had not begun"));
        check(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Err("a number is too long"));
    }

    #[test]
    fn answers_are_written() {
        let encoded = |told: Told| {
            let mut bytes = Vec::new();
            told.encode(&mut bytes);
            bytes
        };
        assert_eq!(encoded(Told::Status(ServingStatus::Serving)), b"\x08\x01");
        assert_eq!(encoded(Told::Status(ServingStatus::NotServing)), b"\x08\x02");
        assert_eq!(encoded(Told::Status(ServingStatus::ServiceUnknown)), b"\x08\x03");
        let long = "x".repeat(200);
        let list =
            vec![("".into(), ServingStatus::Serving), (long.as_str().into(), ServingStatus::NotServing)];
        let expected = [
            b"\x0a\x06\x0a\x00\x12\x02\x08\x01\x0a\xcf\x01\x0a\xc8\x01",
            long.as_bytes(),
            b"\x12\x02\x08\x02",
        ];
        assert_eq!(encoded(Told::List(list)), expected.concat());
        assert_eq!(encoded(Told::List(Vec::new())), b"");
    }

    proptest! {
        #[test]
        fn any_name_survives(name in ".{0,300}", rest in 2u8..16) {
            let mut bytes = vec![0x0a];
            put_varint(name.len(), &mut bytes);
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(&[rest << 3, 0]);
            prop_assert_eq!(Asked::decode(&bytes), Ok(Asked { service: name }));
        }

        #[test]
        fn no_bytes_harm(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(asked) = Asked::decode(&bytes) {
                prop_assert!(asked.service.len() <= bytes.len());
            }
        }

        #[test]
        fn the_length_of_a_number_is_foretold(value in any::<usize>()) {
            let mut bytes = Vec::new();
            put_varint(value, &mut bytes);
            prop_assert_eq!(bytes.len(), length_of_varint(value));
            prop_assert_eq!(varint(&mut &bytes[..]), Ok(value as u64));
        }
    }
}
