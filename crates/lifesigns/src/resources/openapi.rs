//! `/openapi.json`: all that can be asked for here, described as OpenAPI 3.1.
//!
//! The description is made from what answers: for each method of each resource a call is set up as a request would
//! set it up, and asked which methods, scopes, limits and forms it has. It is made once for each listener and each
//! set of APIs that a host leads to, and kept.

mod figure_schemas;
mod figures;
mod health;
mod health_schemas;
mod operation;
mod places;
mod schema;
mod token;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use http::header::HOST;
use http::{HeaderValue, Method, Request, StatusCode};
use lifesigns_model::identity::UNKNOWN;
use serde_json::{Map, Value, json};

use self::operation::Operation;
use self::places::Place;
use super::answer::{Answer, JSON};
use super::negotiate::Coding;
use super::{Call, Target, negotiate};
use crate::mount::Mount;
use crate::process::{Api, Lifesigns, Process};
use crate::recorder::lock;
use crate::settings::{Listener, ResourceKind};

/// What the description is sent as: JSON, or by the names that it has itself (draft-ietf-httpapi-rest-api-mediatypes).
pub(super) const MEDIA_TYPES: [&str; 3] =
    ["application/json", "application/openapi+json", "application/vnd.oai.openapi+json"];

const OPENAPI: [HeaderValue; 2] = [
    HeaderValue::from_static("application/openapi+json;version=3.1"),
    HeaderValue::from_static("application/vnd.oai.openapi+json;version=3.1"),
];

/// So many descriptions are kept: each may take some hundred kilobytes.
const MAX_KEPT: usize = 64;

/// Descriptions that have been made, by the way in which they were asked for: listener, host of an API, form, coding.
#[derive(Debug, Default)]
pub(crate) struct Descriptions(Mutex<HashMap<Way, Arc<Answer>>>);

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Way {
    is_admin: bool,
    /// The APIs that the host leads to, each with its path.
    apis: Vec<(usize, String)>,
    form: usize,
    coding: Option<Coding>,
}

impl Descriptions {
    fn keep(&self, way: Way, made: Arc<Answer>) {
        let mut kept = lock(&self.0);
        // With so many hosts each is asked for again some day, and made again.
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(way, made);
    }

    /// They are not true any more.
    pub(crate) fn forget(&self) {
        lock(&self.0).clear();
    }
}

pub(super) async fn answer(call: &Call<'_>) -> Answer {
    let process = &call.api.process;
    let host = call.parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| call.parts.uri.host());
    let listener = call.caller.listener;
    let mounts = places::mounts(process, host);
    let way = Way {
        is_admin: listener == Listener::Admin,
        apis: mounts.iter().map(|(index, mount)| (*index, mount.path().to_owned())).collect(),
        form: negotiate::media_type(&call.parts.headers, &MEDIA_TYPES),
        coding: negotiate::coding(&call.parts.headers).filter(|_| call.parts.method != Method::HEAD),
    };
    let known = lock(&process.descriptions.0).get(&way).cloned();
    if let Some(known) = known {
        return Answer::clone(&known);
    }
    let api = Api { process: Arc::clone(process), index: process.own };
    let (form, coding) = (way.form, way.coding);
    let making = tokio::task::spawn_blocking(move || {
        let content_type = form.checked_sub(1).map_or(JSON, |form| OPENAPI[form].clone());
        let text = describe(&api, listener, &mounts).to_string();
        Answer::new(StatusCode::OK, content_type, text).encoded(coding)
    });
    match making.await {
        Ok(made) => {
            process.descriptions.keep(way, Arc::new(made.clone()));
            made
        }
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

impl Lifesigns {
    /// The description of all resources on a listener, as `/openapi.json` has it for callers that name no host.
    pub fn description(&self, listener: Listener) -> Value {
        describe(&self.own(), listener, &places::mounts(&self.process, None))
    }
}

/// The description of all that can be asked for.
fn describe(api: &Api, listener: Listener, mounts: &[(usize, Mount)]) -> Value {
    let process = &api.process;
    let own = api.state();
    let mut paths: BTreeMap<String, Value> = BTreeMap::new();
    let mut order = Vec::new();
    let mut ids = Ids::default();
    let mut tags = BTreeSet::new();
    let mut responses = Responses::default();
    let places = places::places(api, listener, mounts);
    let issues_at = places.iter().find(|place| place.resource.kind == ResourceKind::Token);
    let issues_at = issues_at.map(|place| place.path.clone());
    for place in places {
        if paths.contains_key(&place.path) {
            continue;
        }
        let tag = place.state().name.to_string();
        let suffix = if place.api.index == process.own { String::new() } else { format!("_{}", word(&tag)) };
        let mut item = Map::new();
        for method in methods(&place, listener) {
            let what = name(&place, &method);
            let mut described = with_call(&place, method.clone(), listener, |call| {
                let id = ids.take(&format!("{what}{suffix}"));
                operation(call).describe(call, &id, &tag, issues_at.is_some())
            });
            responses.share(&what, &mut described);
            item.insert(method.as_str().to_ascii_lowercase(), described);
        }
        tags.insert(tag);
        order.push(place.path.clone());
        paths.insert(place.path, Value::Object(item));
    }
    let paths: Map<String, Value> =
        order.into_iter().filter_map(|path| paths.remove(&path).map(|item| (path, item))).collect();
    let tags: Vec<Value> = tags
        .into_iter()
        .map(|name| json!({"name": name, "description": format!("Resources of {name}.")}))
        .collect();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": format!("Health of {}", own.name),
            "version": own.identity.version.as_deref().unwrap_or(UNKNOWN),
            "description": "Health resources, answered by Lifesigns. Each of them also answers `OPTIONS`, with 204 and \
                            `Allow`, and every other method than those described, with 405 and `Allow`. `Accept` \
                            chooses among the media types, `Accept-Encoding` among `gzip`, `br`, `zstd` and `deflate`.",
            "contact": {"name": &*own.name},
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": paths,
    });
    document["components"] = json!({"responses": responses.components});
    let referred = components(&document, process, issues_at.as_deref());
    if let (Some(all), Value::Object(referred)) = (document["components"].as_object_mut(), referred) {
        all.extend(referred);
    }
    document
}

/// Calls `then` with a call as such a request would make it.
fn with_call<T>(place: &Place, method: Method, listener: Listener, then: impl FnOnce(&Call<'_>) -> T) -> T {
    let mut request = Request::new(());
    *request.method_mut() = method;
    let (parts, ()) = request.into_parts();
    then(&Call::imagined(&place.api, &place.resource, listener, &parts))
}

fn methods(place: &Place, listener: Listener) -> Vec<Method> {
    with_call(place, Method::GET, listener, |call| call.methods().to_vec())
}

/// What such a request is for.
fn operation(call: &Call<'_>) -> Operation {
    match (call.resource.kind, &call.resource.target) {
        (ResourceKind::Status, _) => health::status(call),
        (ResourceKind::Health, _) => health::health(call),
        (ResourceKind::HealthStatus, Target::Forced(_)) => health::forced(call),
        (ResourceKind::HealthStatus, _) => health::health_status(call),
        (ResourceKind::Livez | ResourceKind::Readyz | ResourceKind::Startupz, _) => health::probe(call),
        (ResourceKind::Maintenance, _) => health::maintenance(call),
        (ResourceKind::HealthDetails, _) => figures::details(call),
        (ResourceKind::Analytics, Target::Analytics { question: super::Question::Events, .. }) => {
            figures::events(call)
        }
        (ResourceKind::Analytics, _) => figures::query(call),
        (ResourceKind::Metrics, _) => figures::metrics(call),
        (ResourceKind::Token, _) => token::token(call),
        (ResourceKind::OpenApi, _) => figures::description(call),
    }
}

/// Such as `getHealthStatus`.
fn name(place: &Place, method: &Method) -> String {
    let capitalised = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{}{rest}", first.to_ascii_uppercase())
    };
    let kind: String = place.resource.kind.name().split('_').map(capitalised).collect();
    let more = figures::suffix(&place.resource.target).unwrap_or_default();
    format!("{}{kind}{more}", method.as_str().to_ascii_lowercase())
}

/// Letters, digits and underscores.
fn word(text: &str) -> String {
    text.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
}

/// Names of operations, each given once.
#[derive(Default)]
struct Ids(BTreeSet<String>);

impl Ids {
    fn take(&mut self, wanted: &str) -> String {
        let numbered = (2..).map(|number| format!("{wanted}_{number}"));
        let free = std::iter::once(wanted.to_owned()).chain(numbered).find(|id| !self.0.contains(id));
        let free = free.unwrap_or_else(|| wanted.to_owned());
        self.0.insert(free.clone());
        free
    }
}

/// Answers that operations share, as each API has nearly the same.
#[derive(Default)]
struct Responses {
    names: HashMap<String, String>,
    ids: Ids,
    components: Map<String, Value>,
}

impl Responses {
    /// Puts the answers of an operation among them, and leaves references in their places.
    fn share(&mut self, operation: &str, described: &mut Value) {
        let Some(responses) = described["responses"].as_object_mut() else { return };
        for (status, response) in responses {
            let text = response.to_string();
            let name = match self.names.get(&text) {
                Some(name) => name.clone(),
                None => {
                    let name = self.ids.take(&format!("{operation}_{status}"));
                    self.names.insert(text, name.clone());
                    self.components.insert(name.clone(), response.take());
                    name
                }
            };
            *response = json!({"$ref": format!("#/components/responses/{name}")});
        }
    }
}

/// All that the document refers to, and what that refers to in turn.
fn components(document: &Value, process: &Process, issues_at: Option<&str>) -> Value {
    let settings = &process.apis[process.own].settings;
    let health = health_schemas::schemas(settings).map(|(name, schema)| (name.to_owned(), schema));
    let tokens = token::schemas().map(|(name, schema)| (name.to_owned(), schema));
    let health = health.into_iter().chain(tokens);
    let mut known: BTreeMap<String, Value> = health.chain(figure_schemas::schemas()).collect();
    let mut wanted = Vec::new();
    references(document, &mut wanted);
    let (mut schemas, mut headers) = (BTreeMap::new(), BTreeMap::new());
    while let Some(reference) = wanted.pop() {
        match reference.split_once('/') {
            Some(("schemas", name)) => {
                if let Some(schema) = known.remove(name) {
                    references(&schema, &mut wanted);
                    schemas.insert(name.to_owned(), schema);
                }
            }
            Some(("headers", name)) => {
                if let Some(header) = operation::header_component(name) {
                    headers.insert(name.to_owned(), header);
                }
            }
            _ => {}
        }
    }
    json!({
        "schemas": schemas,
        "headers": headers,
        "parameters": {"RequestId": {
            "name": "X-Request-Id",
            "in": "header",
            "description": "A name for the request: 1 to 128 visible ASCII characters. Anything else gets a new one.",
            "schema": {"type": "string"},
        }},
        "securitySchemes": token::security_schemes(issues_at),
    })
}

/// What a part of the document refers to, as `schemas/Name`.
fn references(part: &Value, found: &mut Vec<String>) {
    match part {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str);
            found.extend(own.and_then(|path| path.strip_prefix("#/components/")).map(str::to_owned));
            members.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}
