//! What bodies look like that tell what passed, and what questions about it look like.

use lifesigns_model::bucket::Calendar;
use lifesigns_model::check::FailureKind;
use lifesigns_model::exchange::FailedBy;
use lifesigns_model::objective::{Severity, Window};
use lifesigns_model::query::{
    FaultCode, MAX_AGGREGATORS, MAX_DEPTH, MAX_FILTER_VALUES, MAX_LIMIT, TOP_APPS_LIMIT, WINDOWS,
};
use lifesigns_model::series::Dimension;
use lifesigns_model::verdict::Phase;
use serde_json::{Map, Value, json};

use super::figures::{duration, interval};
use super::health_schemas::{latency, light, outcome};
use super::schema::{
    about, amount, boolean, closed, count, list, map, named, nullable, object, object_of, text, time, words,
};
use crate::objective::History;

/// By name, those of `components` that this file has.
pub(super) fn schemas() -> Vec<(String, Value)> {
    let fixed = [
        ("Latency", latency()),
        ("Summary", summary()),
        ("Group", group()),
        ("Groups", groups()),
        ("QueryAnswer", query_answer()),
        ("QueryError", query_error()),
        ("Details", details()),
        ("Verdict", verdict()),
        ("Cause", object([("light", light()), ("source", text()), ("reason", text())])),
        ("Check", check()),
        ("Objective", objective()),
        ("Query", query()),
        ("Condition", condition()),
        ("Event", event()),
    ];
    let fixed = fixed.into_iter().map(|(name, schema)| (name.to_owned(), schema));
    fixed.chain((1..=MAX_DEPTH).map(|depth| (aggregator_name(depth), aggregator(depth)))).collect()
}

/// The label of a dimension, as one is asked for.
pub(super) fn label(dimension: Dimension) -> Value {
    match dimension {
        Dimension::RequestDisposition => words(["processed", "policy_violation"]),
        Dimension::FailedBy => words(FailedBy::ALL.map(FailedBy::name)),
        _ => text(),
    }
}

fn summary() -> Value {
    object([
        ("requests", count()),
        ("success", count()),
        ("client_error", count()),
        ("server_error", count()),
        ("policy_violation", count()),
        ("latency_ms", named("Latency")),
    ])
}

fn size() -> Value {
    object([("sum", count()), ("mean", nullable(amount()))])
}

fn group() -> Value {
    let sizes = [("request_size", size()), ("response_size", size())];
    let [request, response] = sizes;
    object_of(
        [("count", count())],
        [("latency_ms", named("Latency")), request, response, ("aggregations", named("Groups"))],
    )
}

/// One object for each aggregator, with the groups that it makes: each an object with one member, named as its label
/// or as the start of its bucket.
fn groups() -> Value {
    let one = |names: Value| {
        let mut one = map(named("Group"));
        one["minProperties"] = json!(1);
        one["maxProperties"] = json!(1);
        if !names.is_null() {
            one["propertyNames"] = names;
        }
        list(one)
    };
    let dimensions = Dimension::ALL.map(|dimension| (dimension.name().to_owned(), one(Value::Null)));
    let series = json!({"^time_series_([0-9]+m|week|month)$": one(time())});
    list(json!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "properties": Map::from_iter(dimensions),
        "patternProperties": series,
        "additionalProperties": false,
    }))
}

fn succeeded() -> [(&'static str, Value); 6] {
    [
        ("success", json!({"type": "boolean", "const": true})),
        ("error", json!({"type": "null"})),
        ("response", named("Groups")),
        ("include_policy_violation", boolean()),
        ("start_time", time()),
        ("end_time", time()),
    ]
}

fn dropped_exchanges() -> Value {
    about(count(), "How many exchanges the store could not keep.")
}

fn query_answer() -> Value {
    object_of(succeeded(), [("dropped_exchanges", dropped_exchanges())])
}

/// Codes of errors that are not those of a question: of whoever asks, and of whoever answers.
const OTHER_CODES: [&str; 13] = [
    "body_incomplete",
    "body_too_large",
    "busy",
    "insufficient_scope",
    "invalid_request",
    "invalid_token",
    "method_not_allowed",
    "not_found",
    "store_unavailable",
    "temporarily_unavailable",
    "timeout",
    "too_slow",
    "unauthorized",
];

fn query_error() -> Value {
    let codes = FaultCode::ALL.map(FaultCode::name).into_iter().chain(OTHER_CODES);
    let error = object_of(
        [("code", words(codes)), ("message", text())],
        [("path", about(text(), "The parameter or the element at fault."))],
    );
    object([
        ("success", json!({"type": "boolean", "const": false})),
        ("error", error),
        ("response", json!({"type": "array", "items": {"type": "object"}, "maxItems": 0})),
    ])
}

fn details() -> Value {
    let windows = WINDOWS.map(|(name, _)| (name, named("Summary")));
    let app = object([("client_id", text()), ("count", count()), ("latency_ms", named("Latency"))]);
    let mut apps = list(app);
    apps["maxItems"] = json!(TOP_APPS_LIMIT);
    let transition =
        object([("time", time()), ("from", light()), ("to", light()), ("causes", list(named("Cause")))]);
    let [success, error, response, policy, start, end] = succeeded();
    object_of(
        [
            success,
            error,
            response,
            policy,
            start,
            end,
            ("summary", named("Summary")),
            ("windows", object(windows)),
            ("top_apps", apps),
            ("verdict", named("Verdict")),
            ("checks", list(named("Check"))),
            ("transitions", list(transition)),
            ("in_flight", count()),
        ],
        [("objective", named("Objective")), ("dropped_exchanges", dropped_exchanges())],
    )
}

fn verdict() -> Value {
    let changed = object([("time", time()), ("source", text()), ("from", light()), ("to", light())]);
    let phases = [Phase::Starting, Phase::Ready, Phase::Draining, Phase::Stopped];
    object([
        ("light", light()),
        ("since", time()),
        ("causes", list(named("Cause"))),
        ("changed", nullable(changed)),
        ("fails_readiness", boolean()),
        ("fails_liveness", boolean()),
        ("phase", words(phases.map(Phase::name))),
        ("time", time()),
        ("age_seconds", count()),
    ])
}

fn check() -> Value {
    let observed = object([("measurement", text()), ("value", json!({"type": "number"})), ("unit", text())]);
    let last = object_of(
        [
            ("time", time()),
            ("age_seconds", count()),
            ("duration_ms", amount()),
            ("outcome", outcome()),
            ("observed", nullable(observed)),
        ],
        [("failure", nullable(words(FailureKind::ALL.map(FailureKind::name)))), ("output", nullable(text()))],
    );
    object([
        ("name", text()),
        ("component_type", text()),
        ("light", light()),
        ("finding", text()),
        ("last", nullable(last)),
        ("runs", object([("pass", count()), ("warn", count()), ("fail", count())])),
        ("critical", boolean()),
        ("shared", boolean()),
        ("fails_readiness", boolean()),
        ("fails_liveness", boolean()),
        ("interval_seconds", amount()),
        ("timeout_seconds", amount()),
        ("grace_seconds", amount()),
        ("failure_threshold", count()),
        ("recovery_threshold", count()),
        ("affected_endpoints", list(text())),
    ])
}

fn objective() -> Value {
    let severity = || words([Severity::Page, Severity::Ticket].map(Severity::name));
    let window = || words(Window::ALL.map(|window| window.name));
    let rates = Map::from_iter(Window::ALL.map(|window| (window.name.to_owned(), amount())));
    let alert = object([
        ("severity", severity()),
        ("long_window", window()),
        ("short_window", window()),
        ("factor", amount()),
        ("firing", boolean()),
    ]);
    object([
        ("good_share", amount()),
        ("latency_ms", nullable(amount())),
        ("period_days", count()),
        ("good", count()),
        ("total", count()),
        ("share", nullable(amount())),
        (
            "error_budget",
            object([
                ("total", amount()),
                ("used", count()),
                ("left", json!({"type": "number", "maximum": 1})),
            ]),
        ),
        ("burn_rates", json!({"type": "object", "properties": rates, "additionalProperties": false})),
        ("severity", nullable(severity())),
        ("alerts", list(alert)),
        ("history", words(History::ALL.map(History::name))),
    ])
}

fn query() -> Value {
    let or =
        json!({"type": "array", "items": named("Condition"), "minItems": 1, "maxItems": MAX_FILTER_VALUES});
    let filters = list(closed(object([("or", or)])));
    closed(object_of(
        [("aggregators", aggregators(1))],
        [
            ("type", words(["enriched-http-event"])),
            ("duration", duration()),
            ("start_time", about(time(), "The beginning; without it the window ends now.")),
            ("filters", about(filters, "All of them must hold.")),
            ("include_policy_violation", boolean()),
        ],
    ))
}

fn aggregator_name(depth: usize) -> String {
    if depth == 1 { "Aggregator".to_owned() } else { format!("Aggregator{depth}") }
}

fn aggregators(depth: usize) -> Value {
    json!({
        "type": "array",
        "items": named(&aggregator_name(depth)),
        "minItems": 1,
        "maxItems": MAX_AGGREGATORS,
    })
}

/// What an aggregator at this depth may be; the innermost have none in them.
fn aggregator(depth: usize) -> Value {
    let metrics = || list(words(["latency", "request_size", "response_size"]));
    let form = |by: (&'static str, Value)| {
        let mut form = closed(object_of(
            [by],
            [
                ("order", words(["descending", "ascending"])),
                ("limit", json!({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT})),
                ("metrics", metrics()),
            ],
        ));
        if depth < MAX_DEPTH {
            form["properties"]["aggregators"] = aggregators(depth + 1);
        }
        form
    };
    let dimension = words(Dimension::ALL.map(Dimension::name));
    json!({"oneOf": [form(("dimension", dimension)), form(("time_interval", json!({"oneOf": [interval(), {"enum": Calendar::ALL.map(Calendar::name)}]})))]})
}

/// What must hold of an exchange.
fn condition() -> Value {
    let one_of = |dimensions: &[Dimension], operand: &dyn Fn(Dimension) -> Value| {
        let properties =
            dimensions.iter().map(|dimension| (dimension.name().to_owned(), operand(*dimension)));
        json!({
            "type": "object",
            "properties": properties.collect::<Map<String, Value>>(),
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": false,
        })
    };
    let value = |dimension| {
        let known = label(dimension);
        if known.get("enum").is_some() { known } else { json!({"type": ["string", "integer"]}) }
    };
    let values = |dimension| json!({"type": "array", "items": value(dimension), "minItems": 1});
    let bound = || {
        let number = json!({"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX});
        json!({"anyOf": [number, {"type": "string", "pattern": "^-?[0-9]{1,18}$"}]})
    };
    let mut bounds = closed(object_of([], [("from", bound()), ("to", bound())]));
    bounds["minProperties"] = json!(1);
    let numbers = [Dimension::Api, Dimension::ApiVersion, Dimension::ClientId, Dimension::StatusCode];
    json!({"oneOf": [
        closed(object([("equals", one_of(&Dimension::ALL, &value))])),
        closed(object([("not", one_of(&Dimension::ALL, &value))])),
        closed(object([("in", one_of(&Dimension::ALL, &values))])),
        closed(object([("range", one_of(&numbers, &|_| bounds.clone()))])),
    ]})
}

/// A row of the last exchanges.
fn event() -> Value {
    let mut event = object([
        ("time", time()),
        ("latency_ms", amount()),
        ("first_byte_ms", amount()),
        ("request_bytes", count()),
        ("response_bytes", count()),
    ]);
    for dimension in Dimension::ALL {
        let is_number = dimension == Dimension::StatusCode;
        let schema = if is_number { json!({"type": "integer"}) } else { label(dimension) };
        event["properties"][dimension.name()] = schema;
        if let Some(required) = event["required"].as_array_mut() {
            required.push(json!(dimension.name()));
        }
    }
    event
}
