//! ClickHouse, over its HTTP interface: logs in and lets the server answer a query.
//!
//! The URL is `http://user@host:8123/database`, or `https` for TLS. User and database may be left out; both are
//! `default` then.
//!
//! ```
//! use lifesigns_checks::{Secret, Server, clickhouse};
//!
//! let server = Server::at("http://reader@clickhouse.internal:8123").password(Secret::new("…"));
//! let check = clickhouse::check("figures", clickhouse::Options::new(server))?;
//! # Ok::<(), lifesigns_checks::BadOption>(())
//! ```

use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use lifesigns::{Check, Report};
use lifesigns_fetch::{Failure, text};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::BadOption;
pub use crate::service::QueryOptions as Options;
use crate::service::{self, Endpoint, Protocol};

const PROTOCOL: Protocol = Protocol {
    example: "http://user@host:8123/database",
    plain: (&["http", "clickhouse"], 8123),
    encrypted: (&["https"], 8443),
    tls_parameter: None,
};

/// The server answers when the query has ended. Otherwise it says 200 with the first rows, whatever comes after them.
const ANSWERS_LAST: &str = "/?wait_end_of_query=1";

/// Where the answer to a query may stop; all of it is never needed.
const LONGEST_ANSWER: usize = 64 << 10;

/// Exceptions for a user that there is not, a password that is wrong, an address that is not allowed, a privilege that
/// is missing, and whatever of these the server does not want to tell.
const DENIED: [u32; 6] = [192, 193, 194, 195, 497, 516];

/// A check of a ClickHouse server.
pub fn check(name: &str, options: Options) -> Result<Check, BadOption> {
    let endpoint = Endpoint::new(options.server, &PROTOCOL)?;
    let user = endpoint.user.as_deref().unwrap_or("default");
    for (option, value) in [("url", user), ("password", endpoint.secret())] {
        if value.contains(char::is_control) {
            return Err(BadOption::new(option, "has a control character, which no HTTP header can carry"));
        }
    }
    let query = service::query(options.query)?;
    Ok(service::check(name, "datastore", endpoint, move |endpoint| run(endpoint, Arc::clone(&query))))
}

/// The connection is driven by this very future and ends with it, whether it comes to its end or is dropped.
async fn run(endpoint: Arc<Endpoint>, query: Arc<str>) -> Result<Report, Failure> {
    let stream = TokioIo::new(endpoint.open().await?);
    let (mut sender, connection) =
        http1::handshake(stream).await.map_err(|error| Failure::of_http(&error))?;
    let request = request(&endpoint, &query)?;
    let asking = async {
        let answer = sender.send_request(request).await.map_err(|error| Failure::of_http(&error))?;
        judge(answer, &query).await
    };
    let mut asking = std::pin::pin!(asking);
    tokio::select! {
        answer = &mut asking => answer,
        // The connection has ended; whether before the answer was complete, the answer knows.
        _ = connection => asking.await,
    }
}

fn request(endpoint: &Endpoint, query: &str) -> Result<Request<Full<Bytes>>, Failure> {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let target = match &*endpoint.path {
        "" => ANSWERS_LAST.to_owned(),
        database => format!("{ANSWERS_LAST}&database={}", encoded(database)),
    };
    // These headers are older than the password in `Authorization`, and take any text that a header can carry.
    let mut request = Request::post(target)
        .header(header::HOST, endpoint.address.to_string())
        .header(header::USER_AGENT, "lifesigns")
        .header("X-ClickHouse-User", endpoint.user.as_deref().unwrap_or("default"));
    if endpoint.password.is_some() {
        let mut key = header::HeaderValue::try_from(endpoint.secret())
            .map_err(|error| Failure::failed(format!("cannot be asked: {error}")))?;
        key.set_sensitive(true);
        request = request.header("X-ClickHouse-Key", key);
    }
    let body = Full::new(Bytes::copy_from_slice(query.as_bytes()));
    request.body(body).map_err(|error| Failure::failed(format!("cannot be asked: {error}")))
}

async fn judge(answer: Response<Incoming>, query: &str) -> Result<Report, Failure> {
    let status = answer.status();
    let code =
        answer.headers().get("X-ClickHouse-Exception-Code").and_then(|code| code.to_str().ok()?.parse().ok());
    // A body that goes on for too long has begun well.
    let body = match Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Bytes::new(),
        Err(error) => {
            return Err(Failure::of_sources(&*error).unwrap_or_else(|| Failure::unexpected(text(&*error))));
        }
    };
    let text = String::from_utf8_lossy(&body);
    let text = text.trim();
    if status == StatusCode::OK {
        if query == Options::QUERY && text != "1" {
            return Err(Failure::unexpected(format!("it answers `{query}` with `{text}`")));
        }
        return Ok(Report::pass());
    }
    let message = format!("it answers {}: {text}", status.as_u16());
    let is_denied = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        || code.or_else(|| exception(text)).is_some_and(|code| DENIED.contains(&code));
    Err(if is_denied {
        Failure::denied(message)
    } else if exception(text).is_some() {
        Failure::failed(message)
    } else {
        Failure::unexpected(message)
    })
}

/// The number of an exception in the text that old servers answer with: `Code: 193, …`.
fn exception(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("Code: ")?.split(|letter: char| !letter.is_ascii_digit()).next()?;
    digits.parse().ok()
}
