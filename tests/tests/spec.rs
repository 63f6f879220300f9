//! `lifesigns spec`: other people's descriptions, with the health resources in them, read by other people's tools.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use lifesigns_tests::program::{run, workspace};
use lifesigns_tests::tools;
use serde_json::Value;

const OPENAPI_3_0: &str = "# Ours\nopenapi: 3.0.3\ninfo:\n  title: Polls # the old one\n  version: '1'\n  contact: &c\n    \
    name: us\nservers:\n  - url: https://example.com\npaths:\n  '/questions':\n    get:\n      summary: \"All of them\"\n      \
    responses:\n        '200': {description: fine}\n# what follows is shared\ncomponents:\n  schemas: {}\n";
const OPENAPI_3_1: &str = "{\n\t\"openapi\": \"3.1.0\",\n\t\"info\": {\"title\": \"Polls\", \"version\": \"1\"},\n\t\"paths\": {\n\t\t\
    \"/questions\": {\n\t\t\t\"get\": {\"responses\": {\"200\": {\"description\": \"fine\"}}}\n\t\t}\n\t}\n}\n";
const RAML: &str = "#%RAML 1.0\ntitle: Polls\nversion: v1\nbaseUri: https://example.com\n/questions: # all\n  get:\n    responses:\n      \
    200:\n        body:\n          application/json:\n";

fn spec(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = run(&[&["spec"], arguments].concat());
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Adds to a file of this name and text; nothing but lines may have come. Returns the result.
fn added(folder: &Path, name: &str, text: &str) -> String {
    let file = folder.join(name);
    let path = file.to_str().unwrap();
    fs::write(&file, text).unwrap();
    let (code, told, _) = spec(&["check", path]);
    assert_eq!((code, told.lines().count()), (Some(1), 7), "{told}");
    assert!(told.contains("/health/details is missing"), "{told}");
    let (code, told, error) = spec(&["add", path]);
    assert_eq!(code, Some(0), "{told}{error}");
    let result = fs::read_to_string(&file).unwrap();
    assert_eq!(spec(&["check", path]).0, Some(0), "{result}");
    assert_eq!(spec(&["add", path]).0, Some(0));
    assert_eq!(fs::read_to_string(&file).unwrap(), result, "adding twice changes nothing");
    result
}

#[test]
fn openapi_with_the_resources_in_it_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("a.yaml", OPENAPI_3_0.to_owned()),
        ("b.yaml", OPENAPI_3_0.replace("3.0.3", "3.1.0").replace('\n', "\r\n")),
        ("c.json", OPENAPI_3_1.to_owned()),
        ("d.yaml", "openapi: 3.0.3\ninfo: {title: x, version: '1'}\npaths: {}".to_owned()),
    ] {
        let result = added(folder.path(), name, &text);
        let mut validator = Command::new(tools::python().join("openapi-spec-validator"));
        tools::succeed(validator.arg(folder.path().join(name)));
        let mut left = result.chars();
        assert!(text.chars().all(|letter| left.any(|other| other == letter)), "{result}");
    }
    let result = fs::read_to_string(folder.path().join("a.yaml")).unwrap();
    let (before, after) = OPENAPI_3_0.split_at(OPENAPI_3_0.find("# what follows").unwrap());
    assert!(result.starts_with(before) && result.ends_with(after), "{result}");
    let document: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("c.json")).unwrap()).unwrap();
    assert_eq!(document["paths"]["/health/status"]["get"]["operationId"], "getHealthStatus");
    tools::spectral(&folder.path().join("a.yaml"));
}

#[test]
fn raml_with_the_resources_in_it_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let result = added(folder.path(), "a.raml", RAML);
    assert!(result.starts_with(RAML), "{result}");
    let mut node = Command::new("node");
    node.arg(workspace().join("tests/node/raml.mjs")).arg(tools::node()).arg(folder.path().join("a.raml"));
    let told: Value = serde_json::from_str(&tools::succeed(node.env_remove("NODE_OPTIONS"))).unwrap();
    assert_eq!(told["faults"], serde_json::json!([]));
    let paths = told["paths"].as_array().unwrap();
    assert_eq!(paths.len(), 8, "{paths:?}");
    assert!(paths.contains(&Value::from("/health/details")), "{paths:?}");
}

#[test]
fn nothing_is_written_unless_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (file, other) = (folder.path().join("a.yaml"), folder.path().join("b.yaml"));
    let (path, output) = (file.to_str().unwrap(), other.to_str().unwrap());
    fs::write(&file, OPENAPI_3_0).unwrap();
    let (code, lines, _) = spec(&["add", path, "--dry-run", "--resource", "livez", "--base-path", "/v1/"]);
    assert_eq!(code, Some(0));
    assert!(
        lines.starts_with("+  '/v1/livez':\n+    get:\n") && lines.lines().all(|line| line.starts_with('+')),
        "{lines}"
    );
    let (code, whole, _) = spec(&["add", path, "-o", "-"]);
    assert_eq!(code, Some(0));
    assert_eq!(spec(&["add", path, "-o", output]).0, Some(0));
    assert_eq!(fs::read_to_string(&other).unwrap(), whole);
    assert_eq!(fs::read_to_string(&file).unwrap(), OPENAPI_3_0);
}

#[test]
fn the_file_keeps_its_mode_and_its_link() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("a.yaml"), folder.path().join("link.yaml"));
    fs::write(&file, OPENAPI_3_0).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("a.yaml", &link).unwrap();
    assert_eq!(spec(&["add", link.to_str().unwrap()]).0, Some(0));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::read_to_string(&file).unwrap().contains("'/livez':"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left behind");
}

#[test]
fn a_path_with_another_meaning_is_told_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    let text = OPENAPI_3_0.replace("/questions", "/status").replace("'200'", "'204'");
    fs::write(&file, &text).unwrap();
    let (code, _, error) = spec(&["add", file.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(error.contains("a.yaml:11: /status: its `get` has no response 200"), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    assert_eq!(spec(&["check", file.to_str().unwrap()]).0, Some(1));
}

#[test]
fn what_is_no_description_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let check = |text: &[u8], words: &str| {
        let file = folder.path().join("a.yaml");
        fs::write(&file, text).unwrap();
        for command in ["add", "check"] {
            let (code, _, error) = spec(&[command, file.to_str().unwrap()]);
            assert_eq!(code, Some(2), "{error}");
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(fs::read(&file).unwrap(), text);
    };
    check(b"swagger: '2.0'\n", "a.yaml:1: this is OpenAPI 2.0 (Swagger)");
    check(b"openapi: 3.1.0\npaths:\n  /a: [\n", "a.yaml:3: ");
    check(b"openapi: 3.1.0\n---\nopenapi: 3.1.0\n", "a.yaml:2: there is a second document");
    check(b"openapi: \xff\n", "cannot be read");
    assert_eq!(spec(&["check", "nowhere.yaml"]).0, Some(2));
    assert_eq!(spec(&["add", "nowhere.yaml", "--base-path", "v1"]).0, Some(2));
    assert_eq!(spec(&["add"]).0, Some(2));
}
