use axum::body::{Body, to_bytes};
use axum::http::Method;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;

async fn send(app: &Router, method: Method, path: &str, body: Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = Request::builder().method(method).uri(path).body(Body::from(body)).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

fn app(name: &str) -> Router {
    all(1).into_iter().find(|service| service.name == name).unwrap().app
}

/// Sends the steps one after the other; `{id}` in a path is the id in the first answer that was a 201.
async fn check(service: &str, steps: &[(Method, &str, Value, u16)]) {
    let app = app(service);
    let mut id = String::new();
    for (method, path, body, expected) in steps {
        let path = path.replace("{id}", &id);
        let (status, answer) = send(&app, method.clone(), &path, body.clone()).await;
        assert_eq!(status, *expected, "{service}: {method} {path} {body}: {answer}");
        if status == 201 && id.is_empty() {
            answer["id"].as_str().unwrap().clone_into(&mut id);
        }
    }
}

use Method as M;

#[tokio::test(start_paused = true)]
async fn users_sign_up_and_leave() {
    let anna = json!({"email": "anna@example.org", "name": "Anna"});
    check(
        "user-service",
        &[
            (M::POST, "/users", anna.clone(), 201),
            (M::POST, "/users", anna, 409),
            (M::POST, "/users", json!({"email": "anna", "name": "Anna"}), 422),
            (M::POST, "/users", json!([]), 400),
            (M::GET, "/users", Value::Null, 200),
            (M::GET, "/users/{id}", Value::Null, 200),
            (M::PATCH, "/users/{id}", json!({"name": "Ann"}), 200),
            (M::PATCH, "/users/{id}", json!({"name": ""}), 422),
            (M::POST, "/sessions", json!({"user": "1001"}), 201),
            (M::POST, "/sessions", json!({"user": "9"}), 422),
            (M::DELETE, "/users/{id}", Value::Null, 204),
            (M::GET, "/users/{id}", Value::Null, 404),
            (M::GET, "/nothing", Value::Null, 404),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn carts_are_filled_and_ordered_once() {
    check(
        "checkout-service",
        &[
            (M::POST, "/carts", Value::Null, 201),
            (M::POST, "/carts/{id}/order", Value::Null, 409),
            (M::PUT, "/carts/{id}/items/tea-100", json!({"quantity": 0}), 422),
            (M::PUT, "/carts/{id}/items/tea-100", json!({"quantity": 2}), 200),
            (M::PUT, "/carts/{id}/items/cup-7", json!({"quantity": 1}), 200),
            (M::DELETE, "/carts/{id}/items/cup-7", Value::Null, 204),
            (M::DELETE, "/carts/{id}/items/cup-7", Value::Null, 404),
            (M::POST, "/carts/{id}/order", Value::Null, 201),
            (M::POST, "/carts/{id}/order", Value::Null, 409),
            (M::GET, "/carts/{id}", Value::Null, 200),
            (M::GET, "/carts/x", Value::Null, 404),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn keys_and_webhooks_come_and_go() {
    check(
        "developer-service",
        &[
            (M::POST, "/keys", json!({"label": "shop"}), 201),
            (M::POST, "/keys", json!({"label": "shop"}), 409),
            (M::POST, "/keys", json!({}), 422),
            (M::GET, "/keys/{id}", Value::Null, 200),
            (M::GET, "/keys", Value::Null, 200),
            (M::DELETE, "/keys/{id}", Value::Null, 204),
            (M::DELETE, "/keys/{id}", Value::Null, 404),
            (M::POST, "/webhooks", json!({"url": "http://example.org"}), 422),
            (M::POST, "/webhooks", json!({"url": "https://example.org/hook"}), 201),
            (M::GET, "/webhooks/1001", Value::Null, 200),
            (M::DELETE, "/webhooks/1001", Value::Null, 204),
            (M::GET, "/webhooks", Value::Null, 200),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn invoices_are_sent_once() {
    check(
        "invoice-service",
        &[
            (M::POST, "/invoices", json!({"customer": "acme", "cents": 1250}), 201),
            (M::POST, "/invoices", json!({"customer": "acme", "cents": -1}), 422),
            (M::GET, "/invoices", Value::Null, 200),
            (M::GET, "/invoices/{id}", Value::Null, 200),
            (M::GET, "/invoices/{id}/document", Value::Null, 200),
            (M::POST, "/invoices/{id}/send", Value::Null, 200),
            (M::POST, "/invoices/{id}/send", Value::Null, 409),
            (M::GET, "/invoices/x/document", Value::Null, 404),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn subscriptions_are_switched_and_cancelled() {
    check(
        "recurring-service",
        &[
            (M::POST, "/subscriptions", json!({"customer": "acme", "plan": "basic"}), 201),
            (M::POST, "/subscriptions", json!({"customer": "acme", "plan": "gold"}), 422),
            (M::GET, "/subscriptions", Value::Null, 200),
            (M::GET, "/subscriptions/{id}", Value::Null, 200),
            (M::PUT, "/subscriptions/{id}/plan", json!({"plan": "team"}), 200),
            (M::POST, "/subscriptions/{id}/cancel", Value::Null, 200),
            (M::POST, "/subscriptions/{id}/cancel", Value::Null, 409),
            (M::PUT, "/subscriptions/{id}/plan", json!({"plan": "plus"}), 409),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn payments_work_until_the_schedule_lets_them_fail() {
    let payment = json!({"order": "o-1", "cents": 500});
    let steps = [
        (M::POST, "/payments", payment.clone(), 201),
        (M::POST, "/payments", payment, 409),
        (M::POST, "/payments", json!({"order": "o-2", "cents": "5"}), 422),
        (M::GET, "/payments/{id}", Value::Null, 200),
        (M::POST, "/payments/{id}/refund", Value::Null, 201),
        (M::POST, "/payments/{id}/refund", Value::Null, 409),
        (M::GET, "/payments/x", Value::Null, 404),
    ];
    check("payment-service", &steps).await;

    let app = app("payment-service");
    tokio::time::advance(Duration::from_secs(95)).await;
    let mut down = 0;
    for _ in 0..100 {
        down += usize::from(send(&app, M::GET, "/payments/x", Value::Null).await.0 == 503);
    }
    assert!(down >= 90, "{down} of 100 answers were 503");
}
