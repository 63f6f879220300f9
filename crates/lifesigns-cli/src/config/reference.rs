//! Every key that a configuration knows: the reader refuses what is not here, and the page
//! `docs/configuration.md` is printed from it.

pub mod access;
pub mod checks;
pub mod monitor;
pub mod push;
mod resources;

pub use self::resources::{RESOURCE_NAMES, RESOURCES};

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

    /// The tables that can stand in it, each with its name.
    pub fn tables(&self) -> impl Iterator<Item = (&'static str, &'static Section)> {
        self.keys.iter().filter_map(|key| Some((key.name, key.kind.section()?)))
    }
}

/// One key of a table.
#[derive(Debug)]
pub struct Key {
    /// Its name; where the value is a number with a unit, the unit ends it.
    pub name: &'static str,
    /// What can stand under it.
    pub kind: Kind,
    /// What it does.
    pub about: &'static str,
    default: &'static str,
    example: &'static str,
}

impl Key {
    const fn default(self, default: &'static str) -> Key {
        Key { default, ..self }
    }

    const fn about(self, about: &'static str) -> Key {
        Key { about, ..self }
    }

    /// A value, written as in a file. A table has none.
    pub fn written_example(&self) -> Option<String> {
        self.kind.written(self.example)
    }

    /// What holds without the key, written as in a file, if anything does.
    pub fn written_default(&self) -> Option<String> {
        self.kind.written(self.default)
    }
}

/// What can stand under a key.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Text.
    Text,
    /// Text of at most so many characters, since it goes into answers and figures.
    Label(usize),
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
    /// Table of this section.
    Table(&'static Section),
    /// Tables of this section.
    Tables(&'static Section),
}

impl Kind {
    /// What is expected, for messages.
    pub const fn expected(self) -> &'static str {
        match self {
            Kind::Text | Kind::Label(_) | Kind::Choice(_) => "text",
            Kind::File => "the name of a file",
            Kind::Address => "an address such as \"127.0.0.1:8080\"",
            Kind::Url => "a URL",
            Kind::Moment => "a date with a time",
            Kind::Integer { .. } => "a whole number",
            Kind::Share => "a number from 0 to 1",
            Kind::Switch => "true or false",
            Kind::List => "a list of text",
            Kind::Table(_) => "a table",
            Kind::Tables(_) => "a list of tables",
        }
    }

    /// Type and range, for the page.
    pub fn documented(self) -> String {
        match self {
            Kind::Text => "text".to_owned(),
            Kind::Label(longest) => format!("text, at most {longest} characters"),
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
            Kind::Table(_) => "table".to_owned(),
            Kind::Tables(_) => "tables".to_owned(),
        }
    }

    /// The section of a table.
    pub const fn section(self) -> Option<&'static Section> {
        match self {
            Kind::Table(section) | Kind::Tables(section) => Some(section),
            _ => None,
        }
    }

    fn written(self, value: &str) -> Option<String> {
        match self {
            _ if value.is_empty() => None,
            Kind::Text | Kind::Label(_) | Kind::File | Kind::Address | Kind::Url | Kind::Choice(_) => {
                Some(format!("\"{value}\""))
            }
            _ => Some(value.to_owned()),
        }
    }
}

const fn key(name: &'static str, kind: Kind, example: &'static str) -> Key {
    Key { name, kind, about: "", default: "", example }
}

const fn table(name: &'static str, section: &'static Section) -> Key {
    key(name, Kind::Table(section), "").about(section.about)
}

const fn tables(name: &'static str, section: &'static Section) -> Key {
    key(name, Kind::Tables(section), "").about(section.about)
}

const fn number(minimum: u64, maximum: u64) -> Kind {
    Kind::Integer { minimum, maximum }
}

/// A name or another label: it is in every answer and in every line of figures.
const LABEL: Kind = Kind::Label(100);

const HOUR_SECONDS: u64 = 3600;
const DAY_SECONDS: u64 = 24 * HOUR_SECONDS;

/// All sections, each once, in the order in which they are documented.
pub fn sections() -> Vec<&'static Section> {
    fn add(section: &'static Section, sections: &mut Vec<&'static Section>) {
        if sections.iter().all(|other| other.header != section.header) {
            sections.push(section);
            section.tables().for_each(|(_, section)| add(section, sections));
        }
    }
    let mut sections = Vec::new();
    add(&TOP, &mut sections);
    sections
}

/// The top of the file.
pub const TOP: Section = Section {
    header: "",
    about: "The process as a whole.",
    keys: &[
        key("name", LABEL, "polls")
            .default("lifesigns")
            .about("Name of the process; of the API too, where there is one without a name."),
        key("organization", LABEL, "example")
            .about("Organization in the paths of the analytics query. Without it any is accepted."),
        key("environment", LABEL, "production")
            .about("Environment that the APIs run in. Without it answers say `unknown`."),
        key("instance", LABEL, "gateway-1")
            .about("Tells this process from others that count for the same APIs. Without it: the name of the machine."),
        table("gateway", &GATEWAY),
        table("store", &STORE),
        table("limits", &LIMITS),
        table("verdict", &VERDICT),
        table("objective", &OBJECTIVE),
        table("resources", &RESOURCES),
        table("log", &push::LOG),
        table("otlp", &push::OTLP),
        table("access", &access::ACCESS),
        tables("token", &access::TOKEN),
        table("oauth", &access::OAUTH),
        tables("app", &access::APP),
        tables("issuer", &access::ISSUER),
        tables("api", &API),
        tables("check", &checks::CHECK),
        table("monitor", &monitor::MONITOR),
        tables("service", &monitor::SERVICE),
        tables("alert", &monitor::ALERT),
        tables("maintenance", &monitor::MAINTENANCE),
    ],
};

/// `[gateway]`
pub const GATEWAY: Section = Section {
    header: "[gateway]",
    about: "Where the gateway listens and how long it waits.",
    keys: &[
        key("listen", Kind::Address, "0.0.0.0:8080")
            .default("127.0.0.1:8080")
            .about("Where callers connect."),
        key("admin_listen", Kind::Address, "127.0.0.1:9090")
            .about("Where operators connect: resources for the admin listener and `/metrics` without a token. Without it there is none. The resources of each API stand under `/{name}/…`, such as `/polls/health`, or under its `path` if no API has that name and no other API has that path."),
        key("grpc_listen", Kind::Address, "127.0.0.1:50051")
            .about("Where `grpc.health.v1` is served, over HTTP/2 without TLS. Without it nowhere."),
        key("workers", number(1, 256), "4")
            .about("Threads that carry traffic. Without it: one for each processor that the process may use."),
        key("connect_timeout_seconds", number(1, 300), "2")
            .default("5")
            .about("How long to wait for a connection to an upstream; then 504."),
        key("response_timeout_seconds", number(1, DAY_SECONDS), "30")
            .default("60")
            .about("How long to wait for the head of an upstream's response; then 504."),
        key("header_timeout_seconds", number(1, 300), "10")
            .default("30")
            .about("How long a client may take to send the head of a request, and may be silent between two requests."),
        key("idle_timeout_seconds", number(1, HOUR_SECONDS), "300")
            .default("60")
            .about("How long a body may stand still in either direction before the exchange is cut off."),
        key("upstream_idle_timeout_seconds", number(1, HOUR_SECONDS), "60")
            .default("4")
            .about("How long a connection to an upstream is kept for the next request. Must be shorter than what the upstream does."),
        key("trust_forwarded", Kind::Switch, "true")
            .default("false")
            .about("Whether `Forwarded` and `X-Forwarded-…` of callers are believed: only behind a proxy that sets them. Rate limits then count by the last address in `X-Forwarded-For`."),
        key("readiness_delay_seconds", number(0, 300), "5")
            .default("0")
            .about("After SIGTERM: how long everything goes on as before, with readiness green, for balancers that are told by others and would take a red probe for a fault."),
        key("drain_delay_seconds", number(0, 300), "5")
            .default("0")
            .about("After that: how long to keep accepting, with readiness red, so that load balancers can look elsewhere."),
        key("drain_timeout_seconds", number(0, HOUR_SECONDS), "60")
            .default("30")
            .about("After that: how long requests in progress may take to end. Those without an answer by then get 503."),
    ],
};

/// `[store]`
pub const STORE: Section = Section {
    header: "[store]",
    about: "Where the figures are kept and for how long. Minutes are summed up into hours, hours into days.",
    keys: &[
        key("path", Kind::File, "/var/lib/lifesigns/lifesigns.db").default("lifesigns.db").about(
            "The file. `\"memory\"` keeps nothing on disk and loses all figures at the end of the process.",
        ),
        key("retention_minute_rows_hours", number(1, 24 * 90), "72")
            .default("48")
            .about("How long single minutes are kept."),
        key("retention_hour_rows_days", number(1, 3660), "180")
            .default("90")
            .about("How long single hours are kept."),
        key("retention_day_rows_days", number(1, 36_600), "3650")
            .default("1825")
            .about("How long single days are kept."),
    ],
};

/// `[limits]`
pub const LIMITS: Section = Section {
    header: "[limits]",
    about: "Bounds for labels that callers could make up, for each API. What is past a bound is counted as `_other_`.",
    keys: &[
        key("max_routes", number(1, 10_000), "200").default("500").about("How many routes are told apart."),
        key("max_clients", number(1, 10_000), "200")
            .default("1000")
            .about("How many client apps are told apart."),
        key("max_series", number(100, 1_000_000), "50000")
            .default("10000")
            .about("How many combinations of labels each thread tells apart within a second; past it requests lose route and client."),
    ],
};

const VERDICT_KEYS: &[Key] = &[
    key("window_seconds", number(10, HOUR_SECONDS), "120")
        .default("60")
        .about("How far back traffic is judged."),
    key("minimum_exchanges", number(1, 1_000_000), "100")
        .default("20")
        .about("With fewer requests than this in the window, traffic is not judged."),
    key("amber_failed_share", Kind::Share, "0.02")
        .default("0.05")
        .about("Share of failed requests that turns the light amber."),
    key("red_failed_share", Kind::Share, "0.25")
        .default("0.5")
        .about("Share of failed requests that turns the light red."),
    key("latency_percentile", number(50, 99), "99")
        .default("95")
        .about("Which percentile of the latency is judged: with 95, what one request in twenty exceeds."),
    key("amber_latency_ms", number(1, 86_400_000), "250")
        .about("Latency at that percentile that turns the light amber. Without it none does."),
    key("red_latency_ms", number(1, 86_400_000), "2000")
        .about("Latency at that percentile that turns the light red. Without it none does."),
    key("prolonged_red_seconds", number(1, DAY_SECONDS), "600")
        .default("300")
        .about("How long the light must have been red for `/health/status` to answer 502 and no longer 500."),
    key("retry_after_seconds", number(1, HOUR_SECONDS), "60")
        .default("30")
        .about("When an amber answer asks callers to come again."),
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
        key("name", LABEL, "checkout").about("Its name, as answers give it. Must be given."),
        key("routes", Kind::List, "[\"/orders/{id}\", \"/payments/*\"]").about(
            "Routes that belong to it; one that ends with `/*` stands for all that begin so. Must be given.",
        ),
        key("critical", Kind::Switch, "true")
            .default("false")
            .about("Whether it may turn the light of the API red; otherwise amber at most."),
        table("verdict", &API_ROUTE_GROUP_VERDICT),
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
    key("good_share", Kind::Share, "0.999")
        .about("Share of requests that is to be good, above 0 and at most 0.999999999. Must be given."),
    key("latency_ms", number(1, 86_400_000), "250").about(
        "Requests that go well but take longer than this are not good. Without it latency does not matter.",
    ),
    key("period_days", number(1, 90), "28").default("30").about("How far back the error budget reaches."),
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

/// `[[api]]`
pub const API: Section = Section {
    header: "[[api]]",
    about: "An API behind the gateway. Where there are several, each but one needs a `path` or a `host`.",
    keys: &[
        key("name", LABEL, "polls")
            .about("Name that it is counted under. Must be given where there are several."),
        key("version", LABEL, "v1").about("Version that it is counted under."),
        key("upstream", Kind::Url, "http://127.0.0.1:3000").about("Where it really is. Must be given."),
        key("path", Kind::Text, "/polls").about("Requests under this path are for it."),
        key("host", Kind::Text, "polls.example.com")
            .about("Requests to this host are for it; with a `path`, those that fit both."),
        key("strip_prefix", Kind::Switch, "false")
            .default("true")
            .about("Whether the upstream gets its requests without `path`."),
        key("keep_host", Kind::Switch, "false")
            .default("true")
            .about("Whether the upstream sees the host that the client asked for, or its own."),
        key("openapi", Kind::File, "polls.openapi.yaml")
            .about("OpenAPI description (JSON or YAML) whose paths name the routes. Without it what looks like an id becomes `{id}`."),
        table("identity", &API_IDENTITY),
        table("process", &API_PROCESS),
        table("verdict", &API_VERDICT),
        table("objective", &API_OBJECTIVE),
        tables("route_group", &API_ROUTE_GROUP),
        table("resources", &RESOURCES),
    ],
};

/// `[api.identity]`
pub const API_IDENTITY: Section = Section {
    header: "[api.identity]",
    about: "What `/health` says of the API. What is left out is not known, and is never guessed.",
    keys: &[
        key("repo", Kind::Label(500), "example/polls").about("Where its code lives."),
        key("revision", LABEL, "29636480c0ffee00").about("Commit that runs."),
        key("version", LABEL, "1.2.0").about("Version for people."),
        key("deployed_at", Kind::Moment, "2026-03-16T18:00:00Z")
            .about("When that was deployed. Without it: the start of the process."),
        key("build_type", LABEL, "docker").about("Kind of build."),
        key("build_date", LABEL, "2026-03-16").about("When it was built."),
        key("language", LABEL, "node 24").about(
            "Language and its version. Hidden from strangers unless `public_identity` says otherwise.",
        ),
        key("environment", LABEL, "production")
            .about("Environment, where it is another than that of the whole file."),
    ],
};

/// `[api.process]`
pub const API_PROCESS: Section = Section {
    header: "[api.process]",
    about: "Where memory and uptime of the API's process can be seen; one of the three. Without it the gateway's own are shown.",
    keys: &[
        key("pid", number(1, 4_194_304), "4711").about("Number of the process."),
        key("pid_file", Kind::File, "/run/polls.pid").about("File that holds the number."),
        key("status_url", Kind::Url, "http://127.0.0.1:3000/status").about("The API's own `/status`."),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_there_twice_and_every_key_is_explained() {
        for section in sections() {
            let mut names: Vec<_> = section.keys.iter().map(|key| key.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), section.keys.len(), "{}", section.called());
            for key in section.keys {
                assert!(!key.about.is_empty(), "{}", key.name);
                assert_eq!(key.written_example().is_none(), key.kind.section().is_some(), "{}", key.name);
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
