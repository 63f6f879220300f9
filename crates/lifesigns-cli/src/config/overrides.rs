//! Environment variables that stand over the file, in one table.

use super::fault::{Fault, Place};
use super::tree::{At, Step, Table, Value};

/// An environment variable that Lifesigns looks at.
#[derive(Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it sets.
    pub target: Target,
    /// What it does.
    pub about: &'static str,
}

/// What a variable sets.
#[derive(Debug)]
pub enum Target {
    /// A key of the configuration.
    Key(&'static [Step]),
    /// A key of the one API there is.
    OneApi(&'static [Step]),
    /// A token with all scopes that read.
    Token,
    /// Nothing in the configuration: it is read where it matters.
    Elsewhere,
}

const fn key(key: &'static str) -> Step {
    Step { key, list: false }
}

const API: Step = Step { key: "api", list: true };

/// Scopes of the token in `LIFESIGNS_TOKEN_HASH`.
pub const TOKEN_SCOPES: [&str; 3] = ["analytics:read", "health:details", "metrics:read"];

/// Every variable, in the order in which they are documented.
pub const VARIABLES: [Variable; 26] = [
    Variable { name: "LIFESIGNS_NAME", target: Target::Key(&[key("name")]), about: "`name`" },
    Variable {
        name: "LIFESIGNS_ORGANIZATION",
        target: Target::Key(&[key("organization")]),
        about: "`organization`",
    },
    Variable {
        name: "LIFESIGNS_ENVIRONMENT",
        target: Target::Key(&[key("environment")]),
        about: "`environment`",
    },
    Variable { name: "LIFESIGNS_INSTANCE", target: Target::Key(&[key("instance")]), about: "`instance`" },
    Variable {
        name: "LIFESIGNS_LISTEN",
        target: Target::Key(&[key("gateway"), key("listen")]),
        about: "`gateway.listen`",
    },
    Variable {
        name: "LIFESIGNS_ADMIN_LISTEN",
        target: Target::Key(&[key("gateway"), key("admin_listen")]),
        about: "`gateway.admin_listen`",
    },
    Variable {
        name: "LIFESIGNS_DATA",
        target: Target::Key(&[key("store"), key("path")]),
        about: "`store.path`",
    },
    Variable {
        name: "LIFESIGNS_UPSTREAM",
        target: Target::OneApi(&[API, key("upstream")]),
        about: "`api.upstream`",
    },
    Variable {
        name: "LIFESIGNS_OPENAPI",
        target: Target::OneApi(&[API, key("openapi")]),
        about: "`api.openapi`",
    },
    Variable {
        name: "LIFESIGNS_REPO",
        target: Target::OneApi(&[API, key("identity"), key("repo")]),
        about: "`api.identity.repo`",
    },
    Variable {
        name: "LIFESIGNS_REVISION",
        target: Target::OneApi(&[API, key("identity"), key("revision")]),
        about: "`api.identity.revision`",
    },
    Variable {
        name: "LIFESIGNS_VERSION",
        target: Target::OneApi(&[API, key("identity"), key("version")]),
        about: "`api.identity.version`",
    },
    Variable {
        name: "LIFESIGNS_DEPLOYED_AT",
        target: Target::OneApi(&[API, key("identity"), key("deployed_at")]),
        about: "`api.identity.deployed_at`",
    },
    Variable {
        name: "LIFESIGNS_BUILD_TYPE",
        target: Target::OneApi(&[API, key("identity"), key("build_type")]),
        about: "`api.identity.build_type`",
    },
    Variable {
        name: "LIFESIGNS_BUILD_DATE",
        target: Target::OneApi(&[API, key("identity"), key("build_date")]),
        about: "`api.identity.build_date`",
    },
    Variable {
        name: "LIFESIGNS_LANGUAGE",
        target: Target::OneApi(&[API, key("identity"), key("language")]),
        about: "`api.identity.language`",
    },
    Variable {
        name: "LIFESIGNS_TOKEN_HASH",
        target: Target::Token,
        about: "one more token, named `environment`, with the scopes `analytics:read`, `health:details` and `metrics:read`; the value is what `hash` of `[[token]]` takes",
    },
    Variable {
        name: "LIFESIGNS_MONITOR_LISTEN",
        target: Target::Key(&[key("monitor"), key("listen")]),
        about: "`monitor.listen`",
    },
    Variable {
        name: "LIFESIGNS_MONITOR_AGENT_LISTEN",
        target: Target::Key(&[key("monitor"), key("agent_listen")]),
        about: "`monitor.agent_listen`",
    },
    Variable {
        name: "LIFESIGNS_MONITOR_DATA",
        target: Target::Key(&[key("monitor"), key("data")]),
        about: "`monitor.data`",
    },
    Variable {
        name: "LIFESIGNS_MONITOR_LINK",
        target: Target::Key(&[key("monitor"), key("link")]),
        about: "`monitor.link`",
    },
    Variable {
        name: "LIFESIGNS_MONITOR_INTERVAL",
        target: Target::Key(&[key("monitor"), key("interval_seconds")]),
        about: "`monitor.interval_seconds`",
    },
    Variable {
        name: "LIFESIGNS_OTLP_ENDPOINT",
        target: Target::Key(&[key("otlp"), key("endpoint")]),
        about: "`otlp.endpoint`",
    },
    Variable {
        name: "LIFESIGNS_LOG_FORMAT",
        target: Target::Key(&[key("log"), key("format")]),
        about: "`log.format`",
    },
    Variable {
        name: "LIFESIGNS_LOG",
        target: Target::Elsewhere,
        about: "what is logged to standard error: `error`, `warn`, `info`, `debug`, `trace`, or by part as in `warn,lifesigns_gateway=debug`; without it `warn,lifesigns::changes=info`, which is warnings, errors and every change of a light or a check",
    },
    Variable {
        name: "NO_COLOR",
        target: Target::Elsewhere,
        about: "when set, terminal output has no colour",
    },
];

/// Puts the variables that are set over what is in `root`. An empty variable counts as not set.
pub fn apply(root: &mut Table, variable: impl Fn(&str) -> Option<String>, faults: &mut Vec<Fault>) {
    for entry in &VARIABLES {
        if matches!(entry.target, Target::Elsewhere) {
            continue;
        }
        let Some(text) = variable(entry.name).filter(|text| !text.is_empty()) else { continue };
        let place = Place::Variable(entry.name);
        let value = At::new(Value::Text(text), place.clone());
        match entry.target {
            Target::Key(path) => root.set(path, value),
            Target::OneApi(path) => match root.get("api").map(|api| &api.value) {
                Some(Value::List(apis)) if apis.len() > 1 => faults.push(
                    Fault::new(&place, format!("it is about one API, but the file has {}", apis.len()))
                        .hint(format!("unset it, and set {} in the `[[api]]` it is meant for", entry.about)),
                ),
                _ => root.set(path, value),
            },
            Target::Token => root.push("token", token(value, &place), &place),
            Target::Elsewhere => {}
        }
    }
}

fn token(hash: At<Value>, place: &Place) -> Table {
    let at = |value| At::new(value, place.clone());
    let entry = |name: &str, value| (At::new(name.to_owned(), place.clone()), value);
    let scopes = TOKEN_SCOPES.iter().map(|scope| at(Value::Text((*scope).to_owned()))).collect();
    Table {
        entries: vec![
            entry("name", at(Value::Text("environment".to_owned()))),
            entry("hash", hash),
            entry("scopes", at(Value::List(scopes))),
        ],
    }
}
