//! The words and the pure logic of Lifesigns.
//!
//! Nothing here reads a clock, opens a socket or a file, or spawns anything: time is an argument, and what
//! has to be stored goes through the ports in [`store`]. Read the modules in the order of an exchange's way:
//!
//! | module | what it holds |
//! |---|---|
//! | [`exchange`] | one request and its answer, and who failed if it failed |
//! | [`route`] | from a raw path to a bounded template |
//! | [`series`] | the bounded labels under which exchanges are counted |
//! | [`histogram`], [`rollup`] | what is counted for each series |
//! | [`bucket`] | minutes, hours, days |
//! | [`store`] | the port: append rollups, answer a selection |
//! | [`segment`] | which level of rollup answers which part of a range |
//! | [`query`] | the analytics query: parse, validate, plan, assemble |
//! | [`check`] | what a check of a dependency reports, and what it takes to believe it |
//! | [`dialect`] | what other services answer when asked for their health |
//! | [`history`] | what a monitor remembers of a fleet, and the port to whoever keeps that |
//! | [`light`], [`verdict`] | green, amber, red, and the judgement from figures and checks to a light |
//! | [`policy`] | what each source of a verdict may do to each resource |
//! | [`objective`] | how much of an error budget is left, and how fast it burns |
//! | [`moment`] | a moment by two clocks: one to judge by, one to show |
//! | [`identity`] | who the service is and where its code lives |

pub mod bucket;
pub mod check;
pub mod dialect;
pub mod exchange;
pub mod histogram;
pub mod history;
pub mod identity;
pub mod leb128;
pub mod light;
pub mod moment;
pub mod objective;
pub mod policy;
pub mod query;
pub mod rollup;
pub mod route;
pub mod segment;
pub mod series;
pub mod store;
pub mod verdict;
