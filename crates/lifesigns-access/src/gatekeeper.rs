//! All of it behind the port.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{decode_header, get_current_timestamp};
use lifesigns::{Authority, Grant, IssueError, IssueRequest, IssuedToken, Pending, Refusal};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::app::Memory;
use crate::issued::Issued;
use crate::issuer::Elsewhere;
use crate::{App, BadOption, Issuer, LONGEST_TOKEN, TokenOptions, crypto};

/// Secrets that are looked at at the same time: each takes some tens of megabytes, and a processor.
const CONCURRENT_SECRETS: usize = 2;

/// So many more may wait for their turn, and for so long.
const WAITING_SECRETS: usize = 32;
const TURN_PATIENCE: Duration = Duration::from_secs(3);

/// Knows connected apps, the tokens that are issued to them, and issuers elsewhere.
#[derive(Debug)]
pub struct Gatekeeper {
    apps: HashMap<String, App>,
    /// In the order of their ids, so that one can be chosen by number.
    ids: Vec<String>,
    issued: Issued,
    elsewhere: Vec<Arc<Elsewhere>>,
    turns: Arc<Semaphore>,
    /// One for each turn.
    memories: Arc<Mutex<Vec<Memory>>>,
    places: Semaphore,
    choice: RandomState,
}

impl Gatekeeper {
    /// Knows these apps, and tokens of these issuers.
    ///
    /// # Errors
    /// When an app or an issuer is there twice, when an issuer cannot be asked for its keys over TLS, and when the system
    /// gives no random bytes.
    pub fn new(options: TokenOptions, apps: Vec<App>, issuers: Vec<Issuer>) -> Result<Gatekeeper, BadOption> {
        crypto::install();
        let issued = Issued::new(options, Instant::now())?;
        let mut known = HashMap::with_capacity(apps.len());
        for app in apps {
            let client_id = app.client_id().to_owned();
            if known.insert(client_id.clone(), app).is_some() {
                return Err(BadOption::new("client_id", format!("{client_id} is there twice")));
            }
        }
        let mut elsewhere: Vec<Arc<Elsewhere>> = Vec::with_capacity(issuers.len());
        for issuer in issuers {
            let url = issuer.url();
            if url == issued.issuer || elsewhere.iter().any(|other| other.url() == url) {
                return Err(BadOption::new("issuer", format!("{url} is there twice")));
            }
            elsewhere.push(Arc::new(Elsewhere::new(issuer)?));
        }
        let mut ids: Vec<String> = known.keys().cloned().collect();
        ids.sort_unstable();
        Ok(Gatekeeper {
            apps: known,
            ids,
            issued,
            elsewhere,
            turns: Arc::new(Semaphore::new(CONCURRENT_SECRETS)),
            memories: Arc::default(),
            places: Semaphore::new(CONCURRENT_SECRETS + WAITING_SECRETS),
            choice: RandomState::new(),
        })
    }

    /// Keeps the keys of issuers elsewhere: fetches them at once, from time to time, and when a token names one that is
    /// not there. Never ends as long as there is an issuer; to be run as a task of its own, on any runtime with I/O and
    /// time. Until it runs, tokens of issuers elsewhere are refused as such that cannot be checked.
    pub async fn keep_keys(self: Arc<Gatekeeper>) {
        let mut keeping = JoinSet::new();
        for elsewhere in &self.elsewhere {
            keeping.spawn(Arc::clone(elsewhere).keep_keys());
        }
        while let Some(ended) = keeping.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the keys of an issuer are not kept any more");
            }
        }
    }

    /// The app, or else one that is compared in its stead: whether there is such an app must not be told by the time
    /// that the answer takes.
    fn app_or_other(&self, client_id: &str) -> Option<(&App, bool)> {
        if let Some(app) = self.apps.get(client_id) {
            return Some((app, true));
        }
        let number = self.choice.hash_one(client_id) as usize;
        let id = self.ids.get(number.checked_rem(self.ids.len())?)?;
        Some((self.apps.get(id)?, false))
    }

    async fn authenticate(&self, client_id: &str, secret: String) -> Result<&App, IssueError> {
        let (app, is_it) = self.app_or_other(client_id).ok_or(IssueError::InvalidClient)?;
        let _place = self.places.try_acquire().map_err(|_| IssueError::Busy)?;
        let turn = tokio::time::timeout(TURN_PATIENCE, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(IssueError::Busy) };
        let (hash, memories) = (app.hash.clone(), Arc::clone(&self.memories));
        let fits = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let take = || memories.lock().unwrap_or_else(PoisonError::into_inner);
            let mut memory = take().pop().unwrap_or_default();
            let fits = hash.fits(&secret, &mut memory);
            take().push(memory);
            fits
        });
        let failed = |error: &dyn std::error::Error| {
            tracing::error!(%error, "a secret could not be compared");
            IssueError::Failed
        };
        let fits = fits.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        if fits & is_it { Ok(app) } else { Err(IssueError::InvalidClient) }
    }

    fn elsewhere_of(&self, token: &str) -> Option<&Arc<Elsewhere>> {
        let issuer = issuer_of(token)?;
        self.elsewhere.iter().find(|elsewhere| elsewhere.url() == issuer)
    }
}

impl Authority for Gatekeeper {
    fn check(&self, token: &str) -> Result<Arc<Grant>, Refusal> {
        let refuse = |why: &str| {
            tracing::debug!(why, "a token was refused");
            Refusal::Unknown
        };
        let issuer = issuer_of(token).ok_or_else(|| refuse("malformed"))?;
        let header = decode_header(token).map_err(|_| refuse("malformed"))?;
        if header.crit.is_some() {
            // What it says must be understood, and nothing of it is (RFC 7515 §4.1.11).
            return Err(refuse("critical extensions"));
        }
        let (now, wall) = (Instant::now(), get_current_timestamp());
        if issuer == self.issued.issuer && !self.apps.is_empty() {
            return self.issued.check(&self.apps, &header, token, now, wall).map_err(refuse);
        }
        let elsewhere = self.elsewhere.iter().find(|elsewhere| elsewhere.url() == issuer);
        elsewhere.ok_or_else(|| refuse("no such issuer"))?.check(&header, token, now, wall)
    }

    fn look_for_key<'a>(&'a self, token: &'a str) -> Pending<'a, ()> {
        Box::pin(async move {
            if let Some(elsewhere) = self.elsewhere_of(token) {
                elsewhere.look_for_key(Instant::now()).await;
            }
        })
    }

    fn has_apps(&self) -> bool {
        !self.apps.is_empty()
    }

    fn knows_app(&self, client_id: &str) -> bool {
        self.apps.contains_key(client_id)
    }

    fn issue(&self, request: IssueRequest) -> Pending<'_, Result<IssuedToken, IssueError>> {
        Box::pin(async move {
            let app = self.authenticate(&request.client_id, request.client_secret).await?;
            self.issued.issue(app, request.scope.as_deref(), Instant::now(), get_current_timestamp())
        })
    }
}

#[derive(Deserialize)]
struct Iss {
    iss: String,
}

/// Whom a token says that it is from. Nothing is believed of it: it says by whose keys the token is checked.
fn issuer_of(token: &str) -> Option<String> {
    if token.len() > LONGEST_TOKEN {
        return None;
    }
    insecure_decode_claims::<Iss>(token).ok().map(|claims| claims.iss)
}

#[cfg(test)]
mod tests;
