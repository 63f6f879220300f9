//! A row of fresh readings: what one transaction brought, all services together.
//!
//! For each reading the number of its service in LEB128, then the reading as `stretch` has it. At the end the CRC-32 of
//! all before it.

use std::io;

use lifesigns_model::history::Reading;
use lifesigns_model::leb128;

use super::stretch;
use crate::file::error::damaged;

const CHECKSUM: usize = 4;

/// Bytes with their checksum.
pub(super) fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = crc32fast::hash(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

/// The readings of a row and the numbers of their services, in the order in which they came. It ends after an error.
pub(super) fn readings(
    row: &[u8],
) -> rusqlite::Result<impl Iterator<Item = rusqlite::Result<(i64, Reading)>> + '_> {
    let (mut bytes, checksum) = row.split_last_chunk::<CHECKSUM>().ok_or_else(unreadable)?;
    if crc32fast::hash(bytes).to_le_bytes() != *checksum {
        return Err(unreadable());
    }
    let mut last = 0;
    Ok(std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let entry = leb128::read(&mut bytes)
            .and_then(|service| Some((service as i64, stretch::read(&mut bytes, &mut last)?)));
        if entry.is_none() {
            bytes = &[];
        }
        Some(entry.ok_or_else(unreadable))
    }))
}

fn unreadable() -> rusqlite::Error {
    damaged(0, io::Error::other("fresh readings that nobody has written"))
}
