//! `/status`: how one process is doing.

use http::StatusCode;
use lifesigns_model::identity::UNKNOWN;
use lifesigns_model::light::Light;
use serde_json::json;

use super::Call;
use super::answer::{Answer, time_text};

const BYTES_PER_MEGABYTE: u64 = 1024 * 1024;

pub(super) fn answer(call: &Call<'_>) -> Answer {
    let snapshot = call.state.snapshot.load();
    let identity = &call.state.identity;
    let known = |field: &Option<String>| field.clone().unwrap_or_else(|| UNKNOWN.to_owned());
    let megabytes = |bytes: Option<u64>| bytes.map(|bytes| bytes.div_ceil(BYTES_PER_MEGABYTE));
    let is_red = snapshot.verdict.light == Light::Red;
    let mut body = json!({
        "status": if is_red { "unhealthy" } else { "healthy" },
        "service": &*call.state.name,
        "timestamp": time_text(call.now),
        "environment": known(&identity.environment),
        "version": known(&identity.version),
        "uptime": call.uptime().as_secs(),
        "memory": {
            "used": megabytes(snapshot.process.memory_used),
            "total": megabytes(snapshot.process.memory_total),
        },
    });
    if is_red {
        body["error"] = json!("Service unavailable");
    }
    Answer::json(if is_red { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }, &body)
}

impl Call<'_> {
    /// How long the process behind this API has been up; this process, where that one cannot be seen.
    pub(super) fn uptime(&self) -> std::time::Duration {
        let started = self.state.snapshot.load().process.started.unwrap_or(self.api.process.started);
        self.now.duration_since(started).try_into().unwrap_or_default()
    }
}
