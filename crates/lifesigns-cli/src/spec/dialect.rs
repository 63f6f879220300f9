//! A description in one of the languages that there are, and what it says to a resource.

use serde_json::{Map, Value, json};

use super::Finding;
use super::compare;
use super::insert::Added;
use super::tree::{self, Entry, Kind, Node};
use super::wanted::Wanted;

/// The language of a description.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialect {
    /// OpenAPI 3.0 or 3.1.
    OpenApi,
    /// RAML 1.0.
    Raml,
}

/// Why a file is of no use.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadFile {
    pub message: String,
    /// From 1.
    pub line: Option<usize>,
    pub hint: Option<String>,
}

impl BadFile {
    pub fn new(message: impl Into<String>) -> BadFile {
        BadFile { message: message.into(), line: None, hint: None }
    }

    pub fn at(mut self, line: usize) -> BadFile {
        self.line = Some(line);
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> BadFile {
        self.hint = Some(hint.into());
        self
    }
}

/// A description that has been read.
#[derive(Debug)]
pub struct Document {
    pub dialect: Dialect,
    pub root: Node,
}

impl Document {
    /// Reads a description.
    ///
    /// # Errors
    /// Why it is none, or none of a language that is known.
    pub fn read(text: &str) -> Result<Document, BadFile> {
        let dialect = match text.trim_start_matches('\u{feff}').lines().next().map(str::trim_end) {
            Some("#%RAML 1.0") => Dialect::Raml,
            Some(line) if line.starts_with("#%RAML") => {
                let bad = BadFile::new(format!("{} is not supported", line.trim_start_matches("#%")));
                return Err(bad.at(1).hint("the file of an API in RAML 1.0 begins with #%RAML 1.0 alone"));
            }
            _ => Dialect::OpenApi,
        };
        let root = tree::read(text)?;
        if !matches!(root.kind, Kind::Map(_)) {
            return Err(BadFile::new("the file is no description of an API: it has no members").at(root.line));
        }
        check_keys(&root)?;
        if dialect == Dialect::OpenApi {
            check_version(&root)?;
            root.get("paths").map_or(Ok(()), |paths| check_keys(&paths.value))?;
        }
        Ok(Document { dialect, root })
    }

    /// What it says to a resource.
    pub fn find(&self, wanted: &Wanted) -> Finding {
        let found = match self.dialect {
            Dialect::OpenApi => {
                let paths = self.root.get("paths").map_or(&[][..], |paths| paths.value.entries());
                paths.iter().find(|entry| entry.key == wanted.path)
            }
            Dialect::Raml => find_nested(&self.root, "", &wanted.path),
        };
        found.map_or(Finding::Missing, |entry| compare::compare(entry, wanted))
    }

    /// What has to be put in for these.
    pub fn additions(&self, missing: &[&Wanted]) -> Vec<Added> {
        let mut taken = Vec::new();
        operation_ids(&self.root, &mut taken);
        missing
            .iter()
            .map(|wanted| {
                let value = match self.dialect {
                    Dialect::OpenApi => {
                        let mut get = wanted.get.clone();
                        let id = free(&wanted.operation_id, &taken);
                        get["operationId"] = json!(id);
                        taken.push(id);
                        json!({"get": get})
                    }
                    Dialect::Raml => raml(&wanted.get),
                };
                Added { key: wanted.path.clone(), value }
            })
            .collect()
    }

    /// Whether a text says what this one says, and what was added.
    pub fn is_what_it_was_with(&self, added: &[Added], text: &str) -> bool {
        let Ok(new) = tree::read(text) else { return false };
        if self.dialect == Dialect::Raml {
            return is_extended(&self.root, &new, added);
        }
        let (old, new) = (self.root.entries(), new.entries());
        let has_paths = self.root.get("paths").is_some();
        let none = Node { kind: Kind::Map(Vec::new()), range: 0..0, line: 0, is_flow: true };
        let mut extended = old.iter().filter(|entry| entry.key == "paths" || has_paths).count();
        extended = if has_paths { extended } else { old.len() + usize::from(!added.is_empty()) };
        new.len() == extended
            && new.iter().enumerate().all(|(index, entry)| match old.get(index) {
                Some(before) if before.key == "paths" => {
                    let before = if before.value.is_empty_text() { &none } else { &before.value };
                    entry.key == "paths"
                        && if added.is_empty() {
                            compare::is_same(before, &entry.value) || before.entries().is_empty()
                        } else {
                            is_extended(before, &entry.value, added)
                        }
                }
                Some(before) => before.key == entry.key && compare::is_same(&before.value, &entry.value),
                None => entry.key == "paths" && is_extended(&none, &entry.value, added),
            })
    }
}

/// Whether the members of a map are those of another one and then these.
fn is_extended(old: &Node, new: &Node, added: &[Added]) -> bool {
    let (old, new) = (old.entries(), new.entries());
    new.len() == old.len() + added.len()
        && old
            .iter()
            .zip(new)
            .all(|(old, new)| old.key == new.key && compare::is_same(&old.value, &new.value))
        && added
            .iter()
            .zip(&new[old.len()..])
            .all(|(added, new)| added.key == new.key && compare::says(&new.value, &added.value))
}

/// Where keys are looked for and put in, each must be there once, and visibly so.
fn check_keys(map: &Node) -> Result<(), BadFile> {
    for (number, entry) in map.entries().iter().enumerate() {
        if entry.key == "<<" && entry.is_quoted.is_none() {
            let bad = BadFile::new(
                "a merge key `<<` brings members from elsewhere, which cannot be told from those here",
            );
            return Err(bad.at(entry.line).hint("write them out where they belong"));
        }
        if map.entries()[..number].iter().any(|before| before.key == entry.key) {
            return Err(BadFile::new(format!("`{}` is there twice", entry.key)).at(entry.line));
        }
    }
    Ok(())
}

fn check_version(root: &Node) -> Result<(), BadFile> {
    if let Some(entry) = root.get("swagger") {
        let bad = BadFile::new("this is OpenAPI 2.0 (Swagger); OpenAPI 3.0, 3.1 and RAML 1.0 are supported");
        return Err(bad.at(entry.line).hint("converters to OpenAPI 3 are listed at https://openapi.tools"));
    }
    let Some(entry) = root.get("openapi") else {
        let bad = BadFile::new(
            "this is no description of an API: it has no `openapi`, and no #%RAML 1.0 in its first line",
        );
        return Err(bad.at(root.line));
    };
    match &entry.value.kind {
        Kind::Text(version) if version.starts_with("3.0") || version.starts_with("3.1") => Ok(()),
        Kind::Text(version) => {
            let bad = BadFile::new(format!("OpenAPI {version} is not supported, only 3.0 and 3.1"));
            Err(bad.at(entry.line))
        }
        _ => Err(BadFile::new("`openapi` is no version").at(entry.line)),
    }
}

/// The resource at a path, wherever it is nested.
fn find_nested<'n>(node: &'n Node, base: &str, path: &str) -> Option<&'n Entry> {
    node.entries().iter().filter(|entry| entry.key.starts_with('/')).find_map(|entry| {
        let full = format!("{base}{}", entry.key);
        if full == path { Some(entry) } else { find_nested(&entry.value, &full, path) }
    })
}

fn operation_ids(node: &Node, found: &mut Vec<String>) {
    for entry in node.entries() {
        match &entry.value.kind {
            Kind::Text(id) if entry.key == "operationId" => found.push(id.clone()),
            _ => operation_ids(&entry.value, found),
        }
    }
    if let Kind::List(items) = &node.kind {
        items.iter().for_each(|item| operation_ids(item, found));
    }
}

fn free(wanted: &str, taken: &[String]) -> String {
    let numbered = (2..).map(|number| format!("{wanted}{number}"));
    let mut names = std::iter::once(wanted.to_owned()).chain(numbered);
    names.find(|name| !taken.contains(name)).unwrap_or_else(|| wanted.to_owned())
}

/// The same in RAML 1.0.
fn raml(get: &Value) -> Value {
    let mut method = json!({"description": get["description"]});
    let parameters = get["parameters"].as_array().into_iter().flatten();
    let parameters: Map<String, Value> = parameters
        .map(|parameter| {
            let mut declared = json!({"description": parameter["description"], "required": false});
            for (name, value) in parameter["schema"].as_object().into_iter().flatten() {
                let is_kept = matches!(
                    name.as_str(),
                    "type" | "enum" | "pattern" | "minimum" | "maximum" | "items" | "uniqueItems"
                );
                if is_kept {
                    declared[name] = value.clone();
                }
            }
            (parameter["name"].as_str().unwrap_or_default().to_owned(), declared)
        })
        .collect();
    if !parameters.is_empty() {
        method["queryParameters"] = Value::Object(parameters);
    }
    let responses = get["responses"].as_object().into_iter().flatten();
    let responses = responses.map(|(status, response)| {
        let mut declared = json!({"description": response["description"]});
        let bodies = response["content"].as_object().into_iter().flatten();
        let bodies: Map<String, Value> =
            bodies.map(|(media_type, content)| (media_type.clone(), content["schema"].clone())).collect();
        if !bodies.is_empty() {
            declared["body"] = Value::Object(bodies);
        }
        (status.clone(), declared)
    });
    method["responses"] = Value::Object(responses.collect());
    json!({"displayName": get["summary"], "get": method})
}
