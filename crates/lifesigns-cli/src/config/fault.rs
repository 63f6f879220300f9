//! What is wrong with a configuration, and where.

use std::ops::Range;

/// Where a setting was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// In the file, at these bytes.
    File(Range<usize>),
    /// On the command line, as this flag.
    Flag(&'static str),
    /// In this environment variable.
    Variable(&'static str),
    /// Nowhere: it is a default, or it is missing altogether.
    Nowhere,
}

/// One thing that is wrong, told to the person who can mend it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What.
    pub message: String,
    /// How to mend it, where that is known.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault without a hint.
    pub fn new(place: &Place, message: impl Into<String>) -> Fault {
        Fault { place: place.clone(), message: message.into(), hint: None }
    }

    /// The fault with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint = Some(hint.into());
        self
    }
}

/// The text that places in a file refer to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// Name of the file as the person wrote it.
    pub name: String,
    /// Its content.
    pub text: String,
    /// Where each line begins: a large file may have a fault in every one.
    line_starts: Vec<usize>,
}

/// Everything that is wrong with one configuration; never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Faults {
    /// The file, if there is one.
    pub source: Option<Source>,
    /// The faults, in the order of their places.
    pub list: Vec<Fault>,
}

impl Faults {
    /// Orders the faults by their place: the file from top to bottom, then flags and variables.
    pub fn new(source: Option<Source>, mut list: Vec<Fault>) -> Faults {
        list.sort_by_key(|fault| match fault.place {
            Place::File(Range { start, .. }) => (0, start),
            Place::Flag(_) => (1, 0),
            Place::Variable(_) => (2, 0),
            Place::Nowhere => (3, 0),
        });
        Faults { source, list }
    }
}

/// The line of a file that a fault is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Excerpt<'a> {
    /// Number of the line, from 1.
    pub line: usize,
    /// Number of the first faulty character in the line, from 1.
    pub column: usize,
    /// The line before the faulty part.
    pub before: &'a str,
    /// The faulty part, up to the end of the line at most.
    pub faulty: &'a str,
    /// The line after the faulty part.
    pub after: &'a str,
}

impl Source {
    /// The text of the file with this name.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Source {
        let text = text.into();
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Source { name: name.into(), text, line_starts }
    }

    /// The line that `span` starts in. A span outside the text is taken to its nearest character.
    pub fn excerpt(&self, span: &Range<usize>) -> Excerpt<'_> {
        let text = self.text.as_str();
        let is_boundary = |at: &usize| text.is_char_boundary(*at);
        let start = (0..=span.start.min(text.len())).rev().find(is_boundary).unwrap_or(0);
        let line = self.line_starts.partition_point(|line_start| *line_start <= start);
        let line_start = self.line_starts[line - 1];
        let line_end = text[start..].find('\n').map_or(text.len(), |length| start + length);
        let end = (span.end.max(start)..line_end).find(is_boundary).unwrap_or(line_end);
        Excerpt {
            line,
            column: text[line_start..start].chars().count() + 1,
            before: &text[line_start..start],
            faulty: &text[start..end],
            after: text[end..line_end].trim_end_matches('\r'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_the_line_the_span_starts_in() {
        let source = Source::new("a.toml", "one\ntwö = 3\r\nfour");
        let check = |span: Range<usize>, line, column, before: &str, faulty: &str, after: &str| {
            assert_eq!(source.excerpt(&span), Excerpt { line, column, before, faulty, after }, "{span:?}");
        };
        check(0..3, 1, 1, "", "one", "");
        check(4..8, 2, 1, "", "twö", " = 3");
        check(11..12, 2, 7, "twö = ", "3", "");
        check(0..99, 1, 1, "", "one", "");
        check(14..18, 3, 1, "", "four", "");
        check(99..120, 3, 5, "four", "", "");
        check(7..7, 2, 3, "tw", "ö", " = 3");
    }
}
