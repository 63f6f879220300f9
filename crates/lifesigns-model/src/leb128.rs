//! Whole numbers in as few bytes as they need: LEB128, seven bits a byte, the lowest first.

/// Appends a number: one byte up to 127, at most ten.
pub fn write(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Takes a number off the beginning; `None` when there is none, or one of more than 64 bits.
#[inline]
pub fn read(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    *bytes = rest;
    if first < 0x80 {
        return Some(u64::from(first));
    }
    let mut number = u64::from(first & 0x7f);
    for shift in (7..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            return None;
        }
        number |= part << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_number_is_refused() {
        for bytes in
            [&[][..], &[0x80], &[0xff; 11], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]]
        {
            assert_eq!(read(&mut &*bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(bits in 0u32..=64, number in any::<u64>(), more in any::<u8>()) {
            let number = if bits == 0 { 0 } else { number >> (64 - bits) };
            let mut bytes = Vec::new();
            write(&mut bytes, number);
            bytes.push(more);
            let mut rest = &*bytes;
            prop_assert_eq!(read(&mut rest), Some(number));
            prop_assert_eq!(rest, [more]);
        }
    }
}
