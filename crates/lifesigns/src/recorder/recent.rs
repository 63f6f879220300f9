//! The last exchanges one by one, besides their sums.

use std::collections::VecDeque;

use super::ring::Ended;

/// How many are kept, the newest of all threads.
pub(crate) const KEPT: usize = 10_000;

/// The last exchanges of a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent {
    kept: VecDeque<Ended>,
    /// How many ended with these and were left out, by the time of the tick's last in microseconds.
    left_out: VecDeque<(i64, u64)>,
}

impl Recent {
    /// Adds what the threads had kept until a tick, and of how many they had not.
    pub(crate) fn add(&mut self, mut new: Vec<Ended>, left_out: u64) {
        new.sort_by_key(|ended| ended.at_micros);
        if let Some(last) = new.last().filter(|_| left_out > 0) {
            self.left_out.push_back((last.at_micros, left_out));
        }
        self.kept.extend(new);
        let too_many = self.kept.len().saturating_sub(KEPT);
        self.kept.drain(..too_many);
        let oldest = self.kept.front().map_or(i64::MIN, |ended| ended.at_micros);
        self.left_out.retain(|(at, _)| *at >= oldest);
    }

    /// All that are kept, newest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &Ended> {
        self.kept.iter().rev()
    }

    /// How many were left out among those that have ended since.
    pub(crate) fn left_out_since(&self, micros: i64) -> u64 {
        self.left_out.iter().filter(|(at, _)| *at >= micros).map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use lifesigns_model::exchange::Measurement;

    use super::*;
    use crate::recorder::accumulator::SeriesKey;

    fn ended(at_micros: i64) -> Ended {
        Ended { key: SeriesKey::SOME.into(), at_micros, measured: Measurement::default() }
    }

    fn times(recent: &Recent) -> Vec<i64> {
        recent.newest_first().map(|ended| ended.at_micros).collect()
    }

    #[test]
    fn what_threads_kept_is_put_in_order_and_what_they_left_out_is_known() {
        let mut recent = Recent::default();
        recent.add([3, 5, 9, 4, 7].map(ended).into(), 5);
        recent.add(vec![ended(10)], 0);
        assert_eq!(times(&recent), [10, 9, 7, 5, 4, 3]);
        assert_eq!((recent.left_out_since(0), recent.left_out_since(10)), (5, 0));
    }

    #[test]
    fn the_oldest_make_room_and_are_no_longer_missed() {
        let mut recent = Recent::default();
        recent.add(vec![ended(1)], 3);
        recent.add((2..=KEPT as i64 + 1).map(ended).collect(), 0);
        let times = times(&recent);
        assert_eq!((times.len(), times.first(), times.last()), (KEPT, Some(&(KEPT as i64 + 1)), Some(&2)));
        assert_eq!(recent.left_out_since(0), 0);
    }
}
