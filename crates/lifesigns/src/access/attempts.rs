//! Failed attempts to get in, counted so that nobody goes on guessing.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::limit::Limiter;

/// Failed attempts in the last minute, by whom.
#[derive(Debug)]
pub(crate) struct Attempts {
    /// Bearer tokens that were refused, by the network they came from.
    tokens: Limiter<IpAddr>,
    /// Secrets of apps that were refused, by the network they came from.
    networks: Limiter<IpAddr>,
    /// The same by app. There are as many as are configured, so none of them ever shares its count.
    apps: Limiter<[u8; 32]>,
    /// The same by what were no apps, so that the answers do not tell which ones there are.
    others: Limiter<[u8; 32]>,
}

impl Attempts {
    pub(crate) fn new(per_minute: u32) -> Attempts {
        Attempts {
            tokens: Limiter::new(per_minute),
            networks: Limiter::new(per_minute),
            apps: Limiter::new(per_minute),
            others: Limiter::new(per_minute),
        }
    }

    /// Counts a bearer token that is not known. Seconds to wait if there were too many.
    ///
    /// Only such tokens are held up: one that is known cannot have been guessed, and behind a proxy many share an
    /// address.
    pub(crate) fn token_failed(&self, peer: Option<IpAddr>, now: Instant) -> Option<u64> {
        let allowance = self.tokens.take(network(peer?), now);
        (!allowance.allowed).then_some(allowance.reset_seconds)
    }

    /// Seconds that an app has to wait before its secret is looked at, if too many failed: from where it asks, or for
    /// this app. Attempts under way at the same time are not held up by each other; there are few of them.
    pub(crate) fn app_must_wait(&self, app: &App, peer: Option<IpAddr>, now: Instant) -> Option<u64> {
        let by_network = peer.map(|peer| self.networks.look(network(peer), now));
        let by_app = self.of(app).look(app.key, now);
        let used_up = by_network.into_iter().chain([by_app]).filter(|allowance| !allowance.allowed);
        used_up.map(|allowance| allowance.reset_seconds).max()
    }

    /// Counts an app that did not prove itself.
    pub(crate) fn app_failed(&self, app: &App, peer: Option<IpAddr>, now: Instant) {
        if let Some(peer) = peer {
            self.networks.take(network(peer), now);
        }
        self.of(app).take(app.key, now);
    }

    fn of(&self, app: &App) -> &Limiter<[u8; 32]> {
        if app.is_known { &self.apps } else { &self.others }
    }
}

/// An app as it calls itself: by the hash of its id, which has one length however long the id is that somebody made up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct App {
    key: [u8; 32],
    is_known: bool,
}

impl App {
    pub(crate) fn new(client_id: &str, is_known: bool) -> App {
        App { key: Sha256::digest(client_id.as_bytes()).into(), is_known }
    }
}

/// Whoever has an address of IPv6 has at least 2⁶⁴ of them (RFC 6177), so these count as one.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn tokens_that_are_not_known_are_held_up_by_network() {
        let (attempts, now) = (Attempts::new(2), Instant::now());
        let failed =
            |from, seconds| attempts.token_failed(Some(ip(from)), now + Duration::from_secs(seconds));
        assert_eq!(failed("192.0.2.1", 0), None);
        assert_eq!(failed("::ffff:192.0.2.1", 1), None);
        assert_eq!(failed("192.0.2.1", 10), Some(50));
        assert_eq!(failed("192.0.2.2", 10), None);
        assert_eq!(failed("192.0.2.1", 60), None);
        assert_eq!(failed("2001:db8:0:1::1", 0), None);
        assert_eq!(failed("2001:db8:0:1:ffff::2", 0), None);
        assert_eq!(failed("2001:db8:0:1::3", 0), Some(60));
        assert_eq!(failed("2001:db8:0:2::1", 0), None);
    }

    #[test]
    fn apps_are_held_up_by_network_and_by_name_known_or_not() {
        let (attempts, now) = (Attempts::new(2), Instant::now());
        let known = App::new("reports", true);
        for app in [known, App::new("nobody", false)] {
            for from in [if app.is_known { "192.0.2.1" } else { "192.0.2.4" }, "192.0.2.2"] {
                assert_eq!(attempts.app_must_wait(&app, Some(ip(from)), now), None);
                attempts.app_failed(&app, Some(ip(from)), now);
            }
            assert_eq!(attempts.app_must_wait(&app, Some(ip("192.0.2.3")), now), Some(60));
            assert_eq!(attempts.app_must_wait(&app, None, now), Some(60));
        }
        let third = App::new("third", true);
        assert_eq!(attempts.app_must_wait(&third, Some(ip("192.0.2.2")), now), Some(60));
        assert_eq!(attempts.app_must_wait(&third, Some(ip("192.0.2.3")), now), None);
        let later = now + Duration::from_mins(1);
        assert_eq!(attempts.app_must_wait(&known, Some(ip("192.0.2.1")), later), None);
    }

    #[test]
    fn an_address_that_is_not_known_holds_nobody_up() {
        let (attempts, now) = (Attempts::new(1), Instant::now());
        assert!((0..5).all(|_| attempts.token_failed(None, now).is_none()));
        attempts.app_failed(&App::new("nobody", false), None, now);
        assert_eq!(attempts.app_must_wait(&App::new("reports", true), None, now), None);
    }
}
