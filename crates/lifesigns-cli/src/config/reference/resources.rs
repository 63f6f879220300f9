//! `[resources]` and the table of each resource.

use lifesigns::HealthDialect;

use super::{Kind, Section, key, number, table};

const DIALECT_NAMES: [&str; HealthDialect::ALL.len()] = {
    let mut names = [""; HealthDialect::ALL.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = HealthDialect::ALL[index].name();
        index += 1;
    }
    names
};

/// Names of the resources that have a table in `[resources]`.
pub const RESOURCE_NAMES: [&str; 12] = [
    "status",
    "health",
    "health_status",
    "livez",
    "readyz",
    "startupz",
    "maintenance",
    "health_details",
    "analytics",
    "metrics",
    "token",
    "openapi",
];

/// `[resources]`, also `[api.resources]`
pub const RESOURCES: Section = Section {
    header: "[resources]",
    about: "What is answered by Lifesigns itself. `[api.resources]` has the same keys, for one API alone, except for `analytics`, `metrics`, `token` and `openapi`, which span all APIs; what is left out there is as `[resources]` says.",
    keys: &[
        key("prefix", Kind::Text, "/-").about("Path that all resources of an API are moved under."),
        key("forced_answers", Kind::Switch, "false")
            .default("true")
            .about("Whether `/health/status/{code}` gives the answer with that code, for tests of callers."),
        key("dialect", Kind::Choice(&DIALECT_NAMES), "health+json").default("lifesigns").about(
            "In which words `/health` answers where neither `Accept` nor `?dialect=` chooses.",
        ),
        key("public_identity", Kind::List, "[\"revision\", \"uptime\"]")
            .default("[\"repo\", \"revision\", \"version\", \"deployed_at\", \"uptime\", \"build_type\", \"build_date\", \"environment\"]")
            .about("Fields of `/health` that strangers see. The others take a token with the scope `health:details`."),
        key("allowed_origins", Kind::List, "[\"https://status.example.com\"]")
            .default("[]")
            .about("Origins of web pages that may read the answers; `\"*\"` for all."),
        key("client_id_headers", Kind::List, "[\"x-api-key-id\"]")
            .default("[\"x-client-id\", \"client_id\"]")
            .about("Request headers that name the calling app, the first one found."),
        table("status", &RESOURCE),
        table("health", &RESOURCE),
        table("health_status", &RESOURCE),
        table("livez", &RESOURCE),
        table("readyz", &RESOURCE),
        table("startupz", &RESOURCE),
        table("maintenance", &RESOURCE),
        table("health_details", &RESOURCE),
        table("analytics", &RESOURCE),
        table("metrics", &RESOURCE),
        table("token", &RESOURCE),
        table("openapi", &RESOURCE),
    ],
};

/// `[resources.health]` and so on
pub const RESOURCE: Section = Section {
    header: "[resources.RESOURCE]",
    about: "One resource. RESOURCE is `status`, `health`, `health_status`, `livez`, `readyz`, `startupz`, `maintenance`, `health_details`, `analytics`, `metrics`, `token` or `openapi`.",
    keys: &[
        key("enabled", Kind::Switch, "false")
            .default("true")
            .about("Whether it is there. Where it is not, requests for it go to the upstream."),
        key("path", Kind::Text, "/health/traffic-light")
            .about("Where it stands instead of its usual path, relative to the base of the API."),
        key("listener", Kind::Choice(&["both", "public", "admin"]), "admin")
            .default("both")
            .about("Where it is answered. On the other listener it is as if it did not exist."),
        key("requests_per_minute", number(1, 1_000_000), "60")
            .about("How many requests each caller may make. Without it as many as it likes; 120 for `health_details`, `analytics` and `token`."),
        key("protected", Kind::Switch, "true")
            .about("Whether a token is needed to read it; switching `maintenance` on and off always takes one. Without it: for `health_details`, `analytics` and, except on the admin listener, `metrics`."),
    ],
};
