//! What is counted for one series in one span of time.

use crate::exchange::Measurement;
use crate::histogram::Histogram;

/// The sum of many exchanges of one series. Merging two is adding them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rollup {
    /// Total times; its count is the number of exchanges.
    pub latency: Histogram,
    /// Sum of the times to the response's head, in microseconds.
    pub first_byte_micros: u64,
    /// Sum of the request bodies' bytes.
    pub request_bytes: u64,
    /// Sum of the response bodies' bytes.
    pub response_bytes: u64,
}

impl Rollup {
    /// Counts one exchange.
    pub fn record(&mut self, exchange: &Measurement) {
        self.latency.record(exchange.total_micros);
        self.first_byte_micros = self.first_byte_micros.saturating_add(exchange.first_byte_micros);
        self.request_bytes = self.request_bytes.saturating_add(exchange.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(exchange.response_bytes);
    }

    /// Adds everything that `other` has counted.
    pub fn merge(&mut self, other: &Rollup) {
        self.latency.merge(&other.latency);
        self.first_byte_micros = self.first_byte_micros.saturating_add(other.first_byte_micros);
        self.request_bytes = self.request_bytes.saturating_add(other.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(other.response_bytes);
    }

    /// How many exchanges were counted.
    pub const fn count(&self) -> u64 {
        self.latency.count()
    }
}
