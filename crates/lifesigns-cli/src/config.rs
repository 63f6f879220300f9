//! Configuration, in three steps: `wire` (of the right kind), `validated` (makes sense), `built` (runs).
//!
//! Flags, environment and file are laid over each other before the first step, so that the rest need not know where
//! a setting came from: flags are the same thing as a file with one API.

pub mod built;
pub mod fault;
mod masking;
mod openapi;
pub mod overrides;
pub mod page;
pub mod reader;
pub mod reference;
pub mod tree;
pub mod validated;
mod wire;

use std::path::Path;

use fault::{Fault, Faults, Place, Source};
use masking::Secrets;
use tree::{At, Table};
use validated::{Services, Settings, Surroundings};

/// Reads a configuration file and lays the environment over it.
///
/// # Errors
/// Every fault in it, and that it cannot be read at all.
pub fn from_file(path: &Path, surroundings: &dyn Surroundings) -> Result<Settings, Faults> {
    from_file_and_flags(path, &[], surroundings)
}

/// Reads a configuration file, lays the environment over it, and flags over that.
///
/// # Errors
/// Every fault in them, and that the file cannot be read at all.
pub fn from_file_and_flags(
    path: &Path,
    flags: &[Flag<'_>],
    surroundings: &dyn Surroundings,
) -> Result<Settings, Faults> {
    with_file(path, surroundings, |source, folder| from_text(source, folder, flags, surroundings))
}

/// Reads the services that a configuration file names, and lays the environment over it. Of the rest it looks at no file
/// and no variable.
///
/// # Errors
/// Every fault in them, what is no configuration at all, and that the file cannot be read.
pub fn services_from_file(path: &Path, surroundings: &dyn Surroundings) -> Result<Services, Faults> {
    with_file(path, surroundings, |source, folder| {
        read_text(source, &[], surroundings, |document, faults| {
            validated::validate_services(document, folder, surroundings, faults)
        })
    })
}

/// Reads the text of a file, and finds its folder.
fn with_file<T>(
    path: &Path,
    surroundings: &dyn Surroundings,
    read: impl FnOnce(Source, &Path) -> Result<T, Faults>,
) -> Result<T, Faults> {
    let text = surroundings.read(path).map_err(|error| {
        let fault = Fault::new(&Place::Nowhere, format!("{} cannot be read: {error}", path.display()))
            .hint("give the file's name, or write one: docs/configuration.md begins with an example");
        Faults::new(None, vec![fault], &Secrets::default())
    })?;
    let source = Source::new(path.display().to_string(), text);
    // Checks refuse a path that depends on where the process was started, and so is what follows made not to.
    let whole = std::path::absolute(path).map_err(|error| {
        let fault = Fault::new(&Place::Nowhere, format!("the working directory is not known: {error}"))
            .hint("give the file's name from the root");
        Faults::new(None, vec![fault], &Secrets::default())
    })?;
    read(source, whole.parent().unwrap_or(&whole))
}

/// Reads the text of a configuration file, and lays environment and flags over it. What it names is in `folder`, which
/// begins with `/`.
///
/// # Errors
/// Every fault in it.
pub fn from_text(
    source: Source,
    folder: &Path,
    flags: &[Flag<'_>],
    surroundings: &dyn Surroundings,
) -> Result<Settings, Faults> {
    read_text(source, flags, surroundings, |document, faults| {
        validated::validate(document, folder, surroundings, faults)
    })
}

fn read_text<T>(
    source: Source,
    flags: &[Flag<'_>],
    surroundings: &dyn Surroundings,
    weigh: impl FnOnce(&wire::Document, &mut Vec<Fault>) -> Option<T>,
) -> Result<T, Faults> {
    let (root, mut faults) = tree::parse(&source.text);
    if faults.is_empty() {
        from_tree(root, Some(source), flags, surroundings, weigh)
    } else {
        // What is missing may only be hidden by the faults in syntax: of the rest only what stands on other lines
        // is certain.
        let mut others = Vec::new();
        wire::read(&root, &mut others);
        let line_of = |fault: &Fault| match &fault.place {
            Place::File(span) => Some(source.excerpt(span).line),
            _ => None,
        };
        let lines: Vec<_> = faults.iter().map(line_of).collect();
        others.retain(|fault| !lines.contains(&line_of(fault)));
        faults.extend(others);
        Err(Faults::new(Some(source), faults, &Secrets::of(&root.value)))
    }
}

/// Takes what flags say and lays it over the environment.
///
/// # Errors
/// Every fault in them.
pub fn from_flags(flags: &[Flag<'_>], surroundings: &dyn Surroundings) -> Result<Settings, Faults> {
    from_tree(At::new(Table::default(), Place::Nowhere), None, flags, surroundings, |document, faults| {
        validated::validate(document, Path::new(""), surroundings, faults)
    })
}

/// Takes names and URLs of services to watch, and lays environment and flags over them.
///
/// # Errors
/// Every fault in them.
pub fn from_services(
    services: &[(String, String)],
    flags: &[Flag<'_>],
    surroundings: &dyn Surroundings,
) -> Result<Settings, Faults> {
    let place = Place::Flag("URL");
    let entry = |key: &str, value: &str| {
        let value = tree::Value::Text(value.to_owned());
        (At::new(key.to_owned(), place.clone()), At::new(value, place.clone()))
    };
    let mut root = Table::default();
    for (name, url) in services {
        root.push("service", Table { entries: vec![entry("name", name), entry("url", url)] }, &place);
    }
    from_tree(At::new(root, Place::Nowhere), None, flags, surroundings, |document, faults| {
        validated::validate(document, Path::new(""), surroundings, faults)
    })
}

/// A flag and the key that it sets.
#[derive(Clone, Copy, Debug)]
pub struct Flag<'a> {
    /// Name, with its dashes.
    pub name: &'static str,
    /// The key.
    pub path: &'static [tree::Step],
    /// What it was given.
    pub value: Option<&'a str>,
}

fn from_tree<T>(
    mut root: At<Table>,
    source: Option<Source>,
    flags: &[Flag<'_>],
    surroundings: &dyn Surroundings,
    weigh: impl FnOnce(&wire::Document, &mut Vec<Fault>) -> Option<T>,
) -> Result<T, Faults> {
    let mut faults = Vec::new();
    overrides::apply(&mut root.value, |name| surroundings.variable(name), &mut faults);
    for flag in flags {
        let Some(text) = flag.value else { continue };
        root.value.set(flag.path, At::new(tree::Value::Text(text.to_owned()), Place::Flag(flag.name)));
    }
    let document = wire::read(&root, &mut faults);
    weigh(&document, &mut faults).ok_or_else(|| Faults::new(source, faults, &Secrets::of(&root.value)))
}

#[cfg(test)]
mod tests;
