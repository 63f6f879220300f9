//! `[log]` and `[otlp]`: what goes out by itself.

use super::{DAY_SECONDS, Key, Kind, Section, key, number};

/// `[log]`
pub const LOG: Section = Section {
    header: "[log]",
    about: "How the log on standard error looks. How much of it there is says `LIFESIGNS_LOG`.",
    keys: LOG_KEYS,
};

const LOG_KEYS: &[Key] = &[key("format", Kind::Choice(&crate::logging::Format::NAMES), "json")
    .default("text")
    .about("For people, or one JSON object on each line.")];

/// `[otlp]`
pub const OTLP: Section = Section {
    header: "[otlp]",
    about: "Pushes lights, checks and the durations of requests to an OpenTelemetry collector: metrics, OTLP over HTTP with protobuf. Off unless `endpoint` is there or `enabled` says otherwise. The variables of the OpenTelemetry specification stand over what is written here: `OTEL_EXPORTER_OTLP_ENDPOINT`, `…_HEADERS`, `…_TIMEOUT`, `…_COMPRESSION`, `…_CERTIFICATE`, the same for metrics alone (`OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` and so on), `OTEL_METRIC_EXPORT_INTERVAL`, `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`; they do not switch it on.",
    keys: OTLP_KEYS,
};

const OTLP_KEYS: &[Key] = &[
    key("enabled", Kind::Switch, "true")
        .about("Whether anything is pushed. Without it: if there is an `endpoint`."),
    key("endpoint", Kind::Url, "https://collector.example.com:4318")
        .about("The collector, `http://` or `https://`; `/v1/metrics` is added. Without it, where `enabled`: `http://localhost:4318`."),
    key("headers", Kind::List, "[\"x-scope-orgid: polls\"]")
        .default("[]")
        .about("Headers of each request that are no secrets: name, colon, value."),
    key("headers_file", Kind::File, "/run/secrets/otlp-headers")
        .about("File with more headers, one on each line: `authorization: Bearer …`."),
    key("headers_env", Kind::Text, "COLLECTOR_HEADERS")
        .about("Name of an environment variable with more headers: `name=value,name=value`, percent-encoded."),
    key("interval_seconds", number(1, DAY_SECONDS), "15").default("60").about("From one push to the next. When a light changes, there is one at once, at most one a second."),
    key("timeout_seconds", number(1, 300), "5")
        .default("10")
        .about("How long one request may take. One that failed is sent again until the next push is due."),
    key("compression", Kind::Choice(&["none", "gzip"]), "gzip")
        .default("none")
        .about("Whether requests are compressed."),
    key("ca_file", Kind::File, "/etc/ssl/collector-ca.pem")
        .about("Certificate authorities to trust besides the system's, PEM."),
];
