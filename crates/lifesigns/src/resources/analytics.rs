//! Analytics over HTTP: what stands under an environment of an organization.

use http::StatusCode;
use http_body::Body;
use lifesigns_model::query::{self, Query};

use super::answer::{Answer, Fault};
use super::{Call, Question, body, events};

/// Longest query, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

pub(super) async fn answer<B: Body>(
    call: &Call<'_>,
    organization: &str,
    question: Question,
    body: B,
) -> Answer {
    if call.api.process.organization.as_deref().is_some_and(|known| known != organization) {
        let fault = Fault::new(StatusCode::NOT_FOUND, "not_found").at("path.organization");
        return call.fault(&fault.says("There is no organization of this name here."));
    }
    match question {
        Question::Query => query(call, body).await,
        Question::Events => events::answer(call).await,
    }
}

async fn query<B: Body>(call: &Call<'_>, body: B) -> Answer {
    let body = match body::read(body, "query", MAX_BODY_BYTES).await {
        Ok(body) => body,
        Err(fault) => return call.fault(&fault),
    };
    let query = match Query::parse_bytes(&body, call.now().wall) {
        Ok(query) => query,
        Err(fault) => return Answer::json(StatusCode::BAD_REQUEST, &fault.answer()),
    };
    call.read(move |store| Ok(query::answer(&query, &query.plan().run(store)?))).await
}
