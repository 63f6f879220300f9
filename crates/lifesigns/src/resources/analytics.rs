//! Analytics over HTTP: what stands under an environment of an organization.

use http::StatusCode;
use http_body::Body;
use lifesigns_model::query::{self, Query};

use super::answer::{Answer, Fault};
use super::{Call, Question, body, events};
use crate::access::Denied;

/// Longest query, in bytes.
pub(super) const MAX_BODY_BYTES: usize = 64 * 1024;

pub(super) async fn answer<B: Body>(
    call: &Call<'_>,
    organization: &str,
    environment: &str,
    question: Question,
    body: B,
) -> Answer {
    if let Err(refusal) = admit(call, organization, environment) {
        return *refusal;
    }
    match question {
        Question::Query => query(call, body).await,
        Question::Events => events::answer(call).await,
    }
}

/// Whether the token opens what the path names, and whether that is here. Who may not see a thing is not told whether
/// there is one.
fn admit(call: &Call<'_>, organization: &str, environment: &str) -> Result<(), Box<Answer>> {
    let is_among = |names: &Option<Vec<String>>, name| {
        names.as_ref().is_none_or(|names| names.iter().any(|known| known == name))
    };
    // Where the resource takes no token, nobody is kept from anything.
    let grant = call.scope().and_then(|_| call.granted().ok());
    if let Some(grant) = grant {
        if !is_among(&grant.organizations, organization) {
            return Err(Box::new(call.denied(Denied::OtherOrganization)));
        }
        if !is_among(&grant.environments, environment) {
            return Err(Box::new(call.denied(Denied::OtherEnvironment)));
        }
    }
    let process = &call.api.process;
    let elsewhere = |what, path| {
        let fault = Fault::new(StatusCode::NOT_FOUND, "not_found").at(path);
        Err(Box::new(call.fault(&fault.says(format!("There is no {what} of this name here.")))))
    };
    if process.organization.as_deref().is_some_and(|known| known != organization) {
        return elsewhere("organization", "path.organization");
    }
    if process.environment().is_some_and(|known| known != environment) {
        return elsewhere("environment", "path.environment");
    }
    Ok(())
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
    call.read_text(move |store, dropped| Ok(query::answer_text(&query, &query.plan().run(store)?, dropped)))
        .await
}
