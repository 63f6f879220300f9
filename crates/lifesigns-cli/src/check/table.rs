//! What is known of services for people.

use std::fmt::Write as _;

use lifesigns_model::identity::uptime_text;
use lifesigns_model::light::Light;

use super::ask::Finding;
use crate::printer::{Page, escaped};

const HEADINGS: [&str; 8] =
    ["service", "light", "code", "latency", "uptime", "memory", "version", "revision"];

/// Which columns hold figures, and so are flush right.
const IS_FIGURE: [bool; 8] = [false, false, true, true, false, true, false, false];

/// Longer names, versions and revisions are cut, in characters.
const LONGEST: usize = 40;
const LONGEST_VERSION: usize = 20;
const LONGEST_REVISION: usize = 12;

/// A line for each service, and one more for each that is not green.
pub(super) fn text(findings: &[Finding], page: Page) -> String {
    let rows: Vec<[String; 8]> = findings.iter().map(cells).collect();
    let widths: [usize; 8] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([HEADINGS[column].len()]).max().unwrap_or_default()
    });
    let mut text = line("  ", &HEADINGS.map(str::to_owned), &widths);
    for (finding, row) in findings.iter().zip(&rows) {
        let mut row = line(&format!("{} ", mark(finding)), row, &widths);
        if page.colour {
            row = format!("{}{row}\u{1b}[0m", colour(finding)).replace("\n\u{1b}[0m", "\u{1b}[0m\n");
        }
        text.push_str(&row);
        if let Some(complaint) = finding.complaint() {
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(text, "    {} {}", escaped(finding.url.as_str()), escaped(&complaint));
        }
    }
    text
}

/// A line for each service that is not green.
pub(super) fn what_is_wrong(findings: &[Finding], page: Page) -> String {
    let mut text = String::new();
    for finding in findings {
        let Some(complaint) = finding.complaint() else { continue };
        let (name, url) = (escaped(&finding.name()), escaped(finding.url.as_str()));
        let (begin, end) = if page.colour { (colour(finding), "\u{1b}[0m") } else { ("", "") };
        let at = if name == url { String::new() } else { format!(" ({url})") };
        let _ = writeln!(text, "{begin}{} {name}{end}{at} {}", mark(finding), escaped(&complaint));
    }
    text
}

fn mark(finding: &Finding) -> char {
    match finding.light() {
        Some(Light::Green) => '✓',
        Some(Light::Amber) => '!',
        Some(Light::Red) | None => '✗',
    }
}

fn colour(finding: &Finding) -> &'static str {
    match finding.light() {
        Some(Light::Green) => "\u{1b}[32m",
        Some(Light::Amber) => "\u{1b}[33m",
        Some(Light::Red) | None => "\u{1b}[31m",
    }
}

fn cells(finding: &Finding) -> [String; 8] {
    let (known, answer) = (&finding.introduction, finding.answered());
    let memory = match (known.memory_used_mb, known.memory_total_mb) {
        (Some(used), Some(total)) => format!("{used}/{total} MB"),
        (Some(used), None) => format!("{used} MB"),
        (None, _) => dash(),
    };
    let or_dash =
        |text: &Option<String>, longest| text.as_deref().map_or_else(dash, |text| cut(text, longest));
    [
        cut(&finding.name(), LONGEST),
        finding.light().map_or_else(dash, |light| light.to_string()),
        answer.map_or_else(dash, |answer| answer.code.to_string()),
        answer.map_or_else(dash, |answer| format!("{:.0} ms", answer.latency.as_secs_f64() * 1000.0)),
        known.uptime.map_or_else(dash, uptime_text),
        memory,
        or_dash(&known.identity.version, LONGEST_VERSION),
        or_dash(&known.identity.revision, LONGEST_REVISION),
    ]
}

fn dash() -> String {
    "–".to_owned()
}

/// The beginning of a stranger's text.
fn cut(text: &str, longest: usize) -> String {
    let text = escaped(text);
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn line(mark: &str, cells: &[String; 8], widths: &[usize; 8]) -> String {
    let mut line = mark.to_owned();
    for ((cell, width), is_figure) in cells.iter().zip(widths).zip(IS_FIGURE) {
        let _ = if is_figure { write!(line, "{cell:>width$}  ") } else { write!(line, "{cell:<width$}  ") };
    }
    format!("{}\n", line.trim_end())
}
