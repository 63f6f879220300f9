//! A git repository, asked by the command `git`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lifesigns_model::identity::Revision;

use crate::printer::Problem;

/// What would have git read another repository than the one in the folder (gitrepository-layout(5), git(1)).
const OF_ANOTHER: [&str; 8] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_WORK_TREE",
];

/// Which commits there are, and which are ancestors of which.
pub(super) struct Repository {
    folder: PathBuf,
    is_shallow: bool,
}

impl Repository {
    pub(super) fn open(folder: &Path) -> Result<Repository, Problem> {
        let mut repository = Repository { folder: folder.to_owned(), is_shallow: false };
        let output = repository.git(&["rev-parse", "--is-shallow-repository"])?;
        if !output.status.success() {
            return Err(repository.complaint("is no git repository that can be read", &output));
        }
        repository.is_shallow = output.stdout.trim_ascii() == b"true";
        Ok(repository)
    }

    /// Whether a part of its history is missing, so that what it does not contain may be contained nevertheless.
    pub(super) fn is_shallow(&self) -> bool {
        self.is_shallow
    }

    /// The commit that a revision names: a hash, the beginning of one, a branch, a tag.
    pub(super) fn commit(&self, revision: &str) -> Result<Option<Revision>, Problem> {
        // Git would take it for an option.
        if revision.starts_with('-') || revision.is_empty() {
            return Ok(None);
        }
        let output = self.git(&["rev-parse", "--verify", "--quiet", &format!("{revision}^{{commit}}")])?;
        if !output.status.success() {
            return Ok(None);
        }
        let hash = String::from_utf8_lossy(output.stdout.trim_ascii()).parse();
        hash.map(Some).map_err(|_| self.complaint("names a commit by no hash", &output))
    }

    /// Whether `wanted` is `running`, or one of its ancestors.
    pub(super) fn contains(&self, running: &Revision, wanted: &Revision) -> Result<bool, Problem> {
        let (running, wanted) = (running.to_string(), wanted.to_string());
        let output = self.git(&["merge-base", "--is-ancestor", &wanted, &running])?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(self.complaint("cannot be asked for ancestors", &output)),
        }
    }

    /// Reads and nothing else: no lock is taken, no commit fetched, no password asked for.
    fn git(&self, arguments: &[&str]) -> Result<Output, Problem> {
        let mut git = Command::new("git");
        // Within a hook of git these name another repository.
        for variable in OF_ANOTHER {
            git.env_remove(variable);
        }
        git.arg("-C")
            .arg(&self.folder)
            .args(arguments)
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| {
                Problem::new("`git` cannot be started").because(&error).hint("--repo needs it; install git")
            })
    }

    fn complaint(&self, what: &str, output: &Output) -> Problem {
        let said = String::from_utf8_lossy(&output.stderr);
        let causes = said.lines().take(3).map(str::to_owned).collect();
        Problem { causes, ..Problem::new(format!("{} {what}", self.folder.display())) }
    }
}
