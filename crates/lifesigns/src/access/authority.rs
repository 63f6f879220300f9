//! The port to whoever knows more than static tokens: apps that have tokens issued to them, and issuers elsewhere.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::{Grant, Scope};

/// What an [`Authority`] takes its time for.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Knows bearer tokens that are not static ones, and issues some. The crate `lifesigns-access` has one.
///
/// No method may block the thread that calls it or panic, and nothing that it returns or logs may hold a secret.
pub trait Authority: fmt::Debug + Send + Sync {
    /// What the holder of this token is granted. Called on the thread that serves the request, also for resources that
    /// are answered from memory alone: it waits for nothing.
    ///
    /// # Errors
    /// Why the token opens nothing.
    fn check(&self, token: &str) -> Result<Arc<Grant>, Refusal>;

    /// Resolves once the key of a token that was refused with [`Refusal::KeyMissing`] has been looked for, so that the
    /// token can be checked again; within some seconds at most.
    fn look_for_key<'a>(&'a self, token: &'a str) -> Pending<'a, ()>;

    /// Whether there are apps that tokens can be issued to. Without any, there is no token endpoint.
    fn has_apps(&self) -> bool;

    /// Whether there is an app with this id. Only limits depend on it, and no answer.
    fn knows_app(&self, client_id: &str) -> bool;

    /// Issues a token to an app (RFC 6749 §4.4).
    fn issue(&self, request: IssueRequest) -> Pending<'_, Result<IssuedToken, IssueError>>;
}

/// Why a token opens nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// It is not known, or was, or will be.
    Unknown,
    /// It names a key that is not there: see [`Authority::look_for_key`].
    KeyMissing,
    /// It cannot be told at the moment, since the keys of its issuer cannot be had.
    Unchecked,
}

/// An app that asks for a token.
pub struct IssueRequest {
    /// Name of the app.
    pub client_id: String,
    /// What it proves itself with.
    pub client_secret: String,
    /// What the token is to open, separated by spaces; `None`: all that the app may have.
    pub scope: Option<String>,
}

impl fmt::Debug for IssueRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The first one may be a secret in the wrong place.
        f.write_str("IssueRequest(…)")
    }
}

/// A token that was made.
pub struct IssuedToken {
    /// The token.
    pub access_token: String,
    /// For how long it opens anything.
    pub lifetime: Duration,
    /// What it opens.
    pub scopes: Vec<Scope>,
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IssuedToken(…)")
    }
}

/// Why no token was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IssueError {
    /// There is no such app, or the secret is not its own: `invalid_client`.
    InvalidClient,
    /// The app may not have this scope, or there is none of that name: `invalid_scope`.
    InvalidScope,
    /// Too many ask at the moment.
    Busy,
    /// It could not be made; what went wrong is in the log.
    Failed,
}
