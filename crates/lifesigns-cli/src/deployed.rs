//! `lifesigns deployed`: does a revision run? Everywhere, somewhere, or nowhere.
//!
//! | room | question it answers |
//! |---|---|
//! | `arguments` | what can be typed? |
//! | `repository` | is a commit contained in another? |
//! | `verdict` | what does it come to, of several instances? |

mod arguments;
mod repository;
mod verdict;

use std::time::Instant;

use jiff::Timestamp;
use lifesigns_fetch::Options;
use lifesigns_model::identity::Revision;

use crate::Failure;
use crate::check::ask::{self, Depth, Finding};
use crate::check::{fetcher, target, wait_for};
use crate::printer::{self, Printer, Problem};

pub use self::arguments::Arguments;
use self::repository::Repository;
use self::verdict::{Instance, State, Verdict};

/// Asks, as long as it may wait, and prints who runs it. Fails with nothing to say unless all of them do.
pub fn run(printer: Printer, arguments: &Arguments) -> Result<(), Failure> {
    let wanted = Wanted::new(arguments).map_err(Failure::Arguments)?;
    let targets = arguments.urls.iter().map(|url| target(url, arguments.timeout));
    let targets = targets.collect::<Result<Vec<_>, _>>().map_err(Failure::Arguments)?;
    let options = Options { ca_file: arguments.ca_file.clone(), ..Options::default() };
    let fetcher = fetcher(options)?;
    let begun = Instant::now();
    let mut told = None;
    let (instances, verdict) = loop {
        let findings = wait_for(ask::all(&fetcher, &targets, Depth::Everything))?;
        let instances =
            findings.iter().map(|finding| wanted.instance(finding)).collect::<Result<Vec<_>, _>>();
        let instances = instances.map_err(Failure::Problem)?;
        let verdict = Verdict::of(&instances);
        let left = arguments.wait.map_or_else(Default::default, |wait| wait.saturating_sub(begun.elapsed()));
        if verdict == Verdict::Yes || left.is_zero() {
            break (instances, verdict);
        }
        let progress = verdict::progress(&instances);
        if told.as_ref() != Some(&progress) {
            printer::note(&format!("{progress}; waiting"));
            told = Some(progress);
        }
        std::thread::sleep(arguments.interval.min(left));
    };
    let text = if arguments.json {
        verdict::json(&wanted.revision, verdict, &instances)
    } else {
        let shallow = wanted.repository.as_ref().is_some_and(Repository::is_shallow);
        verdict::text(&wanted.revision, verdict, &instances, shallow, printer.page(), Timestamp::now())
    };
    printer::lines(&text).map_err(Failure::Output)?;
    if verdict == Verdict::Yes { Ok(()) } else { Err(Failure::Nothing) }
}

/// What is looked for.
struct Wanted {
    revision: Revision,
    repository: Option<Repository>,
}

impl Wanted {
    fn new(arguments: &Arguments) -> Result<Wanted, Problem> {
        let text = &arguments.revision;
        let Some(folder) = &arguments.repo else {
            let revision = text.parse().map_err(|error| {
                Problem::new(format!("`{text}` is no commit hash"))
                    .because(&error)
                    .hint("with --repo DIR it may be a branch or a tag as well")
            })?;
            return Ok(Wanted { revision, repository: None });
        };
        let repository = Repository::open(folder)?;
        let Some(revision) = repository.commit(text)? else {
            return Err(Problem::new(format!("{} does not know the revision `{text}`", folder.display()))
                .hint("if it is newer than the repository, `git fetch` first"));
        };
        Ok(Wanted { revision, repository: Some(repository) })
    }

    /// Whether the revision runs there, as far as that can be said.
    fn instance(&self, finding: &Finding) -> Result<Instance, Problem> {
        let said = finding.introduction.identity.revision.clone();
        let state = match (&said, finding.answered()) {
            (None, None) => State::Silent(finding.complaint().unwrap_or_default()),
            (None, Some(_)) => State::Unsaid,
            (Some(said), _) => match said.parse::<Revision>() {
                Err(_) => State::NoCommit,
                Ok(running) => self.state(&running)?,
            },
        };
        Ok(Instance { url: finding.target.url.clone(), revision: said, state })
    }

    fn state(&self, running: &Revision) -> Result<State, Problem> {
        if running.is_same_commit(&self.revision) {
            return Ok(State::Runs);
        }
        let Some(repository) = &self.repository else { return Ok(State::Other) };
        // A branch or a tag may be called as a commit begins.
        let found = repository.commit(&running.to_string())?;
        let Some(running) = found.filter(|found| found.is_same_commit(running)) else {
            return Ok(State::NotInRepository);
        };
        let contains = repository.contains(&running, &self.revision)?;
        Ok(if contains { State::Contains } else { State::Lacks })
    }
}
