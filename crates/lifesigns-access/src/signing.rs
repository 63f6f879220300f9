//! The keys that tokens are signed with, and how they take turns.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, EncodingKey};
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;

use crate::BadOption;

/// What an Ed25519 key begins with as PKCS #8 without its public half (RFC 8410 §7); 32 bytes follow.
const PKCS8_HEAD: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// An Ed25519 key that tokens are signed with.
pub struct SigningKey {
    /// The same for the same key, so that processes that share keys know each other's by it.
    pub(crate) id: String,
    pub(crate) private: EncodingKey,
    pub(crate) public: DecodingKey,
}

impl SigningKey {
    /// A new key, as PEM.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn make_pem() -> Result<String, BadOption> {
        let der = SigningKey::make_der()?;
        Ok(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der)))
    }

    /// The keys in a PEM text, one at least: PKCS #8, as [`SigningKey::make_pem`] and `openssl genpkey -algorithm ed25519`
    /// make them.
    ///
    /// # Errors
    /// When there are none, or others than of Ed25519. The fault does not repeat anything of the text.
    pub fn from_pem(text: &str) -> Result<Vec<SigningKey>, BadOption> {
        let bad = |fault: &str| BadOption::new("signing_keys", fault);
        let keys = PrivatePkcs8KeyDer::pem_slice_iter(text.as_bytes())
            .map(|der| SigningKey::from_der(der.map_err(|_| bad("are no PEM"))?.secret_pkcs8_der()))
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(bad("hold no `PRIVATE KEY`")) } else { Ok(keys) }
    }

    fn generate() -> Result<SigningKey, BadOption> {
        SigningKey::from_der(&SigningKey::make_der()?)
    }

    fn make_der() -> Result<Vec<u8>, BadOption> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| BadOption::new("signing_keys", error.to_string()))?;
        Ok([&PKCS8_HEAD[..], &seed].concat())
    }

    fn from_der(der: &[u8]) -> Result<SigningKey, BadOption> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
            .map_err(|_| BadOption::new("signing_keys", "hold a key that is not one of Ed25519"))?;
        let public = pair.public_key().as_ref();
        // RFC 7638 §3, RFC 8037 §2
        let names =
            format!("{{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"{}\"}}", URL_SAFE_NO_PAD.encode(public));
        Ok(SigningKey {
            id: URL_SAFE_NO_PAD.encode(digest(&SHA256, names.as_bytes())),
            private: EncodingKey::from_ed_der(der),
            public: DecodingKey::from_ed_der(public),
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// The key that signs now, and those that have signed tokens which may still be good.
#[derive(Debug)]
pub(crate) struct SigningKeys {
    /// How long a key signs; `None`: for good.
    rotation: Option<Duration>,
    /// How long a key is good for checking once it has signed for the last time.
    lifetime: Duration,
    turns: Mutex<Turns>,
}

#[derive(Debug)]
struct Turns {
    signs: Arc<SigningKey>,
    since: Instant,
    /// Each with when the last of its tokens has run out; `None`: never.
    others: Vec<(Arc<SigningKey>, Option<Instant>)>,
}

impl SigningKeys {
    /// Keys that are given: the first one signs, and all of them are good for checking.
    pub(crate) fn given(keys: Vec<SigningKey>, lifetime: Duration, now: Instant) -> Option<SigningKeys> {
        let mut keys = keys.into_iter().map(Arc::new);
        let signs = keys.next()?;
        let others = keys.map(|key| (key, None)).collect();
        let turns = Mutex::new(Turns { signs, since: now, others });
        Some(SigningKeys { rotation: None, lifetime, turns })
    }

    /// Keys that are made here and never leave the memory, a new one after each `rotation`.
    pub(crate) fn made(
        rotation: Duration,
        lifetime: Duration,
        now: Instant,
    ) -> Result<SigningKeys, BadOption> {
        let signs = Arc::new(SigningKey::generate()?);
        let turns = Mutex::new(Turns { signs, since: now, others: Vec::new() });
        Ok(SigningKeys { rotation: Some(rotation), lifetime, turns })
    }

    /// The key to sign with at `now`.
    pub(crate) fn to_sign(&self, now: Instant) -> Arc<SigningKey> {
        let mut turns = self.turns();
        turns.forget(now);
        let is_due =
            self.rotation.is_some_and(|rotation| now.saturating_duration_since(turns.since) >= rotation);
        if is_due {
            match SigningKey::generate() {
                Ok(key) => {
                    let former = std::mem::replace(&mut turns.signs, Arc::new(key));
                    turns.since = now;
                    turns.others.push((former, Some(now + self.lifetime)));
                }
                Err(error) => {
                    tracing::error!(%error, "there is no new key to sign tokens with; the old one goes on");
                }
            }
        }
        Arc::clone(&turns.signs)
    }

    /// The key with this id, if its tokens can still be good at `now`.
    pub(crate) fn to_check(&self, id: &str, now: Instant) -> Option<Arc<SigningKey>> {
        let mut turns = self.turns();
        turns.forget(now);
        let others = turns.others.iter().map(|(key, _)| key);
        std::iter::once(&turns.signs).chain(others).find(|key| key.id == id).map(Arc::clone)
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns {
    fn forget(&mut self, now: Instant) {
        self.others.retain(|(_, until)| until.is_none_or(|until| now <= until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const LIFETIME: Duration = Duration::from_mins(10);

    #[test]
    fn a_key_signs_for_its_time_and_is_good_until_its_last_token_has_run_out() {
        let start = Instant::now();
        let keys = SigningKeys::made(HOUR, LIFETIME, start).unwrap();
        let first = keys.to_sign(start).id.clone();
        assert_eq!(keys.to_sign(start + Duration::from_secs(3599)).id, first);
        let second = keys.to_sign(start + HOUR).id.clone();
        assert_ne!(second, first);
        let is_good = |id: &str, at| keys.to_check(id, at).is_some();
        assert!(is_good(&first, start + HOUR + LIFETIME) && is_good(&second, start + HOUR + LIFETIME));
        assert!(!is_good(&first, start + HOUR + LIFETIME + Duration::from_millis(1)));
        assert!(is_good(&second, start + HOUR + LIFETIME + Duration::from_millis(1)));
        assert!(!is_good("", start) && !is_good("x", start));
    }

    #[test]
    fn a_key_that_was_not_needed_for_long_does_not_sign_again() {
        let start = Instant::now();
        let keys = SigningKeys::made(HOUR, LIFETIME, start).unwrap();
        let first = keys.to_sign(start).id.clone();
        assert_ne!(keys.to_sign(start + 100 * HOUR).id, first);
        assert_eq!(keys.turns().others.len(), 1);
    }

    #[test]
    fn given_keys_are_all_good_and_the_first_one_signs() {
        let start = Instant::now();
        let pem = [SigningKey::make_pem().unwrap(), SigningKey::make_pem().unwrap()].concat();
        let ids: Vec<String> = SigningKey::from_pem(&pem).unwrap().into_iter().map(|key| key.id).collect();
        let keys = SigningKeys::given(SigningKey::from_pem(&pem).unwrap(), LIFETIME, start).unwrap();
        let later = start + 1000 * HOUR;
        assert_eq!(keys.to_sign(later).id, ids[0]);
        assert!(ids.iter().all(|id| keys.to_check(id, later).is_some()));
        assert!(SigningKeys::given(Vec::new(), LIFETIME, start).is_none());
    }

    #[test]
    fn keys_are_named_and_read_as_the_standards_say() {
        // RFC 8032 §7.1, test 1, as RFC 8037 §A.1 to A.3 has it.
        let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        let key = SigningKey::from_der(&[&PKCS8_HEAD[..], &seed].concat()).unwrap();
        assert_eq!(key.id, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(format!("{key:?}"), "SigningKey(…)");
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        let wrapped =
            |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
        let der = STANDARD.encode([0x30, 0x03, 0x02, 0x01, 0x00]);
        for text in [
            String::new(),
            "c2VjcmV0".to_owned(),
            wrapped("PUBLIC KEY", &der),
            wrapped("PRIVATE KEY", &der),
            wrapped("PRIVATE KEY", "!"),
            wrapped("PRIVATE KEY", ""),
        ] {
            let fault = SigningKey::from_pem(&text).unwrap_err().to_string();
            assert!(fault.starts_with("`signing_keys` ") && !fault.contains("c2Vj"), "{text}: {fault}");
        }
    }
}
