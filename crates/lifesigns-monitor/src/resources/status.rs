//! `/status` of the whole fleet.

use std::fmt;

use lifesigns::FleetStatus;
use lifesigns_model::light::Light;
use serde_json::{Map, Value, json};

use super::light_name;
use crate::fleet::Fleet;
use crate::view::{Counts, ServiceView};

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
        let services = self.fleet.services();
        let counts = Counts::of(&services);
        // What is amber works; and where nobody has been asked yet, nobody has failed.
        let nothing_works = counts.green + counts.amber == 0 && counts.red > 0;
        if nothing_works {
            return None;
        }
        let sees_all = sees_all || self.is_open;
        let shown = services.iter().filter(|service| sees_all || service.is_public);
        let Counts { green, amber, red, not_known } = counts;
        let report = json!({
            "total": counts.all(), "healthy": green, "degraded": amber, "unhealthy": red, "unknown": not_known,
            "services": shown.map(line).collect::<Vec<Value>>(),
        });
        match report {
            Value::Object(report) => Some(report),
            _ => None,
        }
    }
}

fn line(service: &ServiceView) -> Value {
    let status = match service.light {
        Some(Light::Green | Light::Amber) => "healthy",
        Some(Light::Red) => "unhealthy",
        None => "unknown",
    };
    let latency_ms = service.latency_us.map(|us| f64::from(us) / 1000.0);
    json!({
        "service": service.name, "status": status, "light": light_name(service.light),
        "environment": service.environment, "version": service.about.version, "latency_ms": latency_ms,
    })
}
