//! One method of one path: what it takes and all that it may answer.

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::schema::{named, text};
use crate::access::Scope;
use crate::resources::Call;
use crate::resources::answer::{ErrorForm, error_form};
use crate::resources::health_status;

pub(super) const JSON_TYPE: &str = "application/json";
pub(super) const PLAIN_TYPE: &str = "text/plain";
pub(super) const PROBLEM_TYPE: &str = "application/problem+json";

/// What an operation is, but for its method and its place.
#[derive(Clone, Debug, Default)]
pub(super) struct Operation {
    /// A few words.
    pub(super) summary: &'static str,
    /// Sentences.
    pub(super) description: String,
    pub(super) parameters: Vec<Value>,
    pub(super) body: Option<Value>,
    /// Instead of a bearer token.
    pub(super) security: Option<Value>,
    pub(super) replies: Vec<Reply>,
    /// Whether a token with `health:details` is shown more.
    pub(super) shows_more: bool,
}

/// An answer with one status.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    status: u16,
    description: String,
    contents: Vec<(String, Value)>,
    /// Headers beyond those of all answers, and whether they are always there.
    headers: Vec<(&'static str, bool)>,
}

impl Reply {
    pub(super) fn new(status: u16, description: impl Into<String>) -> Reply {
        Reply { status, description: description.into(), contents: Vec::new(), headers: Vec::new() }
    }

    /// With a body of this media type, whose parameters are left out.
    pub(super) fn content(self, media_type: &str, schema: Value) -> Reply {
        self.body(media_type, json!({"schema": schema}))
    }

    /// The same, with an example.
    pub(super) fn example(self, media_type: &str, schema: Value, example: Value) -> Reply {
        self.body(media_type, json!({"schema": schema, "example": example}))
    }

    fn body(mut self, media_type: &str, content: Value) -> Reply {
        let media_type = media_type.split(';').next().unwrap_or(media_type).to_owned();
        self.contents.push((media_type, content));
        self
    }

    /// With a header that is always there.
    pub(super) fn header(mut self, name: &'static str) -> Reply {
        self.headers.push((name, true));
        self
    }

    /// With a header that is there sometimes.
    pub(super) fn sometimes(mut self, name: &'static str) -> Reply {
        self.headers.push((name, false));
        self
    }

    /// An error in the form that this resource gives it.
    pub(super) fn error(call: &Call<'_>, status: u16, description: impl Into<String>) -> Reply {
        let reply = Reply::new(status, description);
        let status = StatusCode::from_u16(status).unwrap_or_default();
        match error_form(call.resource.kind, status) {
            ErrorForm::Status => reply.content(JSON_TYPE, named("StatusError")),
            ErrorForm::Query => reply.content(JSON_TYPE, named("QueryError")),
            ErrorForm::Grant => reply.content(JSON_TYPE, named("GrantError")),
            ErrorForm::Light => light_contents(reply, status),
            ErrorForm::Problem => reply.content(PROBLEM_TYPE, named("Problem")),
        }
    }

    /// This answer or another one with the same status: all bodies, and the headers that both have for certain.
    fn or(mut self, other: Reply) -> Reply {
        for (media_type, content) in other.contents {
            match self.contents.iter_mut().find(|(known, _)| *known == media_type) {
                Some((_, known)) if known["schema"] == content["schema"] => {}
                Some((_, known)) => {
                    *known = json!({"schema": {"anyOf": [known["schema"], content["schema"]]}});
                }
                None => self.contents.push((media_type, content)),
            }
        }
        for (name, always) in &mut self.headers {
            *always &= other.headers.contains(&(*name, true));
        }
        for (name, _) in other.headers {
            if !self.headers.iter().any(|(known, _)| *known == name) {
                self.headers.push((name, false));
            }
        }
        self.description = format!("{} Or: {}", self.description, other.description);
        self
    }
}

/// The bodies that the traffic light has with this status.
pub(super) fn light_contents(reply: Reply, status: StatusCode) -> Reply {
    let forms = health_status::OFFERS.into_iter();
    forms.filter(|form| status != StatusCode::BAD_GATEWAY || *form == "text/html").fold(
        reply,
        |reply, form| {
            let is_text = form.starts_with("text/") && !form.ends_with("xml");
            reply.content(form, if is_text { text() } else { named("TrafficLight") })
        },
    )
}

/// Answers to requests that go no further.
fn refusals(call: &Call<'_>) -> Vec<Reply> {
    let mut refusals = Vec::new();
    let takes_token = call.scope().is_some();
    if takes_token {
        let denied = |status, about: &str| Reply::error(call, status, about).header("WWW-Authenticate");
        refusals.extend([
            denied(400, "There is more than one `Authorization`, or one that cannot be read."),
            denied(401, "There is no token, or one that is not known."),
            denied(403, "The token lacks the scope."),
        ]);
    }
    if takes_token && call.api.process.access.asks_others() {
        let unchecked = Reply::error(call, 503, "It cannot be told at the moment whether the token is good.");
        refusals.push(unchecked.header("Retry-After"));
    }
    if takes_token || is_limited(call) {
        let too_many = Reply::error(call, 429, "The limit has been reached, or too many attempts failed.");
        refusals.push(too_many.header("Retry-After"));
    }
    refusals
}

/// Whether requests are counted for each client.
fn is_limited(call: &Call<'_>) -> bool {
    call.state.limiters[call.resource.kind as usize].is_some()
}

impl Operation {
    /// As it stands in the description: with refusals, and with the headers that all answers have. `issues` says
    /// whether tokens are issued there.
    pub(super) fn describe(self, call: &Call<'_>, id: &str, tag: &str, issues: bool) -> Value {
        let scope = call.scope();
        let mut operation = json!({
            "operationId": id,
            "summary": self.summary,
            "description": self.description,
            "tags": [tag],
        });
        operation["security"] = self.security.unwrap_or_else(|| security(scope, self.shows_more, issues));
        let mut parameters = self.parameters;
        parameters.push(json!({"$ref": "#/components/parameters/RequestId"}));
        operation["parameters"] = Value::Array(parameters);
        if let Some(body) = self.body {
            operation["requestBody"] = body;
        }
        let mut replies: Vec<Reply> = Vec::new();
        for reply in self.replies.into_iter().chain(refusals(call)) {
            match replies.iter().position(|known| known.status == reply.status) {
                Some(index) => {
                    let known = replies.remove(index);
                    replies.insert(index, known.or(reply));
                }
                None => replies.push(reply),
            }
        }
        replies.sort_by_key(|reply| reply.status);
        let responses: Map<String, Value> =
            replies.into_iter().map(|reply| (reply.status.to_string(), response(call, reply))).collect();
        operation["responses"] = Value::Object(responses);
        operation
    }
}

/// Who may ask: anybody, or who has a token with a scope, which apps may have been issued here.
fn security(scope: Option<Scope>, shows_more: bool, issues: bool) -> Value {
    let mut ways = match scope {
        Some(_) => Vec::new(),
        None if shows_more => vec![json!({})],
        None => return json!([]),
    };
    let scope = scope.unwrap_or(Scope::HealthDetails).name();
    ways.push(json!({"bearer": [scope]}));
    if issues {
        ways.push(json!({"oauth2": [scope]}));
    }
    Value::Array(ways)
}

fn response(call: &Call<'_>, reply: Reply) -> Value {
    let mut headers = Map::new();
    let common = ["Cache-Control", "Vary", "X-Content-Type-Options", "X-Request-Id"];
    let limits: &[&str] = if is_limited(call) { &["RateLimit", "RateLimit-Policy"] } else { &[] };
    for name in common.iter().chain(limits) {
        headers.insert((*name).to_owned(), header(name, true));
    }
    for (name, always) in &reply.headers {
        headers.insert((*name).to_owned(), header(name, *always));
    }
    if !call.state.settings.allowed_origins.is_empty() {
        headers
            .insert("Access-Control-Allow-Origin".to_owned(), header("Access-Control-Allow-Origin", false));
    }
    let mut response = json!({"description": reply.description, "headers": headers});
    if call.parts.method != Method::HEAD && !reply.contents.is_empty() {
        response["content"] = Value::Object(reply.contents.into_iter().collect());
    }
    response
}

/// A reference to a header of `components`, which has two of each: one that is always there, and one that may be.
fn header(name: &str, always: bool) -> Value {
    let suffix = if always { "" } else { "-Sometimes" };
    json!({"$ref": format!("#/components/headers/{name}{suffix}")})
}

/// What a header that answers have looks like, and an example.
fn header_schema(name: &str) -> Option<(&'static str, Value, &'static str)> {
    let text = |pattern: &str| json!({"type": "string", "pattern": pattern});
    Some(match name {
        "Access-Control-Allow-Origin" => {
            ("The origin of the request, if it is an allowed one.", text("."), "https://status.example.com")
        }
        "Allow" => ("The methods that there are.", text("^[A-Z]+(, [A-Z]+)*$"), "GET, HEAD, OPTIONS"),
        "Cache-Control" => {
            ("Answers are not kept.", json!({"type": "string", "const": "no-store"}), "no-store")
        }
        "Content-Security-Policy" => {
            ("The page loads nothing and runs nothing.", text("default-src 'none'"), "default-src 'none'")
        }
        "Pragma" => (
            "The same for caches that do not know `Cache-Control`.",
            json!({"type": "string", "const": "no-cache"}),
            "no-cache",
        ),
        "RateLimit" => (
            "How many requests are left, and for how many seconds.",
            text("^\"[a-z]+\";r=[0-9]+;t=[0-9]+$"),
            "\"default\";r=117;t=42",
        ),
        "RateLimit-Policy" => (
            "How many requests there may be in a minute.",
            text("^\"[a-z]+\";q=[0-9]+;w=60$"),
            "\"default\";q=120;w=60",
        ),
        "Retry-After" => (
            "After how many seconds another try is worth it.",
            json!({"type": "integer", "minimum": 1}),
            "30",
        ),
        "Vary" => (
            "What of a request the answer depends on.",
            text("^Accept, Accept-Encoding(, Origin)?$"),
            "Accept, Accept-Encoding",
        ),
        "WWW-Authenticate" => (
            "What to come with (RFC 6750).",
            text("^(Bearer|Basic) realm=\""),
            "Bearer realm=\"lifesigns\", error=\"invalid_token\"",
        ),
        "X-Content-Type-Options" => {
            ("The media type is to be believed.", json!({"type": "string", "const": "nosniff"}), "nosniff")
        }
        "X-Lifesigns-Forced" => {
            ("The answer was asked for.", json!({"type": "string", "const": "true"}), "true")
        }
        "X-Lifesigns-Left-Out" => (
            "How many exchanges that ended with those shown were not kept.",
            json!({"type": "integer", "minimum": 1}),
            "12",
        ),
        "X-Request-Id" => (
            "The name of the request, as it was sent or a new one.",
            text("^[!-~]{1,128}$"),
            "3f2a7c1d36e05614ec0dc493802eba3d",
        ),
        _ => return None,
    })
}

/// The header of `components` with this name.
pub(super) fn header_component(component: &str) -> Option<Value> {
    let name = component.strip_suffix("-Sometimes");
    let (description, schema, example) = header_schema(name.unwrap_or(component))?;
    let example = match schema["type"].as_str() {
        Some("integer") => example.parse::<u64>().map_or(Value::Null, Value::from),
        _ => json!(example),
    };
    Some(
        json!({"description": description, "required": name.is_none(), "schema": schema, "example": example}),
    )
}

/// A parameter of the query.
pub(super) fn query_parameter(name: &str, description: &str, schema: Value) -> Value {
    json!({"name": name, "in": "query", "description": description, "schema": schema})
}

/// A part of the path.
pub(super) fn path_parameter(name: &str, description: &str, schema: Value, example: &str) -> Value {
    json!({
        "name": name,
        "in": "path",
        "required": true,
        "description": description,
        "schema": schema,
        "example": example,
    })
}

/// The answer of what reads the store when that does not work.
pub(super) fn store_unavailable(call: &Call<'_>) -> Reply {
    Reply::error(call, 500, "The stored figures cannot be read at the moment.")
}

/// The answer of what takes its time when that would be too long.
pub(super) fn busy(call: &Call<'_>) -> Reply {
    let reply = Reply::error(call, 503, "Too many others are being answered, or the answer took too long.");
    reply.header("Retry-After")
}
