//! One request and its answer.

use std::fmt;

/// Status under which an exchange is counted whose client went away before any answer had begun.
///
/// No such status is ever sent. The number is the one nginx made customary for it.
pub const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Who is to blame for an exchange that did not go well.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum FailedBy {
    /// Nobody: it went well.
    #[default]
    Nobody,
    /// The client: a 4xx answer, or it went away before the answer had ended.
    Client,
    /// The gateway: it made the 5xx answer itself, because it could not reach the upstream or could not wait.
    Gateway,
    /// The API: it sent an answer of 500 or above, or broke off in the middle of one.
    Upstream,
}

impl FailedBy {
    /// All values, in the order of their numbers in [`FailedBy::number`].
    pub const ALL: [FailedBy; 4] =
        [FailedBy::Nobody, FailedBy::Client, FailedBy::Gateway, FailedBy::Upstream];

    /// The name used in labels and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            FailedBy::Nobody => "nobody",
            FailedBy::Client => "client",
            FailedBy::Gateway => "gateway",
            FailedBy::Upstream => "upstream",
        }
    }

    /// The value with this name.
    pub fn from_name(name: &str) -> Option<FailedBy> {
        FailedBy::ALL.into_iter().find(|value| value.name() == name)
    }

    /// A small number, for compact keys.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Whether the serving side is to blame; only that may turn a light.
    pub const fn counts_against_service(self) -> bool {
        matches!(self, FailedBy::Gateway | FailedBy::Upstream)
    }

    /// Who is to blame for an answer with this status that the API itself sent in full.
    pub const fn of_status(status: u16) -> FailedBy {
        match status {
            500.. => FailedBy::Upstream,
            400..500 => FailedBy::Client,
            _ => FailedBy::Nobody,
        }
    }
}

impl fmt::Display for FailedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was measured of one exchange. Its labels are in [`crate::series::Series`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Measurement {
    /// From the end of the request's head to the end of the response, in microseconds.
    pub total_micros: u64,
    /// From the end of the request's head to the moment when the response's head was on its way and its body was first
    /// waited for, in microseconds. The total time where the body was over at once, or nobody asked for it.
    pub first_byte_micros: u64,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the response's body.
    pub response_bytes: u64,
}
