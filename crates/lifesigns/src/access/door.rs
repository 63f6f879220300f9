//! Letting callers in to what an API protects besides its health resources.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, HeaderName, Response, StatusCode};
use serde_json::json;

use super::{Denied, Grant, Scope};
use crate::process::Lifesigns;

/// Why a caller is not let in, as it is to be answered.
#[derive(Clone, Debug)]
pub struct NotLetIn {
    /// 400, 401, 403, 429 or 503.
    pub status: StatusCode,
    /// Why, for people.
    pub says: String,
    headers: Vec<(HeaderName, String)>,
}

impl NotLetIn {
    /// The answer: RFC 9457, with `WWW-Authenticate` (RFC 6750 §3) or `Retry-After`.
    pub fn response<B: From<String>>(&self) -> Response<B> {
        let problem = json!({
            "type": "about:blank", "title": self.status.canonical_reason(), "status": self.status.as_u16(),
            "detail": self.says,
        });
        let mut response = Response::new(B::from(problem.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(
            self.headers
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), HeaderValue::try_from(value).ok()?))),
        );
        response
    }
}

impl Lifesigns {
    /// Who holds the bearer token among these headers, if it is one of those that this process knows and allows
    /// `scope`. `peer` is who asks: whoever fails too often has to wait.
    ///
    /// # Errors
    /// How the request is to be answered otherwise. Without tokens configured nobody is let in.
    pub async fn authorize(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
        scope: Scope,
    ) -> Result<Arc<Grant>, NotLetIn> {
        let access = &self.process.access;
        let denied = match access.check_patiently(headers).await {
            Ok(grant) if grant.allows(scope) => return Ok(grant),
            Ok(_) => Denied::NotAllowed(scope),
            Err(denied) => denied,
        };
        if denied == Denied::Unknown
            && let Some(seconds) = access.attempts.token_failed(peer, Instant::now())
        {
            return Err(NotLetIn {
                status: StatusCode::TOO_MANY_REQUESTS,
                says: format!("Too many attempts failed; try again in {seconds} s."),
                headers: vec![(RETRY_AFTER, seconds.to_string())],
            });
        }
        let told = denied.told();
        Err(NotLetIn { status: told.status, says: told.says, headers: told.headers })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Token, TokenHash};
    use super::*;

    #[tokio::test]
    async fn a_token_opens_what_its_scope_is_for() {
        let token = Token::new("ops", TokenHash::of("ls_ops"), [Scope::FleetRead]);
        let lifesigns = Lifesigns::builder("monitor").token(token).start().unwrap();
        let check = async |authorization: Option<&str>, scope: Scope| {
            let mut headers = HeaderMap::new();
            if let Some(value) = authorization {
                headers.insert("authorization", value.parse().unwrap());
            }
            match lifesigns.authorize(&headers, Some(IpAddr::from([192, 0, 2, 1])), scope).await {
                Ok(grant) => (200, grant.name.clone()),
                Err(refusal) => {
                    let response: Response<String> = refusal.response();
                    let challenge =
                        response.headers().get("www-authenticate").map(|value| value.to_str().unwrap());
                    (response.status().as_u16(), challenge.unwrap_or_default().to_owned())
                }
            }
        };
        assert_eq!(check(Some("Bearer ls_ops"), Scope::FleetRead).await, (200, "ops".to_owned()));
        let (status, challenge) = check(Some("Bearer ls_ops"), Scope::HealthWrite).await;
        assert_eq!(status, 403);
        assert!(challenge.contains("scope=\"health:write\""), "{challenge}");
        assert_eq!(check(None, Scope::FleetRead).await, (401, "Bearer realm=\"lifesigns\"".to_owned()));
        for attempt in 0..20 {
            let (status, _) = check(Some("Bearer guess"), Scope::FleetRead).await;
            assert_eq!(status, if attempt < 10 { 401 } else { 429 }, "{attempt}");
        }
    }
}
