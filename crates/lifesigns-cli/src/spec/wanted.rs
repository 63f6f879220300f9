//! What is to be in a description, made from the one that the library gives of itself.

use std::sync::Arc;

use lifesigns::{Lifesigns, Listener, ResourceKind};
use lifesigns_model::store::Retention;
use lifesigns_store::memory::MemoryStore;
use serde_json::{Map, Value, json};

use crate::printer::Problem;

/// A resource, and how it is described.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its path.
    pub path: String,
    /// Name of its operation.
    pub operation_id: String,
    /// Its `get`, as OpenAPI 3.0 and 3.1 both write it.
    pub get: Value,
}

/// What a schema keeps of what the library says; the rest would need OpenAPI 3.1.
const KEPT: [&str; 7] = ["type", "enum", "pattern", "minimum", "maximum", "default", "uniqueItems"];

/// These kinds, in this order, each once, behind `base`.
///
/// # Errors
/// When the system gives no thread.
pub fn resources(kinds: &[ResourceKind], base: &str) -> Result<Vec<Wanted>, Problem> {
    let store = Arc::new(MemoryStore::new(Retention::default()));
    let lifesigns = Lifesigns::builder("api").store(store).start();
    let lifesigns =
        lifesigns.map_err(|error| Problem::new("the resources cannot be described").because(&error))?;
    let document = lifesigns.description(Listener::Public);
    let mut wanted: Vec<Wanted> = Vec::new();
    for kind in kinds {
        let path = format!("{base}{}", kind.default_path());
        if wanted.iter().any(|known| known.path == path) {
            continue;
        }
        let operation = &document["paths"][kind.default_path()]["get"];
        let operation_id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        wanted.push(Wanted { path, operation_id, get: simple(&document, operation) });
    }
    Ok(wanted)
}

/// The operation without what belongs to this program alone: complete in itself, and short.
fn simple(document: &Value, operation: &Value) -> Value {
    let mut get = Map::new();
    for name in ["summary", "description", "operationId"] {
        get.insert(name.to_owned(), operation[name].clone());
    }
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let parameters: Vec<Value> =
        parameters.map(|it| resolved(document, it)).filter(|it| it["in"] == "query").map(parameter).collect();
    if !parameters.is_empty() {
        get.insert("parameters".to_owned(), Value::Array(parameters));
    }
    let responses = operation["responses"].as_object().into_iter().flatten();
    let responses =
        responses.map(|(status, it)| (status.clone(), response(document, resolved(document, it))));
    get.insert("responses".to_owned(), Value::Object(responses.collect()));
    Value::Object(get)
}

fn parameter(parameter: &Value) -> Value {
    let mut kept = Map::new();
    for name in ["name", "in", "description", "style", "explode"] {
        if let Some(value) = parameter.get(name) {
            kept.insert(name.to_owned(), value.clone());
        }
    }
    kept.insert("schema".to_owned(), schema(&parameter["schema"]));
    Value::Object(kept)
}

fn schema(schema: &Value) -> Value {
    let mut kept: Map<String, Value> =
        KEPT.into_iter().filter_map(|name| Some((name.to_owned(), schema.get(name)?.clone()))).collect();
    if let Some(items) = schema.get("items") {
        kept.insert("items".to_owned(), self::schema(items));
    }
    Value::Object(kept)
}

fn response(document: &Value, response: &Value) -> Value {
    let mut kept = json!({"description": response["description"]});
    let content = response["content"].as_object().into_iter().flatten();
    let content: Map<String, Value> = content
        .map(|(media_type, content)| {
            let is_text = resolved(document, &content["schema"])["type"] == "string";
            let kind = if is_text { "string" } else { "object" };
            (media_type.clone(), json!({"schema": {"type": kind}}))
        })
        .collect();
    if !content.is_empty() {
        kept["content"] = Value::Object(content);
    }
    kept
}

/// What a reference within the document refers to.
fn resolved<'d>(document: &'d Value, part: &'d Value) -> &'d Value {
    let pointer = part["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(part)
}
