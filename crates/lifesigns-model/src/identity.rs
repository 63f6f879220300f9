//! Who a service is: where its code lives, which revision runs and since when.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

/// Text that stands for a value nobody has told us. It is never guessed.
pub const UNKNOWN: &str = "unknown";

/// What a service says of itself. A field that is `None` is not known.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Identity {
    /// Where the code lives, such as `abc/api` or a URL.
    pub repo: Option<String>,
    /// Source control revision that runs, usually a git commit hash.
    pub revision: Option<String>,
    /// Version for people, such as `1.2.0`.
    pub version: Option<String>,
    /// When this revision was deployed. Left out: the start of the process.
    pub deployed_at: Option<Timestamp>,
    /// Kind of build, such as `docker` or `binary`.
    pub build_type: Option<String>,
    /// When the build was made.
    pub build_date: Option<String>,
    /// Language and its version, such as `rust 1.89`. Hidden from strangers unless asked for.
    pub language: Option<String>,
    /// Deployment environment, such as `production`.
    pub environment: Option<String>,
}

impl Identity {
    /// This identity, with what it does not know taken from `other`.
    #[must_use]
    pub fn or(self, other: Identity) -> Identity {
        Identity {
            repo: self.repo.or(other.repo),
            revision: self.revision.or(other.revision),
            version: self.version.or(other.version),
            deployed_at: self.deployed_at.or(other.deployed_at),
            build_type: self.build_type.or(other.build_type),
            build_date: self.build_date.or(other.build_date),
            language: self.language.or(other.language),
            environment: self.environment.or(other.environment),
        }
    }
}

/// A field of the identity as it appears in answers; each can be shown or hidden.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum IdentityField {
    /// `repo`
    Repo,
    /// `revision`
    Revision,
    /// `version`
    Version,
    /// `deployed_at`
    DeployedAt,
    /// `uptime`
    Uptime,
    /// `build_type`
    BuildType,
    /// `build_date`
    BuildDate,
    /// `language`
    Language,
    /// `environment`
    Environment,
}

impl IdentityField {
    /// All fields, in the order in which they are written.
    pub const ALL: [IdentityField; 9] = [
        IdentityField::Repo,
        IdentityField::Revision,
        IdentityField::Version,
        IdentityField::DeployedAt,
        IdentityField::Uptime,
        IdentityField::BuildType,
        IdentityField::BuildDate,
        IdentityField::Language,
        IdentityField::Environment,
    ];

    /// The fields that strangers see unless configured otherwise: all but the language, whose version helps
    /// attackers.
    pub fn public_by_default() -> Vec<IdentityField> {
        IdentityField::ALL.into_iter().filter(|field| *field != IdentityField::Language).collect()
    }

    /// Name in answers and in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            IdentityField::Repo => "repo",
            IdentityField::Revision => "revision",
            IdentityField::Version => "version",
            IdentityField::DeployedAt => "deployed_at",
            IdentityField::Uptime => "uptime",
            IdentityField::BuildType => "build_type",
            IdentityField::BuildDate => "build_date",
            IdentityField::Language => "language",
            IdentityField::Environment => "environment",
        }
    }

    /// The field with this name.
    pub fn from_name(name: &str) -> Option<IdentityField> {
        IdentityField::ALL.into_iter().find(|field| field.name() == name)
    }
}

/// A commit hash or the beginning of one: 7 to 64 hexadecimal digits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Revision(String);

impl Revision {
    /// Whether both can name the same commit: one begins with the other.
    ///
    /// ```
    /// use lifesigns_model::identity::Revision;
    /// let long: Revision = "29636480c0ffee0029636480c0ffee0029636480".parse()?;
    /// assert!(long.is_same_commit(&"2963648".parse()?));
    /// assert!(!long.is_same_commit(&"2963649".parse()?));
    /// # Ok::<(), lifesigns_model::identity::NoRevision>(())
    /// ```
    pub fn is_same_commit(&self, other: &Revision) -> bool {
        self.0.starts_with(&other.0) || other.0.starts_with(&self.0)
    }
}

impl FromStr for Revision {
    type Err = NoRevision;

    fn from_str(text: &str) -> Result<Revision, NoRevision> {
        let is_hash = (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hash { Ok(Revision(text.to_ascii_lowercase())) } else { Err(NoRevision) }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no commit hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoRevision;

impl fmt::Display for NoRevision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a revision is 7 to 64 hexadecimal digits, the beginning of a commit hash or the whole of it",
        )
    }
}

impl std::error::Error for NoRevision {}

/// How long something has been up, for people: whole units, the largest that fits.
///
/// ```
/// use std::time::Duration;
/// use lifesigns_model::identity::uptime_text;
/// assert_eq!(uptime_text(Duration::from_secs(4 * 86_400 + 3600)), "4 days");
/// assert_eq!(uptime_text(Duration::from_secs(3600)), "1 hour");
/// assert_eq!(uptime_text(Duration::from_secs(12)), "12 seconds");
/// ```
pub fn uptime_text(uptime: Duration) -> String {
    let seconds = uptime.as_secs();
    let (number, unit) = match seconds {
        86_400.. => (seconds / 86_400, "day"),
        3_600.. => (seconds / 3_600, "hour"),
        60.. => (seconds / 60, "minute"),
        _ => (seconds, "second"),
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hashes_are_revisions() {
        for text in ["2963648", "ABCDEF0", &"a".repeat(64)] {
            assert!(text.parse::<Revision>().is_ok(), "{text}");
        }
        for text in ["", "296364", "main", "2963648-dirty", "v1.2.0", &"a".repeat(65)] {
            assert_eq!(text.parse::<Revision>(), Err(NoRevision), "{text}");
        }
    }

    #[test]
    fn uptime_is_told_in_the_largest_whole_unit() {
        let check = |seconds, text: &str| assert_eq!(uptime_text(Duration::from_secs(seconds)), text);
        check(0, "0 seconds");
        check(1, "1 second");
        check(59, "59 seconds");
        check(60, "1 minute");
        check(3_599, "59 minutes");
        check(86_399, "23 hours");
        check(86_400, "1 day");
        check(400 * 86_400, "400 days");
    }
}
