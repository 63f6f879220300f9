//! Time buckets: minutes since the epoch, in UTC, and the three levels of rollup.

use jiff::Timestamp;
use jiff::tz::Offset;

/// A whole minute in UTC, counted from 1970-01-01T00:00Z. The finest time that a rollup knows.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Minute(i64);

impl Minute {
    /// The minute with this number since the epoch.
    pub const fn new(minutes_since_epoch: i64) -> Minute {
        Minute(minutes_since_epoch)
    }

    /// The minute that `time` lies in.
    pub fn of(time: Timestamp) -> Minute {
        Minute(time.as_nanosecond().div_euclid(60_000_000_000) as i64)
    }

    /// The first minute that starts at `time` or after it.
    pub fn at_or_after(time: Timestamp) -> Minute {
        let minute = Minute::of(time);
        if minute.start() == time { minute } else { minute.plus(1) }
    }

    /// Minutes since the epoch.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The instant at which this minute starts. Minutes beyond what a timestamp can hold stop at its ends.
    pub fn start(self) -> Timestamp {
        Timestamp::from_second(self.0.saturating_mul(60)).unwrap_or(if self.0 < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        })
    }

    /// This minute and `minutes` more (or fewer, if negative).
    #[must_use]
    pub const fn plus(self, minutes: i64) -> Minute {
        Minute(self.0.saturating_add(minutes))
    }

    /// The start of the bucket of `width` minutes that this minute lies in; buckets are aligned to the epoch.
    ///
    /// # Panics
    /// If `width` is not positive.
    #[must_use]
    pub fn floor(self, width: i64) -> Minute {
        assert!(width > 0, "a bucket is at least one minute wide");
        Minute(self.0.div_euclid(width).saturating_mul(width))
    }

    /// The start of the first bucket of `width` minutes that starts here or later.
    #[must_use]
    pub fn ceil(self, width: i64) -> Minute {
        let floor = self.floor(width);
        if floor == self { self } else { floor.plus(width) }
    }
}

/// Buckets of the calendar, in UTC. All are whole days, and not all months are equally long.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Calendar {
    /// Weeks from Monday on, as ISO 8601 has them.
    Week,
    /// Months.
    Month,
}

impl Calendar {
    /// All of them.
    pub const ALL: [Calendar; 2] = [Calendar::Week, Calendar::Month];

    /// Its name in questions and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Calendar::Week => "week",
            Calendar::Month => "month",
        }
    }

    /// The least that one lasts, in minutes.
    pub const fn least_minutes(self) -> i64 {
        match self {
            Calendar::Week => 7 * Level::Day.minutes(),
            Calendar::Month => 28 * Level::Day.minutes(),
        }
    }

    /// The start of the one that `minute` lies in.
    #[must_use]
    pub fn floor(self, minute: Minute) -> Minute {
        /// The epoch was a Thursday.
        const FIRST_MONDAY: i64 = -3 * Level::Day.minutes();
        match self {
            Calendar::Week => {
                minute.plus(-FIRST_MONDAY).floor(Calendar::Week.least_minutes()).plus(FIRST_MONDAY)
            }
            Calendar::Month => {
                let date = Offset::UTC.to_datetime(minute.start()).date();
                let days_into = i64::from(date.day()) - 1;
                minute.floor(Level::Day.minutes()).plus(-days_into * Level::Day.minutes())
            }
        }
    }
}

/// Half-open span of minutes: `start` is in it, `end` is not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MinuteRange {
    /// First minute of the range.
    pub start: Minute,
    /// First minute after the range.
    pub end: Minute,
}

impl MinuteRange {
    /// The range from `start` up to, but not including, `end`.
    pub const fn new(start: Minute, end: Minute) -> MinuteRange {
        MinuteRange { start, end }
    }

    /// Whether no minute lies in it.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// Whether `minute` lies in it.
    pub fn contains(self, minute: Minute) -> bool {
        self.start <= minute && minute < self.end
    }
}

/// How coarse a rollup is. Minutes become hours, hours become days.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// One row for each series and minute.
    Minute,
    /// One row for each series and hour.
    Hour,
    /// One row for each series and day, in UTC.
    Day,
}

impl Level {
    /// All levels, finest first.
    pub const ALL: [Level; 3] = [Level::Minute, Level::Hour, Level::Day];

    /// Width of one bucket, in minutes.
    pub const fn minutes(self) -> i64 {
        match self {
            Level::Minute => 1,
            Level::Hour => 60,
            Level::Day => 1440,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_instant_belongs_to_the_minute_it_lies_in_before_the_epoch_too() {
        let check = |time: &str, minute: i64| {
            assert_eq!(Minute::of(time.parse().unwrap()).number(), minute, "{time}");
        };
        check("1970-01-01T00:00:00Z", 0);
        check("1970-01-01T00:00:59.999Z", 0);
        check("1970-01-01T00:01:00Z", 1);
        check("1969-12-31T23:59:59.999Z", -1);
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_the_first() {
        let check = |calendar: Calendar, time: &str, start: &str| {
            let floor = calendar.floor(Minute::of(time.parse().unwrap()));
            assert_eq!(floor.start(), start.parse::<Timestamp>().unwrap(), "{calendar:?} of {time}");
        };
        check(Calendar::Week, "2026-03-18T12:34:00Z", "2026-03-16T00:00:00Z");
        check(Calendar::Week, "2026-03-15T23:59:00Z", "2026-03-09T00:00:00Z");
        check(Calendar::Week, "2026-03-16T00:00:00Z", "2026-03-16T00:00:00Z");
        check(Calendar::Week, "1970-01-01T00:00:00Z", "1969-12-29T00:00:00Z");
        check(Calendar::Month, "2026-03-18T12:34:00Z", "2026-03-01T00:00:00Z");
        check(Calendar::Month, "2024-02-29T23:59:00Z", "2024-02-01T00:00:00Z");
        check(Calendar::Month, "2024-03-01T00:00:00Z", "2024-03-01T00:00:00Z");
        check(Calendar::Month, "2026-12-31T23:59:00Z", "2026-12-01T00:00:00Z");
    }

    proptest! {
        #[test]
        fn each_minute_lies_in_its_week_and_month(number in -1_000_000_000i64..1_000_000_000) {
            let minute = Minute::new(number);
            for (calendar, longest) in [(Calendar::Week, 7), (Calendar::Month, 31)] {
                let start = calendar.floor(minute);
                prop_assert!(start <= minute && minute < start.plus(longest * 1440));
                prop_assert_eq!((start.floor(1440), calendar.floor(start)), (start, start));
                prop_assert!(calendar.floor(start.plus(-1)) < start);
            }
        }

        #[test]
        fn floor_and_ceil_enclose_the_minute(number in -1_000_000_000i64..1_000_000_000, width in 1i64..50_000) {
            let minute = Minute::new(number);
            let (low, high) = (minute.floor(width), minute.ceil(width));
            prop_assert!(low <= minute && minute <= high);
            let apart = if low == minute { 0 } else { width };
            prop_assert_eq!(high.number() - low.number(), apart);
            prop_assert_eq!(low.number().rem_euclid(width), 0);
        }
    }
}
