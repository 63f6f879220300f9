//! What bodies look like that tell how a process and its API are.

use lifesigns_model::check::{FailureKind, Outcome};
use lifesigns_model::identity::IdentityField;
use lifesigns_model::light::Light;
use serde_json::{Map, Value, json};

use super::schema::{
    about, amount, boolean, closed, count, list, map, named, nullable, object, object_of, text, time, words,
};
use crate::maintenance::{LONGEST, MAX_REASON};
use crate::settings::Settings;

pub(super) const LIGHTS: [Light; 3] = [Light::Green, Light::Amber, Light::Red];
pub(super) const OUTCOMES: [Outcome; 3] = [Outcome::Pass, Outcome::Warn, Outcome::Fail];

/// By name, those of `components` that this file has.
pub(super) fn schemas(settings: &Settings) -> [(&'static str, Value); 14] {
    [
        ("Status", status()),
        ("StatusError", object([("error", text()), ("timestamp", time()), ("service", text())])),
        ("Health", health(settings)),
        ("HealthJson", health_json()),
        ("HealthJsonCheck", health_json_check()),
        ("ActuatorHealth", actuator()),
        ("ActuatorComponent", actuator_component()),
        ("MicroProfileHealth", micro_profile()),
        ("XabarilHealth", xabaril()),
        ("FailureKind", words(FailureKind::ALL.map(FailureKind::name))),
        ("TrafficLight", traffic_light()),
        ("Maintenance", maintenance()),
        ("Announcement", announcement()),
        ("Problem", problem()),
    ]
}

pub(super) fn light() -> Value {
    words(LIGHTS.map(Light::name))
}

pub(super) fn outcome() -> Value {
    words(OUTCOMES.map(Outcome::name))
}

fn status() -> Value {
    let megabytes = || nullable(about(count(), "In MB of 1,048,576 bytes."));
    object_of(
        [
            ("status", words(["healthy", "unhealthy"])),
            ("service", text()),
            ("timestamp", time()),
            ("environment", text()),
            ("version", text()),
            ("uptime", nullable(about(count(), "Whole seconds."))),
            ("memory", object([("used", megabytes()), ("total", megabytes())])),
        ],
        [("error", text())],
    )
}

fn health(settings: &Settings) -> Value {
    let mut health = object_of(
        [("status", words(["OK", "DEGRADED", "UNAVAILABLE"]))],
        [("expected", text()), ("deployed", nullable(boolean()))],
    );
    let fields = IdentityField::ALL.map(|field| (field.name().to_owned(), text()));
    if let Some(properties) = health["properties"].as_object_mut() {
        properties.extend(Map::from_iter(fields));
    }
    // What strangers see and what is never left out.
    let always = [
        IdentityField::Repo,
        IdentityField::Revision,
        IdentityField::Version,
        IdentityField::DeployedAt,
        IdentityField::Uptime,
    ];
    let always = always.into_iter().filter(|field| settings.public_identity.contains(field));
    let required: Vec<&str> = ["status"].into_iter().chain(always.map(IdentityField::name)).collect();
    health["required"] = json!(required);
    health
}

fn health_json() -> Value {
    object_of(
        [
            ("status", outcome()),
            ("serviceId", text()),
            ("description", text()),
            ("checks", map(list(named("HealthJsonCheck")))),
        ],
        [
            ("version", text()),
            ("releaseId", text()),
            ("notes", list(text())),
            ("output", text()),
            ("links", object([("about", text())])),
        ],
    )
}

fn health_json_check() -> Value {
    object_of(
        [("componentType", text()), ("status", outcome())],
        [
            ("componentId", text()),
            ("observedValue", json!({"type": ["number", "string"]})),
            ("observedUnit", text()),
            ("affectedEndpoints", list(text())),
            ("time", time()),
            ("age", about(count(), "Seconds.")),
            ("output", text()),
            ("failure", named("FailureKind")),
        ],
    )
}

fn actuator() -> Value {
    let parts = || map(named("ActuatorComponent"));
    object_of(
        [("status", words(["UP", "DOWN"]))],
        [("components", parts()), ("details", about(parts(), "In version 2, instead of `components`."))],
    )
}

fn actuator_component() -> Value {
    object_of(
        [("status", words(["UP", "DOWN", "OUT_OF_SERVICE", "UNKNOWN"]))],
        [("details", json!({"type": "object"}))],
    )
}

fn micro_profile() -> Value {
    let word = || words(["UP", "DOWN"]);
    // What was measured, by its name, and when.
    let mut data = object([("light", light()), ("description", text())]);
    data["additionalProperties"] = json!(true);
    let check = object([("name", text()), ("status", word()), ("data", data)]);
    object([("status", word()), ("checks", list(check))])
}

fn xabaril() -> Value {
    let word = || words(["Healthy", "Degraded", "Unhealthy"]);
    let span = || json!({"type": "string", "pattern": r"^([0-9]+\.)?[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{7}$"});
    let entry = object_of(
        [
            ("data", json!({"type": "object"})),
            ("description", text()),
            ("duration", span()),
            ("status", word()),
            ("tags", list(text())),
        ],
        [("exception", text())],
    );
    object([("status", word()), ("totalDuration", span()), ("entries", map(entry))])
}

fn traffic_light() -> Value {
    let summary = object([("status", light()), ("message", text())]);
    let detail = object([("environment", text()), ("reason", text()), ("requestId", text())]);
    let mut whole = object([("summary", summary), ("detail", detail)]);
    whole["xml"] = json!({"name": "health"});
    whole
}

fn maintenance() -> Value {
    object([
        ("maintenance", boolean()),
        ("reason", nullable(text())),
        ("since", nullable(time())),
        ("until", nullable(time())),
    ])
}

fn announcement() -> Value {
    // Nothing that is not seen itself and changes the order or the look of what is; and not spaces alone.
    let unseen = r"\u0000-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff";
    let pattern = format!(r"^[^{unseen}]*[^\s{unseen}][^{unseen}]*$");
    let reason = || {
        let reason = json!({"type": "string", "maxLength": MAX_REASON, "pattern": pattern});
        about(reason, "Callers are shown it.")
    };
    let longest = LONGEST.as_secs() / 60;
    let minutes = json!({"type": "integer", "minimum": 1, "maximum": longest});
    let until = about(time(), format!("In the future, and at most {} days ahead.", longest / 1440));
    json!({"oneOf": [
        closed(object([("reason", reason()), ("minutes", minutes)])),
        closed(object([("reason", reason()), ("until", until)])),
    ]})
}

/// RFC 9457.
fn problem() -> Value {
    object_of(
        [
            ("type", json!({"type": "string", "format": "uri-reference"})),
            ("title", text()),
            ("status", json!({"type": "integer", "minimum": 400, "maximum": 599})),
            ("detail", text()),
            ("requestId", text()),
        ],
        [("path", text()), ("violated-policies", list(text()))],
    )
}

/// Milliseconds of exchanges; null where there were none.
pub(super) fn latency() -> Value {
    let figure = || nullable(amount());
    object([
        ("mean", figure()),
        ("p50", figure()),
        ("p90", figure()),
        ("p95", figure()),
        ("p99", figure()),
        ("max", figure()),
    ])
}
