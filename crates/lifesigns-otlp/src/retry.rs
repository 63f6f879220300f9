//! When a push is tried again.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A collector that asks for more patience than this is asked again all the same.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// Whether the specification lets a request be sent again after this status.
pub(crate) const fn is_retryable(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

/// How long to wait after so many attempts: doubling, half of it random, so that many who failed at the same moment
/// do not come back at the same moment. `random` is any number.
pub(crate) fn wait(attempts: u32, random: u64) -> Duration {
    let longest = FIRST_WAIT.saturating_mul(1 << attempts.saturating_sub(1).min(10)).min(LONGEST_WAIT);
    let share = (random >> 11) as f64 / (1u64 << 53) as f64;
    longest.mul_f64(0.5 + share / 2.0)
}

/// `Retry-After` (RFC 9110 §10.2.3): seconds, or a date.
pub(crate) fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    static DATES: DateTimeParser = DateTimeParser::new();
    let value = value.trim();
    let wait = if value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() {
        // More digits than a number holds are more than is waited for anyway.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let date = DATES.parse_timestamp(value).ok()?;
        Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO)
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_sent_again_is_what_the_specification_lists() {
        let retryable: Vec<u16> = (200..600).filter(|status| is_retryable(*status)).collect();
        assert_eq!(retryable, [429, 502, 503, 504]);
    }

    #[test]
    fn waiting_doubles_up_to_a_bound_and_is_never_the_same_for_all() {
        let seconds = |attempts, random| wait(attempts, random).as_secs_f64();
        let least = [1, 2, 3, 4].map(|attempts| wait(attempts, 0).as_millis());
        assert_eq!(least, [500, 1000, 2000, 4000]);
        assert!(seconds(1, u64::MAX) > 0.99 && seconds(1, u64::MAX) <= 1.0);
        assert!(seconds(u32::MAX, u64::MAX) <= 30.0 && seconds(u32::MAX, 0) >= 15.0);
        assert!(seconds(0, 0) > 0.0);
    }

    #[test]
    fn retry_after_is_read_in_both_forms_and_bounded() {
        let now: Timestamp = "2026-03-16T18:00:00Z".parse().unwrap();
        let seconds = |value| retry_after(value, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("7"), Some(7));
        assert_eq!(seconds("0"), Some(0));
        assert_eq!(seconds("Mon, 16 Mar 2026 18:00:30 GMT"), Some(30));
        assert_eq!(seconds("Mon, 16 Mar 2026 17:00:00 GMT"), Some(0));
        assert_eq!(seconds("99999999999999999999999999"), Some(3600));
        assert_eq!(seconds("Thu, 31 Dec 9998 23:59:59 GMT"), Some(3600));
        for odd in ["", "-1", "soon", "1.5"] {
            assert_eq!(seconds(odd), None, "{odd}");
        }
    }
}
