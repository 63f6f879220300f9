//! The last exchanges that one thread has seen end.
//!
//! The thread writes, whoever counts reads. Neither waits for the other: what is written becomes visible by moving
//! the head, what has been read makes room by moving the tail. What was read stays for a while and can be read again.

use std::array;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use lifesigns_model::exchange::Measurement;

use super::accumulator::PackedKey;

/// Exchanges that wait to be read at most.
const UNREAD: usize = 64;
/// Exchanges that find room. A power of two, so that the numbers of their places follow each other for ever.
const ROOM: usize = 1024;
/// So many that have been read can be read again.
pub(crate) const KEPT: usize = ROOM - UNREAD;

/// One exchange that has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ended {
    pub(crate) key: PackedKey,
    /// When, in microseconds; by whose clock is for those who read and write it to know.
    pub(crate) at_micros: i64,
    pub(crate) measured: Measurement,
}

type Place = [AtomicU64; 7];

/// A ring that one thread at a time may write and one at a time may read.
#[derive(Debug)]
pub(crate) struct Ring {
    /// How many were ever written.
    head: AtomicUsize,
    /// How many were ever read.
    tail: AtomicUsize,
    places: Box<[Place; ROOM]>,
}

impl Default for Ring {
    fn default() -> Ring {
        let places = Box::new(array::from_fn(|_| Place::default()));
        Ring { head: AtomicUsize::new(0), tail: AtomicUsize::new(0), places }
    }
}

impl Ring {
    /// Writes one, unless there is no room.
    pub(crate) fn push(&self, ended: &Ended) -> bool {
        let head = self.head.load(Ordering::Relaxed);
        // What was read in this place is behind us once its reader has moved the tail.
        if head.wrapping_sub(self.tail.load(Ordering::Acquire)) == UNREAD {
            return false;
        }
        for (place, word) in self.places[head % ROOM].iter().zip(to_words(ended)) {
            place.store(word, Ordering::Relaxed);
        }
        self.head.store(head.wrapping_add(1), Ordering::Release);
        true
    }

    /// Reads all that were written before.
    pub(crate) fn drain(&self, take: impl FnMut(Ended)) {
        let head = self.head.load(Ordering::Acquire);
        self.read(self.tail.load(Ordering::Relaxed), head, take);
        self.tail.store(head, Ordering::Release);
    }

    /// Reads those again that were read last: so many of them, [`KEPT`] at most.
    ///
    /// Whoever calls this has to be the one who drains, so that nothing is written in their places.
    pub(crate) fn read_again(&self, count: usize, take: impl FnMut(Ended)) {
        let tail = self.tail.load(Ordering::Relaxed);
        self.read(tail.wrapping_sub(count.min(KEPT)), tail, take);
    }

    fn read(&self, from: usize, to: usize, mut take: impl FnMut(Ended)) {
        let mut next = from;
        while next != to {
            take(from_words(self.places[next % ROOM].each_ref().map(|word| word.load(Ordering::Relaxed))));
            next = next.wrapping_add(1);
        }
    }
}

fn to_words(ended: &Ended) -> [u64; 7] {
    let Ended { key: PackedKey(labels, others), at_micros, measured } = ended;
    [
        *labels,
        *others,
        *at_micros as u64,
        measured.total_micros,
        measured.first_byte_micros,
        measured.request_bytes,
        measured.response_bytes,
    ]
}

fn from_words(words: [u64; 7]) -> Ended {
    let [labels, others, at, total_micros, first_byte_micros, request_bytes, response_bytes] = words;
    let measured = Measurement { total_micros, first_byte_micros, request_bytes, response_bytes };
    Ended { key: PackedKey(labels, others), at_micros: at as i64, measured }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(number: u64) -> Ended {
        let measured = Measurement {
            total_micros: number,
            first_byte_micros: !number,
            request_bytes: number << 1,
            response_bytes: u64::MAX,
        };
        Ended { key: PackedKey(number, !number), at_micros: -(number as i64), measured }
    }

    #[test]
    fn a_full_ring_takes_no_more_until_it_is_read() {
        let ring = Ring::default();
        for round in 0..3 {
            let taken = (0..100).take_while(|number| ring.push(&ended(round * 100 + number))).count();
            assert_eq!(taken, UNREAD);
            let mut read = Vec::new();
            ring.drain(|ended| read.push(ended));
            assert_eq!(
                read,
                (0..UNREAD as u64).map(|number| ended(round * 100 + number)).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn everything_is_read_once_whole_and_in_order_while_it_is_written() {
        const ALL: u64 = 200_000;
        let ring = Ring::default();
        let mut next = 0;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..ALL {
                    while !ring.push(&ended(number)) {
                        std::thread::yield_now();
                    }
                }
            });
            while next < ALL {
                ring.drain(|read| {
                    assert_eq!(read, ended(next));
                    next += 1;
                });
            }
        });
    }

    #[test]
    fn what_was_read_can_be_read_again_while_others_are_written() {
        let ring = Ring::default();
        for number in 0..ROOM as u64 * 2 {
            assert!(ring.push(&ended(number)));
            ring.drain(|_| ());
        }
        let first = ROOM as u64 * 2 - KEPT as u64;
        for more in 0..UNREAD as u64 {
            assert!(ring.push(&ended(1_000_000 + more)));
            let mut read = Vec::new();
            ring.read_again(ROOM * 2, |ended| read.push(ended));
            assert_eq!(read, (first..ROOM as u64 * 2).map(ended).collect::<Vec<_>>());
        }
        let mut read = Vec::new();
        ring.drain(|_| ());
        ring.read_again(3, |ended| read.push(ended));
        assert_eq!(read, [61, 62, 63].map(|more| ended(1_000_000 + more)));
    }
}
