//! Options of which parts know more than a configuration does: where each was written, and those that are secrets.

use std::path::PathBuf;

use lifesigns::{BadOption, Secret};
use lifesigns_checks::command::Program;

use super::Checks;
use crate::config::fault::{Fault, Place};
use crate::config::tree::At;
use crate::config::wire::program as wire;

/// Under which key and where each option was written, for what the part itself finds wrong with it.
#[derive(Default)]
pub(super) struct Written(Vec<(&'static str, &'static str, Place)>);

impl Written {
    /// An option whose key is called as it is.
    pub(super) fn at<T>(&mut self, option: &'static str, written: Option<&At<T>>) {
        self.under(option, option, written);
    }

    /// An option whose key is called otherwise, mostly for its unit.
    pub(super) fn under<T>(&mut self, option: &'static str, key: &'static str, written: Option<&At<T>>) {
        self.0.extend(written.map(|at| (option, key, at.place.clone())));
    }

    /// The fault in the words of the file. Where only the other of two options that contradict each other was
    /// written, it is there; where none was, it is at the table.
    pub(super) fn fault(&self, bad: &BadOption, table: &Place) -> Fault {
        let mut message = bad.to_string();
        let named = |option: &str| message.contains(&format!("`{option}`"));
        let of_option = self.0.iter().find(|(option, ..)| *option == bad.option);
        let place = of_option.or_else(|| self.0.iter().find(|(option, ..)| named(option)));
        let place = place.map_or(table, |(.., place)| place).clone();
        for (option, key, _) in self.0.iter().filter(|(option, key, _)| option != key) {
            message = message.replace(&format!("`{option}`"), &format!("`{key}`"));
        }
        Fault::new(&place, message)
    }
}

/// There is a fault, and it is among the others already.
pub(super) struct Told;

/// A secret from the environment or a file, if there is one.
///
/// # Errors
/// There is a fault, and it has been told.
pub(super) fn secret(
    [env_key, file_key]: [&str; 2],
    variable: Option<&At<String>>,
    file: Option<&At<String>>,
    weigh: &mut Checks<'_>,
) -> Result<Option<String>, Told> {
    match (variable, file) {
        (None, None) => Ok(None),
        (Some(variable), None) => {
            let value = weigh.surroundings.variable(&variable.value);
            if value.is_none() {
                weigh.fault(Fault::new(
                    &variable.place,
                    format!("`{env_key}`: the environment variable {} is not set", variable.value),
                ));
            }
            value.map(Some).ok_or(Told)
        }
        // An editor's line end is no part of a secret.
        (None, Some(file)) => {
            let text = weigh.read(file_key, file).ok_or(Told)?;
            Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
        }
        (Some(_), Some(file)) => {
            weigh.fault(
                Fault::new(&file.place, format!("`{env_key}` and `{file_key}` say the same"))
                    .hint("keep one of them"),
            );
            Err(Told)
        }
    }
}

/// What must be there.
pub(super) fn needed<'w, T>(
    key: &str,
    written: Option<&'w At<T>>,
    place: &Place,
    weigh: &mut Checks<'_>,
) -> Option<&'w At<T>> {
    if written.is_none() {
        weigh.fault(Fault::new(place, format!("`{key}` is missing")));
    }
    written
}

/// The file that must be named.
pub(super) fn needed_path(
    key: &str,
    written: Option<&At<String>>,
    place: &Place,
    weigh: &mut Checks<'_>,
) -> Option<PathBuf> {
    needed(key, written, place, weigh).map(|path| weigh.path(path))
}

/// A program that is run.
pub(super) fn program(
    place: &Place,
    written: &wire::Program,
    places: &mut Written,
    weigh: &mut Checks<'_>,
) -> Option<Program> {
    places.at("program", written.file.as_ref());
    places.at("arguments", written.arguments.iter().flatten().next());
    places.at("environment", written.environment.iter().flatten().next());
    places.at("folder", written.folder.as_ref());
    let mut program = Program::new(needed_path("program", written.file.as_ref(), place, weigh)?);
    program.arguments = written.arguments.iter().flatten().map(|at| at.value.clone()).collect();
    program.environment = environment(written.environment.as_deref(), weigh)?;
    if let Some(folder) = &written.folder {
        program.folder = weigh.path(folder);
    }
    Some(program)
}

/// Variables for a program: `NAME=value`, or `NAME` alone for one of this process.
fn environment(written: Option<&[At<String>]>, weigh: &mut Checks<'_>) -> Option<Vec<(String, Secret)>> {
    let mut environment = Vec::new();
    for variable in written.unwrap_or_default() {
        let pair = match variable.value.split_once('=') {
            Some(("", _)) => {
                weigh.fault(
                    Fault::new(&variable.place, "`environment` has a value without a name")
                        .hint("write \"NAME=value\", or \"NAME\" alone to hand on what this process has"),
                );
                return None;
            }
            Some((name, value)) => (name.to_owned(), Secret::new(value)),
            None => match weigh.surroundings.variable(&variable.value) {
                Some(value) => (variable.value.clone(), Secret::new(value)),
                None => {
                    let message = format!("`environment`: the variable {} is not set", variable.value);
                    weigh.fault(Fault::new(&variable.place, message));
                    return None;
                }
            },
        };
        environment.push(pair);
    }
    Some(environment)
}
