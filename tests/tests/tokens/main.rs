//! Who is let in and who is not: tokens of apps and of an issuer elsewhere, good and bad ones, through the binary and a
//! socket. Every answer has the right code and challenge; no answer and no line of the log tells a token or a secret.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

mod bearer;
mod endpoint;
mod keys;
mod support;
