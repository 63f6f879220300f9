//! A message for a program on this machine.
//!
//! It runs without a shell and without our environment, and reads the message as JSON from its standard input. What ends
//! with code 0 has taken it; what it has started ends with it.

use std::path::PathBuf;
use std::time::Duration;

use lifesigns::{BadOption, Redaction};
use lifesigns_program::{Program, Runner};

use super::webhook::deadline;
use super::{DEADLINE, Undelivered};
use crate::alerts::outbox::Delivery;
use crate::alerts::payload::Payload;

/// How our own variables begin.
const OUR_PREFIX: &str = "LIFESIGNS_";

/// Which program.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommandOptions {
    /// The program. In its environment are also the `LIFESIGNS_…` that tell of the message.
    pub program: Program,
    /// How long it may take. Default 10 s.
    pub deadline: Duration,
}

impl CommandOptions {
    /// A program without arguments.
    pub fn new(program: impl Into<PathBuf>) -> CommandOptions {
        CommandOptions { program: Program::new(program), deadline: DEADLINE }
    }
}

/// A program that takes messages.
#[derive(Clone, Debug)]
pub struct Command {
    runner: Runner,
    deadline: Duration,
    receiver: String,
    redaction: Redaction,
}

impl Command {
    /// Checks the options.
    ///
    /// # Errors
    /// When one of them cannot be used. That there is no such program is told when it is to run.
    pub fn new(options: CommandOptions) -> Result<Command, BadOption> {
        let CommandOptions { program, deadline: patience } = options;
        if let Some((name, _)) = program.environment.iter().find(|(name, _)| name.starts_with(OUR_PREFIX)) {
            let fault = format!("{name:?} is set by us; choose another name");
            return Err(BadOption::new("environment", fault));
        }
        deadline(patience)?;
        // An argument may be a password. Those that are not make holes in what the program says, and no harm.
        let secrets = program.environment.iter().map(|(_, value)| value.reveal());
        let redaction = Redaction::of(secrets.chain(program.arguments.iter().map(String::as_str)));
        let receiver = program.file.display().to_string();
        Ok(Command { runner: Runner::new(program)?, deadline: patience, receiver, redaction })
    }

    pub(super) const fn deadline(&self) -> Duration {
        self.deadline
    }

    pub(super) fn receiver(&self) -> &str {
        &self.receiver
    }

    pub(super) async fn send(&self, delivery: &Delivery) -> Result<(), Undelivered> {
        let payload = Payload::of(delivery);
        let input = payload.json().into_bytes();
        let run = self.runner.run(&told(&payload, delivery), Some(input)).await;
        let run = run.map_err(|error| Undelivered::for_now(&format!("{}: {error}", self.receiver)))?;
        if run.status.success() {
            return Ok(());
        }
        let said = run.said(&self.redaction);
        let colon = if said.is_empty() { "" } else { ": " };
        Err(Undelivered::for_now(&format!("{}: {}{colon}{said}", self.receiver, run.status)))
    }
}

/// What a script needs most, without reading JSON.
fn told<'a>(payload: &'a Payload, delivery: &'a Delivery) -> [(&'static str, &'a str); 7] {
    [
        ("LIFESIGNS_ID", payload.id()),
        ("LIFESIGNS_INCIDENT", payload.incident()),
        ("LIFESIGNS_ROUTE", payload.route()),
        ("LIFESIGNS_KIND", delivery.message.kind.word()),
        ("LIFESIGNS_LIGHT", payload.light()),
        ("LIFESIGNS_TITLE", payload.title()),
        ("LIFESIGNS_LINK", payload.link().unwrap_or_default()),
    ]
}

#[cfg(test)]
mod tests {
    use lifesigns::Secret;

    use super::*;

    #[test]
    fn what_cannot_be_used_is_told_without_secrets() {
        let check = |set: &dyn Fn(&mut CommandOptions), words: &str| {
            let mut options = CommandOptions::new("/bin/true");
            set(&mut options);
            let told = Command::new(options).unwrap_err().to_string();
            assert!(told.contains(words) && !told.contains("opensesame"), "{told}");
        };
        let variable = |name: &str, value: &str| vec![(name.to_owned(), Secret::new(value))];
        check(&|options| options.program.file = "page".into(), "`program` page is not a whole path");
        check(&|options| options.program.folder = "tmp".into(), "`folder` tmp");
        check(
            &|options| options.program.arguments = vec!["opensesame\0".to_owned()],
            "`arguments` hold a NUL",
        );
        check(
            &|options| options.program.environment = variable("A=B", "opensesame"),
            "\"A=B\" cannot be set",
        );
        check(&|options| options.program.environment = variable("A", "opensesame\0"), "\"A\" cannot be set");
        check(&|options| options.program.environment = variable("LIFESIGNS_ID", "1"), "is set by us");
        check(&|options| options.deadline = Duration::ZERO, "`deadline`");
    }

    #[test]
    fn no_secret_is_printed() {
        let mut options = CommandOptions::new("/bin/true");
        options.program.arguments.push("--password=opensesame".to_owned());
        options.program.environment.push(("TOKEN".to_owned(), Secret::new("opensesame")));
        let printed = format!("{:?} {:?}", options.clone(), Command::new(options).unwrap());
        assert!(!printed.contains("opensesame") && printed.contains("TOKEN"), "{printed}");
    }
}
