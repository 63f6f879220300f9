//! Questions that take long: they end when they have cost enough, and when nobody waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use lifesigns::model::store::{
    Effort, KeptNote, Note, Rejected, RollupRow, RollupStore, Selected, Selection, StoreError, StoreStatus,
};
use serde_json::json;

use super::support::{OPS, app, ask, builder};

/// A store that reads without an end, so many rows at a time.
#[derive(Default)]
struct Endless {
    rows_at_once: u64,
    begun: AtomicU64,
    given_up: AtomicU64,
}

impl RollupStore for Endless {
    fn append(&self, _rows: Vec<RollupRow>) -> Result<(), Rejected> {
        Ok(())
    }

    fn flush(&self, _patience: Duration) -> Result<(), StoreError> {
        Ok(())
    }

    fn select(&self, selection: &Selection) -> Result<Selected, StoreError> {
        self.select_within(selection, &Effort::unlimited())
    }

    fn select_within(&self, _selection: &Selection, effort: &Effort) -> Result<Selected, StoreError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        loop {
            if let Err(error) = effort.spend(self.rows_at_once) {
                self.given_up.fetch_add(1, Ordering::SeqCst);
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn remember(&self, _note: Note) -> Result<(), StoreError> {
        Ok(())
    }

    fn recall(&self, _topic: &str) -> Result<Vec<KeptNote>, StoreError> {
        Ok(Vec::new())
    }

    fn status(&self) -> StoreStatus {
        StoreStatus::default()
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_question_ends_with_its_caller() {
    let store = Arc::new(Endless::default());
    let app = app(&builder().store(store.clone()).start().unwrap());
    // More of them than are answered at a time: those who are gone are in nobody's way.
    for number in 1..=3 {
        let asking = tokio::spawn({
            let app = app.clone();
            async move { ask(&app, "GET", "/health/details", &OPS).await.status }
        });
        until("it is asked", || store.begun.load(Ordering::SeqCst) == number).await;
        assert_eq!(store.given_up.load(Ordering::SeqCst), number - 1, "somebody still waits");
        asking.abort();
        until("it is given up", || store.given_up.load(Ordering::SeqCst) == number).await;
    }
}

#[tokio::test]
async fn a_question_that_costs_too_much_is_refused() {
    let store = Arc::new(Endless { rows_at_once: 1_000_000, ..Endless::default() });
    let app = app(&builder().store(store).start().unwrap());
    let answer = ask(&app, "GET", "/health/details", &OPS).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.json()["error"]["code"], json!("too_many"));
    let says = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(says.contains("use a shorter duration"), "{says}");
}
