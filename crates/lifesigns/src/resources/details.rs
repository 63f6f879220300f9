//! `/health/details`: is it serving properly? Read from the store; with the verdict, and all that it is made of.

mod judgement;
mod page;

use std::sync::Arc;

use http::StatusCode;
use http::header::CONTENT_SECURITY_POLICY;
use jiff::Timestamp;
use lifesigns_model::moment::Moment;
use lifesigns_model::query::{self, Details, Summary, TOP_APPS_LIMIT, WINDOWS, last_minutes};
use lifesigns_model::store::{RollupStore, StoreError};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::health::parameters;
use super::reading::Reading;
use super::{Call, negotiate};
use crate::process::Api;
use crate::snapshot::Snapshot;

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
    let page = move |reading: &Reading<'_>| {
        let store = reading.store()?;
        let answer = question.answer(&store)?;
        page::page(&store, &charts, &question.details, &answer, &question.subject.state().name)
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
