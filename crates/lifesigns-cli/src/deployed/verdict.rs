//! What it comes to, of several instances.

use std::fmt::Write as _;

use jiff::Timestamp;
use lifesigns_model::identity::Revision;
use serde_json::{Value, json};
use url::Url;

use crate::printer::{Page, escaped, escaped_json};

/// Whether a revision is deployed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// All instances have it.
    Yes,
    /// Some have it.
    Partly,
    /// None has it, as far as is known.
    No,
}

/// One of those that were asked.
pub(super) struct Instance {
    pub(super) url: Url,
    /// What it says of itself: a stranger's text.
    pub(super) revision: Option<String>,
    pub(super) state: State,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// It is what runs.
    Runs,
    /// It is an ancestor of what runs.
    Contains,
    /// It is none.
    Lacks,
    /// Another one runs, and how they are related is not known.
    Other,
    /// What runs is not in the repository.
    NotInRepository,
    /// What runs has a name that is no commit's.
    NoCommit,
    /// It answers, and does not say what runs.
    Unsaid,
    /// It does not answer, and why.
    Silent(String),
}

impl State {
    fn has_it(&self) -> bool {
        matches!(self, State::Runs | State::Contains)
    }

    fn name(&self) -> &'static str {
        match self {
            State::Runs => "runs",
            State::Contains => "contains",
            State::Lacks => "lacks",
            State::Other => "other",
            State::NotInRepository => "not_in_repository",
            State::NoCommit => "no_commit",
            State::Unsaid => "unsaid",
            State::Silent(_) => "silent",
        }
    }
}

impl Verdict {
    pub(super) fn of(instances: &[Instance]) -> Verdict {
        match instances.iter().filter(|instance| instance.state.has_it()).count() {
            0 => Verdict::No,
            count if count == instances.len() => Verdict::Yes,
            _ => Verdict::Partly,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Verdict::Yes => "yes",
            Verdict::Partly => "partly",
            Verdict::No => "no",
        }
    }
}

/// How far it is, on one line.
pub(super) fn progress(instances: &[Instance]) -> String {
    let having = instances.iter().filter(|instance| instance.state.has_it()).count();
    format!("{having} of {} instances have it", instances.len())
}

/// The verdict, and a line for each instance.
pub(super) fn text(
    revision: &Revision,
    verdict: Verdict,
    instances: &[Instance],
    shallow: bool,
    page: Page,
    now: Timestamp,
) -> String {
    let short: String = revision.to_string().chars().take(12).collect();
    let mut text = format!("{}: {short}, {} ({now:.0})\n", verdict.name(), progress(instances));
    for instance in instances {
        let (mark, colour) = match &instance.state {
            State::Runs | State::Contains => ('✓', "\u{1b}[32m"),
            State::Lacks | State::Other => ('✗', "\u{1b}[31m"),
            _ => ('!', "\u{1b}[33m"),
        };
        let running = instance.revision.as_deref().unwrap_or_default();
        let running: String = running.chars().take(40).collect();
        let line = match &instance.state {
            State::Runs => format!("runs {running}"),
            State::Contains => format!("runs {running}, which contains it"),
            State::Lacks => format!("runs {running}, which does not contain it"),
            State::Other => {
                format!("runs {running}, another one; with --repo it is known whether that contains it")
            }
            State::NotInRepository => {
                format!("runs {running}, which is not in the repository; `git fetch` first")
            }
            State::NoCommit => format!("says that it runs `{running}`, which is no commit hash"),
            State::Unsaid => "does not say which revision runs".to_owned(),
            State::Silent(why) => why.clone(),
        };
        let (begin, end) = if page.colour { (colour, "\u{1b}[0m") } else { ("", "") };
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(text, "{begin}{mark}{end} {} {}", escaped(instance.url.as_str()), escaped(&line));
    }
    if shallow && instances.iter().any(|instance| instance.state == State::Lacks) {
        text.push_str("the repository is shallow: with its whole history, the answer might be another\n");
    }
    text
}

/// An object, on one line.
pub(super) fn json(revision: &Revision, verdict: Verdict, instances: &[Instance]) -> String {
    let instances: Vec<Value> = instances
        .iter()
        .map(|instance| {
            let message = if let State::Silent(why) = &instance.state { Some(why) } else { None };
            json!({
                "url": instance.url.as_str(),
                "revision": instance.revision,
                "state": instance.state.name(),
                "message": message,
            })
        })
        .collect();
    let object =
        json!({"revision": revision.to_string(), "deployed": verdict.name(), "instances": instances});
    format!("{}\n", escaped_json(&object.to_string()))
}
