//! A rate limit for each client, in fixed windows of a minute that begin with the client's first request.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::recorder::lock;

const WINDOW: Duration = Duration::from_mins(1);

/// So many clients are told apart; the rest share one allowance until old ones have gone.
const MAX_CLIENTS: usize = 10_000;

/// What is left to a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Allowance {
    /// Requests allowed in a window.
    pub(crate) quota: u32,
    /// Requests left in this window.
    pub(crate) remaining: u32,
    /// Whole seconds until the window ends, at least 1.
    pub(crate) reset_seconds: u64,
    /// Whether this request is within the quota.
    pub(crate) allowed: bool,
}

/// Counts the requests of each client.
#[derive(Debug)]
pub(crate) struct Limiter<K> {
    quota: u32,
    clients: Mutex<HashMap<Option<K>, Window>>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    began: Instant,
    used: u32,
}

impl<K: Eq + Hash> Limiter<K> {
    /// At most `quota` requests a minute for each client.
    pub(crate) fn new(quota: u32) -> Limiter<K> {
        Limiter { quota, clients: Mutex::default() }
    }

    /// Counts one request of `client` at `now`.
    pub(crate) fn take(&self, client: K, now: Instant) -> Allowance {
        let mut clients = lock(&self.clients);
        let mut client = Some(client);
        if clients.len() >= MAX_CLIENTS && !clients.contains_key(&client) {
            clients.retain(|_, window| now.saturating_duration_since(window.began) < WINDOW);
            if clients.len() >= MAX_CLIENTS {
                client = None;
            }
        }
        let window = clients.entry(client).or_insert(Window { began: now, used: 0 });
        if now.saturating_duration_since(window.began) >= WINDOW {
            *window = Window { began: now, used: 0 };
        }
        let allowed = window.used < self.quota;
        if allowed {
            window.used += 1;
        }
        self.allowance(*window, now, allowed)
    }

    /// What a request of `client` at `now` would be told, without counting it.
    pub(crate) fn look(&self, client: K, now: Instant) -> Allowance {
        let clients = lock(&self.clients);
        let own = clients.get(&Some(client));
        let shared = || clients.get(&None).filter(|_| clients.len() > MAX_CLIENTS);
        let window =
            own.or_else(shared).filter(|window| now.saturating_duration_since(window.began) < WINDOW);
        let window = window.copied().unwrap_or(Window { began: now, used: 0 });
        self.allowance(window, now, window.used < self.quota)
    }

    fn allowance(&self, window: Window, now: Instant, allowed: bool) -> Allowance {
        let left = WINDOW.saturating_sub(now.saturating_duration_since(window.began));
        Allowance {
            quota: self.quota,
            remaining: self.quota - window.used,
            reset_seconds: (left.as_millis().div_ceil(1000) as u64).max(1),
            allowed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_own_quota_and_gets_it_anew_each_minute() {
        let limiter = Limiter::new(2);
        let start = Instant::now();
        let take = |client: &'static str, millis| limiter.take(client, start + Duration::from_millis(millis));
        assert_eq!(take("a", 0), Allowance { quota: 2, remaining: 1, reset_seconds: 60, allowed: true });
        assert_eq!(take("a", 500), Allowance { quota: 2, remaining: 0, reset_seconds: 60, allowed: true });
        assert_eq!(take("a", 59_500), Allowance { quota: 2, remaining: 0, reset_seconds: 1, allowed: false });
        assert!(take("b", 59_500).allowed);
        assert!(take("a", 60_000).allowed);
    }

    #[test]
    fn looking_counts_nothing_and_tells_what_counting_would() {
        let limiter = Limiter::new(1);
        let now = Instant::now();
        assert!(limiter.look("a", now).allowed && limiter.look("a", now).allowed);
        assert!(limiter.take("a", now).allowed);
        assert!(!limiter.look("a", now + Duration::from_secs(59)).allowed);
        assert!(limiter.look("b", now).allowed && limiter.look("a", now + WINDOW).allowed);
    }

    #[test]
    fn a_crowd_of_clients_shares_one_quota_instead_of_filling_the_memory() {
        let limiter = Limiter::new(1);
        let now = Instant::now();
        let allowed = (0..MAX_CLIENTS + 100).filter(|client| limiter.take(*client, now).allowed).count();
        assert_eq!(allowed, MAX_CLIENTS + 1);
        assert_eq!(lock(&limiter.clients).len(), MAX_CLIENTS + 1);
        assert!(!limiter.look(MAX_CLIENTS + 200, now).allowed);
        assert!(limiter.take(MAX_CLIENTS + 200, now + WINDOW).allowed);
        assert_eq!(lock(&limiter.clients).len(), 1);
    }
}
