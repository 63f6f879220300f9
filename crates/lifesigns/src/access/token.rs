//! Static bearer tokens, known by their hashes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Grant, Scope};

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
///
/// ```
/// use lifesigns::{Scope, Token, TokenHash};
/// let token = Token::new("dashboard", TokenHash::of("ls_example"), [Scope::AnalyticsRead]);
/// let token = token.organizations(["example"]).environments(["production", "test"]);
/// ```
#[derive(Clone, Debug)]
pub struct Token {
    hash: TokenHash,
    grant: Arc<Grant>,
}

impl Token {
    /// A token with this hash for the holder of this name, who sees the organization and the environment of the process.
    pub fn new(name: &str, hash: TokenHash, scopes: impl IntoIterator<Item = Scope>) -> Token {
        let scopes = scopes.into_iter().collect();
        Token { hash, grant: Arc::new(Grant { name: name.to_owned(), scopes, ..Grant::default() }) }
    }

    /// Organizations whose analytics it opens. Default: that of the process.
    #[must_use]
    pub fn organizations<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Token {
        let names = names.into_iter().map(Into::into).collect();
        Arc::make_mut(&mut self.grant).organizations = Some(names);
        self
    }

    /// Environments whose analytics it opens. Default: that of the process.
    #[must_use]
    pub fn environments<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Token {
        let names = names.into_iter().map(Into::into).collect();
        Arc::make_mut(&mut self.grant).environments = Some(names);
        self
    }

    /// Its hash.
    pub fn hash(&self) -> TokenHash {
        self.hash
    }

    /// What its holder is granted.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }
}

/// What the holder of `token` is granted, if it is one of `tokens`. All of them are compared, so that the time tells
/// nothing about which one was near.
pub(super) fn find(tokens: &[Token], token: &str) -> Option<Arc<Grant>> {
    let hash = TokenHash::of(token);
    let mut found = None;
    for known in tokens {
        if bool::from(known.hash.0.ct_eq(&hash.0)) {
            found = Some(&known.grant);
        }
    }
    found.map(Arc::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_back_or_refused() {
        let hash = TokenHash::of("x");
        assert_eq!(hash.to_string().to_uppercase().replace("SHA256", "sha256").parse(), Ok(hash));
        for text in ["", "sha256:", "sha256:zz", &"0".repeat(64), &format!("sha256:{}é", "0".repeat(62))] {
            assert_eq!(text.parse::<TokenHash>(), Err(BadTokenHash), "{text}");
        }
    }
}
