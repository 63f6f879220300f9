//! Who may see what: static bearer tokens with scopes.
//!
//! Without tokens every protected resource stays closed.

use std::fmt;
use std::str::FromStr;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

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

/// SHA-256 of a bearer token, written `sha256:` and 64 hexadecimal digits. Enough for tokens made of random bytes,
/// as `lifesigns token new` makes them; not meant for passwords.
///
/// ```
/// use lifesigns::TokenHash;
/// let hash = TokenHash::of("ls_example");
/// assert_eq!(hash.to_string().parse(), Ok(hash));
/// ```
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of this token.
    pub fn of(token: &str) -> TokenHash {
        TokenHash(Sha256::digest(token.as_bytes()).into())
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

impl FromStr for TokenHash {
    type Err = BadTokenHash;

    fn from_str(text: &str) -> Result<TokenHash, BadTokenHash> {
        let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == 64 && digits.is_ascii());
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.ok_or(BadTokenHash)?.as_bytes().chunks(2)) {
            let high = char::from(pair[0]).to_digit(16).ok_or(BadTokenHash)?;
            let low = char::from(pair[1]).to_digit(16).ok_or(BadTokenHash)?;
            *byte = (high * 16 + low) as u8;
        }
        Ok(TokenHash(hash))
    }
}

/// The text is no token hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BadTokenHash;

impl fmt::Display for BadTokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token hash is `sha256:` and 64 hexadecimal digits, as `lifesigns token new` prints it")
    }
}

impl std::error::Error for BadTokenHash {}

/// A bearer token that is known by its hash.
#[derive(Clone, Debug)]
pub struct Token {
    /// Name of whoever holds it, for logs and limits.
    pub name: String,
    /// Hash of the token.
    pub hash: TokenHash,
    /// What it allows.
    pub scopes: Vec<Scope>,
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
    /// The token does not allow this: 403 `insufficient_scope`.
    NotAllowed(Scope),
}

/// The tokens that are known.
#[derive(Debug)]
pub(crate) struct Access {
    tokens: Vec<Token>,
}

impl Access {
    pub(crate) fn new(tokens: Vec<Token>) -> Access {
        Access { tokens }
    }

    /// The token that the request carries, if it allows `scope`.
    pub(crate) fn check(&self, headers: &HeaderMap, scope: Scope) -> Result<&Token, Denied> {
        let token = self.token(headers)?;
        if token.scopes.contains(&scope) { Ok(token) } else { Err(Denied::NotAllowed(scope)) }
    }

    /// The token that the request carries, whatever it allows.
    pub(crate) fn token(&self, headers: &HeaderMap) -> Result<&Token, Denied> {
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
        if token.is_empty() || token.contains([' ', ',']) {
            return Err(Denied::Unreadable);
        }
        let hash = TokenHash::of(token);
        // Every token is compared, so that the time tells nothing about which one was near.
        let mut found = None;
        for known in &self.tokens {
            if bool::from(known.hash.0.ct_eq(&hash.0)) {
                found = Some(known);
            }
        }
        found.ok_or(Denied::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        Access::new(vec![
            Token { name: "ops".into(), hash: TokenHash::of("ls_ops"), scopes: vec![Scope::AnalyticsRead] },
            Token { name: "idle".into(), hash: TokenHash::of("ls_idle"), scopes: vec![] },
        ])
    }

    fn check(authorization: &[&str], expected: Result<&str, Denied>) {
        let mut headers = HeaderMap::new();
        for value in authorization {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        let access = access();
        let found = access.check(&headers, Scope::AnalyticsRead).map(|token| token.name.as_str());
        assert_eq!(found, expected, "{authorization:?}");
    }

    #[test]
    fn only_a_known_token_with_the_scope_is_let_in() {
        check(&["Bearer ls_ops"], Ok("ops"));
        check(&["bearer   ls_ops "], Ok("ops"));
        check(&[], Err(Denied::Missing));
        check(&["Basic bHNfb3Bz"], Err(Denied::Missing));
        check(&["Bearer"], Err(Denied::Unreadable));
        check(&["Bearer ls_ops, ls_ops"], Err(Denied::Unreadable));
        check(&["Bearer ls_ops", "Bearer ls_ops"], Err(Denied::Unreadable));
        check(&["Bearer ls_op"], Err(Denied::Unknown));
        check(&["Bearer ls_idle"], Err(Denied::NotAllowed(Scope::AnalyticsRead)));
    }

    #[test]
    fn without_tokens_nobody_is_let_in() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, "Bearer ls_ops".parse().unwrap());
        assert!(matches!(Access::new(vec![]).check(&headers, Scope::AnalyticsRead), Err(Denied::Unknown)));
    }

    #[test]
    fn a_hash_is_read_back_or_refused() {
        let hash = TokenHash::of("x");
        assert_eq!(hash.to_string().to_uppercase().replace("SHA256", "sha256").parse(), Ok(hash));
        for text in ["", "sha256:", "sha256:zz", &"0".repeat(64), &format!("sha256:{}é", "0".repeat(62))] {
            assert_eq!(text.parse::<TokenHash>(), Err(BadTokenHash), "{text}");
        }
    }
}
