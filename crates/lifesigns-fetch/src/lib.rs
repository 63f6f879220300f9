//! One answer over HTTP from a server that nobody trusts: one request over one new connection, whatever it takes held
//! within bounds.
//!
//! With the feature `http` there is [`Fetcher`]. Without it there are connections alone, [`connect`] and [`resolve`],
//! for whoever speaks something else over them.
//!
//! Nothing here has a deadline: whoever asks has one, and everything ends when the future is dropped.
//!
//! ```no_run
//! # #[cfg(feature = "http")]
//! # async fn ask() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use lifesigns_fetch::{Body, Fetcher, Options, Request};
//!
//! let fetcher = Fetcher::new(Options::default())?;
//! let url = "https://shop.example/health".parse()?;
//! let answer = tokio::time::timeout(Duration::from_secs(10), fetcher.fetch(&url, &Request::get())).await??;
//! if let Body::Whole(body) = &answer.body {
//!     println!("{} from {}: {} bytes", answer.status, answer.address, body.len());
//! }
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "http")]
mod body;
mod failure;
#[cfg(feature = "http")]
mod fetcher;
#[cfg(feature = "http")]
mod files;
mod network;
#[cfg(feature = "http")]
mod policy;
#[cfg(feature = "http")]
mod redirect;

pub use self::failure::{Failure, text};
pub use self::network::{connect, resolve};
#[cfg(feature = "http")]
pub use self::{
    body::Body,
    fetcher::{Answer, Fetcher, Options, Progress, Request},
    files::most_at_a_time,
    policy::AddressPolicy,
    redirect::Redirects,
};
pub use lifesigns::{BadOption, FailureKind};
