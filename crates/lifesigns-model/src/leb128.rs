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

/// Bytes of several numbers that are looked at together.
const WINDOW: usize = 32;

/// Takes `ALL` numbers off the beginning, and reads the first `N` of them. It is faster than [`read`] for one after the
/// other: where they end is found without a branch for each byte, since a processor cannot guess how long each of them is.
#[inline]
pub fn read_first<const N: usize, const ALL: usize>(bytes: &mut &[u8]) -> Option<[u64; N]> {
    const { assert!(N <= ALL, "no more can be read than are there") };
    if let Some((numbers, rest)) = read_in_window::<N, ALL>(bytes) {
        *bytes = rest;
        return Some(numbers);
    }
    let mut numbers = [0; N];
    for place in 0..ALL {
        let number = read(bytes)?;
        if let Some(wanted) = numbers.get_mut(place) {
            *wanted = number;
        }
    }
    Some(numbers)
}

/// Numbers of at most 8 bytes that end within the window; `None` for others.
#[inline]
fn read_in_window<const N: usize, const ALL: usize>(bytes: &[u8]) -> Option<([u64; N], &[u8])> {
    // A number that begins with the window's last byte is still read as a whole word.
    let window = bytes.first_chunk::<{ WINDOW + 8 }>()?;
    let ends = ends(window);
    let mut longer = !ends;
    for bits in [1, 2, 4] {
        longer &= longer >> bits;
    }
    let mut last = ends;
    for _ in 1..ALL {
        last &= last.wrapping_sub(1);
    }
    if longer != 0 || last == 0 {
        return None;
    }
    let (mut start, mut left) = (0, ends);
    let numbers = std::array::from_fn(|_| {
        let end = left.trailing_zeros() as usize + 1;
        let number = number(word(window, start), end - start);
        left &= left.wrapping_sub(1);
        start = end;
        number
    });
    Some((numbers, bytes.get(last.trailing_zeros() as usize + 1..)?))
}

/// A bit for each byte of the window that ends a number.
#[inline]
fn ends(window: &[u8; WINDOW + 8]) -> u32 {
    /// Brings the lowest bits of eight bytes together in the highest byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let mut ends = 0;
    for place in (0..WINDOW).step_by(8) {
        let last = (!word(window, place) >> 7) & 0x0101_0101_0101_0101;
        ends |= ((last.wrapping_mul(GATHER) >> 56) as u32) << place;
    }
    ends
}

#[inline]
fn word(window: &[u8; WINDOW + 8], start: usize) -> u64 {
    // Always in there: this spares the check.
    let start = start % WINDOW;
    u64::from_le_bytes(std::array::from_fn(|byte| window[start + byte]))
}

/// The number in the first bytes of a word, 1 to 8 of them.
#[inline]
fn number(word: u64, bytes: usize) -> u64 {
    let sevens = word & (u64::MAX >> (64 - 8 * bytes)) & 0x7f7f_7f7f_7f7f_7f7f;
    let pairs = (sevens & 0x007f_007f_007f_007f) | ((sevens & 0x7f00_7f00_7f00_7f00) >> 1);
    let fours = (pairs & 0x0000_3fff_0000_3fff) | ((pairs & 0x3fff_0000_3fff_0000) >> 2);
    (fours & 0x0fff_ffff) | ((fours & 0x0fff_ffff_0000_0000) >> 4)
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
        fn the_first_are_read_as_one_after_the_other(bytes in prop::collection::vec(any::<u8>(), 0..80), long in 0u8..=8) {
            // Some numbers are too long, or cut.
            let bytes: Vec<u8> =
                bytes.iter().map(|byte| if byte % 8 < long { *byte } else { byte & 0x7f }).collect();
            let mut rest = &*bytes;
            let singly: Option<Vec<u64>> = (0..6).map(|_| read(&mut rest)).collect();
            let (mut all, mut first) = (&*bytes, &*bytes);
            prop_assert_eq!(read_first::<6, 6>(&mut all).map(|numbers| numbers.to_vec()), singly.clone());
            let two = read_first::<2, 6>(&mut first).map(|numbers| numbers.to_vec());
            prop_assert_eq!(two.as_deref(), singly.as_deref().map(|numbers| &numbers[..2]));
            if singly.is_some() {
                prop_assert_eq!((all, first), (rest, rest));
            }
        }

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
