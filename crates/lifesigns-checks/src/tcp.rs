//! Does a TCP server take connections, and greet as it should?
//!
//! ```
//! use lifesigns_checks::tcp;
//!
//! let mail = tcp::check("mail", tcp::Options { banner: Some("220 ".into()), ..tcp::Options::new("mail.example:25") })?;
//! # Ok::<(), lifesigns_checks::BadOption>(())
//! ```

use lifesigns::{Check, FailureKind, Report};
use tokio::io::AsyncReadExt;

use crate::BadOption;
use crate::network::{Address, shown};

/// Of a banner that is not the right one, so many characters are told.
const SHOWN: usize = 100;

/// What is asked of the server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// `host:port`.
    pub address: String,
    /// What the server's first bytes must be, without being asked. At most 1024 bytes. Default: it need not say
    /// anything.
    pub banner: Option<String>,
}

impl Options {
    /// A connection is enough.
    pub fn new(address: impl Into<String>) -> Options {
        Options { address: address.into(), banner: None }
    }
}

/// A check that connects, and reads the banner if one is expected.
pub fn check(name: &str, options: Options) -> Result<Check, BadOption> {
    let address = Address::parse("address", &options.address)?;
    let banner = options.banner.unwrap_or_default();
    if banner.len() > 1024 {
        return Err(BadOption::new("banner", "is longer than 1024 bytes; its beginning is enough"));
    }
    Ok(Check::new(name, move || {
        let (address, banner) = (address.clone(), banner.clone());
        async move { run(&address, banner.as_bytes()).await.unwrap_or_else(|report| report) }
    }))
}

async fn run(address: &Address, banner: &[u8]) -> Result<Report, Report> {
    let mut stream = address.connect().await?;
    let mut greeting = Vec::new();
    // Read no further than it is right: a server that greets otherwise may be waiting for us now.
    while greeting.len() < banner.len() && banner.starts_with(&greeting) {
        let wanted = banner.len() - greeting.len();
        let read = (&mut stream).take(wanted as u64).read_buf(&mut greeting).await;
        let otherwise = |what| Report::fail(FailureKind::UnexpectedAnswer, format_args!("{address} {what}"));
        match read {
            Ok(0) => {
                return Err(otherwise(format!(
                    "closed the connection after \"{}\"",
                    shown(&greeting, SHOWN)
                )));
            }
            Ok(_) => {}
            Err(error) => return Err(otherwise(format!("broke the connection off: {error}"))),
        }
    }
    if greeting != banner {
        let greeting = shown(&greeting, SHOWN);
        let output = format!("{address} greets with \"{greeting}\", not with the banner that is expected");
        return Err(Report::fail(FailureKind::UnexpectedAnswer, output));
    }
    Ok(Report::pass())
}
