//! What is known of services as JSON.

use serde_json::{Value, json};

use lifesigns_model::light::Light;

use super::ask::Finding;
use crate::printer::escaped_json;

/// An array of objects, on one line.
pub(super) fn line(findings: &[Finding]) -> String {
    let objects: Vec<Value> = findings.iter().map(object).collect();
    format!("{}\n", escaped_json(&Value::Array(objects).to_string()))
}

/// What is not known is null.
fn object(finding: &Finding) -> Value {
    let reading = finding.judged.as_ref().ok();
    let failure = finding.judged.as_ref().err();
    let known = &finding.introduction;
    let ill: Vec<Value> = reading
        .iter()
        .flat_map(|reading| &reading.parts)
        .filter(|part| part.light != Light::Green)
        .map(|part| json!({"name": part.name, "light": part.light.name()}))
        .collect();
    json!({
        "service": finding.name(),
        "url": finding.url.as_str(),
        "light": finding.light().map(Light::name),
        "code": finding.status,
        "dialect": reading.map(|reading| reading.dialect.name()),
        "latency_ms": finding.latency.map(|latency| (latency.as_secs_f64() * 10_000.0).round() / 10.0),
        "uptime_seconds": known.uptime.map(|uptime| uptime.as_secs()),
        "memory_used_mb": known.memory_used_mb,
        "memory_total_mb": known.memory_total_mb,
        "version": known.identity.version,
        "revision": known.identity.revision,
        "environment": known.identity.environment,
        "repo": known.identity.repo,
        "not_green": ill,
        "retry_after_seconds": finding.retry_after,
        "certificate_expires": finding.certificate_expires.map(|expires| expires.to_string()),
        "failure": failure.map(|failure| failure.kind.name()),
        "message": finding.complaint(),
    })
}
