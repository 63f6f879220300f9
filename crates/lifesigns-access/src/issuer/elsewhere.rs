//! An issuer at work: its keys, kept fresh, and what its tokens grant.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use jsonwebtoken::{Algorithm as JwtAlgorithm, DecodingKey, Header, Validation, decode};
use lifesigns::{Grant, Refusal, Scope};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::{Notify, watch};

use super::fetch::{PATIENCE, Source};
use super::keys::{Keys, NoKey};
use super::{Issuer, Visible};
use crate::issued::reason;
use crate::{BadOption, LEEWAY_SECONDS};

/// For a token whose key is not there, keys are fetched once in this time at most.
const ASKED_EVERY: Duration = Duration::from_secs(30);

/// After an attempt that failed, the next one comes so much later, and each time twice as late, up to a minute.
const RETRY_AFTER: Duration = Duration::from_secs(2);
const LATEST_RETRY: Duration = Duration::from_mins(1);

/// Types that an access token may have; many issuers say nothing, or no more than that it is a JWT.
const TYPES: [&str; 3] = ["JWT", "at+jwt", "application/at+jwt"];

/// The longest name of a holder that is taken over, in bytes.
const LONGEST_HOLDER: usize = 200;

/// An issuer at work.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    issuer: Issuer,
    source: Source,
    validation: Validation,
    keys: ArcSwapOption<Fetched>,
    asked: Mutex<Asked>,
    wanted: Notify,
    attempts: watch::Sender<Attempts>,
}

#[derive(Debug)]
struct Fetched {
    keys: Keys,
    at: Instant,
}

/// Who waits for which attempt to fetch keys.
#[derive(Debug)]
struct Asked {
    /// When keys were last fetched for a token.
    at: Option<Instant>,
    /// The attempt that was asked for last. The very first one is wanted from the beginning.
    attempt: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Attempts {
    /// How many have ended.
    ended: u64,
    /// Whether the last one failed.
    failed: bool,
}

/// The claims of an access token that matter here (RFC 9068 §2.2, RFC 8693 §4.2).
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: Option<String>,
    client_id: Option<String>,
    azp: Option<String>,
    iat: Option<f64>,
    scope: Option<Texts>,
    scp: Option<Texts>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// One text, or several of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Several(Vec<String>),
}

impl Texts {
    fn of(value: &Value) -> Option<Vec<String>> {
        match Texts::deserialize(value).ok()? {
            Texts::One(text) => Some(vec![text]),
            Texts::Several(texts) => Some(texts),
        }
    }

    /// The words in them; scopes are separated by spaces.
    fn words(&self) -> impl Iterator<Item = &str> {
        let texts = match self {
            Texts::One(text) => std::slice::from_ref(text),
            Texts::Several(texts) => texts,
        };
        texts.iter().flat_map(|text| text.split(' '))
    }
}

impl Elsewhere {
    pub(crate) fn new(issuer: Issuer) -> Result<Elsewhere, BadOption> {
        let source = Source::new(issuer.jwks_url.clone(), issuer.ca_file.as_deref())?;
        // The algorithm is set for each token, once it is known to be one of those that are taken.
        let mut validation = Validation::new(JwtAlgorithm::EdDSA);
        validation.set_issuer(&[&issuer.url]);
        validation.set_audience(&issuer.audiences);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY_SECONDS;
        Ok(Elsewhere {
            issuer,
            source,
            validation,
            keys: ArcSwapOption::empty(),
            asked: Mutex::new(Asked { at: None, attempt: 1 }),
            wanted: Notify::new(),
            attempts: watch::Sender::new(Attempts::default()),
        })
    }

    /// The claim `iss` of its tokens.
    pub(crate) fn url(&self) -> &str {
        self.issuer.url()
    }

    /// What a token grants that says it is from this issuer. `wall` is in seconds since 1970.
    pub(crate) fn check(
        &self,
        header: &Header,
        token: &str,
        now: Instant,
        wall: u64,
    ) -> Result<Arc<Grant>, Refusal> {
        let refuse = |why: &str| {
            tracing::debug!(issuer = self.issuer.name, why, "a token was refused");
            Refusal::Unknown
        };
        if !self.issuer.algorithms.iter().any(|taken| taken.in_jwt() == header.alg) {
            return Err(refuse("another algorithm"));
        }
        let is_access_token = |name: &str| TYPES.iter().any(|known| known.eq_ignore_ascii_case(name));
        if !header.typ.as_deref().is_none_or(is_access_token) {
            return Err(refuse("another type"));
        }
        let Some(fetched) = self.fetched(now) else { return Err(self.missing(now)) };
        let key = match fetched.keys.find(header.kid.as_deref(), header.alg) {
            Ok(key) => key,
            Err(NoKey::Unfit) => return Err(refuse("no such key")),
            Err(NoKey::Missing) => return Err(self.missing(now)),
        };
        let grant = self.grant(header.alg, key, token, wall).map_err(refuse)?;
        Ok(Arc::new(grant))
    }

    fn grant(
        &self,
        algorithm: JwtAlgorithm,
        key: &DecodingKey,
        token: &str,
        wall: u64,
    ) -> Result<Grant, &'static str> {
        let validation = Validation { algorithms: vec![algorithm], ..self.validation.clone() };
        let claims = decode::<Claims>(token, key, &validation).map_err(|error| reason(&error))?.claims;
        if claims.iss != self.issuer.url {
            return Err("another issuer");
        }
        if claims.iat.is_some_and(|iat| iat > (wall + LEEWAY_SECONDS) as f64) {
            return Err("from the future");
        }
        let theirs: Vec<&str> =
            [&claims.scope, &claims.scp].into_iter().flatten().flat_map(Texts::words).collect();
        let opened = self.issuer.scopes.iter().filter(|(name, _)| theirs.contains(&name.as_str()));
        let mut scopes: Vec<Scope> = Vec::new();
        for (_, scope) in opened {
            if !scopes.contains(scope) {
                scopes.push(*scope);
            }
        }
        let holder = claims.client_id.as_ref().or(claims.azp.as_ref()).or(claims.sub.as_ref());
        if holder.is_some_and(|holder| holder.len() > LONGEST_HOLDER || holder.chars().any(char::is_control))
        {
            return Err("a holder without a name that can be written down");
        }
        Ok(Grant {
            name: holder.map_or_else(|| self.issuer.name.clone(), |it| format!("{}/{it}", self.issuer.name)),
            scopes,
            organizations: self.issuer.organizations.of(&claims.others),
            environments: self.issuer.environments.of(&claims.others),
        })
    }

    /// The keys, unless they are too old to be believed.
    fn fetched(&self, now: Instant) -> Option<Arc<Fetched>> {
        let fetched = self.keys.load_full()?;
        (now.saturating_duration_since(fetched.at) <= self.issuer.keep).then_some(fetched)
    }

    /// What is said of a token whose key is not there.
    fn missing(&self, now: Instant) -> Refusal {
        let attempts = *self.attempts.borrow();
        if self.asked().awaits(attempts, now).is_some() {
            Refusal::KeyMissing
        } else if attempts.failed || self.fetched(now).is_none() {
            Refusal::Unchecked
        } else {
            tracing::debug!(issuer = self.issuer.name, why = "no such key", "a token was refused");
            Refusal::Unknown
        }
    }

    /// Resolves when keys have been fetched, or could not be, since a token named one that was not there.
    pub(crate) async fn look_for_key(&self, now: Instant) {
        let mut attempts = self.attempts.subscribe();
        let attempt = {
            let mut asked = self.asked();
            let ended = *attempts.borrow();
            let Some(attempt) = asked.awaits(ended, now) else { return };
            if attempt != asked.attempt {
                *asked = Asked { at: Some(now), attempt };
                self.wanted.notify_one();
            }
            attempt
        };
        // It takes no longer, unless nobody keeps the keys.
        let ended = attempts.wait_for(|attempts| attempts.ended >= attempt);
        if tokio::time::timeout(PATIENCE + Duration::from_secs(1), ended).await.is_err() {
            tracing::warn!(issuer = self.issuer.name, "nobody fetches the keys of the issuer");
        }
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the keys fresh. Never ends.
    pub(crate) async fn keep_keys(self: Arc<Elsewhere>) {
        let mut failures = 0_u32;
        loop {
            let fetched = self.source.fetch().await;
            let keys =
                fetched.and_then(|bytes| Keys::parse(&bytes, &self.issuer.algorithms).map_err(str::to_owned));
            let failed = self.keep(keys, failures > 0);
            failures = if failed { failures.saturating_add(1) } else { 0 };
            self.attempts.send_modify(|attempts| *attempts = Attempts { ended: attempts.ended + 1, failed });
            let pause =
                if failed { retry_after(failures).min(self.issuer.refresh) } else { self.issuer.refresh };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wanted.notified() => {}
            }
        }
    }

    /// Puts keys in the place of the former ones, if there are any. Whether there are none.
    fn keep(&self, keys: Result<Keys, String>, failed_before: bool) -> bool {
        let issuer = &self.issuer.name;
        match keys {
            Ok(keys) => {
                self.keys.store(Some(Arc::new(Fetched { keys, at: Instant::now() })));
                if failed_before {
                    tracing::warn!(issuer, "the keys of the issuer can be fetched again");
                }
                false
            }
            Err(error) => {
                if failed_before {
                    tracing::debug!(issuer, error, "the keys of the issuer still cannot be fetched");
                } else {
                    let has_others = self.keys.load().is_some();
                    tracing::warn!(
                        issuer,
                        error,
                        has_others,
                        "the keys of the issuer cannot be fetched; those fetched before are used, if there are any"
                    );
                }
                true
            }
        }
    }
}

impl Asked {
    /// The attempt that a token without a key has to wait for: one that is under way, or a new one. `None` if there was
    /// one a short time ago, or the last one failed.
    fn awaits(&self, attempts: Attempts, now: Instant) -> Option<u64> {
        if self.attempt > attempts.ended {
            return Some(self.attempt);
        }
        // After a failure the next attempt comes by itself.
        let is_due =
            !attempts.failed && self.at.is_none_or(|at| now.saturating_duration_since(at) >= ASKED_EVERY);
        is_due.then_some(attempts.ended + 1)
    }
}

impl Visible {
    /// What a holder sees: what the claim names, if one is to be looked at, and of that what may be seen at most.
    fn of(&self, claims: &Map<String, Value>) -> Option<Vec<String>> {
        let Some(claim) = &self.claim else { return self.names.clone() };
        let mut named = claims.get(claim).and_then(Texts::of).unwrap_or_default();
        if let Some(most) = &self.names {
            named.retain(|name| most.contains(name));
        }
        Some(named)
    }
}

/// How long after so many failures in a row the next attempt comes.
fn retry_after(failures: u32) -> Duration {
    let doubled = RETRY_AFTER.checked_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    doubled.map_or(LATEST_RETRY, |pause| pause.min(LATEST_RETRY))
}
