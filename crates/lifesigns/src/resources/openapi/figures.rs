//! What passed: details, the analytics query, the last exchanges, metrics; and this description.

use http::HeaderValue;
use lifesigns_model::query::{
    DEFAULT_DURATION_MINUTES, EventFormat, MAX_DURATION_MINUTES, MAX_EVENTS, MAX_INTERVAL_MINUTES,
};
use lifesigns_model::series::Dimension;
use serde_json::{Value, json};

use super::figure_schemas::label;
use super::operation::{
    JSON_TYPE, Operation, PROBLEM_TYPE, Reply, busy, path_parameter, query_parameter, store_unavailable,
};
use super::schema::{boolean, digits_up_to, list, named, text, words};
use crate::resources::{Call, Target, analytics, metrics};

/// How far back a question reaches.
pub(super) fn duration() -> Value {
    let minutes = MAX_DURATION_MINUTES as u64;
    let [in_minutes, in_hours, in_days] = [1, 60, 1440].map(|unit| digits_up_to(minutes / unit));
    json!({
        "type": "string",
        "pattern": format!("^({in_minutes}m|{in_hours}h|{in_days}d)$"),
        "default": format!("{}h", DEFAULT_DURATION_MINUTES / 60),
    })
}

/// The width of a bucket of time, in minutes.
pub(super) fn interval() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": MAX_INTERVAL_MINUTES})
}

fn include_policy_violation() -> Value {
    let mut schema = boolean();
    schema["default"] = json!(true);
    schema
}

pub(super) fn details(call: &Call<'_>) -> Operation {
    let mut interval = interval();
    interval["default"] = json!(60);
    let mut by = list(words(Dimension::ALL.map(Dimension::name)));
    by["uniqueItems"] = json!(true);
    by["default"] = json!([Dimension::StatusCode.name()]);
    let mut by = query_parameter("by", "What splits each bucket, side by side.", by);
    by["style"] = json!("form");
    by["explode"] = json!(false);
    let replies = [
        Reply::new(200, "The figures.").content(JSON_TYPE, named("Details")).content("text/html", text()),
        Reply::error(call, 400, "A parameter cannot be understood, or asks for too much; `path` names it."),
        store_unavailable(call),
        busy(call),
    ];
    Operation {
        summary: "Is it serving properly",
        description: "Requests over time, latency, the apps that call most, and the verdict with its reasons; for \
                      `Accept: text/html` a page with charts. A token with `health:details` is shown what the checks \
                      said."
            .to_owned(),
        parameters: vec![
            query_parameter("interval", "Width of a bucket of time, in minutes.", interval),
            query_parameter("duration", "How far back.", duration()),
            by,
            query_parameter(
                "include_policy_violation",
                "Whether requests that a policy refused are counted.",
                include_policy_violation(),
            ),
        ],
        // The page has it; and what is answered when there should have been one.
        replies: replies.map(|reply| reply.sometimes("Content-Security-Policy")).into(),
        ..Operation::default()
    }
}

/// Organization and environment.
fn of_whom(call: &Call<'_>) -> Vec<Value> {
    let segment = json!({"type": "string", "minLength": 1, "pattern": "^[^/]+$"});
    let part = |name, about, known: Option<&str>, example| {
        let schema = known.map_or_else(|| segment.clone(), |known| words([known]));
        path_parameter(name, about, schema, known.unwrap_or(example))
    };
    let process = &call.api.process;
    vec![
        part("organization", "The organization.", process.organization.as_deref(), "example"),
        part("environment", "Its environment.", process.environment(), "production"),
    ]
}

fn elsewhere(call: &Call<'_>) -> Reply {
    Reply::error(call, 404, "There is no organization or environment of this name here.")
}

pub(super) fn query(call: &Call<'_>) -> Operation {
    let late = Reply::error(call, 408, "The query did not arrive in time.");
    // In a gateway the connection's own patience may end first.
    let late = if call.state.records { late } else { late.content(PROBLEM_TYPE, named("Problem")) };
    Operation {
        summary: "Ask what passed",
        description: "Counts, latency and sizes by any dimension and over time, of all APIs of the process."
            .to_owned(),
        parameters: of_whom(call),
        body: Some(json!({
            "required": true,
            "description": format!("JSON of at most {} bytes.", analytics::MAX_BODY_BYTES),
            "content": {JSON_TYPE: {
                "schema": named("Query"),
                "example": {
                    "type": "enriched-http-event",
                    "duration": "24h",
                    "filters": [{"or": [{"range": {"status_code": {"from": 500, "to": 599}}}]}],
                    "aggregators": [{
                        "dimension": "api_id",
                        "limit": 5,
                        "metrics": ["latency"],
                        "aggregators": [{"time_interval": 60}],
                    }],
                },
            }},
        })),
        replies: vec![
            Reply::new(200, "One object for each outer aggregator.").example(
                JSON_TYPE,
                named("QueryAnswer"),
                json!({
                    "success": true,
                    "error": null,
                    "response": [{"status_code": [{"200": {"count": 2}}, {"404": {"count": 1}}]}],
                    "include_policy_violation": true,
                    "start_time": "2026-03-15T18:30:00.000Z",
                    "end_time": "2026-03-16T18:30:00.000Z",
                }),
            ),
            Reply::error(
                call,
                400,
                "The query cannot be understood, or asks for too much; `path` names the element.",
            ),
            elsewhere(call),
            late,
            Reply::error(call, 413, format!("The query has more than {} bytes.", analytics::MAX_BODY_BYTES)),
            store_unavailable(call),
            busy(call),
        ],
        ..Operation::default()
    }
}

pub(super) fn events(call: &Call<'_>) -> Operation {
    let mut parameters = of_whom(call);
    let mut limit = json!({"type": "integer", "minimum": 1, "maximum": MAX_EVENTS});
    limit["default"] = json!(1000);
    let mut format = words(["json", "csv"]);
    format["default"] = json!("json");
    parameters.push(query_parameter("format", "JSON lines, or CSV with a header.", format));
    parameters.push(query_parameter("limit", "Rows; the newest are shown.", limit));
    parameters.extend(Dimension::ALL.map(|dimension| {
        query_parameter(dimension.name(), "Only exchanges with one of these labels.", list(label(dimension)))
    }));
    let lines = json!({
        "type": "string",
        "contentMediaType": EventFormat::JsonLines.media_type(),
        "contentSchema": named("Event"),
        "description": "An object on each line.",
    });
    Operation {
        summary: "The last exchanges, one by one",
        description: "A row for each of the last exchanges that have ended, of all APIs of the process, the oldest first."
            .to_owned(),
        parameters,
        replies: vec![
            Reply::new(200, "The rows.")
                .content(EventFormat::JsonLines.media_type(), lines)
                .content(EventFormat::Csv.media_type(), text())
                .sometimes("X-Lifesigns-Left-Out"),
            Reply::error(call, 400, "A parameter cannot be understood; `path` names it."),
            elsewhere(call),
            busy(call),
        ],
        ..Operation::default()
    }
}

pub(super) fn metrics(call: &Call<'_>) -> Operation {
    let name = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    Operation {
        summary: "Figures for Prometheus",
        description: "All figures of the process, in the text format of Prometheus or as OpenMetrics."
            .to_owned(),
        replies: vec![
            Reply::new(200, "The figures.")
                .content(&name(&metrics::PROMETHEUS), text())
                .content(&name(&metrics::OPEN_METRICS), text()),
            busy(call),
        ],
        ..Operation::default()
    }
}

pub(super) fn description(_call: &Call<'_>) -> Operation {
    let reply = super::MEDIA_TYPES.iter().fold(Reply::new(200, "OpenAPI 3.1."), |reply, media_type| {
        reply.content(media_type, json!({"type": "object", "required": ["openapi", "info", "paths"]}))
    });
    Operation {
        summary: "This description",
        description: "All that can be asked for here, as it is set up.".to_owned(),
        replies: vec![reply],
        ..Operation::default()
    }
}

/// What stands behind the name of an operation, such as `Query` of `postQuery`.
pub(super) fn suffix(target: &Target) -> Option<&'static str> {
    match target {
        Target::Whole => None,
        Target::Forced(_) => Some("Forced"),
        Target::Analytics { question: crate::resources::Question::Query, .. } => Some("Query"),
        Target::Analytics { question: crate::resources::Question::Events, .. } => Some("Events"),
    }
}
