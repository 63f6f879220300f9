//! `/openapi.json` of the real program: read by the tools that people read it with, and asked for all it tells of.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]
#![allow(clippy::print_stdout, reason = "warnings are shown")]

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use lifesigns_tests::client::{Request, get};
use lifesigns_tests::program::{Program, run, workspace};
use lifesigns_tests::tools;
use lifesigns_tests::upstream::Upstream;
use serde_json::Value;
use tempfile::TempDir;

/// The one that [`HEAD`] lets in.
const TOKEN: &str = "ls_example";
/// A gateway that may be asked often, with a token that opens everything.
const HEAD: &str = "name = \"gateway\"\norganization = \"example\"\nenvironment = \"test\"\n[gateway]\nlisten = \"127.0.0.1:0\"\n\
    admin_listen = \"127.0.0.1:0\"\n[store]\npath = \"memory\"\n[[token]]\nname = \"everything\"\n\
    hash = \"sha256:46d8b15193463ff89a576355ef593e94b065982972f5de8246e650d4c3fe479f\"\n\
    scopes = [\"analytics:read\", \"health:details\", \"health:write\", \"metrics:read\"]\n\
    [resources.health_details]\nrequests_per_minute = 1000000\n[resources.analytics]\nrequests_per_minute = 1000000\n\
    [resources.token]\nrequests_per_minute = 1000000\n[access]\nfailed_attempts_per_minute = 10000\n";

struct World {
    _program: Program,
    folder: TempDir,
    upstream: Upstream,
    public: SocketAddr,
    admin: SocketAddr,
}

impl World {
    fn start(apis: &str) -> World {
        let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start());
        let apis = apis.replace("UPSTREAM", &format!("http://{}", upstream.address()));
        let file = folder.path().join("lifesigns.toml");
        fs::write(&file, format!("{HEAD}{apis}{}", an_app())).unwrap();
        let program = Program::start(&["run", "--config", file.to_str().unwrap()]);
        let (public, admin) = (program.listening("gateway"), program.listening("admin"));
        World { _program: program, folder, upstream, public, admin }
    }

    /// One API behind the gateway.
    fn of_one_api() -> World {
        World::start(
            "[[api]]\nname = \"polls\"\nupstream = \"UPSTREAM\"\n[api.objective]\ngood_share = 0.99\n",
        )
    }

    /// APIs under a path and on a host, one of them with resources elsewhere than usual, on one listener or protected.
    fn of_several_apis() -> World {
        World::start(
            "[[api]]\nname = \"polls\"\nupstream = \"UPSTREAM\"\npath = \"/polls/v1\"\n\
             [api.resources]\nprefix = \"/-\"\nforced_answers = false\n\
             [api.resources.livez]\npath = \"/alive\"\n[api.resources.status]\nenabled = false\n\
             [api.resources.health]\nlistener = \"admin\"\nprotected = true\n\
             [[api]]\nname = \"host\"\nupstream = \"UPSTREAM\"\nhost = \"b.example\"\n\
             [api.resources]\nallowed_origins = [\"*\"]\n",
        )
    }

    /// The description as a host is given it, in a file.
    fn description(&self, at: SocketAddr, host: &str) -> (Value, PathBuf) {
        let answer = Request::get("/openapi.json").header("Host", host).send(at);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("application/json; charset=utf-8"))
        );
        let name = format!("{host}-{}.json", at.port());
        let file = self.folder.path().join(name);
        fs::write(&file, &answer.body).unwrap();
        (answer.json(), file)
    }

    /// All descriptions that there are.
    fn descriptions(&self) -> Vec<(SocketAddr, &'static str, Value, PathBuf)> {
        let ways = [(self.public, "a.example"), (self.public, "b.example:8080"), (self.admin, "a.example")];
        ways.map(|(at, host)| {
            let (document, file) = self.description(at, host);
            (at, host, document, file)
        })
        .into()
    }
}

/// The lines that let an app have tokens.
fn an_app() -> String {
    let page = run(&["token", "app", "--client-id", "reports"]).stdout;
    let page = String::from_utf8(page).unwrap();
    page[page.find("[[app]]").unwrap()..].to_owned()
}

fn paths(document: &Value) -> Vec<&str> {
    document["paths"].as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn validators_have_no_fault_to_find() {
    for world in [World::of_one_api(), World::of_several_apis()] {
        for (_, _, _, file) in world.descriptions() {
            let mut validator = Command::new(tools::python().join("openapi-spec-validator"));
            tools::succeed(validator.arg(&file));
            println!("{}", tools::spectral(&file));
        }
    }
}

#[test]
fn everything_is_described_where_it_stands_and_nothing_else() {
    let world = World::of_several_apis();
    let check = |at, host, expected: &[&str]| {
        let (document, _) = world.description(at, host);
        let found: Vec<String> = paths(&document).into_iter().map(str::to_owned).collect();
        let missing: Vec<&&str> =
            expected.iter().filter(|path| !found.iter().any(|it| it == **path)).collect();
        assert!(missing.is_empty(), "{host}: {missing:?} of {found:?}");
        found
    };
    let polls = "/polls/v1/-";
    let found = check(
        world.public,
        "a.example",
        &[
            &format!("{polls}/alive"),
            &format!("{polls}/health/status"),
            "/status",
            "/health/status/{code}",
            "/metrics",
            "/openapi.json",
            "/analytics/1.0/{organization}/environments/{environment}/query",
        ],
    );
    for absent in ["/livez", "/status", "/health", "/health/status/{code}"] {
        assert!(!found.contains(&format!("{polls}{absent}")), "{absent}");
    }
    let found = check(world.public, "B.example.", &["/status", "/health/status/{code}", "/metrics"]);
    assert!(found.iter().all(|path| !path.starts_with("/polls")), "{found:?}");
    let (document, _) = world.description(world.public, "b.example");
    assert_eq!(document["paths"]["/status"]["get"]["tags"][0], "host");
    check(
        world.admin,
        "b.example",
        &["/status", "/polls/-/alive", "/polls/-/health", "/host/health/details", "/metrics"],
    );
}

/// What is told to be open is open, what is told to take a token takes one, and nothing is told that is not there.
#[test]
fn every_path_that_is_described_is_answered_as_it_is_described() {
    let mut asked = 0;
    for world in [World::of_one_api(), World::of_several_apis()] {
        for (at, host, document, _) in world.descriptions() {
            for (path, item) in document["paths"].as_object().unwrap() {
                let target = path
                    .replace("{code}", "503")
                    .replace("{organization}", "example")
                    .replace("{environment}", "test");
                for (method, operation) in item.as_object().unwrap() {
                    let request = Request::new(&method.to_uppercase(), &target).header("Host", host).body("");
                    let what = format!("{method} {path} on {host}");
                    let answer = request.send(at);
                    assert!(
                        operation["responses"].get(answer.status.to_string()).is_some(),
                        "{what}: {}",
                        answer.status
                    );
                    let ways = operation["security"].as_array().unwrap();
                    let takes_token = !ways.is_empty() && !ways.contains(&serde_json::json!({}));
                    assert_eq!(answer.status == 401, takes_token, "{what}");
                    let answer = request.bearer(TOKEN).send(at);
                    let told = &operation["responses"][answer.status.to_string()];
                    assert!(told.is_object(), "{what}: {}", answer.status);
                    assert_ne!(answer.status, 401, "{what}");
                    asked += 1;
                }
                let options = Request::new("OPTIONS", &target).header("Host", host).send(at);
                let allowed: Vec<String> =
                    options.header("allow").unwrap().split(", ").map(str::to_lowercase).collect();
                let methods: Vec<&String> = item.as_object().unwrap().keys().collect();
                let others: Vec<&String> = allowed.iter().filter(|method| *method != "options").collect();
                assert_eq!(methods, others, "{path}");
            }
        }
        assert_eq!(world.upstream.requests(), 0, "health resources never reach an upstream");
    }
    assert!(asked > 200, "{asked}");
}

#[test]
fn the_form_is_chosen_and_the_answer_is_kept() {
    let world = World::of_one_api();
    let plain = get(world.public, "/openapi.json");
    for (accept, expected) in [
        ("application/openapi+json", "application/openapi+json;version=3.1"),
        ("application/vnd.oai.openapi+json;version=3.1", "application/vnd.oai.openapi+json;version=3.1"),
        ("text/html", "application/json; charset=utf-8"),
    ] {
        let answer = Request::get("/openapi.json").header("Accept", accept).send(world.public);
        assert_eq!((answer.header("content-type"), &answer.body), (Some(expected), &plain.body), "{accept}");
    }
    let coded = Request::get("/openapi.json").header("Accept-Encoding", "gzip");
    let (first, second) = (coded.send(world.public), coded.send(world.public));
    assert_eq!((first.header("content-encoding"), &first.body), (Some("gzip"), &second.body));
    assert!(first.body.len() * 4 < plain.body.len(), "{} {}", first.body.len(), plain.body.len());
    let head = Request::new("HEAD", "/openapi.json").send(world.public);
    assert_eq!(head.header("content-length").unwrap().parse(), Ok(plain.body.len()));
}

fn schemathesis(world: &World) {
    let mut command = Command::new(tools::python().join("schemathesis"));
    command
        .current_dir(world.folder.path())
        .arg("--config-file")
        .arg(workspace().join("tests/schemathesis.toml"))
        .args(["run", &format!("http://{}/openapi.json", world.public)])
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        .args(["--seed", "1", "--max-examples", "8", "--workers", "2", "--no-color"]);
    let (success, text) = tools::run(&mut command);
    assert!(success, "{text}");
    // That it was let in, and did not stop at the door.
    assert!(text.contains("Test cases:"), "{text}");
}

#[test]
fn schemathesis_finds_nothing_without_traffic() {
    schemathesis(&World::of_one_api());
}

#[test]
fn schemathesis_finds_nothing_with_traffic() {
    let world = World::of_one_api();
    for path in ["/bytes/10", "/status/404", "/status/500", "/bytes/20", "/slow/5"] {
        for app in ["reports", "=cmd()", "_na_"] {
            Request::get(path).header("X-Client-Id", app).send(world.public);
        }
    }
    schemathesis(&world);
}
