//! Tells a program which revision it was built from.
//!
//! Call [`identity`] in `build.rs`, and `lifesigns::build_identity!()` in the program gives what was found:
//!
//! ```no_run
//! // build.rs
//! lifesigns_build::identity();
//! ```
//!
//! It is a crate of its own so that a build script does not have to build the library first. It has no
//! dependencies; git is asked through its command line.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Puts what is known of the build into the program: the git revision, with `-dirty` behind it where the work tree
/// has changes, the remote repository, the date of the build and the compiler's version.
///
/// What is not known is left out. A variable of the same name in the environment of the build (see the table) comes
/// before what git says, for builds without a repository. `SOURCE_DATE_EPOCH` is respected, as reproducible
/// builds want it.
///
/// | variable | what |
/// |---|---|
/// | `LIFESIGNS_BUILD_REVISION` | commit hash |
/// | `LIFESIGNS_BUILD_REPO` | where the code lives |
/// | `LIFESIGNS_BUILD_DATE` | RFC 3339, seconds, UTC |
/// | `LIFESIGNS_BUILD_LANGUAGE` | such as `rust 1.89.0` |
pub fn identity() {
    let given = |name: &str| {
        emit(&format!("cargo::rerun-if-env-changed={name}"));
        env::var(name).ok().filter(|value| !value.is_empty())
    };
    let facts = [
        ("LIFESIGNS_BUILD_REVISION", given("LIFESIGNS_BUILD_REVISION").or_else(revision)),
        ("LIFESIGNS_BUILD_REPO", given("LIFESIGNS_BUILD_REPO").or_else(repository)),
        ("LIFESIGNS_BUILD_DATE", given("LIFESIGNS_BUILD_DATE").or_else(|| date(given("SOURCE_DATE_EPOCH")))),
        ("LIFESIGNS_BUILD_LANGUAGE", given("LIFESIGNS_BUILD_LANGUAGE").or_else(compiler)),
    ];
    for (name, value) in facts {
        if let Some(value) = value.filter(|value| !value.contains(['\n', '\r'])) {
            emit(&format!("cargo::rustc-env={name}={value}"));
        }
    }
    // Without these lines Cargo would run the build script on every change of the package, and on no commit.
    for file in ["HEAD", "index", "packed-refs"].iter().filter_map(|name| git_path(name)).chain(branch_file())
    {
        emit(&format!("cargo::rerun-if-changed={}", file.display()));
    }
    emit("cargo::rerun-if-changed=build.rs");
    emit("cargo::rerun-if-changed=src");
}

#[allow(clippy::print_stdout, reason = "Cargo reads a build script's answers from its standard output")]
fn emit(line: &str) {
    println!("{line}");
}

fn revision() -> Option<String> {
    let hash = git(&["rev-parse", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changes.is_empty() { hash } else { format!("{hash}-dirty") })
}

/// The remote's address without anything secret that may stand in it; none if it is a folder of this machine.
fn repository() -> Option<String> {
    public_address(&git(&["remote", "get-url", "origin"])?)
}

fn public_address(remote: &str) -> Option<String> {
    if let Some((scheme, rest)) = remote.split_once("://") {
        let (host, path) = rest.split_once('/')?;
        let host = host.rsplit('@').next()?;
        return (scheme != "file" && !host.is_empty()).then(|| format!("{scheme}://{host}/{path}"));
    }
    // As scp writes it: user@host:path. A path of this machine has a slash before its first colon, if it has one.
    let (host, path) =
        remote.split_once(':').filter(|(host, _)| host.len() > 1 && !host.contains(['/', '\\']))?;
    Some(format!("{}:{path}", host.rsplit('@').next()?))
}

fn date(source_date_epoch: Option<String>) -> Option<String> {
    let seconds = match source_date_epoch {
        Some(text) => text.parse().ok()?,
        None => SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs(),
    };
    Some(rfc3339(seconds))
}

fn compiler() -> Option<String> {
    let output = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(format!("rust {}", text.split_whitespace().nth(1)?))
}

fn branch_file() -> Option<PathBuf> {
    git_path(&git(&["symbolic-ref", "--quiet", "HEAD"])?)
}

fn git_path(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(git(&["rev-parse", "--path-format=absolute", "--git-path", name])?);
    Path::exists(&path).then_some(path)
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// Seconds since the epoch as RFC 3339 in UTC, by the proleptic Gregorian calendar.
fn rfc3339(seconds: u64) -> String {
    let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
    let is_leap =
        |year: u64| (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    let (mut year, mut day) = (1970, days);
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    format!("{year:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", month + 1, day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_others_can_reach_is_an_address() {
        let check = |remote, expected: Option<&str>| {
            assert_eq!(public_address(remote).as_deref(), expected, "{remote}");
        };
        check("https://example.org/abc/api.git", Some("https://example.org/abc/api.git"));
        check("https://user:secret@example.org/abc/api", Some("https://example.org/abc/api"));
        check("git@example.org:abc/api.git", Some("example.org:abc/api.git"));
        check("ssh://git@example.org:22/abc/api", Some("ssh://example.org:22/abc/api"));
        check("file:///home/me/api", None);
        check("/home/me/api", None);
        check("../api", None);
        check("./a:b", None);
        check("C:\\api", None);
        check("https:///abc", None);
    }

    #[test]
    fn dates_follow_the_calendar() {
        let check = |seconds, text: &str| assert_eq!(rfc3339(seconds), text);
        check(0, "1970-01-01T00:00:00Z");
        check(951_782_400, "2000-02-29T00:00:00Z");
        check(1_709_251_199, "2024-02-29T23:59:59Z");
        check(1_767_225_600, "2026-01-01T00:00:00Z");
        check(4_107_542_400, "2100-03-01T00:00:00Z");
    }
}
