//! Objectives: a restart forgets nothing, and a store that hangs or fails keeps nobody from starting.

#![allow(clippy::unwrap_used, reason = "what goes wrong in a test is its message")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::get;
use http::{Request, StatusCode};
use jiff::Timestamp;
use lifesigns::model::bucket::Minute;
use lifesigns::model::exchange::{FailedBy, Measurement};
use lifesigns::model::rollup::Rollup;
use lifesigns::model::series::Series;
use lifesigns::model::store::{
    KeptNote, Note, Rejected, Retention, RollupRow, RollupStore, Selected, Selection, StoreError, StoreStatus,
};
use lifesigns::{Api, Lifesigns, Objective, Scope, Token, TokenHash};
use lifesigns_store::memory::MemoryStore;
use serde_json::{Value, json};
use tower::ServiceExt;

const PATIENCE: Duration = Duration::from_secs(20);

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn start(store: Option<Arc<dyn RollupStore>>) -> (Lifesigns, Router) {
    let token = Token::new("ops", TokenHash::of("ls_ops"), [Scope::AnalyticsRead, Scope::MetricsRead]);
    let builder = Lifesigns::builder("items").token(token).objective(Objective::new(0.9).unwrap());
    let builder = match store {
        Some(store) => builder.store(store),
        None => builder,
    };
    let lifesigns = builder.start().unwrap();
    let app = Router::new()
        .route("/well", get(|| async { "well" }))
        .route("/broken", get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "no") }))
        .layer(lifesigns.layer());
    (lifesigns, app)
}

async fn ask(app: &Router, path: &str) -> String {
    let request = Request::get(path).header("authorization", "Bearer ls_ops").body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap()
}

async fn send(app: &Router, path: &str, times: usize) {
    for _ in 0..times {
        ask(app, path).await;
    }
}

async fn details(app: &Router) -> Value {
    serde_json::from_str(&ask(app, "/health/details").await).unwrap()
}

fn counts(api: &Api) -> (u64, u64) {
    let report = api.objective().unwrap();
    (report.good, report.total)
}

/// What some time ago ended well or badly.
fn row(minutes_ago: i64, failed_by: FailedBy, exchanges: u64) -> RollupRow {
    let series = Series {
        api: "items".into(),
        api_version: "_na_".into(),
        route: "/well".into(),
        method: "GET".into(),
        status: if failed_by == FailedBy::Nobody { 200 } else { 500 },
        client_id: "_na_".into(),
        policy: None,
        failed_by,
        instance: "before".into(),
    };
    let mut rollup = Rollup::default();
    (0..exchanges).for_each(|_| rollup.record(&Measurement::default()));
    RollupRow { minute: Minute::of(Timestamp::now()).plus(-minutes_ago), series: Arc::new(series), rollup }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_forgets_nothing_and_counts_nothing_twice() {
    let store: Arc<dyn RollupStore> = Arc::new(MemoryStore::new(Retention::default()));
    for life in 1..=5 {
        let (lifesigns, app) = start(Some(Arc::clone(&store)));
        send(&app, "/well", 7).await;
        send(&app, "/broken", 2).await;
        send(&app, "/nowhere", 1).await;
        until("the history", || {
            lifesigns.flush(PATIENCE).unwrap();
            counts(&lifesigns.own()).1 >= life * 10
        });
        assert_eq!(counts(&lifesigns.own()), (life * 8, life * 10), "in life {life}");
        lifesigns.shutdown(PATIENCE).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_long_ago_counts_in_the_windows_it_belongs_to() {
    let store: Arc<dyn RollupStore> = Arc::new(MemoryStore::new(Retention::default()));
    store
        .append(vec![
            row(45 * 1440, FailedBy::Upstream, 1000),
            row(20 * 1440, FailedBy::Upstream, 10),
            row(20 * 1440, FailedBy::Nobody, 990),
            row(2 * 1440, FailedBy::Upstream, 20),
            row(180, FailedBy::Gateway, 30),
            row(180, FailedBy::Nobody, 70),
            row(2, FailedBy::Client, 5),
        ])
        .unwrap();
    let (lifesigns, app) = start(Some(store));
    until("the history", || counts(&lifesigns.own()).1 >= 1120);
    send(&app, "/well", 5).await;
    let answer = details(&app).await;
    let objective = &answer["objective"];
    assert_eq!((&objective["good"], &objective["total"]), (&json!(1065), &json!(1125)), "{objective}");
    assert_eq!(objective["history"], "complete");
    let budget = &objective["error_budget"];
    assert_eq!((&budget["total"], &budget["used"]), (&json!(112.5), &json!(60)));
    assert_eq!(budget["left"], json!(((1.0 - 60.0 / 112.5) * 1e9_f64).round() / 1e9));
    let rates = &objective["burn_rates"];
    let rate = |bad: f64, total: f64| json!((bad / total / 0.1 * 1e9).round() / 1e9);
    assert_eq!((&rates["5m"], &rates["1h"]), (&json!(0.0), &json!(0.0)));
    assert_eq!((&rates["6h"], &rates["3d"]), (&rate(30.0, 105.0), &rate(50.0, 125.0)));
    assert_eq!(objective["severity"], "ticket");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_the_figures_of_the_details() {
    let (lifesigns, app) = start(Some(Arc::new(MemoryStore::new(Retention::default()))));
    send(&app, "/well", 80).await;
    send(&app, "/broken", 20).await;
    until("the history", || {
        lifesigns.flush(PATIENCE).unwrap();
        counts(&lifesigns.own()).1 >= 100
    });
    let details = details(&app).await;
    assert_eq!(details["objective"]["burn_rates"]["1h"], 2.0);
    let metrics = ask(&app, "/metrics").await;
    for line in [
        "lifesigns_objective_ratio{lifesigns_api=\"items\"} 0.9",
        "lifesigns_objective_good_ratio{lifesigns_api=\"items\"} 0.8",
        "lifesigns_error_budget_remaining_ratio{lifesigns_api=\"items\"} -1",
        "lifesigns_burn_rate{lifesigns_api=\"items\",window=\"5m\"} 2",
        "lifesigns_burn_rate{lifesigns_api=\"items\",window=\"3d\"} 2",
        "lifesigns_burn_rate_alert{lifesigns_api=\"items\",severity=\"page\",long_window=\"1h\",short_window=\"5m\"} 0",
        "lifesigns_burn_rate_alert{lifesigns_api=\"items\",severity=\"ticket\",long_window=\"3d\",short_window=\"6h\"} 1",
        "lifesigns_objective_history_complete{lifesigns_api=\"items\"} 1",
        "lifesigns_objective_exchanges_total{lifesigns_api=\"items\",outcome=\"good\"} 80",
        "lifesigns_objective_exchanges_total{lifesigns_api=\"items\",outcome=\"bad\"} 20",
        "# TYPE lifesigns_burn_rate gauge",
    ] {
        assert!(metrics.lines().any(|written| written == line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_objective_nothing_is_said_of_one_and_without_a_store_it_counts_from_the_start() {
    let lifesigns = Lifesigns::builder("items").start().unwrap();
    assert_eq!(lifesigns.own().objective(), None);
    let (lifesigns, app) = start(None);
    assert!(
        ask(&app, "/metrics").await.contains("lifesigns_objective_good_ratio{lifesigns_api=\"items\"} NaN")
    );
    send(&app, "/broken", 3).await;
    lifesigns.flush(PATIENCE).unwrap();
    assert_eq!(counts(&lifesigns.own()), (0, 3));
    let metrics = ask(&app, "/metrics").await;
    assert!(metrics.contains("lifesigns_objective_history_complete{lifesigns_api=\"items\"} 0"), "{metrics}");
    assert!(metrics.contains("lifesigns_burn_rate{lifesigns_api=\"items\",window=\"5m\"} 10\n"), "{metrics}");
}

/// A store that answers no selection until it is let, and then fails the first ones.
struct Unwell {
    inner: MemoryStore,
    hangs: Mutex<bool>,
    recovered: Condvar,
    fails: AtomicBool,
}

impl Unwell {
    fn new(hangs: bool, fails: bool, rows: Vec<RollupRow>) -> Arc<Unwell> {
        let inner = MemoryStore::new(Retention::default());
        inner.append(rows).unwrap();
        Arc::new(Unwell {
            inner,
            hangs: Mutex::new(hangs),
            recovered: Condvar::new(),
            fails: AtomicBool::new(fails),
        })
    }

    fn recover(&self) {
        self.fails.store(false, Ordering::SeqCst);
        *self.hangs.lock().unwrap() = false;
        self.recovered.notify_all();
    }
}

impl RollupStore for Unwell {
    fn append(&self, rows: Vec<RollupRow>) -> Result<(), Rejected> {
        self.inner.append(rows)
    }

    fn flush(&self, patience: Duration) -> Result<(), StoreError> {
        self.inner.flush(patience)
    }

    fn select(&self, selection: &Selection) -> Result<Selected, StoreError> {
        drop(self.recovered.wait_while(self.hangs.lock().unwrap(), |hangs| *hangs).unwrap());
        if self.fails.load(Ordering::SeqCst) {
            return Err(StoreError::new("the disk is away"));
        }
        self.inner.select(selection)
    }

    fn remember(&self, note: Note) -> Result<(), StoreError> {
        self.inner.remember(note)
    }

    fn recall(&self, topic: &str) -> Result<Vec<KeptNote>, StoreError> {
        self.inner.recall(topic)
    }

    fn status(&self) -> StoreStatus {
        self.inner.status()
    }
}

async fn starts_without(store: Arc<Unwell>) {
    let asked = Instant::now();
    let (lifesigns, app) = start(Some(Arc::clone(&store) as Arc<dyn RollupStore>));
    assert!(asked.elapsed() < PATIENCE / 2, "starting took {:?}", asked.elapsed());
    send(&app, "/well", 9).await;
    send(&app, "/broken", 1).await;
    lifesigns.flush(PATIENCE).unwrap();
    assert_eq!(counts(&lifesigns.own()), (9, 10));
    let complete = "lifesigns_objective_history_complete{lifesigns_api=\"items\"}";
    assert!(ask(&app, "/metrics").await.contains(&format!("{complete} 0")));
    store.recover();
    until("what the store remembers", || counts(&lifesigns.own()).1 > 10);
    // Its own exchanges are in the store by now, and are not counted again.
    until("the end of the history", || {
        tokio::task::block_in_place(|| {
            let metrics = tokio::runtime::Handle::current().block_on(ask(&app, "/metrics"));
            metrics.contains(&format!("{complete} 1"))
        })
    });
    assert_eq!(counts(&lifesigns.own()), (9 + 40, 10 + 50));
    lifesigns.shutdown(PATIENCE).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_hangs_delays_only_what_it_remembers() {
    let rows = vec![row(60, FailedBy::Nobody, 40), row(3 * 1440, FailedBy::Upstream, 10)];
    starts_without(Unwell::new(true, false, rows)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_is_asked_again() {
    let rows = vec![row(60, FailedBy::Nobody, 40), row(3 * 1440, FailedBy::Upstream, 10)];
    starts_without(Unwell::new(false, true, rows)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_does_not_wait_for_its_history() {
    let store = Unwell::new(true, false, Vec::new());
    let (lifesigns, app) = start(Some(Arc::clone(&store) as Arc<dyn RollupStore>));
    let asked = Instant::now();
    lifesigns.shutdown(PATIENCE).unwrap();
    drop((lifesigns, app));
    assert!(asked.elapsed() < PATIENCE / 2);
    store.recover();
    until("the store to be let go of", || Arc::strong_count(&store) == 1);
}
