//! What is measured, how often and for how long.

use std::{path::PathBuf, time::Duration};

use crate::{Outcome, USAGE};

/// What the command line may change.
pub(crate) struct Options {
    /// The binary.
    pub(crate) lifesigns: PathBuf,
    pub(crate) rounds: usize,
    /// Of one measurement.
    pub(crate) duration: Duration,
    /// Requests a second; 0: as fast as possible.
    pub(crate) rate: u32,
    pub(crate) connections: u32,
    only: Option<Vec<String>>,
}

impl Options {
    pub(crate) fn new(rounds: usize, duration: Duration, connections: u32) -> Options {
        let lifesigns = PathBuf::from("target/release/lifesigns");
        Options { lifesigns, rounds, duration, rate: 6000, connections, only: None }
    }

    /// These, changed by what the command line says.
    pub(crate) fn changed(mut self, mut arguments: impl Iterator<Item = String>) -> Outcome<Options> {
        while let Some(flag) = arguments.next() {
            let value = arguments.next().ok_or(USAGE)?;
            match flag.as_str() {
                "--lifesigns" => self.lifesigns = value.into(),
                "--rounds" => self.rounds = value.parse()?,
                "--seconds" => self.duration = Duration::from_secs_f64(value.parse()?),
                "--rate" => self.rate = value.parse()?,
                "--connections" => self.connections = value.parse()?,
                "--only" => self.only = Some(value.split(',').map(str::to_owned).collect()),
                _ => return Err(USAGE.into()),
            }
        }
        Ok(self)
    }

    /// Whether this is to be measured at all.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|own| own == name))
    }

    /// The binary, from wherever it is started.
    pub(crate) fn program(&self) -> Outcome<PathBuf> {
        let missing = |error| format!("{}: {error}; build it with --release first", self.lifesigns.display());
        Ok(self.lifesigns.canonicalize().map_err(missing)?)
    }
}
