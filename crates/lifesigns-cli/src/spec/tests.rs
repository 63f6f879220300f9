//! What is put in, and that everything else stays.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;
use proptest::prelude::*;

fn wanted(base: &str) -> Vec<Wanted> {
    wanted::resources(&[ResourceKind::Status, ResourceKind::Health], base).unwrap()
}

/// Two resources at their usual paths.
static USUAL: LazyLock<Vec<Wanted>> = LazyLock::new(|| wanted(""));

/// The text with the resources in it.
fn added(text: &str, wanted: &[Wanted]) -> Result<String, BadFile> {
    let document = Document::read(text)?;
    let missing: Vec<&Wanted> = wanted.iter().filter(|it| document.find(it) == Finding::Missing).collect();
    let added = document.additions(&missing);
    let result = insert::apply(text, &Layout::of(text, &document).edits(&added)?);
    assert!(document.is_what_it_was_with(&added, &result), "{text}\n---\n{result}");
    Ok(result)
}

/// Whether what was there is there still, in its order, and adding again changes nothing.
fn check(text: &str) -> String {
    let wanted = &*USUAL;
    let result = added(text, wanted).unwrap_or_else(|bad| panic!("{bad:?}\n{text}"));
    let mut letters = result.chars();
    assert!(text.chars().all(|letter| letters.any(|other| other == letter)), "{text}\n---\n{result}");
    assert_eq!(added(&result, wanted).unwrap(), result, "adding twice");
    let document = Document::read(&result).unwrap();
    for wanted in wanted {
        assert_eq!(document.find(wanted), Finding::There, "{}\n{result}", wanted.path);
    }
    result
}

/// The same, and no line has changed.
fn check_lines(text: &str) -> String {
    let result = check(text);
    let mut lines = result.lines();
    assert!(text.lines().all(|line| lines.any(|other| other == line)), "{text}\n---\n{result}");
    result
}

#[test]
fn lines_are_added_where_paths_are() {
    let result = check_lines(
        "# mine\nopenapi: 3.1.0 # newest\npaths:\n    \"/a\":\n        get: &g\n            summary: 'x: y'\n        # about a\n    # \
         about paths\n\n# about components\ncomponents: {}\n",
    );
    let at = |part: &str| result.find(part).unwrap_or_else(|| panic!("{part}:\n{result}"));
    assert!(at("# about paths") < at("    \"/status\":\n        get:\n            summary:"));
    assert!(at("\"/health\":") < at("# about components"));
}

#[test]
fn all_the_ways_to_have_no_paths_are_known() {
    for text in [
        "openapi: 3.0.3\n",
        "openapi: 3.0.3",
        "openapi: 3.0.3\n# the end",
        "openapi: 3.0.3\npaths:\n",
        "openapi: 3.0.3\npaths: # none\ninfo: {title: x}\n",
        "openapi: 3.0.3\npaths:",
        "---\nopenapi: 3.0.3\ninfo:\n  title: x\n  description: |\n    long\n\n    text\n\n",
        "---\nopenapi: 3.0.3\npaths:\n  /a:\n    get:\n...\n",
        "openapi: 3.0.3\npaths:\n  /a:\n    get:\n      description: |+\n        kept\n\n\ncomponents: {}\n",
        "openapi: 3.0.3\npaths:\n  /a:\n    get:\n      description: >-\n        folded\n        text\n  # after\ntags:\n- name: x\n",
        "openapi: 3.0.3\nx-common: &c {get: {}}\npaths:\n  /a: *c\n  /b:\n    <<: *c\n",
        "openapi: 3.0.3\npaths:\n  /a:\n    get:\n      tags:\n      - x\n      - y # why\n",
        "openapi: 3.0.3\npaths:\n  /a:\n    get:\n      summary: >\n\n",
        "openapi: 3.0.3\npaths:\n  ? /a\n  : get: {}\nx: 1\n",
        "\u{feff}openapi: 3.0.3\npaths: !!map\n  /a: !own\n    get: {}\n",
        "'openapi': \"3.1.0\"\n'paths':\n  '/a': {}\n",
    ] {
        check_lines(text);
        let crlf = text.replace('\n', "\r\n");
        let result = check_lines(&crlf);
        let is_crlf = crlf.contains('\n');
        assert!(!is_crlf || result.matches('\n').count() == result.matches("\r\n").count(), "{result:?}");
    }
}

#[test]
fn brackets_are_kept_as_they_are() {
    for text in [
        "openapi: 3.1.0\npaths: {}\n",
        "openapi: 3.1.0\npaths: { } # none\ninfo: {}\n",
        "openapi: 3.1.0\npaths: {/a: {}, /b: {}}\n",
        "openapi: 3.1.0\npaths: {\n  /a: {get: {}}, # first\n  /b: {} # second\n  }\n",
        "openapi: 3.1.0\npaths: {\n  /a: {},\n  /b: {}, # , comma\n  }\n",
        "{\"openapi\":\"3.1.0\",\"paths\":{}}",
        "{\"openapi\":\"3.1.0\"}\n",
        "{\"openapi\":\"3.1.0\",\"paths\":{\"/a\":{}},\"x\":\"},{\"}",
        "{\n  \"openapi\": \"3.1.0\",\n  \"paths\": {}\n}\n",
        "{\n\t\"openapi\": \"3.1.0\",\n\t\"paths\": {\n\t\t\"/a\": {\n\t\t\t\"get\": {}\n\t\t}\n\t},\n\t\"x\": [1, 2.5e3, null, true]\n}",
        "{\n    \"openapi\": \"3.1.0\",\n    \"info\": {\"title\": \"\\u00e9\\n\\\"#\"}\n}",
    ] {
        let result = check(text);
        if text.starts_with('{') {
            let (before, after): (Value, Value) =
                (serde_json::from_str(text).unwrap(), serde_json::from_str(&result).unwrap());
            assert_eq!(before["x"], after["x"]);
            assert!(after["paths"]["/health"]["get"]["responses"]["200"].is_object());
        }
        check(&text.replace('\n', "\r\n"));
    }
    let result = check("{\n\t\"openapi\": \"3.1.0\",\n\t\"paths\": {\n\t\t\"/a\": {}\n\t}\n}");
    assert!(
        result.contains("\n\t\t\"/a\": {},\n\t\t\"/status\": {\n\t\t\t\"get\": {\n\t\t\t\t\"summary\""),
        "{result}"
    );
    assert!(result.ends_with("\n\t\t}\n\t}\n}"), "{result}");
}

#[test]
fn raml_has_resources_at_its_root() {
    let result = check_lines("#%RAML 1.0\ntitle: x\n/a:\n  get:\n  /b:\n    post: # later\n# the end\n");
    assert!(result.contains("\n/status:\n  displayName:"), "{result}");
    let nested = "#%RAML 1.0\ntitle: x\n/health:\n  get:\n    responses:\n      200:\n";
    let document = Document::read(nested).unwrap();
    assert!(matches!(document.find(&wanted("")[1]), Finding::Other { line: 3, is_conflict: false, .. }));
    let nested =
        "#%RAML 1.0\ntitle: x\n/v1:\n  /status:\n    get:\n      responses:\n        200:\n        503:\n";
    assert_eq!(Document::read(nested).unwrap().find(&wanted("/v1")[0]), Finding::There);
}

#[test]
fn what_is_there_stays_and_another_meaning_is_told() {
    let find = |item: &str| {
        Document::read(&format!("openapi: 3.0.0\npaths:\n  /status:\n    {item}\n"))
            .unwrap()
            .find(&wanted("")[0])
    };
    let is_other = |item: &str, conflict: bool| {
        let found = find(item);
        assert!(
            matches!(&found, Finding::Other { line: 3, is_conflict, .. } if *is_conflict == conflict),
            "{item}: {found:?}"
        );
    };
    is_other("post: {}", true);
    is_other("get: {}", true);
    is_other("get: {responses: {'204': {}}}", true);
    is_other("get: {responses: {'200': {content: {text/csv: {}}}}}", true);
    is_other("get: {responses: {'200': {content: {application/json: {}}}}}", false);
    assert_eq!(
        find("get: {responses: {'200': {content: {application/json: {}}}, '5XX': {}}}"),
        Finding::There
    );
    assert_eq!(find("get: {responses: {default: {}}}"), Finding::There);
    assert_eq!(find("$ref: other.yaml"), Finding::There);
}

#[test]
fn what_cannot_be_read_is_told_with_its_line() {
    let check = |text: &str, line: Option<usize>, words: &str| {
        let bad = Document::read(text).and_then(|document| {
            let wanted = wanted("");
            let added = document.additions(&wanted.iter().collect::<Vec<_>>());
            Layout::of(text, &document).edits(&added)
        });
        let bad = bad.unwrap_err();
        assert!(bad.line == line && bad.message.contains(words), "{text}: {bad:?}");
    };
    check("", None, "empty");
    check("- a\n", Some(1), "no members");
    check("info: {}\n", Some(1), "no `openapi`");
    check("# x\nswagger: '2.0'\n", Some(2), "OpenAPI 2.0");
    check("openapi: 4.0.0\n", Some(1), "4.0.0");
    check("openapi: 3.0.0\npaths: [\n", Some(2), "bracket");
    check("openapi: 3.0.0\n---\nopenapi: 3.0.0\n", Some(2), "second document");
    check("openapi: 3.0.0\npaths:\n- /a\n", Some(2), "no map");
    check("openapi: 3.0.0\npaths: null\n", Some(2), "no map");
    check("openapi: 3.0.0\nx: &b\n  /a: {}\npaths:\n  <<: *b\n", Some(5), "merge key");
    check("openapi: 3.0.0\npaths:\n  /a: {}\npaths:\n  /b: {}\n", Some(4), "`paths` is there twice");
    check("openapi: 3.0.0\npaths:\n  /a: {}\n  \"/a\": {}\n", Some(4), "`/a` is there twice");
    check("#%RAML 0.8\ntitle: x\n", Some(1), "RAML 0.8");
    check("#%RAML 1.0 Library\n", Some(1), "Library");
}

#[test]
fn names_of_operations_are_not_given_twice() {
    let result = check("openapi: 3.1.0\npaths:\n  /a:\n    get:\n      operationId: getStatus\n");
    assert!(result.contains("operationId: getStatus2\n"), "{result}");
}

/// Any value of a description, as deep as this.
fn any_value(depth: u32) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        Just(json!({})),
        Just(json!([])),
    ];
    leaf.prop_recursive(depth, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z]{1,6}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_document() -> impl Strategy<Value = Value> {
    let paths = prop::option::of(prop::collection::vec(("/[a-z]{1,5}", any_value(3)), 0..4));
    (any_value(2), paths, any_value(2), any::<bool>()).prop_map(|(info, paths, more, is_last)| {
        let mut document = json!({"openapi": "3.1.0", "info": info});
        let mut end = json!({"more": more});
        let paths = paths.map(|paths| {
            Value::Object(
                paths.into_iter().filter(|(path, _)| path != "/status" && path != "/health").collect(),
            )
        });
        if let Some(paths) = paths {
            end = if is_last {
                json!({"more": end["more"], "paths": paths})
            } else {
                json!({"paths": paths, "more": end["more"]})
            };
        }
        document.as_object_mut().unwrap().extend(end.as_object().unwrap().clone());
        document
    })
}

/// A text with comments and empty lines between its lines.
fn with_comments(text: &str) -> String {
    let lines = text.lines().enumerate().flat_map(|(index, line)| {
        let indent = &line[..line.len() - line.trim_start().len()];
        let comment = (index % 3 == 1).then(|| format!("{indent}# {index}\n"));
        let empty = (index % 5 == 2).then(|| "\n".to_owned());
        [comment.unwrap_or_default(), empty.unwrap_or_default(), format!("{line}\n")]
    });
    lines.collect()
}

proptest! {
    #[test]
    fn any_description_keeps_what_it_has(document in any_document(), step in 1_usize..5) {
        let mut options = serde_saphyr::SerializerOptions::default();
        options.indent_step = step;
        options.prefer_block_scalars = false;
        let yaml = serde_saphyr::to_string_with_options(&document, options).unwrap();
        check(&yaml);
        check(yaml.trim_end());
        check(&yaml.replace('\n', "\r\n"));
        check(&with_comments(&yaml));
        check(&document.to_string());
        check(&serde_json::to_string_pretty(&document).unwrap());
        check(&serde_json::to_string_pretty(&document).unwrap().replace("  ", "\t"));
    }
}
