//! Exchanges that one thread has seen end and nobody has counted yet.
//!
//! The thread writes, whoever counts reads. Neither waits for the other: what is written becomes visible by moving
//! the head, what has been read makes room by moving the tail.

use std::array;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use lifesigns_model::exchange::{FailedBy, Measurement};

use super::accumulator::SeriesKey;

/// Exchanges that find room. A power of two, so that the numbers of their places follow each other for ever.
const ROOM: usize = 64;

/// One exchange that has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ended {
    pub(crate) key: SeriesKey,
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
        if head.wrapping_sub(self.tail.load(Ordering::Acquire)) == ROOM {
            return false;
        }
        for (place, word) in self.places[head % ROOM].iter().zip(to_words(ended)) {
            place.store(word, Ordering::Relaxed);
        }
        self.head.store(head.wrapping_add(1), Ordering::Release);
        true
    }

    /// Reads all that were written before.
    pub(crate) fn drain(&self, mut take: impl FnMut(Ended)) {
        let head = self.head.load(Ordering::Acquire);
        let mut tail = self.tail.load(Ordering::Relaxed);
        while tail != head {
            take(from_words(self.places[tail % ROOM].each_ref().map(|word| word.load(Ordering::Relaxed))));
            tail = tail.wrapping_add(1);
            self.tail.store(tail, Ordering::Release);
        }
    }
}

fn to_words(ended: &Ended) -> [u64; 7] {
    let Ended { key, at_micros, measured } = ended;
    let labels = [key.api, key.route, key.client, key.status];
    let [a, b, c, d] = labels.map(u64::from);
    [
        a | b << 16 | c << 32 | d << 48,
        u64::from(key.policy) | u64::from(key.method) << 16 | u64::from(key.failed_by.number()) << 24,
        *at_micros as u64,
        measured.total_micros,
        measured.first_byte_micros,
        measured.request_bytes,
        measured.response_bytes,
    ]
}

fn from_words(words: [u64; 7]) -> Ended {
    let [labels, others, at, total_micros, first_byte_micros, request_bytes, response_bytes] = words;
    let key = SeriesKey {
        api: labels as u16,
        route: (labels >> 16) as u16,
        client: (labels >> 32) as u16,
        status: (labels >> 48) as u16,
        policy: others as u16,
        method: (others >> 16) as u8,
        failed_by: FailedBy::ALL[(others >> 24) as usize % FailedBy::ALL.len()],
    };
    let measured = Measurement { total_micros, first_byte_micros, request_bytes, response_bytes };
    Ended { key, at_micros: at as i64, measured }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ended(number: u64) -> Ended {
        let measured = Measurement {
            total_micros: number,
            first_byte_micros: !number,
            request_bytes: number << 1,
            response_bytes: u64::MAX,
        };
        Ended { key: SeriesKey::SOME, at_micros: -(number as i64), measured }
    }

    #[test]
    fn a_full_ring_takes_no_more_until_it_is_read() {
        let ring = Ring::default();
        for round in 0..3 {
            let taken = (0..100).take_while(|number| ring.push(&ended(round * 100 + number))).count();
            assert_eq!(taken, ROOM);
            let mut read = Vec::new();
            ring.drain(|ended| read.push(ended));
            assert_eq!(read, (0..ROOM as u64).map(|number| ended(round * 100 + number)).collect::<Vec<_>>());
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

    proptest! {
        #[test]
        fn an_exchange_comes_out_as_it_went_in(
            labels in any::<[u16; 5]>(), method in any::<u8>(), by in 0..4_usize, at in any::<i64>(), all in any::<[u64; 4]>(),
        ) {
            let [api, route, client, status, policy] = labels;
            let key = SeriesKey { api, route, client, status, policy, method, failed_by: FailedBy::ALL[by] };
            let [total_micros, first_byte_micros, request_bytes, response_bytes] = all;
            let measured = Measurement { total_micros, first_byte_micros, request_bytes, response_bytes };
            let ended = Ended { key, at_micros: at, measured };
            prop_assert_eq!(from_words(to_words(&ended)), ended);
        }
    }
}
