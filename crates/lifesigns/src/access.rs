//! Who may see what: static bearer tokens with scopes, and tokens that an [`Authority`] knows.
//!
//! Without either every protected resource stays closed.

mod attempts;
mod authority;
mod door;
mod token;

use std::fmt;
use std::sync::Arc;

use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, StatusCode};

pub(crate) use self::attempts::{App, Attempts, MustWait};
pub use self::authority::{Authority, IssueError, IssueRequest, IssuedToken, Pending, Refusal};
pub use self::door::NotLetIn;
pub use self::token::{BadTokenHash, Token, TokenHash};

/// When a token whose issuer cannot be asked for its keys is worth another try, in seconds.
const UNCHECKED_RETRY_AFTER: &str = "5";

/// What a token allows.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Scope {
    /// `analytics:read`: `/health/details` and the analytics query.
    AnalyticsRead,
    /// `health:details`: hidden identity fields and the reasons behind a failed probe.
    HealthDetails,
    /// `health:write`: changes such as maintenance.
    HealthWrite,
    /// `fleet:read`: what a monitor knows of a fleet.
    FleetRead,
    /// `metrics:read`: `/metrics` on a public listener.
    MetricsRead,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Scope; 5] = [
        Scope::AnalyticsRead,
        Scope::HealthDetails,
        Scope::HealthWrite,
        Scope::FleetRead,
        Scope::MetricsRead,
    ];

    /// Name on the wire and in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Scope::AnalyticsRead => "analytics:read",
            Scope::HealthDetails => "health:details",
            Scope::HealthWrite => "health:write",
            Scope::FleetRead => "fleet:read",
            Scope::MetricsRead => "metrics:read",
        }
    }

    /// The scope with this name.
    pub fn from_name(name: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What whoever holds a credential may do.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Grant {
    /// Name of the holder, for logs and limits.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// Organizations whose analytics may be seen; `None`: that of the process.
    pub organizations: Option<Vec<String>>,
    /// Environments whose analytics may be seen; `None`: that of the process.
    pub environments: Option<Vec<String>>,
}

impl Grant {
    /// Whether it allows this.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// Why a caller is not let in, in the terms of RFC 6750 §3.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Denied {
    /// There is no `Authorization` header: 401 without an error code.
    Missing,
    /// More than one `Authorization` header, or one that cannot be read: 400 `invalid_request`.
    Unreadable,
    /// The token is not known: 401 `invalid_token`.
    Unknown,
    /// It cannot be told whether the token is good: 503, since neither the token nor the request need be at fault.
    Unchecked,
    /// The token does not allow this: 403 `insufficient_scope`.
    NotAllowed(Scope),
    /// The token does not open this organization: 403 `insufficient_scope`.
    OtherOrganization,
    /// The token does not open this environment: 403 `insufficient_scope`.
    OtherEnvironment,
}

/// What a caller who is not let in is told.
pub(crate) struct Told {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) says: String,
    pub(crate) headers: Vec<(HeaderName, String)>,
}

impl Denied {
    pub(crate) fn told(self) -> Told {
        use StatusCode as Status;
        let (status, code, says) = match self {
            Denied::Missing => (Status::UNAUTHORIZED, None, "This takes a bearer token.".to_owned()),
            Denied::Unknown => {
                (Status::UNAUTHORIZED, Some("invalid_token"), "The token is not known.".to_owned())
            }
            Denied::Unreadable => {
                let says = "There must be one bearer token, in one header.".to_owned();
                (Status::BAD_REQUEST, Some("invalid_request"), says)
            }
            Denied::NotAllowed(scope) => {
                (Status::FORBIDDEN, Some("insufficient_scope"), format!("The token lacks the scope {scope}."))
            }
            Denied::OtherOrganization => {
                let says = "The token does not open this organization.".to_owned();
                (Status::FORBIDDEN, Some("insufficient_scope"), says)
            }
            Denied::OtherEnvironment => {
                let says = "The token does not open this environment.".to_owned();
                (Status::FORBIDDEN, Some("insufficient_scope"), says)
            }
            Denied::Unchecked => {
                return Told {
                    status: Status::SERVICE_UNAVAILABLE,
                    code: "temporarily_unavailable",
                    says: "The token cannot be checked at the moment.".to_owned(),
                    headers: vec![(RETRY_AFTER, UNCHECKED_RETRY_AFTER.to_owned())],
                };
            }
        };
        let error = code.map(|code| format!(", error=\"{code}\"")).unwrap_or_default();
        let scope = match self {
            Denied::NotAllowed(scope) => format!(", scope=\"{scope}\""),
            _ => String::new(),
        };
        let challenge = format!("Bearer realm=\"lifesigns\"{error}{scope}");
        Told {
            status,
            code: code.unwrap_or("unauthorized"),
            says,
            headers: vec![(WWW_AUTHENTICATE, challenge)],
        }
    }
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Denied {
        match refusal {
            Refusal::Unknown => Denied::Unknown,
            Refusal::KeyMissing | Refusal::Unchecked => Denied::Unchecked,
        }
    }
}

/// Everyone who is let in.
#[derive(Debug)]
pub(crate) struct Access {
    tokens: Vec<Token>,
    authority: Option<Arc<dyn Authority>>,
    pub(crate) attempts: Attempts,
}

impl Access {
    pub(crate) fn new(
        tokens: Vec<Token>,
        authority: Option<Arc<dyn Authority>>,
        failed_attempts_per_minute: u32,
    ) -> Access {
        Access { tokens, authority, attempts: Attempts::new(failed_attempts_per_minute) }
    }

    /// Whether there are tokens of which it cannot always be told whether they are good.
    pub(crate) fn asks_others(&self) -> bool {
        self.authority.is_some()
    }

    /// Who issues tokens to apps, if anybody does.
    pub(crate) fn issuer(&self) -> Option<&dyn Authority> {
        self.authority.as_deref().filter(|authority| authority.has_apps())
    }

    /// What the token that the request carries grants, as far as that is known at once.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<Arc<Grant>, Denied> {
        Ok(self.grant(bearer(headers)?)?)
    }

    /// As [`Access::check`], after the key of a token has been looked for where it was missing.
    pub(crate) async fn check_patiently(&self, headers: &HeaderMap) -> Result<Arc<Grant>, Denied> {
        let token = bearer(headers)?;
        let mut found = self.grant(token);
        if let Some(authority) = &self.authority {
            // What is looked for first may be all of an issuer's keys, and only then the one.
            for _ in 0..2 {
                if found == Err(Refusal::KeyMissing) {
                    authority.look_for_key(token).await;
                    found = self.grant(token);
                }
            }
        }
        Ok(found?)
    }

    fn grant(&self, token: &str) -> Result<Arc<Grant>, Refusal> {
        if let Some(grant) = token::find(&self.tokens, token) {
            return Ok(grant);
        }
        self.authority.as_ref().map_or(Err(Refusal::Unknown), |authority| authority.check(token))
    }
}

/// The bearer token of a request. It is taken from the header alone: queries end in logs and histories, and a form's body
/// is not for these resources (RFC 6750 §2).
fn bearer(headers: &HeaderMap) -> Result<&str, Denied> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Denied::Missing)?;
    if values.next().is_some() {
        return Err(Denied::Unreadable);
    }
    let value = value.to_str().map_err(|_| Denied::Unreadable)?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        // Credentials of another scheme are no credentials for us.
        return Err(Denied::Missing);
    }
    let token = token.trim_matches(' ');
    if token.is_empty() || token.contains([' ', ',']) { Err(Denied::Unreadable) } else { Ok(token) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Knows one token at once, and another one as soon as its key has been looked for.
    #[derive(Debug, Default)]
    struct Elsewhere {
        has_looked: std::sync::atomic::AtomicBool,
    }

    impl Authority for Elsewhere {
        fn check(&self, token: &str) -> Result<Arc<Grant>, Refusal> {
            let grant = Grant { name: token.to_owned(), ..Grant::default() };
            match token {
                "a.b.c" => Ok(Arc::new(grant)),
                "new.b.c" if self.has_looked.load(std::sync::atomic::Ordering::Relaxed) => {
                    Ok(Arc::new(grant))
                }
                "new.b.c" => Err(Refusal::KeyMissing),
                "down.b.c" => Err(Refusal::Unchecked),
                _ => Err(Refusal::Unknown),
            }
        }

        fn look_for_key<'a>(&'a self, _token: &'a str) -> Pending<'a, ()> {
            self.has_looked.store(true, std::sync::atomic::Ordering::Relaxed);
            Box::pin(std::future::ready(()))
        }

        fn has_apps(&self) -> bool {
            false
        }

        fn knows_app(&self, _client_id: &str) -> bool {
            false
        }

        fn issue(&self, _request: IssueRequest) -> Pending<'_, Result<IssuedToken, IssueError>> {
            Box::pin(std::future::ready(Err(IssueError::InvalidClient)))
        }
    }

    fn access() -> Access {
        let token = |name: &str| Token::new(name, TokenHash::of(&format!("ls_{name}")), []);
        Access::new(vec![token("ops"), token("idle")], Some(Arc::new(Elsewhere::default())), 10)
    }

    fn headers(authorization: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in authorization {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        headers
    }

    fn check(authorization: &[&str], expected: Result<&str, Denied>) {
        let found = access().check(&headers(authorization));
        let found = found.as_ref().map(|grant| grant.name.as_str()).map_err(|denied| *denied);
        assert_eq!(found, expected, "{authorization:?}");
    }

    #[test]
    fn only_one_known_token_in_one_header_is_let_in() {
        check(&["Bearer ls_ops"], Ok("ops"));
        check(&["bearer   ls_idle "], Ok("idle"));
        check(&[], Err(Denied::Missing));
        check(&["Basic bHNfb3Bz"], Err(Denied::Missing));
        check(&["Bearer"], Err(Denied::Unreadable));
        check(&["Bearer ls_ops, ls_ops"], Err(Denied::Unreadable));
        check(&["Bearer ls_ops", "Bearer ls_ops"], Err(Denied::Unreadable));
        check(&["Bearer ls_op"], Err(Denied::Unknown));
    }

    #[test]
    fn who_is_no_holder_of_a_static_token_is_asked_of_the_authority() {
        check(&["Bearer a.b.c"], Ok("a.b.c"));
        check(&["Bearer b.b.c"], Err(Denied::Unknown));
        check(&["Bearer down.b.c"], Err(Denied::Unchecked));
        check(&["Bearer new.b.c"], Err(Denied::Unchecked));
    }

    #[tokio::test]
    async fn a_missing_key_is_looked_for_once() {
        let access = access();
        let name = async |token: &str| {
            let found = access.check_patiently(&headers(&[&format!("Bearer {token}")])).await;
            found.map(|grant| grant.name.clone())
        };
        assert_eq!(name("new.b.c").await.as_deref(), Ok("new.b.c"));
        assert_eq!(name("down.b.c").await, Err(Denied::Unchecked));
        assert_eq!(name("ls_ops").await.as_deref(), Ok("ops"));
    }

    #[test]
    fn without_tokens_nobody_is_let_in() {
        let access = Access::new(vec![], None, 10);
        assert_eq!(access.check(&headers(&["Bearer ls_ops"])), Err(Denied::Unknown));
    }
}
