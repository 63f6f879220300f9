//! The checks of what is nearby, against real sockets, files and programs.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

mod authority;
mod certificate;
mod command;
mod disk;
mod dns;
mod file;
mod harness;
mod http;
mod memory;
mod sqlite;
mod tcp;
