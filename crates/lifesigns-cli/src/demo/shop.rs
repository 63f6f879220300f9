//! A shop of six services without a gateway in front of them. Each tells of itself, in a dialect of its own, and
//! something happens to each.
//!
//! | service | dialect | what happens to it |
//! |---|---|---|
//! | orders | Spring Boot Actuator | loses its database now and then |
//! | cart, shipping, loyalty | health+json, `MicroProfile`, Xabaril | need orders, and are out when it is |
//! | thumbnails | `/status` | takes more memory from second to second until it is started anew |
//! | search | `/health` | is deployed again and again |

use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::{Timestamp, Unit};
use lifesigns_model::identity::uptime_text;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::outage::is_out;
use super::random::Random;

/// The service with which the cascade begins.
pub(super) const ORDERS: &str = "orders";
/// The service that is deployed again and again.
pub(super) const SEARCH: &str = "search";
/// The process of the thumbnails lives so long, in seconds.
const THUMBNAILS_LIFE: u64 = 36;
/// What its memory is at first, by how much it grows in a second, and what it may be, in MB.
const THUMBNAILS_MEMORY: (u64, u64, u64) = (90, 9, 512);
/// So long one revision of the search runs, in seconds.
const SEARCH_LIFE: u64 = 30;

/// A service of the shop.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: &'static str,
    /// Where it tells how it is.
    pub(super) path: &'static str,
    /// What it needs, as far as somebody has told the monitor. Nobody has told it of all.
    pub(super) depends_on: &'static [&'static str],
    /// What it serves.
    pub(super) app: Router,
}

/// The services, living by their schedules from now on. Must be called inside a tokio runtime.
pub(super) fn all() -> Vec<Service> {
    let (began, began_at) = (Instant::now(), Timestamp::now());
    let service = |name, path, depends_on, answer: fn(Duration) -> Response| {
        let app = Router::new().route(path, get(async move || answer(began.elapsed())));
        Service { name, path, depends_on, app }
    };
    let search = Router::new().route("/health", get(async move || search(began.elapsed(), began_at)));
    vec![
        service(ORDERS, "/actuator/health", &[], orders),
        service("cart", "/health", &[ORDERS], cart),
        service("shipping", "/health", &[ORDERS], shipping),
        service("loyalty", "/health", &[], loyalty),
        service("thumbnails", "/status", &[], thumbnails),
        Service { name: SEARCH, path: "/health", depends_on: &[], app: search },
    ]
}

/// What the revision of the search is called that runs at first.
pub(super) fn first_revision() -> String {
    revision(0)
}

fn orders(elapsed: Duration) -> Response {
    let is_out = is_out(0, elapsed);
    let (status, database) = if is_out {
        ("DOWN", json!({"status": "DOWN", "details": {"error": "connection refused"}}))
    } else {
        ("UP", json!({"status": "UP"}))
    };
    let body = json!({"status": status, "components": {"db": database, "diskSpace": {"status": "UP"}}});
    answer(is_out, "application/vnd.spring-boot.actuator.v3+json", &body)
}

fn cart(elapsed: Duration) -> Response {
    let is_out = is_out(1, elapsed);
    let status = if is_out { "fail" } else { "pass" };
    let body = json!({
        "status": status, "serviceId": "cart", "releaseId": "1.12.0",
        "checks": {ORDERS: [{"componentType": "component", "status": status}]},
    });
    answer(is_out, "application/health+json", &body)
}

fn shipping(elapsed: Duration) -> Response {
    let is_out = is_out(2, elapsed);
    let status = if is_out { "DOWN" } else { "UP" };
    let body = json!({"status": status, "checks": [{"name": ORDERS, "status": status}]});
    answer(is_out, "application/json", &body)
}

fn loyalty(elapsed: Duration) -> Response {
    let is_out = is_out(3, elapsed);
    let status = if is_out { "Unhealthy" } else { "Healthy" };
    let body =
        json!({"status": status, "entries": {ORDERS: {"status": status, "duration": "00:00:00.0021"}}});
    answer(is_out, "application/json", &body)
}

fn thumbnails(elapsed: Duration) -> Response {
    let uptime = elapsed.as_secs() % THUMBNAILS_LIFE;
    let (first, growth, total) = THUMBNAILS_MEMORY;
    let body = json!({
        "status": "healthy", "service": "thumbnails", "timestamp": now().to_string(), "environment": "demo",
        "version": "2.3.1", "uptime": uptime, "memory": {"used": first + growth * uptime, "total": total},
    });
    answer(false, "application/json", &body)
}

fn search(elapsed: Duration, began_at: Timestamp) -> Response {
    let (number, uptime) = (elapsed.as_secs() / SEARCH_LIFE, elapsed.as_secs() % SEARCH_LIFE);
    let deployed = began_at.checked_add(Duration::from_secs(number * SEARCH_LIFE)).unwrap_or(began_at);
    let body = json!({
        "status": "OK", "repo": "https://git.example/shop/search", "revision": revision(number),
        "version": format!("3.1.{number}"), "environment": "demo", "deployed_at": whole(deployed).to_string(),
        "uptime": uptime_text(Duration::from_secs(uptime)),
    });
    answer(false, "application/json", &body)
}

/// Looks like the hash of a commit.
fn revision(number: u64) -> String {
    let random = Random::new(number);
    let digits: String = (0..3).map(|_| format!("{:016x}", random.number())).collect();
    digits[..40].to_owned()
}

fn answer(is_out: bool, content_type: &'static str, body: &Value) -> Response {
    let status = if is_out { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, [(header::CONTENT_TYPE, content_type)], body.to_string()).into_response()
}

fn now() -> Timestamp {
    whole(Timestamp::now())
}

fn whole(time: Timestamp) -> Timestamp {
    time.round(Unit::Second).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use lifesigns_model::dialect::{self, Dialect, Introduction};
    use lifesigns_model::light::Light;

    use super::*;

    type Tell = fn(Duration) -> Response;

    async fn read(answer: Response) -> (Light, Dialect, Introduction) {
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        let content_type = headers[header::CONTENT_TYPE].to_str().unwrap();
        let reading = dialect::read(None, status, Some(content_type), &body).unwrap();
        (reading.light, reading.dialect, dialect::introduction(&body))
    }

    #[tokio::test]
    async fn each_goes_out_after_the_other_in_its_own_dialect() {
        let services: [(Tell, Dialect); 4] = [
            (orders, Dialect::Actuator),
            (cart, Dialect::HealthJson),
            (shipping, Dialect::MicroProfile),
            (loyalty, Dialect::Xabaril),
        ];
        for (place, (service, dialect)) in (0..).zip(services) {
            for (second, light) in
                [(7 + 2 * place, Light::Green), (8 + 2 * place, Light::Red), (28 + place, Light::Green)]
            {
                let (found, spoken, _) = read(service(Duration::from_secs(second))).await;
                assert_eq!((found, spoken), (light, dialect), "place {place}, second {second}");
            }
        }
    }

    #[tokio::test]
    async fn memory_grows_until_the_process_is_started_anew() {
        let mut used = Vec::new();
        for second in [0, 35, 36] {
            let (light, _, known) = read(thumbnails(Duration::from_secs(second))).await;
            assert_eq!(light, Light::Green);
            assert_eq!(known.uptime, Some(Duration::from_secs(second % 36)));
            assert!(known.memory_used_mb < known.memory_total_mb);
            used.extend(known.memory_used_mb);
        }
        assert_eq!(used, [90, 405, 90]);
    }

    #[tokio::test]
    async fn another_revision_is_another_process() {
        let began_at: Timestamp = "2026-03-16T18:00:00Z".parse().unwrap();
        let (_, _, first) = read(search(Duration::from_secs(29), began_at)).await;
        let (_, dialect, second) = read(search(Duration::from_secs(31), began_at)).await;
        assert_eq!(dialect, Dialect::Health);
        assert_eq!(first.identity.revision, Some(first_revision()));
        assert_eq!(second.identity.revision, Some(revision(1)));
        assert_eq!(second.identity.version.as_deref(), Some("3.1.1"));
        assert_eq!(second.identity.deployed_at, Some("2026-03-16T18:00:30Z".parse().unwrap()));
        assert_eq!(
            (first.uptime, second.uptime),
            (Some(Duration::from_secs(29)), Some(Duration::from_secs(1)))
        );
    }
}
