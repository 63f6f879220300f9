//! Ready-made health checks, each behind a feature of its own.

#[cfg(feature = "amqp")]
pub mod amqp;
#[cfg(feature = "certificate")]
pub mod certificate;
#[cfg(feature = "clickhouse")]
pub mod clickhouse;
#[cfg(feature = "command")]
pub mod command;
#[cfg(feature = "disk")]
pub mod disk;
#[cfg(feature = "dns")]
pub mod dns;
#[cfg(feature = "file")]
pub mod file;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "mqtt")]
pub mod mqtt;
#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "network")]
#[cfg_attr(not(feature = "all"), allow(dead_code, reason = "each check uses a part of it"))]
mod network;
#[cfg(any(
    feature = "certificate",
    feature = "command",
    feature = "disk",
    feature = "file",
    feature = "sqlite"
))]
mod path;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "service")]
#[cfg_attr(not(feature = "all"), allow(dead_code, unused_imports, reason = "each check uses a part of it"))]
mod service;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "tcp")]
pub mod tcp;

pub use lifesigns::{BadOption, Check, CheckPolicy, FailureKind, Report, Secret};
#[cfg(feature = "service")]
pub use service::{Server, ServerUrl};
