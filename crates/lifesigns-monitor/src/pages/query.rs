//! What stands behind the `?` of a URL. Whatever cannot be understood is not there.

use std::borrow::Cow;

use url::form_urlencoded::{self, Serializer};

/// A query.
#[derive(Debug)]
pub(super) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    pub(super) fn new(query: Option<&'a str>) -> Query<'a> {
        Query(query.unwrap_or_default())
    }

    /// The first value of that name that says something.
    pub(super) fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut pairs = form_urlencoded::parse(self.0.as_bytes());
        pairs.find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value)
    }
}

/// A query of these values, with its `?`; empty without any.
pub(super) fn query<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = Serializer::new(String::new());
    for (name, value) in values {
        if !value.is_empty() {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if query.is_empty() { query } else { format!("?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_and_written() {
        let read = Query::new(Some("q=&light=red&q=a+%26%20b&q=c"));
        assert_eq!(read.get("q").as_deref(), Some("a & b"));
        assert_eq!(read.get("environment"), None);
        assert_eq!(query([("q", "a & b"), ("light", "")]), "?q=a+%26+b");
        assert_eq!(query([("q", "")]), "");
        assert_eq!(Query::new(None).get("q"), None);
    }
}
