//! What went wrong in a run, in the words that reports have for it.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, ErrorKind};

use lifesigns::{FailureKind, Report};

/// Why a run failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn unreachable(message: impl Into<String>) -> Failure {
        Failure { kind: FailureKind::Unreachable, message: message.into() }
    }

    pub(crate) fn denied(message: impl Into<String>) -> Failure {
        Failure { kind: FailureKind::Denied, message: message.into() }
    }

    pub(crate) fn unexpected(message: impl Into<String>) -> Failure {
        Failure { kind: FailureKind::UnexpectedAnswer, message: message.into() }
    }

    pub(crate) fn failed(message: impl Into<String>) -> Failure {
        Failure { kind: FailureKind::Failed, message: message.into() }
    }

    /// The connection was closed where an answer was due.
    pub(crate) fn closed() -> Failure {
        Failure::unexpected("it closed the connection without an answer")
    }

    /// Of an error on a connection that stood.
    pub(crate) fn of_io(error: &io::Error) -> Failure {
        match error.kind() {
            ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe => Failure::closed(),
            // No system call fails with `Other`: clients say so of what they cannot read.
            ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::Other => {
                Failure::unexpected(text(error))
            }
            ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::AddrNotAvailable
            | ErrorKind::TimedOut => Failure::unreachable(text(error)),
            _ => Failure::failed(text(error)),
        }
    }

    /// Of a handshake that came to nothing.
    pub(crate) fn of_tls(error: &io::Error) -> Failure {
        let failure = Failure::of_io(error);
        Failure { message: format!("the TLS handshake failed: {}", failure.message), ..failure }
    }

    /// Of an HTTP exchange that came to no answer.
    #[cfg(any(feature = "clickhouse", feature = "http"))]
    pub(crate) fn of_http(error: &hyper::Error) -> Failure {
        if let Some(failure) = Failure::of_sources(error) {
            return failure;
        }
        if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
            return Failure::closed();
        }
        if error.is_parse() {
            return Failure::unexpected(format!("what it answers is no HTTP/1.1 ({})", text(error)));
        }
        Failure::unexpected(text(error))
    }

    /// Of an error that has one of input or output somewhere among its sources.
    pub(crate) fn of_sources(error: &(dyn Error + 'static)) -> Option<Failure> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref() {
                return Some(Failure::of_io(error));
            }
            next = error.source();
        }
        None
    }
}

impl From<Failure> for Report {
    fn from(failure: Failure) -> Report {
        Report::fail(failure.kind, failure.message)
    }
}

/// An error with its sources, each said once.
pub(crate) fn text(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            // Writing to a string cannot fail.
            let _ = write!(text, ": {more}");
        }
        source = error.source();
    }
    text
}
