//! Whether a redirect is followed, and what is sent there.

use hyper::body::Bytes;
use hyper::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap,
    LOCATION, PROXY_AUTHORIZATION,
};
use hyper::{Method, StatusCode};
use url::Url;

use crate::fetcher::Request;

/// Which redirects are followed. One that is not followed is an answer like any other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Redirects {
    /// None.
    Never,
    /// So many in a row, at most 20, on the same scheme, host and port.
    SameOrigin(u8),
    /// So many in a row, at most 20, to any origin, but never from https to http. What is secret stays: a body, the
    /// headers `Authorization`, `Proxy-Authorization`, `Cookie` and `Host`, and those that are marked as sensitive.
    Anywhere(u8),
}

impl Redirects {
    /// How many may follow each other.
    pub(crate) fn most(self) -> u8 {
        match self {
            Redirects::Never => 0,
            Redirects::SameOrigin(most) | Redirects::Anywhere(most) => most,
        }
    }

    /// Where the answer to a request at `url` leads, and what is asked there; nothing where it is not followed.
    pub(crate) fn next(
        self,
        url: &Url,
        request: &Request,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<(Url, Request)> {
        if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let next = url.join(headers.get(LOCATION)?.to_str().ok()?).ok()?;
        let is_same_origin = next.origin() == url.origin();
        let may_be_followed = match self {
            Redirects::Never => false,
            Redirects::SameOrigin(_) => is_same_origin,
            Redirects::Anywhere(_) => {
                next.scheme() == "https" || (next.scheme() == "http" && url.scheme() == "http")
            }
        };
        if !may_be_followed {
            return None;
        }
        let mut request = request.clone();
        // RFC 9110 §15.4: 303 asks for a GET, and clients have always sent one for a POST after 301 and 302 too.
        let becomes_get = match status {
            StatusCode::SEE_OTHER => request.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => request.method == Method::POST,
            _ => false,
        };
        if becomes_get {
            request.method = Method::GET;
            request.body = Bytes::new();
            for about_body in [CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE] {
                request.headers.remove(about_body);
            }
        }
        if !is_same_origin {
            if !request.body.is_empty() {
                return None;
            }
            for secret in [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, HOST] {
                request.headers.remove(secret);
            }
            request.headers = std::mem::take(&mut request.headers)
                .iter()
                .filter(|(_, value)| !value.is_sensitive())
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
        }
        Some((next, request))
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn next(
        redirects: Redirects,
        status: u16,
        from: &str,
        to: &str,
        request: &Request,
    ) -> Option<(String, Request)> {
        let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_str(to).unwrap())]);
        let status = StatusCode::from_u16(status).unwrap();
        redirects
            .next(&from.parse().unwrap(), request, status, &headers)
            .map(|(url, request)| (url.into(), request))
    }

    #[test]
    fn redirects_are_followed_as_far_as_is_said() {
        let check = |redirects, from: &str, to: &str, expected: Option<&str>| {
            let found = next(redirects, 302, from, to, &Request::get()).map(|(url, _)| url);
            assert_eq!(found.as_deref(), expected, "{redirects:?} from {from} to {to}");
        };
        let (never, home, anywhere) = (Redirects::Never, Redirects::SameOrigin(1), Redirects::Anywhere(1));
        check(never, "http://a/", "/b", None);
        check(home, "http://a/x/y", "z?q", Some("http://a/x/z?q"));
        check(home, "http://a/", "//a:80/b", Some("http://a/b"));
        check(home, "http://a/", "http://a:81/", None);
        check(home, "http://a/", "https://a/", None);
        check(home, "http://a/", "http://b/", None);
        check(anywhere, "http://a/", "https://b/", Some("https://b/"));
        check(anywhere, "http://a/", "http://b/", Some("http://b/"));
        check(anywhere, "https://a/", "https://b/", Some("https://b/"));
        check(anywhere, "https://a/", "http://a/", None);
        check(anywhere, "http://a/", "file:///etc/passwd", None);
        check(anywhere, "http://a/", "http://[", None);
        let request = Request::get();
        assert_eq!(next(anywhere, 304, "http://a/", "/b", &request), None);
        assert_eq!(next(anywhere, 200, "http://a/", "/b", &request), None);
    }

    #[test]
    fn what_is_secret_does_not_leave_its_origin() {
        let mut request = Request::get();
        for name in ["authorization", "cookie", "proxy-authorization", "host", "accept"] {
            request.headers.insert(name, HeaderValue::from_static("x"));
        }
        let mut marked = HeaderValue::from_static("x");
        marked.set_sensitive(true);
        request.headers.insert("x-api-key", marked);
        let sent = |to| next(Redirects::Anywhere(1), 302, "https://a/", to, &request).unwrap().1.headers;
        assert_eq!(sent("/b"), request.headers);
        let headers = sent("https://b/");
        assert_eq!(headers.keys().map(hyper::header::HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn a_body_does_not_leave_its_origin() {
        let mut post = Request { method: Method::POST, body: "secret".into(), ..Request::get() };
        post.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        let send = |status, to| next(Redirects::Anywhere(1), status, "https://a/", to, &post);
        for status in [301, 302, 303] {
            for to in ["https://a/b", "https://b/"] {
                let (_, sent) = send(status, to).unwrap();
                assert_eq!(sent, Request::get(), "{status} to {to}");
            }
        }
        for status in [307, 308] {
            assert_eq!(send(status, "/b").unwrap().1, post);
            assert_eq!(send(status, "https://b/"), None);
        }
    }
}
