//! The fleet as Prometheus discovers it (`http_sd_configs`).

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use serde_json::{Value, json};

use super::{JSON, once};
use crate::fleet::Fleet;
use crate::making::Made;

pub(super) async fn targets(State(fleet): State<Fleet>) -> Response<Body> {
    let make = |fleet: &Fleet| Ok(Made::new(JSON, Value::Array(groups(fleet)).to_string()));
    once(&fleet, "targets".to_owned(), make).await
}

fn groups(fleet: &Fleet) -> Vec<Value> {
    fleet
        .services()
        .iter()
        .filter_map(|service| {
            let host = service.url.host_str()?;
            let port = service.url.port_or_known_default()?;
            // Labels that begin with `__meta_` are for relabelling and are not kept.
            let mut labels = json!({
                "service": service.name,
                "__meta_lifesigns_path": service.url.path(),
                "__scheme__": service.url.scheme(),
            });
            if let Some(environment) = &service.environment {
                labels["environment"] = json!(environment);
            }
            Some(json!({"targets": [format!("{host}:{port}")], "labels": labels}))
        })
        .collect()
}
