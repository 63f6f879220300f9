//! Bodies of answers: read, decoded, and never longer than they may be.

use std::io::{self, Read};

use http_body_util::BodyExt;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{CONTENT_ENCODING, HeaderMap};

use crate::failure::text;

/// What can be asked for, RFC 9110 §8.4.1 and RFC 8878.
pub(crate) const ACCEPTED: &str = "gzip, deflate, br, zstd";

/// Nobody may need a larger window to decode Zstandard on the web (RFC 9659 §3), as a power of two in bytes.
const ZSTD_WINDOW: u32 = 23;

/// The body of an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Body {
    /// All of it, decoded.
    Whole(Bytes),
    /// It is longer than it may be, encoded or decoded. This is its beginning, decoded as far as that went.
    TooLong(Bytes),
    /// It breaks off, or cannot be decoded. Reads on from "the body", without any of its text.
    Unreadable(String),
}

impl Body {
    /// What there is of it.
    pub fn beginning(&self) -> &[u8] {
        match self {
            Body::Whole(bytes) | Body::TooLong(bytes) => bytes,
            Body::Unreadable(_) => &[],
        }
    }
}

/// A way to make a body shorter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Reads a body to its end, or to its limit in bytes. With a limit of 0 nothing is read, and nothing waited for.
pub(crate) async fn read(headers: &HeaderMap, body: Incoming, longest: usize, decompress: bool) -> Body {
    if body.is_end_stream() {
        return Body::Whole(Bytes::new());
    }
    if longest == 0 {
        return Body::TooLong(Bytes::new());
    }
    let (raw, is_whole) = match raw(body, longest).await {
        Ok(read) => read,
        Err(error) => return Body::Unreadable(format!("breaks off: {}", text(&error))),
    };
    if raw.is_empty() {
        return Body::Whole(raw);
    }
    let decoded = match coding(headers) {
        Ok(None) if is_whole => return Body::Whole(raw),
        Ok(None) => return Body::TooLong(raw),
        Ok(Some(_)) if !decompress => {
            return Body::Unreadable("is compressed, which was not asked for".into());
        }
        Ok(Some(coding)) => decode(coding, &raw, longest),
        Err(why) => return Body::Unreadable(why.into()),
    };
    match decoded {
        // A limit was met: that of the encoded body, or that of the decoded one.
        (mut decoded, _) if !is_whole || decoded.len() > longest => {
            decoded.truncate(longest);
            Body::TooLong(decoded.into())
        }
        (decoded, Ok(())) => Body::Whole(decoded.into()),
        (_, Err(error)) => Body::Unreadable(format!("cannot be decompressed: {error}")),
    }
}

/// A body as it comes, cut off at its limit; and whether that is all of it.
async fn raw(mut body: Incoming, longest: usize) -> Result<(Bytes, bool), hyper::Error> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let room = longest - read.len();
        if data.len() > room {
            read.extend_from_slice(&data[..room]);
            return Ok((read.into(), false));
        }
        read.extend_from_slice(&data);
    }
    Ok((read.into(), true))
}

fn coding(headers: &HeaderMap) -> Result<Option<Coding>, &'static str> {
    let mut found = None;
    for value in headers.get_all(CONTENT_ENCODING) {
        let value = value.to_str().map_err(|_| "is encoded in a way that is not known")?;
        for name in value.split(',').map(str::trim) {
            let coding = match &*name.to_ascii_lowercase() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                "br" => Coding::Brotli,
                "zstd" => Coding::Zstd,
                _ => return Err("is encoded in a way that is not known"),
            };
            if found.replace(coding).is_some() {
                return Err("is compressed more than once");
            }
        }
    }
    Ok(found)
}

/// What could be decoded, one byte more than `longest` at most; and whether that went well.
fn decode(coding: Coding, raw: &[u8], longest: usize) -> (Vec<u8>, io::Result<()>) {
    let mut decoded = Vec::new();
    let mut take = |reader: &mut dyn Read| -> io::Result<()> {
        reader.take(longest as u64 + 1).read_to_end(&mut decoded).map(drop)
    };
    let result = match coding {
        Coding::Gzip => take(&mut flate2::read::MultiGzDecoder::new(raw)),
        // RFC 9110 §8.4.1.2 means the format of zlib; some have always sent it without its header.
        Coding::Deflate if is_zlib(raw) => take(&mut flate2::read::ZlibDecoder::new(raw)),
        Coding::Deflate => take(&mut flate2::read::DeflateDecoder::new(raw)),
        Coding::Brotli => take(&mut brotli::Decompressor::new(raw, 4096)),
        Coding::Zstd => zstd::stream::read::Decoder::with_buffer(raw).and_then(|mut decoder| {
            decoder.window_log_max(ZSTD_WINDOW)?;
            take(&mut decoder)
        }),
    };
    (decoded, result)
}

/// RFC 1950 §2.2: deflate, a window of 32 KiB at most, and a check of both bytes.
fn is_zlib(raw: &[u8]) -> bool {
    matches!(raw, [first, second, ..]
        if first & 0x8f == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use hyper::header::HeaderValue;

    use super::*;

    fn encoded(coding: Coding, text: &[u8]) -> Vec<u8> {
        match coding {
            Coding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            Coding::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            Coding::Brotli => {
                let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
                encoder.write_all(text).unwrap();
                encoder.into_inner()
            }
            Coding::Zstd => zstd::encode_all(text, 3).unwrap(),
        }
    }

    #[test]
    fn what_is_decoded_is_bounded() {
        let text = vec![b'x'; 100_000];
        for coding in [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd] {
            let raw = encoded(coding, &text);
            let (decoded, result) = decode(coding, &raw, text.len());
            assert!(result.is_ok() && decoded == text, "{coding:?}: {result:?}");
            let (decoded, result) = decode(coding, &raw, 10);
            assert!(result.is_ok() && decoded.len() == 11, "{coding:?}: {result:?}");
            let (_, result) = decode(coding, &raw[..raw.len() / 2], text.len());
            assert!(result.is_err(), "{coding:?} takes half of it for the whole");
            let (_, result) = decode(coding, b"no such thing", text.len());
            assert!(result.is_err(), "{coding:?} takes anything");
        }
    }

    #[test]
    fn deflate_without_its_header_is_read_too() {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(b"healthy").unwrap();
        assert_eq!(decode(Coding::Deflate, &encoder.finish().unwrap(), 10).0, b"healthy");
    }

    #[test]
    fn codings_are_known_by_their_names() {
        let check = |values: &[&'static str], expected: Result<Option<Coding>, &str>| {
            let values = values.iter().map(|value| (CONTENT_ENCODING, HeaderValue::from_static(value)));
            assert_eq!(coding(&values.collect()), expected);
        };
        check(&[], Ok(None));
        check(&["identity"], Ok(None));
        check(&["GZip"], Ok(Some(Coding::Gzip)));
        check(&["identity, zstd"], Ok(Some(Coding::Zstd)));
        check(&["br"], Ok(Some(Coding::Brotli)));
        check(&["gzip, gzip"], Err("is compressed more than once"));
        check(&["gzip", "deflate"], Err("is compressed more than once"));
        check(&["compress"], Err("is encoded in a way that is not known"));
    }
}
