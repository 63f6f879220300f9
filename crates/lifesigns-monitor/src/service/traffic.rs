//! What a service tells of its own traffic.

use serde_json::Value;

/// The traffic of the last hour, as the service's `/health/details` has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic {
    /// Requests.
    pub requests: u64,
    /// Those that failed by their clients, with 4xx.
    pub client_errors: u64,
    /// Those that failed by the service, with 5xx.
    pub server_errors: u64,
    /// Half of them took no longer, in milliseconds.
    pub p50_ms: Option<f64>,
    /// 95 of 100 took no longer, in milliseconds.
    pub p95_ms: Option<f64>,
    /// 99 of 100 took no longer, in milliseconds.
    pub p99_ms: Option<f64>,
}

impl Traffic {
    /// What an answer says; `None` if it is no such answer.
    pub fn read(body: &[u8]) -> Option<Traffic> {
        let json: Value = serde_json::from_slice(body).ok()?;
        let summary = &json["summary"];
        let percentile =
            |name: &str| summary["latency_ms"][name].as_f64().filter(|ms| ms.is_finite() && *ms >= 0.0);
        Some(Traffic {
            requests: summary["requests"].as_u64()?,
            client_errors: summary["client_error"].as_u64()?,
            server_errors: summary["server_error"].as_u64()?,
            p50_ms: percentile("p50"),
            p95_ms: percentile("p95"),
            p99_ms: percentile("p99"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_read_and_anything_else_is_not() {
        let body = br#"{"success":true,"response":[],"summary":{"requests":3,"success":2,"client_error":1,
            "server_error":0,"policy_violation":0,"latency_ms":{"mean":1.2,"p50":1.1,"p95":2.0,"max":2.5}}}"#;
        let traffic = Traffic::read(body).unwrap();
        assert_eq!((traffic.requests, traffic.client_errors, traffic.server_errors), (3, 1, 0));
        assert_eq!((traffic.p50_ms, traffic.p95_ms, traffic.p99_ms), (Some(1.1), Some(2.0), None));
        for other in ["", "{}", "[]", r#"{"summary":{"requests":-1}}"#, r#"{"summary":{"status":"GREEN"}}"#] {
            assert_eq!(Traffic::read(other.as_bytes()), None, "{other}");
        }
    }
}
