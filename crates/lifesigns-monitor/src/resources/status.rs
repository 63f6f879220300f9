//! `/status` of the whole fleet.

use std::fmt;

use lifesigns::FleetStatus;
use lifesigns_model::light::Light;
use serde_json::{Map, Value, json};

use super::light_name;
use crate::fleet::Fleet;
use crate::service::Service;
use crate::target::Target;
use crate::view::Counts;

/// What `/status` says of a fleet.
pub(crate) struct AllServices {
    pub(crate) fleet: Fleet,
    /// Whether everybody may see services that are not public.
    pub(crate) is_open: bool,
}

impl fmt::Debug for AllServices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllServices").field("is_open", &self.is_open).finish_non_exhaustive()
    }
}

impl FleetStatus for AllServices {
    fn report(&self, sees_all: bool) -> Option<Map<String, Value>> {
        let sees_all = sees_all || self.is_open;
        let (mut counts, mut lines) = (Counts::default(), Vec::new());
        self.fleet.each(|target, service, light| {
            counts.add(light);
            if sees_all || target.is_public {
                lines.push(line(target, service, light));
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

fn line(target: &Target, service: &Service, light: Option<Light>) -> Value {
    let status = match light {
        Some(Light::Green | Light::Amber) => "healthy",
        Some(Light::Red) => "unhealthy",
        None => "unknown",
    };
    let latency_ms = service.latency_us.map(|us| f64::from(us) / 1000.0);
    let environment = target.environment.as_ref().or(service.about.environment.as_ref());
    json!({
        "service": target.name, "status": status, "light": light_name(light),
        "environment": environment, "version": service.about.version, "latency_ms": latency_ms,
    })
}
