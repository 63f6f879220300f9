//! `/metrics`: the figures of the checks, in both formats.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use http::HeaderName;
use http::header::ACCEPT;
use lifesigns::{ApiOptions, Check, Lifesigns};

use super::support::{OPS, app, ask, builder, failing, passing, started, until};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0";

/// The value of a sample.
fn value(page: &str, sample: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{sample} in {page}")).parse().unwrap()
}

/// What both formats demand: each family is announced once and in one piece, its samples bear its name with a suffix
/// of its kind, and none stands there twice.
fn check_format(page: &str, is_open_metrics: bool) {
    let mut families = HashSet::new();
    let mut samples = HashSet::new();
    let (mut family, mut kind) = ("", "");
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split(' ').next().unwrap();
            assert!(families.insert(family), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            kind = rest.strip_prefix(family).unwrap().trim_start();
            assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
        } else if line == "# EOF" {
            assert!(is_open_metrics && page.ends_with("# EOF\n"));
        } else {
            let (line, exemplar) =
                line.split_once(" # ").map_or((line, None), |(line, rest)| (line, Some(rest)));
            assert!(exemplar.is_none() || is_open_metrics && line.contains("_bucket{"), "{line}");
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok() && samples.insert(series), "{line}");
            let suffix =
                series.split('{').next().unwrap().strip_prefix(family).unwrap_or_else(|| panic!("{line}"));
            let suffixes: &[&str] = match (kind, is_open_metrics) {
                ("counter", true) => &["_total"],
                ("histogram", _) => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            assert!(suffixes.contains(&suffix), "{line}");
        }
    }
    assert_eq!(page.contains("# EOF"), is_open_metrics);
}

#[tokio::test]
async fn checks_and_what_runs_them_have_figures() {
    let checks = builder().check(failing("db").critical()).check(failing("mail")).check(passing("a \"b\\"));
    let (lifesigns, app) = started(checks);
    let page = ask(&app, "GET", "/metrics", &OPS).await.text();
    check_format(&page, false);
    let of = |name: &str, check: &str| {
        value(&page, &format!("lifesigns_check_{name}{{lifesigns_api=\"items\",check=\"{check}\"}}"))
    };
    assert_eq!([of("status", "db"), of("status", "mail"), of("status", "a \\\"b\\\\")], [2.0, 1.0, 0.0]);
    assert!(of("duration_seconds", "db") < 5.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - of("last_run_timestamp_seconds", "db")).abs() < 10.0);
    let runs = |check: &str, outcome: &str| {
        let labels = format!("lifesigns_api=\"items\",check=\"{check}\",outcome=\"{outcome}\"");
        value(&page, &format!("lifesigns_check_runs_total{{{labels}}}"))
    };
    assert!(runs("db", "fail") >= 1.0);
    assert_eq!([runs("db", "pass"), runs("db", "warn"), runs("mail", "pass")], [0.0; 3]);
    let begun = value(&page, "lifesigns_check_lateness_seconds_count");
    assert!(begun >= 3.0);
    assert_eq!(value(&page, "lifesigns_check_lateness_seconds_bucket{le=\"+Inf\"}"), begun);
    assert_eq!(value(&page, "lifesigns_check_abandoned_threads"), 0.0);
    assert!(value(&page, "lifesigns_check_scheduler_heartbeat_age_seconds") < 5.0);
    assert_eq!(value(&page, "lifesigns_checks_left_out"), 0.0);
    assert_eq!(value(&page, "lifesigns_light{lifesigns_api=\"items\"}"), 2.0);
    assert!(value(&page, "lifesigns_judgement_age_seconds{lifesigns_api=\"items\"}") < 5.0);
    let changes = value(&page, "lifesigns_light_changes_total{lifesigns_api=\"items\"}");
    assert_eq!(changes, lifesigns.own().transitions().len() as f64);
    let open = ask(&app, "GET", "/metrics", &[OPS[0].clone(), (ACCEPT, OPEN_METRICS)]).await;
    assert!(open.header("content-type").starts_with("application/openmetrics-text"));
    check_format(&open.text(), true);
}

#[tokio::test]
async fn without_checks_there_are_no_figures_of_them() {
    let (_lifesigns, app) = started(builder());
    let page = ask(&app, "GET", "/metrics", &OPS).await.text();
    check_format(&page, false);
    assert!(!page.contains("lifesigns_check"), "{page}");
}

#[tokio::test]
async fn a_check_of_several_apis_has_figures_for_each() {
    let lifesigns = Lifesigns::builder("gateway")
        .api(ApiOptions::new("one"))
        .api(ApiOptions::new("two"))
        .check(passing("shared"))
        .check_for(["two"], failing("own"))
        .start()
        .unwrap();
    let page = ask(&lifesigns.admin_router(), "GET", "/metrics", &[]).await.text();
    check_format(&page, false);
    let labels: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("lifesigns_check_status{")?.split('}').next())
        .collect();
    let expected = [
        "lifesigns_api=\"one\",check=\"shared\"",
        "lifesigns_api=\"two\",check=\"shared\"",
        "lifesigns_api=\"two\",check=\"own\"",
    ];
    assert_eq!(labels, expected);
}

#[tokio::test]
async fn ten_thousand_checks_are_told_within_bounds() {
    let mut builder = builder();
    for number in 0..10_000 {
        let check = Check::new(&format!("check-{number}"), async || ());
        builder = builder.check(check.every(Duration::from_hours(1)));
    }
    let lifesigns = builder.start().unwrap();
    until(&lifesigns.own(), |snapshot| snapshot.checks.len() == 10_000);
    let app = app(&lifesigns);
    let page = ask(&app, "GET", "/metrics", &OPS).await;
    check_format(&page.text(), false);
    assert_eq!(page.text().matches("\nlifesigns_check_status{").count(), 10_000);
    assert!(page.body.len() < 8_000_000, "{}", page.body.len());
    for dialect in ["health+json", "actuator", "microprofile", "xabaril"] {
        let answer = ask(&app, "GET", &format!("/health?dialect={dialect}"), &OPS).await;
        assert!(answer.text().contains("_other_"), "{dialect}");
        assert!(answer.body.len() < 250_000, "{dialect}: {}", answer.body.len());
    }
    let details = ask(&app, "GET", "/health/details", &OPS).await.json();
    assert_eq!(details["checks"].as_array().unwrap().len(), 10_000, "the details have all of them");
}

#[tokio::test]
async fn a_traced_exchange_stands_for_its_bucket_in_open_metrics() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let (_lifesigns, app) = started(builder());
    for (trace, flags) in [("11111111111111111111111111111111", "00"), (TRACE, "01")] {
        let traceparent = format!("00-{trace}-00f067aa0ba902b7-{flags}");
        let headers = [(HeaderName::from_static("traceparent"), traceparent.as_str())];
        assert_eq!(ask(&app, "GET", "/items/7", &headers).await.status, 200);
    }
    let open = [OPS[0].clone(), (ACCEPT, OPEN_METRICS)];
    let deadline = Instant::now() + Duration::from_secs(20);
    let page = loop {
        let page = ask(&app, "GET", "/metrics", &open).await.text();
        if page.contains("trace_id") {
            break page;
        }
        assert!(Instant::now() < deadline, "{page}");
    };
    check_format(&page, true);
    let with_exemplar: Vec<&str> = page.lines().filter(|line| line.contains(" # ")).collect();
    let [line] = with_exemplar[..] else { panic!("{with_exemplar:?}") };
    let (bucket, exemplar) = line.split_once(" # ").unwrap();
    assert!(bucket.contains("http_route=\"/items/{id}\""), "{line}");
    let bound: f64 = bucket.split_once("le=\"").unwrap().1.split('"').next().unwrap().parse().unwrap();
    let rest = exemplar.strip_prefix(&format!("{{trace_id=\"{TRACE}\"}} ")).unwrap();
    let (seconds, ended) = rest.split_once(' ').unwrap();
    assert!(seconds.parse::<f64>().unwrap() <= bound, "{line}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - ended.parse::<f64>().unwrap()).abs() < 60.0, "{line}");
    let plain = ask(&app, "GET", "/metrics", &OPS).await.text();
    assert!(!plain.contains(" # "), "the older format has no exemplars");
    check_format(&plain, false);
}
