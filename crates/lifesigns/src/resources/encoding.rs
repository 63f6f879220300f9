//! Content codings.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::negotiate::Coding;

/// `body` in this coding. `deflate` is the zlib format, as RFC 9110 §8.4.1.2 has it.
pub(super) fn encode(coding: Coding, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoded = Vec::with_capacity(body.len() / 2 + 32);
    match coding {
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(encoded, Compression::fast());
            encoder.write_all(body)?;
            return encoder.finish();
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(encoded, Compression::fast());
            encoder.write_all(body)?;
            return encoder.finish();
        }
        Coding::Brotli => {
            // Quality 4 of 11 and a window of 2^18 bytes: bodies here are small and made anew for each caller.
            let mut encoder = brotli::CompressorWriter::new(&mut encoded, 4096, 4, 18);
            encoder.write_all(body)?;
            // Ends the stream.
            encoder.into_inner();
        }
        Coding::Zstd => zstd::stream::copy_encode(body, &mut encoded, 1)?,
    }
    Ok(encoded)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_was_encoded_comes_back() {
        let body = b"{\"status\":\"OK\"}".repeat(100);
        let decode = |coding, bytes: &[u8]| {
            let mut decoded = Vec::new();
            match coding {
                Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut decoded).unwrap(),
                Coding::Deflate => flate2::read::ZlibDecoder::new(bytes).read_to_end(&mut decoded).unwrap(),
                Coding::Brotli => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut decoded).unwrap(),
                Coding::Zstd => {
                    zstd::stream::copy_decode(bytes, &mut decoded).unwrap();
                    0
                }
            };
            decoded
        };
        for coding in [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd] {
            for body in [&body[..], b""] {
                let encoded = encode(coding, body).unwrap();
                assert_eq!(decode(coding, &encoded), body, "{coding:?}");
            }
        }
    }
}
