//! Running a program of somebody else: without a shell, without our environment, in a process group of its own. When a
//! run is over, in whatever way, the group is killed: what the program has started ends with it.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use lifesigns_program::{Program, Runner};
//!
//! let program = Program { arguments: vec!["-c".into(), "cat".into()], ..Program::new("/bin/sh") };
//! let runner = Runner::new(program)?;
//! let run = runner.run(&[], Some("hello".into())).await?;
//! assert!(run.status.success());
//! assert_eq!(run.said(&lifesigns::Redaction::default()), "hello");
//! # Ok(())
//! # }
//! ```

mod group;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use lifesigns::{BadOption, Redaction, Secret};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, Command};
use tokio::time::timeout;

use self::group::{Graves, Group};

/// Of what the program prints, so many bytes of each of its two streams are kept.
const LONGEST_OUTPUT: usize = 1024;

/// So long the output is read after the program has ended.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Which program, and how it is called.
#[derive(Clone, Eq, PartialEq)]
pub struct Program {
    /// Its file, from the root.
    pub file: PathBuf,
    /// What it is called with; no shell looks at it.
    pub arguments: Vec<String>,
    /// All of its environment but what a run adds. Default: nothing, not even `PATH`.
    pub environment: Vec<(String, Secret)>,
    /// Where it runs. Default `/`.
    pub folder: PathBuf,
}

impl Program {
    /// A program without arguments.
    pub fn new(file: impl Into<PathBuf>) -> Program {
        let (arguments, environment) = (Vec::new(), Vec::new());
        Program { file: file.into(), arguments, environment, folder: "/".into() }
    }

    fn validate(&self) -> Result<(), BadOption> {
        for (option, path) in [("program", &self.file), ("folder", &self.folder)] {
            if !path.is_absolute() {
                let fault = format!("{} is not a whole path; let it begin with `/`", path.display());
                return Err(BadOption::new(option, fault));
            }
        }
        if self.arguments.iter().any(|argument| argument.contains('\0')) {
            return Err(BadOption::new("arguments", "hold a NUL, which cannot be passed on"));
        }
        for (name, value) in &self.environment {
            if name.is_empty() || name.contains(['=', '\0']) || value.reveal().contains('\0') {
                return Err(BadOption::new("environment", format!("{name:?} cannot be set")));
            }
        }
        Ok(())
    }
}

/// Without the arguments: a password may be among them.
impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Program { file, arguments, environment, folder } = self;
        f.debug_struct("Program")
            .field("file", file)
            .field("arguments", &format_args!("[… {} of them]", arguments.len()))
            .field("environment", environment)
            .field("folder", folder)
            .finish()
    }
}

/// Runs a program, as often as it is asked to. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Runner {
    program: Arc<Program>,
    graves: Arc<Graves>,
}

impl Runner {
    /// Checks how the program is called.
    ///
    /// # Errors
    /// When it cannot be called so. That there is no such program is told when it is to run.
    pub fn new(program: Program) -> Result<Runner, BadOption> {
        program.validate()?;
        Ok(Runner { program: Arc::new(program), graves: Arc::default() })
    }

    /// What is run.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Runs the program to its end, or until the future is dropped. `more` stands in its environment as well, and over
    /// what is set there; `input` is what it reads, otherwise it reads nothing.
    ///
    /// # Errors
    /// When it cannot be started. How it ends is no error.
    pub async fn run(&self, more: &[(&str, &str)], input: Option<Vec<u8>>) -> io::Result<Run> {
        let program = &*self.program;
        self.graves.visit();
        let mut child = Command::new(&program.file)
            .args(&program.arguments)
            .env_clear()
            .envs(program.environment.iter().map(|(name, value)| (name, value.reveal())))
            .envs(more.iter().copied())
            .current_dir(&program.folder)
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            // Tokio waits for it later, so that it does not stay as a zombie.
            .kill_on_drop(true)
            .spawn()?;
        let group = Group::of(&child, Arc::clone(&self.graves));
        let (mut stdout, mut stderr) = (Pipe::of(child.stdout.take()), Pipe::of(child.stderr.take()));
        let mut feeding = std::pin::pin!(feed(child.stdin.take(), input.unwrap_or_default()));
        let mut is_fed = false;
        let status = loop {
            // The pipes are read to their ends, whatever is kept: a program whose pipe is full would wait for ever.
            tokio::select! {
                status = child.wait() => break status?,
                () = &mut feeding, if !is_fed => is_fed = true,
                () = stdout.read() => {}
                () = stderr.read() => {}
            }
        };
        drop(group);
        // What the program has printed is in the pipes by now. Somebody who has left its group may hold them open.
        let last_words = async {
            while stdout.reader.is_some() || stderr.reader.is_some() {
                tokio::select! {
                    () = stdout.read() => {}
                    () = stderr.read() => {}
                }
            }
        };
        // That it takes longer means only that nothing more is to be read from the program itself.
        let _ = timeout(LAST_WORDS, last_words).await;
        Ok(Run { status, printed: [stderr.kept, stdout.kept] })
    }
}

/// How a program has ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Run {
    /// How.
    pub status: ExitStatus,
    /// The beginnings of what it has printed, to standard error and to standard output.
    printed: [Vec<u8>; 2],
}

impl Run {
    /// What it has printed, errors first, without secrets and at most a kibibyte of each of the two.
    pub fn said(&self, secrets: &Redaction) -> String {
        let readable = |printed: &Vec<u8>| {
            let text = String::from_utf8_lossy(printed);
            if printed.len() < LONGEST_OUTPUT {
                secrets.hide(&text)
            } else {
                secrets.hide_in_beginning(&text)
            }
        };
        let said: String = self.printed.iter().map(readable).collect();
        said.trim().to_owned()
    }
}

/// A program that does not want to read it all is told nothing wrong by that: its exit code tells.
async fn feed(stdin: Option<ChildStdin>, input: Vec<u8>) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(&input).await;
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
