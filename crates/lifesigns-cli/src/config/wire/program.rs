//! A program that is run: the keys that `[check.command]` and `[alert.command]` have in common.

use super::Optional;
use crate::config::fault::Fault;
use crate::config::reader::Reader;
use crate::config::tree::At;

/// What is run, and how it is called.
#[derive(Debug)]
pub struct Program {
    pub file: Optional<String>,
    pub arguments: Option<Vec<At<String>>>,
    pub environment: Option<Vec<At<String>>>,
    pub folder: Optional<String>,
}

/// Reads the keys, among others.
pub fn program(reader: &mut Reader<'_>, faults: &mut Vec<Fault>) -> Program {
    Program {
        file: reader.text("program", faults),
        arguments: reader.list("arguments", faults),
        environment: reader.list("environment", faults),
        folder: reader.text("folder", faults),
    }
}
