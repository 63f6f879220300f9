//! What services are called that were given by their URLs.

use url::Url;

use crate::printer::Problem;

/// A name is no longer than this.
const LONGEST: usize = 64;

/// Reads `URL` or `NAME=URL`.
pub fn named(text: &str) -> Result<(Option<String>, Url), Problem> {
    let (name, url) = split(text);
    let parsed =
        url.parse::<Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(parsed) = parsed else {
        return Err(Problem::new(format!("{url:?} is no URL that can be watched")).hint(
            "write it as `http://127.0.0.1:8080/health`, or with a name: `shop=https://shop.example/health`",
        ));
    };
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(Problem::new("a URL with a name and a password would end in lists and in histories")
            .hint("give a token in the configuration: `authorization_env` of `[[service]]`"));
    }
    Ok((name.map(str::to_owned), parsed))
}

/// The name before a URL, if there is one.
pub fn split(text: &str) -> (Option<&str>, &str) {
    match text.split_once('=') {
        Some((name, url)) if is_name(name) => (Some(name), url),
        _ => (None, text),
    }
}

/// Whether a service may be called so.
pub fn is_name(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len())
        && name.chars().all(|kept| kept.is_ascii_alphanumeric() || "._-".contains(kept))
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// Host, port and what of its path tells it from others.
pub fn from_url(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!("-{port}")).unwrap_or_default();
    let path = lifesigns_monitor::base_path(url);
    let name: String = format!("{host}{port}{path}")
        .chars()
        .map(|kept| if kept.is_ascii_alphanumeric() || "._-".contains(kept) { kept } else { '-' })
        .collect();
    name.trim_matches(['-', '.', '_']).chars().take(LONGEST).collect()
}

/// The name, or with a number if that is taken.
pub fn unique(name: String, is_taken: impl Fn(&str) -> bool) -> String {
    if !is_taken(&name) {
        return name;
    }
    let beginning: String = name.chars().take(LONGEST - 6).collect();
    (2..=u32::MAX).map(|number| format!("{beginning}-{number}")).find(|name| !is_taken(name)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_called_as_was_said_or_by_its_url() {
        let check = |text: &str, expected: &str| {
            let (name, url) = named(text).unwrap();
            assert_eq!(name.unwrap_or_else(|| from_url(&url)), expected, "{text}");
        };
        check("shop=https://shop.example/health", "shop");
        check("https://shop.example/health", "shop.example");
        check("http://127.0.0.1:8080/shop/health/status", "127.0.0.1-8080-shop");
        check("http://[::1]:8080/", "1--8080");
        check("http://a.example/x?token=1", "a.example-x");
        check("http://a.example/x/actuator/health/", "a.example-x");
        for bad in ["shop", "shop=", "ftp://a.example", "http://u:p@a.example/", "-a=http://a.example b"] {
            assert!(named(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_two_services_have_one_name() {
        let taken = ["a", "a-2"];
        assert_eq!(unique("a".to_owned(), |name| taken.contains(&name)), "a-3");
        assert_eq!(unique("b".to_owned(), |name| taken.contains(&name)), "b");
    }
}
