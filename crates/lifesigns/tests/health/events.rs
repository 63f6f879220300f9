//! The last exchanges, one row each.

use std::time::Duration;

use http::header::{ALLOW, AUTHORIZATION};
use http::{HeaderName, StatusCode};
use serde_json::{Value, json};

use super::support::{OPS, app, ask, get_from, known};

const EVENTS: &str = "/analytics/1.0/acme/environments/test/events";

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn what_has_ended_stands_there_at_once_oldest_first() {
    let app = app(&known().start().unwrap());
    let client = (HeaderName::from_static("x-client-id"), "=web");
    ask(&app, "GET", "/items/1", std::slice::from_ref(&client)).await;
    ask(&app, "GET", "/broken", &[]).await;
    get_from(&app, "/health/status").await;
    ask(&app, "GET", "/items/2", &[]).await;
    let answer = ask(&app, "GET", EVENTS, &OPS).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/x-ndjson"));
    assert_eq!(answer.header("x-lifesigns-left-out"), "");
    let all = rows(&answer.text());
    let shown: Vec<_> = all.iter().map(|row| (&row["resource_path"], &row["status_code"])).collect();
    let expected = [("/items/{id}", 200), ("/broken", 500), ("/items/{id}", 200)];
    let expected = expected.map(|(path, status)| (json!(path), json!(status)));
    assert_eq!(shown, expected.iter().map(|(path, status)| (path, status)).collect::<Vec<_>>());
    assert_eq!((&all[0]["client_id"], &all[0]["failed_by"]), (&json!("=web"), &json!("nobody")));
    assert!(all.is_sorted_by_key(|row| row["time"].as_str().unwrap().to_owned()));

    let csv = ask(&app, "GET", &format!("{EVENTS}?format=csv&status_code=200&limit=2"), &OPS).await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8; header=present");
    let text = csv.text();
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 3);
    assert!(
        lines[0].starts_with("time,api_id,") && lines[1].contains(",\"'=web\",200,GET,/items/{id},"),
        "{text}"
    );
    let newest = ask(&app, "GET", &format!("{EVENTS}?limit=1"), &OPS).await.text();
    assert_eq!(rows(&newest), all[2..]);
    let head = ask(&app, "HEAD", EVENTS, &OPS).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
}

#[tokio::test]
async fn only_those_who_may_see_them_and_ask_well() {
    let app = app(&known().start().unwrap());
    assert_eq!(get_from(&app, EVENTS).await.status, StatusCode::UNAUTHORIZED);
    let idle = [(AUTHORIZATION, "Bearer ls_idle")];
    assert_eq!(ask(&app, "GET", EVENTS, &idle).await.status, StatusCode::FORBIDDEN);
    let posted = ask(&app, "POST", EVENTS, &OPS).await;
    assert_eq!(
        (posted.status, posted.header(ALLOW.as_str())),
        (405.try_into().unwrap(), "GET, HEAD, OPTIONS")
    );
    let asked = ask(&app, "GET", "/analytics/1.0/acme/environments/test/query", &OPS).await;
    assert_eq!((asked.status, asked.header(ALLOW.as_str())), (405.try_into().unwrap(), "POST, OPTIONS"));
    let bad = ask(&app, "GET", &format!("{EVENTS}?status_cod=200"), &OPS).await;
    assert_eq!((bad.status, &bad.json()["error"]["path"]), (StatusCode::BAD_REQUEST, &json!("status_cod")));
}

#[tokio::test]
async fn what_was_not_kept_is_counted() {
    let app = app(&known().start().unwrap());
    let asked = std::time::Instant::now();
    let mut sent = 0;
    let left_out = loop {
        // More between two ticks than a thread keeps.
        for _ in 0..3000 {
            ask(&app, "GET", "/items/1", &[]).await;
        }
        sent += 3000;
        let answer = ask(&app, "GET", &format!("{EVENTS}?limit=10000"), &OPS).await;
        let left_out: u64 = answer.header("x-lifesigns-left-out").parse().unwrap_or(0);
        if left_out > 0 {
            break left_out + rows(&answer.text()).len() as u64;
        }
        assert!(asked.elapsed() < Duration::from_mins(1), "every one of {sent} was kept");
    };
    assert!(left_out <= sent, "{left_out} of {sent}");
}
