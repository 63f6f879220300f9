//! The reference as a page: `docs/configuration.md` and `lifesigns config reference`.

use std::fmt::Write as _;

use super::overrides::VARIABLES;
use super::reference::{Key, Section, sections};

const HEAD: &str = "\
# Configuration

`lifesigns run --config lifesigns.toml` runs what a file asks for: a gateway where there is an `[[api]]`, a monitor where
there is a `[[service]]`, or both in one process. `lifesigns gateway` is the same thing with flags, for one API;
`lifesigns monitor` runs the monitor of a file alone, or one with flags. `lifesigns config check FILE` tells every fault
in a file, with its line and how to mend it, and runs nothing.

Flags stand over environment variables, those over the file, and the file over the defaults. An empty variable counts
as not set. A file that is named in the configuration file is relative to it; one that is named by a flag or a variable
is relative to the working directory. Secrets come from the environment or a file, never from a flag. Faults show
`***` for whatever in a line may be one: values of keys that are not known, passwords in URLs, headers, comments.

This page is printed by `lifesigns config reference`.

## Examples

A gateway:

```toml
";

const GATEWAY: &str = include_str!("../../../../examples/lifesigns.toml");

const MONITOR: &str = include_str!("../../../../examples/monitor.toml");

/// The page, as Markdown.
pub fn markdown() -> String {
    let mut page = format!("{HEAD}{GATEWAY}```\n\nA monitor:\n\n```toml\n{MONITOR}```\n");
    for section in sections() {
        self::section(&mut page, section);
    }
    page.push_str("\n## Environment variables\n\n| variable | sets |\n|---|---|\n");
    for variable in &VARIABLES {
        let _ = writeln!(page, "| `{}` | {} |", variable.name, variable.about);
    }
    page.push_str(
        "\nThose that set a key of `api` are for a process with one API; with several it is a fault to set them.\n",
    );
    page
}

fn section(page: &mut String, section: &Section) {
    let title = if section.header.is_empty() {
        "Top of the file".to_owned()
    } else {
        format!("`{}`", section.header)
    };
    let _ = write!(page, "\n## {title}\n\n{}\n\n", section.about);
    page.push_str("| key | type and range | default | example | |\n|---|---|---|---|---|\n");
    for key in section.keys.iter().filter(|key| key.kind.section().is_none()) {
        row(page, key);
    }
    let tables: Vec<String> = section.tables().map(|(name, _)| format!("`{name}`")).collect();
    if !tables.is_empty() {
        let _ = write!(page, "\nTables in it: {}.\n", tables.join(", "));
    }
}

fn row(page: &mut String, key: &Key) {
    let code = |value: Option<String>| value.map_or_else(|| "–".to_owned(), |value| format!("`{value}`"));
    let _ = writeln!(
        page,
        "| `{}` | {} | {} | {} | {} |",
        key.name,
        key.kind.documented(),
        code(key.written_default()),
        code(key.written_example()),
        key.about
    );
}
