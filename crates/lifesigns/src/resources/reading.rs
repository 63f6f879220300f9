//! Answers that take their time: made on a thread that may block, a few at once, and each within bounds.

use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderValue, Method, StatusCode};
use lifesigns_model::query;
use lifesigns_model::store::{Bounded, Effort, RollupStore, StoreError};
use serde_json::{Value, json};

use super::answer::{Answer, Fault, JSON};
use super::{Call, negotiate};
use crate::process::Process;

/// How long an answer waits for the store to have written what was just counted. With a store that hangs it goes
/// on with what is there.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// How long a question waits for those before it.
const TURN_PATIENCE: Duration = Duration::from_secs(10);

/// How long an answer may take to be made.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// Rows that may be read for one answer. A thousand series have as many in a minute, 1.4 million in a day of minutes.
const MAX_ROWS: u64 = 10_000_000;

/// What an answer is made from.
pub(super) struct Reading<'a> {
    pub(super) process: &'a Process,
    effort: &'a Effort,
}

impl<'a> Reading<'a> {
    /// The store, after everything counted so far has got there.
    pub(super) fn store(&self) -> Result<Bounded<'a>, StoreError> {
        let store = self.process.store.as_ref().ok_or_else(|| StoreError::new("there is no store"))?;
        if let Err(error) = self.process.flush(FLUSH_PATIENCE) {
            tracing::warn!(%error, "the last second's figures are not in the store yet; answering without them");
        }
        Ok(Bounded::new(&**store, self.effort))
    }

    /// How many exchanges the store had to do without.
    fn dropped_exchanges(&self) -> u64 {
        self.process.store_status().map_or(0, |status| status.dropped_exchanges)
    }
}

/// Calls a question off when nobody waits for its answer any more.
struct Asked(Arc<Effort>);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.call_off();
    }
}

impl Call<'_> {
    /// Answers from the store, after everything counted so far has got there.
    pub(super) async fn read<F>(&self, read: F) -> Answer
    where
        F: FnOnce(&dyn RollupStore) -> Result<Value, StoreError> + Send + 'static,
    {
        let make = |reading: &Reading<'_>| {
            let mut value = read(&reading.store()?)?;
            let dropped = reading.dropped_exchanges();
            if dropped > 0 {
                value["dropped_exchanges"] = json!(dropped);
            }
            Ok(value.to_string())
        };
        self.make(JSON, make).await
    }

    /// As [`Call::read`], with a text that tells of dropped exchanges itself: it is given their number.
    pub(super) async fn read_text<F>(&self, read: F) -> Answer
    where
        F: FnOnce(&dyn RollupStore, u64) -> Result<String, StoreError> + Send + 'static,
    {
        self.make(JSON, |reading| read(&reading.store()?, reading.dropped_exchanges())).await
    }

    /// Answers with a body that takes its time to make, and to encode.
    pub(super) async fn make<F>(&self, content_type: HeaderValue, make: F) -> Answer
    where
        F: FnOnce(&Reading<'_>) -> Result<String, StoreError> + Send + 'static,
    {
        self.make_answer(|reading| Ok(Answer::new(StatusCode::OK, content_type, make(reading)?))).await
    }

    /// As [`Call::make`] does, with an answer that is more than its body.
    pub(super) async fn make_answer<F>(&self, make: F) -> Answer
    where
        F: FnOnce(&Reading<'_>) -> Result<Answer, StoreError> + Send + 'static,
    {
        let process = Arc::clone(&self.api.process);
        let turn = tokio::time::timeout(TURN_PATIENCE, Arc::clone(&process.readers).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return self
                .unavailable("busy", "Too many questions are being answered at the moment; try again.");
        };
        let coding = negotiate::coding(&self.parts.headers).filter(|_| self.parts.method != Method::HEAD);
        let asked = Asked(Arc::new(Effort::of_rows(MAX_ROWS)));
        let effort = Arc::clone(&asked.0);
        let making = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let reading = Reading { process: &process, effort: &effort };
            Ok::<_, StoreError>(make(&reading)?.encoded(coding))
        });
        let error: Box<dyn std::error::Error + Send + Sync> =
            match tokio::time::timeout(ANSWER_PATIENCE, making).await {
                Ok(Ok(Ok(answer))) => return answer,
                Ok(Ok(Err(error))) => match query::Fault::of_store_error(&error) {
                    Some(fault) => return Answer::json(StatusCode::BAD_REQUEST, &fault.answer()),
                    None => error.into(),
                },
                Ok(Err(error)) => error.into(),
                Err(_elapsed) => {
                    let seconds = ANSWER_PATIENCE.as_secs();
                    let says = format!("The answer took more than {seconds} seconds; ask for less.");
                    return self.unavailable("too_slow", &says);
                }
            };
        let cause = error.source().map(ToString::to_string);
        tracing::error!(request_id = self.request_id.as_str(), %error, cause, "the stored figures cannot be read");
        let fault = Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "store_unavailable");
        self.fault(&fault.says("The stored figures cannot be read at the moment."))
    }

    fn unavailable(&self, code: &'static str, says: &str) -> Answer {
        let fault = Fault::new(StatusCode::SERVICE_UNAVAILABLE, code);
        self.fault(&fault.says(says)).header(RETRY_AFTER, "5")
    }
}
