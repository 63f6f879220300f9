//! What no compiler looks at: licences, the arrows between crates, links, the size of files.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use lifesigns_tests::program::workspace;

/// Licences that a dependency may be under, and why.
const LICENCES: [(&str, &str); 13] = [
    ("0BSD", "asks for nothing"),
    ("Apache-2.0", "our own"),
    ("Apache-2.0 WITH LLVM-exception", "our own, and asks for less"),
    ("BSD-2-Clause", "asks for its notice"),
    ("BSD-3-Clause", "asks for its notice"),
    ("BSL-1.0", "asks for its notice in source, and for nothing of a binary"),
    ("CC0-1.0", "asks for nothing"),
    (
        "CDLA-Permissive-2.0",
        "asks for its text beside the data; the lists of certificate authorities come under it",
    ),
    ("ISC", "asks for its notice"),
    ("MIT", "our own"),
    ("MIT-0", "asks for nothing: our own without its notice"),
    ("Unicode-3.0", "asks for its notice; the tables of Unicode come under it"),
    ("Zlib", "asks for nothing of a binary"),
];

const LONGEST_FILE: usize = 700;

/// What is never left behind. Put together here, so that this file is clean itself.
const LEFT_BEHIND: [&str; 6] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("unimplemented", "!("),
    concat!("todo", "!("),
    concat!("#[ig", "nore"),
];

#[test]
fn every_dependency_has_a_licence_that_we_can_live_with() {
    let allowed = |name: &str| LICENCES.iter().any(|(allowed, _)| *allowed == name);
    let bad: Vec<String> = metadata()
        .packages
        .iter()
        .filter(|package| !package.license.as_deref().is_some_and(|terms| satisfied(terms, &allowed)))
        .map(|package| format!("{} {}: {:?}", package.name, package.version, package.license))
        .collect();
    assert!(bad.is_empty(), "not in the list of licences:\n{}", bad.join("\n"));
}

#[test]
fn licence_terms_are_understood() {
    let check = |terms: &str, expected: bool| {
        assert_eq!(satisfied(terms, &|name| matches!(name, "MIT" | "A WITH x")), expected, "{terms}");
    };
    check("MIT", true);
    check("GPL-3.0", false);
    check("GPL-3.0 OR MIT", true);
    check("GPL-3.0/MIT", true);
    check("GPL-3.0 AND MIT", false);
    check("(GPL-3.0 OR MIT) AND MIT", true);
    check("MIT AND (GPL-3.0 OR LGPL-3.0)", false);
    check("GPL-3.0 OR MIT AND MIT", true);
    check("A WITH x OR GPL-3.0", true);
    check("A WITH y", false);
    check("", false);
}

/// The arrows are dependencies of what is built and shipped; what only tests use may come from anywhere.
#[test]
fn the_arrows_between_crates_are_those_that_are_drawn() {
    let metadata = metadata();
    let members: BTreeSet<String> =
        metadata.workspace_packages().iter().map(|package| package.name.to_string()).collect();
    let mut built = BTreeMap::new();
    for package in metadata.workspace_packages() {
        let uses: BTreeSet<String> = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind != DependencyKind::Development)
            .map(|dependency| dependency.name.clone())
            .filter(|name| members.contains(name))
            .collect();
        built.insert(package.name.to_string(), uses);
    }
    let text = read("ARCHITECTURE.md");
    let drawn: BTreeMap<String, BTreeSet<String>> = table(&text, "## Crates", ["crate", "may use"])
        .into_iter()
        .map(|[name, uses]| (code_spans(&name).concat(), code_spans(&uses).into_iter().collect()))
        .collect();
    assert_eq!(built, drawn, "left: Cargo.toml, right: the table `## Crates` in ARCHITECTURE.md");
}

#[test]
fn every_dependency_is_used_and_has_its_line_in_the_list() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let declared: Vec<String> = manifest["workspace"]["dependencies"]
        .as_table()
        .unwrap()
        .iter()
        .filter(|(_, how)| how.get("path").is_none())
        .map(|(name, _)| name.clone())
        .collect();
    let text = read("docs/dependencies.md");
    let mut listed = Vec::new();
    for [name, purpose, reason, cost] in table(&text, "# ", ["crate", "what for", "why this one", "costs"]) {
        let name = code_spans(&name).concat();
        for cell in [purpose, reason, cost] {
            assert!(!cell.is_empty(), "docs/dependencies.md: a cell is empty beside {name}");
        }
        listed.push(name);
    }
    assert!(listed.is_sorted(), "docs/dependencies.md is not sorted");
    let mut sorted = declared.clone();
    sorted.sort();
    assert_eq!(sorted, listed, "left: Cargo.toml, right: docs/dependencies.md");

    let metadata = metadata();
    let used: BTreeSet<&str> = metadata
        .workspace_packages()
        .iter()
        .flat_map(|package| &package.dependencies)
        .map(|dependency| &*dependency.name)
        .collect();
    let unused: Vec<&String> = declared.iter().filter(|name| !used.contains(name.as_str())).collect();
    assert!(unused.is_empty(), "declared in Cargo.toml and used by no crate: {unused:?}");
}

#[test]
fn no_file_of_code_is_longer_than_a_reader_bears() {
    let long: Vec<String> = files(is_code)
        .into_iter()
        .map(|path| (text_of(&path).lines().count(), path))
        .filter(|(lines, _)| *lines >= LONGEST_FILE)
        .map(|(lines, path)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "{LONGEST_FILE} lines or more, two rooms in one:\n{}", long.join("\n"));
}

#[test]
fn nothing_is_left_behind_in_code() {
    let mut found = Vec::new();
    for path in files(is_code) {
        for (number, line) in (1..).zip(text_of(&path).lines()) {
            if let Some(word) = LEFT_BEHIND.iter().find(|word| line.contains(**word)) {
                found.push(format!("{}:{number}: {word}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "left behind:\n{}", found.join("\n"));
}

#[test]
fn links_in_documents_lead_somewhere() {
    let documents = files(|path| path.extension().is_some_and(|extension| extension == "md"));
    let mut dead = Vec::new();
    for path in &documents {
        for link in links(&text_of(path)) {
            if ["http://", "https://", "mailto:"].iter().any(|scheme| link.starts_with(scheme)) {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let there = if heading.is_empty() {
                target.exists()
            } else {
                target.is_file() && headings(&text_of(&target)).contains(heading)
            };
            if !there {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "links that lead nowhere:\n{}", dead.join("\n"));
}

#[test]
fn documents_are_read_as_markdown() {
    let text =
        "# One `two` three!\n[a](b.md) and ![c](d.png \"title\")\n```\n[e](f)\n# g\n```\n`[h](i)` [j](#k)\n";
    assert_eq!(links(text), ["b.md", "d.png", "#k"]);
    assert_eq!(headings(text), BTreeSet::from(["one-two-three".to_owned()]));
    let text = "## Crates\n\nWords.\n\n| may use | x | crate |\n|---|---|---|\n| `b`, `c` | y | `a` |\n\n| `z` | | |\n## Next\n";
    assert_eq!(table(text, "## Crates", ["crate", "may use"]), [["`a`", "`b`, `c`"]]);
    assert_eq!(code_spans("`b`, `c` and d"), ["b", "c"]);
}

/// The workspace and all that it is built from on Linux.
fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(workspace().join("Cargo.toml"))
        .other_options(["--locked", "--filter-platform", "x86_64-unknown-linux-gnu"].map(str::to_owned))
        .exec()
        .expect("cargo knows the workspace")
}

/// Whether an SPDX expression can be met with licences that are `allowed`; `/` is an old way to write `OR`.
fn satisfied(terms: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = terms.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (met, rest) = any_of(&words, allowed);
    met && rest.is_empty()
}

fn any_of<'a, 'b>(words: &'a [&'b str], allowed: &dyn Fn(&str) -> bool) -> (bool, &'a [&'b str]) {
    let (mut met, mut rest) = all_of(words, allowed);
    while let ["OR", more @ ..] = rest {
        let (also, left) = all_of(more, allowed);
        (met, rest) = (met || also, left);
    }
    (met, rest)
}

fn all_of<'a, 'b>(words: &'a [&'b str], allowed: &dyn Fn(&str) -> bool) -> (bool, &'a [&'b str]) {
    let (mut met, mut rest) = one(words, allowed);
    while let ["AND", more @ ..] = rest {
        let (also, left) = one(more, allowed);
        (met, rest) = (met && also, left);
    }
    (met, rest)
}

fn one<'a, 'b>(words: &'a [&'b str], allowed: &dyn Fn(&str) -> bool) -> (bool, &'a [&'b str]) {
    match words {
        ["(", rest @ ..] => {
            let (met, rest) = any_of(rest, allowed);
            match rest {
                [")", rest @ ..] => (met, rest),
                _ => (false, rest),
            }
        }
        [name, "WITH", exception, rest @ ..] => (allowed(&format!("{name} WITH {exception}")), rest),
        [name, rest @ ..] => (allowed(name), rest),
        [] => (false, words),
    }
}

/// The cells under `columns` in the first table after the line that starts with `heading`.
fn table<const N: usize>(text: &str, heading: &str, columns: [&str; N]) -> Vec<[String; N]> {
    let mut rows = text
        .lines()
        .skip_while(|line| !line.starts_with(heading))
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>());
    let header = rows.next().unwrap_or_else(|| panic!("there is no table under `{heading}`"));
    let places = columns.map(|column| {
        let place = header.iter().position(|cell| cell == column);
        place.unwrap_or_else(|| panic!("the table under `{heading}` has no column `{column}`: {header:?}"))
    });
    rows.skip(1).map(|cells| places.map(|place| cells[place].clone())).collect()
}

/// What stands between backticks.
fn code_spans(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Lines outside of fenced code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// Targets of links and images.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(text) {
        let outside_code: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for rest in outside_code.split("](").skip(1) {
            let target = rest.split([')', ' ']).next().unwrap_or_default();
            links.push(target.to_owned());
        }
    }
    links
}

/// Anchors of the headings, as forges make them.
fn headings(text: &str) -> BTreeSet<String> {
    prose(text)
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|kept| kept.is_alphanumeric() || matches!(kept, ' ' | '-' | '_'));
            kept.map(|kept| if kept == ' ' { '-' } else { kept }).collect()
        })
        .collect()
}

fn is_code(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let script = extension.is_none()
        && path
            .parent()
            .is_some_and(|folder| folder.file_name().is_some_and(|name| name == "scripts" || name == ".ci"));
    script || matches!(extension, Some("rs" | "sql" | "sh" | "js" | "mjs" | "css" | "html" | "py"))
}

/// Files of the project that are `wanted`, without what was built or installed.
fn files(wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut folders = vec![workspace()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the project can be read") {
            let path = entry.expect("a folder of the project can be read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !matches!(&*name, "target" | ".git" | "node_modules") {
                folders.push(path);
            } else if path.is_file() && wanted(&path) {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "there must be something to look at");
    files.sort();
    files
}

fn read(path: &str) -> String {
    text_of(&workspace().join(path))
}

fn text_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
