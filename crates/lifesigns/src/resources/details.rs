//! `/health/details`: is it serving properly? Read from the store; with the verdict, and all that it is made of.

mod judgement;
mod page;

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_SECURITY_POLICY, RETRY_AFTER};
use http::{HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use lifesigns_model::moment::Moment;
use lifesigns_model::query::{self, Details, Summary, TOP_APPS_LIMIT, WINDOWS, last_minutes};
use lifesigns_model::store::{RollupStore, StoreError};
use serde_json::{Map, Value, json};

use super::answer::{Answer, Fault, JSON};
use super::health::parameters;
use super::{Call, negotiate};
use crate::process::{Api, Process};
use crate::snapshot::Snapshot;

/// How long an answer waits for the store to have written what was just counted. With a store that hangs it goes
/// on with what is there.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// How long a question waits for those before it.
const TURN_PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn answer(call: &Call<'_>) -> Answer {
    let parameters: Vec<(String, String)> = parameters(call.parts.uri.query()).collect();
    let details = match Details::parse(parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    {
        Ok(details) => details,
        Err(fault) => return Answer::json(StatusCode::BAD_REQUEST, &fault.answer()),
    };
    let question = Question {
        details,
        api: call.state.records.then(|| Arc::clone(&call.state.name)),
        now: call.now(),
        sees_all: call.may_see_details(),
        subject: call.api.clone(),
        snapshot: Arc::clone(&call.snapshot),
    };
    if negotiate::media_type(&call.parts.headers, &["application/json", "text/html"]) == 0 {
        return call.read(move |store| question.answer(store)).await;
    }
    let charts = match page::charts(&question.details, question.api.as_deref(), question.now.wall) {
        Ok(charts) => charts,
        Err(fault) => return Answer::json(StatusCode::BAD_REQUEST, &fault.answer()),
    };
    let page = move |process: &Process| {
        let store = up_to_date(process)?;
        let answer = question.answer(store)?;
        page::page(store, &charts, &question.details, &answer, &question.subject.state().name)
    };
    call.make(page::HTML, page).await.header(CONTENT_SECURITY_POLICY, page::POLICY)
}

/// What is asked, and what is known without the store.
struct Question {
    details: Details,
    /// The API that it is about; without one, all of them.
    api: Option<Arc<str>>,
    now: Moment,
    sees_all: bool,
    subject: Api,
    snapshot: Arc<Snapshot>,
}

impl Question {
    fn answer(&self, store: &dyn RollupStore) -> Result<Value, StoreError> {
        let mut answer = read(store, &self.details, self.api.as_deref(), self.now.wall)?;
        answer["verdict"] = judgement::verdict(&self.snapshot, self.now);
        answer["checks"] = judgement::checks(&self.snapshot.checks, self.sees_all, self.now);
        answer["transitions"] = judgement::transitions(&self.subject.transitions());
        answer["in_flight"] = json!(self.subject.in_flight());
        if let Some(objective) = &self.subject.state().objective {
            answer["objective"] = objective.to_json(self.subject.process.time.elapsed());
        }
        Ok(answer)
    }
}

fn read(
    store: &dyn RollupStore,
    details: &Details,
    api: Option<&str>,
    now: Timestamp,
) -> Result<Value, StoreError> {
    let query = details.query(api, now);
    let mut answer = query::answer(&query, &query.plan().run(store)?);
    let filter = details.filter(api);
    let summary = |minutes| {
        let selected = store.select(&Summary::selection(last_minutes(minutes, now), filter.clone()))?;
        Ok::<_, StoreError>(Summary::of(&selected).to_json())
    };
    answer["summary"] = summary(details.duration_minutes)?;
    let mut windows = Map::new();
    for (name, minutes) in WINDOWS {
        windows.insert(name.to_owned(), summary(minutes)?);
    }
    answer["windows"] = Value::Object(windows);
    let range = last_minutes(details.duration_minutes, now);
    let apps = store.select(&query::top_apps_selection(range, filter.clone()))?;
    answer["top_apps"] = query::top_apps(&apps, TOP_APPS_LIMIT);
    Ok(answer)
}

impl Call<'_> {
    /// Answers from the store, after everything counted so far has got there.
    pub(super) async fn read<F>(&self, read: F) -> Answer
    where
        F: FnOnce(&dyn RollupStore) -> Result<Value, StoreError> + Send + 'static,
    {
        let make = |process: &Process| {
            let mut value = read(up_to_date(process)?)?;
            let dropped = process.store_status().map_or(0, |status| status.dropped_exchanges);
            if dropped > 0 {
                value["dropped_exchanges"] = json!(dropped);
            }
            Ok(value.to_string())
        };
        self.make(JSON, make).await
    }

    /// Answers with a body that takes its time to make, and to encode: on a thread that may block.
    pub(super) async fn make<F>(&self, content_type: HeaderValue, make: F) -> Answer
    where
        F: FnOnce(&Process) -> Result<String, StoreError> + Send + 'static,
    {
        self.make_answer(|process| Ok(Answer::new(StatusCode::OK, content_type, make(process)?))).await
    }

    /// As [`Call::make`] does, with an answer that is more than its body.
    pub(super) async fn make_answer<F>(&self, make: F) -> Answer
    where
        F: FnOnce(&Process) -> Result<Answer, StoreError> + Send + 'static,
    {
        let process = Arc::clone(&self.api.process);
        let turn = tokio::time::timeout(TURN_PATIENCE, Arc::clone(&process.readers).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            let fault = Fault::new(StatusCode::SERVICE_UNAVAILABLE, "busy");
            let says = "Too many questions are being answered at the moment; try again.";
            return self.fault(&fault.says(says)).header(RETRY_AFTER, "5");
        };
        let coding = negotiate::coding(&self.parts.headers).filter(|_| self.parts.method != Method::HEAD);
        let making = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            Ok::<_, StoreError>(make(&process)?.encoded(coding))
        });
        let error: Box<dyn std::error::Error + Send + Sync> = match making.await {
            Ok(Ok(answer)) => return answer,
            Ok(Err(error)) => match query::Fault::of_store_error(&error) {
                Some(fault) => return Answer::json(StatusCode::BAD_REQUEST, &fault.answer()),
                None => error.into(),
            },
            Err(error) => error.into(),
        };
        let cause = error.source().map(ToString::to_string);
        tracing::error!(request_id = self.request_id.as_str(), %error, cause, "the stored figures cannot be read");
        let fault = Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "store_unavailable");
        self.fault(&fault.says("The stored figures cannot be read at the moment."))
    }
}

/// The store, after everything counted so far has got there.
fn up_to_date(process: &Process) -> Result<&dyn RollupStore, StoreError> {
    let store = process.store.as_ref().ok_or_else(|| StoreError::new("there is no store"))?;
    if let Err(error) = process.flush(FLUSH_PATIENCE) {
        tracing::warn!(%error, "the last second's figures are not in the store yet; answering without them");
    }
    Ok(&**store)
}
