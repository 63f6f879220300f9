//! `/health`: alive, and who am I; in four dialects.

use http::StatusCode;
use lifesigns_model::identity::{IdentityField, NoRevision, Revision, UNKNOWN, uptime_text};
use lifesigns_model::light::Light;
use lifesigns_model::verdict::{Phase, Reason};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Fault, JSON, PLAIN, time_text};
use super::{Call, negotiate};

const HEALTH_JSON: &str = "application/health+json";
const ACTUATOR: &str = "application/vnd.spring-boot.actuator.v3+json";
const OFFERS: [&str; 4] = ["application/json", HEALTH_JSON, ACTUATOR, "text/plain"];

pub(super) fn answer(call: &Call<'_>) -> Answer {
    if let Some(expected) = query_value(call.parts.uri.query(), "expect") {
        return expect(call, &expected);
    }
    let light = call.snapshot.verdict.light;
    let status = if light == Light::Red { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    match negotiate::media_type(&call.parts.headers, &OFFERS) {
        1 => Answer::new(status, HEALTH_JSON, health_json(call).to_string()),
        2 => Answer::new(status, ACTUATOR, actuator(call).to_string()),
        3 => {
            let word = ["Healthy", "Degraded", "Unhealthy"][light as usize];
            Answer::new(status, PLAIN, format!("{word}\n"))
        }
        _ => Answer::new(status, JSON, Value::Object(plain_json(call)).to_string()),
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
    let mut body = plain_json(call);
    body.insert("expected".to_owned(), json!(expected.to_string()));
    body.insert("deployed".to_owned(), json!(deployed));
    Answer::new(status, JSON, Value::Object(body).to_string())
}

fn plain_json(call: &Call<'_>) -> Map<String, Value> {
    let light = call.snapshot.verdict.light;
    let mut body = Map::new();
    body.insert("status".to_owned(), json!(["OK", "DEGRADED", "UNAVAILABLE"][light as usize]));
    let sees_all = call.may_see_details();
    for field in IdentityField::ALL {
        if !sees_all && !call.state.settings.public_identity.contains(&field) {
            continue;
        }
        if let Some(value) = identity_value(call, field) {
            body.insert(field.name().to_owned(), json!(value));
        }
    }
    body
}

/// The value of an identity field. What everybody may expect to find says that it is unknown; the rest is left out.
fn identity_value(call: &Call<'_>, field: IdentityField) -> Option<String> {
    let identity = &call.state.identity;
    let or_unknown = |value: &Option<String>| Some(value.clone().unwrap_or_else(|| UNKNOWN.to_owned()));
    match field {
        IdentityField::Repo => or_unknown(&identity.repo),
        IdentityField::Revision => or_unknown(&identity.revision),
        IdentityField::Version => or_unknown(&identity.version),
        IdentityField::DeployedAt => or_unknown(&identity.deployed_at.or(call.started()).map(time_text)),
        IdentityField::Uptime => or_unknown(&call.uptime().map(uptime_text)),
        IdentityField::BuildType => identity.build_type.clone(),
        IdentityField::BuildDate => identity.build_date.clone(),
        IdentityField::Language => identity.language.clone(),
        IdentityField::Environment => identity.environment.clone(),
    }
}

/// draft-inadarei-api-health-check-06.
fn health_json(call: &Call<'_>) -> Value {
    let snapshot = &call.snapshot;
    let word = |light: Light| ["pass", "warn", "fail"][light as usize];
    let light = snapshot.verdict.light;
    let time = time_text(call.now.wall);
    let check = |component_type: &str, value: Value, unit: &str, light: Light| {
        json!({
            "componentType": component_type,
            "observedValue": value,
            "observedUnit": unit,
            "status": word(light),
            "time": time,
        })
    };
    let reason = snapshot.verdict.reason();
    let light_if = |is_reason: bool| if is_reason { light } else { Light::Green };
    let of_traffic = matches!(reason, Reason::Failures { .. } | Reason::Unproven);
    let share = json!(round(snapshot.traffic.failed_share() * 100.0));
    let mut failures = check("component", share, "percent", light_if(of_traffic));
    if of_traffic && !snapshot.failing_routes.is_empty() {
        failures["affectedEndpoints"] = snapshot.failing_routes.iter().map(|route| json!(**route)).collect();
    }
    let of_judge = matches!(reason, Reason::Stale { .. });
    let of_life = matches!(reason, Reason::Starting | Reason::Draining);
    let requests = json!(snapshot.traffic.exchanges);
    let age = json!(call.now.since(snapshot.judged).as_secs());
    let mut checks = json!({
        "lifecycle:phase": [check("system", json!(snapshot.phase.name()), "phase", light_if(of_life))],
        "judgement:age": [check("system", age, "s", light_if(of_judge))],
        "traffic:failures": [failures],
        "traffic:requests": [check("component", requests, "requests", Light::Green)],
    });
    if let Some(uptime) = call.uptime() {
        checks["uptime"] = json!([check("system", json!(uptime.as_secs()), "s", Light::Green)]);
    }
    if let Some(p95) = snapshot.traffic.latency_ms {
        let light = light_if(matches!(reason, Reason::Slow { .. }));
        checks["traffic:responseTime"] = json!([check("component", json!(round(p95)), "ms", light)]);
    }
    let mut body = json!({"status": word(light)});
    let shown = |field| call.state.settings.public_identity.contains(&field) || call.may_see_details();
    if let Some(version) = call.state.identity.version.as_ref().filter(|_| shown(IdentityField::Version)) {
        body["releaseId"] = json!(version);
    }
    body["serviceId"] = json!(&*call.state.name);
    if light != Light::Green {
        body["output"] = json!(snapshot.verdict.summary());
    }
    body["checks"] = checks;
    body
}

/// Spring Boot Actuator, version 3 of its media type.
fn actuator(call: &Call<'_>) -> Value {
    let snapshot = &call.snapshot;
    let light = snapshot.verdict.light;
    let up_unless = |down: bool| if down { "DOWN" } else { "UP" };
    let lifecycle = if snapshot.phase == Phase::Ready { "UP" } else { "OUT_OF_SERVICE" };
    json!({
        "status": up_unless(light == Light::Red),
        "components": {
            "lifecycle": {"status": lifecycle},
            "traffic": {"status": up_unless(light == Light::Red)},
        },
    })
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
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
