//! What went wrong where a server was asked something, in the words that reports have for it.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::io::{self, ErrorKind};

use lifesigns::{FailureKind, Report};
use rustix::io::Errno;

/// Why there is no answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// What sort of failure it is.
    pub kind: FailureKind,
    /// What happened, without what was sent. Some of it may be a stranger's text: to be escaped where it is shown.
    pub message: String,
    /// This machine's own network or resources are at fault, so that nothing is known of the server.
    pub is_own: bool,
}

impl Failure {
    /// Nobody was reached.
    pub fn unreachable(message: impl Into<String>) -> Failure {
        Failure::new(FailureKind::Unreachable, message)
    }

    /// The credentials were refused.
    pub fn denied(message: impl Into<String>) -> Failure {
        Failure::new(FailureKind::Denied, message)
    }

    /// What came is not what should come.
    pub fn unexpected(message: impl Into<String>) -> Failure {
        Failure::new(FailureKind::UnexpectedAnswer, message)
    }

    /// Anything else.
    pub fn failed(message: impl Into<String>) -> Failure {
        Failure::new(FailureKind::Failed, message)
    }

    fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), is_own: false }
    }

    /// The connection was closed where an answer was due.
    pub fn closed() -> Failure {
        Failure::unexpected("it closed the connection without an answer")
    }

    /// Of an error on a connection that stood.
    pub fn of_io(error: &io::Error) -> Failure {
        let failure = match error.kind() {
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
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable
            | ErrorKind::TimedOut => Failure::unreachable(text(error)),
            _ => Failure::failed(text(error)),
        };
        Failure { is_own: is_own(error), ..failure }
    }

    /// Of a handshake that came to nothing.
    pub fn of_tls(error: &io::Error) -> Failure {
        let failure = Failure::of_io(error);
        Failure { message: format!("the TLS handshake failed: {}", failure.message), ..failure }
    }

    /// Of an HTTP exchange that came to no answer.
    #[cfg(feature = "http")]
    pub fn of_http(error: &hyper::Error) -> Failure {
        if let Some(failure) = Failure::of_sources(error) {
            return failure;
        }
        if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
            return Failure::closed();
        }
        if error.is_parse_too_large() {
            return Failure::unexpected("the head of its answer is too long");
        }
        if error.is_parse() {
            return Failure::unexpected(format!("what it answers is no HTTP/1.1 ({})", text(error)));
        }
        Failure::unexpected(text(error))
    }

    /// Of an error that has one of input or output somewhere among its sources.
    pub fn of_sources(error: &(dyn Error + 'static)) -> Option<Failure> {
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

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}

impl From<Failure> for Report {
    fn from(failure: Failure) -> Report {
        Report::fail(failure.kind, failure.message)
    }
}

/// An error with its sources, each said once.
pub fn text(error: &(dyn Error + 'static)) -> String {
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

/// Whether an error of a system call says something of this machine, and nothing of the one that it would speak to.
pub(crate) fn is_own(error: &io::Error) -> bool {
    const OWN: [Errno; 7] = [
        Errno::NETUNREACH,
        Errno::NETDOWN,
        Errno::ADDRNOTAVAIL,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
    ];
    Errno::from_io_error(error).is_some_and(|number| OWN.contains(&number))
}

/// Whether a name was not resolved because no resolver could be asked. The standard library keeps the resolver's text
/// alone, which the C libraries have for `EAI_AGAIN`: glibc, musl, and those of the BSDs.
pub(crate) fn is_own_resolver(error: &io::Error) -> bool {
    let told = error.to_string();
    is_own(error)
        || ["Temporary failure in name resolution", "Try again", "Memory allocation failure", "Out of memory"]
            .iter()
            .any(|text| told.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ones_own_that_is_gone_is_told_from_a_server_that_is() {
        let check = |number: Errno, expected: bool| {
            let failure = Failure::of_io(&number.into());
            assert_eq!(failure.is_own, expected, "{failure}");
        };
        for number in [Errno::NETUNREACH, Errno::NETDOWN, Errno::ADDRNOTAVAIL] {
            check(number, true);
            assert_eq!(Failure::of_io(&number.into()).kind, FailureKind::Unreachable);
        }
        for number in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            check(number, true);
        }
        for number in
            [Errno::CONNREFUSED, Errno::HOSTUNREACH, Errno::TIMEDOUT, Errno::CONNRESET, Errno::ACCESS]
        {
            check(number, false);
        }
        assert!(!Failure::of_io(&io::Error::other("what a client has made up")).is_own);
    }

    #[test]
    fn a_resolver_that_cannot_be_asked_is_told_from_a_name_that_is_not_there() {
        let check = |text: &str, expected: bool| {
            let error = io::Error::other(format!("failed to lookup address information: {text}"));
            assert_eq!(is_own_resolver(&error), expected, "{text}");
        };
        check("Temporary failure in name resolution", true);
        check("Try again", true);
        check("Name or service not known", false);
        check("No address associated with hostname", false);
    }
}
