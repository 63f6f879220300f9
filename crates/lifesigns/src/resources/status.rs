//! `/status`: how one process is doing.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;
use http::request::Parts;
use jiff::Timestamp;
use lifesigns_model::identity::UNKNOWN;
use lifesigns_model::light::Light;
use serde_json::{Map, Value, json};

use super::Call;
use super::answer::{Answer, status_error, time_text};
use crate::access::Scope;
use crate::proc::ProcessSource;

const BYTES_PER_MEGABYTE: u64 = 1024 * 1024;

/// Whoever knows how a whole fleet is doing, and answers `/status` for it.
pub trait FleetStatus: fmt::Debug + Send + Sync {
    /// What is said besides `status`, `service`, `timestamp` and `version`; `None` when nothing of the fleet works.
    /// Asked by `peer`, where that is known; `has_scope` tells that the request has a token with `fleet:read`. It must
    /// not take time.
    fn report(&self, request: &Parts, peer: Option<IpAddr>, has_scope: bool) -> Option<Map<String, Value>>;
}

/// What a whole fleet is called as one service.
const ALL_SERVICES: &str = "all-services";

fn of_fleet(call: &Call<'_>, fleet: &dyn FleetStatus) -> Answer {
    let has_scope = call.granted().is_ok_and(|grant| grant.allows(Scope::FleetRead));
    let now = call.now().wall;
    let Some(report) = fleet.report(call.parts, call.caller.peer, has_scope) else {
        let error = status_error("Service unavailable", ALL_SERVICES, now);
        return Answer::json(StatusCode::SERVICE_UNAVAILABLE, &error);
    };
    let version = call.state.identity.version.as_deref().unwrap_or(UNKNOWN);
    let mut body = json!({
        "status": "healthy", "service": ALL_SERVICES, "timestamp": time_text(now), "version": version,
    });
    if let Some(body) = body.as_object_mut() {
        body.extend(report);
    }
    Answer::json(StatusCode::OK, &body)
}

pub(super) fn answer(call: &Call<'_>) -> Answer {
    if let Some(fleet) = &call.api.process.fleet {
        return of_fleet(call, &**fleet);
    }
    let snapshot = &call.snapshot;
    let identity = &call.state.identity;
    let known = |field: &Option<String>| field.clone().unwrap_or_else(|| UNKNOWN.to_owned());
    let megabytes = |bytes: Option<u64>| bytes.map(|bytes| bytes.div_ceil(BYTES_PER_MEGABYTE));
    let is_red = snapshot.verdict.light == Light::Red;
    let mut body = json!({
        "status": if is_red { "unhealthy" } else { "healthy" },
        "service": &*call.state.name,
        "timestamp": time_text(call.now().wall),
        "environment": known(&identity.environment),
        "version": known(&identity.version),
        "uptime": call.uptime().map(|uptime| uptime.as_secs()),
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
    /// When the process behind this API started; `None` where it is another one and cannot be seen. Of this process
    /// the moment counts when it was set up: the system's figure is older where a script has become this program.
    pub(super) fn started(&self) -> Option<Timestamp> {
        if self.state.source == ProcessSource::Own {
            Some(self.api.process.started)
        } else {
            self.snapshot.process.started
        }
    }

    /// How long it has been up.
    pub(super) fn uptime(&self) -> Option<Duration> {
        Some(self.now().wall.duration_since(self.started()?).try_into().unwrap_or_default())
    }
}
