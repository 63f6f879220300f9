//! Every key that a configuration knows: the reader refuses what is not here, and the page
//! `docs/configuration.md` is printed from it.

pub mod checks;
pub mod push;
mod resources;

pub use self::resources::{RESOURCE, RESOURCE_NAMES, RESOURCES};

/// A table of the configuration.
#[derive(Debug)]
pub struct Section {
    /// Its header as it is written in a file; empty for the top of the file.
    pub header: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// What can stand in it.
    pub keys: &'static [Key],
}

impl Section {
    /// How messages call it.
    pub fn called(&self) -> String {
        if self.header.is_empty() { "the top of the file".to_owned() } else { format!("`{}`", self.header) }
    }
}

/// One key of a table.
#[derive(Debug)]
pub struct Key {
    /// Its name; where the value is a number with a unit, the unit ends it.
    pub name: &'static str,
    /// What can stand under it.
    pub kind: Kind,
    /// What holds without it, as it would be written; empty where nothing does.
    pub default: &'static str,
    /// A value as it would be written.
    pub example: &'static str,
    /// What it does.
    pub about: &'static str,
}

/// What can stand under a key.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Text.
    Text,
    /// Name of a file; a relative one is relative to the configuration file.
    File,
    /// IP address and port.
    Address,
    /// `http://` URL.
    Url,
    /// RFC 3339 instant.
    Moment,
    /// Whole number.
    Integer {
        /// Smallest value.
        minimum: u64,
        /// Largest value.
        maximum: u64,
    },
    /// Number from 0 to 1.
    Share,
    /// `true` or `false`.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// List of text.
    List,
    /// Table with a section of its own.
    Table,
    /// Tables with a section of their own.
    Tables,
}

impl Kind {
    /// What is expected, for messages.
    pub const fn expected(self) -> &'static str {
        match self {
            Kind::Text | Kind::Choice(_) => "text",
            Kind::File => "the name of a file",
            Kind::Address => "an address such as \"127.0.0.1:8080\"",
            Kind::Url => "a URL",
            Kind::Moment => "a date with a time",
            Kind::Integer { .. } => "a whole number",
            Kind::Share => "a number from 0 to 1",
            Kind::Switch => "true or false",
            Kind::List => "a list of text",
            Kind::Table => "a table",
            Kind::Tables => "a list of tables",
        }
    }

    /// Type and range, for the page.
    pub fn documented(self) -> String {
        match self {
            Kind::Text => "text".to_owned(),
            Kind::File => "file".to_owned(),
            Kind::Address => "address and port".to_owned(),
            Kind::Url => "URL".to_owned(),
            Kind::Moment => "RFC 3339 time".to_owned(),
            Kind::Integer { minimum, maximum } => format!("whole number, {minimum} to {maximum}"),
            Kind::Share => "number, 0 to 1".to_owned(),
            Kind::Switch => "`true` or `false`".to_owned(),
            Kind::Choice(words) => {
                words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ")
            }
            Kind::List => "list of text".to_owned(),
            Kind::Table => "table".to_owned(),
            Kind::Tables => "tables".to_owned(),
        }
    }
}

const fn key(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    example: &'static str,
    about: &'static str,
) -> Key {
    Key { name, kind, default, example, about }
}

const fn number(minimum: u64, maximum: u64) -> Kind {
    Kind::Integer { minimum, maximum }
}

const HOUR_SECONDS: u64 = 3600;
const DAY_SECONDS: u64 = 24 * HOUR_SECONDS;

/// All sections, in the order in which they are documented.
pub const SECTIONS: [&Section; 35] = [
    &TOP,
    &GATEWAY,
    &STORE,
    &LIMITS,
    &VERDICT,
    &OBJECTIVE,
    &RESOURCES,
    &RESOURCE,
    &TOKEN,
    &push::LOG,
    &push::OTLP,
    &API,
    &API_IDENTITY,
    &API_PROCESS,
    &API_VERDICT,
    &API_OBJECTIVE,
    &API_ROUTE_GROUP,
    &API_ROUTE_GROUP_VERDICT,
    &checks::CHECK,
    &checks::HTTP,
    &checks::TCP,
    &checks::DNS,
    &checks::CERTIFICATE,
    &checks::POSTGRES,
    &checks::MYSQL,
    &checks::REDIS,
    &checks::AMQP,
    &checks::NATS,
    &checks::MQTT,
    &checks::CLICKHOUSE,
    &checks::SQLITE,
    &checks::DISK,
    &checks::MEMORY,
    &checks::FILE,
    &checks::COMMAND,
];

/// The top of the file.
pub const TOP: Section = Section {
    header: "",
    about: "The process as a whole.",
    keys: &[
        key(
            "name",
            Kind::Text,
            "\"lifesigns\"",
            "\"polls\"",
            "Name of the process; of the API too, where there is one without a name.",
        ),
        key(
            "organization",
            Kind::Text,
            "",
            "\"example\"",
            "Organization in the paths of the analytics query. Without it any is accepted.",
        ),
        key(
            "environment",
            Kind::Text,
            "",
            "\"production\"",
            "Environment that the APIs run in. Without it answers say `unknown`.",
        ),
        key(
            "instance",
            Kind::Text,
            "",
            "\"gateway-1\"",
            "Tells this process from others that count for the same APIs. Without it: the name of the machine.",
        ),
        key("gateway", Kind::Table, "", "", "See [gateway]."),
        key("store", Kind::Table, "", "", "See [store]."),
        key("limits", Kind::Table, "", "", "See [limits]."),
        key("verdict", Kind::Table, "", "", "See [verdict]."),
        key("objective", Kind::Table, "", "", "See [objective]."),
        key("resources", Kind::Table, "", "", "See [resources]."),
        key("log", Kind::Table, "", "", "See [log]."),
        key("otlp", Kind::Table, "", "", "See [otlp]."),
        key("token", Kind::Tables, "", "", "See [[token]]."),
        key("api", Kind::Tables, "", "", "See [[api]]."),
        key("check", Kind::Tables, "", "", "See [[check]]."),
    ],
};

/// `[gateway]`
pub const GATEWAY: Section = Section {
    header: "[gateway]",
    about: "Where the gateway listens and how long it waits.",
    keys: &[
        key("listen", Kind::Address, "\"127.0.0.1:8080\"", "\"0.0.0.0:8080\"", "Where callers connect."),
        key(
            "admin_listen",
            Kind::Address,
            "",
            "\"127.0.0.1:9090\"",
            "Where operators connect: resources for the admin listener and `/metrics` without a token. Without it there is none. The resources of each API stand under `/{name}/…`, such as `/polls/health`, or under its `path` if no API has that name and no other API has that path.",
        ),
        key(
            "grpc_listen",
            Kind::Address,
            "",
            "\"127.0.0.1:50051\"",
            "Where `grpc.health.v1` is served, over HTTP/2 without TLS. Without it nowhere.",
        ),
        key(
            "workers",
            number(1, 256),
            "",
            "4",
            "Threads that carry traffic. Without it: one for each processor that the process may use.",
        ),
        key(
            "connect_timeout_seconds",
            number(1, 300),
            "5",
            "2",
            "How long to wait for a connection to an upstream; then 504.",
        ),
        key(
            "response_timeout_seconds",
            number(1, DAY_SECONDS),
            "60",
            "30",
            "How long to wait for the head of an upstream's response; then 504.",
        ),
        key(
            "header_timeout_seconds",
            number(1, 300),
            "30",
            "10",
            "How long a client may take to send the head of a request, and may be silent between two requests.",
        ),
        key(
            "idle_timeout_seconds",
            number(1, HOUR_SECONDS),
            "60",
            "300",
            "How long a body may stand still in either direction before the exchange is cut off.",
        ),
        key(
            "upstream_idle_timeout_seconds",
            number(1, HOUR_SECONDS),
            "4",
            "60",
            "How long a connection to an upstream is kept for the next request. Must be shorter than what the upstream does.",
        ),
        key(
            "trust_forwarded",
            Kind::Switch,
            "false",
            "true",
            "Whether `Forwarded` and `X-Forwarded-…` of callers are believed: only behind a proxy that sets them. Rate limits then count by the last address in `X-Forwarded-For`.",
        ),
        key(
            "readiness_delay_seconds",
            number(0, 300),
            "0",
            "5",
            "After SIGTERM: how long everything goes on as before, with readiness green, for balancers that are told by others and would take a red probe for a fault.",
        ),
        key(
            "drain_delay_seconds",
            number(0, 300),
            "0",
            "5",
            "After that: how long to keep accepting, with readiness red, so that load balancers can look elsewhere.",
        ),
        key(
            "drain_timeout_seconds",
            number(0, HOUR_SECONDS),
            "30",
            "60",
            "After that: how long requests in progress may take to end. Those without an answer by then get 503.",
        ),
    ],
};

/// `[store]`
pub const STORE: Section = Section {
    header: "[store]",
    about: "Where the figures are kept and for how long. Minutes are summed up into hours, hours into days.",
    keys: &[
        key(
            "path",
            Kind::File,
            "\"lifesigns.db\"",
            "\"/var/lib/lifesigns/lifesigns.db\"",
            "The file. `\"memory\"` keeps nothing on disk and loses all figures at the end of the process.",
        ),
        key(
            "retention_minute_rows_hours",
            number(1, 24 * 90),
            "48",
            "72",
            "How long single minutes are kept.",
        ),
        key("retention_hour_rows_days", number(1, 3660), "90", "180", "How long single hours are kept."),
        key("retention_day_rows_days", number(1, 36_600), "1825", "3650", "How long single days are kept."),
    ],
};

/// `[limits]`
pub const LIMITS: Section = Section {
    header: "[limits]",
    about: "Bounds for labels that callers could make up, for each API. What is past a bound is counted as `_other_`.",
    keys: &[
        key("max_routes", number(1, 10_000), "500", "200", "How many routes are told apart."),
        key("max_clients", number(1, 10_000), "1000", "200", "How many client apps are told apart."),
        key(
            "max_series",
            number(100, 1_000_000),
            "10000",
            "50000",
            "How many combinations of labels each thread tells apart within a second; past it requests lose route and client.",
        ),
    ],
};

const VERDICT_KEYS: &[Key] = &[
    key("window_seconds", number(10, HOUR_SECONDS), "60", "120", "How far back traffic is judged."),
    key(
        "minimum_exchanges",
        number(1, 1_000_000),
        "20",
        "100",
        "With fewer requests than this in the window, traffic is not judged.",
    ),
    key(
        "amber_failed_share",
        Kind::Share,
        "0.05",
        "0.02",
        "Share of failed requests that turns the light amber.",
    ),
    key("red_failed_share", Kind::Share, "0.5", "0.25", "Share of failed requests that turns the light red."),
    key(
        "latency_percentile",
        number(50, 99),
        "95",
        "99",
        "Which percentile of the latency is judged: with 95, what one request in twenty exceeds.",
    ),
    key(
        "amber_latency_ms",
        number(1, 86_400_000),
        "",
        "250",
        "Latency at that percentile that turns the light amber. Without it none does.",
    ),
    key(
        "red_latency_ms",
        number(1, 86_400_000),
        "",
        "2000",
        "Latency at that percentile that turns the light red. Without it none does.",
    ),
    key(
        "prolonged_red_seconds",
        number(1, DAY_SECONDS),
        "300",
        "600",
        "How long the light must have been red for `/health/status` to answer 502 and no longer 500.",
    ),
    key(
        "retry_after_seconds",
        number(1, HOUR_SECONDS),
        "30",
        "60",
        "When an amber answer asks callers to come again.",
    ),
];

/// `[verdict]`
pub const VERDICT: Section = Section {
    header: "[verdict]",
    about: "When traffic turns the light of an API. Only requests that failed because of the API or the gateway count as failed.",
    keys: VERDICT_KEYS,
};

/// `[api.verdict]`
pub const API_VERDICT: Section = Section {
    header: "[api.verdict]",
    about: "The same keys as `[verdict]`, for this API alone. What is left out is as `[verdict]` says.",
    keys: VERDICT_KEYS,
};

/// `[[api.route_group]]`
pub const API_ROUTE_GROUP: Section = Section {
    header: "[[api.route_group]]",
    about: "Routes whose traffic is judged by itself, besides that of the whole API.",
    keys: &[
        key("name", Kind::Text, "", "\"checkout\"", "Its name, as answers give it. Must be given."),
        key(
            "routes",
            Kind::List,
            "",
            "[\"/orders/{id}\", \"/payments/*\"]",
            "Routes that belong to it; one that ends with `/*` stands for all that begin so. Must be given.",
        ),
        key(
            "critical",
            Kind::Switch,
            "false",
            "true",
            "Whether it may turn the light of the API red; otherwise amber at most.",
        ),
        key("verdict", Kind::Table, "", "", "See [api.route_group.verdict]."),
    ],
};

/// `[api.route_group.verdict]`
pub const API_ROUTE_GROUP_VERDICT: Section = Section {
    header: "[api.route_group.verdict]",
    about: "When its traffic turns the light. What is left out is as for the API.",
    // Without the last two, which are about answers.
    keys: VERDICT_KEYS.split_at(VERDICT_KEYS.len() - 2).0,
};

const OBJECTIVE_KEYS: &[Key] = &[
    key(
        "good_share",
        Kind::Share,
        "",
        "0.999",
        "Share of requests that is to be good, above 0 and at most 0.999999999. Must be given.",
    ),
    key(
        "latency_ms",
        number(1, 86_400_000),
        "",
        "250",
        "Requests that go well but take longer than this are not good. Without it latency does not matter.",
    ),
    key("period_days", number(1, 90), "30", "28", "How far back the error budget reaches."),
];

/// `[objective]`
pub const OBJECTIVE: Section = Section {
    header: "[objective]",
    about: "What is to be reached (SLO), by each API. Without it there is no objective. `/health/details` and `/metrics` show how much of the error budget is left and how fast it burns; no light turns for it. Requests that failed because of the API or the gateway are not good; an answer with a 4xx is, and one that its client gave up does not count.",
    keys: OBJECTIVE_KEYS,
};

/// `[api.objective]`
pub const API_OBJECTIVE: Section = Section {
    header: "[api.objective]",
    about: "The same keys as `[objective]`, for this API alone. What is left out is as `[objective]` says.",
    keys: OBJECTIVE_KEYS,
};

/// `[[token]]`
pub const TOKEN: Section = Section {
    header: "[[token]]",
    about: "A bearer token that opens protected resources. `lifesigns token new` makes one; only its hash is kept, in exactly one of the three ways.",
    keys: &[
        key("name", Kind::Text, "", "\"dashboard\"", "Name of its holder, for the log. Must be given."),
        key(
            "hash",
            Kind::Text,
            "",
            "\"sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae\"",
            "SHA-256 of the token.",
        ),
        key("hash_file", Kind::File, "", "\"/run/secrets/dashboard\"", "File that holds the hash."),
        key(
            "hash_env",
            Kind::Text,
            "",
            "\"DASHBOARD_TOKEN_HASH\"",
            "Environment variable that holds the hash.",
        ),
        key(
            "scopes",
            Kind::List,
            "",
            "[\"analytics:read\"]",
            "What it opens: `analytics:read` (`/health/details` and queries), `health:details` (hidden fields and reasons), `metrics:read` (`/metrics`), `health:write` (switching maintenance on and off), `fleet:read`. Must be given.",
        ),
    ],
};

/// `[[api]]`
pub const API: Section = Section {
    header: "[[api]]",
    about: "An API behind the gateway. Where there are several, each but one needs a `path` or a `host`.",
    keys: &[
        key(
            "name",
            Kind::Text,
            "",
            "\"polls\"",
            "Name that it is counted under. Must be given where there are several.",
        ),
        key("version", Kind::Text, "", "\"v1\"", "Version that it is counted under."),
        key("upstream", Kind::Url, "", "\"http://127.0.0.1:3000\"", "Where it really is. Must be given."),
        key("path", Kind::Text, "", "\"/polls\"", "Requests under this path are for it."),
        key(
            "host",
            Kind::Text,
            "",
            "\"polls.example.com\"",
            "Requests to this host are for it; with a `path`, those that fit both.",
        ),
        key(
            "strip_prefix",
            Kind::Switch,
            "true",
            "false",
            "Whether the upstream gets its requests without `path`.",
        ),
        key(
            "keep_host",
            Kind::Switch,
            "true",
            "false",
            "Whether the upstream sees the host that the client asked for, or its own.",
        ),
        key(
            "openapi",
            Kind::File,
            "",
            "\"polls.openapi.yaml\"",
            "OpenAPI description (JSON or YAML) whose paths name the routes. Without it what looks like an id becomes `{id}`.",
        ),
        key("identity", Kind::Table, "", "", "See [api.identity]."),
        key("process", Kind::Table, "", "", "See [api.process]."),
        key("verdict", Kind::Table, "", "", "See [api.verdict]."),
        key("objective", Kind::Table, "", "", "See [api.objective]."),
        key("route_group", Kind::Tables, "", "", "See [[api.route_group]]."),
        key("resources", Kind::Table, "", "", "See [resources]."),
    ],
};

/// `[api.identity]`
pub const API_IDENTITY: Section = Section {
    header: "[api.identity]",
    about: "What `/health` says of the API. What is left out is not known, and is never guessed.",
    keys: &[
        key("repo", Kind::Text, "", "\"example/polls\"", "Where its code lives."),
        key("revision", Kind::Text, "", "\"29636480c0ffee00\"", "Commit that runs."),
        key("version", Kind::Text, "", "\"1.2.0\"", "Version for people."),
        key(
            "deployed_at",
            Kind::Moment,
            "",
            "2026-03-16T18:00:00Z",
            "When that was deployed. Without it: the start of the process.",
        ),
        key("build_type", Kind::Text, "", "\"docker\"", "Kind of build."),
        key("build_date", Kind::Text, "", "\"2026-03-16\"", "When it was built."),
        key(
            "language",
            Kind::Text,
            "",
            "\"node 24\"",
            "Language and its version. Hidden from strangers unless `public_identity` says otherwise.",
        ),
        key(
            "environment",
            Kind::Text,
            "",
            "\"production\"",
            "Environment, where it is another than that of the whole file.",
        ),
    ],
};

/// `[api.process]`
pub const API_PROCESS: Section = Section {
    header: "[api.process]",
    about: "Where memory and uptime of the API's process can be seen; one of the three. Without it the gateway's own are shown.",
    keys: &[
        key("pid", number(1, 4_194_304), "", "4711", "Number of the process."),
        key("pid_file", Kind::File, "", "\"/run/polls.pid\"", "File that holds the number."),
        key("status_url", Kind::Url, "", "\"http://127.0.0.1:3000/status\"", "The API's own `/status`."),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_there_twice_and_every_key_is_explained() {
        for section in SECTIONS {
            let mut names: Vec<_> = section.keys.iter().map(|key| key.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), section.keys.len(), "{}", section.called());
            for key in section.keys {
                assert!(!key.about.is_empty(), "{}", key.name);
                let is_table = matches!(key.kind, Kind::Table | Kind::Tables);
                assert_eq!(key.example.is_empty(), is_table, "{}", key.name);
            }
        }
    }

    #[test]
    fn every_resource_has_a_table() {
        for name in RESOURCE_NAMES {
            assert!(RESOURCES.keys.iter().any(|key| key.name == name), "{name}");
        }
    }
}
