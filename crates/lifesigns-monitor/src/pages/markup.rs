//! Text, times and figures as they stand in pages. Whatever a service has said is a stranger's text.

use std::fmt::{self, Display, Formatter, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lifesigns_model::light::Light;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Text for the content or a quoted attribute of HTML and XML. Control characters that XML 1.0 does not allow, and
/// those that turn the direction of the text after them, become U+FFFD.
pub(super) struct Markup<'a>(pub(super) &'a str);

impl Display for Markup<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| escape(f, character))
    }
}

/// The same, and no longer than so many characters.
pub(super) struct Clipped<'a>(pub(super) &'a str, pub(super) usize);

impl Display for Clipped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        characters.by_ref().take(self.1).try_for_each(|character| escape(f, character))?;
        if characters.next().is_some() { f.write_char('…') } else { Ok(()) }
    }
}

fn escape(f: &mut Formatter<'_>, character: char) -> fmt::Result {
    match character {
        '&' => f.write_str("&amp;"),
        '<' => f.write_str("&lt;"),
        '>' => f.write_str("&gt;"),
        '"' => f.write_str("&quot;"),
        '\'' => f.write_str("&#39;"),
        '\t' | '\n' | '\r' => f.write_char(character),
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => {
            f.write_char('\u{fffd}')
        }
        character if character.is_control() => f.write_char('\u{fffd}'),
        _ => f.write_char(character),
    }
}

/// A light as a class of the style sheet.
pub(super) const fn class(light: Option<Light>) -> char {
    match light {
        Some(Light::Green) => 'g',
        Some(Light::Amber) => 'a',
        Some(Light::Red) => 'r',
        None => 'n',
    }
}

/// A light in a word.
pub(super) const fn word(light: Option<Light>) -> &'static str {
    match light {
        Some(Light::Green) => "green",
        Some(Light::Amber) => "amber",
        Some(Light::Red) => "red",
        None => "not known",
    }
}

/// A light as it is shown everywhere: a shape, which the style sheet puts before it, and a word.
pub(super) struct Lamp(pub(super) Option<Light>);

impl Display for Lamp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "<b class=\"lamp {}\">{}</b>", class(self.0), word(self.0))
    }
}

/// How the fleet, or a part of it, is: the worst light that is known; not known if no light is.
pub(super) fn worst(lights: impl IntoIterator<Item = Option<Light>>) -> Option<Light> {
    lights.into_iter().max().flatten()
}

/// A moment, in milliseconds since 1970, as how long ago it was; the time itself is there for programs and on top.
pub(super) struct Ago {
    pub(super) at: i64,
    pub(super) now: i64,
}

impl Display for Ago {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let time = Utc(self.at);
        let title = time.format("%Y-%m-%d %H:%M:%S UTC");
        let passed = (self.now - self.at) / 1000;
        write!(f, "<time datetime=\"{time}\" title=\"{title}\">")?;
        match passed {
            ..-9 => write!(f, "in {}", Length(-passed * 1000))?,
            -9..10 => f.write_str("just now")?,
            _ => write!(f, "{} ago", Length(passed * 1000))?,
        }
        f.write_str("</time>")
    }
}

/// A moment, in milliseconds since 1970, as the time that it was.
pub(super) struct Moment(pub(super) i64);

impl Display for Moment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let time = Utc(self.0);
        write!(f, "<time datetime=\"{time}\">{}</time>", time.format("%Y-%m-%d %H:%M"))
    }
}

/// A moment, in milliseconds since 1970, as RFC 3339 writes it.
#[derive(Clone, Copy)]
pub(super) struct Utc(pub(super) i64);

impl Utc {
    fn timestamp(self) -> Timestamp {
        Timestamp::from_millisecond(self.0).unwrap_or_default()
    }

    /// As a pattern of `strftime` writes it.
    pub(super) fn format(self, pattern: &str) -> String {
        self.timestamp().to_zoned(TimeZone::UTC).strftime(pattern).to_string()
    }
}

impl Display for Utc {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let whole = Timestamp::from_second(self.0.div_euclid(1000)).unwrap_or_default();
        whole.fmt(f)
    }
}

/// A length of time in milliseconds, in words: its largest unit, and the next one below ten.
pub(super) struct Length(pub(super) i64);

impl Display for Length {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let seconds = self.0.max(0) / 1000;
        let two = |f: &mut Formatter<'_>, (unit, name): (i64, &str), (lower, lower_name): (i64, &str)| {
            let (count, rest) = (seconds / unit, seconds % unit / lower);
            write!(f, "{count} {name}")?;
            if count < 10 && rest > 0 { write!(f, " {rest} {lower_name}") } else { Ok(()) }
        };
        match seconds {
            ..MINUTE => write!(f, "{seconds} s"),
            MINUTE..HOUR => write!(f, "{} min", seconds / MINUTE),
            HOUR..DAY => two(f, (HOUR, "h"), (MINUTE, "min")),
            _ => two(f, (DAY, if seconds < 2 * DAY { "day" } else { "days" }), (HOUR, "h")),
        }
    }
}

/// A latency in microseconds, in few characters.
pub(super) struct Latency(pub(super) f64);

impl Display for Latency {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            us if us < 9_950.0 => write!(f, "{:.1} ms", us / 1e3),
            us if us < 999_500.0 => write!(f, "{:.0} ms", us / 1e3),
            us if us < 9.95e6 => write!(f, "{:.1} s", us / 1e6),
            us => write!(f, "{:.0} s", us / 1e6),
        }
    }
}

/// Memory in MB, in few characters.
pub(super) struct Megabytes(pub(super) f64);

impl Display for Megabytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            mb if mb < 9_999.5 => write!(f, "{mb:.0} MB"),
            mb => write!(f, "{:.1} GB", mb / 1024.0),
        }
    }
}

/// A share from 0 to 1 in percent, never rounded up to all of it.
pub(super) struct Percent(pub(super) f64);

impl Display for Percent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let hundredths = (self.0 * 10_000.0).floor() / 100.0;
        if self.0 >= 1.0 { f.write_str("100 %") } else { write!(f, "{hundredths:.2} %") }
    }
}

/// How many there are of something.
pub(super) struct Count<'a>(pub(super) usize, pub(super) &'a str);

impl Display for Count<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.0, self.1, if self.0 == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_inert() {
        let hostile = "<b a='\"'>&\x1b\u{7f}\u{202e}x\u{2069}";
        let inert = "&lt;b a=&#39;&quot;&#39;&gt;&amp;\u{fffd}\u{fffd}\u{fffd}x\u{fffd}";
        assert_eq!(Markup(hostile).to_string(), inert);
        assert_eq!(Clipped(hostile, 2).to_string(), "&lt;b…");
        assert_eq!(Clipped("ab", 2).to_string(), "ab");
    }

    #[test]
    fn lengths_are_told_in_the_units_of_people() {
        let check = |seconds: i64, expected: &str| assert_eq!(Length(seconds * 1000).to_string(), expected);
        check(-5, "0 s");
        check(59, "59 s");
        check(3599, "59 min");
        check(3600, "1 h");
        check(2 * HOUR + 30 * MINUTE, "2 h 30 min");
        check(23 * HOUR + 59 * MINUTE, "23 h");
        check(DAY + 2 * HOUR, "1 day 2 h");
        check(90 * DAY + 5, "90 days");
    }

    #[test]
    fn moments_are_told_from_now_in_both_directions() {
        let at = 1_795_309_200_000;
        let ago = |passed| Ago { at, now: at + passed }.to_string();
        assert_eq!(
            ago(300_000),
            "<time datetime=\"2026-11-22T01:00:00Z\" title=\"2026-11-22 01:00:00 UTC\">5 min ago</time>"
        );
        assert!(ago(-300_000).contains(">in 5 min<") && ago(9_999).contains(">just now<"));
        assert_eq!(Moment(at).to_string(), "<time datetime=\"2026-11-22T01:00:00Z\">2026-11-22 01:00</time>");
    }

    #[test]
    fn figures_are_short_and_no_share_is_rounded_up_to_all() {
        let check = |figure: &dyn Display, expected: &str| assert_eq!(figure.to_string(), expected);
        check(&Latency(431.0), "0.4 ms");
        check(&Latency(12_345.0), "12 ms");
        check(&Latency(1_200_000.0), "1.2 s");
        check(&Latency(10_000_000.0), "10 s");
        check(&Megabytes(214.0), "214 MB");
        check(&Megabytes(16_384.0), "16.0 GB");
        check(&Percent(0.999_999), "99.99 %");
        check(&Percent(1.0), "100 %");
        check(&Percent(0.0), "0.00 %");
        check(&Count(1, "service"), "1 service");
        check(&Count(0, "service"), "0 services");
    }
}
