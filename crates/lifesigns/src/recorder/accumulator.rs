//! What one thread has counted since it was last drained.

use lifesigns_model::bucket::Minute;
use lifesigns_model::exchange::{FailedBy, Measurement};
use lifesigns_model::rollup::Rollup;
use rustc_hash::FxHashMap;

use super::labels::OTHER_ID;
use crate::exemplar::TracedOfThread;

/// The labels of a series as numbers.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct SeriesKey {
    pub(crate) api: u16,
    pub(crate) route: u16,
    pub(crate) client: u16,
    pub(crate) status: u16,
    pub(crate) policy: u16,
    pub(crate) method: u8,
    pub(crate) failed_by: FailedBy,
}

/// The same in two words.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct PackedKey(pub(crate) u64, pub(crate) u64);

impl From<SeriesKey> for PackedKey {
    fn from(key: SeriesKey) -> PackedKey {
        let SeriesKey { api, route, client, status, policy, method, failed_by } = key;
        let [api, route, client, status, policy] = [api, route, client, status, policy].map(u64::from);
        let labels = api | route << 16 | client << 32 | status << 48;
        PackedKey(labels, policy | u64::from(method) << 16 | u64::from(failed_by.number()) << 24)
    }
}

impl From<PackedKey> for SeriesKey {
    fn from(PackedKey(labels, others): PackedKey) -> SeriesKey {
        SeriesKey {
            api: labels as u16,
            route: (labels >> 16) as u16,
            client: (labels >> 32) as u16,
            status: (labels >> 48) as u16,
            policy: others as u16,
            method: (others >> 16) as u8,
            failed_by: FailedBy::ALL[(others >> 24) as usize % FailedBy::ALL.len()],
        }
    }
}

#[cfg(test)]
impl SeriesKey {
    pub(crate) const SOME: SeriesKey = SeriesKey {
        api: 0,
        route: 0,
        client: 0,
        status: 200,
        policy: 0,
        method: 1,
        failed_by: FailedBy::Nobody,
    };
}

/// Series that are found without a look into the map, at best. A power of two.
const HINTS: usize = 256;

/// Counts by series, for one thread. Flat slots; a slot holds one minute, and what it held before goes to `past`.
#[derive(Debug, Default)]
pub(crate) struct Accumulator {
    slot_of: FxHashMap<PackedKey, u32>,
    /// Where the keys of a few series were found last.
    hints: Hints,
    slots: Vec<Slot>,
    past: Vec<Drained>,
    capped: u64,
    /// Exchanges that were counted.
    recorded: u64,
    /// Some of those whose traces are kept.
    pub(crate) traced: TracedOfThread,
}

#[derive(Debug)]
struct Slot {
    key: PackedKey,
    minute: Minute,
    rollup: Rollup,
}

/// What one series counted in one minute.
#[derive(Debug)]
pub(crate) struct Drained {
    pub(crate) key: SeriesKey,
    pub(crate) minute: Minute,
    pub(crate) rollup: Rollup,
}

impl Accumulator {
    /// Counts one exchange. With `max_series` series known, an unknown one loses its route and client.
    pub(crate) fn record(
        &mut self,
        key: PackedKey,
        minute: Minute,
        measured: &Measurement,
        max_series: usize,
    ) {
        let hint = hint_of(key);
        let mut slot = self.hints.0[hint];
        if self.slots.get(slot as usize).is_none_or(|slot| slot.key != key) {
            slot = match self.slot_of.get(&key) {
                Some(slot) => *slot,
                None => self.slot_for_new(key, minute, max_series),
            };
            self.hints.0[hint] = slot;
        }
        let slot = &mut self.slots[slot as usize];
        if slot.minute != minute {
            if slot.rollup.count() > 0 {
                let rollup = std::mem::take(&mut slot.rollup);
                self.past.push(Drained { key: slot.key.into(), minute: slot.minute, rollup });
            }
            slot.minute = minute;
        }
        slot.rollup.record(measured);
        self.recorded += 1;
    }

    /// Hands over everything counted, and keeps the slots for the next round; when they are many, only those that
    /// were used in this one, so that series which are gone make room for others.
    pub(crate) fn drain(&mut self, max_series: usize, mut take: impl FnMut(Drained)) {
        if self.slots.len() > max_series / 2 {
            self.slots.retain(|slot| slot.rollup.count() > 0);
            self.slot_of = self.slots.iter().map(|slot| slot.key).zip(0..).collect();
        }
        self.past.drain(..).for_each(&mut take);
        for slot in &mut self.slots {
            if slot.rollup.count() > 0 {
                let rollup = std::mem::take(&mut slot.rollup);
                take(Drained { key: slot.key.into(), minute: slot.minute, rollup });
            }
        }
    }

    /// How many exchanges lost their labels since this was last asked.
    pub(crate) fn take_capped(&mut self) -> u64 {
        std::mem::take(&mut self.capped)
    }

    /// How many exchanges were counted since this was last asked.
    pub(crate) fn take_recorded(&mut self) -> u64 {
        std::mem::take(&mut self.recorded)
    }

    #[cold]
    fn slot_for_new(&mut self, key: PackedKey, minute: Minute, max_series: usize) -> u32 {
        let key = if self.slots.len() < max_series {
            key
        } else {
            self.capped += 1;
            SeriesKey { route: OTHER_ID, client: OTHER_ID, ..key.into() }.into()
        };
        let next = self.slots.len() as u32;
        let slot = *self.slot_of.entry(key).or_insert(next);
        if slot == next {
            self.slots.push(Slot { key, minute, rollup: Rollup::default() });
        }
        slot
    }
}

/// Slots by a hash of their keys, one for each hash: whether it is the right one, the slot itself tells.
#[derive(Debug)]
struct Hints([u32; HINTS]);

impl Default for Hints {
    fn default() -> Hints {
        Hints([0; HINTS])
    }
}

fn hint_of(PackedKey(labels, others): PackedKey) -> usize {
    // The odd number nearest to 2⁶⁴ divided by the golden ratio spreads whatever differs over the highest bits.
    let hash = (labels ^ others.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash >> (u64::BITS - HINTS.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(route: u16, status: u16) -> PackedKey {
        SeriesKey { route, status, ..SeriesKey::SOME }.into()
    }

    fn drained(accumulator: &mut Accumulator) -> Vec<(u16, i64, u64)> {
        let mut all = Vec::new();
        accumulator.drain(10, |drained| {
            all.push((drained.key.route, drained.minute.number(), drained.rollup.count()));
        });
        all.sort_unstable();
        all
    }

    #[test]
    fn an_exchange_is_counted_in_the_minute_in_which_it_ended() {
        let mut accumulator = Accumulator::default();
        for minute in [7, 7, 8, 7] {
            accumulator.record(key(3, 200), Minute::new(minute), &Measurement::default(), 10);
        }
        assert_eq!(drained(&mut accumulator), [(3, 7, 1), (3, 7, 2), (3, 8, 1)]);
        assert_eq!(drained(&mut accumulator), []);
    }

    #[test]
    fn series_that_share_a_hint_are_told_apart() {
        let mut accumulator = Accumulator::default();
        let routes = 2..2 + 4 * HINTS as u16;
        for route in routes.clone().chain(routes.clone().rev()).chain(routes.clone()) {
            accumulator.record(key(route, 200), Minute::new(1), &Measurement::default(), 10_000);
        }
        assert_eq!(drained(&mut accumulator), routes.map(|route| (route, 1, 3)).collect::<Vec<_>>());
    }

    #[test]
    fn past_the_cap_only_route_and_client_are_lost() {
        let mut accumulator = Accumulator::default();
        for route in 2..12 {
            accumulator.record(key(route, 200), Minute::new(1), &Measurement::default(), 3);
        }
        assert_eq!(drained(&mut accumulator), [(OTHER_ID, 1, 7), (2, 1, 1), (3, 1, 1), (4, 1, 1)]);
        assert_eq!((accumulator.take_capped(), accumulator.take_capped()), (7, 0));
    }

    #[test]
    fn series_that_are_gone_make_room_for_others() {
        let mut accumulator = Accumulator::default();
        for round in 0..10 {
            for route in 0..10 {
                let key = key(100 + round * 10 + route, 200);
                accumulator.record(key, Minute::new(1), &Measurement::default(), 10);
            }
            assert_eq!(drained(&mut accumulator).len(), 10, "round {round}");
            // A round without them, as a buffer that is swapped in and out unused.
            assert_eq!(drained(&mut accumulator), []);
        }
        assert_eq!(accumulator.take_capped(), 0);
    }

    proptest! {
        #[test]
        fn a_key_comes_out_as_it_went_in(labels in any::<[u16; 5]>(), method in any::<u8>(), by in 0..4_usize) {
            let [api, route, client, status, policy] = labels;
            let key = SeriesKey { api, route, client, status, policy, method, failed_by: FailedBy::ALL[by] };
            prop_assert_eq!(SeriesKey::from(PackedKey::from(key)), key);
        }
    }
}
