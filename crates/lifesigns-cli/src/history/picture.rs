//! The past of a service for people: a bar of lights, figures, and what happened.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lifesigns_model::light::Light;
use lifesigns_monitor::alerts::text::{span, visible};

use super::past::{Event, Past};
use crate::printer::{Page, escaped};

const LONGEST_BAR: usize = 120;
const INDENT: &str = "  ";
/// Of each kind, so many are listed, and the others counted.
const MOST: usize = 20;
/// Longer causes, versions and reasons are cut, in characters.
const LONGEST: usize = 200;

/// How many parts a bar on this page has.
pub(super) fn bar_width(page: Page) -> usize {
    page.width.saturating_sub(2 * INDENT.len()).clamp(10, LONGEST_BAR)
}

/// All of it.
pub(super) fn text(past: &Past, page: Page) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(text, "{}  {} to {} UTC\n", escaped(&past.service), time(past.from), time(past.to));
    let bar: String = past.points.iter().map(|light| cell(*light, page)).collect();
    let _ = writeln!(text, "{INDENT}{bar}");
    let legend = [Some(Light::Green), Some(Light::Amber), Some(Light::Red), None];
    let legend = legend.map(|light| {
        format!("{} {}", cell(light, page), light.map_or("not known", |light| word(light.name())))
    });
    let _ = writeln!(text, "{INDENT}{}\n", legend.join("   "));
    figures(&mut text, past);
    list(&mut text, past, "outage", "outages", |outage| {
        let (light, cause) = (&outage.detail["light"], said(outage, "cause"));
        let light = match light.as_str() {
            Some("R") => "red  ",
            Some("A") => "amber",
            _ => "     ",
        };
        let failing = said(outage, "failing");
        let failing = if failing.is_empty() { failing } else { format!(" (first: {failing})") };
        format!("{light}  {:<12}  {cause}{failing}", lasted(outage, past.to))
    });
    list(&mut text, past, "deploy", "deploys", |deploy| {
        format!("from {} to {}", said(deploy, "from"), said(deploy, "to"))
    });
    list(&mut text, past, "restart", "restarts", |_| String::new());
    list(&mut text, past, "gap", "gaps", |gap| format!("{:<12}  {}", lasted(gap, past.to), said(gap, "why")));
    text
}

fn figures(text: &mut String, past: &Past) {
    let [green, amber, red, not_known] = past.seconds;
    let share = past.availability.map_or_else(
        || "not known".to_owned(),
        // Rounded down: a hundred percent is a hundred percent.
        |share| format!("{:.3} % of the time of which something is known", (share * 1e5).floor() / 1e3),
    );
    let _ = writeln!(text, "{INDENT}available   {share}");
    for (name, seconds) in [("green", green), ("amber", amber), ("red", red), ("not known", not_known)] {
        let whole = (green + amber + red + not_known).max(1);
        let percent = seconds as f64 * 100.0 / whole as f64;
        let _ = writeln!(text, "{INDENT}{name:<10}  {:<12}{percent:>8.3} %", span(seconds * 1000));
    }
    let _ = writeln!(text, "{INDENT}readings    {}", past.readings);
}

/// The events of a kind under a heading; nothing where there are none.
fn list(text: &mut String, past: &Past, kind: &str, heading: &str, line: impl Fn(&Event) -> String) {
    let count = past.of_kind(kind).count();
    if count == 0 {
        return;
    }
    let _ = writeln!(text, "\n{heading} ({count})");
    for event in past.of_kind(kind).take(MOST) {
        let _ = writeln!(text, "{}", format!("{INDENT}{}  {}", time(event.began), line(event)).trim_end());
    }
    if count > MOST {
        let _ = writeln!(text, "{INDENT}and {} before; --json has them", count - MOST);
    }
}

fn lasted(event: &Event, now: Timestamp) -> String {
    let length = |end: Timestamp| span(end.as_millisecond() - event.began.as_millisecond());
    match event.ended {
        Some(end) => length(end),
        None => format!("{} so far", length(now)),
    }
}

fn said(event: &Event, key: &str) -> String {
    visible(event.detail[key].as_str().unwrap_or_default(), LONGEST)
}

/// Lights differ in shape as well as in colour.
fn cell(light: Option<Light>, page: Page) -> String {
    let (block, letter, colour) = match light {
        Some(Light::Green) => ("█", "#", "32"),
        Some(Light::Amber) => ("▄", "+", "33"),
        Some(Light::Red) => ("▁", "_", "31"),
        None => ("·", ".", "90"),
    };
    let shape = if page.blocks { block } else { letter };
    if page.colour { format!("\u{1b}[{colour}m{shape}\u{1b}[0m") } else { shape.to_owned() }
}

fn word(name: &str) -> &'static str {
    match name {
        "GREEN" => "green",
        "AMBER" => "amber",
        _ => "red",
    }
}

fn time(at: Timestamp) -> String {
    TimeZone::UTC.to_datetime(at).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_past_of_a_service_is_drawn() {
        let event = |kind: &str, began: &str, ended: Option<&str>, detail| json!({"kind": kind, "key": "k", "service": "shop", "began": began, "ended": ended, "detail": detail});
        let lights = ["GREEN", "GREEN", "AMBER", "RED", "UNKNOWN", "GREEN"];
        let json = json!({
            "service": "shop", "from": "2026-03-15T18:00:00.000Z", "to": "2026-03-16T18:00:00.000Z",
            "readings": 1200, "availability": 0.999_999,
            "seconds": {"GREEN": 72_000, "AMBER": 3600, "RED": 900, "UNKNOWN": 9900},
            "points": lights.map(|light| json!({"light": light})),
            "events": [
                event("outage", "2026-03-16T17:00:00Z", None, json!({"light": "A", "cause": "slow\u{1b}[2J"})),
                event("outage", "2026-03-16T12:00:00Z", Some("2026-03-16T12:15:00Z"),
                      json!({"light": "R", "cause": "answers 503", "failing": "db"})),
                event("deploy", "2026-03-16T11:58:00Z", Some("2026-03-16T11:58:00Z"), json!({"from": "a1", "to": "b2"})),
                event("restart", "2026-03-16T11:57:30Z", Some("2026-03-16T11:57:30Z"), json!({})),
                event("gap", "2026-03-16T01:00:00Z", Some("2026-03-16T03:45:00Z"),
                      json!({"why": "the monitor was not running"})),
            ],
        });
        let past = Past::read(&json).unwrap();
        let plain = Page { width: 80, blocks: false, colour: false };
        insta::assert_snapshot!(text(&past, plain));
        let coloured = text(&past, Page { blocks: true, colour: true, ..plain });
        assert!(coloured.contains("\u{1b}[31m▁\u{1b}[0m\u{1b}[90m·\u{1b}[0m"), "{coloured}");
        assert!(!coloured.contains("\u{1b}[2J"), "{coloured}");
    }
}
