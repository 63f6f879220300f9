//! How far hours and days are closed, and what has gone past its retention.
//!
//! Time is what the rows say. A minute is believed at once when it is at most a day ahead of the newest believed
//! one. A leap further ahead (the first row ever is one, too) is believed only when rows keep coming from there
//! for an hour: one row from the year 2100, or a clock that was wrong for some minutes, expires nothing.

use lifesigns_model::bucket::{Level, Minute, MinuteRange};
use lifesigns_model::segment::Coverage;
use lifesigns_model::store::Retention;

const HOUR: i64 = Level::Hour.minutes();
const DAY: i64 = Level::Day.minutes();

/// Rows up to this many minutes ahead of the newest believed minute are believed at once.
const BELIEVED_AHEAD: i64 = DAY;
/// Rows must keep coming for this many minutes after a leap before it is believed.
const LEAP_CONFIRMED_AFTER: i64 = HOUR;
/// A row this many minutes after the beginning of a leap no longer confirms it: it is another leap.
const LEAP_FORGOTTEN_AFTER: i64 = 31 * DAY;
/// A period is closed once a row has come from this many minutes after its end.
const CLOSED_AFTER: i64 = 1;

/// The watermarks of a store. They only ever move forward.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Timeline {
    /// Newest minute that is believed.
    pub(crate) newest: Option<Minute>,
    /// Where a leap ahead began that is not believed yet.
    pub(crate) leap: Option<Minute>,
    /// Minute rows before this are gone. A whole hour, not after `hours_until`.
    pub(crate) minutes_from: Minute,
    /// Hour rows before this are gone. A whole day, not after `days_until` or `minutes_from`.
    pub(crate) hours_from: Minute,
    /// Day rows before this are gone. A whole day, not after `hours_from`.
    pub(crate) days_from: Minute,
    /// Hours before this are closed.
    pub(crate) hours_until: Minute,
    /// Days before this are closed. Not after `hours_until`.
    pub(crate) days_until: Minute,
}

impl Default for Timeline {
    fn default() -> Timeline {
        let beginning = Minute::new(i64::MIN);
        Timeline {
            newest: None,
            leap: None,
            minutes_from: beginning,
            hours_from: beginning,
            days_from: beginning,
            hours_until: beginning,
            days_until: beginning,
        }
    }
}

impl Timeline {
    /// The levels that a row of `minute` has to be added to: its own, and the closed ones above it. None when it
    /// is past every retention.
    pub(crate) fn levels_of(&self, minute: Minute) -> impl Iterator<Item = Level> + use<> {
        let kept = [
            (Level::Minute, self.minutes_from <= minute),
            (Level::Hour, self.hours_from <= minute && minute < self.hours_until),
            (Level::Day, self.days_from <= minute && minute < self.days_until),
        ];
        kept.into_iter().filter_map(|(level, takes_it)| takes_it.then_some(level))
    }

    /// Takes note of a row's minute. Several are to be given in rising order.
    pub(crate) fn observe(&mut self, minute: Minute) {
        if self.newest.is_some_and(|newest| minute <= newest.plus(BELIEVED_AHEAD)) {
            self.newest = self.newest.max(Some(minute));
            self.leap = None;
            return;
        }
        match self.leap {
            Some(began) if began <= minute && minute <= began.plus(LEAP_FORGOTTEN_AFTER) => {
                if began.plus(LEAP_CONFIRMED_AFTER) <= minute {
                    self.newest = Some(minute);
                    self.leap = None;
                }
            }
            _ => self.leap = Some(minute),
        }
    }

    /// The hours or the days that have ended and are not closed: their rows are to be summed up, and then
    /// [`Timeline::close`] is to be called, before anything expires.
    pub(crate) fn to_close(self) -> Option<(Level, MinuteRange)> {
        let ended = self.newest?.plus(-CLOSED_AFTER);
        let hours = MinuteRange::new(self.hours_until, ended.floor(HOUR));
        let days = MinuteRange::new(self.days_until, self.hours_until.floor(DAY));
        [(Level::Hour, hours), (Level::Day, days)].into_iter().find(|(_, range)| !range.is_empty())
    }

    /// Closes the hours or days up to here.
    pub(crate) fn close(&mut self, level: Level, until: Minute) {
        match level {
            Level::Minute => {}
            Level::Hour => self.hours_until = until,
            Level::Day => self.days_until = until,
        }
    }

    /// Moves what is kept forward as `retention` says, never beyond what has been summed up on the level above.
    pub(crate) fn expire(&mut self, retention: Retention) {
        let Some(newest) = self.newest else { return };
        let horizon = |level, width| Some(newest.plus(-retention.of(level).max(0)).floor(width));
        self.expire_up_to([
            horizon(Level::Minute, HOUR),
            horizon(Level::Hour, DAY),
            horizon(Level::Day, DAY),
        ]);
    }

    /// Moves what is kept of minutes, hours and days forward to these, as far as the level above has them.
    /// Whether that let anything go.
    pub(crate) fn expire_up_to(&mut self, [minutes, hours, days]: [Option<Minute>; 3]) -> bool {
        let before = *self;
        self.minutes_from = self.minutes_from.max(minutes.unwrap_or(self.minutes_from).min(self.hours_until));
        let hours_at_most = self.days_until.min(self.minutes_from.floor(DAY));
        self.hours_from = self.hours_from.max(hours.unwrap_or(self.hours_from).min(hours_at_most));
        self.days_from = self.days_from.max(days.unwrap_or(self.days_from).min(self.hours_from));
        *self != before
    }

    /// From where on rows of `level` are kept.
    pub(crate) const fn kept_from(&self, level: Level) -> Minute {
        match level {
            Level::Minute => self.minutes_from,
            Level::Hour => self.hours_from,
            Level::Day => self.days_from,
        }
    }

    /// What can be read from which level.
    pub(crate) const fn coverage(&self) -> Coverage {
        Coverage {
            minutes_from: self.minutes_from,
            hours_from: self.hours_from,
            hours_until: self.hours_until,
            days_until: self.days_until,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close_all(timeline: &mut Timeline) {
        while let Some((level, range)) = timeline.to_close() {
            timeline.close(level, range.end);
        }
    }

    fn after(minutes: &[i64]) -> Timeline {
        let mut timeline = Timeline::default();
        for minute in minutes {
            timeline.observe(Minute::new(*minute));
            close_all(&mut timeline);
            timeline.expire(Retention::default());
        }
        timeline
    }

    #[test]
    fn an_hour_closes_one_minute_after_its_end() {
        assert_eq!(after(&[0, 60]).hours_until, Minute::new(0));
        assert_eq!(after(&[0, 60, 61]).hours_until, Minute::new(60));
        assert_eq!(after(&[0, 60, 1440]).days_until, Minute::new(0));
        assert_eq!(after(&[0, 60, 1441]).days_until, Minute::new(1440));
    }

    #[test]
    fn one_row_from_far_ahead_moves_nothing() {
        let usual = after(&[0, 60, 61]);
        let far = 68_000_000;
        assert_eq!(after(&[0, 60, 61, far]).coverage(), usual.coverage());
        assert_eq!(after(&[0, 60, 61, far, far + 59]).coverage(), usual.coverage());
        assert_eq!(after(&[0, 60, 61, far, 62, far + 60]).coverage(), usual.coverage());
        assert_eq!(after(&[0, 60, 61, far, far + 32 * DAY]).coverage(), usual.coverage());
    }

    #[test]
    fn a_leap_is_believed_once_rows_have_come_from_there_for_an_hour() {
        let pause = 5 * DAY;
        assert_eq!(after(&[0, 60, pause, pause + 30, pause + 60]).newest, Some(Minute::new(pause + 60)));
        assert_eq!(after(&[0]).newest, None);
    }

    #[test]
    fn a_late_row_goes_to_every_closed_level_that_still_keeps_it() {
        let timeline = after(&(0..4 * 24).map(|hour| hour * 60).collect::<Vec<_>>());
        let check = |minute: i64, levels: &[Level]| {
            let found: Vec<_> = timeline.levels_of(Minute::new(minute)).collect();
            assert_eq!(found, levels, "{minute}");
        };
        check(DAY, &[Level::Hour, Level::Day]);
        check(2 * DAY, &Level::ALL);
        check(3 * DAY + 59, &[Level::Minute, Level::Hour]);
        check(4 * DAY - 60, &[Level::Minute]);
    }

    proptest! {
        #[test]
        fn bounds_keep_their_order_and_only_move_forward(
            minutes in prop::collection::vec(-5000i64..500_000, 1..200), kept in [0i64..9000, 0i64..9000, 0i64..9000],
        ) {
            let retention = Retention { minute_rows: kept[0], hour_rows: kept[1], day_rows: kept[2] };
            let mut timeline = Timeline::default();
            for minute in minutes {
                let before = timeline;
                timeline.observe(Minute::new(minute));
                close_all(&mut timeline);
                timeline.expire(retention);
                prop_assert!(timeline.days_from <= timeline.hours_from);
                prop_assert!(timeline.hours_from <= timeline.minutes_from && timeline.hours_from <= timeline.days_until);
                prop_assert!(timeline.minutes_from <= timeline.hours_until && timeline.days_until <= timeline.hours_until);
                prop_assert!(before.minutes_from <= timeline.minutes_from && before.hours_from <= timeline.hours_from);
                prop_assert!(before.hours_until <= timeline.hours_until && before.days_until <= timeline.days_until);
            }
        }
    }
}
