//! Ways for a message to get to people.

use std::time::Duration;

/// A delivery that was not made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Undelivered {
    /// Whether the receiver will never take it, however often it is tried.
    pub is_final: bool,
    /// Why, in words. Holds no secret.
    pub why: String,
    /// When the receiver wants it to be tried again.
    pub retry_after: Option<Duration>,
}
