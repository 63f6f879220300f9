//! The resources of the fleet described: OpenAPI 3.1.

use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::{JSON, answer};

pub(super) async fn document() -> Response<Body> {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| describe().to_string().into());
    answer(StatusCode::OK, JSON, DOCUMENT.clone())
}

/// A resource: path, method, who may ask, what it is, its parameters, and its answers besides 200.
struct Operation {
    path: &'static str,
    method: &'static str,
    /// Whether some of it is for strangers, too.
    may_strangers: bool,
    summary: &'static str,
    parameters: &'static [&'static str],
    media_type: &'static str,
    schema: &'static str,
    others: &'static [u16],
}

const SPAN: [&str; 3] = ["last", "from", "to"];

const OPERATIONS: [Operation; 11] = [
    Operation {
        path: "/api/services",
        method: "get",
        may_strangers: false,
        summary: "All services, and how many have which light.",
        parameters: &[],
        media_type: "application/json",
        schema: "Services",
        others: &[],
    },
    Operation {
        path: "/api/services/{name}",
        method: "get",
        may_strangers: false,
        summary: "One service.",
        parameters: &["name"],
        media_type: "application/json",
        schema: "Service",
        others: &[404],
    },
    Operation {
        path: "/api/services/{name}/history",
        method: "get",
        may_strangers: false,
        summary: "Lights, availability, latency and memory over a time.",
        parameters: &["name", "last", "from", "to", "points"],
        media_type: "application/json",
        schema: "History",
        others: &[400, 404, 503],
    },
    Operation {
        path: "/api/services/{name}/events",
        method: "get",
        may_strangers: false,
        summary: "Outages, deploys and restarts of a service, the newest first.",
        parameters: &["name", "last", "from", "to"],
        media_type: "application/json",
        schema: "Events",
        others: &[400, 404, 503],
    },
    Operation {
        path: "/api/events",
        method: "get",
        may_strangers: false,
        summary: "Everything that happened in the fleet, the newest first.",
        parameters: &["kind", "last", "from", "to"],
        media_type: "application/json",
        schema: "Events",
        others: &[400, 503],
    },
    Operation {
        path: "/api/incidents",
        method: "get",
        may_strangers: false,
        summary: "Incidents that go on, and those of a time that are over.",
        parameters: &SPAN,
        media_type: "application/json",
        schema: "Incidents",
        others: &[400, 503],
    },
    Operation {
        path: "/api/incidents/{id}/acknowledgement",
        method: "post",
        may_strangers: false,
        summary: "Takes an incident up: there are no reminders of it any more.",
        parameters: &["id"],
        media_type: "application/json",
        schema: "Acknowledged",
        others: &[400, 403, 404],
    },
    Operation {
        path: "/services/{name}/breaker",
        method: "get",
        may_strangers: true,
        summary: "Whether to call a service now, and when to look again. Of public ones strangers may ask.",
        parameters: &["name"],
        media_type: "application/json",
        schema: "Breaker",
        others: &[404],
    },
    Operation {
        path: "/services/{name}/available",
        method: "get",
        may_strangers: true,
        summary: "200 while a service may be called, 503 while it may not. Of public ones strangers may ask.",
        parameters: &["name"],
        media_type: "text/plain",
        schema: "Word",
        others: &[404, 503],
    },
    Operation {
        path: "/sd",
        method: "get",
        may_strangers: false,
        summary: "The fleet as Prometheus discovers it (http_sd_configs).",
        parameters: &[],
        media_type: "application/json",
        schema: "TargetGroups",
        others: &[],
    },
    Operation {
        path: "/metrics",
        method: "get",
        may_strangers: false,
        summary: "Figures of all services, and of the monitor, for Prometheus.",
        parameters: &[],
        media_type: "text/plain",
        schema: "Word",
        others: &[],
    },
];

fn describe() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in &OPERATIONS {
        let entry = paths.entry(operation.path).or_insert_with(|| json!({}));
        entry[operation.method] = described(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Lifesigns monitor",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What a monitor knows of a fleet. Its own health resources are described at /openapi.json.",
            "license": {"name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {
                "type": "http", "scheme": "bearer", "description": "A token with the scope `fleet:read`.",
            }},
            "schemas": schemas(),
        },
    })
}

fn described(operation: &Operation) -> Value {
    let mut responses = Map::new();
    let schema = json!({"$ref": format!("#/components/schemas/{}", operation.schema)});
    let content = json!({operation.media_type: {"schema": schema}});
    responses.insert("200".to_owned(), json!({"description": "As asked for.", "content": content}));
    for status in operation.others.iter().chain(&[401, 403, 429]) {
        let is_word = operation.media_type == "text/plain" && *status == 503;
        let content = if is_word {
            json!({"text/plain": {"schema": {"type": "string"}}})
        } else {
            json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}})
        };
        responses.insert(status.to_string(), json!({"description": meaning(*status), "content": content}));
    }
    let id = operation.path.replace(['/', '{', '}'], " ").split_whitespace().collect::<Vec<_>>().join("_");
    let mut described = json!({
        "operationId": format!("{}_{id}", operation.method),
        "summary": operation.summary,
        "description": operation.summary,
        "tags": ["fleet"],
        "parameters": operation.parameters.iter().map(|name| parameter(name)).collect::<Vec<Value>>(),
        "responses": responses,
    });
    described["security"] =
        if operation.may_strangers { json!([{}, {"bearer": []}]) } else { json!([{"bearer": []}]) };
    if operation.method == "post" {
        described["requestBody"] = json!({
            "required": true,
            "content": {"application/json": {"schema": {
                "type": "object", "required": ["by"],
                "properties": {"by": {"type": "string", "minLength": 1, "description": "Who takes it up."}},
            }}},
        });
    }
    described
}

const fn meaning(status: u16) -> &'static str {
    match status {
        400 => "Something of the request cannot be read; the answer says what.",
        401 => "There is no token, or it is not known.",
        403 => "The token does not allow this.",
        404 => "There is no such service or incident.",
        429 => "Too many attempts failed.",
        _ => "It may not be called, or the history cannot be read at the moment.",
    }
}

fn parameter(name: &str) -> Value {
    let (place, schema, description) = match name {
        "name" => ("path", json!({"type": "string"}), "Name of a service."),
        "id" => ("path", json!({"type": "string"}), "Id of an incident."),
        "last" => (
            "query",
            json!({"type": "string", "pattern": "^[1-9][0-9]{0,5}[mhd]$"}),
            "How far back: 90m, 24h, 30d; 400 days at most.",
        ),
        "from" => ("query", json!({"type": "string", "format": "date-time"}), "Begin of the time."),
        "to" => {
            ("query", json!({"type": "string", "format": "date-time"}), "End of the time; left out: now.")
        }
        "points" => {
            let schema = json!({"type": "integer", "minimum": 1, "maximum": 1000});
            ("query", schema, "Parts into which the time is cut.")
        }
        _ => {
            let kinds =
                lifesigns_model::history::EventKind::ALL.map(lifesigns_model::history::EventKind::name);
            ("query", json!({"type": "string", "enum": kinds}), "Events of this kind alone.")
        }
    };
    json!({"name": name, "in": place, "required": place == "path", "schema": schema, "description": description})
}

fn schemas() -> Value {
    let light = json!({"type": "string", "enum": ["GREEN", "AMBER", "RED", "UNKNOWN"]});
    let time = json!({"type": ["string", "null"], "format": "date-time"});
    let text = json!({"type": ["string", "null"]});
    let number = json!({"type": ["number", "null"]});
    json!({
        "Service": {
            "type": "object", "required": ["name", "url", "light", "breaker"],
            "properties": {
                "name": {"type": "string"}, "url": {"type": "string"}, "light": light, "since": time,
                "why": {"type": "string"}, "flapping": {"type": "boolean"}, "code": {"type": "integer"},
                "maintenance": {"type": ["object", "null"]},
                "latency_ms": number, "asked": time, "next": time, "environment": text, "service": text,
                "repo": text, "revision": text, "version": text, "deployed_at": time, "process_began": time,
                "memory_mb": {"type": "object"}, "leak": {"type": ["object", "null"]},
                "deploy": {"type": ["object", "null"]}, "traffic": {"type": ["object", "null"]}, "certificate_expires": time,
                "parts": {"type": "array", "items": {"type": "object"}},
                "depends_on": {"type": "array", "items": {"type": "string"}}, "public": {"type": "boolean"},
                "breaker": {"type": "string", "enum": ["closed", "half_open", "open"]},
            },
        },
        "Services": {
            "type": "object", "required": ["counts", "services"],
            "properties": {
                "counts": {"type": "object"},
                "services": {"type": "array", "items": {"$ref": "#/components/schemas/Service"}},
            },
        },
        "History": {
            "type": "object", "required": ["service", "from", "to", "availability", "seconds", "points"],
            "properties": {
                "service": {"type": "string"}, "from": time, "to": time, "readings": {"type": "integer"},
                "availability": number, "seconds": {"type": "object"},
                "points": {"type": "array", "items": {"type": "object"}},
            },
        },
        "Events": {
            "type": "object", "required": ["events"],
            "properties": {"events": {"type": "array", "items": {"type": "object"}}},
        },
        "Incidents": {
            "type": "object", "required": ["open", "past"],
            "properties": {
                "open": {"type": "array", "items": {"type": "object"}},
                "past": {"type": "array", "items": {"type": "object"}},
            },
        },
        "Acknowledged": {"type": "object", "required": ["id", "acknowledged"]},
        "Breaker": {
            "type": "object", "required": ["service", "state", "light", "hold_non_essential", "next_try"],
            "properties": {
                "service": {"type": "string"},
                "state": {"type": "string", "enum": ["closed", "half_open", "open"]},
                "light": light, "hold_non_essential": {"type": "boolean"}, "since": time, "next_try": time,
                "why": {"type": "string"},
            },
        },
        "TargetGroups": {"type": "array", "items": {
            "type": "object", "required": ["targets", "labels"],
            "properties": {
                "targets": {"type": "array", "items": {"type": "string"}}, "labels": {"type": "object"},
            },
        }},
        "Word": {"type": "string"},
        "Problem": {
            "type": "object", "required": ["type", "title", "status"],
            "properties": {
                "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
                "detail": {"type": "string"},
            },
        },
    })
}
