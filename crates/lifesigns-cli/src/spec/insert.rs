//! Where text is put into a file, and how it is written there.

use serde::Serialize as _;
use serde_json::{Value, json};
use serde_saphyr::SerializerOptions;

use super::dialect::{BadFile, Dialect, Document};
use super::tree::{Kind, Node};

/// A member that is put in.
#[derive(Clone, Debug)]
pub struct Added {
    pub key: String,
    pub value: Value,
}

/// A text that is put in before this byte.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Edit {
    pub at: usize,
    pub text: String,
}

/// The text with all edits, which are in the order of their places.
pub fn apply(text: &str, edits: &[Edit]) -> String {
    let mut result = String::with_capacity(text.len());
    let mut copied = 0;
    for edit in edits {
        result.push_str(&text[copied..edit.at]);
        result.push_str(&edit.text);
        copied = edit.at;
    }
    result + &text[copied..]
}

/// How a file is written.
#[derive(Debug)]
pub struct Layout<'d> {
    text: &'d str,
    document: &'d Document,
    newline: &'static str,
    /// One step of indentation.
    step: String,
}

impl<'d> Layout<'d> {
    pub fn of(text: &'d str, document: &'d Document) -> Layout<'d> {
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let indented =
            text.lines().skip(1).find(|line| line.starts_with([' ', '\t']) && !line.trim().is_empty());
        let step = match indented {
            Some(line) if line.starts_with('\t') => "\t".to_owned(),
            Some(line) => " ".repeat((line.len() - line.trim_start_matches(' ').len()).clamp(1, 8)),
            None => "  ".to_owned(),
        };
        Layout { text, document, newline, step }
    }

    /// What has to be put in.
    ///
    /// # Errors
    /// When there is no place for it.
    pub fn edits(&self, added: &[Added]) -> Result<Vec<Edit>, BadFile> {
        let root = &self.document.root;
        if added.is_empty() {
            return Ok(Vec::new());
        }
        if self.document.dialect == Dialect::Raml {
            return self.put_into(root, added);
        }
        let Some(paths) = root.get("paths") else {
            let members = added.iter().map(|added| (added.key.clone(), added.value.clone())).collect();
            return self.put_into(root, &[Added { key: "paths".to_owned(), value: Value::Object(members) }]);
        };
        match &paths.value.kind {
            Kind::Map(_) => self.put_into(&paths.value, added),
            Kind::Text(_) if paths.value.is_empty_text() => {
                let column = paths.column + self.step.chars().count();
                Ok(vec![self.block(self.line_after(paths.key_range.end), column, None, added)?])
            }
            _ => Err(BadFile::new("`paths` is no map, so nothing can be put in").at(paths.line)),
        }
    }

    fn put_into(&self, map: &Node, added: &[Added]) -> Result<Vec<Edit>, BadFile> {
        if map.is_flow {
            return Ok(self.flow(map, added));
        }
        let first =
            map.entries().first().ok_or_else(|| BadFile::new("there is no place for more").at(map.line))?;
        let indent = self.indent_of(first.key_range.start);
        // A name may stand behind a question mark.
        let column = first.column.min(indent.len());
        let at = self.behind_comments(self.line_after(map.end()), column);
        Ok(vec![self.block(at, column, first.is_quoted, added)?])
    }

    /// The beginning of the line behind this byte; the end of the text where there is no more.
    fn line_after(&self, end: usize) -> usize {
        if self.text[..end].ends_with('\n') {
            return end;
        }
        self.text[end..].find('\n').map_or(self.text.len(), |found| end + found + 1)
    }

    /// Behind the comments that belong to a map whose names begin in this column.
    fn behind_comments(&self, start: usize, column: usize) -> usize {
        let (mut at, mut behind) = (start, start);
        for line in self.text[start..].split_inclusive('\n') {
            behind += line.len();
            let words = line.trim_start_matches(' ');
            if words.starts_with('#') && line.len() - words.len() >= column {
                at = behind;
            } else if !words.trim().is_empty() {
                break;
            }
        }
        at
    }

    /// Lines for a map without brackets.
    fn block(&self, at: usize, column: usize, quote: Option<char>, added: &[Added]) -> Result<Edit, BadFile> {
        let indent = " ".repeat(column);
        let step = if self.step == "\t" { 2 } else { self.step.len() };
        let mut options = SerializerOptions::default();
        options.indent_step = step;
        options.prefer_block_scalars = false;
        let mut lines = Vec::new();
        for added in added {
            let key = match quote {
                Some('\'') => format!("'{}'", added.key.replace('\'', "''")),
                Some(_) => json!(added.key).to_string(),
                None => added.key.clone(),
            };
            lines.push(format!("{indent}{key}:"));
            let value = serde_saphyr::to_string_with_options(&added.value, options.clone())
                .map_err(|error| BadFile::new(error.to_string()))?;
            let inner = format!("{indent}{}", " ".repeat(step));
            lines.extend(value.lines().map(|line| format!("{inner}{line}")));
        }
        let ends_line = at == 0 || self.text[..at].ends_with('\n');
        let text = lines.join(self.newline);
        let text =
            if ends_line { format!("{text}{}", self.newline) } else { format!("{}{text}", self.newline) };
        Ok(Edit { at, text })
    }

    /// Members for a map with brackets: JSON, which YAML is as well.
    fn flow(&self, map: &Node, added: &[Added]) -> Vec<Edit> {
        let close = map.range.end - 1;
        let last = map.entries().last().map(super::tree::Entry::end);
        let start = last.unwrap_or(map.range.start + 1);
        let comma = self.comma_between(start, close);
        let needs_comma = last.is_some() && comma.is_none();
        if !self.text.trim_end().contains('\n') {
            let members: Vec<String> =
                added.iter().map(|added| format!("{}:{}", json!(added.key), added.value)).collect();
            let comma = if needs_comma { "," } else { "" };
            return vec![Edit {
                at: comma_end(start, self.comma_between(start, close)),
                text: format!("{comma}{}", members.join(",")),
            }];
        }
        let outer = self.indent_of(map.range.start);
        let first = map.entries().first();
        let own_line = first
            .filter(|first| self.text[..first.key_range.start].trim_end_matches([' ', '\t']).ends_with('\n'));
        let indent = own_line.map_or_else(
            || format!("{outer}{}", self.step),
            |first| self.indent_of(first.key_range.start).to_owned(),
        );
        let members: Vec<String> = added.iter().map(|added| self.member(added, &indent)).collect();
        let members = members.join(&format!(",{}", self.newline));
        let mut edits = Vec::new();
        if needs_comma {
            edits.push(Edit { at: start, text: ",".to_owned() });
        }
        let behind = comma_end(start, comma);
        let line_end =
            self.text[behind..close].find('\n').map(|found| behind + found).filter(|_| last.is_some());
        edits.push(match line_end {
            Some(end) => {
                let at = if self.text[..end].ends_with('\r') { end - 1 } else { end };
                Edit { at, text: format!("{}{members}", self.newline) }
            }
            None => {
                // In YAML nothing of a map with brackets may stand as far left as the name that it belongs to.
                let is_json = self.text.trim_start().starts_with('{');
                let closing = if is_json { outer.to_owned() } else { format!("{outer}{}", self.step) };
                Edit { at: behind, text: format!("{nl}{members}{nl}{closing}", nl = self.newline) }
            }
        });
        edits
    }

    fn member(&self, added: &Added, indent: &str) -> String {
        let mut value = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(self.step.as_bytes());
        let mut serializer = serde_json::Serializer::with_formatter(&mut value, formatter);
        // Into memory, what is JSON already can be written.
        let _ = added.value.serialize(&mut serializer);
        let value = String::from_utf8_lossy(&value);
        let value = value.replace('\n', &format!("{}{indent}", self.newline));
        format!("{indent}{}: {value}", json!(added.key))
    }

    /// The white space that the line with this byte begins with.
    fn indent_of(&self, at: usize) -> &str {
        let start = self.text[..at].rfind('\n').map_or(0, |found| found + 1);
        let line = &self.text[start..at];
        &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
    }

    /// The comma between these bytes, outside of comments.
    fn comma_between(&self, start: usize, end: usize) -> Option<usize> {
        let mut in_comment = false;
        for (index, letter) in self.text[start..end].char_indices() {
            match letter {
                '\n' => in_comment = false,
                '#' => in_comment = true,
                ',' if !in_comment => return Some(start + index),
                _ => {}
            }
        }
        None
    }
}

fn comma_end(start: usize, comma: Option<usize>) -> usize {
    comma.map_or(start, |comma| comma + 1)
}
