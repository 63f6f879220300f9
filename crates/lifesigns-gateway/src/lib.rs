//! A reverse proxy that gives every API behind it health resources and records its traffic.
//!
//! It speaks HTTP/1.1 to both sides. Bodies are streamed, never collected. It is not a load balancer, terminates no
//! TLS and caches nothing; what it adds is in crate `lifesigns`.
//!
//! The way of a request, from top to bottom:
//!
//! | module | what happens there |
//! |---|---|
//! | `gateway`, `serve` | threads, each with a runtime, a listener and an upstream pool of its own; the end |
//! | `exchange` | the whole way of one request |
//! | `routing` | which API it is for, and the path under which that API sees it |
//! | `headers` | what changes in a head on its way |
//! | `forward`, `pool`, `body` | to the upstream and back |
//! | `complaints` | how often a fault that comes with every request is told |
//! | `rescue` | the only place that turns an error into a response |
//! | `tunnel` | other protocols |
//! | `loops` | requests that come back |
//! | `files` | how many clients there may be at once |
//! | `watch`, `io` | who is being waited for, and for how long |

mod body;
mod complaints;
mod config;
mod exchange;
mod files;
mod forward;
mod gateway;
mod headers;
mod io;
mod loops;
mod pool;
mod rescue;
mod routing;
mod serve;
mod tunnel;
mod watch;

pub use config::{Config, Drain, Limits, Route, Timeouts, Upstream, UpstreamError};
pub use gateway::Gateway;
