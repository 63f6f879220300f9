//! What passed in the last minute or so, in steps of a tick.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use lifesigns_model::histogram::Histogram;
use lifesigns_model::verdict::Traffic;
use rustc_hash::FxHashMap;

/// A sliding window over the exchanges of one API.
#[derive(Debug)]
pub(crate) struct Window {
    width: Duration,
    cells: VecDeque<Cell>,
}

#[derive(Debug)]
struct Cell {
    ended: Instant,
    tick: Tick,
}

/// What was drained in one tick.
#[derive(Debug, Default)]
pub(crate) struct Tick {
    pub(crate) exchanges: u64,
    /// Total times, without those that a client has cut short or drawn out.
    pub(crate) latency: Histogram,
    /// Exchanges that failed because of the service, by number of the route.
    pub(crate) failures: FxHashMap<u16, u64>,
}

impl Window {
    pub(crate) fn new(width: Duration) -> Window {
        Window { width, cells: VecDeque::new() }
    }

    /// Takes in a tick that ended `now`, and lets go of what is too old.
    pub(crate) fn push(&mut self, now: Instant, tick: Tick) {
        while self.cells.front().is_some_and(|cell| now.saturating_duration_since(cell.ended) >= self.width) {
            self.cells.pop_front();
        }
        if tick.exchanges > 0 {
            self.cells.push_back(Cell { ended: now, tick });
        }
    }

    /// The figures of the whole window.
    pub(crate) fn traffic(&self) -> Traffic {
        let mut latency = Histogram::default();
        let (mut exchanges, mut failures) = (0, 0);
        for cell in &self.cells {
            latency.merge(&cell.tick.latency);
            exchanges += cell.tick.exchanges;
            failures += cell.tick.failures.values().sum::<u64>();
        }
        Traffic {
            exchanges,
            failures,
            latency_p95_ms: latency.percentile_micros(95.0).map(|micros| micros / 1000.0),
        }
    }
}

impl Window {
    /// Numbers of the routes with failures in the window, most failures first, at most `limit`.
    pub(crate) fn failing_routes(&self, limit: usize) -> Vec<u16> {
        let mut failures: FxHashMap<u16, u64> = FxHashMap::default();
        for (route, count) in self.cells.iter().flat_map(|cell| &cell.tick.failures) {
            *failures.entry(*route).or_default() += count;
        }
        let mut routes: Vec<(u16, u64)> = failures.into_iter().collect();
        routes.sort_unstable_by_key(|(route, count)| (std::cmp::Reverse(*count), *route));
        routes.into_iter().take(limit).map(|(route, _)| route).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut window = Window::new(Duration::from_mins(1));
        let start = Instant::now();
        let push = |window: &mut Window, second, failures| {
            let mut tick = Tick { exchanges: 1, ..Tick::default() };
            tick.failures.insert(7, failures);
            tick.latency.record(2000);
            window.push(start + Duration::from_secs(second), tick);
        };
        push(&mut window, 0, 1);
        push(&mut window, 30, 0);
        let both = window.traffic();
        assert_eq!((both.exchanges, both.failures), (2, 1));
        assert_eq!(window.failing_routes(10), [7]);
        assert!((both.latency_p95_ms.unwrap() - 2.0).abs() < 0.02);
        window.push(start + Duration::from_mins(1), Tick::default());
        assert_eq!((window.traffic().exchanges, window.traffic().failures), (1, 0));
        window.push(start + Duration::from_secs(90), Tick::default());
        assert_eq!(window.traffic(), Traffic::default());
    }
}
