//! Who is watched, and who is told: `[monitor]`, `[[service]]`, `[[alert]]` and `[[maintenance]]`.

use lifesigns_model::dialect::Dialect;

use super::{DAY_SECONDS, HOUR_SECONDS, Key, Kind, LABEL, Section, key, number, table};

/// The channels, each with its table. Exactly one of them stands in an `[[alert]]`.
pub fn channels() -> impl Iterator<Item = (&'static str, &'static Section)> {
    ALERT.tables()
}

const DIALECT_NAMES: [&str; Dialect::ALL.len()] = {
    let mut names = [""; Dialect::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = Dialect::ALL[at].name();
        at += 1;
    }
    names
};

/// `[monitor]`
pub const MONITOR: Section = Section {
    header: "[monitor]",
    about: "How the services are watched: [docs/monitor.md](monitor.md). There is a monitor where there is a `[[service]]`; a file without an `[[api]]` is a monitor alone.",
    keys: &[
        key("listen", Kind::Address, "0.0.0.0:8090").default("127.0.0.1:8090").about(
            "Where the dashboard and what programs ask are. On loopback, where nobody is let in by a token, an app, an issuer or `user_header`, everybody on this machine sees and does everything, if the monitor is asked as `localhost` or a loopback address and not through a proxy; otherwise strangers see what is `public`.",
        ),
        key("agent_listen", Kind::Address, "127.0.0.1:8091")
            .about("Where HAProxy's agent checks are answered, over TCP. Without it nowhere."),
        key("data", Kind::File, "/var/lib/lifesigns/monitor.db")
            .default("lifesigns-monitor.db")
            .about("File that keeps the history; \"memory\": none, and it ends with the process."),
        key("retention_days", number(1, 3650), "90")
            .default("400")
            .about("How long readings and events are kept."),
        key("title", LABEL, "Services of example.com").default("Lifesigns").about("What the pages are called."),
        key("link", Kind::Url, "https://status.example.com")
            .about("Address of the monitor for people; messages lead to it. Without it they lead nowhere. `user_header` is believed under its host."),
        key("interval_seconds", number(1, DAY_SECONDS), "10")
            .default("60")
            .about("How often each service is asked, give or take a twentieth."),
        key("deadline_seconds", number(1, 60), "5").default("10").about(
            "How long an answer may take. Where it is left out and the interval is shorter: the interval.",
        ),
        key("failures", number(1, 100), "3")
            .default("2")
            .about("How often in a row a service has to be worse to be believed."),
        key("recoveries", number(1, 100), "1")
            .default("2")
            .about("How often in a row it has to be better to be believed."),
        key("red_interval_seconds", number(1, HOUR_SECONDS), "10")
            .default("60")
            .about("When a service that is red is asked again. One that is amber is asked when it wants to be."),
        key("full_every", number(1, 1000), "1")
            .default("10")
            .about("Every so many times a service is asked for everything about it, otherwise for its light alone."),
        key("cascade_seconds", number(0, HOUR_SECONDS), "120")
            .default("90")
            .about("Outages that begin within this time of each other belong together: one message for all."),
        key("references", Kind::List, "[\"192.0.2.1:53\", \"gateway.example.com:443\"]").default("[]").about(
            "Addresses, `host:port`, one of which at least takes connections as long as the monitor has a network. If none does, services that do not answer are not known, instead of red. Without any, only what this machine itself says tells that its network is gone.",
        ),
        key("any_address", Kind::Switch, "true").default("false").about(
            "Whether services may be at link-local addresses and those where clouds keep their metadata, too.",
        ),
        key("ca_file", Kind::File, "/etc/ssl/own-ca.pem")
            .about("Certificate authorities of services to trust besides those of the system, PEM."),
        key("user_header", Kind::Text, "X-Forwarded-User").about(
            "Header in which a proxy on this machine tells who has logged in; whoever has sees everything. Believed from loopback addresses alone, where the monitor is asked as one of them, as `localhost`, or as the host of `link`. The proxy must remove it from what its clients send.",
        ),
        key("decisions", Kind::Choice(&["readers", "everybody"]), "everybody").default("readers").about(
            "Who is told whether to call services that are not `public`: those who are let in, or everybody, for load balancers that cannot send a token.",
        ),
    ],
};

/// `[[service]]`
pub const SERVICE: Section = Section {
    header: "[[service]]",
    about: "A service that is watched. What is left out is as `[monitor]` says.",
    keys: &[
        key("name", Kind::Label(64), "orders").about(
            "Its name, unique: letters, digits, `.`, `_` and `-`, a letter or digit first. Must be given.",
        ),
        key("url", Kind::Url, "https://orders.example.com/health/status")
            .about("Its health resource, `http://` or `https://`. Must be given."),
        key("dialect", Kind::Choice(&DIALECT_NAMES), "actuator")
            .about("In which words it answers. Without it that is found out."),
        key("environment", LABEL, "production").about("Where it runs. Without it: where it says it does."),
        key("depends_on", Kind::List, "[\"orders-db\", \"stock\"]").default("[]").about(
            "Services that it needs: outages of what depends on each other are one incident, whenever they begin.",
        ),
        key("interval_seconds", number(1, DAY_SECONDS), "10").about("How often it is asked."),
        key("deadline_seconds", number(1, 60), "5").about("How long an answer may take."),
        key("failures", number(1, 100), "3").about("How often in a row it has to be worse to be believed."),
        key("recoveries", number(1, 100), "1").about("How often in a row it has to be better to be believed."),
        key("authorization_file", Kind::File, "/run/secrets/orders-authorization")
            .about("File that holds what it is sent as `Authorization`, such as `Bearer …`."),
        key("authorization_env", Kind::Text, "ORDERS_AUTHORIZATION")
            .about("Environment variable that holds the same."),
        key("public", Kind::Switch, "true")
            .default("false")
            .about("Whether strangers may see its name and its light."),
    ],
};

/// `[[alert]]`
pub const ALERT: Section = Section {
    header: "[[alert]]",
    about: "Who is told of which outages, and when. Exactly one of the tables says how: [docs/alerts.md](alerts.md). `lifesigns alerts replay` shows what would have been sent of the outages that there were.",
    keys: &[
        key("name", LABEL, "ops")
            .about("Its name, unique; what a route was told is remembered by it. Must be given."),
        key("services", Kind::List, "[\"orders*\", \"stock\"]").default("[]").about(
            "Of which services, by their names; `*` stands for any text. Without it: of all.",
        ),
        key("environments", Kind::List, "[\"production\"]")
            .default("[]")
            .about("Of services in which environments, as `environment` says or they do themselves; where neither does, in none of them. Without it: in all."),
        key("light", Kind::Choice(&["amber", "red"]), "amber")
            .default("red")
            .about("From which light on."),
        key("after_seconds", number(0, DAY_SECONDS), "300")
            .default("0")
            .about("How long a service has to be out before it is told of."),
        key("group_wait_seconds", number(0, HOUR_SECONDS), "10")
            .default("30")
            .about("How long to wait for others before the first message of an incident."),
        key("group_interval_seconds", number(0, DAY_SECONDS), "60")
            .default("300")
            .about("The least time between a message and one that says that there are more."),
        key("remind_minutes", number(0, 7 * 24 * 60), "60").default("240").about(
            "When to remind for the first time; each time after that twice as late, up to a day. 0: never.",
        ),
        key("quiet", Kind::List, "[\"22:00-07:00\", \"sat 00:00-24:00\", \"mon-fri 12:00-13:00\"]")
            .default("[]")
            .about("When to keep quiet, in UTC: a time of the day, on all days or those that are named. What is over by then is never told; that something is over always is."),
        table("webhook", &WEBHOOK),
        table("slack", &SLACK),
        table("pagerduty", &PAGERDUTY),
        table("email", &EMAIL),
        table("command", &COMMAND),
    ],
};

/// `[[maintenance]]`
pub const MAINTENANCE: Section = Section {
    header: "[[maintenance]]",
    about: "A time in which services may be out without anybody being told. They are asked all the same, and what is still out at its end is told.",
    keys: &[
        key("services", Kind::List, "[\"orders*\"]")
            .default("[]")
            .about("Which services, by their names; `*` stands for any text. Without it: all."),
        key("from", Kind::Moment, "2026-03-16T22:00:00Z").about("From when. Must be given."),
        key("to", Kind::Moment, "2026-03-16T23:30:00Z").about("Until when. Must be given."),
        key("reason", Kind::Label(500), "new disks").about("What is done."),
    ],
};

const CA_FILE: Key = key("ca_file", Kind::File, "/etc/ssl/own-ca.pem")
    .about("Certificate authorities to trust besides those of the system, PEM.");

const DEADLINE: Key =
    key("deadline_seconds", number(1, 300), "5").default("10").about("How long an attempt may take.");

/// `[alert.webhook]`
pub const WEBHOOK: Section = Section {
    header: "[alert.webhook]",
    about: "To any program that takes JSON, or what a template makes, over HTTP.",
    keys: &[
        key("url", Kind::Url, "http://127.0.0.1:9000/outages").about(
            "Where it goes, `https://` or `http://`, if that is no secret. One of the three must be given.",
        ),
        key("url_file", Kind::File, "/run/secrets/webhook").about("File that holds the address."),
        key("url_env", Kind::Text, "WEBHOOK_URL").about("Environment variable that holds the address."),
        key("template_file", Kind::File, "outage.json.j2")
            .about("File that says what is sent. Without it: all fields as JSON."),
        key("content_type", Kind::Text, "text/plain; charset=utf-8")
            .default("application/json")
            .about("Type of what is sent; it says how a template's values are escaped, too."),
        key("headers", Kind::List, "[\"x-team: ops\"]")
            .default("[]")
            .about("More headers that are no secrets: name, colon, value."),
        key("headers_file", Kind::File, "/run/secrets/webhook-headers")
            .about("File with more headers, one on each line."),
        key("token_file", Kind::File, "/run/secrets/webhook-token")
            .about("File that holds what is sent as `Authorization: Bearer …`."),
        key("token_env", Kind::Text, "WEBHOOK_TOKEN").about("Environment variable that holds the same."),
        key("secret_file", Kind::File, "/run/secrets/webhook-secret")
            .about("File that holds what the body is signed with."),
        key("secret_env", Kind::Text, "WEBHOOK_SECRET").about("Environment variable that holds the same."),
        CA_FILE,
        DEADLINE,
    ],
};

/// `[alert.slack]`
pub const SLACK: Section = Section {
    header: "[alert.slack]",
    about: "To an incoming webhook of Slack, or of what takes the same. Who knows its address can post to it.",
    keys: &[
        key("url_file", Kind::File, "/run/secrets/slack")
            .about("File that holds its address. One of the two must be given."),
        key("url_env", Kind::Text, "SLACK_WEBHOOK").about("Environment variable that holds its address."),
        CA_FILE,
        DEADLINE,
    ],
};

/// `[alert.pagerduty]`
pub const PAGERDUTY: Section = Section {
    header: "[alert.pagerduty]",
    about: "To PagerDuty, by its Events API v2, or to what takes the same.",
    keys: &[
        key("routing_key_file", Kind::File, "/run/secrets/pagerduty")
            .about("File that holds the integration key. One of the two must be given."),
        key("routing_key_env", Kind::Text, "PAGERDUTY_KEY")
            .about("Environment variable that holds the integration key."),
        key("url", Kind::Url, "https://events.eu.pagerduty.com/v2/enqueue")
            .default("https://events.pagerduty.com/v2/enqueue")
            .about("Where events go."),
        CA_FILE,
        DEADLINE,
    ],
};

/// `[alert.email]`
pub const EMAIL: Section = Section {
    header: "[alert.email]",
    about: "By mail, over SMTP.",
    keys: &[
        key("host", Kind::Text, "mail.example.com").about("The server. Must be given."),
        key("port", number(1, 65535), "2525")
            .about("Its port. Without it: 587, 465 or 25, by `encryption`."),
        key("encryption", Kind::Choice(&["starttls", "tls", "none"]), "tls")
            .default("starttls")
            .about("How the way there is kept private: after a beginning in the clear, from the beginning, or not at all."),
        key("user", Kind::Text, "monitor").about("Who logs in. Without it nobody does."),
        key("password_file", Kind::File, "/run/secrets/mail").about("File that holds the password."),
        key("password_env", Kind::Text, "MAIL_PASSWORD").about("Environment variable that holds the password."),
        key("from", Kind::Text, "Monitor <monitor@example.com>").about("Who writes. Must be given."),
        key("to", Kind::List, "[\"ops@example.com\"]").about("Who reads. Must be given."),
        CA_FILE,
        DEADLINE,
    ],
};

/// `[alert.command]`
pub const COMMAND: Section = Section {
    header: "[alert.command]",
    about: "To a program on this machine, as JSON on its standard input. No shell looks at it, and its environment is empty but for what tells of the message and what is given.",
    keys: &[
        key("program", Kind::File, "/usr/local/bin/page-ops")
            .about("The program's file; no `PATH` is searched. Must be given."),
        key("arguments", Kind::List, "[\"--team\", \"ops\"]").default("[]").about("What it is called with."),
        key("environment", Kind::List, "[\"PATH=/usr/bin:/bin\", \"PAGER_TOKEN\"]")
            .default("[]")
            .about("Its environment: `NAME=value`, or `NAME` alone to hand on what this process has."),
        key("folder", Kind::File, "/var/lib/app").default("/").about("Where it runs."),
        DEADLINE,
    ],
};
