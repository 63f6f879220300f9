//! Telling people: what is said, to whom, and until it has arrived.

pub mod channel;
pub mod incidents;
pub mod message;
pub mod outbox;
mod payload;
pub mod replay;
pub mod rules;
pub mod text;

pub use self::channel::{Channel, Undelivered};
pub use self::message::{Affected, Message, MessageKind};
pub use self::outbox::{Delivery, Outbox};
pub use lifesigns::Secret;
