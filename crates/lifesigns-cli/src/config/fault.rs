//! What is wrong with a configuration, and where.

use std::ops::Range;

use super::masking::{self, MASK, Secrets};

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
    /// The content as it may be shown.
    shown: String,
    /// What is not shown of the content, in order, each with the place of what stands for it in `shown`.
    hidden: Vec<(Range<usize>, usize)>,
}

/// Everything that is wrong with one configuration; never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Faults {
    /// The file, if there is one.
    pub source: Option<Box<Source>>,
    /// The faults, in the order of their places.
    pub list: Vec<Fault>,
}

impl Faults {
    /// Orders the faults by their place: the file from top to bottom, then flags and variables. None of them repeats
    /// a secret.
    pub fn new(source: Option<Source>, mut list: Vec<Fault>, secrets: &Secrets) -> Faults {
        for fault in &mut list {
            fault.message = secrets.mask(std::mem::take(&mut fault.message));
            fault.hint = fault.hint.take().map(|hint| secrets.mask(hint));
        }
        list.sort_by_key(|fault| match fault.place {
            Place::File(Range { start, .. }) => (0, start),
            Place::Flag(_) => (1, 0),
            Place::Variable(_) => (2, 0),
            Place::Nowhere => (3, 0),
        });
        Faults { source: source.map(Box::new), list }
    }
}

/// The line of a file that a fault is about, as it may be shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Excerpt<'a> {
    /// Number of the line, from 1.
    pub line: usize,
    /// Number of the first faulty character in the line as it was written, from 1.
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
        let mut shown = String::with_capacity(text.len());
        let mut hidden = Vec::new();
        let mut done = 0;
        for range in masking::hidden(&text) {
            shown.push_str(&text[done..range.start]);
            done = range.end;
            hidden.push((range, shown.len()));
            shown.push_str(MASK);
        }
        shown.push_str(&text[done..]);
        Source { name: name.into(), text, line_starts, shown, hidden }
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
            before: &self.shown[self.shown_from(line_start)..self.shown_from(start)],
            faulty: &self.shown[self.shown_from(start)..self.shown_to(end)],
            after: self.shown[self.shown_to(end)..self.shown_to(line_end)].trim_end_matches('\r'),
        }
    }

    /// Where what begins here in the content begins in what is shown; a part of a secret counts as all of it.
    fn shown_from(&self, at: usize) -> usize {
        match self.hidden[..self.hidden.partition_point(|(range, _)| range.start <= at)].last() {
            Some((range, mask)) if at < range.end => *mask,
            Some((range, mask)) => mask + MASK.len() + (at - range.end),
            None => at,
        }
    }

    /// Where what ends here in the content ends in what is shown.
    fn shown_to(&self, at: usize) -> usize {
        match self.hidden[..self.hidden.partition_point(|(range, _)| range.start < at)].last() {
            Some((range, mask)) => mask + MASK.len() + at.saturating_sub(range.end),
            None => at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_the_line_the_span_starts_in() {
        let source = Source::new("a.toml", "name\nname = \"ö\"\r\nhost");
        let check = |span: Range<usize>, line, column, before: &str, faulty: &str, after: &str| {
            assert_eq!(source.excerpt(&span), Excerpt { line, column, before, faulty, after }, "{span:?}");
        };
        check(0..4, 1, 1, "", "name", "");
        check(5..9, 2, 1, "", "name", " = \"ö\"");
        check(12..16, 2, 8, "name = ", "\"ö\"", "");
        check(0..99, 1, 1, "", "name", "");
        check(18..22, 3, 1, "", "host", "");
        check(99..120, 3, 5, "host", "", "");
        check(14..14, 2, 9, "name = \"", "ö", "\"");
    }

    #[test]
    fn an_excerpt_shows_no_secret_and_keeps_its_column() {
        let source = Source::new("a.toml", "url = \"redis://app:ge@heim@db\" # old\nhash = \"geheim\"\n");
        let check = |span: Range<usize>, column, before: &str, faulty: &str, after: &str| {
            let excerpt = source.excerpt(&span);
            let shown = [excerpt.before, excerpt.faulty, excerpt.after];
            assert_eq!((excerpt.column, shown), (column, [before, faulty, after]), "{span:?}");
        };
        check(6..30, 7, "url = ", "\"redis://***@db\"", " # ***");
        check(20..22, 21, "url = \"redis://", "***", "@db\" # ***");
        check(44..52, 8, "hash = ", "\"***\"", "");
        check(47..47, 11, "hash = \"", "***", "\"");
    }
}
