//! Does a program say that all is well, by its exit code?
//!
//! The program runs without a shell, without our environment, in a process group of its own. When the run is over, in
//! whatever way, the group is killed: what the program has started ends with it.
//!
//! ```
//! use lifesigns_checks::command;
//!
//! let postgres = command::check("postgres", command::Options {
//!     arguments: vec!["--host=db.example".into()],
//!     warn_codes: vec![1],
//!     ..command::Options::new("/usr/bin/pg_isready")
//! })?;
//! # Ok::<(), lifesigns_checks::BadOption>(())
//! ```

mod group;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use lifesigns::{Check, FailureKind, Report};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use self::group::{Graves, Group};
use crate::path::{absolute, failure_kind};
use crate::{BadOption, Secret};
use lifesigns::Redaction;

/// Of what the program prints, so many bytes are kept.
const LONGEST_OUTPUT: usize = 1024;

/// So long the output is read after the program has ended.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Which program, and what its exit codes mean.
#[derive(Clone, Eq, PartialEq)]
pub struct Options {
    /// The program's file, from the root.
    pub program: PathBuf,
    /// What it is called with; no shell looks at it.
    pub arguments: Vec<String>,
    /// All of its environment. Default: nothing, not even `PATH`.
    pub environment: Vec<(String, Secret)>,
    /// Where it runs. Default `/`.
    pub folder: PathBuf,
    /// Exit codes that warn; 0 always passes, and every other code fails. Default: none.
    pub warn_codes: Vec<u8>,
}

impl Options {
    /// A program without arguments.
    pub fn new(program: impl Into<PathBuf>) -> Options {
        Options {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: "/".into(),
            warn_codes: Vec::new(),
        }
    }
}

/// Without the arguments: a password may be among them.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { program, arguments, environment, folder, warn_codes } = self;
        f.debug_struct("Options")
            .field("program", program)
            .field("arguments", &format_args!("[… {} of them]", arguments.len()))
            .field("environment", environment)
            .field("folder", folder)
            .field("warn_codes", warn_codes)
            .finish()
    }
}

/// A check that runs a program.
pub fn check(name: &str, options: Options) -> Result<Check, BadOption> {
    absolute("program", &options.program)?;
    absolute("folder", &options.folder)?;
    if options.warn_codes.contains(&0) {
        return Err(BadOption::new("warn_codes", "holds 0, which is how a program says that all is well"));
    }
    if options.arguments.iter().any(|argument| argument.contains('\0')) {
        return Err(BadOption::new("arguments", "hold a NUL, which cannot be passed on"));
    }
    for (name, value) in &options.environment {
        if name.is_empty() || name.contains(['=', '\0']) || value.reveal().contains('\0') {
            return Err(BadOption::new("environment", format!("{name:?} cannot be set")));
        }
    }
    let options = Arc::new(options);
    let graves = Arc::new(Graves::default());
    Ok(Check::new(name, move || {
        let (options, graves) = (Arc::clone(&options), Arc::clone(&graves));
        async move { run(&options, graves).await.unwrap_or_else(|report| report) }
    }))
}

async fn run(options: &Options, graves: Arc<Graves>) -> Result<Report, Report> {
    let program = options.program.display();
    let broken = |error: io::Error| Report::fail(failure_kind(&error), format_args!("{program}: {error}"));
    graves.visit();
    let environment = options.environment.iter().map(|(name, value)| (name, value.reveal()));
    let mut child = Command::new(&options.program)
        .args(&options.arguments)
        .env_clear()
        .envs(environment)
        .current_dir(&options.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        // Tokio waits for it later, so that it does not stay as a zombie.
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| no_folder(&options.folder).unwrap_or_else(|| broken(error)))?;
    let group = Group::of(&child, graves);
    let (mut stdout, mut stderr) = (Pipe::of(child.stdout.take()), Pipe::of(child.stderr.take()));
    let status = loop {
        // The pipes are read to their ends, whatever is kept: a program whose pipe is full would wait for ever.
        tokio::select! {
            status = child.wait() => break status.map_err(broken)?,
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
    Ok(judge(options, status, &[stderr.kept, stdout.kept]))
}

/// The system tells in the same words that a program is missing and that its folder is.
fn no_folder(folder: &Path) -> Option<Report> {
    // The dot is there for whoever may enter the folder.
    let error = folder.join(".").metadata().err()?;
    Some(Report::fail(failure_kind(&error), format_args!("the folder {}: {error}", folder.display())))
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

fn judge(options: &Options, status: ExitStatus, printed: &[Vec<u8>]) -> Report {
    if status.success() {
        return Report::pass();
    }
    let program = options.program.display();
    let words = words(options, printed);
    let colon = if words.is_empty() { "" } else { ": " };
    let said = format!("{program}: {status}{colon}{words}");
    let is_warning =
        status.code().is_some_and(|code| options.warn_codes.iter().any(|warns| i32::from(*warns) == code));
    if is_warning { Report::warn(said) } else { Report::fail(FailureKind::Failed, said) }
}

/// What the program has printed, without the secrets that it was given.
fn words(options: &Options, printed: &[Vec<u8>]) -> String {
    let secrets = Redaction::of(options.environment.iter().map(|(_, value)| value.reveal()));
    let mut words = String::new();
    for text in printed {
        let said = String::from_utf8_lossy(text);
        words += &if text.len() == LONGEST_OUTPUT {
            secrets.hide_in_beginning(&said)
        } else {
            secrets.hide(&said)
        };
    }
    let end = words.floor_char_boundary(LONGEST_OUTPUT);
    words.truncate(end);
    words.trim().to_owned()
}
