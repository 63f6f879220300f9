//! Times and lengths as people type them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::printer::Problem;

/// A point in time: RFC 3339, or a date with or without a time of day, which is UTC.
pub(super) fn point(flag: &str, text: &str) -> Result<Timestamp, Problem> {
    let bad = || {
        Problem::new(format!("{flag} {text}: is no time"))
            .hint("write 2026-03-16, 2026-03-16T18:00 (both UTC) or 2026-03-16T18:00:00+01:00")
    };
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    // The name of a time zone behind it would be read over.
    if text.contains('[') {
        return Err(bad());
    }
    let time: DateTime = text.parse().map_err(|_| bad())?;
    Ok(time.to_zoned(TimeZone::UTC).map_err(|_| bad())?.timestamp())
}

/// Minutes of a text such as `90m`, `24h` or `20d`.
pub(super) fn minutes(text: &str) -> Option<i64> {
    let unit = match text.chars().next_back()? {
        'm' => 1,
        'h' => 60,
        'd' => 1440,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // Only digits are left, so all that can fail is their size.
    all_digits.then(|| digits.parse::<i64>().unwrap_or(i64::MAX).saturating_mul(unit))
}
