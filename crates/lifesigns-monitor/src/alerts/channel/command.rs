//! A message for a program on this machine.
//!
//! The program runs without a shell and without our environment, in a process group of its own. It reads the message as
//! JSON from its standard input; what ends with code 0 has taken it. When the attempt is over, in whatever way, the group
//! is killed: what the program has started ends with it.

mod group;

use std::fmt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use lifesigns::BadOption;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::ChildStdin;
use tokio::time::timeout;

use self::group::{Group, Orphans};
use super::webhook::deadline;
use super::{DEADLINE, Undelivered};
use crate::alerts::outbox::Delivery;
use crate::alerts::payload::Payload;
use lifesigns::{Redaction, Secret};

/// Of what the program prints, so many bytes are kept.
const LONGEST_OUTPUT: usize = 1_024;
/// So long its output is read after the program has ended.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// How our own variables begin.
const OUR_PREFIX: &str = "LIFESIGNS_";

/// Which program.
#[derive(Clone, Eq, PartialEq)]
pub struct CommandOptions {
    /// The program's file, from the root.
    pub program: PathBuf,
    /// What it is called with; no shell looks at it.
    pub arguments: Vec<String>,
    /// All of its environment besides the `LIFESIGNS_…` that tell of the message. Default: nothing, not even `PATH`.
    pub environment: Vec<(String, Secret)>,
    /// Where it runs. Default `/`.
    pub folder: PathBuf,
    /// How long it may take. Default 10 s.
    pub deadline: Duration,
}

impl CommandOptions {
    /// A program without arguments.
    pub fn new(program: impl Into<PathBuf>) -> CommandOptions {
        CommandOptions {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: "/".into(),
            deadline: DEADLINE,
        }
    }
}

/// Without the arguments: a password may be among them.
impl fmt::Debug for CommandOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CommandOptions { program, arguments, environment, folder, deadline } = self;
        f.debug_struct("CommandOptions")
            .field("program", program)
            .field("arguments", &format_args!("[… {} of them]", arguments.len()))
            .field("environment", environment)
            .field("folder", folder)
            .field("deadline", deadline)
            .finish()
    }
}

/// A program that takes messages.
#[derive(Clone)]
pub struct Command {
    options: CommandOptions,
    orphans: Arc<Orphans>,
    receiver: String,
    redaction: Redaction,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Command").field(&self.options).finish()
    }
}

impl Command {
    /// Checks the options.
    ///
    /// # Errors
    /// When one of them cannot be used. That there is no such program is told when it is to run.
    pub fn new(options: CommandOptions) -> Result<Command, BadOption> {
        for (option, path) in [("program", &options.program), ("folder", &options.folder)] {
            if !path.is_absolute() {
                let fault = format!("{} is not a whole path; let it begin with `/`", path.display());
                return Err(BadOption::new(option, fault));
            }
        }
        if options.arguments.iter().any(|argument| argument.contains('\0')) {
            return Err(BadOption::new("arguments", "hold a NUL, which cannot be passed on"));
        }
        for (name, value) in &options.environment {
            if name.is_empty() || name.contains(['=', '\0']) || value.reveal().contains('\0') {
                return Err(BadOption::new("environment", format!("{name:?} cannot be set")));
            }
            if name.starts_with(OUR_PREFIX) {
                return Err(BadOption::new(
                    "environment",
                    format!("{name:?} is set by us; choose another name"),
                ));
            }
        }
        deadline(options.deadline)?;
        // An argument may be a password. Those that are not make holes in what the program says, and no harm.
        let secrets = options.environment.iter().map(|(_, value)| value.reveal());
        let redaction = Redaction::of(secrets.chain(options.arguments.iter().map(String::as_str)));
        let receiver = options.program.display().to_string();
        Ok(Command { options, orphans: Arc::default(), receiver, redaction })
    }

    pub(super) const fn deadline(&self) -> Duration {
        self.options.deadline
    }

    pub(super) fn receiver(&self) -> &str {
        &self.receiver
    }

    pub(super) async fn send(&self, delivery: &Delivery) -> Result<(), Undelivered> {
        self.orphans.collect();
        let payload = Payload::of(delivery);
        let broken = |error| Undelivered::for_now(&format!("{}: {error}", self.receiver));
        let mut child = tokio::process::Command::new(&self.options.program)
            .args(&self.options.arguments)
            .env_clear()
            .envs(self.options.environment.iter().map(|(name, value)| (name, value.reveal())))
            .envs(told(&payload, delivery))
            .current_dir(&self.options.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            // Tokio waits for it later, so that it does not stay as a zombie.
            .kill_on_drop(true)
            .spawn()
            .map_err(broken)?;
        let group = Group::of(&child, Arc::clone(&self.orphans));
        let (mut stdout, mut stderr) = (Pipe::of(child.stdout.take()), Pipe::of(child.stderr.take()));
        let stdin = child.stdin.take();
        let mut feeding = std::pin::pin!(feed(stdin, payload.json()));
        let mut is_fed = false;
        let status = loop {
            // The pipes are read to their ends, whatever is kept: a program whose pipe is full would wait for ever.
            tokio::select! {
                status = child.wait() => break status.map_err(broken)?,
                () = &mut feeding, if !is_fed => is_fed = true,
                () = stdout.read() => {}
                () = stderr.read() => {}
            }
        };
        drop(group);
        let last_words = async {
            while stdout.reader.is_some() || stderr.reader.is_some() {
                tokio::select! {
                    () = stdout.read() => {}
                    () = stderr.read() => {}
                }
            }
        };
        // Somebody who has left the group may hold them open: then nothing more is to be read from the program itself.
        let _ = timeout(LAST_WORDS, last_words).await;
        if status.success() {
            return Ok(());
        }
        let said: String = [stderr.kept, stdout.kept].iter().map(|kept| self.readable(kept)).collect();
        let colon = if said.trim().is_empty() { "" } else { ": " };
        Err(Undelivered::for_now(&format!("{}: {status}{colon}{}", self.receiver, said.trim())))
    }
}

impl Command {
    /// What was printed, without secrets.
    fn readable(&self, kept: &[u8]) -> String {
        let text = String::from_utf8_lossy(kept);
        if kept.len() < LONGEST_OUTPUT {
            self.redaction.hide(&text)
        } else {
            self.redaction.hide_in_beginning(&text)
        }
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

/// A program that does not want to read it all is told nothing wrong by that: its exit code tells.
async fn feed(stdin: Option<ChildStdin>, text: String) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(text.as_bytes()).await;
        let _ = stdin.shutdown().await;
    }
}

/// What a program prints.
struct Pipe<R> {
    /// Nothing once it has ended.
    reader: Option<R>,
    /// The first of it, at most [`LONGEST_OUTPUT`] bytes.
    kept: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Pipe<R> {
    fn of(reader: Option<R>) -> Pipe<R> {
        Pipe { reader, kept: Vec::new() }
    }

    /// Reads once, and keeps what there is room for. Never comes back where there is nothing to be read any more.
    async fn read(&mut self) {
        let Some(reader) = &mut self.reader else { return std::future::pending().await };
        let mut piece = [0; 4096];
        match reader.read(&mut piece).await {
            Ok(0) | Err(_) => self.reader = None,
            Ok(length) => {
                let room = LONGEST_OUTPUT.saturating_sub(self.kept.len());
                self.kept.extend_from_slice(&piece[..length.min(room)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
        check(&|options| options.program = "page".into(), "`program` page is not a whole path");
        check(&|options| options.folder = "tmp".into(), "`folder` tmp");
        check(&|options| options.arguments = vec!["opensesame\0".to_owned()], "`arguments` hold a NUL");
        check(&|options| options.environment = variable("A=B", "opensesame"), "\"A=B\" cannot be set");
        check(&|options| options.environment = variable("A", "opensesame\0"), "\"A\" cannot be set");
        check(&|options| options.environment = variable("LIFESIGNS_ID", "1"), "is set by us");
        check(&|options| options.deadline = Duration::ZERO, "`deadline`");
    }

    #[test]
    fn no_secret_is_printed() {
        let options = CommandOptions {
            arguments: vec!["--password=opensesame".to_owned()],
            environment: vec![("TOKEN".to_owned(), Secret::new("opensesame"))],
            ..CommandOptions::new("/bin/true")
        };
        let printed = format!("{:?} {:?}", options.clone(), Command::new(options).unwrap());
        assert!(!printed.contains("opensesame") && printed.contains("TOKEN"), "{printed}");
    }
}
