//! Pushes what Lifesigns knows to an OpenTelemetry collector: OTLP over HTTP, metrics as protobuf.
//!
//! ```no_run
//! use std::time::Duration;
//! use lifesigns::Lifesigns;
//! use lifesigns_otlp::{Exporter, Options};
//!
//! let lifesigns = Lifesigns::builder("polls").start()?;
//! let options = Options::default().endpoint("http://collector:4318")?.environment(|name| std::env::var(name).ok())?;
//! let exporter = Exporter::start(lifesigns, options)?;
//! // … at the end:
//! exporter.shutdown(Duration::from_secs(5));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | metric | kind, unit | attributes | value |
//! |---|---|---|---|
//! | `lifesigns.light` | gauge, `1` | `lifesigns.api` | 0 green, 1 amber, 2 red |
//! | `lifesigns.light.changes` | sum, `{change}` | `lifesigns.api`, `lifesigns.light` | how often the light has become this one |
//! | `lifesigns.check.status` | gauge, `1` | `lifesigns.api`, `lifesigns.check` | the light that the check asks for, as above |
//! | `lifesigns.check.duration` | gauge, `s` | the same | how long its last run took |
//! | `lifesigns.check.runs` | sum, `{run}` | the same and `lifesigns.outcome` | runs that ended in `pass`, `warn`, `fail` |
//! | `lifesigns.scheduler.age` | gauge, `s` | | for how long nothing has run the checks; there with checks alone |
//! | `http.server.request.duration` | histogram, `s` | `http.request.method`, `http.response.status_code`, `http.route`, `error.type` (5xx), `lifesigns.api`, `lifesigns.failed_by` | from a request's head to the end of its response |
//!
//! Sums and histograms are cumulative from the start of the process, so that a push that is lost costs nothing but
//! itself: nothing is queued, and the next one holds all there is. A check that counts for several APIs is there once
//! for each. `url.scheme`, which the conventions want, is not known: TLS ends elsewhere.
//!
//! It runs on a thread of its own. A collector that is slow, hung or lying costs that thread its time, and neither
//! traffic nor verdict anything: each push has a deadline, one that fails is retried until the next is due, and of an
//! answer no more than 64 KB are read.

mod client;
mod deadline;
mod encode;
mod environment;
mod exporter;
mod options;
mod redaction;
mod retry;

pub use self::exporter::{Exporter, Pushes};
pub use lifesigns::BadOption;

pub use self::options::Options;
