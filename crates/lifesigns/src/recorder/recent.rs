//! The last exchanges one by one, besides their sums.

use std::collections::VecDeque;

use super::ring::Ended;

/// How many are kept, the newest of all threads.
pub(crate) const KEPT: usize = 10_000;

/// Of those that end in one thread between two ticks, so many are kept, the newest.
const KEPT_OF_A_THREAD: usize = 1000;

/// The last exchanges of one thread since the last tick.
#[derive(Debug, Default)]
pub(crate) struct OfThread {
    /// A ring once it is full.
    kept: Vec<Ended>,
    oldest: usize,
    left_out: u64,
}

impl OfThread {
    pub(crate) fn add(&mut self, ended: Ended) {
        if self.kept.len() < KEPT_OF_A_THREAD {
            self.kept.push(ended);
            return;
        }
        self.kept[self.oldest] = ended;
        self.oldest = (self.oldest + 1) % KEPT_OF_A_THREAD;
        self.left_out += 1;
    }

    /// Moves them to the others; returns how many were left out.
    pub(crate) fn take(&mut self, others: &mut Vec<Ended>) -> u64 {
        others.append(&mut self.kept);
        self.oldest = 0;
        std::mem::take(&mut self.left_out)
    }
}

/// The last exchanges of a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent {
    kept: VecDeque<Ended>,
    /// How many ended with these and were left out, by the time of the tick's last in microseconds.
    left_out: VecDeque<(i64, u64)>,
}

impl Recent {
    /// Adds what the threads had kept until a tick.
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
        Ended { key: SeriesKey::SOME, at_micros, measured: Measurement::default() }
    }

    fn times(recent: &Recent) -> Vec<i64> {
        recent.newest_first().map(|ended| ended.at_micros).collect()
    }

    #[test]
    fn threads_keep_their_newest_and_say_how_many_they_left_out() {
        let most = KEPT_OF_A_THREAD as i64;
        let (mut busy, mut calm) = (OfThread::default(), OfThread::default());
        (0..most + 5).for_each(|at| busy.add(ended(at)));
        calm.add(ended(7));
        let mut recent = Recent::default();
        let mut new = Vec::new();
        let left_out = busy.take(&mut new) + calm.take(&mut new);
        recent.add(new, left_out);
        assert_eq!(times(&recent)[..3], [most + 4, most + 3, most + 2]);
        assert_eq!(times(&recent)[most as usize - 3..], [7, 7, 6, 5], "of both, by time");
        assert_eq!((recent.left_out_since(0), recent.left_out_since(most + 5)), (5, 0));
        let mut none = Vec::new();
        assert_eq!((busy.take(&mut none), none.len()), (0, 0));
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
