//! What passed in the last minute or so, in steps of a tick.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use lifesigns_model::histogram::Histogram;
use lifesigns_model::verdict::{Thresholds, Traffic};
use rustc_hash::FxHashMap;

use crate::settings::RouteGroup;

/// A window has so many cells: one that is an hour wide costs no more than one of a minute, and is let go of in larger
/// steps.
const MAX_CELLS: u32 = 120;

/// The windows of one API: over all of its exchanges, and over those of each group of its routes.
#[derive(Debug)]
pub(crate) struct ApiWindows {
    pub(crate) whole: Window,
    tick: Tick,
    groups: Vec<GroupWindow>,
    /// The groups that a route belongs to, by its number; looked up by its name the first time.
    groups_of_route: FxHashMap<u16, Box<[usize]>>,
}

#[derive(Debug)]
struct GroupWindow {
    group: RouteGroup,
    name: Arc<str>,
    window: Window,
    tick: Tick,
}

impl ApiWindows {
    pub(crate) fn new(thresholds: &Thresholds, groups: &[RouteGroup]) -> ApiWindows {
        let groups = groups.iter().map(|group| GroupWindow {
            name: group.name.as_str().into(),
            window: Window::new(&group.thresholds),
            tick: Tick::default(),
            group: group.clone(),
        });
        ApiWindows {
            whole: Window::new(thresholds),
            tick: Tick::default(),
            groups: groups.collect(),
            groups_of_route: FxHashMap::default(),
        }
    }

    /// Counts in each tick that this route belongs to.
    pub(crate) fn add(&mut self, route: u16, name: impl FnOnce() -> Arc<str>, count: impl Fn(&mut Tick)) {
        count(&mut self.tick);
        if self.groups.is_empty() {
            return;
        }
        let groups = &mut self.groups;
        let members = self.groups_of_route.entry(route).or_insert_with(|| {
            let name = name();
            let belongs = |(index, group): (usize, &GroupWindow)| group.group.covers(&name).then_some(index);
            groups.iter().enumerate().filter_map(belongs).collect()
        });
        for member in members {
            count(&mut groups[*member].tick);
        }
    }

    /// Ends the tick.
    pub(crate) fn turn(&mut self, elapsed: Duration) {
        self.whole.push(elapsed, std::mem::take(&mut self.tick));
        for group in &mut self.groups {
            group.window.push(elapsed, std::mem::take(&mut group.tick));
        }
    }

    /// The figures of each group.
    pub(crate) fn group_traffic(&self) -> Arc<[(Arc<str>, Traffic)]> {
        self.groups.iter().map(|group| (Arc::clone(&group.name), group.window.traffic())).collect()
    }
}

/// A sliding window over the exchanges of one API, or of a group of its routes.
#[derive(Debug)]
pub(crate) struct Window {
    width: Duration,
    percentile: f64,
    cells: VecDeque<Cell>,
}

/// What was drained in one tick, or in several that came close together. Its latencies are encoded: there are many
/// cells, and a live histogram takes several times as much memory.
#[derive(Debug)]
struct Cell {
    began: Duration,
    ended: Duration,
    exchanges: u64,
    buckets: Box<[u8]>,
    sum_micros: u64,
    max_micros: u64,
    failures: FxHashMap<u16, u64>,
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

impl Cell {
    fn new(began: Duration, ended: Duration, tick: Tick) -> Cell {
        let Tick { exchanges, latency, failures } = tick;
        Cell {
            began,
            ended,
            exchanges,
            buckets: latency.encode_buckets().into(),
            sum_micros: latency.sum_micros(),
            max_micros: latency.max_micros(),
            failures,
        }
    }

    fn add_latency_to(&self, latency: &mut Histogram) {
        // What was encoded here can be read.
        let _ = latency.merge_encoded(&self.buckets, self.sum_micros, self.max_micros);
    }

    /// This with one that came later.
    fn with(&self, ended: Duration, mut tick: Tick) -> Cell {
        tick.exchanges += self.exchanges;
        self.add_latency_to(&mut tick.latency);
        for (route, count) in &self.failures {
            *tick.failures.entry(*route).or_default() += count;
        }
        Cell::new(self.began, ended, tick)
    }
}

impl Window {
    pub(crate) fn new(thresholds: &Thresholds) -> Window {
        Window {
            width: Duration::from_secs(thresholds.window_seconds.into()),
            percentile: thresholds.latency_percentile,
            cells: VecDeque::new(),
        }
    }

    /// Takes in a tick that ended `elapsed` after the process began, and lets go of what is too old.
    pub(crate) fn push(&mut self, elapsed: Duration, tick: Tick) {
        while self.cells.front().is_some_and(|cell| elapsed.saturating_sub(cell.ended) >= self.width) {
            self.cells.pop_front();
        }
        if tick.exchanges == 0 {
            return;
        }
        match self.cells.back_mut() {
            Some(cell) if elapsed.saturating_sub(cell.began) < self.width / MAX_CELLS => {
                *cell = cell.with(elapsed, tick);
            }
            _ => self.cells.push_back(Cell::new(elapsed, elapsed, tick)),
        }
    }

    /// The figures of the whole window.
    pub(crate) fn traffic(&self) -> Traffic {
        let mut latency = Histogram::default();
        let (mut exchanges, mut failures) = (0, 0);
        for cell in &self.cells {
            cell.add_latency_to(&mut latency);
            exchanges += cell.exchanges;
            failures += cell.failures.values().sum::<u64>();
        }
        let latency_ms = latency.percentile_micros(self.percentile).map(|micros| micros / 1000.0);
        Traffic { exchanges, failures, latency_ms }
    }

    /// Routes with failures in the window, most failures first, at most `limit`.
    pub(crate) fn failing_routes(&self, limit: usize, name: impl Fn(u16) -> Arc<str>) -> Vec<Arc<str>> {
        let mut failures: FxHashMap<u16, u64> = FxHashMap::default();
        for (route, count) in self.cells.iter().flat_map(|cell| &cell.failures) {
            *failures.entry(*route).or_default() += count;
        }
        let mut routes: Vec<(u16, u64)> = failures.into_iter().collect();
        routes.sort_unstable_by_key(|(route, count)| (std::cmp::Reverse(*count), *route));
        routes.into_iter().take(limit).map(|(route, _)| name(route)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut window = Window::new(&Thresholds::default());
        let push = |window: &mut Window, second, failures| {
            let mut tick = Tick { exchanges: 1, ..Tick::default() };
            tick.failures.insert(7, failures);
            tick.latency.record(2000);
            window.push(Duration::from_secs(second), tick);
        };
        push(&mut window, 0, 1);
        push(&mut window, 30, 0);
        let both = window.traffic();
        assert_eq!((both.exchanges, both.failures), (2, 1));
        assert_eq!(window.failing_routes(10, |route| route.to_string().into()), ["7".into()]);
        assert!((both.latency_ms.unwrap() - 2.0).abs() < 0.02);
        window.push(Duration::from_mins(1), Tick::default());
        assert_eq!((window.traffic().exchanges, window.traffic().failures), (1, 0));
        window.push(Duration::from_secs(90), Tick::default());
        assert_eq!(window.traffic(), Traffic::default());
    }

    #[test]
    fn a_window_has_a_bounded_number_of_cells_however_wide_it_is_and_however_often_it_is_fed() {
        for (window_seconds, ticks_a_second) in [(3600, 2), (60, 2), (60, 100), (10, 2)] {
            let mut window = Window::new(&Thresholds { window_seconds, ..Thresholds::default() });
            let width = u64::from(window_seconds);
            for number in 1..=2 * width * ticks_a_second {
                let tick = Tick { exchanges: 1, failures: [(7, 1)].into_iter().collect(), ..Tick::default() };
                window.push(Duration::from_millis(number * 1000 / ticks_a_second), tick);
                assert!(window.cells.len() <= MAX_CELLS as usize + 1, "{}", window.cells.len());
            }
            let traffic = window.traffic();
            assert_eq!(traffic.exchanges, traffic.failures);
            let due = width * ticks_a_second;
            let a_cell_more = due + due.div_ceil(u64::from(MAX_CELLS)) + 1;
            assert!((due..=a_cell_more).contains(&traffic.exchanges), "{traffic:?} of {due}");
        }
    }
}
