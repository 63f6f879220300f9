//! `/health/details` as a page.

use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderName, StatusCode};

use super::support::{ask, known, passing, started};

const ASK: [(HeaderName, &str); 2] = [(ACCEPT, "text/html"), (AUTHORIZATION, "Bearer ls_ops")];

#[tokio::test]
async fn the_page_shows_what_has_passed_and_loads_nothing() {
    let (_lifesigns, app) = started(known().check(passing("db <1>")));
    let client = (HeaderName::from_static("x-client-id"), "<script>alert(1)</script>");
    for id in 0..30 {
        ask(&app, "GET", &format!("/items/{id}"), std::slice::from_ref(&client)).await;
    }
    ask(&app, "GET", "/broken", &[]).await;
    let answer = ask(&app, "GET", "/health/details?duration=1h", &ASK).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "text/html; charset=utf-8"));
    assert!(answer.header("content-security-policy").starts_with("default-src 'none'"));
    let page = answer.text();
    for part in [
        "<html lang=\"en\">",
        "<dt>Requests</dt><dd>31</dd>",
        "<dt>Server errors</dt><dd>1</dd>",
        "<a href=\"?duration=1h\" aria-current=\"page\">",
        "with 2xx",
        "<th scope=\"row\">/items/{id}</th><td>30</td><td>0.00 %</td>",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "db &lt;1&gt;",
        "Bars are 1 minute wide",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    for part in ["<script", "http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(part), "{part} is in {page}");
    }
    assert_eq!(page.matches("<table>").count(), page.matches("</table>").count());
}

#[tokio::test]
async fn the_page_takes_what_the_figures_take() {
    let (_lifesigns, app) = started(known());
    let stranger = ask(&app, "GET", "/health/details", &ASK[..1]).await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
    let bad = ask(&app, "GET", "/health/details?duration=x", &ASK).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    let empty = ask(&app, "GET", "/health/details?duration=1830d", &ASK).await;
    assert_eq!(empty.status, StatusCode::OK);
    assert!(empty.text().contains("Nothing in this window.") && !empty.text().contains("NaN"));
    let json = ask(&app, "GET", "/health/details", &ASK[1..]).await;
    assert_eq!(json.header("content-type"), "application/json; charset=utf-8");
}
