//! What is wrong with an option that somebody has set.

use std::fmt;

/// An option that cannot be what it was set to. `Display` is a sentence that begins with its name, and holds no secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadOption {
    /// Name of the option.
    pub option: &'static str,
    /// What is wrong with it, and how to mend it; reads on from the name.
    pub fault: String,
}

impl BadOption {
    /// Something is wrong with this option.
    pub fn new(option: &'static str, fault: impl Into<String>) -> BadOption {
        BadOption { option, fault: fault.into() }
    }
}

impl fmt::Display for BadOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.option, self.fault)
    }
}

impl std::error::Error for BadOption {}
