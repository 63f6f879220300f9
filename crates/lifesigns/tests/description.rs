//! `/openapi.json` against what answers: everything that it tells of is asked for in many ways, every answer has to be
//! one that it tells of, and every answer that it tells of has to come.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::get;
use boon::{Compiler, SchemaIndex, Schemas};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, StatusCode};
use lifesigns::model::identity::Identity;

use lifesigns::model::store::{
    KeptNote, Note, Rejected, Retention, RollupRow, RollupStore, Selected, Selection, StoreError, StoreStatus,
};
use lifesigns::{
    Authority, Builder, Check, FailureKind, Grant, HealthDialect, IssueError, IssueRequest, IssuedToken,
    Lifesigns, Objective, Pending, Refusal, Report, ResourceKind, Scope, Settings, Token, TokenHash,
};
use lifesigns_store::memory::MemoryStore;
use serde_json::{Value, json};
use tower::ServiceExt;

/// What cannot be had here: it takes ten seconds each.
const NOT_PROVOKED: [(&str, &str); 3] = [
    ("/analytics/1.0/{organization}/environments/{environment}/query", "408"),
    ("/health/maintenance", "408"),
    ("/oauth2/token", "408"),
];

const AUTHORIZATIONS: [&str; 6] =
    ["", "Bearer ls_ops", "Bearer ls_wrong", "Bearer ls_idle", "Bearer ls_unchecked", "Bearer a b"];

/// An API, and how it describes itself.
struct World {
    _lifesigns: Lifesigns,
    app: Router,
    document: Value,
    schemas: Schemas,
    compiler: Compiler,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

fn builder(settings: Settings, is_well: bool) -> Builder {
    let token = |name: &str, scopes: &[Scope]| {
        Token::new(name, TokenHash::of(&format!("ls_{name}")), scopes.iter().copied())
    };
    let says = |name, report: Report| {
        Check::new(name, move || std::future::ready(report.clone()))
            .every(Duration::from_millis(100))
            .thresholds(1, 1)
    };
    let mail = says("mail", Report::fail(FailureKind::Denied, "no")).affects(["/items/{id}"]);
    let builder = Lifesigns::builder("items")
        .store(Arc::new(MemoryStore::new(Retention::default())))
        .token(token("ops", &Scope::ALL))
        .token(token("idle", &[]))
        .organization("example")
        .authority(Arc::new(Apps))
        .failed_attempts_per_minute(100)
        .settings(settings)
        .objective(Objective::new(0.99).unwrap())
        .check(says("queue", Report::pass().observed("depth", 3.0, "messages")))
        .identity(Identity {
            repo: Some("https://example.com/items".into()),
            revision: Some("29636480c0ffee0029636480c0ffee0029636480".into()),
            version: Some("1.2.0".into()),
            ..Identity::default()
        });
    if is_well { builder } else { builder.check(mail) }
}

/// Issues tokens to an app, and cannot tell of one token whether it is good.
#[derive(Debug)]
struct Apps;

impl Authority for Apps {
    fn check(&self, token: &str) -> Result<Arc<Grant>, Refusal> {
        Err(if token == "ls_unchecked" { Refusal::Unchecked } else { Refusal::Unknown })
    }

    fn look_for_key<'a>(&'a self, _token: &'a str) -> Pending<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn has_apps(&self) -> bool {
        true
    }

    fn knows_app(&self, client_id: &str) -> bool {
        client_id != "nobody"
    }

    fn issue(&self, request: IssueRequest) -> Pending<'_, Result<IssuedToken, IssueError>> {
        let issued = match request.client_id.as_str() {
            "app" => Ok(IssuedToken {
                access_token: "a.b.c".to_owned(),
                lifetime: Duration::from_mins(10),
                scopes: vec![Scope::AnalyticsRead],
            }),
            "busy" => Err(IssueError::Busy),
            "failed" => Err(IssueError::Failed),
            "scope" => Err(IssueError::InvalidScope),
            _ => Err(IssueError::InvalidClient),
        };
        Box::pin(std::future::ready(issued))
    }
}

/// A store that cannot be read.
struct Broken;

impl RollupStore for Broken {
    fn append(&self, _rows: Vec<RollupRow>) -> Result<(), Rejected> {
        Ok(())
    }

    fn flush(&self, _patience: Duration) -> Result<(), StoreError> {
        Ok(())
    }

    fn select(&self, _selection: &Selection) -> Result<Selected, StoreError> {
        Err(StoreError::new("the disk is gone"))
    }

    fn remember(&self, _note: Note) -> Result<(), StoreError> {
        Ok(())
    }

    fn recall(&self, _topic: &str) -> Result<Vec<KeptNote>, StoreError> {
        Ok(Vec::new())
    }

    fn status(&self) -> StoreStatus {
        StoreStatus::default()
    }
}

/// Settings under which any number of requests may be made.
fn unlimited() -> Settings {
    let mut settings = Settings::default();
    for kind in ResourceKind::ALL {
        settings.resource_mut(kind).requests_per_minute = None;
    }
    settings
}

impl World {
    async fn start(builder: Builder) -> World {
        let lifesigns = builder.start().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while lifesigns.own().snapshot().checks.iter().any(|check| check.last.is_none()) {
            assert!(Instant::now() < deadline, "the checks do not run");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let app = Router::new()
            .route("/items/{id}", get(|| async { "item" }))
            .route("/broken", get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "no") }))
            .layer(lifesigns.layer());
        for path in ["/items/1", "/items/2", "/broken"] {
            send(&app, Request::get(path).body(Body::empty()).unwrap()).await;
        }
        let request = Request::get("/openapi.json").header(AUTHORIZATION, "Bearer ls_ops");
        let answer = send(&app, request.body(Body::empty()).unwrap()).await;
        let document: Value = serde_json::from_slice(&answer.body).unwrap();
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        let mut closed = document.clone();
        close(&mut closed);
        compiler.add_resource("file:///openapi.json", closed).unwrap();
        World { _lifesigns: lifesigns, app, document, schemas: Schemas::new(), compiler }
    }

    fn schema(&mut self, pointer: &str) -> SchemaIndex {
        let location = format!("file:///openapi.json#{pointer}");
        self.compiler.compile(&location, &mut self.schemas).unwrap_or_else(|error| panic!("{error}"))
    }

    fn check(&mut self, pointer: &str, instance: &Value, what: &str) {
        let schema = self.schema(pointer);
        if let Err(error) = self.schemas.validate(instance, schema) {
            panic!("{what}: {error:#}\n{instance:#}");
        }
    }

    /// The answer to a request for a path of the description has to be one of those that it names. Returns which.
    fn compare(&mut self, template: &str, method: &Method, answer: &Answer, what: &str) -> [String; 4] {
        let status = answer.status.as_str();
        let method = method.as_str().to_ascii_lowercase();
        let responses = &self.document["paths"][template][&method]["responses"];
        let place = responses[status]["$ref"].as_str();
        let place =
            place.unwrap_or_else(|| panic!("{what}: {status} is not described: {}", lossy(&answer.body)));
        let place = place.strip_prefix('#').unwrap().to_owned();
        let response = self.document.pointer(&place).unwrap().clone();
        for (name, header) in response["headers"].as_object().unwrap() {
            let component = header["$ref"].as_str().unwrap().strip_prefix('#').unwrap().to_owned();
            let required = self.document.pointer(&component).unwrap()["required"] == true;
            match answer.headers.get(name) {
                None => assert!(!required, "{what}: {name} is missing"),
                Some(value) => {
                    let text = value.to_str().unwrap();
                    let is_number = self.document.pointer(&component).unwrap()["schema"]["type"] == "integer";
                    let value = if is_number { json!(text.parse::<u64>().unwrap()) } else { json!(text) };
                    self.check(&format!("{component}/schema"), &value, &format!("{what}, {name}"));
                }
            }
        }
        let described = ["content-type", "content-length", "content-encoding", "connection"];
        for name in answer.headers.keys() {
            let known = response["headers"].as_object().unwrap().keys();
            let is_known = known.into_iter().any(|known| known.eq_ignore_ascii_case(name.as_str()));
            assert!(is_known || described.contains(&name.as_str()), "{what}: {name} is not described");
        }
        let content = response.get("content").and_then(Value::as_object);
        let Some(content) = content else {
            assert!(answer.body.is_empty(), "{what}: there is a body: {}", lossy(&answer.body));
            return [template.to_owned(), method, status.to_owned(), String::new()];
        };
        let media_type = answer.headers[CONTENT_TYPE].to_str().unwrap();
        let media_type = media_type.split(';').next().unwrap().to_owned();
        assert!(content.contains_key(&media_type), "{what}: {media_type} is not described");
        let body = if media_type.ends_with("json") && !media_type.contains("ndjson") {
            Some(serde_json::from_slice(&answer.body).unwrap())
        } else if media_type.ends_with("xml") {
            assert!(answer.body.starts_with(b"<?xml"), "{what}");
            None
        } else {
            Some(Value::from(lossy(&answer.body)))
        };
        let pointer = format!("{place}/content/{}/schema", media_type.replace('/', "~1"));
        if let Some(body) = body {
            self.check(&pointer, &body, what);
        }
        if media_type.contains("ndjson") {
            for line in lossy(&answer.body).lines() {
                let row = serde_json::from_str(line).unwrap();
                self.check(&format!("{pointer}/contentSchema"), &row, what);
            }
        }
        [template.to_owned(), method, status.to_owned(), media_type]
    }

    /// Asks for all that is described, in many ways. Returns all that was answered.
    async fn ask_everything(&mut self) -> BTreeSet<[String; 4]> {
        let mut seen = BTreeSet::new();
        let paths = self.document["paths"].as_object().unwrap().clone();
        let media_types: BTreeSet<String> =
            told_of(&self.document).into_iter().map(|[.., last]| last).collect();
        for (template, item) in &paths {
            for method in item.as_object().unwrap().keys() {
                let method: Method = method.to_ascii_uppercase().parse().unwrap();
                for (path, body) in asked(template, &method) {
                    for authorization in AUTHORIZATIONS {
                        for media_type in &media_types {
                            let mut request = Request::builder().method(&method).uri(&path);
                            if template == "/oauth2/token" {
                                request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
                            }
                            if !media_type.is_empty() {
                                request = request.header(ACCEPT, media_type);
                            }
                            if !authorization.is_empty() {
                                request = request.header(AUTHORIZATION, authorization);
                            }
                            let answer =
                                send(&self.app, request.body(Body::from(body.clone())).unwrap()).await;
                            let what = format!("{method} {path} {media_type} {authorization}");
                            seen.insert(self.compare(template, &method, &answer, &what));
                        }
                    }
                }
            }
        }
        seen
    }
}

/// Paths that a template stands for, each with a body: such as are fine, and others.
fn asked(template: &str, method: &Method) -> Vec<(String, String)> {
    let query = json!({"aggregators": [
        {"dimension": "status_code", "metrics": ["latency", "request_size", "response_size"],
         "aggregators": [{"dimension": "resource_path"}, {"time_interval": 60}]},
        {"time_interval": 60, "limit": 3},
    ]});
    let bodies = match (template, method) {
        ("/health/maintenance", &Method::PUT) => vec![
            json!({"reason": "move", "minutes": 1}).to_string(),
            json!({"reason": "move"}).to_string(),
            " ".repeat(100_000),
        ],
        ("/oauth2/token", _) => ["app", "busy", "failed", "scope", "nobody"]
            .map(|id| format!("grant_type=client_credentials&client_id={id}&client_secret=s"))
            .into_iter()
            .chain(["x".repeat(100_000)])
            .collect(),
        (_, &Method::POST) => vec![query.to_string(), "{}".to_owned(), " ".repeat(100_000)],
        _ => vec![String::new()],
    };
    let paths: Vec<String> = match template {
        "/health/status/{code}" => ["200", "400", "401", "405", "429", "500", "502", "503", "418"]
            .map(|code| template.replace("{code}", code))
            .into(),
        "/health" => HealthDialect::ALL
            .map(|dialect| format!("/health?dialect={}", dialect.name()))
            .into_iter()
            .chain(
                ["", "?dialect=none", "?expect=2963648", "?expect=0000000", "?expect=x"]
                    .map(|query| format!("/health{query}")),
            )
            .collect(),
        "/livez" | "/readyz" | "/startupz" => ["", "?verbose", "?verbose&exclude=mail&exclude=none"]
            .map(|query| format!("{template}{query}"))
            .into(),
        "/health/details" => ["", "?interval=15&by=status_code,method&duration=3h", "?interval=0", "?by="]
            .map(|query| format!("{template}{query}"))
            .into(),
        _ if template.contains("{organization}") => {
            let path = |organization| {
                template.replace("{organization}", organization).replace("{environment}", "test")
            };
            let queries = if template.ends_with("events") {
                vec!["", "?format=csv", "?limit=0", "?status_code=200&status_code=404"]
            } else {
                vec![""]
            };
            let paths = ["example", "other"].map(path);
            paths.iter().flat_map(|path| queries.iter().map(move |query| format!("{path}{query}"))).collect()
        }
        _ => vec![template.to_owned()],
    };
    paths
        .into_iter()
        .flat_map(|path| bodies.clone().into_iter().map(move |body| (path.clone(), body)))
        .collect()
}

/// Every answer that a description names: path, method, status, media type.
fn told_of(document: &Value) -> BTreeSet<[String; 4]> {
    let mut told = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let response = response["$ref"].as_str().unwrap().strip_prefix('#').unwrap();
                let content = document.pointer(response).unwrap().get("content").and_then(Value::as_object);
                let media_types = content.map(|content| content.keys().cloned().collect::<Vec<_>>());
                for media_type in media_types.unwrap_or_else(|| vec![String::new()]) {
                    told.insert([path.clone(), method.clone(), status.clone(), media_type]);
                }
            }
        }
    }
    told
}

/// In an object that is described nothing else may stand, unless it is said that it may.
fn close(part: &mut Value) {
    match part {
        Value::Object(members) => {
            let is_schema = members.get("type").is_some_and(|kind| kind == "object");
            if is_schema
                && members.contains_key("properties")
                && !members.contains_key("additionalProperties")
            {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn lossy(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

async fn send(app: &Router, request: Request<Body>) -> Answer {
    let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

#[tokio::test]
async fn every_answer_is_described_and_every_described_answer_comes() {
    let red = || Check::new("disk", async || Report::fail(FailureKind::Failed, "full"));
    let red = || red().every(Duration::from_millis(100)).thresholds(1, 1).critical();
    let mut long_red = unlimited();
    long_red.prolonged_red_seconds = 0;
    let (mut guarded, mut limited) = (unlimited(), unlimited());
    for kind in ResourceKind::ALL {
        guarded.resource_mut(kind).protected = true;
        limited.resource_mut(kind).requests_per_minute = Some(2);
    }
    let worlds = [
        builder(unlimited(), true),
        builder(unlimited(), false),
        builder(unlimited(), false).starting().check(red().of_this_process().fails_liveness()),
        builder(long_red, false).check(red()),
        builder(guarded, true),
        builder(limited, true),
        builder(unlimited(), true).store(Arc::new(Broken)),
    ];
    let (mut told, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for builder in worlds {
        let mut world = World::start(builder).await;
        told.extend(told_of(&world.document));
        seen.extend(world.ask_everything().await);
    }
    let is_excused =
        |told: &[String; 4]| NOT_PROVOKED.iter().any(|(path, status)| told[0] == *path && told[2] == *status);
    let missing: Vec<_> = told.iter().filter(|told| !seen.contains(*told) && !is_excused(told)).collect();
    let missing: Vec<String> = missing.into_iter().map(|missing| missing.join(" ")).collect();
    assert!(missing.is_empty(), "described, and never answered:\n{}", missing.join("\n"));
    for (path, status) in NOT_PROVOKED {
        let excused = told.iter().filter(|told| told[0] == path && told[2] == status);
        assert!(excused.clone().count() > 0, "{path} {status} is not described any more");
        assert!(excused.clone().all(|told| !seen.contains(told)), "{path} {status} can be had after all");
    }
}

#[tokio::test]
async fn every_kind_of_resource_is_described_with_its_examples() {
    let mut world = World::start(builder(unlimited(), true)).await;
    let ids: Vec<String> = told_operations(&world.document);
    for kind in ResourceKind::ALL {
        let words = kind.name().split('_').collect::<String>();
        assert!(ids.iter().any(|id| id.to_lowercase().contains(&words)), "{}: {ids:?}", kind.name());
    }
    let unique: BTreeSet<&String> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len());
    let mut examples = Vec::new();
    find_examples(&world.document, "", &mut examples);
    assert!(examples.len() > 10, "{examples:?}");
    for pointer in examples {
        let example = world.document.pointer(&format!("{pointer}/example")).unwrap().clone();
        world.check(&format!("{pointer}/schema"), &example, &pointer);
    }
}

fn told_operations(document: &Value) -> Vec<String> {
    let items =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    items.map(|operation| operation["operationId"].as_str().unwrap().to_owned()).collect()
}

/// Where there is an example beside a schema.
fn find_examples(part: &Value, pointer: &str, found: &mut Vec<String>) {
    if let Value::Object(members) = part {
        if members.contains_key("example") && members.contains_key("schema") {
            found.push(pointer.to_owned());
        }
        for (name, value) in members {
            let name = name.replace('~', "~0").replace('/', "~1");
            find_examples(value, &format!("{pointer}/{name}"), found);
        }
    } else if let Value::Array(items) = part {
        for (index, item) in items.iter().enumerate() {
            find_examples(item, &format!("{pointer}/{index}"), found);
        }
    }
}
