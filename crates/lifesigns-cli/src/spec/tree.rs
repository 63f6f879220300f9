//! What a file says, and where: YAML, of which JSON is a part.

use std::ops::Range;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};

use super::dialect::BadFile;

/// A part of a file.
#[derive(Clone, Debug)]
pub struct Node {
    pub kind: Kind,
    /// Bytes of it. Those of a block reach to where the next part begins.
    pub range: Range<usize>,
    /// From 1.
    pub line: usize,
    /// Whether it is written with brackets.
    pub is_flow: bool,
}

/// What a part is.
#[derive(Clone, Debug)]
pub enum Kind {
    Map(Vec<Entry>),
    List(Vec<Node>),
    Text(String),
    /// Stands for a part that is elsewhere.
    Alias,
}

/// A member of a map.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    pub key_range: Range<usize>,
    /// From 1.
    pub line: usize,
    /// From 0, in characters.
    pub column: usize,
    pub is_quoted: Option<char>,
    pub value: Node,
}

impl Node {
    /// Its members, if it is a map.
    pub fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The member with this name.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// Whether nothing is written there, which the parser takes for a null.
    pub fn is_empty_text(&self) -> bool {
        matches!(&self.kind, Kind::Text(_)) && self.range.is_empty()
    }

    /// Behind the last byte that says something.
    pub fn end(&self) -> usize {
        match &self.kind {
            Kind::Map(entries) if !self.is_flow => entries.last().map_or(self.range.end, Entry::end),
            Kind::List(items) if !self.is_flow => items.last().map_or(self.range.end, Node::end),
            _ => self.range.end,
        }
    }
}

impl Entry {
    /// Behind the last byte that says something.
    pub fn end(&self) -> usize {
        // Where there is nothing, the parser may say that it is further down.
        if self.value.is_empty_text() { self.key_range.end } else { self.value.end() }
    }
}

/// The only document of a text.
///
/// # Errors
/// What is wrong with it, and in which line.
pub fn read(text: &str) -> Result<Node, BadFile> {
    let mut reader = Reader { events: Vec::new(), next: 0 };
    for event in Parser::new_from_str(text) {
        match event {
            Ok((Event::Comment(..) | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd, _)) => {}
            Ok((event, span)) => reader.events.push((event, span)),
            Err(error) => {
                let line = error.marker().line();
                let message = error.to_string().lines().next().unwrap_or_default().to_owned();
                return Err(BadFile::new(message).at(line));
            }
        }
    }
    let mut starts = reader.events.iter().filter(|(event, _)| matches!(event, Event::DocumentStart(..)));
    let first = starts.next();
    if let Some((_, span)) = starts.next() {
        return Err(BadFile::new("there is a second document in the file; a description is one")
            .at(span.start.line()));
    }
    if first.is_none() {
        return Err(BadFile::new("the file is empty"));
    }
    reader.next = 1;
    reader.node()
}

struct Reader<'t> {
    events: Vec<(Event<'t>, Span)>,
    next: usize,
}

impl<'t> Reader<'t> {
    fn take(&mut self) -> Result<(Event<'t>, Span), BadFile> {
        let taken = self.events.get(self.next).cloned();
        self.next += 1;
        taken.ok_or_else(|| BadFile::new("the file breaks off"))
    }

    fn node(&mut self) -> Result<Node, BadFile> {
        let (event, span) = self.take()?;
        let (line, is_flow) = (span.start.line(), true);
        let start = offset(&span, true)?;
        match event {
            Event::Alias(_) => {
                Ok(Node { kind: Kind::Alias, range: start..offset(&span, false)?, line, is_flow })
            }
            Event::Scalar(text, style, ..) => {
                let is_flow = !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let range = start..offset(&span, false)?;
                Ok(Node { kind: Kind::Text(text.into_owned()), range, line, is_flow })
            }
            Event::SequenceStart(style, ..) => {
                let mut items = Vec::new();
                while !matches!(self.peek(), Some(Event::SequenceEnd) | None) {
                    items.push(self.node()?);
                }
                let end = offset(&self.take()?.1, false)?;
                let is_flow = style == StructureStyle::Flow;
                Ok(Node { kind: Kind::List(items), range: start..end, line, is_flow })
            }
            Event::MappingStart(style, ..) => {
                let mut entries = Vec::new();
                while !matches!(self.peek(), Some(Event::MappingEnd) | None) {
                    entries.push(self.entry()?);
                }
                let end = offset(&self.take()?.1, false)?;
                let is_flow = style == StructureStyle::Flow;
                Ok(Node { kind: Kind::Map(entries), range: start..end, line, is_flow })
            }
            _ => Err(BadFile::new("the file cannot be understood here").at(line)),
        }
    }

    fn peek(&self) -> Option<&Event<'t>> {
        self.events.get(self.next).map(|(event, _)| event)
    }

    fn entry(&mut self) -> Result<Entry, BadFile> {
        let (event, span) = self.take()?;
        let key_range = offset(&span, true)?..offset(&span, false)?;
        let (line, column) = (span.start.line(), span.start.col());
        let (key, is_quoted) = match event {
            Event::Scalar(text, ScalarStyle::SingleQuoted, ..) => (text.into_owned(), Some('\'')),
            Event::Scalar(text, ScalarStyle::DoubleQuoted, ..) => (text.into_owned(), Some('"')),
            Event::Scalar(text, ..) => (text.into_owned(), None),
            _ => return Err(BadFile::new("a name that is no text is not supported").at(line)),
        };
        let value = self.node()?;
        Ok(Entry { key, key_range, line, column, is_quoted, value })
    }
}

fn offset(span: &Span, start: bool) -> Result<usize, BadFile> {
    let marker = if start { &span.start } else { &span.end };
    marker.byte_offset().ok_or_else(|| BadFile::new("the place of a part is not known").at(marker.line()))
}
