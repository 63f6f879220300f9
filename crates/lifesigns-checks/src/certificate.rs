//! Until when is a TLS certificate valid, and would anyone trust it?
//!
//! Of a server, the whole chain is verified as a browser does it: trusted, in time, and for the right name. Of a file,
//! only the time is looked at: whom the file's users trust is not known here.
//!
//! ```
//! use lifesigns_checks::certificate;
//!
//! let shop = certificate::check("certificate", certificate::Options::of_server("shop.example:443"))?;
//! # Ok::<(), lifesigns_checks::BadOption>(())
//! ```

mod verifier;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lifesigns::{Check, FailureKind, Report};
use lifesigns_fetch::Failure;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::Decode;

use self::verifier::Recorder;
use crate::BadOption;
use crate::network::Address;
use crate::path::{absolute, failure_kind};

const DAY: f64 = 86_400.0;

/// Certificates change over days. Three failures in a row are still told within minutes.
const INTERVAL: Duration = Duration::from_mins(1);

/// A longer file of certificates is not read, in bytes.
const LONGEST_FILE: u64 = 1024 * 1024;

/// Which certificate, and how long before its end somebody is to be told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// Where it is.
    pub source: Source,
    /// With fewer days left, it warns. Default 21.
    pub warn_days: u32,
    /// With fewer days left, it fails. Default 3.
    pub fail_days: u32,
}

/// Where a certificate is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// A server shows it, in a TLS handshake.
    Server {
        /// `host:port`.
        address: String,
        /// The name that the certificate must be for, if it is not the host's.
        server_name: Option<String>,
        /// A file of certificate authorities in PEM, which are trusted besides those of the system.
        ca_file: Option<PathBuf>,
    },
    /// It is in a file, PEM; of several in it, the one that ends first counts.
    File(PathBuf),
}

impl Options {
    /// The certificate of the server at `host:port`.
    pub fn of_server(address: impl Into<String>) -> Options {
        Options::of(Source::Server { address: address.into(), server_name: None, ca_file: None })
    }

    /// The certificates in a file.
    pub fn of_file(path: impl Into<PathBuf>) -> Options {
        Options::of(Source::File(path.into()))
    }

    fn of(source: Source) -> Options {
        Options { source, warn_days: 21, fail_days: 3 }
    }
}

#[derive(Clone, Copy)]
struct Thresholds {
    warn_days: u32,
    fail_days: u32,
}

/// A check that looks until when a certificate is valid, every minute unless it is told otherwise. It observes `expiry`
/// in days, negative when it is over.
pub fn check(name: &str, options: Options) -> Result<Check, BadOption> {
    made(name, options).map(|check| check.every(INTERVAL))
}

fn made(name: &str, options: Options) -> Result<Check, BadOption> {
    let thresholds = Thresholds { warn_days: options.warn_days, fail_days: options.fail_days };
    if thresholds.warn_days < thresholds.fail_days {
        return Err(BadOption::new("warn_days", "is less than `fail_days`: it would never warn"));
    }
    match options.source {
        Source::File(path) => {
            absolute("path", &path)?;
            let run = move || of_file(&path, thresholds, SystemTime::now()).unwrap_or_else(|report| report);
            Ok(Check::blocking(name, run).of_this_process().component_type("system"))
        }
        Source::Server { address, server_name, ca_file } => {
            let address = Address::parse("address", &address)?;
            let wanted = server_name.unwrap_or_else(|| address.host.clone());
            let server_name = ServerName::try_from(wanted.clone())
                .map_err(|_| BadOption::new("server_name", format!("{wanted:?} is no name of a server")))?;
            let authorities = verifier::authorities(ca_file.as_deref())?;
            let server = Arc::new((address, server_name));
            Ok(Check::new(name, move || {
                let (server, authorities) = (Arc::clone(&server), Arc::clone(&authorities));
                async move {
                    of_server(&server.0, &server.1, authorities, thresholds)
                        .await
                        .unwrap_or_else(|report| report)
                }
            }))
        }
    }
}

async fn of_server(
    address: &Address,
    server_name: &ServerName<'static>,
    authorities: Arc<dyn ServerCertVerifier>,
    thresholds: Thresholds,
) -> Result<Report, Report> {
    let stream = address.connect().await?;
    let recorder = Arc::new(Recorder::new(authorities));
    let config = verifier::client_config(Arc::clone(&recorder) as Arc<dyn ServerCertVerifier>);
    let config = config.map_err(|error| Report::fail(FailureKind::Failed, error))?;
    let handshake = TlsConnector::from(config).connect(server_name.clone(), stream).await;
    let unexpected =
        |what: String| Report::fail(FailureKind::UnexpectedAnswer, format_args!("{address}: {what}"));
    let Some(certificate) = recorder.certificate() else {
        return Err(unexpected(match handshake {
            Ok(_) => "no certificate was shown".to_owned(),
            Err(error) => Failure::of_tls(&error).message,
        }));
    };
    let validity = Validity::of(&certificate).map_err(|why| unexpected(why.to_owned()))?;
    let report = validity.judge(&address.to_string(), thresholds, SystemTime::now());
    match handshake {
        Ok(_) => Ok(report),
        Err(error) => {
            let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
            let refusal = unexpected(match cause {
                Some(rustls::Error::InvalidCertificate(_)) => {
                    format!("the certificate is not trusted: {error}")
                }
                // The server ended it, as one does that wants a certificate of ours.
                _ => Failure::of_tls(&error).message,
            });
            Err(Report { observed: report.observed, ..refusal })
        }
    }
}

fn of_file(path: &Path, thresholds: Thresholds, now: SystemTime) -> Result<Report, Report> {
    let shown = path.display();
    let unreadable = |error: &io::Error| Report::fail(failure_kind(error), format_args!("{shown}: {error}"));
    let unexpected =
        |what: &str| Report::fail(FailureKind::UnexpectedAnswer, format_args!("{shown}: {what}"));
    // A pipe would be waited for, and a device may have no end.
    if !path.metadata().map_err(|error| unreadable(&error))?.is_file() {
        return Err(unexpected("is no file"));
    }
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST_FILE + 1).read_to_end(&mut text));
    if read.map_err(|error| unreadable(&error))? as u64 > LONGEST_FILE {
        return Err(unexpected("is longer than 1 MiB, and so hardly a file of certificates"));
    }
    let mut first: Option<Validity> = None;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|_| unexpected("is not PEM from beginning to end"))?;
        let validity = Validity::of(&certificate).map_err(unexpected)?;
        if first.is_none_or(|first| validity.ends < first.ends) {
            first = Some(validity);
        }
    }
    let first = first.ok_or_else(|| unexpected("holds no certificate; it should be PEM"))?;
    Ok(first.judge(&shown.to_string(), thresholds, now))
}

/// From when to when a certificate is valid, since 1970.
#[derive(Clone, Copy, Debug)]
struct Validity {
    begins: Duration,
    ends: Duration,
}

impl Validity {
    fn of(certificate: &CertificateDer<'_>) -> Result<Validity, &'static str> {
        // The lenient reading: serial numbers that break the rules are common, and no concern of ours.
        let certificate =
            CertificateInner::<Raw>::from_der(certificate).map_err(|_| "the certificate cannot be read")?;
        let validity = certificate.tbs_certificate().validity();
        Ok(Validity {
            begins: validity.not_before.to_unix_duration(),
            ends: validity.not_after.to_unix_duration(),
        })
    }

    fn judge(self, whose: &str, thresholds: Thresholds, now: SystemTime) -> Report {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let days = (self.ends.as_secs_f64() - now) / DAY;
        let report = if self.begins.as_secs_f64() > now {
            let days = (self.begins.as_secs_f64() - now) / DAY;
            Report::fail(
                FailureKind::Failed,
                format_args!("{whose}: the certificate begins in {days:.1} days"),
            )
        } else if days <= 0.0 {
            Report::fail(
                FailureKind::Failed,
                format_args!("{whose}: the certificate expired {:.1} days ago", -days),
            )
        } else {
            let output = format!("{whose}: the certificate expires in {days:.1} days");
            if days < f64::from(thresholds.fail_days) {
                Report::fail(FailureKind::Failed, output)
            } else if days < f64::from(thresholds.warn_days) {
                Report::warn(output)
            } else {
                Report::pass()
            }
        };
        report.observed("expiry", days, "days")
    }
}

#[cfg(test)]
mod tests {
    use lifesigns::model::check::Outcome;

    use super::*;

    #[test]
    fn days_left_are_judged() {
        let day = |days: u64| Duration::from_secs(days * 86_400);
        let validity = Validity { begins: day(100), ends: day(200) };
        let thresholds = Thresholds { warn_days: 21, fail_days: 3 };
        let check = |now, expected, left: f64| {
            let report = validity.judge("x", thresholds, SystemTime::UNIX_EPOCH + day(now));
            assert_eq!(report.outcome, expected, "on day {now}: {:?}", report.output);
            let observed = report.observed.unwrap();
            assert!((observed.value - left).abs() < 1e-6 && observed.unit == "days", "{observed:?}");
        };
        check(99, Outcome::Fail, 101.0);
        check(100, Outcome::Pass, 100.0);
        check(179, Outcome::Pass, 21.0);
        check(180, Outcome::Warn, 20.0);
        check(197, Outcome::Warn, 3.0);
        check(198, Outcome::Fail, 2.0);
        check(200, Outcome::Fail, 0.0);
        check(300, Outcome::Fail, -100.0);
    }
}
