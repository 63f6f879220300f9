//! Who answers: a gateway, or a data file.

mod file;
mod gateway;

use std::fmt;

use serde_json::Value;

use super::arguments::Place;
use super::question::Question;
use crate::Failure;
use crate::printer::Problem;

use self::file::Data;
use self::gateway::Gateway;

/// Where figures come from.
#[derive(Debug)]
pub enum Source {
    /// Whoever answers the analytics query at a URL.
    Gateway(Gateway),
    /// A file, opened for reading only.
    File(Data),
}

impl Source {
    /// The source that the flags name; a file is opened.
    pub fn new(place: &Place) -> Result<Source, Failure> {
        match &place.file {
            Some(file) => file::open(file).map(Source::File).map_err(Failure::Problem),
            None => Gateway::new(place).map(Source::Gateway).map_err(Failure::Arguments),
        }
    }

    /// The whole answer, as the resource gives it.
    pub fn ask(&self, question: &Question) -> Result<Value, Problem> {
        match self {
            Source::Gateway(gateway) => gateway.ask(question),
            Source::File(data) => data.ask(question),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Gateway(gateway) => gateway.fmt(f),
            Source::File(data) => data.fmt(f),
        }
    }
}
