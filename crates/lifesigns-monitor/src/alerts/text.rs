//! A message in plain words, for people.
//!
//! Names, causes and excerpts are texts of services: what could steer a terminal or hide text is made visible here, and
//! nothing is longer than people read. Whoever puts a text into HTML or the like still has to escape it.

use std::fmt::Write;

use jiff::Timestamp;

use super::message::{Affected, Message, MessageKind};
use crate::service::{Deploy, Letter};

/// The longest name, in characters.
pub(crate) const LONGEST_NAME: usize = 120;
/// The longest cause, and each thing that services share.
pub(crate) const LONGEST_CAUSE: usize = 500;
/// The longest excerpt of an answer.
pub(crate) const LONGEST_EXCERPT: usize = 1_000;
/// The longest link.
pub(crate) const LONGEST_LINK: usize = 2_000;
/// So many services get a line of their own, with what is wrong with each; more are named only.
const MOST_LINES: usize = 20;
/// More names than this are counted.
const MOST_NAMES: usize = 5_000;
/// Things that are shared are told up to so many.
const MOST_SHARED: usize = 20;
/// Where lines of names are broken, in characters.
const WIDTH: usize = 100;

/// What has happened, in one line.
pub fn title(message: &Message) -> String {
    let (light, names) = (state(message.light, message.now), headline(message));
    let comma = if message.now.is_some() { "," } else { "" };
    match message.kind {
        MessageKind::Opened => format!("{light}: {names}"),
        MessageKind::Updated if message.is_better => {
            let well = message.services.iter().filter(|one| one.ended.is_some()).count();
            let is = if well == 1 { "is" } else { "are" };
            format!("{light}, but {well} of {} {is} green again: {names}", message.services.len())
        }
        MessageKind::Updated => format!("{light}, and more of them: {names}"),
        MessageKind::Reminder => format!("Still {light}{comma} after {}: {names}", span(message.lasted())),
        MessageKind::Resolved => format!("Over after {}: {names}", span(message.lasted())),
    }
}

/// All that is known, in lines.
pub fn body(message: &Message) -> String {
    let mut text = String::new();
    let light = light(message.light);
    let (began, at, lasted) = (time(message.began), time(message.at), span(message.lasted()));
    if message.kind == MessageKind::Resolved {
        add(&mut text, &format!("It is over since {at}. It was {light} from {began} on, for {lasted}."));
    } else {
        let since = if message.now.is_some() {
            format!("{}. Not green", state(message.light, message.now))
        } else {
            light.to_owned()
        };
        add(&mut text, &format!("{since} since {began}, for {lasted} by now ({at})."));
    }
    if let Some(first) = message.services.first() {
        first_one(&mut text, first, message.services.len());
    }
    if !message.shared.is_empty() {
        let shared = message.shared.iter().take(MOST_SHARED).map(|shared| visible(shared, LONGEST_CAUSE));
        let shared: Vec<String> = shared.chain(left_out(message.shared.len(), MOST_SHARED)).collect();
        add(&mut text, &format!("\nThey share: {}", shared.join(", ")));
    }
    if message.services.len() > 1 {
        all(&mut text, &message.services);
    }
    if !message.endangered.is_empty() {
        add(&mut text, &format!("\nWell, but depending on them ({}):", message.endangered.len()));
        names(&mut text, message.endangered.iter().map(String::as_str));
    }
    if let Some(link) = &message.link {
        add(&mut text, &format!("\n{}", visible(link, LONGEST_LINK)));
    }
    text
}

/// The one that it began with: what people look at first.
fn first_one(text: &mut String, first: &Affected, count: usize) {
    let word = if count > 1 { "First" } else { "Service" };
    add(text, &format!("\n{word}: {}", named(first)));
    if !first.cause.is_empty() {
        add(text, &format!("Cause: {}", visible(&first.cause, LONGEST_CAUSE)));
    }
    if let Some(failing) = &first.failing {
        add(text, &format!("Failing check: {}", visible(failing, LONGEST_NAME)));
    }
    if let Some(deploy) = &first.deploy {
        add(text, &format!("Last deploy: {}", deployed(deploy, first.began)));
    }
    if let Some(excerpt) = first.excerpt.as_ref().filter(|excerpt| !excerpt.trim().is_empty()) {
        add(text, "Answer:");
        for line in visible_lines(excerpt.trim_end(), LONGEST_EXCERPT).lines() {
            add(text, &format!("    {line}"));
        }
    }
}

fn all(text: &mut String, services: &[Affected]) {
    let over = services.iter().filter(|one| one.ended.is_some()).count();
    let of_them = if over > 0 && over < services.len() {
        format!(", of which {over} are green again")
    } else {
        String::new()
    };
    add(text, &format!("\nAll {}{of_them}:", services.len()));
    if services.len() > MOST_LINES {
        return names(text, services.iter().map(|one| &*one.name));
    }
    for one in services {
        let until = one.ended.map_or_else(String::new, |ended| format!(" to {}", time(ended)));
        let colon = if one.cause.is_empty() { "" } else { ": " };
        let cause = visible(&one.cause, LONGEST_CAUSE);
        let line = format!(
            "- {}, {} from {}{until}{colon}{cause}",
            named(one),
            state(one.light, one.now),
            time(one.began)
        );
        add(text, &line);
    }
}

/// Names side by side, in lines.
fn names<'a>(text: &mut String, all: impl ExactSizeIterator<Item = &'a str>) {
    let count = all.len();
    let mut line = String::new();
    let shown = all.take(MOST_NAMES).map(|name| visible(name, LONGEST_NAME));
    for name in shown.chain(left_out(count, MOST_NAMES)) {
        if !line.is_empty() && line.chars().count() + name.chars().count() + 2 > WIDTH {
            line.push(',');
            add(text, &std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line += ", ";
        }
        line += &name;
    }
    add(text, &line);
}

fn left_out(count: usize, most: usize) -> Option<String> {
    (count > most).then(|| format!("and {} more", count - most))
}

fn headline(message: &Message) -> String {
    // Those that are well again are not what it is about.
    let is_meant = |one: &&Affected| message.kind == MessageKind::Resolved || one.ended.is_none();
    let mut meant = message.services.iter().filter(is_meant);
    let Some(first) = meant.next().or(message.services.first()) else {
        return "no service".to_owned();
    };
    let name = visible(&first.name, LONGEST_NAME);
    match meant.count() {
        0 => name,
        more => format!("{name} and {more} more"),
    }
}

fn named(one: &Affected) -> String {
    let name = visible(&one.name, LONGEST_NAME);
    match &one.environment {
        Some(environment) => format!("{name} ({})", visible(environment, LONGEST_NAME)),
        None => name,
    }
}

fn deployed(deploy: &Deploy, began: i64) -> String {
    let (from, to) = (visible(&deploy.from, LONGEST_NAME), visible(&deploy.to, LONGEST_NAME));
    let when = match began - deploy.at {
        before if before >= 0 => format!("{} before", span(before)),
        after => format!("{} after it began", span(-after)),
    };
    format!("{when}, at {}: from {from} to {to}", time(deploy.at))
}

fn add(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// How it is, and how bad it got where that was worse.
fn state(worst: Letter, now: Option<Letter>) -> String {
    match now {
        Some(now) => format!("{}, at worst {}", light(now), light(worst)),
        None => light(worst).to_owned(),
    }
}

/// The word for a light.
pub(crate) const fn light(letter: Letter) -> &'static str {
    match letter {
        Letter::G => "GREEN",
        Letter::A => "AMBER",
        Letter::R => "RED",
    }
}

/// A time in UTC, to the second; `at` in milliseconds since 1970.
pub fn time(at: i64) -> String {
    match Timestamp::from_millisecond(at) {
        Ok(timestamp) => timestamp.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        // Ten thousand years away: no calendar has it.
        Err(_) => format!("{at} ms since 1970"),
    }
}

/// A length of time in its two largest units; in milliseconds.
pub fn span(milliseconds: i64) -> String {
    let seconds = milliseconds.max(0) / 1_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |large: i64, unit: &str, small: i64, smaller: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {smaller}"),
    };
    if days > 0 {
        two(days, "d", hours % 24, "h")
    } else if hours > 0 {
        two(hours, "h", minutes % 60, "min")
    } else if minutes > 0 {
        format!("{minutes} min")
    } else {
        format!("{seconds} s")
    }
}

/// A text on one line: nothing in it steers a terminal, reverses or hides text; of `longest` characters at most and an
/// ellipsis.
pub fn visible(text: &str, longest: usize) -> String {
    shown(text, longest, false)
}

/// The same for a text of several lines, which stay lines.
pub fn visible_lines(text: &str, longest: usize) -> String {
    shown(&text.replace("\r\n", "\n"), longest, true)
}

fn shown(text: &str, longest: usize, has_lines: bool) -> String {
    let mut safe = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == longest {
            safe.push('…');
            break;
        }
        match character {
            '\n' if has_lines => safe.push('\n'),
            '\t' => safe.push(' '),
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            _ if character.is_control() || is_invisible(character) => {
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(character));
            }
            _ => safe.push(character),
        }
    }
    safe
}

const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests;
