//! `/health`: alive, and who am I; in the dialects that its consumers read already.
//!
//! A dialect is chosen by `Accept`, by `?dialect=NAME` for those that have no media type of their own, and otherwise by
//! [`crate::Settings::health_dialect`]. Each is a pure function in a file of its own; what they tell is gathered by
//! [`component`].

mod actuator;
pub(super) mod component;
mod health_json;
mod microprofile;
mod plain;
mod xabaril;

use http::{HeaderValue, StatusCode};
use lifesigns_model::identity::{NoRevision, Revision};
use lifesigns_model::light::Light;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use self::actuator::Version;
use self::component::Subject;
use super::answer::{Answer, Fault, JSON, PLAIN};
use super::{Call, negotiate};
use crate::settings::HealthDialect;

pub(super) const HEALTH_JSON: &str = "application/health+json";
const ACTUATOR_3: &str = "application/vnd.spring-boot.actuator.v3+json";
const ACTUATOR_2: &str = "application/vnd.spring-boot.actuator.v2+json";

/// A dialect, and in which version.
#[derive(Clone, Copy)]
pub(super) enum Form {
    Dialect(HealthDialect),
    /// The second version of Actuator's media type.
    Actuator2,
}

/// What `Accept` may choose from.
pub(super) const OFFERS: [(&str, Form); 5] = [
    ("application/json", Form::Dialect(HealthDialect::Lifesigns)),
    (HEALTH_JSON, Form::Dialect(HealthDialect::HealthJson)),
    (ACTUATOR_3, Form::Dialect(HealthDialect::Actuator)),
    (ACTUATOR_2, Form::Actuator2),
    ("text/plain", Form::Dialect(HealthDialect::Text)),
];

pub(super) fn answer(call: &Call<'_>) -> Answer {
    let query = call.parts.uri.query();
    if let Some(expected) = query_value(query, "expect") {
        return expect(call, &expected);
    }
    let form = match query_value(query, "dialect") {
        None => accepted(call),
        // A plus sign in a query is a space, and nobody who writes `health+json` there means one.
        Some(name) => match HealthDialect::from_name(&name.replace(' ', "+")) {
            Some(dialect) => Form::Dialect(dialect),
            None => return unknown_dialect(call),
        },
    };
    let (status, content_type, body) = told(&call.subject(), form);
    Answer::new(status, content_type, body)
}

/// Status, media type and body.
fn told(subject: &Subject<'_>, form: Form) -> (StatusCode, HeaderValue, String) {
    let status = if subject.light() == Light::Red { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let (content_type, body) = match form {
        Form::Actuator2 => (HeaderValue::from_static(ACTUATOR_2), actuator::body(subject, Version::Two)),
        Form::Dialect(dialect) => match dialect {
            HealthDialect::Lifesigns => (JSON, Value::Object(plain::body(subject))),
            HealthDialect::HealthJson => (HeaderValue::from_static(HEALTH_JSON), health_json::body(subject)),
            HealthDialect::Actuator => {
                (HeaderValue::from_static(ACTUATOR_3), actuator::body(subject, Version::Three))
            }
            HealthDialect::MicroProfile => (JSON, microprofile::body(subject)),
            HealthDialect::Xabaril => (JSON, xabaril::body(subject)),
            HealthDialect::Text => return (status, PLAIN, plain::text(subject)),
        },
    };
    (status, content_type, body.to_string())
}

/// The form that `Accept` likes best; the configured dialect where it does not matter.
fn accepted(call: &Call<'_>) -> Form {
    let default = call.state.settings.health_dialect;
    let media_type = match default {
        HealthDialect::Lifesigns | HealthDialect::MicroProfile | HealthDialect::Xabaril => "application/json",
        HealthDialect::HealthJson => HEALTH_JSON,
        HealthDialect::Actuator => ACTUATOR_3,
        HealthDialect::Text => "text/plain",
    };
    let [first, second, third, fourth, fifth] = OFFERS.map(|(offer, _)| offer);
    match negotiate::media_type(&call.parts.headers, &[media_type, first, second, third, fourth, fifth]) {
        0 => Form::Dialect(default),
        chosen => OFFERS[chosen - 1].1,
    }
}

fn unknown_dialect(call: &Call<'_>) -> Answer {
    let names = HealthDialect::ALL.map(HealthDialect::name).join(", ");
    let fault = Fault::new(StatusCode::BAD_REQUEST, "bad_dialect");
    call.fault(&fault.says(format!("`dialect`: there is none of that name; use one of {names}.")))
}

impl Call<'_> {
    fn subject(&self) -> Subject<'_> {
        Subject {
            state: self.state,
            snapshot: &self.snapshot,
            sees_all: self.may_see_details(),
            now: self.now(),
            started: self.started(),
        }
    }
}

/// Is my fix live? Compares the revision that runs with the one asked for.
fn expect(call: &Call<'_>, expected: &str) -> Answer {
    let expected: Revision = match expected.parse() {
        Ok(revision) => revision,
        Err(error @ NoRevision) => {
            return call.fault(
                &Fault::new(StatusCode::BAD_REQUEST, "bad_revision").says(format!("`expect`: {error}.")),
            );
        }
    };
    let running = call.state.identity.revision.as_deref();
    // A build from a changed work tree, such as `2963648-dirty`, is known not to be any commit. About one whose
    // revision is not known nothing can be said.
    let deployed = running.and_then(|running| match running.parse::<Revision>() {
        Ok(running) => Some(running.is_same_commit(&expected)),
        Err(NoRevision) => {
            running.split_once('-').and_then(|(hash, _)| hash.parse::<Revision>().ok()).map(|_| false)
        }
    });
    let status = if deployed == Some(true) { StatusCode::OK } else { StatusCode::CONFLICT };
    let mut body = plain::body(&call.subject());
    body.insert("expected".to_owned(), json!(expected.to_string()));
    body.insert("deployed".to_owned(), json!(deployed));
    Answer::new(status, JSON, Value::Object(body).to_string())
}

/// The first value of a query parameter.
pub(super) fn query_value(query: Option<&str>, name: &str) -> Option<String> {
    query_values(query, name).next()
}

/// All values of a query parameter.
pub(super) fn query_values<'a>(query: Option<&'a str>, name: &'a str) -> impl Iterator<Item = String> + 'a {
    parameters(query).filter(move |(key, _)| key == name).map(|(_, value)| value)
}

/// The parameters of a query string, percent-decoded, `+` being a space.
pub(super) fn parameters(query: Option<&str>) -> impl Iterator<Item = (String, String)> + '_ {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    })
}

#[cfg(test)]
mod health_json_draft;
#[cfg(test)]
mod tests;
