//! The monitor, through the binary and a socket.

#![allow(clippy::unwrap_used, reason = "a test has nothing better to do with an error than to stop")]

mod balancers;
mod described;
mod door;
mod misbehaving;
mod outage;
mod pages;
mod watch;
