//! What a user sees, tested through the binary and a socket.
//!
//! | module | what it gives to a test |
//! |---|---|
//! | [`program`] | the binary `lifesigns`, started, watched, stopped |
//! | [`client`] | HTTP/1.1 with every byte in the test's hands |
//! | [`issuer`] | an issuer of tokens elsewhere: keys, the server that publishes them, tokens good and bad |
//! | [`servers`] | real databases and brokers, each on a port of its own |
//! | [`tools`] | programs of others, installed for tests, that look at what ours says |
//! | [`upstream`] | an API whose answers its paths choose |
//! | [`wait`] | what is to become true, with a deadline |
//!
//! Everything blocks and panics when something is not as it should be: a test has nothing better to do.

pub mod client;
pub mod issuer;
pub mod program;
pub mod servers;
pub mod tools;
pub mod upstream;
pub mod wait;
