//! Routes from an OpenAPI description: its paths, each under the base paths of its servers.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// The parts of a description that are read: OpenAPI 3 has `servers`, Swagger 2 has `basePath`.
#[derive(Deserialize)]
#[expect(clippy::zero_sized_map_values, reason = "only the keys are wanted, and a set cannot skip values")]
struct Description {
    paths: Option<BTreeMap<String, IgnoredAny>>,
    #[serde(default)]
    servers: Vec<Server>,
    #[serde(rename = "basePath")]
    base_path: Option<String>,
}

#[derive(Deserialize)]
struct Server {
    #[serde(default)]
    url: String,
}

/// The description cannot be used.
#[derive(Debug)]
pub struct NotUsable(String);

impl fmt::Display for NotUsable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The route templates of a description in JSON or YAML, sorted, each once.
pub fn routes(text: &str) -> Result<Vec<String>, NotUsable> {
    let description: Description = serde_saphyr::from_str(text)
        .map_err(|error| NotUsable(error.to_string().lines().next().unwrap_or_default().to_owned()))?;
    let Some(paths) = description.paths else {
        return Err(NotUsable("it has no `paths`, so it is no OpenAPI description".to_owned()));
    };
    let mut bases: Vec<String> = description.servers.iter().map(|server| base_of(&server.url)).collect();
    bases.extend(description.base_path.as_deref().map(base_of));
    if bases.is_empty() {
        bases.push(String::new());
    }
    let templates = paths.into_keys().filter(|path| path.starts_with('/'));
    let mut routes: Vec<String> = templates
        .flat_map(|path| bases.iter().map(move |base| format!("{base}{path}")).collect::<Vec<_>>())
        .collect();
    routes.sort_unstable();
    routes.dedup();
    if routes.is_empty() {
        return Err(NotUsable("it describes no path".to_owned()));
    }
    Ok(routes)
}

/// The path of a server's URL, which may be relative, without the slash at its end.
fn base_of(url: &str) -> String {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |slash| &rest[slash..]),
        None => url,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_matches('/');
    if path.is_empty() { String::new() } else { format!("/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(routes(text).unwrap(), expected, "{text}");
    }

    #[test]
    fn paths_are_read_from_json_and_yaml() {
        check(r#"{"openapi":"3.1.0","paths":{"/b/{id}":{"get":{}},"/a":{}}}"#, &["/a", "/b/{id}"]);
        check(
            "openapi: 3.0.3\npaths:\n  /questions: {get: {}}\n  /questions/{id}:\n    get: {}\n",
            &["/questions", "/questions/{id}"],
        );
    }

    #[test]
    fn paths_stand_under_the_base_of_each_server() {
        check("servers: [{url: 'https://api.example.com/v1/'}]\npaths: {/a: {}}", &["/v1/a"]);
        check("servers: [{url: /v1}, {url: 'http://x'}, {url: '/'}]\npaths: {/a: {}}", &["/a", "/v1/a"]);
        check("swagger: '2.0'\nbasePath: /v2\npaths: {/a: {}}", &["/v2/a"]);
    }

    #[test]
    fn what_is_no_description_is_refused_in_one_line() {
        let check = |text: &str| {
            let message = routes(text).unwrap_err().to_string();
            assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
        };
        check("");
        check("paths: [");
        check("{\"openapi\": \"3.1.0\"}");
        check("paths: {}");
        check("paths: 3");
        check("a: &a [*a, *a]");
    }
}
