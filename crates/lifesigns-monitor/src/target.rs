//! What is watched.

use std::time::Duration;

use hyper::header::HeaderValue;
use lifesigns_model::dialect::Dialect;
use url::Url;

use crate::service::{Name, Patience};

/// Where a service is asked whose URL has no path, in this order, until an answer can be read.
pub const PLACES: [&str; 5] = ["/health/status", "/health", "/status", "/actuator/health", "/healthz"];

/// A service that is watched.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name, unique in the fleet: letters, digits, `.`, `_` and `-`, at most 64.
    pub name: Name,
    /// Where its health is asked for. Without a path and a dialect it is looked for at the [`PLACES`].
    pub url: Url,
    /// In which dialect it answers; `None`: found out.
    pub dialect: Option<Dialect>,
    /// Where it runs, such as `production`; `None`: what it says itself.
    pub environment: Option<String>,
    /// What it needs, by the names of other targets.
    pub depends_on: Vec<Name>,
    /// How often it is asked. Default 60 s, at least 1 s.
    pub interval: Duration,
    /// How long an answer may take. Default 10 s, at most the interval or 60 s.
    pub deadline: Duration,
    /// How often in a row it has to be worse, or better, to be believed.
    pub patience: Patience,
    /// What is sent as `Authorization`.
    pub authorization: Option<HeaderValue>,
    /// Whether strangers may see its light and its name.
    pub is_public: bool,
}

impl Target {
    /// A target with this name and URL, and defaults for everything else.
    pub fn new(name: &str, url: Url) -> Target {
        Target {
            name: name.into(),
            url,
            dialect: None,
            environment: None,
            depends_on: Vec::new(),
            interval: Duration::from_mins(1),
            deadline: Duration::from_secs(10),
            patience: Patience::default(),
            authorization: None,
            is_public: false,
        }
    }

    /// Where a person who looks for its machine would look: the host of its URL.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Whether its URL says where it is, and not where its health is.
    pub(crate) fn is_base(&self) -> bool {
        self.dialect.is_none() && self.url.path() == "/" && self.url.query().is_none()
    }
}

/// What stands before the name of a resource in which a service of Lifesigns tells of itself.
fn base(url: &Url) -> Option<&str> {
    ["/health/status", "/health", "/status"].iter().find_map(|end| url.path().strip_suffix(end))
}

/// Where such a service tells of its traffic in the last hour, for the URL of another of its resources.
pub(crate) fn details(url: &Url) -> Option<Url> {
    let path = format!("{}/health/details", base(url)?);
    let mut details = url.clone();
    details.set_path(&path);
    details.set_query(Some("duration=1h&interval=60"));
    Some(details)
}

/// The other resources in which a service of Lifesigns tells of itself, for the URL of one of them.
pub(crate) fn companions(url: &Url) -> Vec<Url> {
    let (path, Some(base)) = (url.path(), base(url)) else { return Vec::new() };
    let own = &path[base.len()..];
    let others = ["/status", "/health"].into_iter().filter(|other| *other != own);
    others
        .map(|other| {
            let mut url = url.clone();
            url.set_path(&format!("{base}{other}"));
            url.set_query(None);
            url
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_tells_of_itself_in_resources_beside_each_other() {
        let check = |url: &str, companions: &[&str]| {
            let found = super::companions(&url.parse().unwrap());
            assert_eq!(found.iter().map(Url::as_str).collect::<Vec<_>>(), companions, "{url}");
        };
        check("http://a/health/status", &["http://a/status", "http://a/health"]);
        check("http://a/shop/health?x=1", &["http://a/shop/status"]);
        check("http://a/status", &["http://a/health"]);
        check("http://a/actuator", &[]);
    }
}
