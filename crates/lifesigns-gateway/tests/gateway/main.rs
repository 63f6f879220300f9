//! The gateway over real sockets, in front of upstreams that behave and upstreams that do not.

#![expect(clippy::unwrap_used, reason = "what fails in what the tests share fails the test")]

mod addressing;
mod bodies;
mod drain;
mod forwarding;
mod framing;
mod misbehaving;
mod resources;
mod support;
mod timeouts;
mod upgrade;
