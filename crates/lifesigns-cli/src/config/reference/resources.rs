//! `[resources]` and the table of each resource.

use super::{Kind, Section, key, number};

/// Names of the resources that have a table in `[resources]`.
pub const RESOURCE_NAMES: [&str; 10] = [
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
];

/// `[resources]`, also `[api.resources]`
pub const RESOURCES: Section = Section {
    header: "[resources]",
    about: "What is answered by Lifesigns itself. `[api.resources]` has the same keys, for one API alone, except for `analytics` and `metrics`, which span all APIs; what is left out there is as `[resources]` says.",
    keys: &[
        key("prefix", Kind::Text, "", "\"/-\"", "Path that all resources of an API are moved under."),
        key(
            "forced_answers",
            Kind::Switch,
            "true",
            "false",
            "Whether `/health/status/{code}` gives the answer with that code, for tests of callers.",
        ),
        key(
            "public_identity",
            Kind::List,
            "[\"repo\", \"revision\", \"version\", \"deployed_at\", \"uptime\", \"build_type\", \"build_date\", \"environment\"]",
            "[\"revision\", \"uptime\"]",
            "Fields of `/health` that strangers see. The others take a token with the scope `health:details`.",
        ),
        key(
            "allowed_origins",
            Kind::List,
            "[]",
            "[\"https://status.example.com\"]",
            "Origins of web pages that may read the answers; `\"*\"` for all.",
        ),
        key(
            "client_id_headers",
            Kind::List,
            "[\"x-client-id\", \"client_id\"]",
            "[\"x-api-key-id\"]",
            "Request headers that name the calling app, the first one found.",
        ),
        key("status", Kind::Table, "", "", "`/status`"),
        key("health", Kind::Table, "", "", "`/health`"),
        key("health_status", Kind::Table, "", "", "`/health/status`"),
        key("livez", Kind::Table, "", "", "`/livez`"),
        key("readyz", Kind::Table, "", "", "`/readyz`"),
        key("startupz", Kind::Table, "", "", "`/startupz`"),
        key("maintenance", Kind::Table, "", "", "`/health/maintenance`"),
        key("health_details", Kind::Table, "", "", "`/health/details`"),
        key("analytics", Kind::Table, "", "", "`/analytics`"),
        key("metrics", Kind::Table, "", "", "`/metrics`"),
    ],
};

/// `[resources.health]` and so on
pub const RESOURCE: Section = Section {
    header: "[resources.RESOURCE]",
    about: "One resource. RESOURCE is `status`, `health`, `health_status`, `livez`, `readyz`, `startupz`, `maintenance`, `health_details`, `analytics` or `metrics`.",
    keys: &[
        key(
            "enabled",
            Kind::Switch,
            "true",
            "false",
            "Whether it is there. Where it is not, requests for it go to the upstream.",
        ),
        key(
            "path",
            Kind::Text,
            "",
            "\"/health/traffic-light\"",
            "Where it stands instead of its usual path, relative to the base of the API.",
        ),
        key(
            "listener",
            Kind::Choice(&["both", "public", "admin"]),
            "\"both\"",
            "\"admin\"",
            "Where it is answered. On the other listener it is as if it did not exist.",
        ),
        key(
            "requests_per_minute",
            number(1, 1_000_000),
            "",
            "60",
            "How many requests each caller may make. Without it as many as it likes; 120 for `health_details` and `analytics`.",
        ),
        key(
            "protected",
            Kind::Switch,
            "",
            "true",
            "Whether a token is needed to read it; switching `maintenance` on and off always takes one. Without it: for `health_details`, `analytics` and, except on the admin listener, `metrics`.",
        ),
    ],
};
