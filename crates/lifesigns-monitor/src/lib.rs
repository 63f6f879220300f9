//! Watches a fleet of services: asks each how it is, remembers what it said, tells people of an outage once, and tells
//! every caller whether to call.

pub mod alerts;
pub mod service;
