//! Readings as bytes, in the order in which they came.
//!
//! A reading is the zigzagged distance of its time from the one before (from 0 for the first), a byte that says what it
//! has, its code, and its latency and its memory where it has them; numbers in LEB128.

use lifesigns_model::history::Reading;
use lifesigns_model::leb128;
use lifesigns_model::light::Light;

/// Bits of the byte that says what a reading has. The lowest two are the light.
const HAS_LATENCY: u8 = 4;
const HAS_MEMORY: u8 = 8;
const ALL: u8 = 15;

/// Readings of one service.
#[derive(Clone, Debug, Default)]
pub(super) struct Stretch {
    bytes: Vec<u8>,
    last: i64,
}

impl Stretch {
    pub(super) fn push(&mut self, reading: &Reading) {
        write(&mut self.bytes, &mut self.last, reading);
    }

    pub(super) fn readings(&self) -> impl Iterator<Item = Reading> + '_ {
        let (mut bytes, mut last) = (&*self.bytes, 0);
        std::iter::from_fn(move || read(&mut bytes, &mut last))
    }
}

/// Appends a reading; `last` is the time of the one before it.
pub(super) fn write(bytes: &mut Vec<u8>, last: &mut i64, reading: &Reading) {
    leb128::write(bytes, zigzag(reading.at.wrapping_sub(*last)));
    *last = reading.at;
    bytes.push(marks(reading));
    leb128::write(bytes, reading.code.into());
    for number in [reading.latency_us, reading.memory_mb].into_iter().flatten() {
        leb128::write(bytes, number.into());
    }
}

/// Takes a reading off the beginning; `None` where there is none.
pub(super) fn read(bytes: &mut &[u8], last: &mut i64) -> Option<Reading> {
    let at = last.wrapping_add(unzigzag(leb128::read(bytes)?));
    let (marks, rest) = bytes.split_first()?;
    *bytes = rest;
    let mut reading = marked(*marks)?;
    reading.at = at;
    reading.code = leb128::read(bytes)?.try_into().ok()?;
    for number in [&mut reading.latency_us, &mut reading.memory_mb].into_iter().flatten() {
        *number = leb128::read(bytes)?.try_into().ok()?;
    }
    *last = at;
    Some(reading)
}

/// What a reading has.
pub(super) fn marks(reading: &Reading) -> u8 {
    let light = match reading.light {
        None => 0,
        Some(Light::Green) => 1,
        Some(Light::Amber) => 2,
        Some(Light::Red) => 3,
    };
    let has = |what: Option<u32>, mark: u8| if what.is_some() { mark } else { 0 };
    light | has(reading.latency_us, HAS_LATENCY) | has(reading.memory_mb, HAS_MEMORY)
}

/// A reading of which only is known what it has.
pub(super) fn marked(marks: u8) -> Option<Reading> {
    let light = match marks & 3 {
        0 => None,
        1 => Some(Light::Green),
        2 => Some(Light::Amber),
        _ => Some(Light::Red),
    };
    let has = |mark: u8| (marks & mark != 0).then_some(0);
    let reading = Reading { at: 0, light, code: 0, latency_us: has(HAS_LATENCY), memory_mb: has(HAS_MEMORY) };
    (marks <= ALL).then_some(reading)
}

/// Small numbers of either sign as small ones.
pub(super) const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

pub(super) const fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Brings readings into the order of their times; of those of one second the last one stays.
pub(super) fn in_order(readings: &mut Vec<Reading>) {
    readings.sort_by_key(|reading| reading.at);
    readings.dedup_by(|later, kept| {
        let is_same = later.at == kept.at;
        if is_same {
            *kept = *later;
        }
        is_same
    });
}

/// Adds readings to others, both in the order of their times. Where both have a second, the newer one stays.
pub(super) fn merge(readings: &mut Vec<Reading>, newer: &[Reading]) {
    let Some(first) = newer.first() else { return };
    let later = readings.split_off(readings.partition_point(|reading| reading.at < first.at));
    let mut newer = newer.iter().copied().peekable();
    for reading in later {
        while let Some(newer) = newer.next_if(|newer| newer.at < reading.at) {
            readings.push(newer);
        }
        readings.push(newer.next_if(|newer| newer.at == reading.at).unwrap_or(reading));
    }
    readings.extend(newer);
}
