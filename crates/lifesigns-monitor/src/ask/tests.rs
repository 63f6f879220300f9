use lifesigns_fetch::Options;
use lifesigns_tests::service::{Reply, Service};

use super::*;

async fn asked(service: &Service, path: &str, dialect: Option<Dialect>) -> Asked {
    let fetcher = Fetcher::new(Options::default()).unwrap();
    let url = service.url(path).parse().unwrap();
    ask(&fetcher, &Target { dialect, ..Target::new("a", url) }, true).await
}

/// The light, and why.
async fn light(service: &Service, path: &str, dialect: Option<Dialect>) -> (Light, String) {
    let answer = asked(service, path, dialect).await.answer.unwrap();
    (answer.light, answer.why)
}

#[tokio::test]
async fn a_redirect_that_is_not_followed_is_red_whatever_its_body_says() {
    let elsewhere = Service::start([("/health", Reply::json(200, r#"{"status":"OK"}"#))]);
    let places = [
        elsewhere.url("/health"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "/circle".to_owned(),
    ];
    for place in places {
        for (content_type, body) in [
            ("application/json", r#"{"status":"OK"}"#),
            ("application/json", r#"{"summary":{"status":"GREEN"}}"#),
            ("application/health+json", r#"{"status":"pass"}"#),
            ("text/plain", "ok"),
            ("text/plain", ""),
        ] {
            let reply = || Reply::new(302, content_type, body).with("Location", place.clone());
            let service = Service::start([("/circle", reply()), ("/health/status", reply())]);
            for dialect in Dialect::ALL.map(Some).into_iter().chain([None]) {
                let (light, why) = light(&service, "/circle", dialect).await;
                assert_eq!(light, Light::Red, "{place} {body} {dialect:?}");
                let told = format!("answers 302 and leads to `{place}`");
                assert!(why.starts_with(&told), "{dialect:?}: {why}");
            }
        }
    }
    assert_eq!(elsewhere.heard(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_no_answer_of_the_service_says_how_to_mend_it() {
    let service = Service::start([
        ("/locked", Reply::new(403, "text/html", "<h1>No</h1>")),
        ("/long", Reply::new(200, "text/plain", vec![b' '; 2_000_000])),
        ("/page", Reply::new(200, "text/html", "<h1>Welcome</h1>")),
    ]);
    let check = async |path: &str, expected: Light, words: &str| {
        let (light, why) = light(&service, path, None).await;
        assert!(light == expected && why.contains(words), "{path}: {light} {why}");
    };
    check("/locked", Light::Red, "takes credentials").await;
    check("/long", Light::Amber, "too long").await;
    check("/page", Light::Green, "").await;
    check("/gone", Light::Red, "404").await;
    check("", Light::Red, "has none of /health/status, /health,").await;
}

#[tokio::test]
async fn a_wish_for_patience_is_bounded_and_none_is_no_wish() {
    let check = async |value: &str, seconds: Option<u64>| {
        let service = Service::start([("/status", Reply::json(503, "{}").with("Retry-After", value))]);
        let found = asked(&service, "/status", None).await.answer.unwrap().retry_after;
        assert_eq!(found.map(|wait| wait.as_secs()), seconds, "{value}");
    };
    check("30", Some(30)).await;
    check("86400", Some(3600)).await;
    check("Wed, 01 Jan 2200 00:00:00 GMT", Some(3600)).await;
    check("0", None).await;
    check("Mon, 16 Mar 2026 17:00:00 GMT", None).await;
    check("soon", None).await;
}

#[tokio::test]
async fn resources_of_the_same_name_that_are_somebody_elses_say_nothing() {
    let service = Service::start([
        ("/health", Reply::json(200, r#"{"status":"OK","revision":"2963648"}"#)),
        ("/status", Reply::json(200, r#"{"service":"a page","version":"7","uptime":3}"#)),
    ]);
    let found = asked(&service, "", None).await.introduction;
    assert_eq!((found.identity.revision.as_deref(), found.service), (Some("2963648"), None));
    service.says("/status", Reply::json(200, r#"{"status":"healthy","service":"shop","uptime":3}"#));
    let found = asked(&service, "", None).await.introduction;
    assert_eq!((found.service.as_deref(), found.uptime), (Some("shop"), Some(Duration::from_secs(3))));
    // What was found out is not asked again: a place, and what stands beside it.
    assert_eq!(service.heard()[3..], ["/health/status", "/health", "/status"]);
}

#[test]
fn a_service_that_hung_was_not_known_while_others_looked_its_name_up() {
    let target = Target::new("a", "http://shop.example/health".parse().unwrap());
    let failure = late(&target, &Progress::default());
    assert_eq!((failure.kind, failure.is_own), (FailureKind::TimedOut, false));
}
