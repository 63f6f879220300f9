//! Who is told of what, and when not.

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use super::message::Affected;
use crate::service::Letter;

const MINUTE: i64 = 60_000;

/// Whom a message goes to, and which outages it is about. All times are in milliseconds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route {
    /// Its name, unique among the routes.
    pub name: String,
    /// Which services: those whose names fit one of these; empty: all.
    pub services: Vec<Pattern>,
    /// In which environments; empty: in all.
    pub environments: Vec<String>,
    /// From which light on.
    pub light: Letter,
    /// How long a service has to be out before it is told of. Default 0.
    pub after: i64,
    /// How long to wait for others before the first message of an incident. Default 30 s.
    pub group_wait: i64,
    /// The least time between a message and one that says that there are more. Default 5 min.
    pub group_interval: i64,
    /// When to remind for the first time; each time after that twice as late, up to a day. `None`: never.
    /// Default 4 h.
    pub remind: Option<i64>,
    /// When to keep quiet. What is over by then is never told; what was told is always told to be over.
    pub quiet: Vec<Quiet>,
}

impl Route {
    /// A route for every service that is red.
    pub fn new(name: &str) -> Route {
        Route {
            name: name.to_owned(),
            services: Vec::new(),
            environments: Vec::new(),
            light: Letter::R,
            after: 0,
            group_wait: MINUTE / 2,
            group_interval: 5 * MINUTE,
            remind: Some(4 * 60 * MINUTE),
            quiet: Vec::new(),
        }
    }

    /// Whether it is for that service.
    pub fn is_for(&self, affected: &Affected) -> bool {
        affected.light >= self.light
            && (self.services.is_empty() || self.services.iter().any(|one| one.fits(&affected.name)))
            && (self.environments.is_empty()
                || affected.environment.as_ref().is_some_and(|name| self.environments.contains(name)))
    }

    /// Until when nothing is said, if nothing is said now.
    pub fn quiet_until(&self, now: i64) -> Option<i64> {
        let mut until = now;
        // Times of quiet may follow one upon the other; after a week they have all been looked at.
        while let Some(end) = self.quiet.iter().filter_map(|quiet| quiet.until(until)).max() {
            until = end;
            if until - now > 8 * 24 * 60 * MINUTE {
                break;
            }
        }
        (until > now).then_some(until)
    }
}

/// A name, in which `*` stands for any text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern that is written like that.
    pub fn new(text: &str) -> Pattern {
        Pattern(text.to_owned())
    }

    /// Whether a name is such a one.
    pub fn fits(&self, name: &str) -> bool {
        let mut pieces = self.0.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let Some(last) = pieces.next_back() else { return rest.is_empty() };
        for piece in pieces {
            let Some(found) = rest.find(piece) else { return false };
            rest = &rest[found + piece.len()..];
        }
        rest.ends_with(last)
    }
}

/// A time of the day, on some days of the week, in UTC. It may go past midnight; it then belongs to the day on which
/// it began.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Quiet {
    /// On which days; empty: on all.
    pub days: Vec<Weekday>,
    /// From which minute of the day, 0 to 1439.
    pub from: u16,
    /// Until which minute of the day; the same as `from`: a whole day.
    pub to: u16,
}

impl Quiet {
    /// When it ends, if it is now.
    fn until(&self, now: i64) -> Option<i64> {
        let day = 24 * 60 * MINUTE;
        let midnight = now.div_euclid(day) * day;
        let length = match (i64::from(self.to) - i64::from(self.from)).rem_euclid(24 * 60) {
            0 => day,
            minutes => minutes * MINUTE,
        };
        [midnight - day, midnight].into_iter().find_map(|midnight| {
            let from = midnight + i64::from(self.from) * MINUTE;
            let is_on = self.days.is_empty() || weekday(midnight).is_some_and(|day| self.days.contains(&day));
            (is_on && (from..from + length).contains(&now)).then_some(from + length)
        })
    }
}

fn weekday(at: i64) -> Option<Weekday> {
    let timestamp = Timestamp::from_millisecond(at).ok()?;
    Some(TimeZone::UTC.to_datetime(timestamp).date().weekday())
}

/// A time in which services may be out without anybody being told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Maintenance {
    /// Which services; empty: all.
    pub services: Vec<Pattern>,
    /// From when, in milliseconds since 1970.
    pub from: i64,
    /// Until when. What is still out then is told.
    pub to: i64,
    /// What is done.
    pub reason: String,
}

impl Maintenance {
    /// Whether it is for that service now.
    pub fn covers(&self, name: &str, now: i64) -> bool {
        (self.from..self.to).contains(&now)
            && (self.services.is_empty() || self.services.iter().any(|one| one.fits(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_names() {
        let check = |pattern: &str, name: &str, fits: bool| {
            assert_eq!(Pattern::new(pattern).fits(name), fits, "{pattern} {name}");
        };
        check("orders", "orders", true);
        check("orders", "orders-2", false);
        check("orders*", "orders-2", true);
        check("*-api", "orders-api", true);
        check("*-api", "orders-api-2", false);
        check("a*b*c", "a1b2c", true);
        check("a*b*c", "acb", false);
        check("a*a", "a", false);
        check("*", "", true);
        check("", "x", false);
    }

    #[test]
    fn quiet_hours_go_past_midnight() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let nights = Quiet { days: Vec::new(), from: 22 * 60, to: 7 * 60 };
        let check = |quiet: &Quiet, now: &str, until: Option<&str>| {
            let route = Route { quiet: vec![quiet.clone()], ..Route::new("ops") };
            let found = route.quiet_until(at(now));
            assert_eq!(found, until.map(at), "{now}");
        };
        check(&nights, "2026-03-16T21:59:00Z", None);
        check(&nights, "2026-03-16T22:00:00Z", Some("2026-03-17T07:00:00Z"));
        check(&nights, "2026-03-17T06:59:59Z", Some("2026-03-17T07:00:00Z"));
        check(&nights, "2026-03-17T07:00:00Z", None);
        let weekend = Quiet { days: vec![Weekday::Saturday, Weekday::Sunday], from: 0, to: 0 };
        check(&weekend, "2026-03-14T12:00:00Z", Some("2026-03-16T00:00:00Z"));
        check(&weekend, "2026-03-16T00:00:00Z", None);
    }
}
