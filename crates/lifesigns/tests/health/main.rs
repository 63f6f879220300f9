//! What the checks and the verdict come to, asked through the tower layer.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]
#![allow(clippy::float_cmp, reason = "small whole numbers are written and read exactly")]

mod details;
mod dialects;
mod metrics;
mod probes;
mod secrecy;
mod support;
