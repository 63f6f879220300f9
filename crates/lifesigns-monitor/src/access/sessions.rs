//! Sessions of those who have logged in with a token. They are kept here and not in the cookie, so that one that is ended
//! is over; and each knows its token, so that none outlives it.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::header::{COOKIE, HeaderMap, HeaderValue};
use ring::error::Unspecified;
use ring::rand::{SecureRandom, SystemRandom};

/// Name of the cookie that tells a session.
pub(crate) const SESSION: &str = "lifesigns_session";
/// How long a session lasts at most.
pub(crate) const SESSION_LASTS: Duration = Duration::from_hours(12);
/// With more the oldest one ends.
const MOST_SESSIONS: usize = 1_000;

/// All sessions, by what their cookies hold.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Session>>);

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions(…)")
    }
}

struct Session {
    /// `Authorization` with the token that opened it.
    authorization: HeaderValue,
    began: Instant,
}

impl Sessions {
    /// Begins one; what its cookie holds.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub(crate) fn begin(&self, authorization: HeaderValue, now: Instant) -> Result<String, Unspecified> {
        let mut random = [0; 32];
        SystemRandom::new().fill(&mut random)?;
        let mut id = String::with_capacity(2 * random.len());
        for byte in random {
            // Writing to a string cannot fail.
            let _ = write!(id, "{byte:02x}");
        }
        let mut sessions = self.all(now);
        if sessions.len() >= MOST_SESSIONS {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.began).map(|(id, _)| id.clone());
            oldest.and_then(|id| sessions.remove(&id));
        }
        sessions.insert(id.clone(), Session { authorization, began: now });
        Ok(id)
    }

    /// The session that a request tells, and its `Authorization`.
    pub(crate) fn find(&self, headers: &HeaderMap, now: Instant) -> Option<(String, HeaderValue)> {
        let sessions = self.all(now);
        told(headers).find_map(|id| Some((id.to_owned(), sessions.get(id)?.authorization.clone())))
    }

    /// Ends one.
    pub(crate) fn end(&self, id: &str, now: Instant) {
        self.all(now).remove(id);
    }

    /// Ends all that a request tells.
    pub(crate) fn end_told(&self, headers: &HeaderMap, now: Instant) {
        let mut sessions = self.all(now);
        told(headers).for_each(|id| drop(sessions.remove(id)));
    }

    /// Those that are not over.
    fn all(&self, now: Instant) -> MutexGuard<'_, HashMap<String, Session>> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| now.saturating_duration_since(session.began) < SESSION_LASTS);
        sessions
    }
}

/// The sessions that a request tells.
fn told(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == SESSION).map(|(_, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(id: &str) -> HeaderMap {
        let line = format!("theme=dark; {SESSION}={id}");
        HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(line).unwrap())])
    }

    #[test]
    fn a_session_is_there_until_it_is_ended_or_too_old() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let bearer = HeaderValue::from_static("Bearer ls_ops");
        let first = sessions.begin(bearer.clone(), now).unwrap();
        let second = sessions.begin(bearer.clone(), now).unwrap();
        assert_eq!(sessions.find(&cookie(&first), now), Some((first.clone(), bearer)));
        assert!(sessions.find(&cookie("guess"), now).is_none());
        sessions.end_told(&cookie(&first), now);
        assert!(sessions.find(&cookie(&first), now).is_none());
        assert!(sessions.find(&cookie(&second), now + Duration::from_hours(11)).is_some());
        assert!(sessions.find(&cookie(&second), now + SESSION_LASTS).is_none());
    }

    #[test]
    fn sessions_are_bounded_and_the_oldest_one_ends_first() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let begin = |after: u64| {
            sessions.begin(HeaderValue::from_static("Bearer a"), now + Duration::from_secs(after)).unwrap()
        };
        let (oldest, next) = (begin(0), begin(1));
        for after in 2..=MOST_SESSIONS as u64 {
            begin(after);
        }
        assert!(
            sessions.find(&cookie(&oldest), now).is_none() && sessions.find(&cookie(&next), now).is_some()
        );
    }
}
