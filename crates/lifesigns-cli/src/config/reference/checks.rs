//! The tables of `[[check]]`: what all checks have in common, and one table for each kind.

use super::{DAY_SECONDS, HOUR_SECONDS, Key, Kind, LABEL, Section, key, number, table};

/// The kinds of check, each with its table. Exactly one of them stands in a `[[check]]`.
pub fn kinds() -> impl Iterator<Item = (&'static str, &'static Section)> {
    CHECK.tables()
}

/// `[[check]]`
pub const CHECK: Section = Section {
    header: "[[check]]",
    about: "Something that APIs depend on. It is checked in the background; what a probe gets is the last result. Exactly one of the tables says what is checked and how: [docs/checks.md](checks.md).",
    keys: &[
        key("name", LABEL, "orders-db")
            .about("Name of the check; public, since probes list it. Must be given."),
        key("apis", Kind::List, "[\"orders\"]").about("APIs that it counts for. Without it: all."),
        key("critical", Kind::Switch, "true")
            .default("false")
            .about("Whether its failing turns the light red, and fails readiness; otherwise the light turns amber."),
        key("interval_seconds", number(1, DAY_SECONDS), "60")
            .default("10")
            .about("From the start of one run to that of the next, give or take a tenth. A certificate has a default of its own, 60."),
        key("timeout_seconds", number(1, HOUR_SECONDS), "2")
            .default("5")
            .about("A run that takes longer has failed."),
        key("failure_threshold", number(1, 100), "1")
            .default("3")
            .about("So many bad results in a row make it fail."),
        key("recovery_threshold", number(1, 100), "1")
            .default("2")
            .about("So many good results in a row make it well again."),
        key("grace_seconds", number(0, DAY_SECONDS), "30")
            .default("0")
            .about("For so long after the start, failures before the first success do not count."),
        key("shared", Kind::Switch, "true")
            .about("Whether several processes depend on what it checks. Without it: not for `disk`, `memory`, `file` and a certificate in a file."),
        key("fails_readiness", Kind::Switch, "false")
            .default("true")
            .about("Whether the failing of a critical check fails `/readyz`."),
        key("fails_liveness", Kind::Switch, "false")
            .default("false")
            .about("Whether its failing fails `/livez`, so that the process is restarted. Refused for what is shared: all processes would be restarted at once, in vain."),
        key("affected_endpoints", Kind::List, "[\"/orders/{id}\"]")
            .default("[]")
            .about("Routes that do not work without it, for `application/health+json`."),
        table("http", &HTTP),
        table("tcp", &TCP),
        table("dns", &DNS),
        table("certificate", &CERTIFICATE),
        table("postgres", &POSTGRES),
        table("mysql", &MYSQL),
        table("redis", &REDIS),
        table("amqp", &AMQP),
        table("nats", &NATS),
        table("mqtt", &MQTT),
        table("clickhouse", &CLICKHOUSE),
        table("sqlite", &SQLITE),
        table("disk", &DISK),
        table("memory", &MEMORY),
        table("file", &FILE),
        table("command", &COMMAND),
    ],
};

const PASSWORD_ENV: Key =
    key("password_env", Kind::Text, "DB_PASSWORD").about("Environment variable that holds the password.");
const PASSWORD_FILE: Key =
    key("password_file", Kind::File, "/run/secrets/db").about("File that holds the password.");
const TLS: Key = key("tls", Kind::Switch, "true")
    .default("false")
    .about("Whether to insist on TLS. A URL whose scheme or parameters ask for it does as well.");
const CA_FILE: Key = key("ca_file", Kind::File, "/etc/ssl/own-ca.pem")
    .about("Certificate authorities to trust besides those of the system, PEM.");
const QUERY: Key = key("query", Kind::Text, "SELECT 1 FROM orders")
    .default("SELECT 1")
    .about("A statement that must not fail.");

/// `[check.http]`
pub const HTTP: Section = Section {
    header: "[check.http]",
    about: "An answer over HTTP or HTTPS.",
    keys: &[
        key("url", Kind::Text, "https://payments.example.com/health")
            .about("What is asked for, without user and password. Must be given."),
        key("method", Kind::Text, "HEAD").default("GET").about("How it is asked for."),
        key("headers", Kind::List, "[\"X-Tenant: health\"]")
            .default("[]")
            .about("Header fields of the request."),
        key("bearer_token_env", Kind::Text, "PAYMENTS_TOKEN")
            .about("Environment variable that holds a bearer token to be sent."),
        key("bearer_token_file", Kind::File, "/run/secrets/payments").about("File that holds it."),
        key("health", Kind::Choice(&["any", "health", "status", "traffic-light", "health+json", "actuator", "microprofile", "xabaril", "word", "code"]), "any")
            .about("Reads the answer as what a service says of its own health, in this dialect: green passes, amber warns, red fails."),
        key("status", Kind::List, "[\"200\", \"404\"]")
            .default("[\"200-299\"]")
            .about("Status codes that are right, where `health` is not given."),
        key("contains", Kind::Text, "ready").about("Text that the body must hold."),
        key("json", Kind::List, "[\"/database/up = true\"]")
            .default("[]")
            .about("What the body must have at these JSON pointers (RFC 6901), as JSON."),
        key("redirects", number(0, 10), "3")
            .default("0")
            .about("How many redirects are followed, on the same scheme, host and port only."),
        CA_FILE,
    ],
};

/// `[check.tcp]`
pub const TCP: Section = Section {
    header: "[check.tcp]",
    about: "A connection over TCP.",
    keys: &[
        key("address", Kind::Text, "mail.example.com:25").about("Host and port. Must be given."),
        key("banner", Kind::Text, "220").about("What the server's first bytes must be, without being asked."),
    ],
};

/// `[check.dns]`
pub const DNS: Section = Section {
    header: "[check.dns]",
    about: "A name in the DNS.",
    keys: &[
        key("name", Kind::Text, "db.example.com").about("The name. Must be given."),
        key(
            "record_type",
            Kind::Choice(&["A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"]),
            "AAAA",
        )
        .default("A")
        .about("What is asked for."),
        key("expect", Kind::Text, "192.0.2.7").about("One of the records must be this."),
        key("server", Kind::Text, "192.0.2.53").about("Who is asked. Without it: the servers of the system."),
    ],
};

/// `[check.certificate]`
pub const CERTIFICATE: Section = Section {
    header: "[check.certificate]",
    about: "How long a TLS certificate is still good: one that a server shows, or one in a file.",
    keys: &[
        key("address", Kind::Text, "example.com:443").about("Host and port. This or `file` must be given."),
        key("server_name", Kind::Text, "example.com").about("Name it must be for, if not the host."),
        key("file", Kind::File, "/etc/ssl/own.pem")
            .about("A PEM file; the certificate that ends first counts."),
        key("warn_days", number(0, 3650), "30").default("21").about("With fewer days left it warns."),
        key("fail_days", number(0, 3650), "7").default("3").about("With fewer days left it fails."),
        CA_FILE,
    ],
};

/// `[check.postgres]`
pub const POSTGRES: Section = Section {
    header: "[check.postgres]",
    about: "PostgreSQL: logs in and runs a statement.",
    keys: &[
        key("url", Kind::Text, "postgres://app@db:5432/orders")
            .about("Server, user and database. Must be given."),
        PASSWORD_ENV,
        PASSWORD_FILE,
        TLS,
        CA_FILE,
        QUERY,
    ],
};

/// `[check.mysql]`
pub const MYSQL: Section = Section {
    header: "[check.mysql]",
    about: "MySQL or MariaDB: logs in and runs a statement.",
    keys: &[
        key("url", Kind::Text, "mysql://app@db:3306/orders")
            .about("Server, user and database. Must be given."),
        PASSWORD_ENV,
        PASSWORD_FILE,
        TLS,
        CA_FILE,
        QUERY,
    ],
};

/// `[check.redis]`
pub const REDIS: Section = Section {
    header: "[check.redis]",
    about: "Redis: logs in and pings.",
    keys: &[
        key("url", Kind::Text, "redis://cache:6379/0")
            .about("Server and number of a database. Must be given."),
        PASSWORD_ENV,
        PASSWORD_FILE,
        TLS,
        CA_FILE,
    ],
};

/// `[check.amqp]`
pub const AMQP: Section = Section {
    header: "[check.amqp]",
    about: "RabbitMQ and others that speak AMQP 0-9-1: logs in and opens a channel.",
    keys: &[
        key("url", Kind::Text, "amqp://app@broker:5672/orders")
            .about("Server, user and virtual host. Must be given."),
        PASSWORD_ENV,
        PASSWORD_FILE,
        TLS,
        CA_FILE,
        key("queue", Kind::Text, "invoices").about("A queue that must be there."),
    ],
};

/// `[check.nats]`
pub const NATS: Section = Section {
    header: "[check.nats]",
    about: "NATS: logs in and pings.",
    keys: &[
        key("url", Kind::Text, "nats://app@broker:4222").about("Server and user. Must be given."),
        PASSWORD_ENV,
        PASSWORD_FILE,
        TLS,
        CA_FILE,
    ],
};

/// `[check.mqtt]`
pub const MQTT: Section = Section {
    header: "[check.mqtt]",
    about: "An MQTT broker: logs in and pings.",
    keys: &[
        key("url", Kind::Text, "mqtt://app@broker:1883").about("Server and user. Must be given."),
        PASSWORD_ENV,
        PASSWORD_FILE,
        TLS,
        CA_FILE,
        key("topic", Kind::Text, "sensors/#")
            .about("A topic filter to which one must be allowed to subscribe."),
    ],
};

/// `[check.clickhouse]`
pub const CLICKHOUSE: Section = Section {
    header: "[check.clickhouse]",
    about: "ClickHouse over its HTTP interface: logs in and runs a query.",
    keys: &[
        key("url", Kind::Text, "http://app@store:8123/default")
            .about("Server, user and database. Must be given."),
        PASSWORD_ENV,
        PASSWORD_FILE,
        TLS,
        CA_FILE,
        QUERY,
    ],
};

/// `[check.sqlite]`
pub const SQLITE: Section = Section {
    header: "[check.sqlite]",
    about: "An SQLite file: opens it for reading.",
    keys: &[
        key("path", Kind::File, "/var/lib/app/app.db").about("The file. Must be given."),
        key("quick_check", Kind::Switch, "true")
            .default("false")
            .about("Whether the whole file is read. Takes seconds for each gigabyte."),
        key("query", Kind::Text, "SELECT 1 FROM users").about("A query that must give at least one row."),
    ],
};

/// `[check.disk]`
pub const DISK: Section = Section {
    header: "[check.disk]",
    about: "Free space and inodes of a disk.",
    keys: &[
        key("path", Kind::File, "/var/lib/app").about("Any file or folder on it. Must be given."),
        key("warn_free_percent", number(0, 100), "20").default("10").about("With less free it warns."),
        key("fail_free_percent", number(0, 100), "2").default("5").about("With less free it fails."),
        key("warn_free_mb", number(0, 1_000_000_000), "2048")
            .default("0")
            .about("With fewer megabytes (MiB) free it warns."),
        key("fail_free_mb", number(0, 1_000_000_000), "512")
            .default("0")
            .about("With fewer megabytes (MiB) free it fails."),
    ],
};

/// `[check.memory]`
pub const MEMORY: Section = Section {
    header: "[check.memory]",
    about: "Resident memory of a process, against the limit of its control group or the machine's memory. Without `pid` or `pid_file`: of this process.",
    keys: &[
        key("pid", number(1, 4_194_304), "4711").about("Number of the process."),
        key("pid_file", Kind::File, "/run/polls.pid").about("File that holds the number."),
        key("warn_percent", number(1, 100), "70").default("80").about("With more in use it warns."),
        key("fail_percent", number(1, 100), "90").default("95").about("With more in use it fails."),
    ],
};

/// `[check.file]`
pub const FILE: Section = Section {
    header: "[check.file]",
    about: "A file or folder that must be there, and fresh.",
    keys: &[
        key("path", Kind::File, "/var/spool/export/last.csv").about("Where it is. Must be given."),
        key("max_age_seconds", number(1, 3_153_600_000), "86400")
            .about("It must have been written within so long. Without it: no matter when."),
        key("min_size_bytes", number(0, u64::MAX / 2), "1").default("0").about("It must have so many bytes."),
    ],
};

/// `[check.command]`
pub const COMMAND: Section = Section {
    header: "[check.command]",
    about: "A program that must end with the exit code 0. No shell looks at it, and its environment is empty but for what is given.",
    keys: &[
        key("program", Kind::File, "/usr/local/bin/check-queue")
            .about("The program's file; no `PATH` is searched. Must be given."),
        key("arguments", Kind::List, "[\"--queue\", \"invoices\"]")
            .default("[]")
            .about("What it is called with."),
        key("environment", Kind::List, "[\"PATH=/usr/bin:/bin\", \"QUEUE_TOKEN\"]")
            .default("[]")
            .about("Its environment: `NAME=value`, or `NAME` alone to hand on what this process has."),
        key("folder", Kind::File, "/var/lib/app").default("/").about("Where it runs."),
        key("warn_codes", Kind::List, "[\"1\"]")
            .default("[]")
            .about("Exit codes that warn; all others but 0 fail."),
    ],
};
