//! `grpc.health.v1` over a socket, with every frame in the test's hands.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

mod edges;
mod ending;
mod methods;
mod support;
mod watching;
