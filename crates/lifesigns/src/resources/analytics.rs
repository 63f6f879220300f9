//! The analytics query over HTTP.

use std::pin::pin;
use std::time::Duration;

use bytes::Buf;
use http::StatusCode;
use http_body::Body;
use http_body_util::BodyExt;
use lifesigns_model::query::{self, Query};

use super::Call;
use super::answer::{Answer, Fault};

/// Longest query, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// How long a client may take to send its query.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn answer<B: Body>(call: &Call<'_>, organization: &str, body: B) -> Answer {
    if call.api.process.organization.as_deref().is_some_and(|known| known != organization) {
        let fault = Fault::new(StatusCode::NOT_FOUND, "not_found").at("path.organization");
        return call.fault(&fault.says("There is no organization of this name here."));
    }
    let body = match tokio::time::timeout(BODY_PATIENCE, read_body(body)).await {
        Ok(Ok(body)) => body,
        Ok(Err(fault)) => return call.fault(&fault),
        Err(_elapsed) => {
            let fault = Fault::new(StatusCode::REQUEST_TIMEOUT, "timeout").at("body");
            return call.fault(&fault.says("The query did not arrive in time."));
        }
    };
    let query = match Query::parse_bytes(&body, call.now.wall) {
        Ok(query) => query,
        Err(fault) => return Answer::json(StatusCode::BAD_REQUEST, &fault.answer()),
    };
    call.read(move |store| Ok(query::answer(&query, &query.plan().run(store)?))).await
}

async fn read_body<B: Body>(body: B) -> Result<Vec<u8>, Fault> {
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_broken| {
            Fault::new(StatusCode::BAD_REQUEST, "body_incomplete").at("body").says("The query broke off.")
        })?;
        let Ok(mut data) = frame.into_data() else { continue };
        if bytes.len() + data.remaining() > MAX_BODY_BYTES {
            let fault = Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large").at("body");
            return Err(fault.says(format!("A query has at most {MAX_BODY_BYTES} bytes.")));
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            bytes.extend_from_slice(chunk);
            let length = chunk.len();
            data.advance(length);
        }
    }
    Ok(bytes)
}
