//! Moments that are so far away that the clock has no number for them.

use std::time::Duration;

use tokio::time::Instant;

/// As good as never, and far from the last moment that the clock knows.
const NEVER: Duration = Duration::from_hours(24 * 365 * 100);

/// The moment so long after `begin`, a hundred years later at most: adding [`Duration::MAX`] would panic.
pub(crate) fn after(begin: Instant, wait: Duration) -> Instant {
    begin + wait.min(NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wait_is_too_long_for_the_clock() {
        let now = Instant::now();
        assert_eq!(after(now, Duration::from_secs(5)), now + Duration::from_secs(5));
        assert_eq!(after(now, Duration::MAX), now + NEVER);
    }
}
