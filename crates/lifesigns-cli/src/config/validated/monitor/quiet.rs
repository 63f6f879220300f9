//! Times in which nobody is told.

use jiff::civil::Weekday;
use lifesigns_monitor::alerts::rules::Quiet;

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// `22:00-07:00`, `sat 00:00-24:00`, `mon-fri,sun 12:00-13:00`; `None` for anything else.
pub(super) fn read(text: &str) -> Option<Quiet> {
    let (days, times) = match text.trim().rsplit_once(char::is_whitespace) {
        Some((days, times)) => (self::days(days)?, times),
        None => (Vec::new(), text.trim()),
    };
    let (from, to) = times.split_once('-')?;
    let (from, to) = (minute(from)?, minute(to)?);
    // A whole day ends where it began.
    let is_whole = from == 0 && to == 24 * 60;
    (from < 24 * 60 && (from != to || is_whole)).then_some(Quiet { days, from, to: to % (24 * 60) })
}

fn days(text: &str) -> Option<Vec<Weekday>> {
    let mut days = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let count = (last + 7 - first) % 7 + 1;
        days.extend((first..first + count).map(|index| DAYS[index % 7].1));
    }
    Some(days)
}

fn day(text: &str) -> Option<usize> {
    let text = text.trim().to_lowercase();
    DAYS.iter().position(|(name, _)| *name == text)
}

/// Minute of the day, up to 24:00.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| {
        let is_right = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_right { text.parse::<u16>().ok() } else { None }
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let minutes = hour * 60 + minute;
    (minute < 60 && minutes <= 24 * 60).then_some(minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_quiet_are_written_as_people_say_them() {
        use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
        let check = |text: &str, days: &[Weekday], from: u16, to: u16| {
            assert_eq!(read(text), Some(Quiet { days: days.to_vec(), from, to }), "{text}");
        };
        check("22:00-07:00", &[], 1320, 420);
        check("sat 00:00-24:00", &[Saturday], 0, 0);
        check("Mon-Fri 12:00-13:30", &[Monday, Tuesday, Wednesday, Thursday, Friday], 720, 810);
        check("fri-mon,wed 18:00-24:00", &[Friday, Saturday, Sunday, Monday, Wednesday], 1080, 0);
        for bad in [
            "",
            "22-07",
            "22:00",
            "7:00-8:00",
            "24:00-07:00",
            "12:00-12:00",
            "12:60-13:00",
            "12:00-25:00",
            "someday 12:00-13:00",
            "mon- 12:00-13:00",
            "mon12:00-13:00",
            "+1:00-02:00",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
