//! `/health/status`: the traffic light. The status code alone says it; bodies are for people.

use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use lifesigns_model::identity::UNKNOWN;
use lifesigns_model::light::Light;

use super::answer::{Answer, Fault, JSON, PLAIN};
use super::escape::{Line, Markup, in_quotes};
use super::{Call, negotiate};

const FORCED: HeaderName = HeaderName::from_static("x-lifesigns-forced");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const XML: HeaderValue = HeaderValue::from_static("text/xml; charset=utf-8");
const APPLICATION_XML: HeaderValue = HeaderValue::from_static("application/xml; charset=utf-8");
pub(super) const OFFERS: [&str; 5] =
    ["application/json", "text/html", "text/plain", "text/xml", "application/xml"];

/// The codes that this resource answers with, and can be made to.
pub(super) const CODES: [u16; 8] = [200, 400, 401, 405, 429, 500, 502, 503];

/// Seconds after which a caller may ask again when the light is red.
const RED_RETRY_SECONDS: u32 = 60;

pub(super) fn is_own_code(status: StatusCode) -> bool {
    CODES.contains(&status.as_u16())
}

pub(super) fn answer(call: &Call<'_>) -> Answer {
    let verdict = &call.snapshot.verdict;
    let lasted = verdict.since.age(call.elapsed).as_secs();
    let prolonged = lasted >= u64::from(call.state.settings.prolonged_red_seconds);
    let status = match verdict.light {
        Light::Green => StatusCode::OK,
        Light::Amber => StatusCode::SERVICE_UNAVAILABLE,
        Light::Red if prolonged => StatusCode::BAD_GATEWAY,
        Light::Red => StatusCode::INTERNAL_SERVER_ERROR,
    };
    represent(call, status, &verdict.summary())
}

/// The answer that a client asks for to test itself with.
pub(super) fn forced(call: &Call<'_>, code: &str) -> Answer {
    let known = code.parse().ok().filter(|number| CODES.contains(number) && code.len() == 3);
    let Some(status) = known.and_then(|number| StatusCode::from_u16(number).ok()) else {
        let codes = CODES.map(|code| code.to_string()).join(", ");
        let fault = Fault::new(StatusCode::NOT_FOUND, "not_found");
        return call.fault(&fault.says(format!("An answer can be forced to be one of {codes}.")));
    };
    let answer = represent(call, status, "Forced response, for integration tests").header(FORCED, "true");
    match status {
        StatusCode::UNAUTHORIZED => answer.header(WWW_AUTHENTICATE, "Bearer realm=\"lifesigns\""),
        StatusCode::METHOD_NOT_ALLOWED => answer.header(ALLOW, &call.allowed_methods()),
        StatusCode::TOO_MANY_REQUESTS => {
            answer.header(RETRY_AFTER, &call.state.settings.retry_after_seconds.to_string())
        }
        _ => answer,
    }
}

/// What an answer with this status looks like, in the form that the client likes best.
pub(super) fn represent(call: &Call<'_>, status: StatusCode, reason: &str) -> Answer {
    let (light, message) = match status.as_u16() {
        503 => (Light::Amber, "Available: hold requests that can wait"),
        500 | 502 => (Light::Red, "Unavailable: make no requests"),
        _ => (Light::Green, "Available: send what you like, within your limits"),
    };
    let environment = call.state.identity.environment.as_deref().unwrap_or(UNKNOWN);
    let request_id = call.request_id.as_str();
    let form = negotiate::media_type(&call.parts.headers, &OFFERS);
    let answer = match (status, form) {
        (StatusCode::BAD_GATEWAY, _) | (_, 1) => {
            let page = page(&call.state.name, light, message, environment, reason, request_id);
            Answer::new(status, HTML, page)
        }
        (_, 2) => {
            let (environment, reason) = (Line(environment), Line(reason));
            let text = format!(
                "status: {light}\nmessage: {message}\nenvironment: {environment}\nreason: {reason}\nrequestId: {request_id}\n"
            );
            Answer::new(status, PLAIN, text)
        }
        (_, 3) => Answer::new(status, XML, xml(light, message, environment, reason, request_id)),
        (_, 4) => Answer::new(status, APPLICATION_XML, xml(light, message, environment, reason, request_id)),
        _ => {
            let [environment, reason, request_id] = [environment, reason, request_id].map(in_quotes);
            #[rustfmt::skip]
            let pieces = [
                "{\"summary\":{\"status\":\"", light.name(),
                "\",\"message\":\"", message,
                "\"},\"detail\":{\"environment\":\"", &environment,
                "\",\"reason\":\"", &reason,
                "\",\"requestId\":\"", &request_id,
                "\"}}",
            ];
            Answer::of_pieces(call, status, JSON, &pieces)
        }
    };
    match light {
        Light::Green => answer,
        Light::Amber => answer.header(RETRY_AFTER, &call.state.settings.retry_after_seconds.to_string()),
        Light::Red => answer.header(RETRY_AFTER, &RED_RETRY_SECONDS.to_string()),
    }
}

fn xml(light: Light, message: &str, environment: &str, reason: &str, request_id: &str) -> String {
    let [message, environment, reason, request_id] = [message, environment, reason, request_id].map(Markup);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<health><summary><status>{light}</status>\
         <message>{message}</message></summary><detail><environment>{environment}</environment>\
         <reason>{reason}</reason><requestId>{request_id}</requestId></detail></health>\n"
    )
}

fn page(
    service: &str,
    light: Light,
    message: &str,
    environment: &str,
    reason: &str,
    request_id: &str,
) -> String {
    let [service, message, environment, reason, request_id] =
        [service, message, environment, reason, request_id].map(Markup);
    // The empty icon keeps browsers from asking the API for one.
    let colour = ["#1a7f37", "#bf8700", "#cf222e"][light as usize];
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{light} · {service}</title>\
         <link rel=\"icon\" href=\"data:,\"><style>\
         :root{{color-scheme:light dark}}body{{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;\
         padding:0 1rem}}h1{{border-left:.5rem solid {colour};padding-left:1rem}}dt{{font-weight:600}}\
         dd{{margin:0 0 .75rem;overflow-wrap:anywhere}}</style></head><body><main><h1>{light}</h1><p>{message}</p><dl>\
         <dt>Service</dt><dd>{service}</dd><dt>Environment</dt><dd>{environment}</dd><dt>Reason</dt><dd>{reason}</dd><dt>Request</dt>\
         <dd>{request_id}</dd></dl></main></body></html>\n"
    )
}
