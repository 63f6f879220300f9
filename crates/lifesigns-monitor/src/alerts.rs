//! Telling people: what is said, to whom, and until it has arrived.

pub mod message;

pub use self::message::{Affected, Message, MessageKind};
