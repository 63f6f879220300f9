//! What is watched.

use std::time::Duration;

use hyper::header::HeaderValue;
use lifesigns_model::dialect::Dialect;
use url::Url;

use crate::service::{Name, Patience};

/// Where a service is asked whose URL has no path, in this order, until an answer can be read; and if none can, at its
/// root.
pub(crate) const PLACES: [&str; 5] = ["/health/status", "/health", "/status", "/actuator/health", "/healthz"];

/// A service that is watched.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name, unique in the fleet: letters, digits, `.`, `_` and `-`, at most 64.
    pub name: Name,
    /// Where its health is asked for. Without a path it is looked for where its dialect usually is.
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

    /// Where its health is looked for, if its URL says only where it stands.
    pub(crate) fn places(&self) -> &'static [&'static str] {
        match self.dialect {
            _ if self.url.path() != "/" || self.url.query().is_some() => &[],
            // Any resource has a status code.
            Some(Dialect::Code) => &[],
            Some(Dialect::TrafficLight) => &PLACES[..1],
            _ => &PLACES,
        }
    }
}

/// The path of the URL of a health resource, without what is the usual name of such a resource.
pub fn base_path(url: &Url) -> &str {
    let path = url.path().trim_end_matches('/');
    PLACES.iter().filter_map(|place| path.strip_suffix(place)).min_by_key(|base| base.len()).unwrap_or(path)
}

/// What stands before the name of a resource in which a service of Lifesigns tells of itself.
fn base(url: &Url) -> Option<&str> {
    PLACES[..3].iter().find_map(|end| url.path().strip_suffix(end))
}

fn beside(url: &Url, path: &str, query: Option<&str>) -> Url {
    let mut url = url.clone();
    url.set_path(path);
    url.set_query(query);
    url.set_fragment(None);
    url
}

/// Where such a service tells of its traffic in the last hour, for the URL of another of its resources.
pub(crate) fn details(url: &Url) -> Option<Url> {
    let path = format!("{}/health/details", base(url)?);
    Some(beside(url, &path, Some("duration=1h&interval=60")))
}

/// The other resources in which a service of Lifesigns tells of itself, for the URL of one of them; and their dialects.
pub(crate) fn companions(url: &Url) -> Vec<(Url, Dialect)> {
    let Some(base) = base(url) else { return Vec::new() };
    let own = &url.path()[base.len()..];
    [("/status", Dialect::Status), ("/health", Dialect::Health)]
        .into_iter()
        .filter(|(other, _)| *other != own)
        .map(|(other, dialect)| (beside(url, &format!("{base}{other}"), None), dialect))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_tells_of_itself_in_resources_beside_each_other() {
        let check = |url: &str, companions: &[&str]| {
            let found = super::companions(&url.parse().unwrap());
            assert_eq!(found.iter().map(|(url, _)| url.as_str()).collect::<Vec<_>>(), companions, "{url}");
        };
        check("http://a/health/status", &["http://a/status", "http://a/health"]);
        check("http://a/shop/health?x=1", &["http://a/shop/status"]);
        check("http://a/status", &["http://a/health"]);
        check("http://a/actuator", &[]);
    }
    #[test]
    fn health_is_looked_for_where_the_dialect_may_be() {
        let check = |url: &str, dialect, places: &[&str]| {
            let target = Target { dialect, ..Target::new("a", url.parse().unwrap()) };
            assert_eq!(target.places(), places, "{url} {dialect:?}");
        };
        check("http://a:1/ping?x", None, &[]);
        check("http://a/?x", None, &[]);
        check("http://a", Some(Dialect::Code), &[]);
        check("http://a", Some(Dialect::TrafficLight), &["/health/status"]);
        check("http://a", Some(Dialect::Actuator), &PLACES);
        check("https://a:8443/#x", None, &PLACES);
    }
}
