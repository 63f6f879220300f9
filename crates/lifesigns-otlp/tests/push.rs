//! Pushes to a real collector's stand-in: a hyper server that decodes what it gets with the protocol's own messages.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

mod receiver;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::{HeaderMap, Method, StatusCode};
use lifesigns::model::exchange::FailedBy;
use lifesigns::model::light::Light;
use lifesigns::{ApiOptions, Check, CheckPolicy, FailureKind, Identity, Lifesigns, Report};
use lifesigns_otlp::{Exporter, Options};
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;

use receiver::{Answer, PATIENCE, Push, Receiver};

fn lifesigns() -> Lifesigns {
    let every = Duration::from_millis(100);
    let policy =
        CheckPolicy { interval: every, failure_threshold: 1, critical: true, ..CheckPolicy::default() };
    let broken = Check::new("db", || async {
        Report::fail(FailureKind::Unreachable, "10.0.0.7:5432 refused, password=ls_secret")
    });
    Lifesigns::builder("shop")
        .instance("shop-1")
        .identity(Identity {
            version: Some("1.2.0".into()),
            environment: Some("test".into()),
            ..Identity::default()
        })
        .api(ApiOptions::new("polls"))
        .api(ApiOptions::new("users"))
        .check_for(["polls"], broken.with_policy(policy))
        .check_for(["users"], Check::new("cache", || async {}).every(every))
        .start()
        .unwrap()
}

fn exchange(lifesigns: &Lifesigns, method: &Method, route: &str, status: u16) {
    let api = lifesigns.apis().next().unwrap();
    let mut exchange = api.begin(method, &HeaderMap::new());
    exchange.set_route(route);
    let status = StatusCode::from_u16(status).unwrap();
    // It ends when its body does.
    drop(exchange.answer(status, FailedBy::of_status(status.as_u16()), Empty::<Bytes>::new()));
}

fn options(receiver: &Receiver) -> Options {
    let options = Options::default().endpoint(&receiver.url()).unwrap();
    options.interval(Duration::from_millis(200)).timeout(Duration::from_secs(2))
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "this does not come to be: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn light_of(lifesigns: &Lifesigns, api: usize) -> Light {
    lifesigns.apis().nth(api).unwrap().snapshot().verdict.light
}

#[test]
fn what_is_known_arrives_under_its_names() {
    let receiver = Receiver::start(|_| Answer::ok());
    let lifesigns = lifesigns();
    until("a red and a green light", || {
        light_of(&lifesigns, 0) == Light::Red && light_of(&lifesigns, 1) == Light::Green
    });
    exchange(&lifesigns, &Method::GET, "/items/{id}", 200);
    exchange(&lifesigns, &Method::from_bytes(b"BREW").unwrap(), "/items/{id}", 503);
    lifesigns.flush(PATIENCE).unwrap();
    let options = options(&receiver).header("X-Tenant", "seven").unwrap();
    let exporter = Exporter::start(lifesigns.clone(), options).unwrap();
    let push = receiver.next();
    assert_eq!((push.method.as_str(), push.path.as_str()), ("POST", "/v1/metrics"));
    assert_eq!(push.header("content-type"), "application/x-protobuf");
    assert_eq!((push.header("content-encoding"), push.header("x-tenant")), ("", "seven"));
    assert!(push.header("host").starts_with("127.0.0.1:"));

    let resource = push.resource();
    for (name, value) in [
        ("service.name", "shop"),
        ("service.version", "1.2.0"),
        ("service.instance.id", "shop-1"),
        ("deployment.environment.name", "test"),
    ] {
        assert_eq!(resource.get(name).map(String::as_str), Some(value), "{name}");
    }

    for (name, unit) in [
        ("lifesigns.light", "1"),
        ("lifesigns.light.changes", "{change}"),
        ("lifesigns.check.status", "1"),
        ("lifesigns.check.duration", "s"),
        ("lifesigns.check.runs", "{run}"),
        ("lifesigns.scheduler.age", "s"),
        ("http.server.request.duration", "s"),
    ] {
        let metric = push.metric(name);
        assert_eq!(metric.unit, unit, "{name}");
        assert!(!metric.description.is_empty());
        match metric.data.as_ref().unwrap() {
            Data::Gauge(_) => {}
            Data::Sum(sum) => {
                assert!(sum.is_monotonic, "{name}");
                assert_eq!(sum.aggregation_temporality(), AggregationTemporality::Cumulative);
            }
            Data::Histogram(histogram) => {
                assert_eq!(histogram.aggregation_temporality(), AggregationTemporality::Cumulative);
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(push.count("lifesigns.light", &["lifesigns.api=polls"]), 2);
    assert_eq!(push.count("lifesigns.light", &["lifesigns.api=users"]), 0);
    assert_eq!(push.count("lifesigns.light.changes", &["lifesigns.api=polls", "lifesigns.light=RED"]), 1);
    assert_eq!(push.count("lifesigns.check.status", &["lifesigns.check=db"]), 2);
    assert_eq!(push.count("lifesigns.check.status", &["lifesigns.check=cache"]), 0);
    assert!(push.number("lifesigns.check.runs", &["lifesigns.check=db", "lifesigns.outcome=fail"]) >= 1.0);
    assert_eq!(push.count("lifesigns.check.runs", &["lifesigns.check=db", "lifesigns.outcome=pass"]), 0);
    assert!(push.number("lifesigns.scheduler.age", &[]) < 5.0);

    let good = push.histogram(&["http.request.method=GET"]);
    assert_eq!((good.count, good.bucket_counts.iter().sum::<u64>()), (1, 1));
    assert_eq!(good.explicit_bounds.len() + 1, good.bucket_counts.len());
    let bad = push.histogram(&[
        "http.request.method=_OTHER",
        "http.route=/items/{id}",
        "http.response.status_code=503",
        "error.type=503",
        "lifesigns.api=polls",
        "lifesigns.failed_by=upstream",
    ]);
    assert_eq!(bad.count, 1);
    assert!(bad.sum.unwrap() >= 0.0 && bad.time_unix_nano >= bad.start_time_unix_nano);
    // What a check says stays at home.
    for secret in ["ls_secret", "10.0.0.7"] {
        assert!(!String::from_utf8_lossy(&push.body).contains(secret));
    }
    drop(exporter);
}

#[test]
fn sums_only_grow_and_count_from_the_same_moment() {
    let receiver = Receiver::start(|_| Answer::ok());
    let lifesigns = lifesigns();
    exchange(&lifesigns, &Method::GET, "/a", 200);
    lifesigns.flush(PATIENCE).unwrap();
    let exporter = Exporter::start(lifesigns.clone(), options(&receiver)).unwrap();
    let first = receiver.next();
    exchange(&lifesigns, &Method::GET, "/a", 200);
    lifesigns.flush(PATIENCE).unwrap();
    // One may have been made before the flush.
    receiver.next();
    let second = receiver.next();
    assert_eq!(first.histogram(&[]).count, 1);
    assert_eq!(second.histogram(&[]).count, 2);
    for name in ["lifesigns.check.runs", "lifesigns.light.changes"] {
        let (before, after) = (first.points(name), second.points(name));
        assert_eq!(before.len(), after.len());
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before.attributes, after.attributes);
            assert_eq!(before.start_time_unix_nano, after.start_time_unix_nano);
            assert!(before.time_unix_nano < after.time_unix_nano);
            assert!(receiver::value(before) <= receiver::value(after));
        }
    }
    assert_eq!(first.histogram(&[]).start_time_unix_nano, second.histogram(&[]).start_time_unix_nano);
    drop(exporter);
}

#[test]
fn requests_are_compressed_when_asked_for() {
    let receiver = Receiver::start(|_| Answer::ok());
    let options = options(&receiver).gzip(true);
    let exporter = Exporter::start(lifesigns(), options).unwrap();
    let push = receiver.next();
    assert_eq!(push.header("content-encoding"), "gzip");
    assert_eq!(push.resource()["service.name"], "shop");
    drop(exporter);
}

#[test]
fn configured_attributes_stand_over_known_ones() {
    let receiver = Receiver::start(|_| Answer::ok());
    let options =
        options(&receiver).resource_attribute("service.name", "other").resource_attribute("team", "a");
    let exporter = Exporter::start(lifesigns(), options).unwrap();
    let resource = receiver.next().resource();
    assert_eq!((resource["service.name"].as_str(), resource["team"].as_str()), ("other", "a"));
    assert_eq!(resource["service.instance.id"], "shop-1");
    drop(exporter);
}

#[test]
fn what_may_be_sent_again_is_sent_again_with_the_same_bytes() {
    for status in [429, 502, 503, 504] {
        let receiver =
            Receiver::start(move |number| if number == 0 { Answer::status(status) } else { Answer::ok() });
        let options = options(&receiver).interval(Duration::from_secs(3));
        let exporter = Exporter::start(lifesigns(), options).unwrap();
        let (first, second) = (receiver.next(), receiver.next());
        assert_eq!(first.body, second.body, "{status}");
        let waited = second.at - first.at;
        assert!(waited >= Duration::from_millis(450) && waited < Duration::from_millis(2500), "{waited:?}");
        until("a push that is taken", || exporter.pushes().taken == 1);
        assert_eq!(exporter.pushes().lost, 0);
    }
}

#[test]
fn retry_after_is_kept_to() {
    let receiver = Receiver::start(|number| match number {
        0 => Answer { headers: vec![("retry-after", "2".to_owned())], ..Answer::status(503) },
        _ => Answer::ok(),
    });
    // The next push would be due long before.
    let exporter = Exporter::start(lifesigns(), options(&receiver)).unwrap();
    let (first, second) = (receiver.next(), receiver.next());
    assert!(second.at - first.at >= Duration::from_millis(1900), "{:?}", second.at - first.at);
    assert!(exporter.pushes().lost >= 1, "the first was not taken before the next was due");
    drop(exporter);
}

#[test]
fn what_must_not_be_sent_again_is_given_up() {
    for status in [400, 401, 404, 413, 500, 501, 301] {
        let receiver =
            Receiver::start(move |number| if number == 0 { Answer::status(status) } else { Answer::ok() });
        let exporter = Exporter::start(lifesigns(), options(&receiver)).unwrap();
        let (first, second) = (receiver.next(), receiver.next());
        assert_ne!(first.body, second.body, "{status}: the next push has newer figures");
        until("a push that is taken", || exporter.pushes().taken >= 1);
        assert_eq!(exporter.pushes().lost, 1, "{status}");
    }
}

#[test]
fn what_is_rejected_in_part_is_not_sent_again() {
    let receiver = Receiver::start(|_| Answer::partial(3, "too old"));
    let exporter = Exporter::start(lifesigns(), options(&receiver)).unwrap();
    let (first, second) = (receiver.next(), receiver.next());
    assert_ne!(first.body, second.body);
    until("a push that is taken", || exporter.pushes().taken >= 1);
    assert_eq!(exporter.pushes().lost, 0);
}

/// Whatever a collector does: judging and recording go on, and ending takes no longer than was allowed.
#[test]
fn no_collector_does_any_harm() {
    let endless = Answer { endless: true, ..Answer::status(200) };
    let endless_refusal = Answer { endless: true, ..Answer::status(400) };
    let large_head = Answer { headers: vec![("x-large", "x".repeat(200 * 1024))], ..Answer::ok() };
    for (what, answer) in [
        ("hung", Answer { hangs: true, ..Answer::ok() }),
        ("closing", Answer { closes: true, ..Answer::ok() }),
        ("endless", endless),
        ("endless refusal", endless_refusal),
        ("large head", large_head),
        ("no protobuf", Answer { body: b"<html>".to_vec().into(), ..Answer::ok() }),
        (
            "wants to be left alone for ever",
            Answer {
                headers: vec![("retry-after", "18446744073709551615".to_owned())],
                ..Answer::status(429)
            },
        ),
    ] {
        let receiver = Receiver::start(move |_| answer.clone());
        let lifesigns = lifesigns();
        let options = options(&receiver).timeout(Duration::from_millis(300));
        let exporter = Exporter::start(lifesigns.clone(), options).unwrap();
        receiver.next();
        until("a red light", || light_of(&lifesigns, 0) == Light::Red);
        exchange(&lifesigns, &Method::GET, "/a", 200);
        lifesigns.flush(PATIENCE).unwrap();
        assert_eq!(lifesigns.exchange_totals().iter().map(|total| total.count).sum::<u64>(), 1, "{what}");
        let began = Instant::now();
        exporter.shutdown(Duration::from_millis(500));
        assert!(began.elapsed() < Duration::from_millis(1500), "{what}: {:?}", began.elapsed());
        assert!(receiver.largest_answer_read() < 64 << 20, "{what}");
    }
}

#[test]
fn a_collector_that_is_not_there_costs_only_the_pushes() {
    let lifesigns = lifesigns();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = Options::default().endpoint(&format!("http://{free}")).unwrap();
    let options = options.interval(Duration::from_millis(100));
    let exporter = Exporter::start(lifesigns.clone(), options).unwrap();
    until("lost pushes", || exporter.pushes().lost >= 3);
    until("a green light", || light_of(&lifesigns, 1) == Light::Green);
    let pushes = exporter.shutdown(Duration::from_millis(200));
    assert_eq!(pushes.taken, 0);
}

#[test]
fn the_last_figures_are_pushed_at_the_end() {
    let receiver = Receiver::start(|_| Answer::ok());
    let lifesigns = lifesigns();
    let options = options(&receiver).interval(Duration::from_hours(1));
    let exporter = Exporter::start(lifesigns.clone(), options).unwrap();
    exchange(&lifesigns, &Method::GET, "/last", 200);
    lifesigns.shutdown(PATIENCE).unwrap();
    let pushes = exporter.shutdown(PATIENCE);
    assert_eq!((pushes.taken, pushes.lost), (1, 0));
    assert_eq!(receiver.next().histogram(&["http.route=/last"]).count, 1);
}

#[test]
fn an_exporter_that_is_dropped_stops() {
    let receiver = Receiver::start(|_| Answer::ok());
    let exporter = Exporter::start(lifesigns(), options(&receiver)).unwrap();
    receiver.next();
    drop(exporter);
    let rest: Vec<Push> = receiver.all_within(Duration::from_millis(900));
    assert!(rest.len() <= 1, "{} more pushes", rest.len());
}

#[test]
fn over_tls_the_certificate_must_be_trusted() {
    let (receiver, ca) = Receiver::start_tls(|_| Answer::ok());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, ca).unwrap();
    let trusting = options(&receiver).ca_file(&file);
    let exporter = Exporter::start(lifesigns(), trusting).unwrap();
    assert_eq!(receiver.next().resource()["service.name"], "shop");
    drop(exporter);

    let (stranger, _) = Receiver::start_tls(|_| Answer::ok());
    let mistrusting = options(&stranger).ca_file(&file);
    let exporter = Exporter::start(lifesigns(), mistrusting).unwrap();
    until("a lost push", || exporter.pushes().lost >= 1);
    assert_eq!(exporter.pushes().taken, 0);
}

#[test]
fn options_that_cannot_be_are_told_at_the_start() {
    let missing = Options::default().ca_file("/nowhere/ca.pem");
    let missing = missing.endpoint("https://127.0.0.1:1").unwrap();
    let error = Exporter::start(lifesigns(), missing).unwrap_err();
    assert!(error.to_string().contains("`ca_file` /nowhere/ca.pem cannot be read"), "{error}");
    let hasty = Options::default().interval(Duration::ZERO);
    let error = Exporter::start(lifesigns(), hasty).unwrap_err();
    assert!(error.to_string().contains("`interval` must be 100 ms or more"), "{error}");
    let impatient = Options::default().timeout(Duration::ZERO);
    let error = Exporter::start(lifesigns(), impatient).unwrap_err();
    assert!(error.to_string().contains("`timeout` is zero"), "{error}");
}

#[test]
fn waiting_for_ever_is_no_panic() {
    let receiver = Receiver::start(|_| Answer::ok());
    let patient = options(&receiver).timeout(Duration::MAX);
    let exporter = Exporter::start(lifesigns(), patient).unwrap();
    receiver.next();
    receiver.next();
    assert_eq!(exporter.shutdown(Duration::MAX).lost, 0);

    let once = options(&receiver).interval(Duration::MAX);
    let exporter = Exporter::start(lifesigns(), once).unwrap();
    let pushes = exporter.shutdown(Duration::MAX);
    assert_eq!((pushes.taken, pushes.lost), (1, 0));
}

/// Where the log of this process goes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_a_collector_says_again_of_a_secret_is_not_put_into_the_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
    // The thread that pushes is another one.
    tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
    let refusing = Answer { body: "no such key: ls_k3y_refused".into(), ..Answer::status(401) };
    let partial = Answer::partial(3, "not for the key ls_k3y_refused");
    for (answer, words) in [(refusing, "no such key: …"), (partial, "not for the key …")] {
        let receiver = Receiver::start(move |_| answer.clone());
        let options = options(&receiver).header("Authorization", "Bearer ls_k3y_refused").unwrap();
        let exporter = Exporter::start(lifesigns(), options).unwrap();
        until(words, || log.text().contains(words));
        drop(exporter);
    }
    assert!(!log.text().contains("ls_k3y"), "{}", log.text());
}

#[test]
fn a_light_that_changes_is_pushed_before_the_interval_is_over() {
    let receiver = Receiver::start(|_| Answer::ok());
    let fails = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = Arc::clone(&fails);
    let check = Check::blocking("db", move || {
        if told.load(std::sync::atomic::Ordering::SeqCst) {
            Report::fail(FailureKind::Failed, "told to")
        } else {
            Report::pass()
        }
    });
    let check = check.every(Duration::from_millis(100)).thresholds(1, 1).critical();
    let lifesigns = Lifesigns::builder("shop").check(check).start().unwrap();
    until("a green light", || lifesigns.own().snapshot().verdict.light == Light::Green);
    let options = options(&receiver).interval(Duration::from_hours(1));
    let _exporter = Exporter::start(lifesigns, options).unwrap();
    let light = |push: &Push| match push.metric("lifesigns.light").data.clone().unwrap() {
        Data::Gauge(gauge) => format!("{:?}", gauge.data_points[0].value),
        other => panic!("{other:?}"),
    };
    let begin = Instant::now();
    for (failing, expected) in [(true, "Some(AsInt(2))"), (false, "Some(AsInt(0))")] {
        fails.store(failing, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(light(&receiver.next()), expected);
    }
    assert!(begin.elapsed() >= Duration::from_millis(900), "not more often than once in a second");
}
