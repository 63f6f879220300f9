//! What people are told about faulty configurations, and what they need not fear.

mod access;
mod checks;
mod files;
mod labels;
mod monitor;
mod push;
mod secrets;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use lifesigns::HealthDialect;
use proptest::prelude::*;

use super::reference::{Key, sections};
use super::validated::{Mount, Process};
use super::*;
use crate::printer::Printer;

/// Files and variables that exist for a test alone.
#[derive(Default)]
struct Pretended {
    files: BTreeMap<PathBuf, String>,
    variables: BTreeMap<String, String>,
}

impl Pretended {
    fn variables(variables: &[(&str, &str)]) -> Pretended {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Pretended { variables: variables.iter().map(owned).collect(), ..Pretended::default() }
    }

    fn file(mut self, path: &str, text: &str) -> Pretended {
        self.files.insert(path.into(), text.to_owned());
        self
    }
}

impl Surroundings for Pretended {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.files.get(path).cloned().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
}

const ONE_API: &str = "[[api]]\nupstream = \"http://127.0.0.1:3000\"\n";

fn read_in(text: &str, surroundings: &Pretended) -> Result<Settings, Faults> {
    let source = Source::new("lifesigns.toml", text);
    from_text(source, Path::new("/etc/lifesigns"), &[], surroundings)
}

fn read(text: &str) -> Result<Settings, Faults> {
    read_in(text, &Pretended::default())
}

fn told(result: Result<Settings, Faults>) -> String {
    Printer::plain().faults_text(&result.unwrap_err())
}

#[test]
fn unknown_keys_are_told_with_the_nearest_known_one() {
    insta::assert_snapshot!(told(read(
        "nam = \"polls\"\n\
         [gateway]\nlisen = \"127.0.0.1:8080\"\ndrain_timeout = 3\ncolour = true\n\
         [resources.helth]\nenabled = false\n\
         [resources.health_details]\nlistener = \"amdin\"\n\
         [[api]]\nupsteam = \"http://127.0.0.1:3000\"\n"
    )));
}

#[test]
fn wrong_kinds_and_ranges_are_told() {
    insta::assert_snapshot!(told(read(
        "name = 3\nenvironment = \"\"\ninstance = \"a\\u001bb\"\n\
         [gateway]\nlisten = true\nworkers = 0\ndrain_timeout_seconds = \"30s\"\nheader_timeout_seconds = -1\n\
         idle_timeout_seconds = 99999999999999999999999\nconnect_timeout_seconds = 1.5\n\
         [verdict]\namber_failed_share = 5\nred_failed_share = \"half\"\n\
         [resources]\npublic_identity = [\"revision\", 7]\nallowed_origins = \"*\"\n\
         [api]\nupstream = \"http://127.0.0.1:3000\"\n"
    )));
}

#[test]
fn each_listener_has_an_address_of_its_own() {
    let told = told(read(
        "[gateway]\nadmin_listen = \"127.0.0.1:9090\"\ngrpc_listen = \"127.0.0.1:9090\"\n\
         [[api]]\nname = \"polls\"\nupstream = \"http://127.0.0.1:3000\"\n",
    ));
    let expected =
        "lifesigns.toml:3:15: error: `grpc_listen` is the same address as `admin_listen`, 127.0.0.1:9090\n";
    assert!(told.starts_with(expected), "{told}");
}

#[test]
fn what_cannot_go_together_is_told() {
    insta::assert_snapshot!(told(read(
        "[gateway]\nlisten = \"127.0.0.1:8080\"\nadmin_listen = \"127.0.0.1:8080\"\n\
         [store]\nretention_minute_rows_hours = 96\nretention_hour_rows_days = 3\n\
         [verdict]\namber_failed_share = 0.5\nred_failed_share = 0.1\n\
         [resources.livez]\npath = \"/health\"\n\
         [[api]]\nname = \"polls\"\nupstream = \"http://127.0.0.1:3000\"\npath = \"/polls\"\n\
         [[api]]\nname = \"polls\"\nupstream = \"http://127.0.0.1:3001\"\npath = \"/polls/\"\n\
         [api.process]\npid = 1\npid_file = \"x\"\n\
         [[api]]\nupstream = \"http://127.0.0.1:3001\"\npath = \"/metrics\"\n\
         [api.resources.metrics]\nenabled = false\n"
    )));
}

#[test]
fn an_api_may_stand_wherever_nothing_else_answers() {
    let check = |path: &str, more: &str, expected: Option<&str>| {
        let api = format!("[[api]]\nupstream = \"http://127.0.0.1:3000\"\npath = \"{path}\"\n{more}");
        let settings = read(&api);
        match expected {
            None => assert!(settings.is_ok(), "{api}{}", told(settings)),
            Some(taken) => {
                let faults = told(settings);
                assert!(faults.contains(&format!("{taken} is where the gateway answers")), "{api}{faults}");
            }
        }
    };
    for path in ["/oauth2", "/openapi", "/analytics", "/analytics/2.0", "/metrics2", "/metrics/a"] {
        check(path, "", None);
    }
    check("/metrics", "", Some("/metrics"));
    check("/openapi.json", "", Some("/openapi.json"));
    check("/analytics/1.0", "", Some("/analytics/1.0"));
    check("/analytics/1.0/a", "", Some("/analytics/1.0"));
    check("/metrics", "[resources.metrics]\nenabled = false\n", None);
    check("/metrics", "[resources.metrics]\nlistener = \"admin\"\n", None);
    check("/metrics", "[resources.metrics]\npath = \"/figures\"\n", None);
    check("/figures", "[resources.metrics]\npath = \"/figures\"\n", Some("/figures"));
    check("/metrics", "[resources]\nprefix = \"/own\"\n", None);
    check("/own/metrics", "[resources]\nprefix = \"/own\"\n", Some("/own/metrics"));
}

#[test]
fn addresses_and_paths_are_told() {
    insta::assert_snapshot!(told(read(
        "[gateway]\nlisten = \":8080\"\nadmin_listen = \"127.0.0.1\"\n\
         [resources]\nprefix = \"-\"\nallowed_origins = [\"example.com\"]\nclient_id_headers = [\"a b\", \"Authorization\"]\n\
         public_identity = [\"revison\"]\n\
         [resources.health]\npath = \"/a/../b\"\n\
         [[api]]\nname = \"a\"\nupstream = \"https://example.com\"\nhost = \"http://example.com\"\n\
         [[api]]\nname = \"b\"\nupstream = \"localhost:3000\"\npath = \"b\"\n\
         [[api]]\nname = \"c\"\nupstream = \"http://u:p@x\"\npath = \"/c?d\"\nopenapi = \"missing.yaml\"\n"
    )));
}

#[test]
fn tokens_are_told_without_repeating_secrets() {
    let faults = told(read(&format!(
        "{ONE_API}\
         [[token]]\n\
         [[token]]\nname = \"a\"\nhash = \"ls_secret\"\nscopes = [\"analytics:red\"]\n\
         [[token]]\nname = \"b\"\nhash_env = \"UNSET\"\nscopes = []\n\
         [[token]]\nname = \"c\"\nhash_file = \"missing\"\nhash_env = \"X\"\nscopes = [\"metrics:read\"]\n"
    )));
    insta::assert_snapshot!(faults);
    assert!(!faults.contains("ls_secret"));
}

#[test]
fn broken_syntax_is_told_beside_what_is_certain() {
    insta::assert_snapshot!(told(read(
        "name = polls\nenvironment = \"a\nlisten = \"x\"\n[gateway\nworkers = 2\n[gateway]\nname = \"x\"\n"
    )));
}

#[test]
fn faults_in_the_environment_name_the_variable() {
    let surroundings = Pretended::variables(&[
        ("LIFESIGNS_LISTEN", "8080"),
        ("LIFESIGNS_DEPLOYED_AT", "yesterday"),
        ("LIFESIGNS_TOKEN_HASH", "secret"),
        ("LIFESIGNS_NAME", ""),
    ]);
    insta::assert_snapshot!(told(read_in(ONE_API, &surroundings)));
    let two = "[[api]]\nname = \"a\"\nupstream = \"http://a\"\n[[api]]\nname = \"b\"\nupstream = \"http://b\"\npath = \"/b\"";
    insta::assert_snapshot!(told(read_in(two, &Pretended::variables(&[("LIFESIGNS_REVISION", "2963648")]))));
}

#[test]
fn faults_in_flags_name_the_flag() {
    let upstream: &[tree::Step] =
        &[tree::Step { key: "api", list: true }, tree::Step { key: "upstream", list: false }];
    let flags = [Flag { name: "--upstream", path: upstream, value: Some("3000") }];
    insta::assert_snapshot!(told(from_flags(&flags, &Pretended::default())));
    insta::assert_snapshot!(told(from_flags(&[], &Pretended::default())));
}

#[test]
fn flags_stand_over_the_environment_and_the_environment_over_the_file() {
    let surroundings = Pretended::variables(&[
        ("LIFESIGNS_LISTEN", "127.0.0.1:1"),
        ("LIFESIGNS_UPSTREAM", "http://from-environment"),
        ("LIFESIGNS_REVISION", "2963648"),
        ("LIFESIGNS_TOKEN_HASH", &format!("sha256:{}", "0".repeat(64))),
    ]);
    let of_file = read_in(&format!("[gateway]\nlisten = \"127.0.0.1:2\"\n{ONE_API}"), &surroundings).unwrap();
    assert_eq!(of_file.gateway.listen.port(), 1);
    assert_eq!(of_file.apis[0].upstream.host(), "from-environment");
    assert_eq!(of_file.apis[0].identity.revision.as_deref(), Some("2963648"));
    assert_eq!(of_file.access.tokens.len(), 1);
    assert_eq!(of_file.access.tokens[0].grant().scopes.len(), 3);

    let listen: &[tree::Step] =
        &[tree::Step { key: "gateway", list: false }, tree::Step { key: "listen", list: false }];
    let flags = [Flag { name: "--listen", path: listen, value: Some("127.0.0.1:3") }];
    let of_flags = from_flags(&flags, &surroundings).unwrap();
    assert_eq!(of_flags.gateway.listen.port(), 3);
    assert_eq!(of_flags.apis[0].upstream.host(), "from-environment");
}

#[test]
fn files_are_relative_to_where_they_are_named() {
    let text = format!(
        "[store]\npath = \"a.db\"\n{ONE_API}openapi = \"o.yaml\"\n[api.process]\npid_file = \"/run/x\"\n"
    );
    let surroundings = Pretended::default().file("/etc/lifesigns/o.yaml", "paths: {/a: {}}");
    let settings = read_in(&text, &surroundings).unwrap();
    assert_eq!(settings.store.file.as_deref(), Some(Path::new("/etc/lifesigns/a.db")));
    assert_eq!(settings.apis[0].routes.as_ref().and_then(|routes| routes.find("/a")), Some("/a"));
    assert_eq!(settings.apis[0].process, Process::Local(lifesigns::ProcessSource::PidFile("/run/x".into())));
    let by_variable =
        read_in(&text.replace("openapi", "#"), &Pretended::variables(&[("LIFESIGNS_DATA", "b.db")]));
    assert_eq!(by_variable.unwrap().store.file.as_deref(), Some(Path::new("b.db")));
}

#[test]
fn routes_are_relative_to_the_base_of_the_upstream() {
    let check = |upstream: &str, request: &str, expected: Option<&str>| {
        let text = format!("[[api]]\nupstream = \"{upstream}\"\nopenapi = \"o\"\n");
        let description = "servers: [{url: /v1}]\npaths: {'/a/{id}': {}}";
        let surroundings = Pretended::default().file("/etc/lifesigns/o", description);
        let settings = read_in(&text, &surroundings).unwrap();
        assert_eq!(settings.apis[0].routes.as_ref().unwrap().find(request), expected, "{upstream} {request}");
    };
    check("http://x", "/v1/a/7", Some("/v1/a/{id}"));
    check("http://x/v1", "/a/7", Some("/a/{id}"));
    check("http://x/v", "/v1/a/7", Some("/v1/a/{id}"));
    check("http://x", "/a/7", None);
}

#[test]
fn hashes_come_from_a_file_or_the_environment_too() {
    let hash = lifesigns::TokenHash::of("x");
    let text = format!(
        "{ONE_API}[[token]]\nname = \"a\"\nhash_file = \"a\"\nscopes = [\"metrics:read\"]\n\
         [[token]]\nname = \"b\"\nhash_env = \"B\"\nscopes = [\"metrics:read\", \"metrics:read\"]\n"
    );
    let surroundings = Pretended::variables(&[("B", &lifesigns::TokenHash::of("y").to_string())])
        .file("/etc/lifesigns/a", &format!("{hash}\n"));
    let settings = read_in(&text, &surroundings).unwrap();
    assert_eq!(settings.access.tokens[0].hash(), hash);
    assert_eq!(settings.access.tokens[1].grant().scopes, [lifesigns::Scope::MetricsRead]);
}

#[test]
fn what_an_api_leaves_out_is_as_for_all() {
    let settings = read(
        "environment = \"test\"\n\
         [verdict]\nred_failed_share = 0.3\nretry_after_seconds = 7\n\
         [resources]\nforced_answers = false\n[resources.livez]\npath = \"/alive\"\n\
         [[api]]\nname = \"a\"\nupstream = \"http://a\"\nhost = \"A.example.com.\"\npath = \"/a/\"\n\
         [api.verdict]\namber_failed_share = 0.2\n[api.resources.livez]\nenabled = false\n\
         [[api]]\nname = \"b\"\nupstream = \"http://b\"\n",
    )
    .unwrap();
    let (a, b) = (&settings.apis[0], &settings.apis[1]);
    assert_eq!(a.mount, Mount { host: Some("a.example.com".to_owned()), path: "/a".to_owned() });
    assert_eq!((a.thresholds.amber_failed_share, a.thresholds.red_failed_share), (0.2, 0.3));
    assert_eq!((b.thresholds.amber_failed_share, b.thresholds.red_failed_share), (0.05, 0.3));
    let livez = lifesigns::ResourceKind::Livez;
    assert_eq!(
        (a.resources.resource(livez).path.as_str(), a.resources.resource(livez).enabled),
        ("/alive", false)
    );
    assert!(b.resources.resource(livez).enabled && !b.resources.forced_answers);
    assert_eq!(a.resources.retry_after_seconds, 7);
    assert_eq!(a.identity.environment.as_deref(), Some("test"));
}

#[test]
fn each_api_answers_in_its_own_dialect() {
    for dialect in HealthDialect::ALL {
        let settings = read(&format!(
            "[resources]\ndialect = \"xabaril\"\n\
             [[api]]\nname = \"a\"\nupstream = \"http://a\"\npath = \"/a\"\n\
             [api.resources]\ndialect = \"{}\"\n\
             [[api]]\nname = \"b\"\nupstream = \"http://b\"\n",
            dialect.name()
        ));
        let [a, b] = &settings.unwrap().apis[..] else { panic!("there are two") };
        assert_eq!(a.resources.health_dialect, dialect);
        assert_eq!(b.resources.health_dialect, HealthDialect::Xabaril);
    }
    let faults = told(read(&format!("[resources]\ndialect = \"actuater\"\n{ONE_API}")));
    assert!(faults.contains("`dialect` does not know `actuater`\n"), "{faults}");
    assert!(faults.contains("did you mean `actuator`?"), "{faults}");
}

#[test]
fn an_objective_of_one_api_changes_what_is_written_for_all() {
    let text = "[objective]\ngood_share = 0.99\nlatency_ms = 250\n\
         [[api]]\nname = \"a\"\nupstream = \"http://a\"\npath = \"/a\"\n[api.objective]\ngood_share = 0.999\n\
         [[api]]\nname = \"b\"\nupstream = \"http://b\"\npath = \"/b\"\n[api.objective]\nperiod_days = 7\n\
         [[api]]\nname = \"c\"\nupstream = \"http://c\"\n";
    let objectives = |text: &str| {
        let apis = read(text).unwrap().apis.into_iter();
        let figures = apis
            .map(|api| api.objective.map(|it| (it.good_share(), it.latency_bound_ms(), it.period_days())));
        figures.collect::<Vec<_>>()
    };
    let expected =
        [Some((0.999, Some(250.0), 30)), Some((0.99, Some(250.0), 7)), Some((0.99, Some(250.0), 30))];
    assert_eq!(objectives(text), expected);
    assert_eq!(objectives(ONE_API), [None]);
    assert_eq!(objectives(&format!("{ONE_API}[api.objective]\ngood_share = 0.9")), [Some((0.9, None, 30))]);
}

#[test]
fn objectives_that_make_no_sense_are_told() {
    insta::assert_snapshot!(told(read(
        "[objective]\nperiod_days = 30\n\
         [[api]]\nname = \"a\"\nupstream = \"http://a\"\npath = \"/a\"\n[api.objective]\ngood_share = 1\n\
         [[api]]\nname = \"b\"\nupstream = \"http://b\"\npath = \"/b\"\n[api.objective]\ngood_share = 0\n\
         [[api]]\nname = \"c\"\nupstream = \"http://c\"\npath = \"/c\"\n[api.objective]\ngood_share = 99.9\nperiod_days = 91\n\
         [[api]]\nname = \"d\"\nupstream = \"http://d\"\n[api.objective]\nlatency_ms = 0\ngood_shares = 0.9\n"
    )));
}

/// Those have tests of their own.
fn is_tested_elsewhere(header: &str) -> bool {
    let starts = [
        "[[check]]",
        "[check.",
        "[[api.route_group]]",
        "[api.route_group.",
        "[monitor]",
        "[[service]]",
        "[[alert]]",
        "[alert.",
        "[[maintenance]]",
    ];
    starts.iter().any(|start| header.starts_with(start))
}

#[test]
fn documented_defaults_are_the_defaults() {
    let mut text = String::new();
    for section in sections() {
        let header = match section.header {
            "[resources.RESOURCE]" => "[resources.readyz]",
            // There are none unless something is written that has no default.
            "[[token]]" | "[[app]]" | "[[issuer]]" | "[objective]" | "[api.objective]" => continue,
            header if is_tested_elsewhere(header) => continue,
            header => header,
        };
        let _ = writeln!(text, "{header}");
        for key in section.keys {
            let value = if key.name == "upstream" { key.written_example() } else { key.written_default() };
            let is_own_name = section.header.is_empty() && key.name == "name";
            if let Some(value) = value.filter(|_| !is_own_name) {
                let _ = writeln!(text, "{} = {value}", key.name);
            }
        }
    }
    let mut written =
        read_in(&text, &Pretended::default()).unwrap_or_else(|faults| panic!("{text}\n{faults:#?}"));
    let left_out = read(ONE_API).unwrap();
    assert_eq!(written.store.file.take(), Some("/etc/lifesigns/lifesigns.db".into()));
    written.store.file.clone_from(&left_out.store.file);
    assert_eq!(format!("{written:#?}"), format!("{left_out:#?}"));
    assert_eq!(left_out.name, "lifesigns");
}

#[test]
fn every_documented_example_is_right() {
    for section in sections() {
        for key in section.keys {
            let Some(example) = key.written_example() else { continue };
            let line = format!("{} = {example}", key.name);
            let hash = "hash = \"sha256:0000000000000000000000000000000000000000000000000000000000000000\"";
            let text = match (section.header, key.kind) {
                (header, _) if is_tested_elsewhere(header) => continue,
                ("", _) => format!("{line}\n{ONE_API}"),
                ("[[api]]", _) if key.name == "upstream" => format!("[[api]]\n{line}"),
                ("[[api]]" | "[api.identity]" | "[api.process]" | "[api.verdict]", _) => {
                    format!("{ONE_API}{}\n{line}", section.header.replace("[[api]]", ""))
                }
                ("[[token]]", _) => {
                    let rest = ["name = \"a\"", hash, "scopes = [\"metrics:read\"]"];
                    let is_hash = key.name.starts_with("hash");
                    let rest = rest.into_iter().filter(|other| {
                        let replaced = other.starts_with(&format!("{} ", key.name));
                        let other_hash = is_hash && other.starts_with("hash");
                        !replaced && !other_hash
                    });
                    format!("{ONE_API}[[token]]\n{line}\n{}", rest.collect::<Vec<_>>().join("\n"))
                }
                ("[[app]]" | "[[issuer]]", _) => {
                    format!(
                        "{ONE_API}{}\n{line}\n{}",
                        section.header,
                        access::rest_of(section.header, key.name)
                    )
                }
                ("[objective]" | "[api.objective]", _) => {
                    let good_share = if key.name == "good_share" { "" } else { "good_share = 0.99" };
                    format!("{ONE_API}{}\n{good_share}\n{line}", section.header)
                }
                (header, _) => format!("{}\n{line}\n{ONE_API}", header.replace("RESOURCE", "status")),
            };
            let hash = lifesigns::TokenHash::of("x").to_string();
            let surroundings =
                access::pretended(&[("DASHBOARD_TOKEN_HASH", &hash), ("COLLECTOR_HEADERS", "a=b")])
                    .file("/run/secrets/otlp-headers", "a: b")
                    .file("/run/secrets/dashboard", &hash)
                    .file("/etc/lifesigns/polls.openapi.yaml", "paths: {/a: {}}");
            if let Err(faults) = read_in(&text, &surroundings) {
                panic!("{text}\n{}", Printer::plain().faults_text(&faults));
            }
        }
    }
}

#[test]
fn the_example_file_is_right() {
    let settings = read(include_str!("../../../../examples/lifesigns.toml")).unwrap();
    assert_eq!(settings.apis.len(), 2);
    assert_eq!(settings.access.tokens[0].hash(), lifesigns::TokenHash::of("ls_example"));
}

#[test]
fn the_page_is_printed_from_the_reference() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let written = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        written == page::markdown(),
        "docs/configuration.md is behind; write it anew with `cargo run -- config reference > docs/configuration.md`"
    );
}

#[test]
fn deep_nesting_is_a_fault_and_no_crash() {
    let deep_key = format!("{}x = 1", "a.".repeat(20_000));
    let deep_list = format!("name = {}", "[".repeat(20_000));
    let deep_table = format!("name = {}", "{a=".repeat(20_000));
    for text in [deep_key, deep_list, deep_table] {
        let faults = read(&text).unwrap_err();
        assert!(told(Err(faults)).len() < 20_000);
    }
}

proptest! {
    #[test]
    fn any_text_gives_settings_or_faults(text in ".*") {
        if let Err(faults) = read(&text) {
            prop_assert!(!faults.list.is_empty());
            let told = Printer::plain().faults_text(&faults);
            prop_assert!(!told.chars().any(|c| c.is_control() && c != '\n'));
        }
    }

    #[test]
    fn any_lines_of_known_words_give_settings_or_faults(lines in prop::collection::vec(line(), 0..30)) {
        if let Err(faults) = read(&lines.join("\n")) {
            prop_assert!(!faults.list.is_empty());
            Printer::plain().faults_text(&faults);
        }
    }
}

/// Lines as people could write them: known headers and keys with values of any kind.
fn line() -> impl Strategy<Value = String> {
    let headers: Vec<&str> = sections().iter().map(|section| section.header).collect();
    let every_key = || sections().into_iter().flat_map(|section| section.keys);
    let keys: Vec<&str> = every_key().map(|key| key.name).collect();
    let examples: Vec<String> = every_key().filter_map(Key::written_example).collect();
    let odd = [
        "",
        "-1",
        "1e400",
        "nan",
        "{}",
        "[[]]",
        "\"\\u0000\"",
        "'''",
        "1979-05-27",
        "{a.b = {}}",
        "0x7fffffffffffffffff",
    ]
    .map(str::to_owned);
    let value = prop_oneof![prop::sample::select(examples), prop::sample::select(odd.to_vec())];
    prop_oneof![
        1 => prop::sample::select(headers).prop_map(str::to_owned),
        3 => (prop::sample::select(keys), value).prop_map(|(key, value)| format!("{key} = {value}")),
    ]
}
