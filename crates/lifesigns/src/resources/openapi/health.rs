//! How a process and its API are: `/status`, `/health`, the traffic light, probes, maintenance.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::operation::{
    JSON_TYPE, Operation, PLAIN_TYPE, Reply, light_contents, path_parameter, query_parameter,
};
use super::schema::{list, named, text, words};
use crate::resources::{Call, health, health_status, maintenance};
use crate::settings::{HealthDialect, ResourceKind};

pub(super) fn status(call: &Call<'_>) -> Operation {
    let example = json!({
        "status": "healthy",
        "service": &*call.state.name,
        "timestamp": "2026-03-16T18:00:00.000Z",
        "environment": call.state.identity.environment.as_deref().unwrap_or("unknown"),
        "version": call.state.identity.version.as_deref().unwrap_or("unknown"),
        "uptime": 86_400,
        "memory": {"used": 41, "total": 512},
    });
    Operation {
        summary: "How the process is doing",
        description: "Version, uptime and memory of the process that serves the API.".to_owned(),
        replies: vec![
            Reply::new(200, "It is healthy; its light is green or amber.").example(
                JSON_TYPE,
                named("Status"),
                example,
            ),
            Reply::new(503, "It is unhealthy; its light is red.").content(JSON_TYPE, named("Status")),
        ],
        ..Operation::default()
    }
}

pub(super) fn health(call: &Call<'_>) -> Operation {
    let dialects = words(HealthDialect::ALL.map(HealthDialect::name));
    let expect = json!({"type": "string", "pattern": "^[0-9A-Fa-f]{7,64}$"});
    let bodies = |reply: Reply| {
        let own = json!({"anyOf": [named("Health"), named("MicroProfileHealth"), named("XabarilHealth")]});
        health::OFFERS.iter().fold(reply, |reply, (media_type, _)| match *media_type {
            JSON_TYPE => reply.content(JSON_TYPE, own.clone()),
            health::HEALTH_JSON => reply.content(health::HEALTH_JSON, named("HealthJson")),
            PLAIN_TYPE => reply.content(PLAIN_TYPE, words(["Healthy\n", "Degraded\n", "Unhealthy\n"])),
            actuator => reply.content(actuator, named("ActuatorHealth")),
        })
    };
    Operation {
        summary: "Alive, and who am I",
        description: format!(
            "Whether the API works, and which revision of it runs since when; in the dialect that `Accept` or \
             `dialect` names, otherwise in {}. A token with `health:details` is shown all of it.",
            call.state.settings.health_dialect.name()
        ),
        parameters: vec![
            query_parameter("dialect", "The words to answer in; stands before `Accept`.", dialects),
            query_parameter(
                "expect",
                "A commit, or the beginning of its hash: is that one running? The status does not depend on the light \
                 then.",
                expect,
            ),
        ],
        replies: vec![
            bodies(Reply::new(200, "It works, or works with restrictions; or the expected revision runs.")),
            Reply::new(409, "Another revision than the expected one runs, or one that is not known.")
                .content(JSON_TYPE, named("Health")),
            bodies(Reply::new(503, "It does not work.")),
            Reply::error(call, 400, "There is no such dialect, or what is expected is no revision."),
        ],
        shows_more: true,
        ..Operation::default()
    }
}

/// What the traffic light says with this status, and what callers are to do.
fn light(status: u16) -> &'static str {
    match status {
        200 => "Green: send what you like.",
        503 => "Amber: hold what can wait, and ask again after `Retry-After`.",
        500 => "Red: send nothing, and ask again after `Retry-After`.",
        502 => "Red, and has been for long.",
        _ => "Green, and something is wrong with the request.",
    }
}

pub(super) fn health_status(_call: &Call<'_>) -> Operation {
    let reply = |status: u16, code: StatusCode| {
        let reply = light_contents(Reply::new(status, light(status)), code);
        if status == 200 { reply } else { reply.header("Retry-After") }
    };
    Operation {
        summary: "The traffic light",
        description: "The status code says how the API is. Bodies are for people.".to_owned(),
        replies: vec![
            reply(200, StatusCode::OK),
            reply(503, StatusCode::SERVICE_UNAVAILABLE),
            reply(500, StatusCode::INTERNAL_SERVER_ERROR),
            reply(502, StatusCode::BAD_GATEWAY),
        ],
        ..Operation::default()
    }
}

pub(super) fn forced(call: &Call<'_>) -> Operation {
    let codes = health_status::CODES.map(|code| code.to_string());
    let reply = |status: u16| {
        let code = StatusCode::from_u16(status).unwrap_or_default();
        let reply = light_contents(Reply::new(status, light(status)), code).header("X-Lifesigns-Forced");
        match status {
            401 => reply.header("WWW-Authenticate"),
            405 => reply.header("Allow"),
            429 | 500.. => reply.header("Retry-After"),
            _ => reply,
        }
    };
    let code = words(codes.iter().map(String::as_str));
    let mut replies: Vec<Reply> = health_status::CODES.into_iter().map(reply).collect();
    replies.push(Reply::error(call, 404, "No answer can be forced to have this code."));
    Operation {
        summary: "A forced answer of the traffic light",
        description:
            "The answer with that status, for tests of callers. It changes no light and is not counted."
                .to_owned(),
        parameters: vec![path_parameter("code", "The status to answer with.", code, "503")],
        replies,
        ..Operation::default()
    }
}

pub(super) fn probe(call: &Call<'_>) -> Operation {
    let (summary, description) = match call.resource.kind {
        ResourceKind::Livez => ("Liveness", "Fails only when the process itself is broken."),
        ResourceKind::Startupz => ("Start-up", "Fails until start-up is over."),
        _ => ("Readiness", "Fails while requests had better go elsewhere."),
    };
    let verbose = query_parameter(
        "verbose",
        "A line for each check, also when all is well; `false` and `0` do not count.",
        text(),
    );
    let exclude = query_parameter("exclude", "A check to leave out, by its name.", list(text()));
    Operation {
        summary,
        description: format!("{description} A token with `health:details` is shown the reasons."),
        parameters: vec![verbose, exclude],
        replies: vec![
            Reply::new(200, "It passes.").example(PLAIN_TYPE, text(), json!("ok")),
            Reply::new(503, "It fails: a line for each check.")
                .content(PLAIN_TYPE, text())
                .header("Retry-After"),
        ],
        shows_more: true,
        ..Operation::default()
    }
}

pub(super) fn maintenance(call: &Call<'_>) -> Operation {
    let example = json!({
        "maintenance": true,
        "reason": "Moving to a larger disk",
        "since": "2026-03-16T18:00:00.000Z",
        "until": "2026-03-16T19:30:00.000Z",
    });
    let shown =
        |about: &str| Reply::new(200, about).example(JSON_TYPE, named("Maintenance"), example.clone());
    match call.parts.method {
        Method::PUT => Operation {
            summary: "Announce maintenance",
            description:
                "Switches maintenance on, or gives it another reason and end: the light is amber meanwhile."
                    .to_owned(),
            body: Some(announcement()),
            replies: vec![
                shown("It is on."),
                Reply::error(
                    call,
                    400,
                    "The announcement is not understood; `path` names the member at fault.",
                ),
                Reply::error(call, 408, "The announcement did not arrive in time."),
                Reply::error(
                    call,
                    413,
                    format!("The announcement has more than {} bytes.", maintenance::MAX_BODY_BYTES),
                ),
            ],
            ..Operation::default()
        },
        Method::DELETE => Operation {
            summary: "End maintenance",
            description: "Switches maintenance off, whether it was on or not.".to_owned(),
            replies: vec![Reply::new(204, "It is off.")],
            ..Operation::default()
        },
        _ => Operation {
            summary: "Is there maintenance",
            description: "Whether an operator has said to expect less than usual, why, and for how long."
                .to_owned(),
            replies: vec![shown("Whether it is on.")],
            ..Operation::default()
        },
    }
}

fn announcement() -> Value {
    json!({
        "required": true,
        "description": format!("JSON of at most {} bytes.", maintenance::MAX_BODY_BYTES),
        "content": {"application/json": {
            "schema": named("Announcement"),
            "example": {"reason": "Moving to a larger disk", "minutes": 90},
        }},
    })
}
