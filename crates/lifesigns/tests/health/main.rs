//! The health resources, and what checks and verdict come to in them, asked through the tower layer.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]
#![allow(clippy::float_cmp, reason = "small whole numbers are written and read exactly")]

mod access;
mod details;
mod dialects;
mod events;
mod figures;
mod metrics;
mod page;
mod probes;
mod questions;
mod resources;
mod secrecy;
mod support;
