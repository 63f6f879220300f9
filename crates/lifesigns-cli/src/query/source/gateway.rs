//! Figures from whoever answers the analytics query at a URL.

use std::env;
use std::fmt::{self, Write as _};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Request, Response, StatusCode, Uri};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{self, Failure};
use crate::credentials;
use crate::printer::Problem;
use crate::query::arguments::Place;
use crate::query::question::Question;

const URL: &str = "http://127.0.0.1:8080";
/// In the path where nothing else is said: a gateway without an organization takes any.
const NAME: &str = "default";
/// How long a connection may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long the answer may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// No answer has so many bytes: it has 50,000 groups at most.
const MAX_BYTES: usize = 64 << 20;

/// A gateway, or an API with the library.
#[derive(Debug)]
pub struct Gateway {
    url: Uri,
    path: String,
    authorization: Option<HeaderValue>,
}

impl Gateway {
    /// The gateway that flags and environment variables name.
    pub fn new(place: &Place) -> Result<Gateway, Problem> {
        let url = parse(place.url.as_deref().unwrap_or(URL))?;
        let organization = name(place.organization.as_deref(), "LIFESIGNS_ORGANIZATION");
        let environment = name(place.environment.as_deref(), "LIFESIGNS_ENVIRONMENT");
        let base = url.path().trim_end_matches('/');
        let path = format!("{base}/analytics/1.0/{organization}/environments/{environment}/query");
        Ok(Gateway { path, authorization: credentials::authorization(place.token_file.as_deref())?, url })
    }

    /// The whole answer.
    pub fn ask(&self, question: &Question) -> Result<Value, Problem> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| Problem::new("nothing can be sent from here").because(&error))?;
        let response = runtime
            .block_on(self.exchange(question.body.to_string()))
            .map_err(|error| self.unreachable(&*error))?;
        let answer = serde_json::from_slice::<Value>(response.body()).ok();
        match answer {
            Some(answer) if response.status() == StatusCode::OK && answer["success"] == true => Ok(answer),
            answer => Err(self.refused(question, response.status(), response.headers(), answer.as_ref())),
        }
    }

    fn host(&self) -> &str {
        self.url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    async fn exchange(&self, body: String) -> Result<Response<Bytes>, Failure> {
        let connecting = TcpStream::connect((self.host(), self.url.port_u16().unwrap_or(80)));
        let late = |_| format!("no connection within {} s", CONNECT_PATIENCE.as_secs());
        let stream = timeout(CONNECT_PATIENCE, connecting).await.map_err(late)??;
        let late = |_| format!("no answer within {} s", PATIENCE.as_secs());
        timeout(PATIENCE, self.exchange_over(stream, body)).await.map_err(late)?
    }

    async fn exchange_over(&self, stream: TcpStream, body: String) -> Result<Response<Bytes>, Failure> {
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        let mut request = Request::post(&self.path)
            .header(HOST, authority)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))?;
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        client::exchange(stream, request, MAX_BYTES).await
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> Problem {
        Problem::new(format!("{self} cannot be asked"))
            .because(error)
            .hint("--url says where the gateway listens; without one, --file reads its data file")
    }

    /// What an answer without figures means.
    fn refused(
        &self,
        question: &Question,
        status: StatusCode,
        headers: &HeaderMap,
        answer: Option<&Value>,
    ) -> Problem {
        let error = answer.map(|answer| &answer["error"]);
        let text = |name: &str| error.and_then(|error| error[name].as_str());
        let Some(message) = text("message") else {
            return Problem::new(format!("{self} answered {status}, and not as the analytics query does")).hint(
                "--url is the address of a gateway, or of an API with the library and a store, not of a resource",
            );
        };
        let problem = match text("path") {
            // Of the path of the resource they say what the hint is about.
            Some(path) if !path.starts_with("path.") => question.tell(path, message),
            _ => Problem::new(format!("{self} refused ({}): {message}", status.as_u16())),
        };
        match status {
            StatusCode::UNAUTHORIZED if self.authorization.is_none() => {
                problem.hint("put the token into LIFESIGNS_TOKEN, or into a file for --token-file")
            }
            StatusCode::UNAUTHORIZED => problem
                .hint("the token in LIFESIGNS_TOKEN or --token-file is not one of those that are let in"),
            StatusCode::FORBIDDEN if text("path").is_some() => {
                problem.hint("--organization and --environment name those that the token opens")
            }
            StatusCode::FORBIDDEN => problem.hint("the token needs the scope analytics:read"),
            StatusCode::NOT_FOUND => problem.hint("--organization and --environment name them"),
            _ => match headers.get(RETRY_AFTER).and_then(|after| after.to_str().ok()) {
                Some(seconds) => problem.hint(format!("ask again in {seconds} s")),
                None => problem,
            },
        }
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.to_string().trim_end_matches('/'))
    }
}

fn parse(text: &str) -> Result<Uri, Problem> {
    // What stands in it is not shown: it could hold a password.
    let bad =
        |reason: &str| Problem::new(format!("--url: {reason}")).hint("write it like http://127.0.0.1:8080");
    let url: Uri = text.parse().map_err(|_| bad("is not a URL"))?;
    match url.scheme_str() {
        Some("http") => {}
        Some("https") => return Err(bad("TLS is not spoken here, only http://")),
        _ => return Err(bad("does not begin with http://")),
    }
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(bad("holds user information; leave out what is before the @"));
    }
    if url.host().is_none_or(str::is_empty) {
        return Err(bad("names no host"));
    }
    if url.query().is_some() {
        return Err(bad("holds a query; leave out what is behind the ?"));
    }
    Ok(url)
}

/// A part of the path: what the flag says, or the variable.
fn name(flag: Option<&str>, variable: &str) -> String {
    let given = flag.map(str::to_owned).or_else(|| env::var(variable).ok().filter(|name| !name.is_empty()));
    let mut part = String::new();
    for byte in given.as_deref().unwrap_or(NAME).bytes() {
        // What RFC 3986 §2.3 calls unreserved stays as it is.
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            part.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(part, "%{byte:02X}");
        }
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Place {
        Place {
            url: Some(url.to_owned()),
            organization: Some("a/b é".to_owned()),
            environment: Some("production".to_owned()),
            ..Place::default()
        }
    }

    #[test]
    fn the_path_holds_base_organization_and_environment() {
        let gateway = Gateway::new(&place("http://[::1]:9/base/")).unwrap();
        assert_eq!(gateway.path, "/base/analytics/1.0/a%2Fb%20%C3%A9/environments/production/query");
        assert_eq!((gateway.host(), &*gateway.to_string()), ("::1", "http://[::1]:9/base"));
    }

    #[test]
    fn a_bad_url_is_told_and_not_repeated() {
        for (url, reason) in [
            ("https://x", "TLS is not spoken here"),
            ("127.0.0.1:8080", "does not begin with http://"),
            ("ftp://x", "does not begin with http://"),
            ("http://me:secret@x", "holds user information"),
            ("http://x?a=secret", "holds a query"),
            ("http://a b", "is not a URL"),
        ] {
            let problem = Gateway::new(&place(url)).unwrap_err();
            assert!(problem.message.contains(reason), "{url}: {problem:?}");
            assert!(!format!("{problem:?}").contains("secret"), "{url}");
        }
    }

    #[test]
    fn a_token_stands_alone_in_its_file_and_is_never_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let gateway = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            Gateway::new(&Place { token_file: Some(file.path().to_owned()), ..place("http://x") })
        };
        let good = gateway(" ls_secret\n").unwrap();
        assert_eq!(good.authorization.as_ref().unwrap(), "Bearer ls_secret");
        assert!(!format!("{good:?}").contains("secret"));
        for text in ["", "\n", "# token\nls_secret\n", "ls_secret\u{e9}"] {
            let problem = gateway(text).unwrap_err();
            assert!(problem.message.ends_with("holds no token, or more than one"), "{problem:?}");
            assert!(!format!("{problem:?}").contains("secret"), "{text:?}");
        }
    }
}
