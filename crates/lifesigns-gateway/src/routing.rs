//! Which API a request is for, and the path under which that API sees it.

use std::{borrow::Cow, sync::Arc};

use http::{HeaderValue, Uri, uri::PathAndQuery};
use lifesigns::{Api, Mount, behind};
use lifesigns_model::route::Templates;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::{complaints::Complaints, config::Route};

/// What may stand unencoded in a path (RFC 3986 §3.3).
const NOT_IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// An API and the requests that go to it.
pub(crate) struct Target {
    /// The API as a subject of health resources and of counting.
    pub(crate) api: Api,
    /// What was wrong with it lately.
    pub(crate) complaints: Arc<Complaints>,
    /// Place of the upstream among those of the gateway.
    pub(crate) upstream: usize,
    /// Whether the upstream gets the client's `Host`.
    pub(crate) preserve_host: bool,
    /// The API's own route templates.
    pub(crate) templates: Option<Templates>,
    /// Value of `X-Forwarded-Prefix`, if a prefix is taken off.
    pub(crate) stripped: Option<HeaderValue>,
    mount: Mount,
    /// What the upstream wants before every path.
    base: String,
}

impl Target {
    pub(crate) fn new(route: &Route, api: Api, upstream: usize, complaints: Arc<Complaints>) -> Target {
        let mount = route.mount();
        let strips = route.strip_prefix && !mount.path().is_empty();
        let encoded = utf8_percent_encode(mount.path(), NOT_IN_A_PATH).to_string();
        Target {
            api,
            complaints,
            upstream,
            preserve_host: route.preserve_host,
            templates: route.templates.clone(),
            stripped: strips.then(|| HeaderValue::from_str(&encoded).ok()).flatten(),
            mount,
            base: route.upstream.base().to_owned(),
        }
    }

    /// The part of a normalised path that is behind this API's prefix; at least `/`.
    pub(crate) fn relative<'p>(&self, normalized: &'p str) -> &'p str {
        self.mount.relative(normalized).unwrap_or("/")
    }

    /// The normalised path as the API sees it.
    pub(crate) fn seen_by_api<'p>(&self, normalized: &'p str) -> &'p str {
        if self.stripped.is_some() { self.relative(normalized) } else { normalized }
    }

    /// The request target to send on. The path is left as the client wrote it wherever that means the same to the
    /// upstream as it meant to the routing.
    pub(crate) fn outgoing(&self, uri: &Uri, normalized: &str) -> Uri {
        let is_unchanged =
            self.mount.path().is_empty() || (self.stripped.is_none() && self.fits_raw(uri.path()));
        if self.base.is_empty() && is_unchanged {
            return uri.clone();
        }
        let path = self.outgoing_path(uri.path(), normalized);
        let text = match uri.query() {
            Some(query) => format!("{}{path}?{query}", self.base),
            None => format!("{}{path}", self.base),
        };
        PathAndQuery::from_maybe_shared(text).map_or_else(|_| Uri::from_static("/"), Uri::from)
    }

    fn outgoing_path<'p>(&self, raw: &'p str, normalized: &str) -> Cow<'p, str> {
        if !raw.starts_with('/') {
            // Only the asterisk form of OPTIONS is not a path (RFC 9112 §3.2.4).
            return if raw.is_empty() { Cow::Borrowed("/") } else { Cow::Borrowed(raw) };
        }
        if self.mount.path().is_empty() && self.base.is_empty() {
            return Cow::Borrowed(raw);
        }
        if !self.fits_raw(raw) {
            let seen = self.seen_by_api(normalized);
            return Cow::Owned(utf8_percent_encode(seen, NOT_IN_A_PATH).to_string());
        }
        if self.stripped.is_none() {
            return Cow::Borrowed(raw);
        }
        match &raw[self.mount.path().len()..] {
            "" => Cow::Borrowed("/"),
            rest => Cow::Borrowed(rest),
        }
    }

    /// Whether the raw path begins with the prefix literally and what follows does not lead out of it.
    fn fits_raw(&self, raw: &str) -> bool {
        let Some(rest) = raw.strip_prefix(self.mount.path()) else { return false };
        if !(rest.is_empty() || rest.starts_with('/')) {
            return false;
        }
        !climbs(rest)
    }

    fn covers(&self, host: Option<&str>, normalized: &str) -> bool {
        self.mount.covers(host, normalized)
    }
}

/// The APIs of a gateway, the most specific first.
pub(crate) struct Router {
    targets: Vec<Target>,
}

impl Router {
    pub(crate) fn new(mut targets: Vec<Target>) -> Router {
        targets.sort_by_key(|target| std::cmp::Reverse(target.mount.specificity()));
        Router { targets }
    }

    /// The API for a host (as sent, if at all) and a normalised path.
    pub(crate) fn find(&self, host: Option<&str>, normalized: &str) -> Option<&Target> {
        self.targets.iter().find(|target| target.covers(host, normalized))
    }

    /// The API whose own resources an operator asks for: under `/{name}` or, if no API has that name, under a path
    /// prefix that no other API shares. With it, the path that is left.
    pub(crate) fn find_for_operator<'p>(&self, normalized: &'p str) -> Option<(&Target, &'p str)> {
        let by_name = |target: &Target| behind(normalized.strip_prefix('/')?, target.api.name());
        if let Some(named) = self.targets.iter().find_map(|target| Some((target, by_name(target)?))) {
            return Some(named);
        }
        let by_path = |target: &Target| behind(normalized, target.mount.path());
        let is_candidate = |target: &&Target| !target.mount.path().is_empty() && by_path(target).is_some();
        let found =
            self.targets.iter().filter(is_candidate).max_by_key(|target| target.mount.path().len())?;
        let is_shared = self
            .targets
            .iter()
            .any(|other| other.mount.path() == found.mount.path() && other.api.name() != found.api.name());
        (!is_shared).then_some((found, by_path(found)?))
    }
}

/// Whether a path leads above its own beginning, either for a server that takes an encoded slash for a slash or for
/// one that does not. Both take an encoded dot for a dot (RFC 3986 §6.2.2.2).
fn climbs(path: &str) -> bool {
    if !path.contains("..") && !path.contains('%') {
        return false;
    }
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    leads_up(decoded.split('/').map(Cow::Borrowed))
        || leads_up(path.split('/').map(|segment| percent_decode_str(segment).decode_utf8_lossy()))
}

/// Empty segments do not count, since there are servers that drop them.
fn leads_up<'s>(segments: impl Iterator<Item = Cow<'s, str>>) -> bool {
    let mut depth = 0_usize;
    for segment in segments {
        match segment.as_ref() {
            "" | "." => {}
            ".." if depth == 0 => return true,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}
