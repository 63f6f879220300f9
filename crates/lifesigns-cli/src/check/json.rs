//! What is known of services as JSON.

use jiff::Timestamp;
use lifesigns_model::dialect::Dialect;
use lifesigns_model::light::Light;
use serde_json::{Value, json};

use super::ask::{Finding, ill};
use crate::printer::escaped_json;

/// An array of objects, on one line.
pub(super) fn line(findings: &[Finding]) -> String {
    let objects: Vec<Value> = findings.iter().map(object).collect();
    format!("{}\n", escaped_json(&Value::Array(objects).to_string()))
}

/// What is not known is null.
fn object(finding: &Finding) -> Value {
    let answer = finding.answered();
    let failure = finding.answer.as_ref().err();
    let known = &finding.introduction;
    let ill: Vec<Value> = answer
        .into_iter()
        .flat_map(ill)
        .map(|part| json!({"name": part.name, "light": part.light.name()}))
        .collect();
    let expires = answer.and_then(|answer| Timestamp::from_millisecond(answer.certificate_expires?).ok());
    json!({
        "service": finding.name(),
        "url": finding.url.as_str(),
        "light": finding.light().map(Light::name),
        "code": answer.map(|answer| answer.code),
        "dialect": answer.and_then(|answer| answer.dialect).map(Dialect::name),
        "latency_ms": answer.map(|answer| (answer.latency.as_secs_f64() * 10_000.0).round() / 10.0),
        "uptime_seconds": known.uptime.map(|uptime| uptime.as_secs()),
        "memory_used_mb": known.memory_used_mb,
        "memory_total_mb": known.memory_total_mb,
        "version": known.identity.version,
        "revision": known.identity.revision,
        "environment": known.identity.environment,
        "repo": known.identity.repo,
        "not_green": ill,
        "retry_after_seconds": answer.and_then(|answer| answer.retry_after).map(|wait| wait.as_secs()),
        "certificate_expires": expires.map(|expires| expires.to_string()),
        "failure": failure.map(|failure| failure.kind.name()),
        "message": finding.complaint(),
    })
}
