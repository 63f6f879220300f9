//! Watches a fleet of services: asks each how it is, remembers what it said, tells people of an outage once, and tells
//! every caller whether to call.

mod access;
mod agent;
pub mod alerts;
mod ask;
mod breaker;
mod clock;
mod connections;
mod desk;
mod fleet;
mod login;
mod making;
pub mod pages;
mod poll;
mod recent;
mod resources;
mod server;
pub mod service;
mod target;
mod view;
mod watch;

pub use self::access::{AccessOptions, Reader};
pub use self::agent::serve_agent;
pub use self::ask::{Asked, ask};
pub use self::breaker::{Breaker, BreakerState};
pub use self::fleet::{Fleet, OpenError, Options};
pub use self::recent::{Minute, Recent};
pub use self::resources::{event_json, history_json};
pub use self::server::{ServeOptions, serve};
pub use self::target::{Target, base_path};
pub use self::view::{Counts, Leak, ServiceView};
