//! `/oauth2/token`, by which apps get tokens.

use serde_json::{Map, Value, json};

use super::operation::{JSON_TYPE, Operation, Reply};
use super::schema::{count, named, object, text, words};
use crate::access::Scope;
use crate::resources::{Call, token};

pub(super) fn token(call: &Call<'_>) -> Operation {
    let example = json!({
        "access_token": "eyJ0eXAiOiJhdCtqd3QifQ.eyJzdWIiOiJyZXBvcnRzIn0.c2lnbmF0dXJl",
        "token_type": "Bearer",
        "expires_in": 600,
        "scope": Scope::AnalyticsRead.name(),
    });
    let replies = [
        Reply::new(200, "A token.").example(JSON_TYPE, named("IssuedToken"), example),
        Reply::error(
            call,
            400,
            "The request is not one for a token, or for a scope that the app does not have.",
        ),
        Reply::error(call, 401, "The app is not known, or its secret is another.").header("WWW-Authenticate"),
        Reply::error(call, 408, "The request did not arrive in time."),
        Reply::error(call, 413, format!("The request has more than {} bytes.", token::MAX_BODY_BYTES)),
        Reply::error(call, 429, "Too many attempts failed.").header("Retry-After"),
        Reply::error(call, 500, "The token could not be made."),
        Reply::error(call, 503, "Too many apps ask at the moment.").header("Retry-After"),
    ];
    Operation {
        summary: "A token for an app",
        description: "The client credentials grant of OAuth 2.0 (RFC 6749 §4.4). The app proves itself by HTTP Basic, or \
                      by `client_id` and `client_secret` in the body."
            .to_owned(),
        body: Some(json!({
            "required": true,
            "description": format!("A form of at most {} bytes.", token::MAX_BODY_BYTES),
            "content": {"application/x-www-form-urlencoded": {"schema": named("TokenRequest")}},
        })),
        security: Some(json!([{"app": []}, {}])),
        replies: replies.map(|reply| reply.sometimes("Pragma")).into(),
        ..Operation::default()
    }
}

/// By name, the schemas of `components` that this file has.
pub(super) fn schemas() -> [(&'static str, Value); 3] {
    let request = json!({
        "type": "object",
        "properties": {
            "grant_type": words(["client_credentials"]),
            "client_id": text(),
            "client_secret": {"type": "string", "format": "password"},
            "scope": {"type": "string", "description": "Scopes of the app, separated by spaces; otherwise all of them."},
        },
        "required": ["grant_type"],
    });
    let codes = ["invalid_request", "invalid_client", "invalid_scope", "unsupported_grant_type"];
    [
        ("TokenRequest", request),
        (
            "IssuedToken",
            object([
                ("access_token", text()),
                ("token_type", words(["Bearer"])),
                ("expires_in", count()),
                ("scope", text()),
            ]),
        ),
        ("GrantError", object([("error", words(codes)), ("error_description", text())])),
    ]
}

/// The ways to be let in; `issues_at` is where tokens are issued, if anywhere.
pub(super) fn security_schemes(issues_at: Option<&str>) -> Value {
    let mut schemes = json!({"bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token with the scope that the operation names (RFC 6750).",
    }});
    if let Some(path) = issues_at {
        let scopes = Scope::ALL.map(|scope| (scope.name().to_owned(), json!(opens(scope))));
        schemes["app"] = json!({
            "type": "http",
            "scheme": "basic",
            "description": "Id and secret of an app, each encoded as in a form.",
        });
        schemes["oauth2"] = json!({
            "type": "oauth2",
            "description": "A token that was issued to an app.",
            "flows": {"clientCredentials": {"tokenUrl": path, "scopes": Map::from_iter(scopes)}},
        });
    }
    schemes
}

/// What a scope opens.
const fn opens(scope: Scope) -> &'static str {
    match scope {
        Scope::AnalyticsRead => "Details, queries, the last exchanges.",
        Scope::HealthDetails => "Hidden fields, and the reasons behind a failure.",
        Scope::HealthWrite => "Switching maintenance on and off.",
        Scope::FleetRead => "What a monitor knows of a fleet.",
        Scope::MetricsRead => "Metrics.",
    }
}
