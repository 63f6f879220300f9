//! Tokens of an issuer elsewhere: JWTs that are checked by the keys that it publishes (RFC 7517).

mod elsewhere;
mod fetch;
mod keys;

use std::path::{Path, PathBuf};
use std::time::Duration;

use lifesigns::Scope;
use url::{Host, Url};

use crate::BadOption;

pub(crate) use self::elsewhere::Elsewhere;

/// An algorithm that tokens are signed with (RFC 7518 §3.1, RFC 8037 §3.1). There is none with a shared secret: the
/// keys are public.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Algorithm {
    /// RSA with PKCS #1 and SHA-256
    Rs256,
    /// RSA with PKCS #1 and SHA-384
    Rs384,
    /// RSA with PKCS #1 and SHA-512
    Rs512,
    /// RSA with PSS and SHA-256
    Ps256,
    /// RSA with PSS and SHA-384
    Ps384,
    /// RSA with PSS and SHA-512
    Ps512,
    /// ECDSA on P-256
    Es256,
    /// ECDSA on P-384
    Es384,
    /// Ed25519
    EdDsa,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Algorithm; 9] = [
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::EdDsa,
    ];

    /// Those that are taken unless others are set.
    pub const DEFAULT: [Algorithm; 3] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

    /// Name in the header of a token.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Rs256 => "RS256",
            Algorithm::Rs384 => "RS384",
            Algorithm::Rs512 => "RS512",
            Algorithm::Ps256 => "PS256",
            Algorithm::Ps384 => "PS384",
            Algorithm::Ps512 => "PS512",
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
            Algorithm::EdDsa => "EdDSA",
        }
    }

    /// The algorithm with this name.
    pub fn from_name(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    pub(crate) const fn in_jwt(self) -> jsonwebtoken::Algorithm {
        match self {
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::Rs384 => jsonwebtoken::Algorithm::RS384,
            Algorithm::Rs512 => jsonwebtoken::Algorithm::RS512,
            Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
            Algorithm::Ps384 => jsonwebtoken::Algorithm::PS384,
            Algorithm::Ps512 => jsonwebtoken::Algorithm::PS512,
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::Es384 => jsonwebtoken::Algorithm::ES384,
            Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// An issuer elsewhere whose tokens are taken.
///
/// ```
/// use lifesigns::Scope;
/// use lifesigns_access::Issuer;
/// let issuer = Issuer::new("login", "https://login.example.com/", "https://login.example.com/keys")?
///     .audience("https://status.example.com")
///     .scope("analytics:read", Scope::AnalyticsRead)
///     .environments_claim("env");
/// # Ok::<(), lifesigns_access::BadOption>(())
/// ```
#[derive(Clone, Debug)]
pub struct Issuer {
    name: String,
    url: String,
    jwks_url: Url,
    ca_file: Option<PathBuf>,
    audiences: Vec<String>,
    algorithms: Vec<Algorithm>,
    scopes: Vec<(String, Scope)>,
    organizations: Visible,
    environments: Visible,
    refresh: Duration,
    keep: Duration,
}

/// Which organizations or environments the holders of tokens see.
#[derive(Clone, Debug, Default)]
struct Visible {
    /// At most these; `None`: that of the process, or what the claim says.
    names: Option<Vec<String>>,
    /// The claim that says which ones.
    claim: Option<String>,
}

impl Issuer {
    /// An issuer with a name of ours, its own name in the claim `iss`, and where its keys are: an `https://` URL, or
    /// `http://` on loopback. No audience and no scope is set.
    ///
    /// # Errors
    /// When the URL of the keys is not such a one.
    pub fn new(name: &str, url: &str, jwks_url: &str) -> Result<Issuer, BadOption> {
        let bad = |fault: &str| BadOption::new("jwks_url", fault);
        let jwks_url = Url::parse(jwks_url).map_err(|_| bad("is no URL"))?;
        let is_loopback = match jwks_url.host() {
            Some(Host::Domain(domain)) => domain == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => return Err(bad("names no host")),
        };
        match jwks_url.scheme() {
            "https" => {}
            "http" if is_loopback => {}
            "http" => {
                return Err(bad(
                    "must begin with https://: whoever can change the keys on their way is let in",
                ));
            }
            _ => return Err(bad("must begin with https://")),
        }
        if !jwks_url.username().is_empty() || jwks_url.password().is_some() {
            return Err(bad("holds a user or password; keys are public"));
        }
        if jwks_url.fragment().is_some() {
            return Err(bad("has a fragment (`#`), which is never sent"));
        }
        Ok(Issuer {
            name: name.to_owned(),
            url: url.to_owned(),
            jwks_url,
            ca_file: None,
            audiences: Vec::new(),
            algorithms: Algorithm::DEFAULT.to_vec(),
            scopes: Vec::new(),
            organizations: Visible::default(),
            environments: Visible::default(),
            refresh: Duration::from_mins(10),
            keep: Duration::from_hours(6),
        })
    }

    /// Takes tokens that are for this audience, one of the values of the claim `aud`. Without any audience no token is
    /// taken: one for somebody else would do.
    #[must_use]
    pub fn audience(mut self, audience: &str) -> Issuer {
        self.audiences.push(audience.to_owned());
        self
    }

    /// Takes tokens that are signed so. Default: [`Algorithm::DEFAULT`].
    #[must_use]
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Issuer {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Lets a scope of the issuer, in the claims `scope` or `scp`, open one of ours. What is not named opens nothing.
    #[must_use]
    pub fn scope(mut self, theirs: &str, ours: Scope) -> Issuer {
        self.scopes.push((theirs.to_owned(), ours));
        self
    }

    /// Organizations that holders see at most. Default: what the claim says, or else that of the process.
    #[must_use]
    pub fn organizations<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Issuer {
        self.organizations.names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Environments that holders see at most. Default: what the claim says, or else that of the process.
    #[must_use]
    pub fn environments<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Issuer {
        self.environments.names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Name of the claim that says which organizations the holder sees: a text or a list. Without the claim it is none.
    #[must_use]
    pub fn organizations_claim(mut self, claim: &str) -> Issuer {
        self.organizations.claim = Some(claim.to_owned());
        self
    }

    /// Name of the claim that says which environments the holder sees: a text or a list. Without the claim it is none.
    #[must_use]
    pub fn environments_claim(mut self, claim: &str) -> Issuer {
        self.environments.claim = Some(claim.to_owned());
        self
    }

    /// Authorities that are trusted to say who has the keys, besides those of the system; PEM.
    #[must_use]
    pub fn ca_file(mut self, path: &Path) -> Issuer {
        self.ca_file = Some(path.to_owned());
        self
    }

    /// How often the keys are fetched, at least each second. Default: each 10 minutes.
    #[must_use]
    pub fn refresh(mut self, refresh: Duration) -> Issuer {
        self.refresh = refresh.max(Duration::from_secs(1));
        self
    }

    /// For how long keys are used that cannot be fetched again. Default: 6 hours.
    #[must_use]
    pub fn keep(mut self, keep: Duration) -> Issuer {
        self.keep = keep;
        self
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_tls_or_from_this_machine() {
        let check = |url: &str, expected: Option<&str>| {
            let found = Issuer::new("a", "b", url).err().map(|bad| bad.to_string());
            match expected {
                None => assert_eq!(found, None, "{url}"),
                Some(what) => {
                    assert!(found.as_ref().is_some_and(|found| found.contains(what)), "{url}: {found:?}");
                }
            }
        };
        check("https://login.example.com/keys?tenant=1", None);
        check("http://127.0.0.1:8080/keys", None);
        check("http://localhost/keys", None);
        check("http://[::1]:8080/keys", None);
        check("http://login.example.com/keys", Some("https://"));
        check("http://127.0.0.1.example.com/keys", Some("https://"));
        check("http://192.0.2.1/keys", Some("https://"));
        check("file:///keys", Some("host"));
        check("ftp://localhost/keys", Some("https://"));
        check("keys", Some("no URL"));
        check("https://app:geheim@login.example.com/keys", Some("user or password"));
        check("https://login.example.com/#keys", Some("fragment"));
        let bad = Issuer::new("a", "b", "https://app:geheim@login.example.com/").unwrap_err();
        assert!(!bad.to_string().contains("geheim"));
    }

    #[test]
    fn algorithms_have_the_names_of_the_standard() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
            assert_eq!(algorithm.in_jwt(), algorithm.name().parse().unwrap());
        }
        for name in ["none", "HS256", "rs256", "ES512", ""] {
            assert_eq!(Algorithm::from_name(name), None, "{name}");
        }
    }
}
