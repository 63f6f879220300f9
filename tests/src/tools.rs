//! Tools of others that tests ask, in the versions that are named here: installed once into the target folder, by
//! whichever test comes first.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::program::workspace;

/// Packages of Node.
const OF_NODE: [&str; 5] = [
    "@stoplight/spectral-cli@6.16.3",
    "axe-core@4.14.1",
    "axios@1.21.1",
    "playwright-core@1.65.1",
    "webapi-parser@0.5.0",
];

/// Packages of Python.
const OF_PYTHON: [&str; 2] = ["openapi-spec-validator==0.9.0", "schemathesis==4.32.5"];

/// A folder in which Node finds its packages, and their commands under `node_modules/.bin`.
pub fn node() -> PathBuf {
    installed("node-tests", &OF_NODE, |folder| {
        write(&folder.join("package.json"), "{\"private\": true}\n");
        let mut npm = Command::new("npm");
        npm.current_dir(folder).args([
            "install",
            "--no-audit",
            "--no-fund",
            "--no-package-lock",
            "--ignore-scripts",
        ]);
        succeed(npm.args(OF_NODE));
    })
}

/// The folder with the commands of a virtual environment of Python.
pub fn python() -> PathBuf {
    let folder = installed("python-tests", &OF_PYTHON, |folder| {
        succeed(Command::new("/usr/bin/python3").args(["-m", "venv", "--clear"]).arg(folder));
        let mut pip = Command::new(folder.join("bin/pip"));
        succeed(pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(OF_PYTHON));
    });
    folder.join("bin")
}

/// What Spectral says to a description by its own rules. Errors fail, warnings do not.
pub fn spectral(description: &Path) -> String {
    let rules = description.with_extension("spectral.yaml");
    write(&rules, "extends: [\"spectral:oas\"]\n");
    let mut spectral = Command::new(node().join("node_modules/.bin/spectral"));
    succeed(spectral.args(["lint", "--fail-severity", "error", "--ruleset"]).args([&rules, description]))
}

/// Has `install` fill the folder of this name, unless these packages are in it already. Tests run side by side, and one
/// of them does it.
fn installed(name: &str, packages: &[&str], install: impl FnOnce(&Path)) -> PathBuf {
    let target = workspace().join("target");
    let folder = target.join(name);
    fs::create_dir_all(&target).expect("the target folder can be made");
    let lock = target.join(format!("{name}.lock"));
    let lock = File::create(&lock).unwrap_or_else(|error| panic!("{}: {error}", lock.display()));
    lock.lock().expect("a file of one's own can be locked");
    let (note, wanted) = (folder.join("installed.txt"), packages.join("\n"));
    if fs::read_to_string(&note).is_ok_and(|installed| installed == wanted) {
        return folder;
    }
    fs::create_dir_all(&folder).expect("a folder in the target folder can be made");
    install(&folder);
    write(&note, &wanted);
    folder
}

/// Runs a command to its end, which must be a good one. Returns all that it printed.
pub fn succeed(command: &mut Command) -> String {
    let (success, text) = run(command);
    assert!(success, "{command:?}:\n{text}");
    text
}

/// Runs a command to its end: whether that was a good one, and all that it printed.
pub fn run(command: &mut Command) -> (bool, String) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
