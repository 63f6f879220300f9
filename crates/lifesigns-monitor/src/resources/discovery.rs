//! The fleet as Prometheus discovers it (`http_sd_configs`).

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use serde_json::{Value, json};

use super::json_answer;
use crate::fleet::Fleet;

pub(super) async fn targets(State(fleet): State<Fleet>) -> Response<Body> {
    let groups: Vec<Value> = fleet
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
        .collect();
    json_answer(StatusCode::OK, &Value::Array(groups))
}
