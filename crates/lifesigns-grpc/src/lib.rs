//! `grpc.health.v1`: the health of a process and of its APIs for callers that speak gRPC.
//!
//! | service | is |
//! |---|---|
//! | `""` | the process itself; in a gateway the gateway |
//! | the name of an API | that API |
//!
//! | answer | when |
//! |---|---|
//! | `SERVING` | the light is green or amber, and the process is ready |
//! | `NOT_SERVING` | the light is red, readiness fails, or the process is starting, draining or stopped |
//! | `SERVICE_UNKNOWN`, only from `Watch` | there is no such service; `Check` answers `NOT_FOUND` instead |
//!
//! Every answer is made from a snapshot: no dependency is asked while a caller waits, and a snapshot that is too old
//! to be believed counts as amber, then as red.
//!
//! In a server of one's own, next to other services:
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use lifesigns::Lifesigns;
//! use lifesigns_grpc::HealthService;
//!
//! let lifesigns = Lifesigns::builder("polls").start()?;
//! let health = HealthService::new(&lifesigns);
//! let stop = {
//!     let (lifesigns, health) = (lifesigns.clone(), health.clone());
//!     async move {
//!         std::future::pending::<()>().await; // a signal
//!         lifesigns.drain();
//!         health.close();
//!     }
//! };
//! let server = tonic::transport::Server::builder().add_service(health);
//! # let _not_bound = |address: std::net::SocketAddr| {
//! server.serve_with_shutdown(address, stop)
//! # };
//! # Ok(())
//! # }
//! ```
//!
//! Or by itself, with limits for everything that a caller could ask too much of: [`serve`].

mod codec;
mod message;
mod preface;
mod presence;
mod serve;
mod service;
mod watch;

pub use self::serve::serve;
pub use self::service::HealthService;
