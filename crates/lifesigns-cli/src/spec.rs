//! `lifesigns spec`: the health resources in somebody's own description of an API, OpenAPI 3 or RAML 1.0.
//!
//! A file is read twice: for what it says, and for where it says it. What is missing is put in as text, so that comments,
//! order, quotes and indentation stay as they are; then the result is read again, and must say what the file said and
//! what was added, and nothing else.

mod compare;
mod dialect;
mod insert;
mod tree;
mod wanted;
mod write;

use std::fs;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use lifesigns::ResourceKind;

use self::dialect::{BadFile, Document};
use self::insert::Layout;
use self::wanted::Wanted;
use crate::Failure;
use crate::printer::{self, Problem, escaped};

/// What to do with a description.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Put the health resources into an OpenAPI 3 or RAML 1.0 file; what is there stays as it is
    #[command(
        after_help = "Exit codes: 0 done, or nothing was missing; 1 a path is there with another meaning, and nothing \
                            was written; 2 no such file, or none that can be read.\n\
                            Example:\n  lifesigns spec add openapi.yaml --base-path /v1 --dry-run"
    )]
    Add(Add),
    /// Tell which health resources an OpenAPI 3 or RAML 1.0 file lacks
    #[command(
        after_help = "Exit codes: 0 nothing is missing; 1 something is; 2 no such file, or none that can be read."
    )]
    Check(Which),
}

/// `lifesigns spec add`
#[derive(Args, Debug)]
pub struct Add {
    #[command(flatten)]
    which: Which,
    /// Print the lines that would be added, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Write the result there instead; `-` is standard output
    #[arg(short, long, value_name = "FILE", conflicts_with = "dry_run")]
    output: Option<PathBuf>,
}

/// Which file, and what is to be in it.
#[derive(Args, Debug)]
pub struct Which {
    /// The description: OpenAPI 3.0 or 3.1 as YAML or JSON, or RAML 1.0
    file: PathBuf,
    /// A resource; can be given several times [default: all but maintenance]
    #[arg(long = "resource", value_name = "NAME")]
    resources: Vec<Resource>,
    /// What stands before the paths of the resources, such as `/v1`
    #[arg(long, value_name = "PATH", default_value = "")]
    base_path: String,
}

/// A resource that an API shows its callers.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Resource {
    Status,
    Health,
    HealthStatus,
    Livez,
    Readyz,
    Startupz,
    HealthDetails,
    Maintenance,
}

impl Resource {
    const fn kind(self) -> ResourceKind {
        match self {
            Resource::Status => ResourceKind::Status,
            Resource::Health => ResourceKind::Health,
            Resource::HealthStatus => ResourceKind::HealthStatus,
            Resource::Livez => ResourceKind::Livez,
            Resource::Readyz => ResourceKind::Readyz,
            Resource::Startupz => ResourceKind::Startupz,
            Resource::HealthDetails => ResourceKind::HealthDetails,
            Resource::Maintenance => ResourceKind::Maintenance,
        }
    }
}

impl Which {
    fn wanted(&self) -> Result<Vec<Wanted>, Failure> {
        let base = self.base_path.trim_end_matches('/');
        let is_plain = base.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte));
        if !base.is_empty() && (!base.starts_with('/') || !is_plain) {
            let problem = Problem::new(format!("--base-path {base} is no path"));
            return Err(Failure::Arguments(
                problem.hint("write a slash, then letters, digits and `-._~`, such as /v1"),
            ));
        }
        let mut kinds: Vec<ResourceKind> = self.resources.iter().map(|resource| resource.kind()).collect();
        if kinds.is_empty() {
            let all =
                Resource::value_variants().iter().filter(|resource| **resource != Resource::Maintenance);
            kinds.extend(all.map(|resource| resource.kind()));
        }
        wanted::resources(&kinds, base).map_err(Failure::Problem)
    }

    fn name(&self) -> String {
        self.file.display().to_string()
    }

    fn text(&self) -> Result<String, Failure> {
        fs::read(&self.file).map_err(|error| unreadable(&self.name(), &error)).and_then(|bytes| {
            String::from_utf8(bytes).map_err(|error| unreadable(&self.name(), &error.utf8_error()))
        })
    }

    /// The file, and what it says to each wanted resource.
    fn look(&self, text: &str, wanted: &[Wanted]) -> Result<(Document, Vec<Finding>), Failure> {
        let document = Document::read(text).map_err(|bad| self.bad(bad))?;
        let findings = wanted.iter().map(|wanted| document.find(wanted)).collect();
        Ok((document, findings))
    }

    fn bad(&self, bad: BadFile) -> Failure {
        let place = bad.line.map_or_else(|| self.name(), |line| format!("{}:{line}", self.name()));
        let mut problem = Problem::new(format!("{place}: {}", bad.message));
        problem.hint = bad.hint;
        Failure::Arguments(problem)
    }
}

fn unreadable(name: &str, error: &dyn std::error::Error) -> Failure {
    Failure::Arguments(Problem::new(format!("{name} cannot be read")).because(error))
}

/// What a file says to a resource.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Finding {
    /// It describes it.
    There,
    /// It does not name its path.
    Missing,
    /// It has its path, in this line, and describes it otherwise.
    Other {
        line: usize,
        differences: Vec<String>,
        /// Whether it means something else, rather than tells less.
        is_conflict: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// Why it did not do what it was asked for.
pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Add(add) => self::add(add),
        Command::Check(which) => check(which),
    }
}

fn check(which: &Which) -> Result<(), Failure> {
    let (wanted, text) = (which.wanted()?, which.text()?);
    let (_, findings) = which.look(&text, &wanted)?;
    let mut lines = Vec::new();
    let name = escaped(&which.name());
    for (wanted, finding) in wanted.iter().zip(&findings) {
        match finding {
            Finding::There => {}
            Finding::Missing => lines.push(format!("{name}: {} is missing", escaped(&wanted.path))),
            Finding::Other { line, differences, .. } => {
                lines.extend(
                    differences
                        .iter()
                        .map(|it| format!("{name}:{line}: {}: {}", escaped(&wanted.path), escaped(it))),
                );
            }
        }
    }
    if lines.is_empty() {
        let line = format!("{name} describes all {} resources", wanted.len());
        return printer::result(&line).map_err(Failure::Output);
    }
    printer::result(&lines.join("\n")).map_err(Failure::Output)?;
    Err(Failure::Nothing)
}

fn add(add: &Add) -> Result<(), Failure> {
    let which = &add.which;
    let (wanted, text) = (which.wanted()?, which.text()?);
    let (document, findings) = which.look(&text, &wanted)?;
    if let Some(problem) = conflicts(which, &wanted, &findings) {
        return Err(Failure::Problem(problem));
    }
    let missing: Vec<&Wanted> = wanted
        .iter()
        .zip(&findings)
        .filter(|(_, finding)| **finding == Finding::Missing)
        .map(|(it, _)| it)
        .collect();
    let added = document.additions(&missing);
    let edits = Layout::of(&text, &document).edits(&added).map_err(|bad| which.bad(bad))?;
    let result = insert::apply(&text, &edits);
    if !document.is_what_it_was_with(&added, &result) {
        let problem = Problem::new(format!(
            "{}: the resources could not be put in safely; nothing was written",
            which.name()
        ));
        return Err(Failure::Problem(
            problem.hint("`lifesigns spec add --dry-run` shows what would have been added"),
        ));
    }
    let name = escaped(&which.name());
    if add.dry_run {
        let lines: String =
            edits.iter().flat_map(|edit| edit.text.lines()).map(|line| format!("+{line}\n")).collect();
        return printer::lines(&lines).map_err(Failure::Output);
    }
    match &add.output {
        Some(output) if output.as_os_str() == "-" => return printer::lines(&result).map_err(Failure::Output),
        Some(output) => write::replace(output, &result).map_err(Failure::Problem)?,
        None if missing.is_empty() => {}
        None => write::replace(&which.file, &result).map_err(Failure::Problem)?,
    }
    let line = match missing.as_slice() {
        [] => format!("{name} describes all {} resources already", wanted.len()),
        missing => {
            let paths: Vec<String> = missing.iter().map(|wanted| escaped(&wanted.path)).collect();
            format!("added to {name}: {}", paths.join(", "))
        }
    };
    printer::result(&line).map_err(Failure::Output)
}

fn conflicts(which: &Which, wanted: &[Wanted], findings: &[Finding]) -> Option<Problem> {
    let mut causes = Vec::new();
    for (wanted, finding) in wanted.iter().zip(findings) {
        if let Finding::Other { line, differences, is_conflict: true } = finding {
            causes.push(format!("{}:{line}: {}: {}", which.name(), wanted.path, differences.join("; ")));
        }
    }
    if causes.is_empty() {
        return None;
    }
    let mut problem =
        Problem::new(format!("{} has these paths with another meaning; nothing was written", which.name()));
    problem.causes = causes;
    Some(problem.hint(
        "leave a resource out by naming the others with --resource, or move all of them with --base-path",
    ))
}

#[cfg(test)]
mod tests;
