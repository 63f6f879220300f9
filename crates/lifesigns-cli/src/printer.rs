//! The only place that prints: results to standard output, messages to standard error.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use crate::config::fault::{Fault, Faults, Place};

/// Something could not be done, told to the person who asked for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// What could not be done.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// How to mend it, where that is known.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without a known cause.
    pub fn new(message: impl Into<String>) -> Problem {
        Problem { message: message.into(), causes: Vec::new(), hint: None }
    }

    /// The problem with the chain of errors that led to it.
    #[must_use]
    pub fn because(mut self, error: &dyn std::error::Error) -> Problem {
        let mut next = Some(error);
        while let Some(cause) = next {
            self.causes.push(cause.to_string());
            next = cause.source();
        }
        self
    }

    /// The problem with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }
}

/// What a page of results may be made of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Page {
    /// Columns.
    pub width: usize,
    /// Whether block characters can be shown, and not ASCII alone.
    pub blocks: bool,
    /// Whether there may be colour.
    pub colour: bool,
}

/// Columns of a page that no terminal shows.
const PAGE_WIDTH: usize = 100;

/// Longest part of a faulty line that is shown, in characters.
const EXCERPT_CHARACTERS: usize = 140;

/// Prints, with colour where a person reads.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    colour_on_stdout: bool,
    colour_on_stderr: bool,
}

impl Printer {
    /// The printer for this process: colour on a terminal, unless `NO_COLOR` is set and not empty.
    pub fn new() -> Printer {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Printer {
            colour_on_stdout: wanted && io::stdout().is_terminal(),
            colour_on_stderr: wanted && io::stderr().is_terminal(),
        }
    }

    /// A printer without colour.
    #[cfg(test)]
    pub const fn plain() -> Printer {
        Printer { colour_on_stdout: false, colour_on_stderr: false }
    }

    /// Whether messages have colour.
    pub const fn colour_on_stderr(self) -> bool {
        self.colour_on_stderr
    }

    /// Whether results may have colour.
    pub const fn colour_on_stdout(self) -> bool {
        self.colour_on_stdout
    }

    /// The page that standard output is. `COLUMNS` says how wide it is before the terminal does.
    pub fn page(self) -> Page {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let is_plain = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        let given = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let seen = || is_terminal.then(|| rustix::termios::tcgetwinsize(&stdout).ok()).flatten();
        let width = given.or_else(|| seen().map(|size| usize::from(size.ws_col))).unwrap_or(PAGE_WIDTH);
        Page {
            // A terminal that does not know its size says 0.
            width: if width == 0 { PAGE_WIDTH } else { width.clamp(20, 1000) },
            blocks: is_terminal && !is_plain,
            colour: self.colour_on_stdout && !is_plain,
        }
    }

    /// Something that could not be done.
    pub fn problem(self, problem: &Problem) {
        let mut text = format!("{}: {}\n", self.error_word(), escaped(&problem.message));
        for cause in &problem.causes {
            let _ = writeln!(text, "  cause: {}", escaped(cause));
        }
        if let Some(hint) = &problem.hint {
            let _ = writeln!(text, "  {}: {}", self.hint_word(), escaped(hint));
        }
        say(&text);
    }

    /// Everything that is wrong with a configuration, as a compiler would tell it.
    pub fn faults(self, faults: &Faults) {
        say(&self.faults_text(faults));
    }

    /// What [`Printer::faults`] prints.
    pub fn faults_text(self, faults: &Faults) -> String {
        let mut text = String::new();
        for fault in &faults.list {
            self.fault(&mut text, fault, faults);
        }
        let count = faults.list.len();
        let plural = if count == 1 { "" } else { "s" };
        let in_file = faults.list.iter().any(|fault| matches!(fault.place, Place::File(_)));
        let place = match &faults.source {
            Some(source) if in_file => format!(" in {}", escaped(&source.name)),
            _ => String::new(),
        };
        let _ = writeln!(text, "{}: {count} fault{plural}{place}", self.error_word());
        text
    }

    /// What the command line parser has to say: a fault in the arguments, or help that was asked for.
    pub fn usage(self, error: &clap::Error) -> io::Result<()> {
        let (text, colour) =
            (error.render(), if error.use_stderr() { self.colour_on_stderr } else { self.colour_on_stdout });
        let text = if colour { text.ansi().to_string() } else { text.to_string() };
        if error.use_stderr() {
            say(&text);
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }

    fn fault(self, text: &mut String, fault: &Fault, faults: &Faults) {
        let message = escaped(&fault.message);
        let error = self.error_word();
        match (&fault.place, &faults.source) {
            (Place::File(span), Some(source)) => {
                let excerpt = source.excerpt(span);
                let (line, column) = (excerpt.line, excerpt.column);
                let _ = writeln!(text, "{}:{line}:{column}: {error}: {message}", escaped(&source.name));
                let number = line.to_string();
                let margin = " ".repeat(number.len());
                let before = last_characters(excerpt.before, EXCERPT_CHARACTERS / 2);
                let marked = first_characters(excerpt.faulty, EXCERPT_CHARACTERS / 2);
                let after = first_characters(excerpt.after, EXCERPT_CHARACTERS / 2);
                let carets = "^".repeat(marked.chars().count().max(1));
                let indent = " ".repeat(before.chars().count());
                let _ = writeln!(text, "  {number} | {before}{marked}{after}");
                let _ = writeln!(text, "  {margin} | {indent}{}", self.red(&carets));
            }
            (Place::Flag(name) | Place::Variable(name), _) => {
                let _ = writeln!(text, "{name}: {error}: {message}");
            }
            (Place::File(_), None) | (Place::Nowhere, _) => {
                let _ = writeln!(text, "{error}: {message}");
            }
        }
        if let Some(hint) = &fault.hint {
            let _ = writeln!(text, "  {}: {}", self.hint_word(), escaped(hint));
        }
        text.push('\n');
    }

    fn error_word(self) -> String {
        self.red("error")
    }

    fn hint_word(self) -> String {
        if self.colour_on_stderr { "\u{1b}[1;36mhint\u{1b}[0m".to_owned() } else { "hint".to_owned() }
    }

    fn red(self, text: &str) -> String {
        if self.colour_on_stderr { format!("\u{1b}[1;31m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// One line of what was asked for, or several. Text from outside is to be [`escaped`] first.
///
/// # Errors
/// When standard output is closed or its disk is full.
pub fn result(text: &str) -> io::Result<()> {
    lines(&format!("{text}\n"))
}

/// What was asked for, which ends its lines itself. Text from outside is to be [`escaped`] first.
///
/// # Errors
/// When standard output is closed or its disk is full.
pub fn lines(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// One line about what is going on.
pub fn note(line: &str) {
    say(&format!("{}\n", escaped(line)));
}

/// Writes to standard error. There is no one left to tell when that fails.
fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// The text with everything that could steer a terminal made visible: control characters, and those that reverse
/// or hide text.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => safe.push(' '),
            _ if character.is_control() || is_invisible(character) => safe.extend(character.escape_unicode()),
            _ => safe.push(character),
        }
    }
    safe
}

/// JSON that steers no terminal and says the same.
pub fn escaped_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        // In JSON on one line these stand in strings only. All of them lie in the first plane: four digits do.
        if character.is_control() || is_invisible(character) {
            let _ = write!(safe, "\\u{:04x}", u32::from(character));
        } else {
            safe.push(character);
        }
    }
    safe
}

const fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn first_characters(text: &str, count: usize) -> String {
    match text.char_indices().nth(count) {
        Some((end, _)) => format!("{}…", escaped(&text[..end])),
        None => escaped(text),
    }
}

fn last_characters(text: &str, count: usize) -> String {
    match text.char_indices().rev().nth(count) {
        Some((start, character)) => format!("…{}", escaped(&text[start + character.len_utf8()..])),
        None => escaped(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_steers_the_terminal() {
        let check = |text: &str, expected: &str| assert_eq!(escaped(text), expected);
        check("plain – text", "plain – text");
        check("\u{1b}[2Jx", "\\u{1b}[2Jx");
        check("a\nb\tc\r", "a\\u{a}b c\\u{d}");
        check("a\u{202e}b\u{9b}", "a\\u{202e}b\\u{9b}");
    }

    #[test]
    fn json_says_the_same_without_steering_the_terminal() {
        let json = serde_json::json!({"a\u{1b}[2J\u{9b}\u{202e}\u{7f}é\n": 1});
        let safe = escaped_json(&json.to_string());
        assert_eq!(safe, "{\"a\\u001b[2J\\u009b\\u202e\\u007fé\\n\":1}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), json);
    }

    #[test]
    fn long_lines_are_cut_round_the_fault() {
        assert_eq!(first_characters("abcdef", 3), "abc…");
        assert_eq!(first_characters("abc", 3), "abc");
        assert_eq!(last_characters("abcdef", 3), "…def");
        assert_eq!(last_characters("äöü", 3), "äöü");
    }
}
