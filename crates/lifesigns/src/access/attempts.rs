//! Failed attempts to get in, counted so that nobody goes on guessing.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::limit::{Allowance, Limiter};
use crate::recorder::lock;

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
    /// How many secrets are being looked at, by whose they are: each of them may turn out to be wrong.
    under_way: Mutex<HashMap<Who, usize>>,
}

/// Whom a secret counts for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Who {
    Network(IpAddr),
    App([u8; 32]),
}

/// Why a secret is not looked at now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum MustWait {
    /// Too many were wrong; seconds to wait.
    Failed(u64),
    /// So many are being looked at that all that may be wrong would be used up.
    UnderWay,
}

/// A secret that is being looked at.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    attempts: &'a Attempts,
    app: App,
    peer: Option<IpAddr>,
}

impl Attempt<'_> {
    /// It was wrong.
    pub(crate) fn failed(self, now: Instant) {
        // Counted before it is no longer under way, so that there is no moment in between.
        self.attempts.app_failed(&self.app, self.peer, now);
    }

    fn whose(app: &App, peer: Option<IpAddr>) -> impl Iterator<Item = Who> {
        peer.map(|peer| Who::Network(network(peer))).into_iter().chain([Who::App(app.key)])
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut under_way = lock(&self.attempts.under_way);
        for who in Attempt::whose(&self.app, self.peer) {
            if let Some(count) = under_way.get_mut(&who) {
                *count -= 1;
                if *count == 0 {
                    under_way.remove(&who);
                }
            }
        }
    }
}

impl Attempts {
    pub(crate) fn new(per_minute: u32) -> Attempts {
        Attempts {
            tokens: Limiter::new(per_minute),
            networks: Limiter::new(per_minute),
            apps: Limiter::new(per_minute),
            others: Limiter::new(per_minute),
            under_way: Mutex::default(),
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

    /// The secret of an app is looked at, unless too many were wrong: from where it asks, or for this app. Those that are
    /// being looked at count as if they were wrong, so that no burst gets by.
    pub(crate) fn begin(
        &self,
        app: App,
        peer: Option<IpAddr>,
        now: Instant,
    ) -> Result<Attempt<'_>, MustWait> {
        let by_network = peer.map(|peer| self.networks.look(network(peer), now));
        let by_app = self.of(&app).look(app.key, now);
        let allowances = || by_network.into_iter().chain([by_app]);
        let used_up = allowances().filter(|allowance| !allowance.allowed);
        if let Some(seconds) = used_up.map(|allowance| allowance.reset_seconds).max() {
            return Err(MustWait::Failed(seconds));
        }
        let mut under_way = lock(&self.under_way);
        let is_full = |(who, allowance): (Who, Allowance)| {
            under_way.get(&who).is_some_and(|count| *count >= allowance.remaining as usize)
        };
        if Attempt::whose(&app, peer).zip(allowances()).any(is_full) {
            return Err(MustWait::UnderWay);
        }
        for who in Attempt::whose(&app, peer) {
            *under_way.entry(who).or_default() += 1;
        }
        Ok(Attempt { attempts: self, app, peer })
    }

    /// Counts an app that did not prove itself.
    fn app_failed(&self, app: &App, peer: Option<IpAddr>, now: Instant) {
        if let Some(peer) = peer {
            self.networks.take(network(peer), now);
        }
        let allowance = self.of(app).take(app.key, now);
        if app.is_known && allowance.allowed && allowance.remaining == 0 {
            tracing::warn!(
                ?peer,
                seconds = allowance.reset_seconds,
                "an app has sent too many wrong secrets: it has to wait"
            );
        }
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

    /// Seconds to wait, if the attempt is not let through; it ends at once.
    fn wait(attempts: &Attempts, app: App, peer: Option<&str>, now: Instant) -> Option<u64> {
        match attempts.begin(app, peer.map(ip), now) {
            Ok(_attempt) => None,
            Err(MustWait::Failed(seconds)) => Some(seconds),
            Err(MustWait::UnderWay) => panic!("nothing is under way"),
        }
    }

    #[test]
    fn apps_are_held_up_by_network_and_by_name_known_or_not() {
        let (attempts, now) = (Attempts::new(2), Instant::now());
        let known = App::new("reports", true);
        for app in [known, App::new("nobody", false)] {
            for from in [if app.is_known { "192.0.2.1" } else { "192.0.2.4" }, "192.0.2.2"] {
                attempts.begin(app, Some(ip(from)), now).unwrap().failed(now);
            }
            assert_eq!(wait(&attempts, app, Some("192.0.2.3"), now), Some(60));
            assert_eq!(wait(&attempts, app, None, now), Some(60));
        }
        let third = App::new("third", true);
        assert_eq!(wait(&attempts, third, Some("192.0.2.2"), now), Some(60));
        assert_eq!(wait(&attempts, third, Some("192.0.2.3"), now), None);
        let later = now + Duration::from_mins(1);
        assert_eq!(wait(&attempts, known, Some("192.0.2.1"), later), None);
    }

    #[test]
    fn an_address_that_is_not_known_holds_nobody_up() {
        let (attempts, now) = (Attempts::new(1), Instant::now());
        assert!((0..5).all(|_| attempts.token_failed(None, now).is_none()));
        attempts.begin(App::new("nobody", false), None, now).unwrap().failed(now);
        assert_eq!(wait(&attempts, App::new("reports", true), None, now), None);
    }

    #[test]
    fn what_is_under_way_counts_until_it_has_ended() {
        let (attempts, now) = (Attempts::new(2), Instant::now());
        let begin = |name, from| attempts.begin(App::new(name, true), Some(ip(from)), now);
        let first = begin("a", "192.0.2.1").unwrap();
        let second = begin("a", "192.0.2.2").unwrap();
        assert_eq!(begin("a", "192.0.2.3").err(), Some(MustWait::UnderWay));
        assert!(begin("b", "192.0.2.3").is_ok());
        drop(first);
        let third = begin("a", "192.0.2.3").unwrap();
        second.failed(now);
        assert_eq!(begin("a", "192.0.2.4").err(), Some(MustWait::UnderWay));
        third.failed(now);
        assert_eq!(begin("a", "192.0.2.4").err(), Some(MustWait::Failed(60)));
        assert!(lock(&attempts.under_way).is_empty());
    }
}
