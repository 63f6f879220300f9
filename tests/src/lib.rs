//! What a user sees, tested through the binary and a socket.
//!
//! | module | what it gives to a test |
//! |---|---|
//! | [`program`] | the binary `lifesigns`, started, watched, stopped |
//! | [`client`] | HTTP/1.1 with every byte in the test's hands |
//! | [`issuer`] | an issuer of tokens elsewhere: keys, the server that publishes them, tokens good and bad |
//! | [`mail`] | a real mail server that keeps what it gets |
//! | [`servers`] | real databases and brokers, each on a port of its own |
//! | [`sink`] | a receiver of messages over HTTP that keeps what it gets and answers as wanted |
//! | [`service`] | a service that answers each path as a test says, and otherwise the next time |
//! | [`tools`] | programs of others, installed for tests, that look at what ours says |
//! | [`upstream`] | an API whose answers its paths choose |
//! | [`wait`] | what is to become true, with a deadline |
//!
//! Everything blocks and panics when something is not as it should be: a test has nothing better to do.

pub mod client;
pub mod issuer;
pub mod mail;
pub mod program;
pub mod servers;
pub mod service;
pub mod sink;
pub mod tools;
pub mod upstream;
pub mod wait;
