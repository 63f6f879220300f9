//! Connected apps, and how they prove themselves.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error, PasswordHasher as _};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use lifesigns::{Grant, Scope};
use subtle::ConstantTimeEq as _;

use crate::BadOption;

/// The least memory that a hash takes, in KiB. With less, a secret that a person made up could be guessed from its hash.
const LEAST_KIB: u32 = 7 * 1024;

/// The most memory that a hash may take, in KiB, and the most passes: everyone who asks for a token costs that much.
const MOST_KIB: u32 = 256 * 1024;
const MOST_PASSES: u32 = 16;

/// An app that can have tokens issued to it.
///
/// ```
/// use lifesigns::Scope;
/// use lifesigns_access::{App, SecretHash};
/// let hash: SecretHash = SecretHash::make("a secret")?.parse()?;
/// let app = App::new("reports", hash, [Scope::AnalyticsRead]).environments(["production"]);
/// # Ok::<(), lifesigns_access::BadOption>(())
/// ```
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) hash: SecretHash,
    pub(crate) grant: Arc<Grant>,
}

impl App {
    /// An app with this id, the hash of its secret, and all that its tokens may open. It sees the organization and the
    /// environment of the process.
    pub fn new(client_id: &str, hash: SecretHash, scopes: impl IntoIterator<Item = Scope>) -> App {
        let scopes = scopes.into_iter().collect();
        App { hash, grant: Arc::new(Grant { name: client_id.to_owned(), scopes, ..Grant::default() }) }
    }

    /// Organizations whose analytics it sees. Default: that of the process.
    #[must_use]
    pub fn organizations<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> App {
        let names = names.into_iter().map(Into::into).collect();
        Arc::make_mut(&mut self.grant).organizations = Some(names);
        self
    }

    /// Environments whose analytics it sees. Default: that of the process.
    #[must_use]
    pub fn environments<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> App {
        let names = names.into_iter().map(Into::into).collect();
        Arc::make_mut(&mut self.grant).environments = Some(names);
        self
    }

    /// Its id.
    pub fn client_id(&self) -> &str {
        &self.grant.name
    }
}

/// The hash of an app's secret: argon2id as a PHC string, `$argon2id$v=19$m=19456,t=2,p=1$…$…`.
#[derive(Clone, Eq, PartialEq)]
pub struct SecretHash(PasswordHash);

impl SecretHash {
    /// The hash of a secret as text, with a salt of its own. Takes some hundredths of a second and 19 MiB.
    ///
    /// # Errors
    /// When the system gives no random bytes or no memory.
    pub fn make(secret: &str) -> Result<String, BadOption> {
        let hash = Argon2::default().hash_password(secret.as_bytes());
        hash.map(|hash| hash.to_string()).map_err(|error| BadOption::new("secret", error.to_string()))
    }

    /// Whether this is the secret. Takes as long as the hash demands, so it has to run on a thread that may block.
    ///
    /// # Errors
    /// When it cannot be told.
    pub(crate) fn fits(&self, secret: &str, memory: &mut Memory) -> Result<bool, Error> {
        let params = Params::try_from(&self.0)?;
        let (Some(salt), Some(expected)) = (&self.0.salt, &self.0.hash) else { return Ok(false) };
        let blocks = memory.blocks(params.block_count());
        let mut found = vec![0; expected.as_bytes().len()];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2
            .hash_password_into_with_memory(secret.as_bytes(), salt.as_ref(), &mut found, blocks)
            .map_err(|_| Error::Crypto)?;
        Ok(found.ct_eq(expected.as_bytes()).into())
    }
}

/// Memory in which secrets are hashed, one after the other. An allocator would keep what each of them took: it lies
/// in pieces of some tens of megabytes, which it learns not to give back.
#[derive(Default)]
pub(crate) struct Memory(Vec<Block>);

impl Memory {
    fn blocks(&mut self, count: usize) -> &mut [Block] {
        self.0.resize(self.0.len().max(count), Block::default());
        &mut self.0[..count]
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory(…)")
    }
}

impl FromStr for SecretHash {
    type Err = BadOption;

    fn from_str(text: &str) -> Result<SecretHash, BadOption> {
        let bad = |fault: String| BadOption::new("secret_hash", fault);
        let hash = PasswordHash::new(text)
            .map_err(|_| bad("is no PHC string such as $argon2id$v=19$…".to_owned()))?;
        if hash.algorithm.as_str() != "argon2id" || hash.version != Some(19) {
            return Err(bad("must be of argon2id, version 19".to_owned()));
        }
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err(bad("has no salt or no hash".to_owned()));
        }
        let params = Params::try_from(&hash)
            .map_err(|_| bad("has parameters that argon2id does not have".to_owned()))?;
        if !(LEAST_KIB..=MOST_KIB).contains(&params.m_cost()) || params.t_cost() > MOST_PASSES {
            return Err(bad(format!(
                "must have m from {LEAST_KIB} to {MOST_KIB} and t of at most {MOST_PASSES}"
            )));
        }
        Ok(SecretHash(hash))
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_fits_its_own_hash_alone() {
        let text = SecretHash::make("s3cret").unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        assert_ne!(SecretHash::make("s3cret").unwrap(), text, "each has a salt of its own");
        let hash: SecretHash = text.parse().unwrap();
        let memory = &mut Memory::default();
        for _ in 0..2 {
            assert_eq!(hash.fits("s3cret", memory), Ok(true));
            for other in ["s3cres", "", &text] {
                assert_eq!(hash.fits(other, memory), Ok(false));
            }
        }
        // Of a hash that takes more, and then of one that takes less.
        let larger =
            Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(32_768, 1, 2, None).unwrap());
        let larger = larger.hash_password(b"another").unwrap().to_string();
        assert_eq!(larger.parse::<SecretHash>().unwrap().fits("another", memory), Ok(true));
        assert_eq!(hash.fits("s3cret", memory), Ok(true));
        assert_eq!(format!("{hash:?}"), "SecretHash(…)");
    }

    #[test]
    fn only_hashes_that_are_worth_something_and_affordable_are_taken() {
        const SALT_AND_HASH: &str = "c29tZXNhbHRzb21lc2FsdA$8Y6ZJ0qk0cJ6hVX6bDVHZ8d5o4nTg1fV0l2b7nF5bQc";
        let check = |text: &str, expected: &str| {
            let found = text.parse::<SecretHash>().map_or_else(|bad| bad.to_string(), |_| String::new());
            assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{text}: {found}");
            assert!(!found.contains("c29tZ"), "{found}");
        };
        check(&format!("$argon2id$v=19$m=19456,t=2,p=1${SALT_AND_HASH}"), "");
        check(&format!("$argon2id$v=19$m=7168,t=1,p=1${SALT_AND_HASH}"), "");
        check(&format!("$argon2id$v=19$m=7167,t=9,p=1${SALT_AND_HASH}"), "m from 7168");
        check(&format!("$argon2id$v=19$m=262145,t=1,p=1${SALT_AND_HASH}"), "to 262144");
        check(&format!("$argon2id$v=19$m=19456,t=17,p=1${SALT_AND_HASH}"), "at most 16");
        check(&format!("$argon2i$v=19$m=19456,t=2,p=1${SALT_AND_HASH}"), "argon2id");
        check(&format!("$argon2id$v=16$m=19456,t=2,p=1${SALT_AND_HASH}"), "version 19");
        check(&format!("$argon2id$v=19$m=19456,t=0,p=1${SALT_AND_HASH}"), "parameters");
        check("$argon2id$v=19$m=19456,t=2,p=1", "no salt");
        check("c29tZXNlY3JldA", "no PHC string");
        check("", "no PHC string");
    }
}
