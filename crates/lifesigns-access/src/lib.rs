//! Who else is let in: connected apps that have tokens issued to them, and holders of tokens of an issuer elsewhere.
//!
//! `lifesigns` knows static tokens by itself. This crate has what they do not need: secrets that are kept as argon2
//! hashes, JWTs that are signed and checked, and the keys of issuers, which are fetched over HTTP. A [`Gatekeeper`] is the
//! [`lifesigns::Authority`] that has it all:
//!
//! ```
//! use std::sync::Arc;
//! use lifesigns::{Lifesigns, Scope};
//! use lifesigns_access::{App, Gatekeeper, SecretHash, TokenOptions};
//!
//! let hash: SecretHash = SecretHash::make("a secret")?.parse()?;
//! let app = App::new("reports", hash, [Scope::AnalyticsRead]);
//! let gatekeeper = Gatekeeper::new(TokenOptions::default(), vec![app], vec![])?;
//! let lifesigns = Lifesigns::builder("polls").authority(Arc::new(gatekeeper)).start()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where there are issuers elsewhere, [`Gatekeeper::keep_keys`] has to run.
//!
//! JWTs are signed and checked by the crate `jsonwebtoken` with `ring` below it. The first gatekeeper makes `ring` the
//! process' provider of that crate, unless the process has chosen another one before.

mod app;
mod crypto;
mod gatekeeper;
mod issued;
mod issuer;
mod signing;

pub use lifesigns::BadOption;

pub use self::app::{App, SecretHash};
pub use self::gatekeeper::Gatekeeper;
pub use self::issued::TokenOptions;
pub use self::issuer::{Algorithm, Issuer};
pub use self::signing::SigningKey;

/// How far the clocks of this process and of whoever signed a token may be apart, in seconds.
pub(crate) const LEEWAY_SECONDS: u64 = 30;

/// No token is longer than this, in bytes.
pub(crate) const LONGEST_TOKEN: usize = 16 * 1024;
