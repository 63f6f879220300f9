//! The labels under which exchanges are counted, and the dimensions by which they can be asked for.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::exchange::FailedBy;

/// Label of a caller, policy or route that is not there.
pub const NOT_APPLICABLE: &str = "_na_";
/// Label of everything past the cap of its kind.
pub const OTHER: &str = "_other_";

/// One combination of labels. Every label that a client could choose has been bounded before it gets here.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Series {
    /// Name of the API.
    pub api: Arc<str>,
    /// Version of the API as it is known to its callers, or [`NOT_APPLICABLE`].
    pub api_version: Arc<str>,
    /// Route template, never the raw path.
    pub route: Arc<str>,
    /// Method, upper case; [`OTHER`] for one that no standard names.
    pub method: Arc<str>,
    /// Status code of the response.
    pub status: u16,
    /// Client app, or [`NOT_APPLICABLE`].
    pub client_id: Arc<str>,
    /// Name of the policy that refused the request; `None` when it was processed.
    pub policy: Option<Arc<str>>,
    /// Who failed.
    pub failed_by: FailedBy,
    /// The process that counted.
    pub instance: Arc<str>,
}

impl Series {
    /// The label that stands for this series under `dimension`.
    pub fn label(&self, dimension: Dimension) -> Cow<'_, str> {
        match dimension {
            Dimension::Api => Cow::Borrowed(&*self.api),
            Dimension::ApiVersion => Cow::Borrowed(&*self.api_version),
            Dimension::ClientId => Cow::Borrowed(&*self.client_id),
            Dimension::StatusCode => Cow::Owned(self.status.to_string()),
            Dimension::Method => Cow::Borrowed(&*self.method),
            Dimension::ResourcePath => Cow::Borrowed(&*self.route),
            Dimension::RequestDisposition => {
                Cow::Borrowed(if self.policy.is_some() { "policy_violation" } else { "processed" })
            }
            Dimension::Policy => Cow::Borrowed(self.policy.as_deref().unwrap_or(NOT_APPLICABLE)),
            Dimension::FailedBy => Cow::Borrowed(self.failed_by.name()),
            Dimension::Instance => Cow::Borrowed(&*self.instance),
        }
    }
}

/// A label by which exchanges can be grouped and filtered. The names are those of the query language.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Dimension {
    /// `api_id`: name of the API.
    Api,
    /// `api_version_id`: version of the API.
    ApiVersion,
    /// `client_id`: the calling app.
    ClientId,
    /// `status_code`.
    StatusCode,
    /// `method`.
    Method,
    /// `resource_path`: the route template.
    ResourcePath,
    /// `request_disposition`: `processed` or `policy_violation`.
    RequestDisposition,
    /// `policy`: the policy that refused.
    Policy,
    /// `failed_by`: `nobody`, `client`, `gateway` or `upstream`. Not in the source's language.
    FailedBy,
    /// `instance`: the process that counted.
    Instance,
}

impl Dimension {
    /// All dimensions.
    pub const ALL: [Dimension; 10] = [
        Dimension::Api,
        Dimension::ApiVersion,
        Dimension::ClientId,
        Dimension::StatusCode,
        Dimension::Method,
        Dimension::ResourcePath,
        Dimension::RequestDisposition,
        Dimension::Policy,
        Dimension::FailedBy,
        Dimension::Instance,
    ];

    /// Name in the query language and in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Dimension::Api => "api_id",
            Dimension::ApiVersion => "api_version_id",
            Dimension::ClientId => "client_id",
            Dimension::StatusCode => "status_code",
            Dimension::Method => "method",
            Dimension::ResourcePath => "resource_path",
            Dimension::RequestDisposition => "request_disposition",
            Dimension::Policy => "policy",
            Dimension::FailedBy => "failed_by",
            Dimension::Instance => "instance",
        }
    }

    /// The dimension with this name.
    pub fn from_name(name: &str) -> Option<Dimension> {
        Dimension::ALL.into_iter().find(|dimension| dimension.name() == name)
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
