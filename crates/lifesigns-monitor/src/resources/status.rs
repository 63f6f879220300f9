//! `/status` of the whole fleet.

use std::fmt;
use std::net::IpAddr;

use axum::http::request::Parts;
use lifesigns::FleetStatus;
use lifesigns_model::light::Light;
use serde_json::{Map, Value, json};

use super::light_name;
use crate::access::{AccessOptions, Caller};
use crate::fleet::Fleet;
use crate::service::Service;
use crate::target::Target;
use crate::view::Counts;

/// What `/status` says of a fleet.
pub(crate) struct AllServices {
    pub(crate) fleet: Fleet,
    /// Who is let in without a token.
    pub(crate) access: AccessOptions,
    /// The host of the monitor's own link.
    pub(crate) own: Option<String>,
}

impl fmt::Debug for AllServices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllServices").field("access", &self.access).finish_non_exhaustive()
    }
}

impl FleetStatus for AllServices {
    /// Strangers are told of public services as if there were no others, and nothing but their lights.
    fn report(&self, request: &Parts, peer: Option<IpAddr>, has_scope: bool) -> Option<Map<String, Value>> {
        let caller = Caller { headers: &request.headers, uri: &request.uri, peer };
        let sees_all =
            has_scope || matches!(self.access.without_token(caller, self.own.as_deref()), Ok(Some(_)));
        let (mut counts, mut lines) = (Counts::default(), Vec::new());
        self.fleet.each(|target, service, light| {
            if sees_all || target.is_public {
                counts.add(light);
                lines.push(line(target, light, sees_all.then_some(service)));
            }
        });
        // What is amber works; and where nobody has been asked yet, nobody has failed.
        if counts.green + counts.amber == 0 && counts.red > 0 {
            return None;
        }
        let Counts { green, amber, red, not_known } = counts;
        let report = json!({
            "total": counts.all(), "healthy": green, "degraded": amber, "unhealthy": red, "unknown": not_known,
            "services": lines,
        });
        match report {
            Value::Object(report) => Some(report),
            _ => None,
        }
    }
}

/// `service`: with what only operators see of it.
fn line(target: &Target, light: Option<Light>, service: Option<&Service>) -> Value {
    let status = match light {
        Some(Light::Green | Light::Amber) => "healthy",
        Some(Light::Red) => "unhealthy",
        None => "unknown",
    };
    let mut line = json!({"service": target.name, "status": status, "light": light_name(light)});
    if let Some(service) = service {
        line["environment"] = json!(target.environment.as_ref().or(service.about.environment.as_ref()));
        line["version"] = json!(service.about.version);
        line["latency_ms"] = json!(service.latency_us.map(|us| f64::from(us) / 1000.0));
    }
    line
}
