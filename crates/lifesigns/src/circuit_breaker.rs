//! Holding calls of a service back as its traffic light says.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use lifesigns_model::light::Light;

/// When a red light is asked for again.
const RED: Duration = Duration::from_mins(1);
/// When any other is, unless it says otherwise.
const OTHERWISE: Duration = Duration::from_secs(30);
/// No light is left alone for longer than this at its own wish.
const LONGEST: Duration = Duration::from_hours(1);
/// A green light counts as amber when it has not been asked for so long.
const STALE: Duration = Duration::from_mins(3);

/// Whether a call can wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Urgency {
    /// Somebody waits for it.
    Essential,
    /// It can be made later: a report, a prefetch, a retry of what was done in the background.
    CanWait,
}

/// A call that should not be made now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HeldBack {
    /// What the service says of itself, as far as that still counts.
    pub light: Light,
    /// When to ask for the light again; zero: now.
    pub ask_in: Duration,
}

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the service's light is {}; ask it again in {} s",
            self.light,
            self.ask_in.as_secs_f32().ceil()
        )
    }
}

impl std::error::Error for HeldBack {}

/// A circuit breaker in the hands of a caller, which the service itself opens and closes by its traffic light: by what it
/// answers at `/health/status`.
///
/// It asks nobody: tell it what was answered, and ask it before each call. Green lets every call pass, amber those that
/// cannot wait, red none. It can be shared by all threads.
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use lifesigns::{CircuitBreaker, Urgency};
///
/// let orders = CircuitBreaker::new();
/// // HEAD https://orders.example/health/status
/// let mut headers = HeaderMap::new();
/// headers.insert("retry-after", "20".parse()?);
/// orders.answered(StatusCode::SERVICE_UNAVAILABLE, &headers);
/// assert!(orders.admit(Urgency::Essential).is_ok());
/// let held_back = orders.admit(Urgency::CanWait).unwrap_err();
/// assert_eq!(held_back.ask_in.as_secs_f32().ceil(), 20.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct CircuitBreaker {
    known: Mutex<Option<Known>>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    light: Light,
    at: Instant,
    ask_in: Duration,
}

impl CircuitBreaker {
    /// One that has not been told anything: every call passes, and the light is to be asked for now.
    pub fn new() -> CircuitBreaker {
        CircuitBreaker::default()
    }

    /// The light was asked for, and this was the answer: 200, 400, 401, 405 and 429 are green, 503 amber, 500 and 502
    /// red. Any other status says nothing of the light, and changes nothing but when to ask again.
    ///
    /// `Retry-After` counts in seconds, up to an hour; a red light is asked for again after a minute.
    pub fn answered(&self, status: StatusCode, headers: &HeaderMap) {
        self.answered_at(status, headers, Instant::now());
    }

    /// There was no answer: that is red.
    pub fn not_answered(&self) {
        *self.known() = Some(Known { light: Light::Red, at: Instant::now(), ask_in: RED });
    }

    /// Whether to make a call now.
    ///
    /// # Errors
    /// When it is to be held back; the light may turn, so that it is to be asked for again.
    pub fn admit(&self, urgency: Urgency) -> Result<(), HeldBack> {
        self.admit_at(urgency, Instant::now())
    }

    /// When to ask for the light again; zero: now.
    pub fn ask_in(&self) -> Duration {
        self.ask_in_at(Instant::now())
    }

    fn answered_at(&self, status: StatusCode, headers: &HeaderMap, now: Instant) {
        let wished = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let wished = wished.map(|seconds| Duration::from_secs(seconds).min(LONGEST));
        let mut known = self.known();
        let light = match status.as_u16() {
            200 | 400 | 401 | 405 | 429 => Light::Green,
            503 => Light::Amber,
            500 | 502 => Light::Red,
            _ => match &mut *known {
                Some(known) => {
                    known.ask_in = now.saturating_duration_since(known.at) + OTHERWISE;
                    return;
                }
                None => Light::Green,
            },
        };
        let ask_in = if light == Light::Red { RED } else { wished.unwrap_or(OTHERWISE) };
        *known = Some(Known { light, at: now, ask_in });
    }

    fn admit_at(&self, urgency: Urgency, now: Instant) -> Result<(), HeldBack> {
        let Some(known) = *self.known() else { return Ok(()) };
        let is_stale = now.saturating_duration_since(known.at) > STALE.max(known.ask_in);
        let light = if is_stale { known.light.max(Light::Amber) } else { known.light };
        let passes = match light {
            Light::Green => true,
            Light::Amber => urgency == Urgency::Essential,
            Light::Red => false,
        };
        if passes { Ok(()) } else { Err(HeldBack { light, ask_in: known.ask_in(now) }) }
    }

    fn ask_in_at(&self, now: Instant) -> Duration {
        self.known().map_or(Duration::ZERO, |known| known.ask_in(now))
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        // Whatever is in it was put there whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn ask_in(&self, now: Instant) -> Duration {
        (self.at + self.ask_in).saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: Option<&str>) -> HeaderMap {
        seconds.map(|value| (RETRY_AFTER, value.parse().unwrap())).into_iter().collect()
    }

    fn check(status: u16, retry_after: Option<&str>, light: Option<Light>, ask_in: u64) {
        let (breaker, now) = (CircuitBreaker::new(), Instant::now());
        breaker.answered_at(StatusCode::from_u16(status).unwrap(), &after(retry_after), now);
        let passes =
            [Urgency::Essential, Urgency::CanWait].map(|urgency| breaker.admit_at(urgency, now).is_ok());
        let expected = match light {
            None | Some(Light::Green) => [true, true],
            Some(Light::Amber) => [true, false],
            Some(Light::Red) => [false, false],
        };
        assert_eq!(passes, expected, "{status}");
        assert_eq!(breaker.ask_in_at(now), Duration::from_secs(ask_in), "{status}");
    }

    #[test]
    fn calls_pass_as_the_light_says() {
        for status in [200, 400, 401, 405, 429] {
            check(status, None, Some(Light::Green), 30);
        }
        check(429, Some("7"), Some(Light::Green), 7);
        check(503, None, Some(Light::Amber), 30);
        check(503, Some("120"), Some(Light::Amber), 120);
        check(503, Some("1000000"), Some(Light::Amber), 3600);
        check(503, Some("soon"), Some(Light::Amber), 30);
        check(500, Some("5"), Some(Light::Red), 60);
        check(502, None, Some(Light::Red), 60);
        check(404, None, None, 30);
    }

    #[test]
    fn what_says_nothing_changes_nothing() {
        let (breaker, now) = (CircuitBreaker::new(), Instant::now());
        breaker.answered_at(StatusCode::INTERNAL_SERVER_ERROR, &after(None), now);
        let later = now + Duration::from_mins(2);
        assert_eq!(breaker.ask_in_at(later), Duration::ZERO);
        breaker.answered_at(StatusCode::NOT_FOUND, &after(None), later);
        assert!(breaker.admit_at(Urgency::Essential, later).is_err());
        assert_eq!(breaker.ask_in_at(later), OTHERWISE);
    }

    #[test]
    fn an_old_green_is_not_green_and_an_old_red_stays_red() {
        let (breaker, now) = (CircuitBreaker::new(), Instant::now());
        breaker.answered_at(StatusCode::OK, &after(None), now);
        let later = now + Duration::from_mins(4);
        assert_eq!(breaker.admit_at(Urgency::CanWait, later).map_err(|held| held.light), Err(Light::Amber));
        assert!(breaker.admit_at(Urgency::Essential, later).is_ok());
        breaker.not_answered();
        let held =
            breaker.admit_at(Urgency::Essential, Instant::now() + Duration::from_hours(1)).unwrap_err();
        assert_eq!((held.light, held.ask_in), (Light::Red, Duration::ZERO));
        assert_eq!(held.to_string(), "the service's light is RED; ask it again in 0 s");
    }
}
