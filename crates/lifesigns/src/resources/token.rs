//! `/oauth2/token`: a connected app asks for a token by its credentials (RFC 6749 §4.4).

use std::fmt;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use http_body::Body;
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::answer::{Answer, Fault};
use super::{Call, body};
use crate::access::{App, IssueError, IssueRequest, IssuedToken, MustWait, Scope};

/// Longest request, in bytes. A secret of 64 characters and all scopes take less than 300.
pub(super) const MAX_BODY_BYTES: usize = 8 * 1024;

/// More than any grant has.
const MAX_PARAMETERS: usize = 20;

/// When an app that found too many others asking is to ask again, in seconds.
const BUSY_RETRY_AFTER: &str = "1";

pub(super) async fn answer<B: Body>(call: &Call<'_>, body: B) -> Answer {
    let made = match issue(call, body).await {
        Ok(token) => granted(&token),
        Err(Refused::Fault(fault)) => call.fault(&fault),
        Err(Refused::Client) => {
            let fault = Fault::new(StatusCode::UNAUTHORIZED, "invalid_client");
            call.fault(&fault.says("The app is not known, or its secret is another."))
                .header(WWW_AUTHENTICATE, "Basic realm=\"lifesigns\", charset=\"UTF-8\"")
        }
        Err(Refused::TooMany(seconds)) => call.too_many_attempts(seconds),
        Err(Refused::Busy) => {
            let fault = Fault::new(StatusCode::SERVICE_UNAVAILABLE, "busy");
            call.fault(&fault.says("Too many apps ask for tokens at the moment; try again."))
                .header(RETRY_AFTER, BUSY_RETRY_AFTER)
        }
    };
    // For caches that know no `Cache-Control` (RFC 6749 §5.1).
    made.header(PRAGMA, "no-cache")
}

fn granted(token: &IssuedToken) -> Answer {
    let body = json!({
        "access_token": token.access_token,
        "token_type": "Bearer",
        "expires_in": token.lifetime.as_secs(),
        "scope": token.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(" "),
    });
    Answer::json(StatusCode::OK, &body)
}

/// Why there is no token.
enum Refused {
    Fault(Fault),
    /// The app did not prove itself.
    Client,
    /// Too many attempts failed; seconds to wait.
    TooMany(u64),
    Busy,
}

async fn issue<B: Body>(call: &Call<'_>, body: B) -> Result<IssuedToken, Refused> {
    let access = &call.api.process.access;
    let Some(issuer) = access.issuer() else {
        return Err(Refused::Fault(Fault::new(StatusCode::NOT_FOUND, "not_found")));
    };
    if !is_form(&call.parts.headers) {
        return Err(bad("invalid_request", "The body must be application/x-www-form-urlencoded."));
    }
    let body = body::read(body, "request", MAX_BODY_BYTES).await.map_err(Refused::Fault)?;
    let Asked { client_id, client_secret, scope } =
        Asked::parse(&call.parts.headers, &body).map_err(|unfit| match unfit {
            Unfit::Request(says) => bad("invalid_request", says),
            Unfit::GrantType => bad("unsupported_grant_type", "The only grant type is client_credentials."),
            Unfit::Client => Refused::Client,
        })?;
    let peer = call.caller.peer;
    let app = App::new(&client_id, issuer.knows_app(&client_id));
    let attempt = access.attempts.begin(app, peer, Instant::now()).map_err(|wait| match wait {
        MustWait::Failed(seconds) => Refused::TooMany(seconds),
        MustWait::UnderWay => Refused::Busy,
    })?;
    let request = IssueRequest { client_id, client_secret, scope };
    issuer.issue(request).await.map_err(|error| match error {
        IssueError::InvalidClient => {
            attempt.failed(Instant::now());
            Refused::Client
        }
        IssueError::InvalidScope => {
            let scopes = Scope::ALL.map(Scope::name).join(", ");
            bad("invalid_scope", format!("The app may not have that scope. There are {scopes}."))
        }
        IssueError::Busy => Refused::Busy,
        IssueError::Failed => {
            let fault = Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error");
            Refused::Fault(fault.says("The token could not be made."))
        }
    })
}

fn bad(code: &'static str, says: impl Into<String>) -> Refused {
    Refused::Fault(Fault::new(StatusCode::BAD_REQUEST, code).says(says))
}

fn is_form(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let media_type = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// What an app asks for, and what it proves itself with.
#[derive(Clone, Eq, PartialEq)]
struct Asked {
    client_id: String,
    client_secret: String,
    scope: Option<String>,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asked(…)")
    }
}

/// Why a request is not even looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Unfit {
    Request(&'static str),
    GrantType,
    /// There are no credentials, or none that can be read.
    Client,
}

impl Asked {
    /// Reads a request for a token. Nothing of it is taken from the query.
    fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Asked, Unfit> {
        let mut form = Form::parse(body)?;
        let from_header = basic(headers)?;
        let (id, secret) = (form.take("client_id"), form.take("client_secret"));
        match form.take("grant_type").as_deref() {
            None => return Err(Unfit::Request("The grant_type is missing.")),
            Some("client_credentials") => {}
            Some(_) => return Err(Unfit::GrantType),
        }
        let (client_id, client_secret) = match (from_header, id, secret) {
            (Some(_), _, Some(_)) => {
                return Err(Unfit::Request("The app must prove itself in one way, not in two."));
            }
            // The id in the body proves nothing, so it may be there as well; but it must not be another one.
            (Some(basic), None, None) => basic,
            (Some(basic), Some(id), None) if id == basic.0 => basic,
            (Some(_), Some(_), None) => return Err(Unfit::Request("There are two client ids.")),
            (None, Some(id), Some(secret)) => (id, secret),
            (None, _, _) => return Err(Unfit::Client),
        };
        Ok(Asked { client_id, client_secret, scope: form.take("scope") })
    }
}

/// Id and secret from the header, if they are there (RFC 6749 §2.3.1).
fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, Unfit> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Unfit::Request("There must be one Authorization header."));
    }
    let (scheme, encoded) =
        value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(Unfit::Client)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Unfit::Client);
    }
    let decoded = STANDARD.decode(encoded.trim_matches(' ')).map_err(|_| Unfit::Client)?;
    let text = String::from_utf8(decoded).map_err(|_| Unfit::Client)?;
    let (id, secret) = text.split_once(':').ok_or(Unfit::Client)?;
    let (id, secret) = (decode(id).ok_or(Unfit::Client)?, decode(secret).ok_or(Unfit::Client)?);
    if id.is_empty() || secret.is_empty() { Err(Unfit::Client) } else { Ok(Some((id, secret))) }
}

/// The parameters of a form, each of which is there once (RFC 6749 §3.2).
struct Form(Vec<(String, String)>);

impl Form {
    fn parse(body: &[u8]) -> Result<Form, Unfit> {
        let unreadable = Unfit::Request("The form cannot be read.");
        let text = std::str::from_utf8(body).map_err(|_| unreadable)?;
        let mut parameters: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name).ok_or(unreadable)?, decode(value).ok_or(unreadable)?);
            if parameters.len() == MAX_PARAMETERS {
                return Err(Unfit::Request("There are too many parameters."));
            }
            if parameters.iter().any(|(known, _)| *known == name) {
                return Err(Unfit::Request("A parameter is there more than once."));
            }
            parameters.push((name, value));
        }
        Ok(Form(parameters))
    }

    /// The value of a parameter. One without a value counts as left out.
    fn take(&mut self, name: &str) -> Option<String> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(index).1).filter(|value| !value.is_empty())
    }
}

/// A name or a value of a form. `None` where it is no text.
fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const GRANT: &str = "grant_type=client_credentials";

    fn headers(authorization: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in authorization {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        headers
    }

    fn basic_of(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    /// Id, secret and scope, or why not.
    fn check(authorization: &[&str], body: &str, expected: Result<(&str, &str, Option<&str>), Unfit>) {
        let found = Asked::parse(&headers(authorization), body.as_bytes());
        let found = found.as_ref().map(|it| (&*it.client_id, &*it.client_secret, it.scope.as_deref()));
        assert_eq!(found.map_err(|unfit| *unfit), expected, "{authorization:?} {body}");
    }

    #[test]
    fn credentials_are_in_the_header_or_in_the_body() {
        let body = |more: &str| format!("{GRANT}{more}");
        check(&[], &body("&client_id=a&client_secret=b"), Ok(("a", "b", None)));
        check(
            &[],
            &body("&client_id=a+%C3%A9&client_secret=b%26%3D&scope=x+y"),
            Ok(("a é", "b&=", Some("x y"))),
        );
        check(&[], &body("&client_id=a&client_secret=b&scope=&state=1&state2"), Ok(("a", "b", None)));
        check(&[&basic_of("a:b")], GRANT, Ok(("a", "b", None)));
        check(&[&basic_of("a%3A:b:c%2B+")], &body("&scope=x"), Ok(("a:", "b:c+ ", Some("x"))));
        check(&[&basic_of("a:b").replace("Basic ", "bASIC   ")], GRANT, Ok(("a", "b", None)));
        check(&[&basic_of("a:b")], &body("&client_id=a"), Ok(("a", "b", None)));
    }

    #[test]
    fn what_is_not_one_way_to_ask_is_refused() {
        let request = |authorization: &[&str], body: &str| {
            let found = Asked::parse(&headers(authorization), body.as_bytes());
            assert!(matches!(found, Err(Unfit::Request(_))), "{authorization:?} {body}: {found:?}");
        };
        let basic = basic_of("a:b");
        request(&[&basic], &format!("{GRANT}&client_id=a&client_secret=b"));
        request(&[&basic], &format!("{GRANT}&client_secret=b"));
        request(&[&basic], &format!("{GRANT}&client_id=c"));
        request(&[&basic, &basic], GRANT);
        request(&[&basic], "");
        request(&[&basic], "grant_type=");
        request(&[&basic], &format!("{GRANT}&{GRANT}"));
        request(&[&basic], &format!("{GRANT}&scope=a&scope=b"));
        request(&[&basic], &format!("{GRANT}&%73cope=a&scope=a"));
        request(&[&basic], &format!("{GRANT}&scope=%FF"));
        let many: Vec<String> = (0..MAX_PARAMETERS).map(|number| format!("&p{number}=1")).collect();
        request(&[&basic], &format!("{GRANT}{}", many.concat()));
        check(&[&basic], "grant_type=password&username=a&password=b", Err(Unfit::GrantType));
        check(&[&basic], "grant_type=CLIENT_CREDENTIALS", Err(Unfit::GrantType));
    }

    #[test]
    fn who_has_no_credentials_or_unreadable_ones_is_no_app() {
        let wrong = [
            "Basic",
            "Basic ",
            "Basic !",
            "Bearer YTpi",
            "x",
            "Basic YQ==",
            "Basic YTo=",
            "Basic OmI=",
            "Basic /zpi",
        ];
        for authorization in wrong {
            check(&[authorization], GRANT, Err(Unfit::Client));
        }
        for body in ["", "&client_id=a", "&client_secret=b", "&client_id=a&client_secret="] {
            check(&[], &format!("{GRANT}{body}"), Err(Unfit::Client));
        }
        let mut binary = HeaderMap::new();
        binary.insert(AUTHORIZATION, HeaderValue::from_bytes(b"Basic \xff").unwrap());
        assert_eq!(Asked::parse(&binary, GRANT.as_bytes()), Err(Unfit::Client));
    }

    #[test]
    fn only_forms_are_read() {
        let is_form = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_TYPE, value.parse().unwrap());
            }
            super::is_form(&headers)
        };
        let form = "application/x-www-form-urlencoded";
        assert!(is_form(&[form]) && is_form(&["Application/X-WWW-Form-URLEncoded ; charset=UTF-8"]));
        assert!(!is_form(&[]) && !is_form(&["application/json"]) && !is_form(&[form, form]));
    }

    /// A text as forms encode it.
    fn encoded(text: &str) -> String {
        text.bytes().map(|byte| format!("%{byte:02X}")).collect()
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_without_harm(header in "\\PC*", body in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_str(&header) {
                headers.insert(AUTHORIZATION, value);
            }
            let _ = Asked::parse(&headers, &body);
            let asked = Asked::parse(&self::headers(&[&basic_of(&header)]), GRANT.as_bytes());
            prop_assert!(asked.is_ok() || asked == Err(Unfit::Client));
        }

        #[test]
        fn what_was_encoded_is_read_back(id in ".+", secret in ".+", scope in ".+") {
            let (id_sent, secret_sent, scope_sent) = (encoded(&id), encoded(&secret), encoded(&scope));
            let expected = Asked { client_id: id, client_secret: secret, scope: Some(scope) };
            let body = format!("client_id={id_sent}&{GRANT}&client_secret={secret_sent}&scope={scope_sent}");
            prop_assert!(Asked::parse(&HeaderMap::new(), body.as_bytes()).as_ref() == Ok(&expected));
            let basic = basic_of(&format!("{id_sent}:{secret_sent}"));
            let asked = Asked::parse(&headers(&[&basic]), format!("{GRANT}&scope={scope_sent}").as_bytes());
            prop_assert!(asked.as_ref() == Ok(&expected));
        }
    }
}
